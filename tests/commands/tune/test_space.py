"""Knobs of a limit that follows the row: from a preset to a trial's choice, and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.commands.tune.report import preset_text
from kosum_pl.commands.tune.space import Knob, Params, choose_params, make_space, params_of, preset_from, put_back
from kosum_pl.decode import DecodingPreset, RowLength, load_preset

PLAIN = DecodingPreset(name="plain", num_beams=4, max_new_tokens=50)
BY_ROW = replace(PLAIN, name="by_row", max_new_tokens=RowLength(per_source_token=0.25, min=22, max=55))
SPACE = make_space([20, 30, 40], [PLAIN, BY_ROW], prompt_lengths=[90, 100, 110])
SHARE, LEAST = "max_new_tokens.per_source_token", "max_new_tokens.min"


@pytest.mark.parametrize("preset", [PLAIN, BY_ROW])
def test_a_preset_is_found_again_in_the_space_and_in_its_file(preset: DecodingPreset, tmp_path: Path) -> None:
    assert preset_from(params_of(preset, SPACE), base=preset) == preset
    file = tmp_path / f"{preset.name}.yaml"
    file.write_text(preset_text(preset, SPACE, when={}, comments=["how to use it"]))
    assert load_preset(str(file)) == preset
    assert "max_new_tokens." not in file.read_text()


def test_a_written_preset_keeps_the_unit_of_its_base(tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    base = replace(PLAIN, no_repeat_ngram_size=4, no_repeat_ngram_unit="token")
    file.write_text(preset_text(base, SPACE, when={}, comments=["how to use it"]))
    assert load_preset(str(file)).no_repeat_ngram_unit == "token"


@pytest.mark.parametrize(
    ("sizes", "unit", "bounds"),
    [((3, 3), "word", (2, 3)), ((5, 3), "word", (2, 5)), ((1, 3), "word", (1, 3)), ((0, 3), "word", (0, 6)),
     ((4, 4), "token", (0, 6))],
)  # fmt: skip
def test_no_trial_repeats_what_neither_preset_would(sizes: tuple[int, int], unit: Any, bounds: tuple[int, int]) -> None:
    presets = [replace(PLAIN, no_repeat_ngram_size=size, no_repeat_ngram_unit=unit) for size in sizes]
    space = make_space([20, 30, 40], presets, prompt_lengths=[90, 100, 110])
    found = [(knob.low, knob.high) for knob in space if knob.name == "no_repeat_ngram_size"]
    assert found == [bounds]


def test_a_share_of_zero_is_one_number_for_all_rows() -> None:
    params = params_of(PLAIN, SPACE)
    assert params[SHARE] == 0.0
    assert LEAST not in params
    assert preset_from(params, base=BY_ROW).max_new_tokens == 50


def test_a_limit_by_row_is_put_back_part_by_part() -> None:
    start, taken = params_of(PLAIN, SPACE), params_of(BY_ROW, SPACE)
    knobs = {knob.name: knob for knob in SPACE}
    assert preset_from(put_back(taken, start, knob=knobs[SHARE], space=SPACE), base=PLAIN).max_new_tokens == 55
    assert put_back(taken, start, knob=knobs[LEAST], space=SPACE) == taken  # one number has no least
    back = put_back(start, taken, knob=knobs[SHARE], space=SPACE)
    assert preset_from(back, base=PLAIN).max_new_tokens == RowLength(per_source_token=0.25, min=22, max=50)
    # Where the most that is put back is below the least, the shorter counts.
    narrow = (*SPACE[:-1], Knob(name="max_new_tokens", low=10, high=60))
    short = put_back(taken, {**start, "max_new_tokens": 10}, knob=narrow[-1], space=narrow)
    assert (short["max_new_tokens"], short[LEAST], short["min_new_tokens"]) == (10, 10, 0)


@given(st.integers(0, 10_000))
def test_every_choice_is_a_preset_that_the_space_holds(seed: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    params: Params = choose_params(study.ask(), SPACE)  # type: ignore[arg-type]  # optuna is untyped to mypy
    preset = preset_from(params, base=PLAIN)
    assert (LEAST in params) == (params[SHARE] > 0) == isinstance(preset.max_new_tokens, RowLength)
    assert params_of(preset, SPACE) == params
