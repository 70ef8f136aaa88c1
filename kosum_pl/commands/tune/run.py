"""Tuning from end to end: rows, search, the honest comparison, and the file where it is won.

In: a command line and options. Out: lines that say what is done, and a preset file. Rows that decide whether a preset
is written are rows that no trial has seen.
"""

from __future__ import annotations

import itertools
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np

from kosum_pl.checkpoints.weights import load_weights, seed_of
from kosum_pl.cli.arguments import Invocation, Options
from kosum_pl.cli.parts import Parts, load_parts
from kosum_pl.commands.tune.floor import ReachFloor
from kosum_pl.commands.tune.report import Comparison, preset_text, trial_line, trial_table, verdict
from kosum_pl.commands.tune.rows import RowScorer, select_rows, split_rows
from kosum_pl.commands.tune.space import Knob, make_space, preset_from
from kosum_pl.commands.tune.study import Search, open_study
from kosum_pl.decode import DecodingPreset, load_preset
from kosum_pl.decode.reachability.references import References
from kosum_pl.errors import UsageError
from kosum_pl.files import write_atomically
from kosum_pl.inference import InferenceSettings, find_device
from kosum_pl.runs.folders import run_of

# What of a config leaves the scores of a preset alone.
_NOT_HASHED: Final = ("preset", "presets", "fit_preset", "slices")


@dataclass(frozen=True, eq=False, kw_only=True)
class _Plan:
    """What is tuned: rows in two parts, what serves them today, and where the search looks."""

    parts: Parts
    options: Options
    when: Mapping[str, Sequence[str]]
    tuning: list[int]
    held_out: list[int]
    serving: dict[int, DecodingPreset]
    base: DecodingPreset
    default: DecodingPreset
    space: tuple[Knob, ...]
    study_file: Path

    @property
    def slice_name(self) -> str:
        return " ".join(self.options.slices) or "all rows"

    @property
    def serving_names(self) -> str:
        return ", ".join(dict.fromkeys(preset.name for preset in self.serving.values()))


def tune(invocation: Invocation, options: Options) -> Iterator[str]:
    """Search a preset, and write it where it wins; yields lines that say what is done.

    Raises:
        ValueError: The config, the checkpoint, the slice or the study is wrong, or the preset does not win.
    """
    device = find_device(options.device)
    parts = load_parts(invocation)
    if parts.module.decoding.mbr is not None:
        raise UsageError("model.mbr would choose among candidates, and tune searches one preset; add --model.mbr null")
    plan = _make_plan(parts, options)
    yield from parts.datamodule.report_lines
    yield (
        f"{plan.slice_name}: {len(plan.tuning)} rows to search on, {len(plan.held_out)} held out; "
        f"served today by {plan.serving_names}"
    )
    load_weights(parts.module, options.checkpoint, seed=seed_of(parts.config))
    settings = InferenceSettings.from_config(parts.config, limits=parts.datamodule.limits)
    scorer = RowScorer(parts, plan.tuning, settings, device=device)
    study = open_study(plan.study_file, name=_study_name(plan))
    floor = _reach_floor(plan, settings)
    yield from _leave_out(plan, floor)
    search = Search(
        study,
        scorer,
        space=plan.space,
        base=plan.base,
        first=[plan.base, plan.default],
        allows=floor.allows,
        seed=options.seed,
    )
    yield from _search(plan, search, scorer)
    tuned = preset_from(search.taken.params, base=plan.base)
    unseen = RowScorer(parts, plan.held_out, settings, device=device)
    comparisons = _compare(plan, scorer, tuned, part="tuning"), _compare(plan, unseen, tuned, part="held-out")
    for comparison in comparisons:
        yield from comparison.lines()
    _check_gain(plan, comparisons[-1])
    yield verdict(comparisons[-1])
    yield floor.words(tuned)
    comments = [*_comments(plan, invocation, comparisons, num_trials=len(search.tried)), floor.words(tuned)]
    write_atomically(options.output, preset_text(tuned, plan.space, when=plan.when, comments=comments))
    yield f"written: {options.output}"


def _search(plan: _Plan, search: Search, scorer: RowScorer) -> Iterator[str]:
    """All trials; what they scored is not computed again."""
    num_trials = plan.options.trials
    if search.tried:
        yield f"{len(search.tried)} trials are in {plan.study_file} already"
    for tried in itertools.chain(search.run(num_trials), search.simplify()):
        yield trial_line(tried, search.tried, num_trials=num_trials)
    yield from trial_table(search.tried, taken=search.taken, num_refused=search.num_refused)
    for tried in search.tried:
        if tried.row_scores is not None:
            scorer.remember(preset_from(tried.params, base=plan.base), tried.row_scores)


def _comments(
    plan: _Plan, invocation: Invocation, comparisons: Sequence[Comparison], *, num_trials: int
) -> Iterator[str]:
    """How to use the preset, where it comes from, and what it won."""
    output = plan.options.output
    name = output.stem if output.parent.name == "presets" else f"./{output}" if output.parent == Path() else output
    yield f"python -m kosum_pl validate --config {invocation.config_name}.yaml --preset {name} --ckpt_path best"
    rows = f"{plan.slice_name} of {plan.parts.config['data']['val_file']}"
    yield f"Tuned on {date.today()} for {rows}, checkpoint {_checkpoint_name(plan.options.checkpoint)}:"
    yield f"python -m kosum_pl tune {' '.join(plan.options.words)}"
    yield f"{num_trials} trials. rouge_sum with 95 % bootstrap intervals over rows:"
    for comparison in comparisons:
        yield f"{comparison.part} part, {len(comparison.tuned)} rows: {comparison.sentence}"
    yield verdict(comparisons[-1])


