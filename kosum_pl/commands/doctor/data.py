"""The rows themselves: columns, lengths against the limits, tags, characters outside, leakage, duplicates.

In: tables of dialogues, their encoded lengths, the config's limits. Out: findings and a table of lengths. What is wrong
in the data shows in no loss curve.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kosum_pl.commands.doctor.finding import Finding, broken, note, ok, warning, warning_if
from kosum_pl.data import DialogueTable, count_leakage
from kosum_pl.data.slices import check_slice_columns
from kosum_pl.datamodule import EvaluatesProfiles
from kosum_pl.decode import ConstraintSettings, DecodingPreset
from kosum_pl.decode.router import idle_conditions
from kosum_pl.encode import Encoder, TokenLimits
from kosum_pl.metrics.reference_scan import ReferenceScan, by_frequency
from kosum_pl.types import TAG_PATTERN, Dialogue, EncodedExample

_NUM_SHOWN: Final = 6
_MANY: Final = 0.01


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Lengths of one split's prompts, sources or summaries (the `part`), in tokens, before anything was dropped.

    `limit` is what the config allows, `num_over` are the rows above it.
    """

    split: str
    part: str
    p50: int
    p95: int
    longest: int
    limit: int
    num_over: int


def measure_lengths(
    examples: Sequence[EncodedExample], *, split: str, is_causal: bool, limits: TokenLimits
) -> list[Lengths]:
    """Lengths of a split's examples, of what is read and of what is learnt."""
    read = [example.prompt_length + example.truncated_tokens for example in examples]
    # A causal model's labels begin with the prompt's.
    learnt = [len(each.labels) - each.prompt_length * is_causal + each.cut_tokens for each in examples]
    return [
        _lengths(read, split=split, part="prompt" if is_causal else "source", limit=limits.max_source_tokens),
        _lengths(learnt, split=split, part="summary", limit=limits.max_summary_tokens),
    ]


def _lengths(lengths: Sequence[int], *, split: str, part: str, limit: int) -> Lengths:
    middle, high = map(int, np.percentile(lengths, [50, 95], method="higher"))
    num_over = sum(length > limit for length in lengths)
    return Lengths(split=split, part=part, p50=middle, p95=high, longest=max(lengths), limit=limit, num_over=num_over)


def length_findings(
    lengths: Sequence[Lengths], *, presets: Sequence[DecodingPreset], max_positions: int | None, is_causal: bool
) -> Iterator[Finding]:
    """Lengths against the presets and the model's positions; the limits themselves are counted by the mask.

    `presets` are those that may serve a row, `max_positions` is None where the model has no such limit, and `is_causal`
    says that prompt and summary share the positions.
    """
    usual = max((entry.p95 for entry in lengths if entry.part == "summary"), default=0)
    for preset in presets:
        if preset.most_new_tokens < usual:
            stop = f"preset '{preset.name}' stops at {preset.most_new_tokens} tokens"
            text = f"{stop}, and one reference in twenty has {usual} or more"
            yield warning(text, f"max_new_tokens: {usual} in configs/presets/{preset.name}.yaml")
    longest: dict[str, int] = {}
    for entry in lengths:
        longest[entry.part] = max(longest.get(entry.part, 0), min(entry.longest, entry.limit))
    needed = sum(longest.values()) if is_causal else max(longest.values(), default=0)
    if max_positions is not None and needed > max_positions:
        together = "prompt and summary together" if is_causal else "source or summary"
        text = f"up to {needed} tokens, {together}, and the model has {max_positions} positions"
        remedy = f"lower --data.max_source_tokens and --data.max_summary_tokens to {max_positions} in all"
        # Rotary positions go on behind the end, worse; a learnt table of positions has an end.
        yield warning(text, remedy) if is_causal else broken(text, remedy)


