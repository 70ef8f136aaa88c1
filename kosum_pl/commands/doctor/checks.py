"""All checks of `doctor` in the order of its page, each fed with what it needs.

In: a checked command line. Out: a `DoctorReport`. A part that cannot be built (the module, the data) is a finding, and
what does not depend on it is looked at all the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from kosum_pl.cli.arguments import Invocation
from kosum_pl.cli.parts import Parts, load_parts
from kosum_pl.commands.doctor.data import (
    constraint_findings,
    length_findings,
    measure_lengths,
    outside_findings,
    profile_findings,
    table_findings,
    tag_findings,
)
from kosum_pl.commands.doctor.finding import Finding, attempt, note, worst_level
from kosum_pl.commands.doctor.language import MAX_TEXTS, language_findings, measure, measure_neighbours
from kosum_pl.commands.doctor.machine import machine_findings, read_machine
from kosum_pl.commands.doctor.mask import (
    batch_findings,
    count_mask,
    dropped_findings,
    mask_findings,
    pieces,
    prompt_findings,
)
from kosum_pl.commands.doctor.reachability import MAX_REFERENCES, reachability_findings
from kosum_pl.commands.doctor.report import DoctorReport, MaskedRow
from kosum_pl.commands.doctor.template import template_findings
from kosum_pl.commands.doctor.tokens import ModelFiles, read_model_files, token_findings
from kosum_pl.commands.doctor.versions import installed_version, shipped_pins, version_findings
from kosum_pl.data import spread_rows
from kosum_pl.decode import ConstraintSettings
from kosum_pl.decode.constraint.table_cache import default_cache_dir
from kosum_pl.runs.reachability import measure_fit
from kosum_pl.types import Dialogue, EncodedExample

MAX_ROWS: Final = 20_000
"""Rows of a split that are looked at one by one."""
_NUM_PROMPTS: Final = 200
_NUM_BATCHED: Final = 8


def examine(invocation: Invocation) -> DoctorReport:
    """Check everything that a `fit` of this command line would use.

    Raises:
        ValueError: The config cannot be parsed; what it names and cannot be built is a finding.
    """
    report = DoctorReport(config_name=invocation.config_name)
    parts, faults = attempt(lambda: load_parts(invocation))
    config = parts.config if parts is not None else {}
    report.add("versions", version_findings(shipped_pins()))
    report.add("machine", machine_findings(read_machine(_folders(invocation, config)), config))
    report.add("config", faults)
    if parts is None:
        return report
    report.add("machine", _load_findings(parts))
    _examine_tokens(report, parts)
    _, faults = attempt(lambda: parts.datamodule.setup("fit"))
    report.add("data", faults)
    if not faults:
        _examine_rows(report, parts)
    constraint = list(constraint_findings(parts.module.decoding.constraint, parts.module.encoder))
    report.add("constraint", constraint)
    if not faults and worst_level(constraint) != "broken":  # nothing is said under a constraint that cannot be built
        _examine_reachability(report, parts)
    return report


def _load_findings(parts: Parts) -> list[Finding]:
    """Whether bitsandbytes, where it is asked for, can also be loaded beside this torch and CUDA."""
    import torch

    source = parts.module.source
    if source.quantization == "none" or installed_version("bitsandbytes") is None:  # the machine's checks say so
        return []
    return attempt(lambda: source.quantizer.config(dtype=torch.bfloat16))[1]


def _folders(invocation: Invocation, config: Mapping[str, Any]) -> dict[str, Path]:
    """Where a run writes and reads much, by name."""
    hub = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    cache_dir = (config.get("data") or {}).get("cache_dir") or default_cache_dir()
    return {"runs": invocation.runs_dir, "cached rows": Path(cache_dir), "the hub's cache": Path(hub)}


def _examine_tokens(report: DoctorReport, parts: Parts) -> None:
    module, source = parts.module, parts.module.source
    report.add("template", template_findings(module.encoder))
    found, faults = attempt(lambda: read_model_files(source.model_name))
    report.add("special tokens", faults)
    files = found or ModelFiles(name=source.model_name)
    files = replace(files, config={**files.config, **(source.config_overrides or {})})
    presets = module.decoding.router.candidates
    findings = token_findings(files, encoder=module.encoder, presets=presets, is_random=source.random_init)
    report.add("special tokens", findings)
    report.add("special tokens", map(note, module.notes))


def _examine_rows(report: DoctorReport, parts: Parts) -> None:
    tables, encoded, encoder = parts.datamodule.tables, parts.datamodule.encoded, parts.module.encoder
    limits = parts.datamodule.limits
    chosen = {split: spread_rows(len(table), MAX_ROWS) for split, table in tables.items()}
    dialogues = {split: [table[index] for index in chosen[split]] for split, table in tables.items()}
    examples = {split: [encoded[split][index] for index in chosen[split]] for split in tables}
    _examine_language(report, parts, dialogues["train"])
    max_positions = parts.module.max_positions()
    _examine_mask(report, parts, dialogues["train"], examples["train"], max_positions=max_positions)
    for split, rows in examples.items():
        report.lengths += measure_lengths(rows, split=split, is_causal=encoder.is_causal, limits=limits)
    report.add("data", table_findings(tables))
    report.add("data", map(note, parts.datamodule.splits.limit_lines))
    findings = length_findings(
        report.lengths,
        presets=parts.module.decoding.router.candidates,
        max_positions=max_positions,
        is_causal=encoder.is_causal,
    )
    report.add("data", findings)
    report.add("data", profile_findings(parts.module, tables))
    for split, seen in dialogues.items():
        report.add("data", tag_findings(seen, split=split))
    settings = parts.module.decoding.constraint
    report.add("data", outside_findings(dialogues, settings=settings or ConstraintSettings(), is_set=bool(settings)))
    report.add("data", _sample_findings({split: (len(rows), len(tables[split])) for split, rows in dialogues.items()}))


def _examine_language(report: DoctorReport, parts: Parts, rows: Sequence[Dialogue]) -> None:
    texts = list(islice((text for row in rows for text in row.references), MAX_TEXTS))
    model_name, tokenizer = parts.module.source.model_name, parts.module.encoder.tokenizer
    own = measure(tokenizer, texts, name=report.config_name, model_name=model_name)
    others = measure_neighbours(model_name, texts)
    report.language = [own, *others]
    report.add("language fit", language_findings(own, others))


def _examine_mask(
    report: DoctorReport,
    parts: Parts,
    rows: Sequence[Dialogue],
    examples: Sequence[EncodedExample],
    *,
    max_positions: int | None,
) -> None:
    encoder, limits, encoded = parts.module.encoder, parts.datamodule.limits, parts.datamodule.encoded["train"]
    report.counts = count_mask(examples, encoder=encoder, learns_history=limits.supervised_turns == "all")
    sample = [(rows[index], examples[index]) for index in spread_rows(len(rows), _NUM_PROMPTS)]
    report.add("mask", mask_findings(report.counts, encoder=encoder, max_positions=max_positions))
    report.add("mask", dropped_findings(parts.datamodule.splits.dropped, max_positions=max_positions))
    report.add("mask", batch_findings(examples[:_NUM_BATCHED], encoder=encoder))
    report.add("mask", prompt_findings(sample, encoder=encoder, limits=limits))
    # The shortest row, one of the usual length, and the longest.
    order = np.argsort(encoded.lengths, kind="stable")
    for index in dict.fromkeys(int(order[rank]) for rank in (0, len(order) // 2, -1)):
        example = encoded[index]
        report.rows.append(MaskedRow(example_id=example.example_id, pieces=pieces(example, encoder=encoder)))


def _examine_reachability(report: DoctorReport, parts: Parts) -> None:
    found, faults = attempt(lambda: measure_fit(parts.datamodule, parts.module, max_rows=MAX_REFERENCES))
    report.reachability = found or {}
    report.add("reachability", [*faults, *reachability_findings(report.reachability)])


def _sample_findings(numbers: Mapping[str, tuple[int, int]]) -> Iterator[Finding]:
    for split, (seen, number) in numbers.items():
        if seen < number:
            yield note(f"{split}: {seen:,} of {number:,} rows were looked at, spread evenly")
