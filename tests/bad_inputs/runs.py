"""Runs whose files are torn, of something else, or not there, for the commands that read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.bad_inputs.row import BadInput, fit

_TIME = "2026-11-22_10-00-00"
_GATE = ("gate", "runs/tiny/latest", "--rules", "rules.yaml")
_REPORT = ("report", "runs/tiny/latest")
_BEST = ("validate", *fit("--ckpt_path", "best")[1:])


def _run(files: Mapping[str, str | bytes], *, latest: str = _TIME) -> Callable[[Path], None]:
    """Makes a run of these files, a link to it, and a file of rules."""

    def make(work: Path) -> None:
        folder = work / "runs" / "tiny" / _TIME
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        (folder.parent / "latest").symlink_to(latest)
        (work / "rules.yaml").write_text("- val/rouge_sum >= 0\n", encoding="utf-8")

    return make


_METRICS = {
    "half": ('{"val/rouge_sum": 1.0, "best_check', "line 1"),
    "zeros": (b"\0" * 40, "line 1"),
    "a list": ("[1, 2]", "no mapping"),
    "deep": ("[" * 100_000, "recursion"),
}


def _rows() -> Iterator[BadInput]:
    for name, (content, said) in _METRICS.items():
        make = _run({"metrics.json": content})
        yield BadInput(name=f"gate, metrics.json: {name}", words=_GATE, says=("metrics.json is no", said), make=make)
        said = f"{_TIME}/metrics.json cannot be read ("
        yield BadInput(name=f"best, metrics.json: {name}", words=_BEST, says=(said, "give last, or a file"), make=make)
    for name, latest in (("nowhere", "nowhere"), ("a circle", "latest")):
        make = _run({}, latest=latest)
        said = "latest"
        yield BadInput(name=f"gate, latest leads to {name}", words=_GATE, says=(said, "does not exist"), make=make)
        yield BadInput(name=f"report, latest leads to {name}", words=_REPORT, says=(said, "is no folder"), make=make)
        yield BadInput(name=f"best, latest leads to {name}", words=_BEST, says=(said, "run fit first"), make=make)
    yield BadInput(
        name="report, an empty run", words=_REPORT, says=("is no run: it has no metrics.json",), make=_run({})
    )
    yield BadInput(name="gate, a run without scores", words=_GATE, says=("has no metrics.json",), make=_run({}))
    yield BadInput(
        name="best, a run that names none",
        words=_BEST,
        says=("names no best checkpoint",),
        make=_run({"metrics.json": "{}"}),
    )
    yield BadInput(
        name="best, a checkpoint that is gone",
        words=_BEST,
        says=("checkpoints/x.ckpt does not exist",),
        make=_run({"metrics.json": '{"best_checkpoint": "checkpoints/x.ckpt"}'}),
    )
    yield BadInput(name="report, a run of no name", words=("report",), says=("report needs a run",))
    yield BadInput(name="gate, without rules", words=("gate", "runs"), says=("gate needs --rules",))


ROWS = [*_rows()]
