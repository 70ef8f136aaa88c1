from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from kosum_pl.metrics import ScoreSettings, ScoreTable
from kosum_pl.metrics.bootstrap import paired_difference
from kosum_pl.report.scored import best_reference, compare_runs, score_run, settings_of
from kosum_pl.runs.run import open_run
from kosum_pl.types import Prediction
from tests.report.run_folders import ROWS, row

MakeRun = Callable[..., Path]


def test_rows_have_the_scores_that_the_metric_gives(make_run: MakeRun) -> None:
    scored = score_run(open_run(make_run()))
    # By hand over words: 2 of 2; 2 of 3 against 2 of 2 (unigrams, no bigram, LCS); 1 of 2 and no bigram.
    assert scored.values["rouge_sum"][:3].tolist() == pytest.approx([300, 80 + 0 + 80, 50 + 0 + 50])
    assert scored.values["rouge_sum"][5] == 0
    assert scored.values["raw_contamination_rate"][:3].tolist() == [0, 0, 1]
    assert scored.values["swapped_speakers"][3] == 1
    assert np.isnan(scored.values["swapped_speakers"][0])
    assert scored.scores["rouge_sum"] == pytest.approx(scored.values["rouge_sum"].mean())
    low, high = scored.intervals["rouge_sum"]
    assert low < scored.scores["rouge_sum"] < high
    assert scored.ranked()[0] == 0
    assert scored.ranked()[-1] == 5
    assert not scored.notes


def test_scores_of_another_evaluation_have_no_interval_and_a_note(make_run: MakeRun) -> None:
    scored = score_run(open_run(make_run(**{"val/rouge_sum": 12.0})))
    assert scored.scores["rouge_sum"] == 12.0
    assert "rouge_sum" not in scored.intervals
    assert "rouge1" in scored.intervals
    assert "another evaluation" in scored.notes[0]


def test_a_table_at_hand_is_used_where_it_is_of_the_same_rows(make_run: MakeRun) -> None:
    run = open_run(make_run())
    settings = ScoreSettings(rouge_tokenizer="char")
    same = ScoreTable.of(run.predictions, settings)
    assert score_run(run, table=same).settings is settings
    changed = [dataclasses.replace(run.predictions[0], text="다른 말"), *run.predictions[1:]]
    assert score_run(run, table=ScoreTable.of(changed, settings)).settings.rouge_tokenizer == "space"


def test_plug_ins_that_are_not_loaded_are_named(make_run: MakeRun) -> None:
    folder = make_run()
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    arguments = config.setdefault("model", {}).setdefault("init_args", {})
    arguments |= {"constraint": {"charset": "korean+no_such_set"}, "metrics": ["QuestionRate"]}
    path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    notes = score_run(open_run(folder)).notes
    assert any("'korean+no_such_set'" in note and "'korean' counts instead" in note for note in notes)
    assert any("(QuestionRate)" in note for note in notes)


def test_without_references_there_is_no_rouge(make_run: MakeRun) -> None:
    scored = score_run(open_run(make_run(rows=[row(0, text="비", reference=None)])))
    assert not scored.has_rouge()
    assert scored.ranked() == []
    assert scored.scores["contamination_rate"] == 0


def test_two_runs_are_compared_on_the_rows_of_both(make_run: MakeRun) -> None:
    first = score_run(open_run(make_run("demo/a")))
    others = [row(9, text="비"), *(dict(ROWS[place], text="비가 온다.") for place in (2, 1, 0))]
    others += [row(5, text="", reference="다른 요약")]
    second = score_run(open_run(make_run("demo/b", rows=others)), letter="B")
    found = compare_runs(first, second)
    assert (found.num_rows, found.num_other) == (3, 1)
    expected = paired_difference([300.0, 160.0, 100.0], [300.0, 300.0, 300.0], seed=42)
    assert found.differences["rouge_sum"].p_value == expected.p_value
    assert found.differences["rouge_sum"].interval.mean == pytest.approx(-340 / 3)
    assert found.num_pairs["rouge_sum"] == 3
    assert "swapped_speakers" not in found.differences


def test_settings_come_from_the_config(make_run: MakeRun) -> None:
    folder = make_run(multi_reference="max", rouge_tokenizer="char")
    (folder / "config.yaml").write_text(
        "model: {init_args: {constraint: {charset: korean+latin, characters: é, literals: [X]}}}", encoding="utf-8"
    )
    settings = settings_of(open_run(folder))
    assert (settings.rouge_tokenizer, settings.multi_reference, settings.literals) == ("char", "max", ("X",))
    assert str(settings.charset) == "korean+latin + é"


def test_the_nearest_reference() -> None:
    run = dict(ROWS[0], references=("눈이 온다.", "비가 온다."))
    del run["summary"]
    assert best_reference(Prediction(**run), ScoreSettings(rouge_tokenizer="space")) == "비가 온다."
