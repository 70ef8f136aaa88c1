"""Run directories as a run would leave them, with texts that would break a careless page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.metrics.rows import prediction

NASTY = "</script><b id='planted'>굵게</b><!-- & \u2028 \"따옴표\" \\u003c"
Row = dict[str, Any]


def row(number: int, *, text: str, reference: str | None = "비가 온다.", **changed: Any) -> Row:
    known = prediction(
        text,
        () if reference is None else [reference],
        example_id=f"dev_{number}",
        dialogue=f"#Person1#: 비가 와요. {number}\n#Person2#: 그래요?",
        profile={"weekday": str(number % 7 + 1)},
    )
    return {**asdict(known), "summary": text, **changed}


def write_run(
    folder: Path, rows: Sequence[Row], metrics: Mapping[str, Any] | None = None, files: Mapping[str, Any] | None = None
) -> Path:
    """A folder with predictions, scores, a config and further files: texts, or values that become JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"rouge_tokenizer": "space", "stage": "fit", "num_rows": len(rows), **(metrics or {})}
    config = "data:\n  seed: 1\nlineage: []\n"
    own = {"predictions.jsonl": list(rows), "metrics.json": values, "config.yaml": config}
    for name, content in (own | dict(files or {})).items():
        lines = content if isinstance(content, list) else [content]
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (folder / name).write_text("\n".join(texts) + "\n", encoding="utf-8")
    return folder


ROWS = (
    row(0, text="비가 온다."),
    row(1, text="비가 많이 온다."),
    row(2, text="눈이 온다.", raw_text="눈이 雨 온다."),
    row(3, text="#Person2#가 #Person1#에게 간다.", reference="#Person1#이 #Person2#에게 간다."),
    row(4, text=NASTY, dialogue=NASTY, reference=NASTY, profile={"weekday": NASTY}),
    row(5, text=""),
)
