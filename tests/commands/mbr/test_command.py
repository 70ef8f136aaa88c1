"""`mbr` from the command line: what is chosen, written and refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kosum_pl.__main__ import main
from kosum_pl.files import write_json
from kosum_pl.metrics.rouge import rouge_scores
from kosum_pl.runs.predictions import write_predictions
from kosum_pl.runs.run import open_run
from kosum_pl.types import Prediction
from tests.error_lines import error_line
from tests.metrics.rows import prediction

# Of each row the summaries of three runs; two agree with each other, and those are nearer to the reference.
ROWS = {
    "dev_0": ("두 사람은 내일 만난다", "두 사람은 내일 역에서 만난다", "고양이가 잔다"),
    "dev_1": ("비가 온다", "지민이는 밥을 먹었다", "지민이는 밥을 많이 먹었다"),
    "dev_2": ("회의는 세 시다", "회의는 세 시다", "회의는 네 시다"),
}
REFERENCES = {
    "dev_0": "두 사람은 내일 역에서 만난다",
    "dev_1": "지민이는 밥을 먹었다",
    "dev_2": "회의는 세 시다",
}


def row(example_id: str, text: str) -> Prediction:
    return prediction(text, [REFERENCES[example_id]], example_id=example_id, dialogue=f"#Person1#: {example_id}")


WriteRuns = Callable[..., list[Path]]


@pytest.fixture
def write_runs(tmp_path: Path) -> WriteRuns:
    """Writes a run for each of three columns of `ROWS`."""

    def write(change: Callable[[int, list[Prediction]], Sequence[Prediction]] = lambda _, rows: rows) -> list[Path]:
        folders = []
        for number, name in enumerate(("a", "b", "c")):
            folder = tmp_path / "runs" / name
            folder.mkdir(parents=True)
            rows = [row(example_id, texts[number]) for example_id, texts in ROWS.items()]
            write_predictions(change(number, rows), folder)
            write_json(folder / "metrics.json", {"stage": "val", "rouge_tokenizer": "space"})
            folders.append(folder)
        return folders

    return write


def test_what_the_others_agree_with_is_chosen(write_runs: WriteRuns, capsys: pytest.CaptureFixture[str]) -> None:
    folders = write_runs()
    assert main(["mbr", *map(str, folders)]) == 0
    out = capsys.readouterr().out.splitlines()
    (folder,) = (folders[0] / "eval").iterdir()
    assert folder.name.startswith("mbr-")
    chosen = {row.example_id: row.text for row in open_run(folder).predictions}
    assert chosen == {"dev_0": ROWS["dev_0"][0], "dev_1": ROWS["dev_1"][1], "dev_2": ROWS["dev_2"][0]}
    assert out[0] == "3 rows, 3 candidates each; chosen: 2 of runs/a, 1 of runs/b, 0 of runs/c"
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    each = [rouge_scores(chosen[name].split(), REFERENCES[name].split()) for name in ROWS]
    assert metrics["val/rouge_sum"] == pytest.approx(100 * sum(map(sum, each)) / 3)
    assert (metrics["stage"], metrics["preset"], metrics["num_rows"]) == ("val", "mbr", 3)
    assert open_run(folder).scores()["rouge_sum"] == metrics["val/rouge_sum"]
    assert out[-2].startswith(f"rouge_sum {metrics['val/rouge_sum']:.2f}  chosen: ")
    assert out[-1] == f"3 summaries: {folder / 'predictions.csv'}"


def test_every_candidates_expectation_is_written(write_runs: WriteRuns, tmp_path: Path) -> None:
    folders, output = write_runs(), tmp_path / "out"
    assert main(["mbr", *map(str, folders), "--weights", "rouge2=3,rougeL=2", "--output", str(output)]) == 0
    lines = [json.loads(line) for line in (output / "choices.jsonl").read_text("utf-8").splitlines()]
    assert [line["example_id"] for line in lines] == list(ROWS)
    tokens = [text.split() for text in ROWS["dev_0"]]
    for number, value in enumerate(lines[0]["expected"]):
        pairs = [rouge_scores(tokens[number], other) for place, other in enumerate(tokens) if place != number]
        assert value == pytest.approx(sum(300 * two + 200 * longest for _, two, longest in pairs) / 2, abs=1e-4)


def test_of_equal_ones_the_earliest_run_is_taken(write_runs: WriteRuns, tmp_path: Path) -> None:
    folders = write_runs(lambda _, rows: [replace(row, text="같다", raw_text="같다") for row in rows])
    assert main(["mbr", *map(str, folders), "--output", str(tmp_path / "out")]) == 0
    lines = (tmp_path / "out" / "choices.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["source"] for line in lines} == {str(folders[0])}


def test_rows_without_references_are_chosen_among_too(
    write_runs: WriteRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = write_runs(lambda _, rows: [replace(row, references=()) for row in rows])
    assert main(["mbr", *map(str, folders), "--output", str(tmp_path / "out")]) == 0
    assert "no references here: nothing is scored" in capsys.readouterr().out.splitlines()
    assert len((tmp_path / "out" / "predictions.csv").read_text("utf-8").splitlines()) == 4


def test_what_was_filled_cut_or_is_a_formula_is_counted(
    write_runs: WriteRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ("", "=1+1", "온다")
    folders = write_runs(
        lambda _, rows: [replace(each, text=text, reached_eos=False) for each, text in zip(rows, texts, strict=True)]
    )
    for option, said in (([], "--safe_csv has them shown"), (["--safe_csv"], "each got an apostrophe")):
        output = tmp_path / f"out{len(option)}"
        assert main(["mbr", *map(str, folders), "--output", str(output), *option]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-4].startswith("1 empty summaries were filled")
        assert "1 in predictions.csv" in lines[-3]
        assert said in lines[-3]
        assert lines[-2] == "3 of 3 summaries were cut at max_new_tokens (dev_0, dev_1, dev_2)"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda run, rows: rows[run == 1 :], "runs/b lacks 1 of the rows of "),
        (lambda run, rows: rows[: 3 - (run == 0)], "runs/a lacks 1 of the rows of "),
        (lambda run, rows: [replace(row, dialogue=f"{run}") for row in rows], "has other dialogues than "),
        (lambda run, rows: [rows[0], *rows], "ids stand twice"),
        (lambda run, rows: rows if run else [], "runs/a has no predictions.jsonl"),
    ],
    ids=["fewer rows", "more rows", "other dialogues", "ids twice", "none"],
)
def test_runs_over_other_rows_are_refused(
    change: Callable[[int, list[Prediction]], list[Prediction]],
    says: str,
    write_runs: WriteRuns,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = write_runs(change)
    assert says in error_line(capsys, "mbr", *map(str, folders))
    assert not (folders[0] / "eval").exists()


def test_what_makes_no_choice_is_refused(
    write_runs: WriteRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(folder) for folder in write_runs()]
    assert "give 3 runs or more" in error_line(capsys, "mbr", *folders[:2])
    assert "mbr needs runs" in error_line(capsys, "mbr")
    for weights in ("rouge1", "rouge3=1", "rouge1=-1", "rouge1=1,rouge1=2"):
        assert "write weights from 0 on" in error_line(capsys, "mbr", *folders, "--weights", weights)
    assert "nothing would count" in error_line(capsys, "mbr", *folders, "--weights", "rouge1=0")
    assert "is taken" in error_line(capsys, "mbr", *folders, "--output", folders[0])
    (tmp_path / "runs" / "b" / "predictions.jsonl").write_text("{", encoding="utf-8")
    assert "predictions.jsonl cannot be read" in error_line(capsys, "mbr", *folders)
