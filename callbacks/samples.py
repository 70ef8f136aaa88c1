"""A few rows whose summaries one watches while they grow.

In: predictions of a validation. Out: always the same rows of them, as lines of a file and as a Markdown table. Rows are
chosen by a hash of their ids: neither their order nor their number, nor a random state that a resume would have to
restore, decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kosum_pl.types import Prediction

COLUMNS = ("dialogue", "reference", "prediction")


def choose_samples(predictions: Sequence[Prediction], *, num_samples: int, seed: int) -> list[Prediction]:
    """At most `num_samples` rows to watch, in an order of their own; another seed chooses others."""
    by_id = {prediction.example_id: prediction for prediction in reversed(predictions)}
    chosen = sorted(by_id, key=lambda example_id: hashlib.sha256(f"{seed}:{example_id}".encode()).digest())
    return [by_id[example_id] for example_id in chosen[:num_samples]]


def sample_lines(samples: Iterable[Prediction], *, step: int, epoch: int) -> list[dict[str, Any]]:
    """What the file keeps of a validation after `step` optimizer steps: whole texts."""
    return [
        {
            "step": step,
            "epoch": epoch,
            "example_id": sample.example_id,
            "dialogue": sample.dialogue,
            "reference": sample.references[0] if sample.references else "",
            "prediction": sample.text,
        }
        for sample in samples
    ]


def merge_lines(lines: Sequence[Mapping[str, Any]], added: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Lines in the order of their steps; a validation that is repeated replaces its lines.

    Example:
        >>> merge_lines([{"step": 1, "x": 1}, {"step": 2, "x": 2}], [{"step": 1, "x": 3}])
        [{'step': 1, 'x': 3}, {'step': 2, 'x': 2}]
    """
    replaced = {line["step"] for line in added}
    return sorted([*(line for line in lines if line["step"] not in replaced), *added], key=lambda line: line["step"])


def shorten(text: str, max_characters: int) -> str:
    """The head of a text, with an ellipsis where something was cut.

    Example:
        >>> shorten("#Person1#: 안녕하세요!", 13), shorten("짧다", 13)
        ('#Person1#: 안…', '짧다')
    """
    return text if len(text) <= max_characters else f"{text[: max_characters - 1].rstrip()}…"


def markdown_table(lines: Iterable[Mapping[str, Any]], *, max_characters: int) -> str:
    r"""Sample lines as a Markdown table, one row each.

    Example:
        >>> line = {"example_id": "a", "dialogue": "안녕|\n네", "reference": "인사", "prediction": "<b>"}
        >>> print(markdown_table([line], max_characters=20))
        | id | dialogue | reference | prediction |
        | --- | --- | --- | --- |
        | a | 안녕\|<br>네 | 인사 | &lt;b&gt; |
    """
    rows = [["id", *COLUMNS], ["---"] * (1 + len(COLUMNS))]
    rows += [
        [_cell(line["example_id"]), *(_cell(shorten(line[name], max_characters)) for name in COLUMNS)] for line in lines
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _cell(text: str) -> str:
    for old, new in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\\", "\\\\"), ("|", "\\|")):
        text = text.replace(old, new)
    return "<br>".join(text.splitlines())
