"""Optimizer steps of a run, against Lightning's own count."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import LightningDataModule, LightningModule
from torch.utils.data import DataLoader

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.modules.step_count import CountsTrainBatches, count_steps, limited_batches, num_training_steps
from tests.modules_fixtures import attached, quiet_trainer, small_module


class Data(LightningDataModule):
    """A data module that does not count."""

    def __init__(self, num_batches: int) -> None:
        super().__init__()
        self.num_batches = num_batches

    def train_dataloader(self) -> DataLoader[int]:
        return DataLoader(list(range(self.num_batches)), batch_size=1)  # type: ignore[arg-type]


class CountingData(Data):
    """One that does."""

    def num_train_batches(self) -> int:
        return self.num_batches


class Module(LightningModule):
    """Notes both counts, ours first, where a schedule is made, and ends the run there."""

    def training_step(self, batch: Any) -> None:
        raise AssertionError("nothing is trained here")

    def configure_optimizers(self) -> None:
        self.counted = num_training_steps(self.trainer)
        self.has_built = self.trainer.train_dataloader is not None
        self.lightnings = self.trainer.estimated_stepping_batches
        self.trainer.fit_loop.epoch_loop.max_steps = 0


def counts(data: Data, **settings: Any) -> Module:
    module = Module()
    quiet_trainer(**settings).fit(module, datamodule=data)
    return module


LIMITS: list[dict[str, Any]] = [
    {"limit_train_batches": 100},
    {"limit_train_batches": 0.3},
    {"limit_train_batches": 1.0},
    {"limit_train_batches": 1},
    {"limit_train_batches": 0.99},
    {},
    {"limit_train_batches": 3},
    {"overfit_batches": 2},
    {"overfit_batches": 0.5},
]
ENDS: list[dict[str, Any]] = [
    {"max_epochs": 1},
    {"max_epochs": 4},
    {"max_epochs": 0},
    {"max_epochs": -1},
    {"max_steps": 7},
    {"max_steps": 0},
    {"max_epochs": -1, "max_steps": 7},
    {"max_epochs": 4, "max_steps": 7},
    {"max_epochs": 4, "max_steps": 700},
    {"max_epochs": None},
    {"fast_dev_run": True},
    {"fast_dev_run": 3},
]
SIZES: list[dict[str, Any]] = [
    {"num_batches": 11, "accumulate_grad_batches": 4},
    {"num_batches": 5, "accumulate_grad_batches": 8},
]


@pytest.mark.parametrize("case", range(24))
def test_the_count_is_lightnings_own(case: int) -> None:
    """Every end of a run with both sizes, every limit with two or three ends."""
    settings = LIMITS[case % len(LIMITS)] | ENDS[case % len(ENDS)] | SIZES[case // len(ENDS)]
    module = counts(CountingData(settings.pop("num_batches")), **settings)
    assert module.counted == module.lightnings
    assert not module.has_built


def test_a_data_module_that_does_not_count_is_counted_by_lightning() -> None:
    module = counts(Data(11), accumulate_grad_batches=4, max_epochs=3)
    assert module.counted == module.lightnings == 9
    assert module.has_built


def test_loaders_without_a_data_module_are_counted_by_lightning() -> None:
    module = Module()
    quiet_trainer(max_epochs=3).fit(module, train_dataloaders=Data(11).train_dataloader())
    assert module.counted == 33
    assert module.has_built


@given(
    num_batches=st.integers(1, 60),
    accumulate=st.integers(1, 9),
    max_epochs=st.integers(1, 5),
    max_steps=st.one_of(st.just(-1), st.integers(1, 200)),
)
def test_the_count_is_that_of_a_loop(num_batches: int, accumulate: int, max_epochs: int, max_steps: int) -> None:
    steps = 0
    for _ in range(max_epochs):
        for batch in range(1, num_batches + 1):
            is_step = batch % accumulate == 0 or batch == num_batches
            if is_step and steps != max_steps:
                steps += 1
    found = count_steps(num_batches, accumulate_grad_batches=accumulate, max_epochs=max_epochs, max_steps=max_steps)
    assert found == steps


def test_a_run_without_an_end_has_infinitely_many() -> None:
    assert count_steps(5) == math.inf
    assert limited_batches(0, limit=1.0) == 0


@pytest.mark.parametrize("sizes", [{"batch_size": 8}, {"max_batch_tokens": 1500}], ids=str)
def test_the_data_module_counts_its_loaders_batches(
    sizes: dict[str, int], cut_demo: Callable[[int, int], dict[str, str]]
) -> None:
    data = SummarizationDataModule(**cut_demo(40, 4), num_workers=0, **sizes)  # type: ignore[arg-type]
    attached("fit", small_module("seq2seq"), data)
    assert isinstance(data, CountsTrainBatches)
    assert data.num_train_batches() == len(data.train_dataloader()) == len(list(data.train_dataloader()))
