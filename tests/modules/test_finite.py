"""Steps that are not finite: found before they are learnt from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from kosum_pl.callbacks.rouge_sum_checkpoint import RougeSumCheckpoint
from kosum_pl.checkpoints.content import read_checkpoint
from kosum_pl.checkpoints.file import AtomicCheckpointIO
from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.modules import SummarizationModule
from kosum_pl.modules.finite import FiniteGuard, NonFiniteError
from tests.modules_fixtures import quiet_trainer, small_module

NAN, INF, ONE = (torch.tensor(value) for value in (float("nan"), float("inf"), 1.0))


def allows(guard: FiniteGuard, loss: Tensor, norm: Tensor, *, step: int = 1, is_scaled: bool = False) -> bool:
    guard.add([2, 3], ONE)
    guard.add([4], loss)
    return guard.allows(loss=loss, norm=norm, step=step, is_scaled=is_scaled, name_of=lambda row: f"train_{row}")


def test_a_finite_step_is_taken() -> None:
    guard = FiniteGuard()
    assert allows(guard, ONE, ONE)
    assert guard.lines(num_steps=1) == []


@pytest.mark.parametrize(
    ("loss", "norm", "rows"), [(NAN, NAN, "rows train_4)"), (INF, ONE, "rows train_4)"), (ONE, INF, "train_2, train_3")]
)
def test_any_other_stops_and_names_its_rows(loss: Tensor, norm: Tensor, rows: str) -> None:
    with pytest.raises(NonFiniteError, match=r"^step 1,007 cannot be learnt from: .*on_non_finite=skip$") as error:
        allows(FiniteGuard(), loss, norm, step=1007)
    assert rows in str(error.value)


def test_skipping_ends_after_ten_in_a_row() -> None:
    guard = FiniteGuard("skip")
    assert not allows(guard, NAN, NAN, step=1)
    assert allows(guard, ONE, ONE, step=2)
    assert not any(allows(guard, NAN, NAN, step=step) for step in range(3, 13))
    assert guard.lines(num_steps=12) == ["11 of 12 steps were not finite and left out: 1, 3, 4, 5, 6, 7, 8, 9, …"]
    with pytest.raises(NonFiniteError, match="11 steps in a row"):
        allows(guard, NAN, NAN, step=13)


def test_what_a_scaler_tries_again_is_counted_alone() -> None:
    guard = FiniteGuard()
    assert all(allows(guard, ONE, INF, step=step, is_scaled=True) for step in range(1, 31))
    assert guard.lines(num_steps=30) == ["30 of 30 steps were left out by fp16's loss scaling"]
    with pytest.raises(NonFiniteError):
        allows(guard, ONE, INF, step=31, is_scaled=True)
    with pytest.raises(NonFiniteError):  # a loss that is none is not the scaler's doing
        allows(FiniteGuard(), NAN, NAN, is_scaled=True)


def poison(monkeypatch: pytest.MonkeyPatch, *, bad_steps: tuple[int, ...], in_gradient: bool = False) -> None:
    """Make some steps of every module lose their mind, in the loss or behind it."""
    training_step, on_after_backward = SummarizationModule.training_step, SummarizationModule.on_after_backward

    def is_bad(module: SummarizationModule) -> bool:
        return module.trainer.global_step + 1 in bad_steps

    def bad_loss(module: SummarizationModule, batch: Any, batch_idx: int) -> Tensor:
        loss = training_step(module, batch, batch_idx)
        if not is_bad(module) or in_gradient:
            return loss
        module.finite_guard._batches[-1] = (batch.rows, NAN)
        module.normalizer._loss_sums[-1] = NAN
        return loss * float("nan")

    def bad_gradient(module: SummarizationModule) -> None:
        if is_bad(module) and in_gradient:
            next(module.parameters()).grad.fill_(float("inf"))  # type: ignore[union-attr]
        on_after_backward(module)

    monkeypatch.setattr(SummarizationModule, "training_step", bad_loss)
    monkeypatch.setattr(SummarizationModule, "on_after_backward", bad_gradient)


def fit(files: dict[str, str], folder: Path, *, on_non_finite: Literal["stop", "skip"]) -> SummarizationModule:
    torch.manual_seed(1)
    module = small_module("seq2seq", generate_during_fit=False, on_non_finite=on_non_finite)
    trainer = quiet_trainer(
        max_epochs=2,
        gradient_clip_val=1.0,
        enable_checkpointing=True,
        default_root_dir=folder,
        plugins=[AtomicCheckpointIO()],
        callbacks=[RougeSumCheckpoint("val/loss")],
        val_check_interval=1.0,
    )
    trainer.fit(module, datamodule=SummarizationDataModule(**files, batch_size=4))  # type: ignore[arg-type]
    return module


@pytest.mark.parametrize("in_gradient", [False, True])
def test_a_fit_stops_with_the_weights_of_the_step_before(
    in_gradient: bool,
    cut_demo: Callable[[int, int], dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poison(monkeypatch, bad_steps=(4,), in_gradient=in_gradient)
    with pytest.raises(NonFiniteError, match=r"^step 4 cannot be learnt from: .* \(rows train_\d"):
        fit(cut_demo(12, 4), tmp_path / "bad", on_non_finite="stop")
    last = read_checkpoint(tmp_path / "bad" / "checkpoints" / "last.ckpt")
    assert last["global_step"] == 3
    assert all(value.isfinite().all() for value in last["state_dict"].values())


def test_skipping_trains_on_without_the_step(
    cut_demo: Callable[[int, int], dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the six steps the moments count four."""
    poison(monkeypatch, bad_steps=(2, 5))
    module = fit(cut_demo(12, 4), tmp_path / "skip", on_non_finite="skip")
    assert module.finite_guard.skipped == [2, 5]
    assert module.trainer.global_step == 6
    assert all(value.isfinite().all() for value in module.state_dict().values())
    counts = {int(state["step"]) for state in module.trainer.optimizers[0].state.values()}
    assert counts == {4}
