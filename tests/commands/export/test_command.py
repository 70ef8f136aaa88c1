"""Exported folders, compared with what the Trainer predicted before."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from kosum_pl.__main__ import main
from kosum_pl.commands.export import run as export_run
from kosum_pl.export.folder import load_folder
from tests.commands.exported_runs import (
    LORA,
    NEW_TOKENS,
    SHAPES,
    Run,
    Runs,
    inside,
    make_run,
    summarized,
    trained,
    write_base,
)
from tests.error_lines import error_line


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs by name; each is made at its first use."""
    root = tmp_path_factory.mktemp("exported")
    base = write_base(root / "base")
    lora = {"model_name": str(base), "adapter": LORA}
    settings: dict[str, tuple[str, list[str], dict[str, Any]]] = {
        "seq2seq": ("seq2seq", [], {"model_name": "demo:bart"}),
        "causal": ("causal", [], {"model_name": "demo:llama"}),
        "lora": ("causal", [], lora),
        "merged": ("causal", ["--merge"], lora),
        "qlora": ("causal", [], {**lora, "quantization": "nf4"}),
        "new_tokens": ("causal", [], {**lora, "new_tokens": NEW_TOKENS}),
        "new_tokens_merged": ("causal", ["--merge"], {**lora, "new_tokens": NEW_TOKENS}),
        "qlora_merged": ("causal", ["--merge", "--allow_difference"], {**lora, "quantization": "nf4"}),
        "coarse_merged": (
            "causal",
            ["--merge", "--allow_difference"],
            {**lora, "model_name": str(write_base(root / "coarse", outlier=25.0)), "quantization": "nf4"},
        ),
    }
    made: dict[str, Run] = {}

    def run(name: str) -> Run:
        if name not in made:
            kind, options, model = settings[name]
            if "adapter" not in model:
                model = {**model, "random_init": True, "config_overrides": SHAPES[kind]}
            made[name] = make_run(root / name, kind, options=options, **model)
        return made[name]

    return run


@pytest.mark.parametrize(
    "name",
    ["seq2seq", "causal", "lora", *(pytest.param(name, marks=pytest.mark.slow) for name in ("qlora", "new_tokens"))],
)
def test_an_exported_folder_answers_as_predict_to_the_bit(runs: Runs, name: str) -> None:
    run = runs(name)
    rows = summarized(run)
    assert rows == run.predictions
    assert [row["preset"] for row in rows] == ["weekend", "short", "short"] * 2 + ["weekend"]
    assert len({row["text"] for row in rows}) > 1


@pytest.mark.parametrize("name", ["merged", pytest.param("new_tokens_merged", marks=pytest.mark.slow)])
def test_a_merged_folder_answers_as_predict(runs: Runs, name: str) -> None:
    run = runs(name)
    rows = summarized(run)
    assert [(row["example_id"], row["text"]) for row in rows] == [
        (row["example_id"], row["text"]) for row in run.predictions
    ]
    for row, predicted in zip(rows, run.predictions, strict=True):
        assert row["log_prob"] == pytest.approx(predicted["log_prob"], abs=1e-3)


def test_a_config_and_a_checkpoint_answer_as_predict(runs: Runs) -> None:
    run = runs("lora")
    assert summarized(run, target=("tiny.yaml", "--ckpt_path", "last")) == run.predictions


def expected_weight(run: Run, name: str, base: torch.Tensor) -> torch.Tensor:
    """W + alpha / rank * B A, in double precision."""
    state = trained(run)
    low, high = (state[f"{name}.lora_{side}.default.weight"].double() for side in "AB")
    return base.double() + LORA["alpha"] / LORA["rank"] * high @ low


@pytest.mark.slow
def test_rows_know_their_topic_cluster_wherever_they_are_summarized(tmp_path: Path) -> None:
    """A preset that asks for a cluster serves the same rows in `predict`, from the run, and from the folder."""
    run = make_run(
        tmp_path / "topics",
        "seq2seq",
        data={"topics": {"num_clusters": 2, "max_share": 1.0}},
        model_name="demo:bart",
        random_init=True,
        config_overrides=SHAPES["seq2seq"],
        presets=["topical.yaml", "short.yaml"],
    )
    assert {row["preset"] for row in run.predictions} == {"topical", "short"}
    assert summarized(run) == run.predictions
    assert summarized(run, target=("tiny.yaml", "--ckpt_path", "last")) == run.predictions


@pytest.mark.slow
def test_new_tokens_are_exported_with_their_rows(runs: Runs) -> None:
    """Beside an adapter in a file of their own, after merging as rows of the matrices."""
    beside, merged = runs("new_tokens"), runs("new_tokens_merged")
    tokenizer = AutoTokenizer.from_pretrained(beside.exported)
    ids = tokenizer.convert_tokens_to_ids(NEW_TOKENS)
    rows = load_file(beside.exported / "new_token_rows.safetensors")["input_rows"]
    assert rows.equal(trained(beside)["new_token_rows.input_rows"])
    whole = AutoModelForCausalLM.from_pretrained(merged.exported)
    own = trained(merged)["new_token_rows.input_rows"]
    assert whole.get_input_embeddings().weight[ids].equal(own)
    assert not any("embed" in name for name in load_file(beside.exported / "adapter_model.safetensors"))


