from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.trainer.states import RunningStage

from kosum_pl.runs.memory_watch import MemoryWatch, part_of_step
from tests.memory_errors import cuda_error


def batch_of(num_rows: int, *, width: int = 1_024, num_targets: int | None = 96) -> Any:
    labels = None if num_targets is None else torch.zeros(num_rows, num_targets)
    ids = tuple(f"row_{number}" for number in range(num_rows))
    return SimpleNamespace(example_ids=ids, input_ids=torch.zeros(num_rows, width), labels=labels)


def problem_at(batch: Any, *, error: Exception | None = None) -> str:
    trainer: Any = SimpleNamespace(global_step=1_233, state=SimpleNamespace(stage=RunningStage.TRAINING))
    module: Any = None
    watch = MemoryWatch()
    watch.on_train_start(trainer, module)
    if batch is not None:
        watch.on_train_batch_start(trainer, module, batch, 0)
    watch.on_exception(trainer, module, error or cuda_error())
    return watch.problem


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (batch_of(2), "a batch of 2 rows x 1,024 tokens and summaries of 96 (rows row_0, row_1)"),
        (batch_of(1, num_targets=1_024), "a batch of 1 row x 1,024 tokens (row row_0)"),
        (batch_of(8, num_targets=None), f"8 rows x 1,024 tokens (rows {', '.join(f'row_{n}' for n in range(8))})"),
        (batch_of(1_009), f"(rows {', '.join(f'row_{n}' for n in range(8))} and 1,001 more)"),
    ],
    ids=["two", "one", "eight", "many"],
)
def test_a_batch_is_named_by_its_shape_and_its_first_rows(batch: Any, words: str) -> None:
    assert problem_at(batch).startswith("memory ran out at step 1,234 (Tried to allocate 2.00 GiB), at ")
    assert problem_at(batch).endswith(words)


def test_between_batches_there_is_none_to_name() -> None:
    error = MemoryError(
        "Caught MemoryError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):"
    )
    said = "memory ran out between batches, after step 1,233 (Caught MemoryError in DataLoader worker process 0.)"
    assert problem_at(None, error=error) == said


def test_no_tensor_of_a_batch_lives_longer() -> None:
    watch, module = MemoryWatch(), None
    watch.on_train_batch_start(None, module, batch_of(3), 0)  # type: ignore[arg-type]
    assert not any(isinstance(value, torch.Tensor) for value in vars(watch).values())
    assert watch._noted is not None
    assert (watch._noted.shape, watch._noted.example_ids) == (
        "3 rows x 1,024 tokens and summaries of 96",
        ("row_0", "row_1", "row_2"),
    )


def test_another_error_is_none_of_its_business() -> None:
    assert problem_at(batch_of(2), error=RuntimeError("CUDA error: device-side assert triggered")) == ""


def test_an_error_outside_of_a_step_is_in_no_part_of_one() -> None:
    assert part_of_step(cuda_error()) == ""
