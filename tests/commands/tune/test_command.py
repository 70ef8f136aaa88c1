"""`tune` from the command line: what it reads, what it refuses, what it writes."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kosum_pl.__main__ import main
from kosum_pl.checkpoints.weights import load_weights
from kosum_pl.cli.arguments import read_arguments
from kosum_pl.cli.parts import load_parts
from kosum_pl.commands.tune import rows as rows_file
from kosum_pl.commands.tune.rows import RowScorer, select_rows, split_rows
from kosum_pl.decode import load_preset
from kosum_pl.inference import InferenceSettings
from kosum_pl.metrics.rouge import score_rows
from kosum_pl.metrics.tokenize import get_tokenizer
from tests.commands.exported_runs import SHAPES, inside, write_config, write_data
from tests.error_lines import error_line
from tests.memory_errors import cuda_error

CALL = ["--config", "tiny.yaml", "--ckpt_path", "last", "--device", "cpu"]


def write_dev(folder: Path) -> None:
    """24 Saturdays and 6 other days, of different lengths."""
    with (folder / "dev.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["fname", "dialogue", "summary", "summary2", "weekday"])
        for number in range(30):
            text = "\n".join(f"#Person{turn % 2 + 1}#: {number}번 예약이요." for turn in range(1 + number % 5))
            summaries = [f"#Person1#은 {number}번을 {'꼭 ' * (number % 4)}예약한다.", "예약한다."]
            writer.writerow([f"dev_{number}", text, *summaries, 7 if number < 24 else 2])


@pytest.fixture(scope="module", params=["seq2seq", "causal"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working folder of a run of three steps."""
    folder = tmp_path_factory.mktemp(f"tune-{request.param}")
    write_data(folder)
    write_dev(folder)
    name = {"seq2seq": "demo:bart", "causal": "demo:llama"}[request.param]
    write_config(folder, request.param, model_name=name, random_init=True, config_overrides=SHAPES[request.param])
    # Untrained, a model never ends: the shipped one would write 128 tokens a row.
    (folder / "configs" / "presets").mkdir(parents=True)
    (folder / "configs" / "presets" / "default.yaml").write_text("num_beams: 2\nmax_new_tokens: 14\n")
    with inside(folder):
        assert main(["fit", "--config", "tiny.yaml"]) == 0
    return folder


@pytest.fixture
def folder(trained: Path) -> Iterator[Path]:
    """The same, worked in."""
    with inside(trained):
        yield trained