def table_findings(tables: Mapping[str, DialogueTable]) -> Iterator[Finding]:
    """Columns, dropped rows, leakage and duplicates of the rows by split."""
    for split, table in tables.items():
        columns = ", ".join(table.profile_columns) or "none"
        absent = f"; the files lack {', '.join(table.absent_columns)}" if table.absent_columns else ""
        yield ok(f"{split}: {len(table):,} rows, profile columns: {columns}{absent}")
        if table.num_rejected:
            yield warning(f"{split}: {table.num_rejected:,} bad rows dropped", "see rejected.jsonl")
        num_twice = len(table) - len({" ".join(text.split()) for text in table.texts()})
        if num_twice:
            text = f"{split}: {num_twice:,} rows have a dialogue that stands there already"
            yield warning_if(num_twice > _MANY * len(table), text, "remove them", otherwise="note")
    if "val" not in tables:
        yield warning("there is no data.val_file: the best checkpoint cannot be chosen", "--data.val_file FILE")
    elif "train" in tables:
        num_leaked = count_leakage(tables["train"], tables["val"])
        text = f"{num_leaked:,} dialogues of val stand in train too"
        yield warning_if(num_leaked > 0, text, "remove them from train: scores on them say nothing")


def tag_findings(rows: Sequence[Dialogue], *, split: str) -> Iterator[Finding]:
    """Tags in references of one split, and those that the row's own dialogue does not hold."""
    num_tagged, num_strange, tags = 0, 0, Counter[str]()
    strange: list[str] = []
    for row in rows:
        found = {tag for text in row.references for tag in TAG_PATTERN.findall(text)}
        missing = sorted(found - set(TAG_PATTERN.findall(row.text)))
        num_tagged += bool(found)
        num_strange += bool(missing)
        tags.update(found)
        strange += [f"{tag} in {row.example_id}" for tag in missing]
    shown = ", ".join(f"{tag} {number:,}" for tag, number in tags.most_common(_NUM_SHOWN)) or "none"
    share = num_tagged / len(rows) if rows else 0.0
    yield ok(f"{split}: {share:.0%} of the references hold tags: {shown}")
    if num_strange:
        text = f"{split}: {num_strange:,} references name a tag that their dialogue lacks ({', '.join(strange[:3])})"
        make = warning if num_strange > _MANY * len(rows) else note
        yield make(text, "mend these rows: such a tag is learnt as an invention")


def profile_findings(module: EvaluatesProfiles, tables: Mapping[str, DialogueTable]) -> Iterator[Finding]:
    """Slices that name nothing, and presets whose `when` holds for no row, in the splits that are evaluated."""
    for split in [name for name in tables if name != "train"]:
        presets = module.decoding.router.presets
        for line in idle_conditions(presets, [row.profile for row in tables[split]], split=split):
            yield warning(line, "name the column in data.columns.profile, or take the preset out of model.presets")
        try:
            check_slice_columns(module.evaluation.slices, tables[split], split=split)
        except ValueError as error:
            yield broken(str(error), "--model.slices null, or columns that there are")


def outside_findings(
    rows: Mapping[str, Sequence[Dialogue]], *, settings: ConstraintSettings, is_set: bool
) -> Iterator[Finding]:
    """References that the charset would forbid, allowing what stands in each row's own dialogue.

    The rows are by split; `is_set` says whether `settings` are the config's own or the default ones.
    """
    scan = ReferenceScan(settings)
    for split, dialogues in rows.items():
        for dialogue in dialogues:
            scan.add(dialogue, split=split)
    for split in scan.num_rows:
        totals = [entry for (name, _), entry in scan.totals.items() if name == split]
        number, num_all = (sum(getattr(entry, name) for entry in totals) for name in ("num_outside", "num_references"))
        text = f"{split}: {number:,} of {num_all:,} references hold characters outside '{settings.charset}'"
        words = [(word, tally.rows[split]) for word, tally in by_frequency(scan.outside_words) if tally.rows[split]]
        found = ", ".join(f"{word} {rows:,}" for word, rows in words[:_NUM_SHOWN])
        text += f": {found}{', …' if len(words) > _NUM_SHOWN else ''}" if number else ""
        remedy = "python -m kosum_pl charset shows them, and what to allow"
        yield warning_if(is_set and number > _MANY * num_all, text, remedy, otherwise="note" if number else "ok")


def constraint_findings(settings: ConstraintSettings | None, encoder: Encoder) -> Iterator[Finding]:
    """Whether the config's constraint is on, and can be built for this tokenizer."""
    if settings is None:
        remedy = "to hold summaries to Korean: --model.constraint.kind automaton"
        yield note("off: anything the tokenizer can write may be said", remedy)
        return
    try:
        settings.build(encoder.tokenizer, eos_token_ids=encoder.terminator_ids)
    except ValueError as error:
        yield broken(f"cannot be built: {error}", "--model.constraint null, or a model with another tokenizer")
    else:
        yield ok(str(settings))
