"""The file of a checkpoint: whole or not there, and what was written or refused."""

from __future__ import annotations

import os
import pickle
import random
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kosum_pl.checkpoints.content import NonFiniteWeightsError, read_checkpoint
from kosum_pl.checkpoints.file import AtomicCheckpointIO
from kosum_pl.errors import UsageError

CONTENT: dict[str, Any] = {
    "state_dict": {"w": torch.arange(600.0), "n": torch.arange(4)},
    "global_step": 7,
    "text": "가",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CONTENT, path)
    return path


def is_same(content: dict[str, Any]) -> bool:
    weights = content["state_dict"]
    return all(torch.equal(weights[name], value) for name, value in CONTENT["state_dict"].items()) and {
        name: content[name] for name in ("global_step", "text")
    } == {"global_step": 7, "text": "가"}


def test_what_is_loaded_is_what_was_saved(path: Path) -> None:
    assert is_same(read_checkpoint(path))
    assert is_same(AtomicCheckpointIO().load_checkpoint(path))
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_flipped_bit_is_refused_or_changes_nothing(path: Path) -> None:
    """Most of the bits that change nothing are padding, or names that are not read."""
    whole, chance = path.read_bytes(), random.Random(3)
    refusals = []
    for place in chance.sample(range(len(whole)), 300):
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        try:
            content = read_checkpoint(path)
        except UsageError as error:
            refusals.append(str(error))
        else:
            assert is_same(content), place
    assert len(refusals) > 200
    assert all(str(path) in refusal and "\n" not in refusal for refusal in refusals)


def test_a_flipped_weight_is_named(path: Path) -> None:
    whole = path.read_bytes()
    place = whole.index(torch.tensor([300.0, 301.0]).numpy().tobytes())
    path.write_bytes(whole[:place] + b"\1" + whole[place + 1 :])
    with pytest.raises(UsageError, match=r"last\.ckpt: it is damaged: .*/data/0 is not what was written; give another"):
        read_checkpoint(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_torn_file_is_refused(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UsageError, match=r"last\.ckpt: it is no checkpoint, or only a part of one"):
        read_checkpoint(path)


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("touch exploded",)


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/b.txt", "가")


NO_CHECKPOINTS: dict[str, Callable[[Path], object]] = {
    "folder": lambda path: path.mkdir(),
    "device": lambda path: path.symlink_to("/dev/null"),
    "text": lambda path: path.write_text("가나다"),
    "zip": _zip,
    "tensor": lambda path: torch.save(torch.ones(3), path),
    "dict": lambda path: torch.save({"weights": 1}, path),
    "number": lambda path: torch.save({"state_dict": 3}, path),
    "pickle": lambda path: path.write_bytes(pickle.dumps(Bomb())),
    "bomb": lambda path: torch.save({"state_dict": {}, "bomb": Bomb()}, path),
    "nothing": lambda path: None,
}


@pytest.mark.parametrize("name", NO_CHECKPOINTS)
def test_what_is_no_checkpoint_is_said_in_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.ckpt"
    NO_CHECKPOINTS[name](path)
    with pytest.raises(UsageError, match=r"x\.ckpt") as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_replace_nothing(path: Path, bad: float) -> None:
    weights = torch.arange(600.0)
    weights[599] = bad
    with pytest.raises(NonFiniteWeightsError, match=r"last\.ckpt: not written, as 'w' holds NaN or infinity"):
        AtomicCheckpointIO().save_checkpoint({**CONTENT, "state_dict": {"w": weights}}, path)
    assert is_same(read_checkpoint(path))
    torch.save({"state_dict": {"v": torch.ones(2), "w": weights}}, path)
    with pytest.raises(NonFiniteWeightsError, match="'w' holds NaN or infinity; give another checkpoint"):
        read_checkpoint(path)


def test_large_finite_weights_are_finite(path: Path) -> None:
    largest = torch.full((5,), torch.finfo(torch.float64).max, dtype=torch.float64)
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": largest}}, path)
    assert torch.equal(read_checkpoint(path)["state_dict"]["w"], largest)


@pytest.mark.parametrize("where", ["half", "before the name"])
def test_a_kill_while_writing_leaves_the_old_file(where: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def write_half(_: object, target: Path) -> None:
        target.write_bytes(path.read_bytes()[:2000])
        die()

    monkeypatch.setattr(torch, "save", write_half) if where == "half" else monkeypatch.setattr(os, "replace", die)
    pid = os.fork()
    if pid == 0:
        AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.zeros(600)}}, path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert is_same(read_checkpoint(path))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (RuntimeError("[enforce fail at inline_container.cc:676] . unexpected pos 64 vs 0"), "as on a full disk"),
    ],
)
def test_a_full_disk_leaves_the_old_file_and_says_so(
    error: Exception, reason: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UsageError, match=rf"last\.ckpt cannot be written \(.*{reason}\); the earlier file is as it"):
        AtomicCheckpointIO().save_checkpoint(CONTENT, path)
    assert is_same(read_checkpoint(path))
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]
