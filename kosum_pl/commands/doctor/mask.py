"""What is learnt of a row and what is not: the mask, looked at instead of believed.

In: examples as training reads them, and the encoder as inference would use it. Out: counts, findings, and rows as
pieces of text with what each piece is for. Two scores in three that collapse after training do so here: a masked
terminator, a doubled BOS, a prompt at inference that differs from training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Literal

import numpy as np

from kosum_pl.commands.doctor.finding import Finding, broken, ok, warning_if
from kosum_pl.encode import CollateItem, Collator, Encoder, TokenLimits
from kosum_pl.encode.limit_rules import holding_limit
from kosum_pl.encode.long_rows import LongRows
from kosum_pl.types import IGNORE_INDEX, Dialogue, EncodedExample

_MAX_NAMED: Final = 3
_BY_LENGTH: Final = "mask by length, not by pad id"
_MANY_LONG: Final = 0.01
Kind = Literal["prompt", "supervised", "terminator", "masked"]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Neighbouring tokens of one kind.

    Attributes:
        kind: `prompt` (read, not learnt), `supervised`, `terminator` (learnt), or `masked`: behind the prompt and not
            learnt, which is a fault.
    """

    kind: Kind
    text: str
    num_tokens: int


@dataclass(kw_only=True)
class MaskCounts:
    """Counts over the rows that were looked at, and ids of rows.

    Attributes:
        num_supervised: Tokens that are learnt.
        num_truncated: Rows whose dialogue lost turns; `num_cut`: whose summary was cut.
        source_lengths: Tokens of the rows' prompts before that; `summary_lengths`: of their summaries.
        unended: Rows with a whole summary whose last label is no terminator.
        misended: Rows with a cut summary whose last label is one.
        doubled: Rows that begin with two BOS, or whose labels begin with one.
        shifted: Rows whose labels are not the ids beside them.
    """

    num_rows: int = 0
    num_supervised: int = 0
    num_truncated: int = 0
    num_cut: int = 0
    source_lengths: list[int] = field(default_factory=list)
    summary_lengths: list[int] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    misended: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unsupervised: list[str] = field(default_factory=list)
    learnt_prompts: list[str] = field(default_factory=list)
    shifted: list[str] = field(default_factory=list)


def count_mask(examples: Iterable[EncodedExample], *, encoder: Encoder, learns_history: bool = False) -> MaskCounts:
    """Count over rows as training reads them.

    `learns_history` says that earlier assistant turns, in the prompt, are learnt too.
    """
    counts, bos = MaskCounts(), encoder.tokenizer.bos_token_id
    for example in examples:
        ids, labels, name = list(example.input_ids), list(example.labels), example.example_id
        supervised = [label for label in labels if label != IGNORE_INDEX]
        counts.num_rows += 1
        counts.num_supervised += len(supervised)
        counts.num_truncated += example.truncated_tokens > 0
        counts.num_cut += example.cut_tokens > 0
        counts.source_lengths.append(example.prompt_length + example.truncated_tokens)
        counts.summary_lengths.append(len(labels) - example.prompt_length * encoder.is_causal + example.cut_tokens)
        if not supervised:
            counts.unsupervised.append(name)
        elif (labels[-1] in encoder.terminator_ids) == (example.cut_tokens > 0):
            (counts.misended if example.cut_tokens else counts.unended).append(name)
        if bos is not None and (ids[:2] == [bos, bos] or (not encoder.is_causal and labels[:1] == [bos])):
            counts.doubled.append(name)
        if not encoder.is_causal:
            continue
        if not learns_history and any(label != IGNORE_INDEX for label in labels[: example.prompt_length]):
            counts.learnt_prompts.append(name)
        if len(ids) != len(labels) or any(b not in (a, IGNORE_INDEX) for a, b in zip(ids, labels, strict=True)):
            counts.shifted.append(name)
    return counts


def mask_findings(counts: MaskCounts, *, encoder: Encoder, max_positions: int | None = None) -> Iterator[Finding]:
    """What the counts of `count_mask` mean; `max_positions` is None where the model has no such limit."""
    tokenizer, rows = encoder.tokenizer, counts.num_rows
    mean = counts.num_supervised / rows if rows else 0.0
    text = f"{counts.num_supervised:,} supervised tokens in {rows:,} rows, {mean:.0f} a row, the terminator included"
    yield ok(text) if counts.num_supervised else broken(text)
    is_eos = tokenizer.pad_token_id in encoder.terminator_ids
    reason = f": PAD is EOS ('{tokenizer.pad_token}'), and EOS is masked with it" if is_eos else ""
    unended = f"do not learn to stop, the last label is no terminator{reason}"
    for names, what, remedy in (
        (counts.unended, unended, _BY_LENGTH),
        (counts.misended, "learn to stop where their summary was cut", "nothing may follow a cut summary"),
        (counts.doubled, "begin with two BOS", "let the template or the tokenizer write BOS, not both"),
        (counts.unsupervised, "have nothing to learn", "raise data.max_summary_tokens, or drop them"),
        (counts.learnt_prompts, "learn their prompt", "labels of the prompt must be -100"),
        (counts.shifted, "have labels that are not the ids beside them", "labels must stand where their ids stand"),
    ):
        if names:
            yield broken(f"{len(names):,} of {rows:,} rows {what}{_named(names)}", remedy)
    if not counts.unended and counts.num_supervised:
        ends = " or ".join(f"'{tokenizer.convert_ids_to_tokens(token)}'" for token in encoder.terminator_ids)
        cut = f"; nothing follows the {counts.num_cut:,} cut ones" if counts.num_cut else ""
        yield ok(f"every whole summary ends with a terminator, {ends}{cut}")
    for number, part, what, lengths, option in (
        (counts.num_truncated, "dialogue", "dialogues truncated", counts.source_lengths, "--data.max_source_tokens"),
        (counts.num_cut, "summary", "summaries cut", counts.summary_lengths, "--data.max_summary_tokens"),
    ):
        text = f"{number:,} of {rows:,} {what} ({number / max(rows, 1):.1%})"
        remedy = long_remedy(part, option=option, lengths=lengths, max_positions=max_positions) if number else ""
        yield warning_if(number > 0 and number >= _MANY_LONG * rows, text, remedy)