def test_scores_are_those_of_validate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row by row, with constraint and post-processing, although prompts are encoded once, and with little memory."""
    (folder / "beams.yaml").write_text("num_beams: 3\nmax_new_tokens: 10\nmin_new_tokens: 3\nlength_penalty: 2.0\n")
    assert main(["validate", *CALL[:4], "--preset", "beams.yaml", "--trainer.limit_val_batches", "1.0"]) == 0
    details = max(folder.glob("runs/tiny/2*/eval/validate-beams-*/predictions.jsonl"))
    rows = {row["example_id"]: row for row in map(json.loads, details.read_text(encoding="utf-8").splitlines())}

    invocation = read_arguments("tune", CALL[:4])
    parts = load_parts(invocation)
    parts.datamodule.setup("validate")
    table = parts.datamodule.tables["val"]
    indices, when = select_rows(table, ["weekday=7"])
    assert invocation.checkpoint is not None
    load_weights(parts.module, invocation.checkpoint)
    settings = InferenceSettings.from_config(parts.config, limits=parts.datamodule.limits)
    scorer = RowScorer(parts, indices, settings, device=torch.device("cpu"))
    found = [scorer.scores(load_preset("beams.yaml")) for _ in range(2)]

    assert when == {"weekday": ["7"]}
    assert len(indices) == 24
    chosen = [rows[table[index].example_id] for index in indices]
    expected = score_rows(
        [row["text"] for row in chosen],
        [table[index].references for index in indices],
        tokenizer=get_tokenizer("char"),
    )
    np.testing.assert_allclose(found[0], 100 * expected.sum(axis=1))
    assert (found[0] == found[1]).all()
    assert found[0].std() > 0, "rows that all score the same prove nothing"
    assert scorer.num_batches > 3

    refused: list[int] = []

    def cramped(work: Callable[..., Any]) -> Callable[..., Any]:
        def fits_two_rows(*arguments: Any, **named: Any) -> Any:
            num_rows = len(arguments[1].rows if arguments else named["attention_mask"])
            if num_rows > 2:
                refused.append(num_rows)
                raise cuda_error()
            return work(*arguments, **named)

        return fits_two_rows

    model = parts.module.language_model
    monkeypatch.setattr(rows_file, "encode_prompts", cramped(rows_file.encode_prompts))
    monkeypatch.setattr(model, "generate", cramped(model.generate))
    small = RowScorer(parts, indices, settings, device=torch.device("cpu"))
    np.testing.assert_array_equal(small.scores(load_preset("beams.yaml")), found[0])
    assert refused
    assert small.num_batches > scorer.num_batches


def test_what_does_not_win_is_not_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["tune", *CALL, "--slice", "weekday=7", "--trials", "1", "--output", "won.yaml", "--study", "one.db"]
    assert main(call) == 2
    captured = capsys.readouterr()
    # One trial: the preset that serves today, which cannot win over itself.
    assert captured.err.count("\n") == 1
    assert "does not win on the 12 held-out rows" in captured.err
    assert "gain +0.00 [+0.00, +0.00]" in captured.err
    assert "served today by weekend" in captured.out
    assert not (folder / "won.yaml").exists()
    assert (folder / "one.db").exists()

    assert main([*call, "--force"]) == 0
    assert "1 trials are in one.db already" in capsys.readouterr().out
    text = (folder / "won.yaml").read_text(encoding="utf-8")
    assert text.startswith("# python -m kosum_pl validate --config tiny.yaml --preset ./won.yaml --ckpt_path best\n")
    assert "written by force" in text
    assert "of 24 references can be said (" in text
    preset, today = load_preset("won.yaml"), load_preset("weekend.yaml")
    assert dict(preset.when) == {"weekday": 7}
    assert (preset.num_beams, preset.max_new_tokens) == (today.num_beams, today.max_new_tokens)


def test_trials_go_on_and_the_file_replaces_what_it_beats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "best.yaml").write_text("when: {weekday: 7}\nmax_new_tokens: 1\n")  # serves these rows, and badly
    call = ["tune", *CALL, "--slice", "weekday=7", "--output", "best.yaml"]
    assert main([*call, "--trials", "6"]) == 0
    out = capsys.readouterr().out
    assert "served today by best" in out
    assert "trial 6 of 6" in out
    # What serves these rows is shorter than any reference: it is neither proposed nor to be beaten.
    assert "more, under which fewer can be said than with default" in out
    assert re.search(
        r"best: 0\.0 % of 24 references can be said \([1-9][\d.]* % with default\); it would be refused", out
    )
    assert "held-out part, 12 rows, rouge_sum with 95 % intervals:" in out
    text = (folder / "best.yaml").read_text(encoding="utf-8")
    assert re.search(r"12 rows: rouge_sum [^:]* of default,", " ".join(text.replace("\n#", "").split()))
    assert "checkpoint tiny/" in text
    assert load_preset("best.yaml").max_new_tokens > 1
    assert [path.name for path in folder.glob("runs/tiny/2*/tune/*.db")] == ["weekday=7.db"]


def test_another_held_out_reference_begins_another_study(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It decides which presets are refused, though no trial is scored on it."""
    options = ["--slice", "weekday=7", "--trials", "1", "--study", "two.db", "--force"]

    def says_known_trials(output: str) -> bool:
        assert main(["tune", *CALL, *options, "--output", output]) == 0
        return "1 trials are in two.db already" in capsys.readouterr().out

    assert not says_known_trials("first.yaml")
    assert says_known_trials("again.yaml")
    _, held_out = split_rows(range(24), ids=[f"dev_{n}" for n in range(24)], held_out=0.5, seed=42)
    text = (folder / "dev.csv").read_text(encoding="utf-8")
    changed = text.replace(f"은 {held_out[0]}번을 ", f"은 {held_out[0]}번도 ")
    assert changed != text
    (folder / "dev.csv").write_text(changed, encoding="utf-8")
    try:
        assert not says_known_trials("other.yaml")
    finally:
        (folder / "dev.csv").write_text(text, encoding="utf-8")


def test_only_rows_of_val_are_read(folder: Path) -> None:
    call = ["tune", *CALL, "--slice", "weekday=7", "--trials", "1", "--output", "x.yaml", "--force"]
    assert main([*call, "--data.test_file", "no/such.csv", "--data.predict_file", "no/such.csv"]) == 0


@pytest.mark.parametrize("trained", ["seq2seq"], indirect=True)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--slice", "weekday=2"], "--slice weekday=2: 6 of 30 rows of val; tuning needs 20"),
        (["--slice", "weekday=3"], "no row of val matches; values of weekday: 2, 7"),
        (["--slice", "topic=여행"], "val has no column 'topic'; there are: weekday, length"),
        (["--slice", "weekday"], "write column=value"),
        (["--slice", "length=q1,q2,q3,q4"], "a preset cannot ask for length"),
        (["--held_out", "0.1"], "--held_out 0.1 of 30 rows leaves a part of 3; each needs 10"),
        (["--output", "x.txt"], "tune needs --output FILE.yaml"),
        (["--study", "dev.csv"], "--study dev.csv cannot be read as a study"),
        (["--device", "tpu"], "--device is 'tpu'"),
        (["--model.mbr", "{num_candidates: 4}"], "tune searches one preset; add --model.mbr null"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in error_line(capsys, "tune", *CALL, "--output", "x.yaml", *options, has_output=True)


def test_a_missing_optuna_is_named_with_its_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert error_line(capsys, "tune", *CALL[:4], "--output", "x.yaml").endswith("pip install optuna")
