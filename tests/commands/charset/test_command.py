from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from kosum_pl.__main__ import main
from kosum_pl.decode.literals import DEFAULT_LITERALS
from tests.error_lines import error_line

pytestmark = pytest.mark.usefixtures("no_weights")


def report(*arguments: str) -> dict[str, Any]:
    assert main(["charset", "--config", "tiny.yaml", "--json", "out.json", *arguments]) == 0
    values: dict[str, Any] = json.loads(Path("out.json").read_text(encoding="utf-8"))
    return values


def named(entries: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    return {entry[key]: entry for entry in entries}


def test_what_falls_outside_is_counted_with_what_the_dialogue_allows(work: Path) -> None:
    values = report()
    train, val = values["references"]
    assert (train["split"], train["num_references"], train["num_outside"], train["share_outside"]) == (
        "train",
        4,
        2,
        0.5,
    )
    # `Jimmy`, `café`; `會議`, `café`, `café`.
    assert (train["num_outside_characters"], train["num_with_row_words"]) == (9 + 10, 1)
    assert (train["num_accepted"], train["lost"]) == (2, [])
    assert train["num_characters"] == len(
        "#Person1#은 KTX를 탄다.Jimmy가 café에 간다.會議는 café에서 한다. 그 café다.뷁을 먹는다."
    )
    assert (val["num_references"], val["num_outside"], val["num_with_row_words"], val["num_accepted"]) == (2, 1, 1, 1)
    characters = named(values["characters"], "character")
    assert set(characters) == set("Jimycaf會議é")
    assert values["characters"][0] == {
        "character": "é",
        "code_point": "U+00E9",
        "name": "LATIN SMALL LETTER E WITH ACUTE",
        "script": "Latin",
        "occurrences": {"train": 3, "val": 1},
        "rows": {"train": 2, "val": 1},
        "before": "Jimmy가 caf",
        "after": "에 간다.",
        "example_id": "train_1",
    }
    assert (characters["m"]["occurrences"], characters["m"]["rows"]) == ({"train": 2}, {"train": 1})
    words = {word: entry["occurrences"] for word, entry in named(values["outside_words"], "word").items()}
    assert words == {"café": {"train": 3}, "Jimmy": {"train": 1}, "會議": {"train": 1}, "é": {"val": 1}}
    own = {word: entry["rows"] for word, entry in named(values["row_words"], "word").items()}
    assert own == {"KTX": {"train": 1, "val": 1}, "UFO": {"val": 1}}
    scripts = {script: entry["rows"] for script, entry in named(values["scripts"], "script").items()}
    assert scripts == {"Latin": {"train": 2, "val": 1}, "Han": {"train": 1}}


def test_the_constraint_is_described(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = report()
    text = capsys.readouterr().out
    constraint = values["constraint"]
    assert (constraint["is_set"], constraint["kind"], constraint["num_characters"]) == (True, "automaton", 11_289)
    assert constraint["literals"] == list(DEFAULT_LITERALS)
    assert values["vocabulary"]["unwritable"] == ""
    assert 0 < values["vocabulary"]["load_seconds"] < values["vocabulary"]["build_seconds"]
    for part in (
        "constraint      automaton: exact, nothing outside can be said",
        "korean: 11,289 characters",
        "15 in every row: #Person1# … #Email#",
        "on: words outside the charset that stand in a row's own dialogue",
        "small head      on",
        "cannot write    nothing",
        "│ é  │ U+00E9     │ LATIN SMALL LETTER E",
        "Jimmy가 café에 간다.",
        "written: out.json",
    ):
        assert part in text
    assert not (work / "runs").exists()


def test_null_is_named_and_the_default_reported(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = report("--model.constraint=null")
    assert values["constraint"]["is_set"] is False
    assert values["references"][0]["num_outside"] == 2
    assert values["advice"][0] == "hold summaries to this charset: --model.constraint.charset korean"
    assert (
        "constraint      model.constraint is null: anything may be said; what follows is the" in capsys.readouterr().out
    )


def test_overrides_are_those_of_fit(work: Path) -> None:
    values = report("--model.constraint.charset", "korean+latin", "--model.constraint.characters", "é")
    assert values["constraint"]["num_characters"] == 11_289 + 52 + 1
    assert [entry["character"] for entry in values["characters"]] == ["會", "議"]
    assert values["row_words"] == []
    without = report("--model.constraint.row_literals", "false", "--data.val_file", "null")
    assert [entry["split"] for entry in without["references"]] == ["train"]
    assert without["references"][0]["num_outside"] == 3
    assert "KTX" in named(without["outside_words"], "word")


def test_advice_pasted_behind_the_command_leaves_what_is_rare(work: Path) -> None:
    values = report()
    latin, marks, words = values["advice"]
    assert latin.endswith("--model.constraint.charset korean+latin")
    assert marks == "add them: --model.constraint.characters 'é'"
    assert words.startswith("allow words in every row (café): ")
    pasted = shlex.split(words[words.index("--") :])
    assert json.loads(pasted[1]) == [*DEFAULT_LITERALS, "café"]
    assert set(named(report(*pasted)["outside_words"], "word")) == {"Jimmy", "會議", "é"}
    both = [*shlex.split(latin[latin.index("--") :]), *shlex.split(marks[marks.index("--") :])]
    after = report(*both)
    assert [entry["character"] for entry in after["characters"]] == ["會", "議"]
    assert after["advice"] == []
    assert "add them: --model.constraint.characters 'ñé'" in report("--model.constraint.characters=ñ")["advice"]


def test_letters_of_other_scripts_and_tags_are_told_apart(work: Path) -> None:
    rows = [["id", "text", "sum"], *([f"r{number}", "가자", "會議ー #Person9#은 ㆍ 간다"] for number in range(2))]
    Path("other.json").write_text(json.dumps([dict(zip(rows[0], row, strict=True)) for row in rows[1:]]))
    columns = "{example_id: id, dialogue: text, summary: sum}"
    values = report("--data.train_file=other.json", "--data.val_file=null", f"--data.columns={columns}")
    assert values["advice"] == [
        "add them: --model.constraint.characters 'ㆍ'",
        "training rows hold letters of other scripts (Common in 2, Han in 2), learnt and then never said: mend the "
        "references, or allow them: --model.constraint.characters 'ー會議'",
        "allow tags in every row (#Person9#): --model.constraint.literals "
        + shlex.quote(json.dumps([*DEFAULT_LITERALS, "#Person9#"])),
    ]


def test_every_reference_column_is_counted(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"fname": f"m{number}", "dialogue": "가자", "a": "간다", "b": "간다é"} for number in range(3)]
    Path("many.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    values = report("--data.train_file=many.jsonl", "--data.val_file=null", "--data.columns.summary=[a, b]")
    assert [(entry["position"], entry["num_outside"]) for entry in values["references"]] == [(0, 0), (1, 3)]
    assert "train, reference 2" in capsys.readouterr().out


def test_cleaning_comes_before(work: Path) -> None:
    (work / "train.csv").write_text('fname,dialogue,summary\na,가자,"cafe\u0301 간다"\n', encoding="utf-8")
    composed = report("--data.val_file=null")["characters"]
    assert [entry["character"] for entry in composed] == ["a", "c", "f", "é"]
    raw = report("--data.val_file=null", "--data.cleaning=[]")["characters"]
    assert "\u0301" in named(raw, "character")


def save_narrow_tokenizer(folder: Path) -> None:
    """One without bytes to fall back on, which lacks 뷁."""
    alphabet = sorted(set("▁#Person12은는을를에가서다탄간먹본와그한KTXUFO.!뷀"))
    names = ["<s>", "<pad>", "</s>", "<unk>", *alphabet]
    backend = Tokenizer(
        models.BPE(vocab={name: index for index, name in enumerate(names)}, merges=[], unk_token="<unk>")
    )
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    roles = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=backend, **roles).save_pretrained(folder)


def test_references_that_a_vocabulary_cannot_write_are_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_narrow_tokenizer(work / "narrow")
    values = report("--model.model_name=./narrow")
    train, val = values["references"]
    assert (train["num_accepted"], train["lost"]) == (1, ["train_3"])
    assert (val["num_accepted"], val["lost"]) == (1, [])
    hangul = {name for name in "은는을를에가서다탄간먹본와그한뷀"}
    assert values["vocabulary"]["num_unwritable_syllables"] == 11_172 - len(hangul)
    assert "뷁" in values["vocabulary"]["unwritable"]
    text = capsys.readouterr().out
    assert "train: lost are train_3\n" in text
    assert f"{11_172 - len(hangul):,} of them among the 11,172 Hangul syllables" in text.replace("\n", " ").replace(
        "  ", " "
    )
    assert values["advice"][-1].startswith("1 training references cannot be said as they are")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "charset needs --config NAME"),
        (["--config", "nope"], "config 'nope' is not a file and no config has this name"),
        (["--config", "tiny.yaml", "--model.constraint.charset=thai"], "model.constraint: charset names 'thai'"),
        (["--config", "tiny.yaml", "--model.constraint.chrset=a"], "did you mean 'model.constraint.charset'?"),
        (["--config", "tiny.yaml", "--data.train_file=null"], "fit needs data.train_file"),
        (["--config", "tiny.yaml", "--data.train_file=nope.csv"], "nope.csv: no such file or folder"),
        (["--config", "tiny.yaml", "--model.model_name=./nope"], "tokenizer './nope' cannot be loaded: no such folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(work: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str) -> None:
    assert line in error_line(capsys, "charset", *arguments)
    assert not (work / "out.json").exists()


def test_the_demo_holds_foreign_words_on_purpose_and_its_dev_split_none(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["charset", "--config", "demo", "--json", "out.json"]) == 0
    values = json.loads(Path("out.json").read_text(encoding="utf-8"))
    train, val = values["references"]
    assert train["num_outside"] > 0
    assert val["num_outside"] == 0
    assert [entry["num_accepted"] for entry in (train, val)] == [
        entry["num_references"] - entry["num_outside"] for entry in (train, val)
    ]
    assert "letters of other scripts" in capsys.readouterr().out


@pytest.mark.shared
@pytest.mark.parametrize(
    ("config", "tokenizer", "num_unwritable_syllables"),
    [("kobart", "kobart", 6_295), ("qwen4b", "qwen3", 0), ("llama3b", "llama3_1", 0)],
)
def test_real_references_within_the_charset_are_all_accepted(
    work: Path, shared_dir: Path, config: str, tokenizer: str, num_unwritable_syllables: int
) -> None:
    arguments = ["charset", "--config", config, f"--model.model_name={shared_dir / 'tokenizers' / tokenizer}"]
    files = [
        f"--data.{split}_file={shared_dir / 'data' / name}"
        for split, name in (("train", "train.csv"), ("val", "dev.csv"))
    ]
    assert main([*arguments, *files, "--json", "out.json"]) == 0
    values = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert values["vocabulary"]["num_unwritable_syllables"] == num_unwritable_syllables
    for totals, num_references, num_outside in zip(values["references"], (2_500, 499), (16, 8), strict=True):
        assert (totals["num_references"], totals["num_outside"]) == (num_references, num_outside)
        assert (totals["num_accepted"], totals["lost"]) == (num_references - num_outside, [])
    assert named(values["characters"], "script").keys() == {"Latin"}
