"""How a run's files are read, where they are not what they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from kosum_pl.runs.files import read_steps


def test_steps_up_to_the_one_that_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_steps(path, until_step=4) == []
    path.write_text('{"step": 2}\n\n{"step": 4}\n{"step": 6}\n', encoding="utf-8")
    assert read_steps(path, until_step=4) == [{"step": 2}, {"step": 4}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"step": 2}\n{"ste', r"metrics.jsonl:2: no JSON \(.*; mend that line, or take it out"),
        (b"\0\0", r"metrics.jsonl:1: no JSON"),
        ('{"a": "가'.encode()[:-1], r"metrics.jsonl:1: no JSON"),
        (b"[" * 100_000, r"metrics.jsonl:1: no JSON"),
        (b"[1]\n", r"metrics.jsonl:1: the line holds no object; mend it, or take it out"),
        (b'{"step": "x"}\n', r"metrics.jsonl: object 1 has no whole number under 'step'"),
        (b"{}\n", r"metrics.jsonl: object 1 has no whole number under 'step'"),
    ],
)
def test_a_line_that_is_none_is_named_with_what_to_do(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_steps(path, until_step=4)