LAYER = "model.layers.1.mlp.down_proj"


def test_merging_adds_the_scaled_product(runs: Runs) -> None:
    run = runs("merged")
    base = load_file(run.folder.parent / "base" / "model.safetensors")
    merged = load_file(run.exported / "model.safetensors")
    assert merged.keys() == base.keys()
    expected = expected_weight(run, LAYER, base[f"{LAYER}.weight"])
    assert torch.allclose(merged[f"{LAYER}.weight"].double(), expected, atol=1e-6)
    assert (expected - base[f"{LAYER}.weight"]).abs().max() > 1e-2
    assert torch.equal(merged["model.embed_tokens.weight"], base["model.embed_tokens.weight"])


@pytest.mark.slow
def test_a_quantized_base_is_merged_in_sixteen_bit(runs: Runs) -> None:
    import bitsandbytes.functional as bnb

    run = runs("qlora_merged")
    original = load_file(run.folder.parent / "base" / "model.safetensors")[f"{LAYER}.weight"]
    packed, state = bnb.quantize_nf4(original, blocksize=64, compress_statistics=True)
    merged = load_file(run.exported / "model.safetensors")[f"{LAYER}.weight"]
    assert merged.dtype == torch.bfloat16
    expected = expected_weight(run, LAYER, bnb.dequantize_nf4(packed, state))
    # Three roundings to eight bits: of the base, of the product, of the sum.
    assert (merged.double() - expected).abs().max() < 3 * 2**-8 * expected.abs().max()
    assert (merged.double() - expected_weight(run, LAYER, original)).abs().mean() > 4 * (
        merged.double() - expected
    ).abs().mean()
    record = json.loads((run.exported / "kosum.json").read_text(encoding="utf-8"))
    assert (record["dtype"], record["adapter"], record["merged_layers"]) == ("bfloat16", None, 14)


