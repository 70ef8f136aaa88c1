"""The search against a score that is known, without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kosum_pl.commands.tune.space import Knob, make_space, params_of, preset_from, put_back
from kosum_pl.commands.tune.study import Search, best_of, is_near, open_study
from kosum_pl.decode import DecodingPreset
from kosum_pl.errors import UsageError

BASE = DecodingPreset(name="base", when={"weekday": 7}, num_beams=4, max_new_tokens=100, bad_words=("욕",))
DEFAULT = DecodingPreset(name="default", num_beams=4, max_new_tokens=128, early_stopping=True)
PROMPTS = [90, 100, 110]
SPACE = make_space([20, 30, 40], [BASE, DEFAULT], prompt_lengths=PROMPTS)
NOISE = np.random.default_rng(0).normal(0, 5, size=40)


class KnownScores:
    """Stands in for a model: rows score by the preset, best at 20 tokens or more; other fields do nothing."""

    num_batches = 4

    def __init__(self, stop_at: int | None = None) -> None:
        self.presets: list[DecodingPreset] = []
        self.stop_at = stop_at

    def running_scores(self, preset: DecodingPreset) -> Iterator[np.ndarray]:
        self.presets.append(preset)
        if len(self.presets) == self.stop_at:
            raise KeyboardInterrupt
        scores = 100 + 2.0 * min(preset.min_new_tokens, 20) + NOISE
        for end in (10, 20, 30, 40):
            yield scores[:end]

    def in_row_order(self, scores: np.ndarray) -> np.ndarray:
        return scores


def search(
    path: Path, scorer: Any, *, name: str = "study", allows: Callable[[DecodingPreset], bool] = lambda _: True
) -> Search:
    return Search(
        open_study(path, name=name), scorer, space=SPACE, base=BASE, first=[BASE, DEFAULT], allows=allows, seed=3
    )


def test_a_refused_preset_is_no_trial_and_never_generates(tmp_path: Path) -> None:
    scorer = KnownScores()  # likes 20 tokens or more, of which no more than 12 may be asked for
    found = search(tmp_path / "a.db", scorer, allows=lambda preset: preset.min_new_tokens <= 12)
    tried = [*found.run(15), *found.simplify()]
    assert sum(trial.is_searched for trial in tried) == 15
    assert [trial.number for trial in tried] == list(range(1, len(tried) + 1))
    assert found.num_refused > 0
    assert max(preset.min_new_tokens for preset in scorer.presets) <= 12
    assert 0 < found.taken.params["min_new_tokens"] <= 12


def test_a_search_whose_presets_are_all_refused_ends(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^60 of 60 presets leave fewer references sayable than the default; "):
        list(search(tmp_path / "a.db", KnownScores(), allows=lambda _: False).run(3))


def test_what_serves_today_comes_first_and_the_search_finds_better(tmp_path: Path) -> None:
    scorer = KnownScores()
    found = search(tmp_path / "a.db", scorer)
    tried = list(found.run(25))
    assert [trial.number for trial in tried] == list(range(1, 26))
    assert tried[0].params == params_of(BASE, SPACE)
    assert tried[1].params == params_of(DEFAULT, SPACE)
    best, scores = best_of(tried)
    assert best.params["min_new_tokens"] >= 20
    np.testing.assert_array_equal(scores, 140 + NOISE)
    # Bad trials are stopped early, on the batches they have seen; bad words stay, names too.
    assert any("stopped after 1 of 4" in trial.note for trial in tried)
    assert all(preset.bad_words == ("욕",) and preset.name == "base" for preset in scorer.presets)


def test_fields_that_do_nothing_are_put_back(tmp_path: Path) -> None:
    found = search(tmp_path / "a.db", KnownScores())
    list(found.run(25))
    list(found.simplify())
    changed = {name for name, value in params_of(BASE, SPACE).items() if found.taken.params.get(name) != value}
    assert changed == {"min_new_tokens"}
    assert found.taken.params["min_new_tokens"] >= 20
    # Once more: all is known, nothing is generated, the same is taken, and the search's own count is untouched.
    again = search(tmp_path / "a.db", KnownScores(stop_at=1))
    assert list(again.run(25)) == []
    assert list(again.simplify()) == []
    assert again.taken.params == found.taken.params


def test_a_stopped_search_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = [trial.params for trial in search(tmp_path / "whole.db", KnownScores()).run(14)]
    list(search(tmp_path / "parts.db", KnownScores()).run(5))
    with pytest.raises(KeyboardInterrupt):
        list(search(tmp_path / "parts.db", KnownScores(stop_at=4)).run(14))
    resumed = search(tmp_path / "parts.db", KnownScores())
    assert 5 < len(resumed.tried) < 14
    list(resumed.run(14))
    assert [trial.params for trial in resumed.tried] == whole


def test_the_first_trial_is_not_lost_to_an_interrupt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        list(search(tmp_path / "a.db", KnownScores(stop_at=1)).run(3))
    assert next(search(tmp_path / "a.db", KnownScores()).run(3)).params == params_of(BASE, SPACE)


def test_another_checkpoint_has_trials_of_its_own(tmp_path: Path) -> None:
    list(search(tmp_path / "a.db", KnownScores(), name="one").run(2))
    assert search(tmp_path / "a.db", KnownScores(), name="other").tried == []
    assert len(search(tmp_path / "a.db", KnownScores(), name="one").tried) == 2


def test_a_preset_is_never_generated_twice(tmp_path: Path) -> None:
    scorer = KnownScores()
    knobs = (Knob(name="num_beams", low=1, high=2), *(
        Knob(name=name, low=0, high=high) for name, high in (("min_new_tokens", 1), ("max_new_tokens", 128))
    ))  # fmt: skip
    space = (*knobs[:2], Knob(name="max_new_tokens", low=100, high=100))
    study = open_study(tmp_path / "a.db", name="few")
    found = Search(study, scorer, space=space, base=BASE, first=[BASE], allows=lambda _: True, seed=0)
    tried = list(found.run(15))
    assert len(scorer.presets) == len({(preset.num_beams, preset.min_new_tokens) for preset in scorer.presets}) <= 4
    repeated = [trial for trial in tried if trial.note.startswith("as trial")]
    assert len(repeated) == 15 - len(scorer.presets)
    by_number = {trial.number: trial for trial in tried}
    assert all(trial.score == by_number[int(trial.note.split()[-1])].score for trial in repeated)


def test_near_means_one_standard_error_of_the_difference() -> None:
    draw = np.random.default_rng(1)
    best = draw.normal(100, 50, size=100)
    behind = draw.normal(0, 1, size=100)
    behind -= behind.mean()
    error = behind.std(ddof=1) / 10
    assert is_near(best, best - behind - 0.99 * error)
    # A tenth of a point behind on rows that differ by fifty: paired, that can be told.
    assert not is_near(best, best - behind - 1.01 * error)


def test_the_space_holds_the_presets_it_starts_from() -> None:
    odd = DecodingPreset(name="odd", num_beams=9, max_new_tokens=300, min_new_tokens=90, length_penalty=4.1,
                         repetition_penalty=1.73, early_stopping="never", no_repeat_ngram_size=8)  # fmt: skip
    space = {knob.name: knob for knob in make_space([20, 30, 40], [BASE, odd], prompt_lengths=PROMPTS)}
    params = params_of(odd, tuple(space.values()))
    exact = ("num_beams", "max_new_tokens", "min_new_tokens", "early_stopping", "no_repeat_ngram_size")
    assert all(params[name] == getattr(odd, name) for name in exact)
    assert params["length_penalty"] == pytest.approx(4.0, abs=0.13)
    assert params["repetition_penalty"] == pytest.approx(1.75, abs=0.03)
    assert space["max_new_tokens"].low == 30


def test_greedy_trials_carry_nothing_of_beams() -> None:
    greedy = DecodingPreset(name="greedy", do_sample=True, temperature=0.7, seed=1, max_new_tokens=60)
    params = params_of(greedy, SPACE)
    assert "length_penalty" not in params
    preset = preset_from(params, base=greedy)
    assert (preset.num_beams, preset.do_sample, preset.temperature, preset.seed) == (1, False, None, None)
    beams = put_back(params, params_of(BASE, SPACE), knob=SPACE[0], space=SPACE)
    assert (beams["num_beams"], beams["length_penalty"], beams["early_stopping"]) == (4, 1.0, False)
    assert preset_from(beams, base=greedy).max_new_tokens == 60
