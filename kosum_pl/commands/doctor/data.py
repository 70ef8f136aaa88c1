"""The rows themselves: columns, lengths against the limits, tags, characters outside, leakage, duplicates.

In: tables of dialogues, their encoded lengths, the config's limits. Out: findings and a table of lengths. What is wrong
in the data shows in no loss curve.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kosum_pl.commands.doctor.finding import Finding, Level
from kosum_pl.data import DialogueTable, count_leakage
from kosum_pl.decode import ConstraintSettings, DecodingPreset
from kosum_pl.metrics.reference_scan import ReferenceScan, by_frequency
from kosum_pl.types import TAG_PATTERN, Dialogue, EncodedExample

_AREA: Final = "data"
_NUM_SHOWN: Final = 6
_MANY_OUTSIDE, _MANY_LONG, _MANY_TWICE = 0.01, 0.01, 0.01


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Lengths of one split's prompts, sources or summaries, in tokens, before anything was dropped.

    Attributes:
        split: The split.
        part: `prompt`, `source` or `summary`.
        p50: Median.
        p95: 95th percentile.
        longest: The longest.
        limit: What the config allows.
        num_over: Rows above it.
    """

    split: str
    part: str
    p50: int
    p95: int
    longest: int
    limit: int
    num_over: int


def measure_lengths(
    examples: Sequence[EncodedExample], *, split: str, part: str, max_source_tokens: int, max_summary_tokens: int
) -> list[Lengths]:
    """Lengths of a split, of what is read and of what is learnt.

    Args:
        examples: With labels.
        split: The split.
        part: `prompt` for causal models, `source` for encoder-decoders.
        max_source_tokens: Limit of the first.
        max_summary_tokens: Limit of the second, the terminator included.
    """
    read = [example.prompt_length + example.truncated_tokens for example in examples]
    learnt = [_summary_length(example, is_causal=part == "prompt") + example.cut_tokens for example in examples]
    return [
        _lengths(read, split=split, part=part, limit=max_source_tokens),
        _lengths(learnt, split=split, part="summary", limit=max_summary_tokens),
    ]


def _summary_length(example: EncodedExample, *, is_causal: bool) -> int:
    return len(example.labels) - (example.prompt_length if is_causal else 0)


def _lengths(lengths: Sequence[int], *, split: str, part: str, limit: int) -> Lengths:
    middle, high = np.percentile(lengths, [50, 95], method="higher")
    num_over = sum(length > limit for length in lengths)
    return Lengths(
        split=split,
        part=part,
        p50=int(middle),
        p95=int(high),
        longest=max(lengths),
        limit=limit,
        num_over=num_over,
    )


def length_findings(
    lengths: Sequence[Lengths], *, presets: Sequence[DecodingPreset], max_positions: int | None, is_causal: bool
) -> list[Finding]:
    """Lengths against the presets and the model's positions; the limits themselves are counted by the mask.

    Args:
        lengths: Of all splits.
        presets: Those that may serve a row.
        max_positions: Of the model; None where it has no such limit.
        is_causal: Whether prompt and summary share the positions.
    """
    findings = []
    summaries = [entry for entry in lengths if entry.part == "summary"]
    usual = max((entry.p95 for entry in summaries), default=0)
    for preset in presets:
        if preset.max_new_tokens < usual:
            stop = f"preset '{preset.name}' stops at {preset.max_new_tokens} tokens"
            text = f"{stop}, and one reference in twenty has {usual} or more"
            findings.append(_finding("warning", text, f"max_new_tokens: {usual} in configs/presets/{preset.name}.yaml"))
    if max_positions is None:
        return findings
    longest = {
        part: max((min(e.longest, e.limit) for e in lengths if e.part == part), default=0) for part in _parts(lengths)
    }
    needed = sum(longest.values()) if is_causal else max(longest.values(), default=0)
    if needed > max_positions:
        # Rotary positions go on behind the end, worse; a learnt table of positions has an end.
        together = "prompt and summary together" if is_causal else "source or summary"
        text = f"up to {needed} tokens, {together}, and the model has {max_positions} positions"
        remedy = f"lower --data.max_source_tokens and --data.max_summary_tokens to {max_positions} in all"
        findings.append(_finding("warning" if is_causal else "broken", text, remedy))
    return findings


def _parts(lengths: Sequence[Lengths]) -> list[str]:
    return list(dict.fromkeys(entry.part for entry in lengths))


