"""Which exceptions are a user's, and the line that each gets."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.fabric.utilities.exceptions import MisconfigurationException

from kosum_pl.errors import UsageError, is_out_of_memory, memory_statement, user_error_line
from kosum_pl.files import read_json_lines, write_atomically
from kosum_pl.lookup import find_config
from tests.memory_errors import CPU_MESSAGE, CUBLAS_MESSAGE, cuda_error, exhaust_cpu

PLACES = "free space, or name another place (--runs_dir, KOSUM_CACHE, TMPDIR)"
FULL, USED_UP = f"full: {PLACES}", f"used up: {PLACES}"


def raised(action: Callable[[], object]) -> BaseException:
    """The error of something that fails, with its traceback."""
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UsageError("a\n b"), "a b"),
        (MisconfigurationException("no such accelerator"), "no such accelerator"),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "/a: Permission denied; change its permissions"),
        (OSError(errno.EROFS, "Read-only file system", "/a"), "/a: Read-only file system; name a place"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 900), f"{'x' * 200}…: File name too long; write"),
        (OSError(errno.EMFILE, "Too many open files", "/a"), "/a: Too many open files; too many files are open"),
        (OSError(errno.EISDIR, "Is a directory", ".a-tmp", None, "/a"), "/a: Is a directory; a folder stands where"),
        (OSError(errno.ENOSPC, "No space left on device", "/a"), f"/a: No space left on device; the disk is {FULL}"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/a"), f"/a: Disk quota exceeded; the quota is {USED_UP}"),
        (OSError(errno.ENOSPC, "No space left on device"), f"[Errno 28] No space left on device; the disk is {FULL}"),
        (sqlite3.OperationalError("database or disk is full"), f"database or disk is full; the disk is {FULL}"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", b"/a"), "/a: Not a directory; a file stands where"),
        (
            RuntimeError("[/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:7593. This is"),
            "another process of this run has ended (connection closed by peer); why stands in its own output",
        ),
        (
            RuntimeError("NCCL error: remote process exited or there was a network error, NCCL version 2.21"),
            "another process of this run has ended (remote process exited); why",
        ),
    ],
)
def test_a_users_error_has_a_line(error: BaseException, line: str) -> None:
    assert (user_error_line(error) or "").startswith(line)


@pytest.mark.parametrize(
    ("error", "statement"),
    [
        (cuda_error(), "Tried to allocate 2.00 GiB"),
        (RuntimeError(CPU_MESSAGE), "you tried to allocate 1125899906842624 bytes"),
        (raised(exhaust_cpu), "you tried to allocate 1125899906842624 bytes"),
        (RuntimeError(CUBLAS_MESSAGE), CUBLAS_MESSAGE),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be …"), "CUDA error: out of memory"),
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "[Errno 12] Cannot allocate memory"),
    ],
)
def test_memory_that_runs_out_is_the_users_to_mend(error: BaseException, statement: str) -> None:
    assert is_out_of_memory(error)
    assert memory_statement(error) == statement
    assert (user_error_line(error) or "").startswith(f"memory ran out ({statement}): end what else uses it, or take")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED."),
        OSError(errno.ENOSPC, "No space left on device"),
        UsageError("row dev_1 alone does not fit into memory (CUDA out of memory)"),
    ],
)
def test_other_errors_are_not_of_memory(error: BaseException) -> None:
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [KeyError("x"), RuntimeError("x"), TypeError("x"), ValueError("x"), FileNotFoundError(errno.ENOENT, "none", "/a")],
)
def test_a_defect_has_none(error: BaseException) -> None:
    assert user_error_line(error) is None


def test_what_the_system_refuses_while_a_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    for path, said in (
        (tmp_path / "file" / "a.json", "a file stands where a folder is meant"),
        (tmp_path / "folder", "a folder stands where a file is meant"),
        (tmp_path / ("가" * 200), "write a shorter name"),
    ):
        line = user_error_line(raised(lambda path=path: write_atomically(path, "x")))  # type: ignore[misc]
        assert line is not None
        assert said in line


def test_where_a_value_error_was_raised_tells_a_user_from_a_defect(tmp_path: Path) -> None:
    assert user_error_line(raised(lambda: find_config("nope"))) is not None
    assert user_error_line(raised(lambda: json.loads("{"))) is None
    (tmp_path / "a.jsonl").write_text("{", encoding="utf-8")
    line = user_error_line(raised(lambda: read_json_lines(tmp_path / "a.jsonl")))
    assert line is not None
    assert os.fspath(tmp_path / "a.jsonl:1") in line
