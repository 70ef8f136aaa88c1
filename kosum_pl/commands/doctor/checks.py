"""All checks of `doctor` in the order of its page, each fed with what it needs.

In: a checked command line. Out: a `DoctorReport`. A part that cannot be built (the module, the data) is a finding, and
what does not depend on it is looked at all the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
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
    table_findings,
    tag_findings,
)
from kosum_pl.commands.doctor.finding import Finding, attempt
from kosum_pl.commands.doctor.language import MAX_TEXTS, language_findings, measure, measure_neighbours
from kosum_pl.commands.doctor.machine import machine_findings, read_machine
from kosum_pl.commands.doctor.mask import batch_findings, count_mask, mask_findings, pieces, prompt_findings
from kosum_pl.commands.doctor.report import DoctorReport, MaskedRow
from kosum_pl.commands.doctor.template import template_findings
from kosum_pl.commands.doctor.tokens import ModelFiles, read_model_files, token_findings
from kosum_pl.commands.doctor.versions import installed_version, pinned_versions, version_findings
from kosum_pl.decode import ConstraintSettings
from kosum_pl.decode.constraint.table_cache import default_cache_dir
from kosum_pl.encode import TokenLimits
from kosum_pl.encode.table import EncodedTable, encode_table
from kosum_pl.types import Dialogue, EncodedExample

MAX_ROWS: Final = 20_000
"""Rows of a split that are looked at one by one."""
_NUM_PROMPTS: Final = 200
_NUM_BATCHED: Final = 8


def examine(invocation: Invocation) -> DoctorReport:
    """Check everything that a `fit` of this command line would use.

    Args:
        invocation: From `read_arguments`.

    Raises:
        ValueError: The config cannot be parsed; what it names and cannot be built is a finding.
    """
    report = DoctorReport(config_name=invocation.config_name)
    parts, faults = attempt("config", lambda: load_parts(invocation))
    config = parts.config if parts is not None else {}
    report.findings += version_findings(pinned_versions())
    machine = read_machine(_folders(invocation, config))
    report.findings += machine_findings(machine, config)
    report.findings += faults
    if parts is None:
        return report
    report.findings += _load_findings(parts)
    files = _examine_tokens(report, parts)
    _, faults = attempt("data", lambda: parts.datamodule.setup("fit"))
    if faults:
        report.findings += faults
    else:
        _examine_rows(report, parts, files)
    constraint, encoder = parts.module.decoding.constraint, parts.module.encoder

    def build() -> object:
        assert constraint is not None
        return constraint.build(encoder.tokenizer, eos_token_ids=encoder.terminator_ids)

    report.findings += constraint_findings(constraint, build)
    return report


def _load_findings(parts: Parts) -> list[Finding]:
    """Whether bitsandbytes, where it is asked for, can also be loaded beside this torch and CUDA."""
    import torch

    source = parts.module.source
    if source.quantization == "none" or installed_version("bitsandbytes") is None:  # the machine's checks say so
        return []
    return attempt("machine", lambda: source.quantizer.config(dtype=torch.bfloat16))[1]


def _folders(invocation: Invocation, config: Mapping[str, Any]) -> dict[str, Path]:
    """Where a run writes and reads much, by name."""
    hub = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    return {"runs": invocation.runs_dir, "cached rows": _cache_dir(config), "the hub's cache": Path(hub)}


def _cache_dir(config: Mapping[str, Any]) -> Path:
    given = (config.get("data") or {}).get("cache_dir")
    return Path(given).expanduser() if given else default_cache_dir()


def _examine_tokens(report: DoctorReport, parts: Parts) -> ModelFiles:
    module = parts.module
    report.findings += template_findings(module.encoder)
    overrides = dict(module.source.config_overrides or {})
    files, faults = attempt("special tokens", lambda: read_model_files(module.source.model_name))
    report.findings += faults
    files = files or ModelFiles(place=module.source.model_name, config={}, generation={})
    files = ModelFiles(
        place=files.place,
        is_found=files.is_found,
        has_weights=files.has_weights,
        config={**files.config, **overrides},
        generation=files.generation,
    )
    report.findings += token_findings(
        files,
        encoder=module.encoder,
        presets=module.decoding.router.candidates,
        is_random=module.source.random_init,
    )
    report.findings += [Finding(area="special tokens", level="note", text=note) for note in module.notes]
    return files


def _examine_rows(report: DoctorReport, parts: Parts, files: ModelFiles) -> None:
    tables, encoder, limits = (
        parts.datamodule.tables,
        parts.module.encoder,
        TokenLimits.from_config(parts.config["data"]),
    )
    # Encoded by `setup` a moment ago: read from the cache.
    encoded = {
        split: encode_table(
            table, encoder=encoder, limits=limits, with_summary=True, cache_dir=_cache_dir(parts.config)
        )
        for split, table in tables.items()
    }
    places = {split: _spread(len(table), MAX_ROWS) for split, table in tables.items()}
    examples = {split: [rows[place] for place in places[split]] for split, rows in encoded.items()}
    dialogues = {split: [table[place] for place in places[split]] for split, table in tables.items()}
    _examine_language(report, parts, dialogues["train"])
    _examine_mask(report, parts, dialogues["train"], examples["train"], encoded["train"])
    for split, found in examples.items():
        report.lengths += measure_lengths(
            found,
            split=split,
            part="prompt" if encoder.is_causal else "source",
            max_source_tokens=limits.max_source_tokens,
            max_summary_tokens=limits.max_summary_tokens,
        )
    settings = parts.module.decoding.constraint
    report.findings += [
        *table_findings(tables),
        *length_findings(
            report.lengths,
            presets=parts.module.decoding.router.candidates,
            max_positions=_positions(files),
            is_causal=encoder.is_causal,
        ),
        *(finding for split, rows in dialogues.items() for finding in tag_findings(rows, split=split)),
        *outside_findings(dialogues, settings=settings or ConstraintSettings(), is_set=settings is not None),
        *_sample_findings({split: (len(rows), len(tables[split])) for split, rows in dialogues.items()}),
    ]


def _examine_language(report: DoctorReport, parts: Parts, rows: Sequence[Dialogue]) -> None:
    texts = list(islice((text for row in rows for text in row.references), MAX_TEXTS))
    model_name, tokenizer = parts.module.source.model_name, parts.module.encoder.tokenizer
    own = measure(tokenizer, texts, name=report.config_name, model_name=model_name)
    others = measure_neighbours(model_name, texts)
    report.language = [own, *others]
    report.findings += language_findings(own, others)


def _examine_mask(
    report: DoctorReport,
    parts: Parts,
    rows: Sequence[Dialogue],
    examples: Sequence[EncodedExample],
    encoded: EncodedTable,
) -> None:
    encoder, limits = parts.module.encoder, TokenLimits.from_config(parts.config["data"])
    report.counts = count_mask(examples, encoder=encoder, learns_history=limits.supervised_turns == "all")
    sample = [(rows[place], examples[place]) for place in _spread(len(rows), _NUM_PROMPTS)]
    report.findings += [
        *mask_findings(report.counts, encoder=encoder),
        *batch_findings(examples[:_NUM_BATCHED], encoder=encoder),
        *prompt_findings(sample, encoder=encoder, limits=limits),
    ]
    shown = [encoded[place] for place in _shown_places(encoded)]
    report.rows = [
        MaskedRow(example_id=example.example_id, pieces=pieces(example, encoder=encoder)) for example in shown
    ]


def _shown_places(encoded: EncodedTable) -> list[int]:
    """The shortest row, one of the usual length, and the longest."""
    order = np.argsort(encoded.lengths, kind="stable")
    return list(dict.fromkeys(int(order[place]) for place in (0, len(order) // 2, len(order) - 1)))


def _positions(files: ModelFiles) -> int | None:
    found = files.config.get("max_position_embeddings")
    return found if isinstance(found, int) else None


def _spread(num_all: int, num_wanted: int) -> list[int]:
    """Places of at most so many rows, spread evenly over all.

    Example:
        >>> _spread(10, 4), _spread(2, 4)
        ([0, 3, 6, 9], [0, 1])
    """
    return list(dict.fromkeys(int(place) for place in np.linspace(0, num_all - 1, min(num_all, num_wanted)).round()))


def _sample_findings(numbers: Mapping[str, tuple[int, int]]) -> list[Finding]:
    return [
        Finding(area="data", level="note", text=f"{split}: {seen:,} of {number:,} rows were looked at, spread evenly")
        for split, (seen, number) in numbers.items()
        if seen < number
    ]