@pytest.mark.slow
def test_another_base_under_the_adapter_is_an_error_and_is_left_to_be_looked_at(
    runs: Runs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four bits have changed much of this base, but random texts score alike whatever they are: no tolerance here."""
    monkeypatch.setattr(export_run, "TOLERANCE", 0.0)
    run = runs("coarse_merged")
    options = ["--config", "tiny.yaml", "--ckpt_path", "last", "--merge", "--merge_base", "original", "--device", "cpu"]
    with inside(run.folder):
        assert main(["export", *options, "--output", "other"]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "kosum_pl: error" in line]
        assert re.search(r"rouge_mean differs by [+-]\d+\.\d\d points, more than 0\.0; .*other\.failed", line)
        assert (Path("other.failed") / "model.safetensors").is_file()
        assert not Path("other").exists()
        assert main(["export", *options, "--output", "other", "--sample", "0"]) == 0
        assert "not compared" in capsys.readouterr().out
    original = load_file(run.folder.parent / "coarse" / "model.safetensors")[f"{LAYER}.weight"]
    merged = load_file(run.folder / "other" / "model.safetensors")[f"{LAYER}.weight"]
    expected = expected_weight(run, LAYER, original)
    assert (merged.double() - expected).abs().max() < 3 * 2**-8 * expected.abs().max()


def test_an_export_that_fails_deletes_nothing_but_its_own(
    runs: Runs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs("seq2seq")
    options = ["--config", "tiny.yaml", "--ckpt_path", "last", "--device", "cpu", "--sample", "2", "--output"]
    monkeypatch.setattr(export_run, "TOLERANCE", -1.0)
    with inside(run.folder):
        theirs = [Path(".kept.draft"), Path("kept.failed")]
        for folder in theirs:
            folder.mkdir()
            (folder / "notes.txt").touch()
        before = set(Path().iterdir())
        assert main(["export", *options, "kept"]) == 2
        assert "what was written is left at kept.failed-2" in capsys.readouterr().err.replace("\n", " ")
        assert all((folder / "notes.txt").exists() for folder in theirs)
        assert set(Path().iterdir()) - before == {Path("kept.failed-2")}
        monkeypatch.delattr(export_run, "load_folder")
        with pytest.raises(NameError):
            main(["export", *options, "deep/kept"])
        assert set(Path().iterdir()) - before == {Path("kept.failed-2")}


def golden(run: Run) -> list[dict[str, Any]]:
    prompts: list[dict[str, Any]] = json.loads((run.exported / "golden_prompts.json").read_text(encoding="utf-8"))
    return prompts


def logits(model: Any, ids: Sequence[int], **inputs: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(torch.tensor([ids]), **inputs).logits
    return found


def test_peft_reads_an_adapter_folder(runs: Runs) -> None:
    from peft import PeftModel

    run = runs("lora")
    assert not (run.exported / "model.safetensors").exists()
    base = json.loads((run.exported / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert Path(base) == run.folder.parent / "base"
    ids = golden(run)[0]["prompt_ids"]
    plain = AutoModelForCausalLM.from_pretrained(base)
    before = logits(plain, ids)
    after = logits(PeftModel.from_pretrained(plain, run.exported), ids)
    assert torch.allclose(after, logits(load_folder(run.exported).module.language_model, ids), atol=1e-4)
    assert (after - before).abs().max() > 0.1


@pytest.mark.parametrize("name", ["causal", "merged"])
def test_transformers_reads_a_causal_folder_and_renders_its_golden_prompts(runs: Runs, name: str) -> None:
    run = runs(name)
    tokenizer = AutoTokenizer.from_pretrained(run.exported)
    prompts = golden(run)
    assert len(prompts) == 3
    for prompt in prompts:
        ids = tokenizer.apply_chat_template(prompt["messages"], add_generation_prompt=True, return_dict=False)
        assert ids == prompt["prompt_ids"]
        assert prompt["dialogue"] in prompt["messages"][-1]["content"]
    model = AutoModelForCausalLM.from_pretrained(run.exported)
    ours = load_folder(run.exported).module.language_model
    assert torch.equal(logits(model, prompts[0]["prompt_ids"]), logits(ours, prompts[0]["prompt_ids"]))


def test_transformers_reads_a_seq2seq_folder(runs: Runs) -> None:
    run = runs("seq2seq")
    tokenizer = AutoTokenizer.from_pretrained(run.exported)
    for prompt in golden(run):
        assert tokenizer(prompt["dialogue"])["input_ids"] == prompt["prompt_ids"]
        assert "messages" not in prompt
    model = AutoModelForSeq2SeqLM.from_pretrained(run.exported)
    state = trained(run)
    assert torch.equal(model.get_input_embeddings().weight, state["model.shared.weight"])
    config = GenerationConfig.from_pretrained(run.exported)
    assert (config.max_new_tokens, config.num_beams, config.repetition_penalty) == (16, 1, 1.0)
    assert config.decoder_start_token_id == tokenizer.eos_token_id


def test_the_record_is_complete(runs: Runs) -> None:
    record = json.loads((runs("qlora").exported / "kosum.json").read_text(encoding="utf-8"))
    assert (record["module"], record["rouge_tokenizer"], record["merged_layers"]) == ("CausalModule", "char", 0)
    assert record["constraint"]["characters"] == "é"
    assert "#Person1#" in record["constraint"]["literals"]
    assert [preset["name"] for preset in record["presets"]] == ["weekend", "short"]
    assert record["presets"][1]["repetition_penalty"] == 1.3
    assert record["postprocess"] == ["ftfy", "nfc", "tag_repair", "script_filter", "whitespace", "repeated_sentences"]
    assert record["inference"]["limits"]["max_source_tokens"] == 160
    assert record["base_model"]["quantization"] == "nf4"
    assert record["adapter"]["rank"] == 4
    assert record["checkpoint"] == "last.ckpt"
    (weights,) = (generation["weights"] for generation in record["lineage"])
    assert weights.endswith("checkpoints/last.ckpt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["prompt"].update(user="요약: {dialogue}"), "prompt of dialogue 1 has other ids"),
        (lambda record: record["base_model"].update(fingerprint="0"), "is another base"),
        (lambda record: record.update(format=9), "reads format 1; export again"),
        (lambda record: record.pop("prompt"), "'prompt' is missing or unknown"),
    ],
)
def test_a_changed_folder_is_refused(
    runs: Runs, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(runs("lora").exported, folder)
    record = json.loads((folder / "kosum.json").read_text(encoding="utf-8"))
    change(record)
    (folder / "kosum.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        load_folder(folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ckpt_path", "last"], "export needs --output DIR"),
        (["--output", "new"], "export needs --ckpt_path best|last|FILE"),
        (["--ckpt_path", "last", "--output", "new", "--merge"], "this config has no model.adapter"),
        (["--ckpt_path", "last", "--output", "new", "--device", "tpu"], "--device is 'tpu'; known: auto, cpu, cuda"),
        (["--ckpt_path", "last", "--output", "new", "--model.adapter.rank", "4"], "no folder that a reader"),
    ],
)
def test_a_mistake_is_one_line(
    runs: Runs, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with inside(runs("causal").folder):
        assert message in error_line(capsys, "export", "--config", "tiny.yaml", *arguments)
        assert not Path("new").exists()


def test_the_written_regex_fits_the_summaries(runs: Runs) -> None:
    run = runs("causal")
    written = json.loads((run.exported / "structured_outputs.json").read_text(encoding="utf-8"))
    pattern = re.compile(written["structured_outputs"]["regex"])
    assert pattern.fullmatch("#Person1#은 3시에 é… 「간다」.")
    assert not pattern.fullmatch("KTX를 탄다.")
    assert all(pattern.fullmatch(row["raw_text"]) for row in run.predictions)
