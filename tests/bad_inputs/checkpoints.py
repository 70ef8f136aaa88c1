"""Files that are no checkpoints, for every command that takes one. A pickle's code is never run."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from tests.bad_inputs.row import BadInput, fit

BOMB_MARK = "BOMBED"
"""A file that a pickle would make, were it unpickled."""


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {BOMB_MARK}",))


def _saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _zip(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


def _bytes() -> dict[str, tuple[Callable[[], bytes], str]]:
    """Content by name, and what the line says of it."""
    weights = {"model.x": torch.zeros(1000)}
    return {
        "empty": (lambda: b"", "is no checkpoint, or half of one"),
        "text": (lambda: b"weights", "is no checkpoint, or half of one"),
        "pickle bomb": (lambda: pickle.dumps(_Bomb()), "is no checkpoint, or half of one"),
        "half a checkpoint": (lambda: _saved({"state_dict": weights})[:2000], "is no checkpoint, or half of one"),
        "zip": (lambda: _zip("a.txt"), "it is no checkpoint ("),
        "zip like one": (lambda: _zip("archive/data.pkl"), "it is no checkpoint ("),
        "dict": (lambda: _saved({"a": 1}), "it holds no weights of a module (dict of a)"),
        "tensor": (lambda: _saved(torch.zeros(3)), "it holds no weights of a module (Tensor)"),
        "list of weights": (lambda: _saved({"state_dict": [1]}), "it holds no weights of a module"),
        "bomb in a checkpoint": (lambda: _saved({"state_dict": {}, "x": _Bomb()}), "it holds code, posix.system"),
    }


_COMMANDS = {
    "fit": fit("--ckpt_path", "bad.ckpt"),
    "validate": ("validate", *fit("--ckpt_path", "bad.ckpt")[1:]),
    "predict": ("predict", *fit("--ckpt_path", "bad.ckpt")[1:]),
    "export": ("export", *fit("--ckpt_path", "bad.ckpt")[1:], "--output", "out"),
    "summarize": ("summarize", *fit("--ckpt_path", "bad.ckpt")[1:], "dev.csv"),
    "tune": ("tune", *fit("--ckpt_path", "bad.ckpt")[1:], "--output", "preset.yaml"),
}
# What any command finds out in the same place is tried with one of them.
_OF_ALL = ("zip", "dict", "bomb in a checkpoint")


def _rows() -> Iterator[BadInput]:
    for kind, (content, said) in _bytes().items():
        for command, words in _COMMANDS.items():
            if command == "fit" or kind in _OF_ALL:
                yield BadInput(
                    name=f"{command}, {kind}",
                    words=words,
                    says=("bad.ckpt", said),
                    make=lambda work, content=content: (work / "bad.ckpt").write_bytes(content()),  # type: ignore[misc]
                )
    for command, words in _COMMANDS.items():
        yield BadInput(
            name=f"{command}, folder",
            words=words,
            says=("bad.ckpt is a folder, and no sharded checkpoint",),
            make=lambda work: (work / "bad.ckpt").mkdir(),
        )
    null = tuple(word.replace("bad.ckpt", "/dev/null") for word in _COMMANDS["fit"])
    yield BadInput(name="fit, a device", words=null, says=("/dev/null is no checkpoint",))
    start = fit("--init_from", "bad.ckpt")
    yield BadInput(name="init_from, text", words=start, says=("--init_from bad.ckpt",), files={"bad.ckpt": "weights"})
    yield BadInput(name="init_from, a device", words=fit("--init_from", "/dev/null"), says=("--init_from /dev/null",))
    yield BadInput(
        name="init_from, empty folder",
        words=start,
        says=("--init_from bad.ckpt: no checkpoint and no model.safetensors",),
        make=lambda work: (work / "bad.ckpt").mkdir(),
    )
    yield BadInput(name="fit, no such file", words=_COMMANDS["fit"], says=("'bad.ckpt' does not exist",))
    yield BadInput(name="fit, best of no run", words=fit("--ckpt_path", "best"), says=("run fit first",))
    yield BadInput(
        name="fit, weights alone",
        words=_COMMANDS["fit"],
        says=("holds weights alone", "give last.ckpt"),
        make=lambda work: _write_weights(work / "bad.ckpt"),
    )


def _write_weights(path: Path) -> None:
    torch.save({"state_dict": {"model.x": torch.zeros(1)}, "pytorch-lightning_version": "2.5.0"}, path)


ROWS = [*_rows()]