def _make_plan(parts: Parts, options: Options) -> _Plan:
    parts.datamodule.setup("validate")
    table, encoded = parts.datamodule.tables["val"], parts.datamodule.encoded["val"]
    rows, when = select_rows(table, options.slices)
    tuning, held_out = split_rows(
        rows, ids=[table[row].example_id for row in rows], held_out=options.held_out, seed=options.seed
    )
    serving = _serving(parts, rows, options.output)
    base = max(serving.values(), key=list(serving.values()).count)
    default = load_preset("default")
    return _Plan(
        parts=parts,
        options=options,
        when=when,
        tuning=tuning,
        held_out=held_out,
        serving=serving,
        base=base,
        default=default,
        space=make_space(
            encoded.summary_lengths[tuning].tolist(),
            [base, default],
            prompt_lengths=encoded.prompt_lengths[tuning].tolist(),
        ),
        study_file=options.study or _study_file(options),
    )


def _reach_floor(plan: _Plan, settings: InferenceSettings) -> ReachFloor:
    """The share of the slice's references that a proposal has to leave."""
    table = plan.parts.datamodule.tables["val"]
    rows = [table[row] for row in sorted([*plan.tuning, *plan.held_out])]
    references = References(rows, encoder=plan.parts.module.encoder, constraint=None, limits=settings.limits)
    floor = ReachFloor(references, default=plan.default)
    floor.check_base(plan.base)
    return floor


def _leave_out(plan: _Plan, floor: ReachFloor) -> Iterator[str]:
    """Hold rows whose preset of today would be refused against the default instead, and say so."""
    for preset in dict.fromkeys(plan.serving.values()):
        if not floor.allows(preset):
            yield f"{preset.name}: {floor.words(preset)}; it would be refused, so that default is what is to be beaten"
            plan.serving.update({row: plan.default for row, each in plan.serving.items() if each == preset})


def _serving(parts: Parts, rows: Sequence[int], output: Path) -> dict[int, DecodingPreset]:
    """What serves each row today: the output file where it is for this row, else what the config routes to."""
    old = load_preset(str(output)) if output.is_file() else None
    router, table = parts.module.decoding.router, parts.datamodule.tables["val"]
    profiles = {row: table[row].profile for row in rows}
    return {
        row: old if old is not None and old.matches(profile) else router.preset_for(profile)
        for row, profile in profiles.items()
    }


def _compare(plan: _Plan, scorer: RowScorer, tuned: DecodingPreset, *, part: str) -> Comparison:
    return Comparison(
        part=part,
        tuned=scorer.scores(tuned),
        before=_serving_scores(scorer, [plan.serving[row] for row in scorer.rows]),
        before_name=plan.serving_names,
        default=scorer.scores(plan.default),
        seed=plan.options.seed,
    )


def _serving_scores(scorer: RowScorer, serving: Sequence[DecodingPreset]) -> np.ndarray:
    """Scores of every row under the preset that serves it."""
    scores = np.empty(len(serving))
    for name in dict.fromkeys(preset.name for preset in serving):
        rows = [row for row, preset in enumerate(serving) if preset.name == name]
        scores[rows] = scorer.scores(serving[rows[0]])[rows]
    return scores


def _check_gain(plan: _Plan, comparison: Comparison) -> None:
    if not comparison.is_won and not plan.options.force:
        raise UsageError(
            f"the tuned preset does not win on the {len(plan.held_out)} held-out rows: {comparison.sentence}; "
            f"{plan.options.output} is left as it was, the trials are in {plan.study_file}; --force writes it anyway"
        )


def _study_name(plan: _Plan) -> str:
    """The slice, and a hash of everything that decides a trial's score, or whether it is refused."""
    config, table = plan.parts.config, plan.parts.datamodule.tables["val"]
    model = dict(config["model"].get("init_args") or config["model"])
    rows = [table[row] for row in plan.tuning]
    is_constrained = "predict" in plan.parts.module.decoding.constrained_stages
    content = [
        _weights_hash(plan.options.checkpoint),
        [(row.example_id, row.text, row.references) for row in rows],
        [table[row].references for row in plan.held_out],
        [repr(knob) for knob in plan.space],
        [repr(preset) for preset in (plan.base, plan.default)],
        {name: value for name, value in model.items() if name not in _NOT_HASHED},
        (
            {
                **InferenceSettings.from_config(config, limits=plan.parts.datamodule.limits).values(),
                "is_constrained": is_constrained,
            },
            plan.options.seed,
        ),
    ]
    key = sha256(json.dumps(content, ensure_ascii=False, sort_keys=True, default=str).encode()).hexdigest()
    return f"{plan.slice_name} {key[:16]}"


def _weights_hash(checkpoint: Path) -> str:
    """Of the checksums that the archive keeps of its parts: the content decides, and gigabytes are not read."""
    with zipfile.ZipFile(checkpoint) as archive:
        # Without the folder, which is the file's name when it was written.
        parts = sorted((info.filename.partition("/")[2], info.CRC, info.file_size) for info in archive.infolist())
    return sha256(repr(parts).encode()).hexdigest()


def _study_file(options: Options) -> Path:
    folder = run_of(options.checkpoint) or options.checkpoint.parent
    name = re.sub(r"[^\w=,.+-]+", "-", " ".join(options.slices) or "all")
    return folder / "tune" / f"{name}.db"


def _checkpoint_name(checkpoint: Path) -> str:
    run = run_of(checkpoint)
    return f"{run.parent.name}/{run.name}/{checkpoint.name}" if run is not None else checkpoint.name
