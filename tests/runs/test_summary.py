from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from kosum_pl.metrics import ScoreSettings, ScoreTable, SliceScore, lead_summary
from kosum_pl.runs.files import SLICES_FILE
from kosum_pl.runs.slice_table import write_slices
from kosum_pl.runs.summary import NUM_SHOWN, RunReport, lead_scores, shown_rows
from kosum_pl.types import Prediction
from tests.metrics import rows

DIALOGUES = ("#Person1#: 내일 세 시에 만나요.\n#Person2#: 좋아요.", "#Person1#: [bold]비가 와요.\n#Person2#: 네.")


def prediction(row: int, text: str = "요약", *, is_referenced: bool = True) -> Prediction:
    references = ("내일 세 시에 만난다.", "비가 와요.") if is_referenced else ()
    return rows.prediction(text, references, example_id=f"dev_{row}", dialogue=DIALOGUES[row % 2])


def shown(report: RunReport, width: int = 60) -> str:
    console = Console(file=io.StringIO(), width=width)
    report.print(console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_control_characters_are_shown_in_full() -> None:
    """rich drops a bell or a return from its texts without a word."""
    row = replace(prediction(0), example_id="\x1b]0;a\x07id\r")
    text = shown(RunReport(columns={}, predictions=[row], lines=["cut: \x1b]0;a\x07id\r"]))
    assert text.count("\\x1b]0;a\\x07id\\r") == 2


@pytest.mark.parametrize("multi_reference", ["mean", "max"])
def test_the_baseline_is_rouge_of_the_first_turns(multi_reference: str) -> None:
    predictions = [prediction(row, f"다른 말 {row}") for row in range(4)]
    settings = ScoreSettings(rouge_tokenizer="space", multi_reference="max" if multi_reference == "max" else "mean")
    expected = ScoreTable.of([replace(row, text=lead_summary(row.dialogue)) for row in predictions], settings).scores()
    scores = lead_scores(
        predictions, rouge_tokenizer="space", multi_reference="max" if multi_reference == "max" else "mean"
    )
    assert scores == pytest.approx({name: expected[name] for name in scores}, abs=1e-6)
    assert scores["rouge_sum"] > 0


def test_rows_without_references_have_no_baseline() -> None:
    assert lead_scores([prediction(0, is_referenced=False)], rouge_tokenizer="space", multi_reference="mean") == {}


def test_five_rows_are_shown_evenly_spread() -> None:
    many = [prediction(row) for row in range(50)]
    assert [row.example_id for row in shown_rows(many)] == ["dev_0", "dev_10", "dev_20", "dev_30", "dev_40"]
    assert len(shown_rows(many)) == NUM_SHOWN
    assert len(shown_rows(many[:3])) == 3
    assert shown_rows([]) == []


def test_the_table_stands_first_then_dialogues_then_the_path_unbroken() -> None:
    path = "run directory: /a/very/long/path/" + "x" * 100
    report = RunReport(
        columns={
            "before training": {"rouge_sum": 1.5},
            "lead-1": {},
            "best (step 2)": {"rouge_sum": 90.0, "loss": 2.0},
        },
        predictions=[prediction(1, "한\n줄로")],
        lines=["why: because", path],
    )
    text = shown(report)
    assert "lead-1" not in text
    positions = [text.index(part) for part in ("rouge_sum", "90.00", "dev_1, preset fast", "generated: 한 줄로", path)]
    assert positions == sorted(positions)
    assert "[bold]비가 와요." in text  # brackets in a dialogue are text, not markup


def test_long_dialogues_are_shortened_and_what_is_left_out_is_counted() -> None:
    long = replace(prediction(0), dialogue="\n".join(f"#Person1#: 말 {turn}" for turn in range(40)))
    text = shown(RunReport(columns={}, predictions=[long], lines=[]))
    assert "말 5" in text
    assert "말 6" not in text
    assert "… (34 more lines)" in text


def test_an_empty_summary_is_shown_as_empty() -> None:
    assert "generated: (empty)" in shown(RunReport(columns={}, predictions=[prediction(0, " ")], lines=[]))


def test_a_summary_that_the_model_did_not_end_is_marked_however_long_it_is() -> None:
    for text in ("간다. 온", "가" * 1000, " "):
        rows = [replace(prediction(0, text), reached_eos=reached_eos) for reached_eos in (True, False)]
        marks = [shown(RunReport(columns={}, predictions=[row], lines=[])).count("[unfinished]") for row in rows]
        assert marks == [0, 1]


def slice_score(name: str, score: str, value: float, width: float | None = 10.0) -> SliceScore:
    low, high = (None, None) if width is None else (value - width, value + width)
    return SliceScore(
        name=name,
        num_rows={"all": 1200, "weekday=1": 1}.get(name, 1160),
        score=score,
        value=value,
        low=low,
        high=high,
        difference=value - {"rouge_sum": 200.0, "contamination_rate": 0.01}[score],
    )


@pytest.mark.parametrize("width", [80, 60])
def test_slices_have_a_table_of_their_own_even_in_a_narrow_terminal(width: int) -> None:
    slices = [
        *(slice_score("all", "rouge_sum", 200.0), slice_score("all", "contamination_rate", 0.01, 0.01)),
        *(
            slice_score("weekday=1", "rouge_sum", 140.0, None),
            slice_score("weekday=1", "contamination_rate", 0.0, None),
        ),
        *(slice_score("weekday=7", "rouge_sum", 230.25), slice_score("weekday=7", "contamination_rate", 0.0125, 0.01)),
    ]
    scores = {"rouge_sum": 200.0, "changed_rows/nfc": 3.0, "rouge_sum/weekday=7": 230.25}
    text = shown(RunReport(columns={"val": scores}, predictions=[], lines=[], slices=slices), width)
    lines = [line for line in text.splitlines() if "all  " in line or "weekday=" in line]
    assert [line.replace("│", " ").split() for line in lines] == [
        ["all", "1,200", "200.0", "[190.0,", "210.0]", "0.010"],
        ["weekday=1", "1", "140.0", "-60.0", "0.000"],
        ["weekday=7", "1,160", "230.2", "[220.2,", "240.2]", "+30.2", "0.013"],
    ]
    assert text.index("all  ") < text.index("weekday=1") < text.index("weekday=7")
    assert "rows changed by post-processing: nfc 3" in text
    assert "changed_rows" not in text


def test_slices_without_references_show_what_can_be_measured() -> None:
    slices = [slice_score(name, "contamination_rate", 0.02, 0.01) for name in ("all", "weekday=7")]
    text = shown(RunReport(columns={"predict": {"contamination_rate": 0.02}}, predictions=[], lines=[], slices=slices))
    assert "0.020 [0.010, 0.030]" in text
    assert "rouge" not in text


def test_a_split_without_slices_has_no_such_table() -> None:
    whole = [slice_score("all", "rouge_sum", 200.0)]
    text = shown(RunReport(columns={"val": {"rouge_sum": 200.0}}, predictions=[], lines=[], slices=whole))
    assert "slice" not in text
    assert "post-processing" not in text


def test_the_file_of_slices_has_a_line_for_each_and_empty_ends_without_an_interval(tmp_path: Path) -> None:
    write_slices([slice_score("all", "rouge_sum", 200.0), slice_score("weekday=1", "rouge_sum", 140.0, None)], tmp_path)
    assert (tmp_path / SLICES_FILE).read_text(encoding="utf-8").splitlines() == [
        "slice,num_rows,score,value,low,high,difference",
        "all,1200,rouge_sum,200.0,190.0,210.0,0.0",
        "weekday=1,1,rouge_sum,140.0,,,-60.0",
    ]
    assert [path.name for path in tmp_path.iterdir()] == [SLICES_FILE]