def dropped_findings(dropped: Sequence[LongRows], *, max_positions: int | None) -> Iterator[Finding]:
    """Rows that train lost for their length."""
    for long in dropped:
        remedy = long_remedy(
            long.part, option=f"--{long.option}", lengths=long.lengths, max_positions=max_positions, is_dropped=True
        )
        is_bad = len(long.rows) >= _MANY_LONG * len(long.lengths)
        yield warning_if(is_bad, f"{long.dropped_line}, of {len(long.lengths):,}", remedy, otherwise="note")


def long_remedy(
    part: str, *, option: str, lengths: Sequence[int] | np.ndarray, max_positions: int | None, is_dropped: bool = False
) -> str:
    """The smallest limit that holds 99.5 % of the lengths, unless the model has fewer positions."""
    needed = holding_limit(np.asarray(lengths))
    if max_positions is None or needed <= max_positions:
        return f"{option} {needed} holds 99.5 %"
    least = "truncate" if part == "dialogue" else "cut"
    choice = f"--data.on_long_{part} {least if is_dropped else 'drop'}"
    return f"99.5 % take {needed:,} tokens, and the model has {max_positions:,} positions: {choice}, or another model"


def batch_findings(examples: Sequence[EncodedExample], *, encoder: Encoder) -> Iterator[Finding]:
    """Whether terminators are still learnt once a few rows of different lengths are padded into a batch."""
    pad = int(encoder.tokenizer.pad_token_id)
    collate = Collator(pad_token_id=pad, is_causal=encoder.is_causal, for_generation=False)
    labels = collate([CollateItem(example=example, row=row) for row, example in enumerate(examples)]).labels
    assert labels is not None, "training rows have labels"
    wanted = sum(label != IGNORE_INDEX for example in examples for label in example.labels)
    kept = int((labels != IGNORE_INDEX).sum())
    if wanted != kept:
        yield broken(f"padding a batch leaves {kept} of {wanted} labels", _BY_LENGTH)


def prompt_findings(
    rows: Sequence[tuple[Dialogue, EncodedExample]], *, encoder: Encoder, limits: TokenLimits
) -> Iterator[Finding]:
    """Whether inference would read, to the id, the prompts that training reads."""
    hashes = hashlib.sha256(), hashlib.sha256()
    differing = []
    for dialogue, example in rows:
        trained = list(example.input_ids[: example.prompt_length])
        asked = list(encoder.encode(dialogue, limits=limits, with_summary=False).input_ids)
        for digest, ids in zip(hashes, (trained, asked), strict=True):
            digest.update(repr(ids).encode())
        if trained != asked:
            differing.append(dialogue.example_id)
    training, inference = (digest.hexdigest()[:12] for digest in hashes)
    if differing:
        text = f"{len(differing)} of {len(rows)} prompts differ: training {training}, inference {inference}"
        yield broken(text + _named(differing), "encode both with the module's own encoder")
    else:
        yield ok(f"the ids of {len(rows)} prompts are the same in training ({training}) and at inference ({inference})")


def pieces(example: EncodedExample, *, encoder: Encoder) -> list[Piece]:
    """A row as text, cut where what a token is for changes."""
    ids, labels = list(example.input_ids), list(example.labels)
    if not encoder.is_causal:  # the source is read, the labels are a sequence of their own
        ids, labels = ids + labels, [IGNORE_INDEX] * len(ids) + labels
    marked = []
    for index, (token, label) in enumerate(zip(ids, labels, strict=True)):
        if label == IGNORE_INDEX:
            kind: Kind = "prompt" if index < example.prompt_length else "masked"
        else:
            kind = "terminator" if token in encoder.terminator_ids else "supervised"
        # A masked label of an encoder-decoder is no id.
        marked.append((kind, encoder.tokenizer.pad_token_id if token == IGNORE_INDEX else token))
    found = []
    for kind, group in groupby(marked, key=lambda pair: pair[0]):
        run = [token for _, token in group]
        text = encoder.tokenizer.decode(run, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        found.append(Piece(kind=kind, text=text, num_tokens=len(run)))
    return found


def _named(names: Sequence[str]) -> str:
    more = ", …" if len(names) > _MAX_NAMED else ""
    return f" ({', '.join(names[:_MAX_NAMED])}{more})"
