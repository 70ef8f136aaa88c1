from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.metrics.settings import ScoreSettings
from kosum_pl.report.config_diff import config_differences
from kosum_pl.report.finish import finish_report, write_drift
from kosum_pl.report.page import html_page, score_runs, write_report
from kosum_pl.report.row_table import row_data
from kosum_pl.report.scored import compare_runs
from kosum_pl.report.texts import foreign_texts
from kosum_pl.report.training import logged, validated
from kosum_pl.runs.run import open_run
from kosum_pl.types import Dialogue, Prediction
from tests.report.run_folders import NASTY, ROWS, row

MakeRun = Callable[..., Path]


def page(*folders: Path) -> str:
    runs = score_runs([open_run(folder) for folder in folders])
    return html_page(runs, [compare_runs(runs[0], other) for other in runs[1:]])


SLICES = ("slice,num_rows,score,value,low,high,difference", "all,6,rouge_sum,100,90,110,0")
FEATURE = {"name": "turns", "is_real": True, "spreads": [{"median": 8.0}, {"median": 2.5}], "distance": {"js": 0.25}}


def test_a_bare_run_leaves_sections_out_with_a_word(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: 1\n", encoding="utf-8")
    text = page(tmp_path)
    for words in ("Slices: no slices.csv", "Drift of the data: no drift.json", "All predictions: no predictions.jsonl"):
        assert words in text
    assert 'id="slices"' not in text
    assert "Scores: neither" in text


@pytest.mark.parametrize(
    ("files", "shown"),
    [
        (
            {"slices.csv": [*SLICES, "weekday=7,2,rouge_sum,60,40,80,-40", "weekday=7,2,tag_recall,0.5,,,0.1"]},
            ["[40.0, 80.0]", "<b>-40.0</b>", "0.500"],
        ),
        (
            {"drift.json": {"splits": [{"name": "test", "words": ["shorter"], "features": [FEATURE]}]}},
            ["<h3>train against test</h3>", "<li>shorter</li>", "<b>turns</b>", "8 → 2.5", ">0.250<"],
        ),
        (
            {
                "plan.json": {"peak": 4_000_000_000, "bytes": {"weights": 1_000_000_000}},
                "metrics.csv": "step,train/memory_peak_gb\n9,3.5",
            },
            [f'<td class="number">{number}</td>' for number in ("4", "3.50", "0.88", "1")],
        ),
        (
            {
                "run.json": {
                    "schema_version": 1,
                    "reachability": {
                        "val": {
                            "num_rows": 8,
                            "num_all": 8,
                            "unreachable": ["dev_1"],
                            "charset": ["dev_2"],
                            "forbidden": {"no_repeat_ngram_size": ["dev_1"]},
                            "share": 0.875,
                            "remedy": "no_repeat_ngram_unit: word in preset 'old'",
                            "remedy_share": 1.0,
                        }
                    },
                }
            },
            [
                "<li>val: 87.5 % of 8 references can be said (1 repeat a phrase: dev_1); the charset forbids 1 more",
                "no_repeat_ngram_unit: word in preset &#39;old&#39;: then 100 % can be said",
            ],
        ),
        ({"drift.json": {"splits": [1]}}, ["Drift: a file of it holds something unexpected"]),
        ({"plan.json": {"peak": "x", "bytes": {"weights": "much"}}}, ["Memory: "]),
        (
            {"metrics.json": {"rouge_tokenizer": "space", "stage": "val"}, "metrics.csv": "step,val/loss\n0,4"},
            ["<li>Training: no fit: only that writes metrics.jsonl</li>"],
        ),
    ],
)
def test_files_are_shown(make_run: MakeRun, files: dict[str, Any], shown: list[str]) -> None:
    text = page(make_run(files=files))
    assert not [words for words in shown if words not in text]


def test_samples_show_a_summary_grow(make_run: MakeRun) -> None:
    lines = [
        {"step": step, "example_id": "dev_1", "dialogue": "d", "reference": "비가 온다.", "prediction": text}
        for step, text in ((20, "비가 온다."), (10, "눈 온다."))
    ]
    text = page(make_run(files={"samples.jsonl": lines}))
    assert text.index("step 10") < text.index("<ins>눈</ins> 온다.") < text.index("step 20")


def test_what_the_model_did_not_end_is_marked_in_every_section(make_run: MakeRun) -> None:
    rows = [row(0, text="비가 온다."), row(1, text="비가 온다. #Person1#은", reached_eos=False)]
    sample = {"step": 1, "example_id": "dev_1", "dialogue": "d", "reference": "", "prediction": "비"}
    samples = [{**sample, **known} for known in ({}, {"reached_eos": True}, {"reached_eos": False})]
    folder = make_run(rows=rows, files={"samples.jsonl": samples})
    text = page(folder)
    mark = ' <span class="unfinished">[unfinished]</span></div>'
    sections = {part.split('"')[0]: part.count(mark) for part in text.split('<section id="')[1:]}
    # One of the two rows is the lowest, the other the highest.
    assert {name: number for name, number in sections.items() if number} == {
        "tags": 1,
        "best-and-worst": 1,
        "samples": 1,
    }
    data = row_data(score_runs([open_run(folder)] * 2))
    assert data is not None
    assert [values["u"] for values in data["rows"]] == [[None, None], ["[unfinished]", "[unfinished]"]]
    assert "1 of 2 summaries were cut at max_new_tokens (dev_1)</p>" in text
    text = page(make_run("demo/b", rows=rows[:1]))
    assert "[unfinished]</span>" not in text
    assert "were cut" not in text


def test_nothing_of_the_data_becomes_markup(make_run: MakeRun) -> None:
    sample = {"step": 1, "example_id": NASTY, "prediction": NASTY, "reference": "", "dialogue": NASTY}
    slices = [*SLICES, "<b id='planted'>=1,6,rouge_sum,5,1,9,-45"]
    text = page(make_run(stage=NASTY, preset=NASTY, files={"samples.jsonl": sample, "slices.csv": slices}))
    assert "<b id=" not in text
    # The data block and the page's own script.
    assert text.count("</script>") == 2
    assert "http:" not in text
    assert "https:" not in text


def test_a_lone_surrogate_does_not_stop_the_page(make_run: MakeRun) -> None:
    assert "비\ufffd" in page(make_run(files={"predictions.jsonl": row(1, text="비\ud800")}))


def test_foreign_characters_in_context() -> None:
    run_rows = [dict(ROWS[2]), row(7, text="é" + "가" * 60 + "漢字와 KTX", dialogue="#Person1#: KTX")]
    for values in run_rows:
        del values["summary"]
    found = list(foreign_texts([Prediction(**values) for values in run_rows], ScoreSettings()))
    assert [(one.prediction.example_id, one.is_raw, one.indices) for one in found] == [
        ("dev_2", True, (3,)),
        ("dev_7", False, (0, 61, 62)),
    ]
    assert [tuple(piece) for piece in found[1].in_context() if piece.text] == [
        ("é", True, "Latin U+00E9"),
        ("가" * 24, False, ""),
        ("…" + "가" * 24, False, ""),
        ("漢字", True, "Han U+6F22 U+5B57"),
        ("와 KTX", False, ""),
    ]


def test_the_table_has_the_rows_of_all_runs(make_run: MakeRun) -> None:
    first, second = make_run("demo/a"), make_run("demo/b", rows=[row(0, text="눈이 온다."), row(8, text="비가 온다.")])
    data = row_data(score_runs([open_run(first), open_run(second)]))
    assert [column["label"] for column in data["columns"]] == ["A sum", "B sum", "A − B"]
    rows = {values["i"]: values for values in data["rows"]}
    assert len(rows) == 7
    assert rows["dev_0"]["t"] == ["비가 온다.", "눈이 온다."]
    assert rows["dev_0"]["v"] == [300.0, 100.0, 200.0]
    assert rows["dev_8"]["t"] == [None, "비가 온다."]
    assert rows["dev_8"]["v"] == [None, 300.0, None]
    assert rows["dev_2"]["w"] == ["눈이 雨 온다.", None]
    [choice] = data["filters"]
    assert choice["name"] == "weekday"
    assert choice["values"][:2] == ["1", "2"]


def test_two_runs_side_by_side(make_run: MakeRun) -> None:
    second = make_run("demo/b", [dict(values, text="눈") for values in ROWS], {"config.yaml": "data:\n  seed: 2"})
    text = page(make_run("demo/a"), second)
    assert "6 rows in common" in text
    assert "data.seed" in text
    assert "A − B" in text


def test_configs_differ_by_their_classes() -> None:
    first = {"callbacks": [{"class_path": "a.B", "init_args": {"x": 1}}, {"class_path": "a.C"}]}
    second = {"callbacks": [{"class_path": "a.C"}, {"class_path": "a.B", "init_args": {"x": 2}}]}
    assert config_differences(first, second) == [("callbacks.B.init_args.x", "1", "2")]


def test_the_markdown_summary(make_run: MakeRun, tmp_path: Path) -> None:
    slices = [*SLICES, *(f"weekday={day},2,rouge_sum,{day}0,40,80,-40" for day in (4, 2, 3, 1))]
    first = make_run("demo/a", files={"slices.csv": slices}, **{"start/rouge_sum": 1.0})
    second = make_run("demo/b|c", rows=[dict(values, text="눈") for values in ROWS])
    write_report([open_run(first), open_run(second)], html_file=tmp_path / "x.html", markdown_file=tmp_path / "x.md")
    text = (tmp_path / "x.md").read_text(encoding="utf-8")
    assert "### demo/a" in text
    assert "Against demo/b\\|c, 6 rows in common" in text
    assert "weekday=1 10.0 (2 rows), weekday=2 20.0 (2 rows), weekday=3 30.0 (2 rows)." in text
    [line] = [line for line in text.splitlines() if line.startswith("| contamination_rate | 0.")]
    assert " to " in line
    assert any(line.startswith("| rouge_sum | **+") for line in text.splitlines())


def test_a_run_ends_with_drift_and_a_page(make_run: MakeRun) -> None:
    folder = make_run()
    rows = [Dialogue(example_id=str(number), text=f"#Person1#: 비 {number}", references=("비",)) for number in range(9)]
    assert finish_report(folder, tables={"train": rows, "val": rows}) == [f"report: {folder / 'report.html'}"]
    assert 'id="drift"' in (folder / "report.html").read_text(encoding="utf-8")
    assert json.loads((folder / "drift.json").read_text(encoding="utf-8"))["splits"][0]["name"] == "val"


def test_a_page_that_fails_is_a_line_and_no_error(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run()
    lines = finish_report(folder, tables={"train": [], "val": []})
    assert lines[0].startswith("drift.json could not be written: ValueError")
    assert lines[1].startswith("report: ")
    monkeypatch.setattr("kosum_pl.report.finish.report_folder", lambda *_, **__: 1 / 0)
    assert finish_report(folder) == ["the report could not be written: ZeroDivisionError: division by zero"]


def test_drift_of_many_rows_is_left_to_its_command(tmp_path: Path) -> None:
    rows = [Dialogue(example_id="a", text="비")] * 10_001
    assert not write_drift(tmp_path, tables={"train": rows, "val": rows})
    assert not list(tmp_path.iterdir())


def test_curves_are_over_steps_counted_from_one_and_mark_spikes(make_run: MakeRun) -> None:
    files = {
        # A resumed run has logged step 20 twice.
        "metrics.csv": "step,train/loss\n9,4\n19,3\n19,2",
        "metrics.jsonl": [
            {"step": 10, "val/rouge_sum": 50.0, "val/loss": 3.0},
            {"step": 20, "val/rouge_sum": math.nan},
        ],
        "grad_norms.csv": "step,total\n1,1\n2,9\n3,1",
        "grad_norms.json": {"gradient_clip_val": 1.5, "spike_steps": [2], "advice": {"line": "clip higher"}},
    }
    folder = make_run(files=files, **{"start/rouge_sum": 5.0, "lead/rouge_sum": 40.0})
    [scored] = score_runs([open_run(folder)])
    assert logged(scored, "train/loss") == [(10, 4), (20, 2)]
    assert validated(scored, "val/rouge_sum") == [(10, 50.0)]
    text = page(folder)
    for words in ("lead-1 40", "clipped at 1.5", "spike: 9 at step 2", "spikes: 1", "clip higher", "rouge_sum: 5 at 0"):
        assert words in text
    assert "Tokens a second" not in text
