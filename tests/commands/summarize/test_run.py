"""`summarize` that is interrupted, or stopped before it begins."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kosum_pl.__main__ import main
from kosum_pl.export.folder import load_folder
from kosum_pl.modules import SummarizationModule
from tests.commands.summarize.untrained_export import inference_settings, write_export
from tests.error_lines import error_line

# The longest is generated first: the second and the fourth, then the third.
TEXTS = [
    "A: 네.",
    "A: 안녕하세요, 오랜만이에요.\nB: 반가워요.",
    "A: 밥 먹자.\nB: 응.",
    "A: 오늘은 어디로 갈까요?\nB: 집.",
]
ORDER = [1, 3, 2, 0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder of an untrained model."""
    return write_export(tmp_path_factory.mktemp("summarize"), inference_settings(cleaning=(), batch_size=1))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [{"fname": f"r{number}", "dialogue": text} for number, text in enumerate(TEXTS)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def stop_after(num_batches: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise instead of generating one more batch."""
    generate: Callable[..., Any] = SummarizationModule.summarize_batch
    seen: list[str] = []

    def counted(self: SummarizationModule, batch: Any, **values: Any) -> Any:
        if len(seen) == num_batches:
            raise error
        seen.append("")
        return generate(self, batch, **values)

    monkeypatch.setattr(SummarizationModule, "summarize_batch", counted)


def summarize(folder: Path, *options: str) -> int:
    return main(["summarize", str(folder), "in.jsonl", "--device", "cpu", *options])


def rows_of(text: str, output_format: str) -> dict[int, str]:
    """Summaries by the number of their dialogue."""
    if output_format == "jsonl":
        rows = [json.loads(line) for line in text.splitlines()]
        return {int(row["example_id"][1:]): row["summary"] for row in rows}
    if output_format == "csv":
        header, *table = csv.reader(io.StringIO(text))
        assert header == ["", "fname", "summary"]
        assert all(row[1] == f"r{row[0]}" for row in table)
        return {int(row[0]): row[2] for row in table}
    return {number: line for number, line in enumerate(text.splitlines()) if line}


@pytest.mark.parametrize("output_format", ["text", "csv", "jsonl"])
@pytest.mark.parametrize("output", ["file", "standard output"])
def test_an_interruption_keeps_the_rows_that_are_done_in_their_order(
    folder: Path,
    work: Path,
    output_format: str,
    output: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def written(out: str) -> str:
        return (work / "out").read_text(encoding="utf-8") if output == "file" else out

    options = ["--format", output_format, *(["--output", "out"] if output == "file" else [])]
    assert summarize(folder, *options) == 0
    whole = rows_of(written(capsys.readouterr().out), output_format)
    assert list(whole) == [0, 1, 2, 3]

    stop_after(3, KeyboardInterrupt(), monkeypatch)
    (work / "out").write_text("old")
    assert summarize(folder, *options) == 130
    captured = capsys.readouterr()
    text = written(captured.out)
    assert list(rows_of(text, output_format).items()) == [(row, whole[row]) for row in sorted(ORDER[:3])]
    if output_format == "text":
        assert len(text.splitlines()) == len(TEXTS)  # line n answers dialogue n
    where = "in out" if output == "file" else "on standard output"
    assert captured.err.endswith(f"kosum_pl: interrupted; 3 of 4 summaries are {where}\n")


def test_an_error_in_generation_keeps_them_too(
    folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_after(2, RuntimeError("the device is gone"), monkeypatch)
    with pytest.raises(RuntimeError, match="the device is gone"):
        summarize(folder, "--format", "csv", "--output", "out.csv")
    assert sorted(rows_of((work / "out.csv").read_text(encoding="utf-8"), "csv")) == [1, 3]
    assert "2 of 4 summaries are in out.csv\n" in capsys.readouterr().err


def test_a_file_of_before_outlives_what_writes_nothing(
    folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "out.csv").write_text("old")
    (work / "hole.csv").write_text("fname,dialogue\na,A: 네\nb,\n", encoding="utf-8")
    arguments = ["--format", "csv", "--output", "out.csv", "--device", "cpu"]
    assert main(["summarize", str(folder), "hole.csv", *arguments]) == 2
    (work / "broken").mkdir()
    (work / "broken" / "kosum.json").write_text("{}")
    assert main(["summarize", "broken", "in.jsonl", *arguments]) == 2
    stop_after(0, KeyboardInterrupt(), monkeypatch)
    assert summarize(folder, *arguments) == 130
    assert capsys.readouterr().err.endswith("kosum_pl: interrupted\n")
    assert (work / "out.csv").read_text() == "old"
    assert sorted(path.name for path in work.iterdir()) == ["broken", "hole.csv", "in.jsonl", "out.csv"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.csv", "missing.csv: no such file"),
        ("hole.csv", "hole.csv:3 (row 2): column 'dialogue' is empty"),
        ("other.csv", "no column 'dialogue'"),
        ("broken.txt", "broken.txt: not UTF-8 at byte 1"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "config", "checkpoint"])
@pytest.mark.usefixtures("no_weights")
def test_the_input_is_read_before_the_weights(
    folder: Path, work: Path, kind: str, source: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "hole.csv").write_text("fname,dialogue\na,A: 네\nb,\n", encoding="utf-8")
    (work / "other.csv").write_text("fname,text\na,A: 네\n", encoding="utf-8")
    (work / "broken.txt").write_bytes(b"a\xff")
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6.6"}, work / "a.ckpt")
    target = {
        "folder": [str(folder)],
        "config": ["kobart", f"--model.model_name={folder}"],
        "checkpoint": ["demo", "--ckpt_path", "a.ckpt"],
    }[kind]
    # Words come before options.
    assert message in error_line(capsys, "summarize", target[0], source, *target[1:], "--device", "cpu")


@pytest.mark.parametrize("is_screen", [False, True])
def test_summaries_that_the_model_did_not_end_are_named_and_marked_on_a_screen(
    folder: Path, work: Path, is_screen: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert summarize(folder, "--format", "jsonl") == 0
    captured = capsys.readouterr()
    ends = [json.loads(line)["reached_eos"] for line in captured.out.splitlines()]
    names = [f"r{number}" for number, is_ended in enumerate(ends) if not is_ended]
    assert names  # five tokens of an untrained model
    said = f"{len(names)} of 4 summaries were cut at max_new_tokens ({', '.join(names)})\n"
    assert said in captured.err
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_screen)
    assert summarize(folder) == 0
    captured = capsys.readouterr()
    assert said in captured.err
    marked = [line.endswith(" [unfinished]") for line in captured.out.splitlines()]
    assert marked == [is_screen and not is_ended for is_ended in ends]
    assert summarize(folder, "--output", "out.txt") == 0
    assert said in capsys.readouterr().err
    assert "[unfinished]" not in (work / "out.txt").read_text(encoding="utf-8")


def test_truncated_dialogues_are_counted(folder: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summarize(folder) == 0
    assert "summarize: 4 rows; 0 dialogues truncated (0 tokens)\n" in capsys.readouterr().err
    long = "\n".join(f"A: {number}시에 만나요." for number in range(40))
    num_tokens = len(load_folder(folder).module.encoder.tokenizer(long)["input_ids"])
    (work / "in.jsonl").write_text(json.dumps({"fname": "r0", "dialogue": long}) + "\n", encoding="utf-8")
    assert summarize(folder) == 0
    found = re.search(r"summarize: 1 rows; 1 dialogue truncated \((\d+) tokens\)\n", capsys.readouterr().err)
    assert found
    assert num_tokens - 64 <= int(found[1]) < num_tokens