def table_findings(tables: Mapping[str, DialogueTable]) -> list[Finding]:
    """Columns, dropped rows, leakage and duplicates.

    Args:
        tables: Rows by split.
    """
    findings = []
    for split, table in tables.items():
        columns = ", ".join(table.profile_columns) or "none"
        absent = f"; the files lack {', '.join(table.absent_columns)}" if table.absent_columns else ""
        findings.append(_finding("ok", f"{split}: {len(table):,} rows, profile columns: {columns}{absent}"))
        if table.num_rejected:
            findings.append(
                _finding("warning", f"{split}: {table.num_rejected:,} bad rows dropped", "see rejected.jsonl")
            )
        num_twice = len(table) - len({" ".join(text.split()) for text in table.texts()})
        if num_twice:
            level: Level = "warning" if num_twice > _MANY_TWICE * len(table) else "note"
            text = f"{split}: {num_twice:,} rows have a dialogue that stands there already"
            findings.append(_finding(level, text, "remove them" if level == "warning" else ""))
    if "val" not in tables:
        text = "there is no data.val_file: the best checkpoint cannot be chosen"
        return [*findings, _finding("warning", text, "--data.val_file FILE")]
    if "train" in tables:
        num_leaked = count_leakage(tables["train"], tables["val"])
        text = f"{num_leaked:,} dialogues of val stand in train too"
        remedy = "remove them from train: scores on them say nothing" if num_leaked else ""
        findings.append(_finding("warning" if num_leaked else "ok", text, remedy))
    return findings


def tag_findings(rows: Sequence[Dialogue], *, split: str) -> list[Finding]:
    """Tags in references, and those that the row's own dialogue does not hold.

    Args:
        rows: Of one split.
        split: The split.
    """
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
    findings = [_finding("ok", f"{split}: {share:.0%} of the references hold tags: {shown}")]
    if num_strange:
        text = f"{split}: {num_strange:,} references name a tag that their dialogue lacks ({', '.join(strange[:3])})"
        level: Level = "warning" if num_strange > _MANY_OUTSIDE * len(rows) else "note"
        findings.append(_finding(level, text, "mend these rows: such a tag is learnt as an invention"))
    return findings


def outside_findings(
    rows: Mapping[str, Sequence[Dialogue]], *, settings: ConstraintSettings, is_set: bool
) -> list[Finding]:
    """References that the charset would forbid, with what each row's own dialogue licenses.

    Args:
        rows: By split.
        settings: The constraint of the config, or the default one.
        is_set: Whether the config sets it.
    """
    scan = ReferenceScan(settings)
    for split, dialogues in rows.items():
        for dialogue in dialogues:
            scan.add(dialogue, split=split)
    findings = []
    for split in scan.num_rows:
        totals = [entry for (name, _), entry in scan.totals.items() if name == split]
        number, num_all = (sum(getattr(entry, name) for entry in totals) for name in ("num_outside", "num_references"))
        is_many = is_set and number > _MANY_OUTSIDE * num_all
        told = f"{split}: {number:,} of {num_all:,} references hold characters outside '{settings.charset}'"
        words = [(word, tally.rows[split]) for word, tally in by_frequency(scan.outside_words) if tally.rows[split]]
        found = ", ".join(f"{word} {rows:,}" for word, rows in words[:_NUM_SHOWN])
        text = told + (f": {found}{', …' if len(words) > _NUM_SHOWN else ''}" if number else "")
        remedy = "python -m kosum_pl charset shows them, and what to allow" if is_many else ""
        findings.append(_finding("warning" if is_many else "note" if number else "ok", text, remedy))
    return findings


def constraint_findings(settings: ConstraintSettings | None, build: Callable[[], object]) -> list[Finding]:
    """Whether the constraint is on, and can be built for this tokenizer.

    Args:
        settings: Of the config; None for no constraint.
        build: Builds it; raises a ValueError where that cannot be done.
    """
    area = "constraint"
    if settings is None:
        text = "off: anything the tokenizer can write may be said"
        return [
            Finding(
                area=area,
                level="note",
                text=text,
                remedy="to hold summaries to Korean: --model.constraint.kind automaton",
            )
        ]
    try:
        build()
    except ValueError as error:
        remedy = "--model.constraint null, or a model with another tokenizer"
        return [Finding(area=area, level="broken", text=f"cannot be built: {error}", remedy=remedy)]
    return [Finding(area=area, level="ok", text=str(settings))]


def _finding(level: Level, text: str, remedy: str = "") -> Finding:
    return Finding(area=_AREA, level=level, text=text, remedy=remedy)
