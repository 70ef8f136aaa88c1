from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer, seed_everything
from torch import Tensor
from torch.utils.data import DataLoader

from kosum_pl.callbacks import rouge_sum_checkpoint as checkpoint_module
from kosum_pl.signals import Stopped

RougeSumCheckpoint = checkpoint_module.RougeSumCheckpoint


class Scripted(LightningModule):
    """One weight that counts optimizer steps; validations log a scripted score of that step.

    Args:
        rouge: `val/rouge_sum` by step.
        loss: `val/loss` by step.
        generate_during_fit: Whether validation inside fit logs `val/rouge_sum`.
    """

    def __init__(
        self, rouge: dict[int, float], loss: dict[int, float] | None = None, *, generate_during_fit: bool = True
    ) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.rouge, self.loss = rouge, loss or {}
        self.generate_during_fit = generate_during_fit
        self.generated_at: list[int] = []

    @property
    def metric_names(self) -> tuple[str, ...]:
        return ("val/loss", "val/rouge_sum") if self.generate_during_fit else ("val/loss",)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return -self.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        pass

    def on_validation_epoch_end(self) -> None:
        step = round(self.weight.item())
        self.log("val/loss", self.loss.get(step, 1.0))
        if self.generate_during_fit:
            self.generated_at.append(step)
            torch.rand(3)  # generation may draw
            self.log("val/rouge_sum", self.rouge[step])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def fit(
    module: Scripted, callback: Any, folder: Path, *, steps: int = 4, ckpt_path: Path | None = None, **options: Any
) -> Trainer:
    trainer = Trainer(
        default_root_dir=folder,
        max_steps=steps,
        val_check_interval=1,
        num_sanity_val_steps=0,
        callbacks=[callback],
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    data: DataLoader[Tensor] = DataLoader(torch.zeros(steps, 1), batch_size=1)  # type: ignore[arg-type]
    trainer.fit(module, data, data, ckpt_path=ckpt_path)
    return trainer


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def saved_step(path: str | Path) -> int:
    weights = torch.load(path, weights_only=True)["state_dict"]
    return round(weights["weight"].item())


def test_the_k_best_and_the_last_are_kept_under_flat_names(tmp_path: Path) -> None:
    callback = RougeSumCheckpoint(save_top_k=2)
    fit(Scripted({1: 50.0, 2: 80.126, 3: 60.0, 4: 40.0}), callback, tmp_path)
    assert kept(tmp_path) == ["last.ckpt", "step=000002-rouge_sum=80.13.ckpt", "step=000003-rouge_sum=60.00.ckpt"]
    assert Path(callback.best_model_path).name == "step=000002-rouge_sum=80.13.ckpt"
    assert saved_step(callback.best_model_path) == 2
    assert saved_step(tmp_path / "checkpoints" / "last.ckpt") == 4


def test_the_run_says_which_is_best_and_why(tmp_path: Path) -> None:
    callback = RougeSumCheckpoint()
    fit(Scripted({1: 50.0, 2: 80.126, 3: 60.0, 4: 40.0}), callback, tmp_path)
    assert callback.choice == ("step 2: highest val/rouge_sum of 4 validations, 80.13; the next is 60.00 at step 3")


def test_of_equal_ones_the_earliest_is_best(tmp_path: Path) -> None:
    callback = RougeSumCheckpoint(save_top_k=-1)
    fit(Scripted({1: 50.0, 2: 70.0, 3: 70.0, 4: 70.0}), callback, tmp_path)
    assert saved_step(callback.best_model_path) == 2
    assert callback.choice.endswith("the next is 70.00 at step 3, and the earlier of equal ones is taken")


def test_a_score_that_is_no_number_is_never_best(tmp_path: Path) -> None:
    callback = RougeSumCheckpoint(save_top_k=1)
    fit(Scripted({1: float("nan"), 2: 10.0, 3: float("nan"), 4: 9.0}), callback, tmp_path)
    assert saved_step(callback.best_model_path) == 2


def test_a_metric_that_nobody_logs_is_an_error_before_the_first_step(tmp_path: Path) -> None:
    module = Scripted({}, generate_during_fit=False)
    with pytest.raises(ValueError, match=r"'val/rouge_sum', which no validation logs; logged are val/loss") as error:
        fit(module, RougeSumCheckpoint(), tmp_path)
    assert "model.generate_during_fit" in str(error.value)
    assert module.weight.item() == 0
    with pytest.raises(ValueError, match=r"'val/bleu', which no validation logs; logged are val/loss, val/rouge_sum$"):
        fit(Scripted({}), RougeSumCheckpoint("val/bleu"), tmp_path)


def test_a_fit_without_validation_is_an_error_before_the_first_step(tmp_path: Path) -> None:
    module = Scripted({})
    with pytest.raises(ValueError, match=r"chooses by val/rouge_sum, but this fit validates on nothing"):
        fit(module, RougeSumCheckpoint(), tmp_path, limit_val_batches=0)
    assert module.weight.item() == 0


def test_a_first_epoch_without_validation_is_no_error(tmp_path: Path) -> None:
    module = Scripted({})
    fit(module, RougeSumCheckpoint(), tmp_path, check_val_every_n_epoch=2)
    assert module.weight.item() == 4


def test_a_data_module_without_validation_rows_is_an_error_also_where_validation_comes_later(tmp_path: Path) -> None:
    class OnlyTraining(LightningDataModule):
        def train_dataloader(self) -> DataLoader[Tensor]:
            return DataLoader(torch.zeros(4, 1), batch_size=1)  # type: ignore[arg-type]

        def val_dataloader(self) -> list[Any]:
            return []

    module = Scripted({})
    trainer = Trainer(
        default_root_dir=tmp_path, max_steps=4, check_val_every_n_epoch=2, num_sanity_val_steps=0, logger=False,
        accelerator="cpu", callbacks=[RougeSumCheckpoint()], enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"chooses by val/rouge_sum, but this fit validates on nothing"):
        trainer.fit(module, datamodule=OnlyTraining())
    assert module.weight.item() == 0


def test_fast_dev_run_writes_nothing(tmp_path: Path) -> None:
    fit(Scripted({1: 1.0}), RougeSumCheckpoint(), tmp_path, fast_dev_run=True)
    assert not (tmp_path / "checkpoints").exists()


def test_a_resumed_fit_goes_on_comparing_with_what_was_kept(tmp_path: Path) -> None:
    rouge = {1: 50.0, 2: 80.0, 3: 60.0, 4: 70.0}
    fit(Scripted(rouge), RougeSumCheckpoint(), tmp_path, steps=2)
    callback = RougeSumCheckpoint()
    trainer = Trainer(
        default_root_dir=tmp_path, max_steps=4, val_check_interval=1, callbacks=[callback], logger=False,
        accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    data: DataLoader[Tensor] = DataLoader(torch.zeros(4, 1), batch_size=1)  # type: ignore[arg-type]
    trainer.fit(Scripted(rouge), data, data, ckpt_path=tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept(tmp_path) == ["last.ckpt", "step=000002-rouge_sum=80.00.ckpt", "step=000004-rouge_sum=70.00.ckpt"]
    assert saved_step(callback.best_model_path) == 2
    assert callback.choice == "step 2: highest val/rouge_sum of 4 validations, 80.00; the next is 70.00 at step 4"


LOSS = {1: 3.0, 2: 2.0, 3: 1.5, 4: 1.8, 5: 2.5}
ROUGE = {1: 90.0, 2: 70.0, 3: 60.0, 4: 75.0, 5: 99.0}


class TestAtEnd:
    def run(self, folder: Path, rouge: dict[int, float] = ROUGE, **options: Any) -> tuple[Scripted, Any, Trainer]:
        module = Scripted(rouge, LOSS, generate_during_fit=False)
        callback = RougeSumCheckpoint(strategy="at_end", save_top_k=3)
        return module, callback, fit(module, callback, folder, steps=5, **options)

    def test_candidates_are_kept_by_loss_and_ranked_by_generation(self, tmp_path: Path) -> None:
        module, callback, _ = self.run(tmp_path)
        assert kept(tmp_path) == [
            "last.ckpt",
            "step=000002-loss=2.0000.ckpt",
            "step=000003-loss=1.5000.ckpt",
            "step=000004-loss=1.8000.ckpt",
        ]
        assert module.generated_at == [2, 3, 4]
        assert saved_step(callback.best_model_path) == 4
        assert callback.choice == (
            "step 4: highest val/rouge_sum of 3 candidates, kept by val/loss and generated with after the last step, "
            "75.00; the next is 70.00 at step 2"
        )

    def test_the_last_weights_and_settings_are_back_afterwards(self, tmp_path: Path) -> None:
        module, callback, trainer = self.run(tmp_path)
        assert module.weight.item() == 5
        assert module.generate_during_fit is False
        assert callback.candidate_step is None
        assert module.training
        assert trainer.global_step == 5

    def test_ranking_draws_from_no_random_state_but_its_own(self, tmp_path: Path) -> None:
        seed_everything(1)
        self.run(tmp_path / "ranked")
        after_ranking = torch.rand(1)
        seed_everything(1)
        module = Scripted(ROUGE, LOSS, generate_during_fit=False)
        fit(module, RougeSumCheckpoint("val/loss"), tmp_path / "plain", steps=5)
        assert torch.equal(after_ranking, torch.rand(1))

    def test_of_equal_candidates_the_earliest_is_best(self, tmp_path: Path) -> None:
        _, callback, _ = self.run(tmp_path, dict.fromkeys(range(6), 70.0))
        assert saved_step(callback.best_model_path) == 2

    def test_ranking_one_candidate_is_refused(self) -> None:
        with pytest.raises(ValueError, match="save_top_k is 1; at_end ranks at least 2 candidates"):
            RougeSumCheckpoint(strategy="at_end", save_top_k=1)

    def test_weights_are_restored_when_ranking_fails(self, tmp_path: Path) -> None:
        module = Scripted({2: 1.0}, LOSS, generate_during_fit=False)
        with pytest.raises(KeyError):
            fit(module, RougeSumCheckpoint(strategy="at_end", save_top_k=3), tmp_path, steps=5)
        assert module.weight.item() == 5
        assert module.generate_during_fit is False

    @pytest.mark.parametrize("stopped_at", [2, 4])
    def test_a_fit_stopped_while_it_ranks_ranks_again_when_resumed(self, tmp_path: Path, stopped_at: int) -> None:
        class Stops(Scripted):
            def validation_step(self, batch: Tensor, batch_idx: int) -> None:
                if self.generate_during_fit and round(self.weight.item()) == stopped_at:
                    raise Stopped(signal.SIGTERM)

        with pytest.raises(Stopped):
            fit(
                Stops(ROUGE, LOSS, generate_during_fit=False),
                RougeSumCheckpoint(strategy="at_end", save_top_k=3),
                tmp_path,
                steps=5,
            )
        _, whole, _ = self.run(tmp_path / "whole")
        last = tmp_path / "checkpoints" / "last.ckpt"
        before = last.read_bytes()
        module, callback, trainer = self.run(tmp_path, ckpt_path=last)
        assert last.read_bytes() == before
        assert module.generated_at == [2, 3, 4]
        assert callback.choice == whole.choice
        assert saved_step(callback.best_model_path) == 4
        assert (module.weight.item(), trainer.global_step, trainer.max_steps) == (5, 5, 5)
