from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kosum_pl.commands.doctor.tokens import ModelFiles, local_folder, read_model_files, token_findings
from kosum_pl.decode import DecodingPreset
from kosum_pl.encode import Encoder, Seq2SeqEncoder, SourcePrompt, load_tokenizer
from kosum_pl.lookup import resolve_path
from tests.commands.doctor.levels import pairs, texts

PRESETS = [DecodingPreset(name="mine", num_beams=2, no_repeat_ngram_size=3)]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Seq2SeqEncoder(load_tokenizer("demo:bart")[0], SourcePrompt())


def found(encoder: Encoder, level: str, **files: Any) -> list[str]:
    fields = {"name": "x", "has_weights": True, "config": {"vocab_size": 2500}, "generation": {"eos_token_id": 2}}
    return texts(token_findings(ModelFiles(**{**fields, **files}), encoder=encoder, presets=PRESETS), level)


def test_agreement_is_one_line(encoder: Encoder) -> None:
    assert found(encoder, "ok") == ["a summary ends with 2 ('</s>'), 1 ('<pad>') pads, BOS is 0 ('<s>')"]
    assert found(encoder, "note") + found(encoder, "warning") + found(encoder, "broken") == []


def test_special_tokens_that_differ_are_named_with_their_file(encoder: Encoder) -> None:
    config = {"vocab_size": 2500, "pad_token_id": 0, "eos_token_id": [5, 2]}
    generation = {"eos_token_id": [1], "bos_token_id": 9999, "decoder_start_token_id": 1}
    assert found(encoder, "note", config=config, generation=generation) == [
        "config.json says pad_token_id=0 ('<s>'), the tokenizer and its template 1 ('<pad>'), which counts",
        "generation_config.json says bos_token_id=9999 (no token of the tokenizer), the tokenizer and its template "
        "0 ('<s>'), which counts",
        "generation_config.json says eos_token_id=1 ('<pad>'), the tokenizer and its template 2 ('</s>'), which counts",
        "the decoder starts with 1 ('<pad>'), neither BOS nor EOS; kept, as it was pretrained so",
    ]


@pytest.mark.parametrize(
    ("files", "level", "start"),
    [
        ({"generation": {"forced_eos_token_id": 1}}, "warning", "forced EOS conflict: generation_config.json forces 1"),
        ({"config": {"forced_eos_token_id": 1}, "generation": {}}, "warning", "forced EOS conflict: config.json"),
        ({"generation": {"forced_eos_token_id": 2}}, "note", "the checkpoint's forced_eos_token_id 2 ('</s>')"),
        ({"generation": {"forced_bos_token_id": 0}}, "note", "the checkpoint's forced_bos_token_id 0 ('<s>')"),
    ],
)
def test_forced_tokens(encoder: Encoder, files: dict[str, Any], level: str, start: str) -> None:
    lines = found(encoder, level, **files)
    assert any(line.startswith(start) for line in lines), lines
    if level == "note":
        assert found(encoder, "warning", **files) == []


def test_decoding_settings_stand_beside_the_presets(encoder: Encoder) -> None:
    generation = {"num_beams": 5, "no_repeat_ngram_size": 4, "typical_p": 0.9, "do_sample": False, "eos_token_id": 2}
    assert found(encoder, "note", generation=generation) == [
        "the checkpoint's no_repeat_ngram_size=4 is not used, the preset decides (mine: 3)",
        "the checkpoint's num_beams=5 is not used, the preset decides (mine: 2)",
        "the checkpoint's typical_p=0.9 is not used, the preset decides (mine: 1.0)",
    ]


def test_a_model_smaller_than_its_tokenizer_breaks(encoder: Encoder) -> None:
    assert found(encoder, "broken", config={"vocab_size": 2499}) == [
        "the model has 2,499 embeddings, and the tokenizer 2,500 tokens"
    ]


def test_a_folder_without_config_is_a_note(encoder: Encoder, tmp_path: Path) -> None:
    files = read_model_files(str(tmp_path))
    assert (files.is_found, files.config, files.generation) == (True, {}, {})
    assert pairs(token_findings(files, encoder=encoder, presets=PRESETS))[1:] == [
        ("note", f"{tmp_path} holds no config.json: fit cannot load such a model; only its tokenizer was looked at")
    ]


def test_where_files_lie() -> None:
    assert local_folder("demo:bart") == Path(resolve_path("demo:bart"))
    assert local_folder("nobody/never-downloaded") is None
    assert not read_model_files("nobody/never-downloaded").is_found


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json: not JSON: .*; download it again"):
        read_model_files(str(tmp_path))


@pytest.mark.shared
def test_kobart_as_published(shared_dir: Path) -> None:
    folder = str(shared_dir / "tokenizers" / "kobart")
    encoder = Seq2SeqEncoder(load_tokenizer(folder)[0], SourcePrompt(add_bos=True, add_eos=True))
    findings = list(token_findings(read_model_files(folder), encoder=encoder, presets=PRESETS))
    (conflict,) = texts(findings, "warning")
    assert "forces 2 ('<usr>') as the last token, and summaries end with 1 ('</s>')" in conflict
    assert any("the decoder starts with 2 ('<usr>')" in finding.text for finding in findings)
