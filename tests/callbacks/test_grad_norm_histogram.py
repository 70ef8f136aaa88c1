"""The callback against what Lightning clips by, against loops in fp64, and against itself."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor
from torch.utils.data import DataLoader

from kosum_pl.callbacks.grad_norm_histogram import GradNormHistogram
from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.models.adapters import AdapterSettings
from kosum_pl.modules import SummarizationModule
from tests.modules_fixtures import DIALOGUES, collate_rows, small_module

SCRIPT = Path(__file__).with_name("grad_norms_of_ranks.py")
SHAPES = {
    "seq2seq": {"d_model": 64, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64},
    "causal": {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 64},
}


class Spy(Callback):
    """Norms by a loop in fp64, and every step's loss."""

    def __init__(self) -> None:
        self.norms: list[float] = []
        self.losses: list[float] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        gradients = [weight.grad for weight in pl_module.parameters() if weight.grad is not None]
        self.norms.append(math.sqrt(sum(float(gradient.double().square().sum()) for gradient in gradients)))

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.fit_loop.epoch_loop._accumulated_batches_reached() or trainer.is_last_batch:
            self.losses.append(float(trainer.callback_metrics["train/loss"]))


def make_module(kind: str = "seq2seq", **settings: Any) -> SummarizationModule:
    torch.manual_seed(7)
    defaults = {"learning_rate": 1e-2, "generate_during_fit": False}
    dropout = 0.1 if kind == "seq2seq" else 0.0
    module = small_module(kind, dropout=dropout, shape=SHAPES[kind], **(defaults | settings))
    module.configure_model()
    return module


def fit(module: LightningModule, data: Any, folder: Path, *callbacks: Callback, **settings: Any) -> None:
    ckpt_path = settings.pop("ckpt_path", None)
    defaults = {"max_steps": 6, "logger": False, "enable_checkpointing": False, "log_every_n_steps": 4}
    trainer = Trainer(
        accelerator="cpu", default_root_dir=folder, callbacks=list(callbacks), num_sanity_val_steps=0,
        limit_val_batches=0, enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
        **(defaults | settings),
    )  # fmt: skip
    trainer.fit(module, data, ckpt_path=ckpt_path)


def table(folder: Path, name: str = "grad_norms.csv") -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def column(folder: Path, name: str) -> list[float]:
    return [float(row[name]) for row in table(folder)]


@pytest.fixture
def files(cut_demo: Callable[[int, int], dict[str, str]]) -> dict[str, str]:
    return cut_demo(32, 8)


@pytest.mark.parametrize("kind", SHAPES)
def test_norms_are_what_lightning_clips_by_and_a_loop_counts(
    kind: str, tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[float] = []
    clip = torch.nn.utils.clip_grads_with_norm_

    def clip_and_note(parameters: Any, value: float, norm: torch.Tensor) -> None:
        used.append(float(norm))
        clip(parameters, value, norm)

    monkeypatch.setattr(torch.nn.utils, "clip_grads_with_norm_", clip_and_note)
    spy = Spy()
    data = SummarizationDataModule(**files, batch_size=8)
    fit(make_module(kind), data, tmp_path, GradNormHistogram(), spy, gradient_clip_val=1.5, accumulate_grad_batches=2)
    totals = column(tmp_path, "total")
    assert column(tmp_path, "step") == list(range(1, 7))
    # On a CPU torch adds up an fp32 tensor's squares in fp32, here and where it clips.
    assert totals == pytest.approx(spy.norms, rel=5e-5)
    assert totals == pytest.approx(used, rel=1e-6)
    assert column(tmp_path, "loss") == pytest.approx(spy.losses, rel=1e-6)
    assert column(tmp_path, "clipped") == [float(norm > 1.5) for norm in spy.norms]
    groups = ("embeddings", "encoder", "decoder") if kind == "seq2seq" else ("embeddings", "layers", "other")
    for row in table(tmp_path):
        assert math.hypot(*(float(row[group]) for group in groups)) == pytest.approx(float(row["total"]), rel=1e-7)


def test_adapters_have_groups_of_their_own(tmp_path: Path, files: dict[str, str]) -> None:
    module = make_module("causal", adapter=AdapterSettings(rank=4, dropout=0.0))
    fit(module, SummarizationDataModule(**files, batch_size=8), tmp_path, GradNormHistogram(), spy := Spy())
    assert list(table(tmp_path)[0]) == ["step", "total", "adapter_a", "adapter_b", "clipped", "learning_rate", "loss"]
    assert column(tmp_path, "adapter_a")[0] == 0.0  # B starts at zero, and no gradient reaches A
    assert min(column(tmp_path, "adapter_b")) > 0
    assert column(tmp_path, "total") == pytest.approx(spy.norms, rel=5e-5)


def test_norms_of_a_double_precision_run_are_those_of_a_loop(tmp_path: Path, files: dict[str, str]) -> None:
    data = SummarizationDataModule(**files, batch_size=8)
    module = make_module(dtype="float64")
    fit(module, data, tmp_path, GradNormHistogram(), spy := Spy(), precision="64-true", accumulate_grad_batches=2)
    assert column(tmp_path, "total") == pytest.approx(spy.norms, rel=1e-8)


def test_norms_do_not_depend_on_how_a_step_is_cut(tmp_path: Path) -> None:
    norms = {}
    for rows, windows in ((8, 1), (4, 2), (1, 8)):
        module, folder = make_module(dtype="float64"), tmp_path / f"{rows}x{windows}"
        batches = [collate_rows(module, DIALOGUES[start : start + rows]) for start in range(0, 8, rows)]
        loader: DataLoader[Any] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
        settings = {"max_steps": 1, "accumulate_grad_batches": windows, "precision": "64-true"}
        fit(module.eval(), loader, folder, GradNormHistogram(), **settings)
        norms[rows] = (column(folder, "total")[0], column(folder, "loss")[0])
    assert norms[8] == pytest.approx(norms[4], rel=1e-8)
    assert norms[8] == pytest.approx(norms[1], rel=1e-8)


class Planted(LightningModule):
    """A weight whose gradient is what the batch says."""

    def __init__(self) -> None:
        super().__init__()
        self.lm_head = torch.nn.Linear(4, 1, bias=False)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = (self.lm_head.weight * batch["gradient"]).sum()
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # with its ids


class Rows(dict[str, Tensor]):
    """A batch with ids."""

    example_ids: tuple[str, ...] = ()


def planted(norms: list[float]) -> DataLoader[Any]:
    batches = []
    for number, norm in enumerate(norms):
        batch = Rows(gradient=torch.tensor([0.6, 0.8, 0.0, 0.0]) * norm)
        batch.example_ids = (f"row-{number}", f"행 {number}")
        batches.append(batch)
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def test_spikes_name_their_step_and_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    norms = [1.0] * 40
    norms[20], norms[31] = 8.0, math.nan
    callback = GradNormHistogram()
    fit(Planted(), planted(norms), tmp_path, callback, max_steps=20, accumulate_grad_batches=2)
    spikes = table(tmp_path, "grad_spikes.csv")
    assert [(row["step"], row["total"], row["running_median"]) for row in spikes] == [
        ("11", "4.5", "1"), ("16", "nan", "1")
    ]  # fmt: skip
    assert json.loads(spikes[0]["example_ids"]) == ["row-20", "행 20", "row-21", "행 21"]
    assert json.loads(spikes[1]["example_ids"]) == ["row-30", "행 30", "row-31", "행 31"]
    record = json.loads((tmp_path / "grad_norms.json").read_text())
    assert record["spike_steps"] == [11, 16]
    assert record["num_nonfinite"] == callback.summary["num_nonfinite"] >= 1
    assert record["advice"]["line"] == callback.advice
    assert callback.advice in capsys.readouterr().out


def test_the_suggested_clip_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    norms = torch.linspace(1.0, 1.4, 60)[torch.randperm(60, generator=torch.Generator().manual_seed(0))]
    callback = GradNormHistogram()
    fit(Planted(), planted(norms.tolist()), tmp_path, callback, max_steps=60, gradient_clip_val=1.0)
    assert "at 1.0; advice: gradient_clip_val: 1.4 (" in capsys.readouterr().out
    assert (tmp_path / "grad_norms.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "grad_norms.json").read_text())["advice"]["settings"] == {"gradient_clip_val": 1.4}


def test_without_matplotlib_a_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    fit(Planted(), planted([1.0] * 6), tmp_path, GradNormHistogram())
    assert "grad_norms.png is left out: matplotlib is not installed" in capsys.readouterr().out
    assert not (tmp_path / "grad_norms.png").exists()


def test_scalars_and_histograms_reach_the_loggers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loggers = [TensorBoardLogger(tmp_path, name="", version=""), CSVLogger(tmp_path, name="", version="")]
    norms = [float(step) for step in range(1, 13)]
    fit(
        Planted(), planted(norms), tmp_path, GradNormHistogram(histogram_every_n_steps=6), max_steps=12, logger=loggers
    )  # fmt: skip
    logged = [(row["step"], float(row["train/grad_norm"])) for row in table(tmp_path, "metrics.csv")]
    assert logged == [("3", 4.0), ("7", 8.0), ("11", 12.0)]
    events = EventAccumulator(str(tmp_path), size_guidance={"histograms": 0}).Reload()
    histograms = events.Histograms("grad_norms/total")
    assert [(event.step, event.histogram_value.num, event.histogram_value.sum) for event in histograms] == [
        (6, 6, sum(norms[:6])), (12, 6, sum(norms[6:]))
    ]  # fmt: skip
    assert events.Scalars("train/grad_norm_head")[-1].value == pytest.approx(12.0)


def test_norms_of_scaled_losses_are_unscaled(tmp_path: Path) -> None:
    """Lightning unscales before the hook, and skips the step whose gradients overflow."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    norms = [1.0, 2.0, math.inf, 3.0]
    fit(Planted(), planted(norms), tmp_path, GradNormHistogram(), max_steps=4, plugins=[plugin])
    totals = column(tmp_path, "total")
    assert [totals[0], totals[1], totals[3]] == pytest.approx([1.0, 2.0, 3.0], rel=1e-5)
    assert not math.isfinite(totals[2])


def test_a_resumed_run_has_the_table_of_an_uninterrupted_one(tmp_path: Path, files: dict[str, str]) -> None:
    def run(folder: Path, steps: int, **settings: Any) -> None:
        checkpoint = ModelCheckpoint(folder / "ckpt", every_n_train_steps=5, save_top_k=-1, filename="{step}")
        data = SummarizationDataModule(**files, batch_size=8)
        callbacks = (GradNormHistogram(plot=False), checkpoint)
        # Both schedules end at step 10: `max_steps` would bend them.
        fit(make_module(schedule="constant"), data, folder, *callbacks, max_steps=steps, **settings)

    run(tmp_path / "whole", 10, enable_checkpointing=True)
    run(tmp_path / "cut", 7, enable_checkpointing=True)
    assert len(table(tmp_path / "cut")) == 7
    run(tmp_path / "cut", 10, enable_checkpointing=True, ckpt_path=str(tmp_path / "cut" / "ckpt" / "step=5.ckpt"))
    whole, cut = ((tmp_path / name / "grad_norms.csv").read_text() for name in ("whole", "cut"))
    assert whole == cut
    assert len(whole.splitlines()) == 11
    for name in ("grad_norms.json", "grad_spikes.csv"):
        assert (tmp_path / "whole" / name).read_text() == (tmp_path / "cut" / name).read_text()


class Stop(Callback):
    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == 5:
            raise RuntimeError("the machine stops here")


def test_an_interrupted_run_keeps_its_rows(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the machine stops here"):
        fit(Planted(), planted([1.0] * 9), tmp_path, GradNormHistogram(), Stop(), log_every_n_steps=50)
    assert column(tmp_path, "total") == pytest.approx([1.0] * 5)
    assert json.loads((tmp_path / "grad_norms.json").read_text())["num_steps"] == 5


def test_losses_are_the_same_without_the_callback(tmp_path: Path, files: dict[str, str]) -> None:
    losses = []
    for callbacks in ([], [GradNormHistogram(histogram_every_n_steps=2)]):
        spy, data = Spy(), SummarizationDataModule(**files, batch_size=8)
        fit(make_module("causal"), data, tmp_path, *callbacks, spy, gradient_clip_val=0.5, log_every_n_steps=1)
        losses.append(spy.losses)
    assert losses[0] == losses[1]
    assert len(losses[0]) == 6


def test_clipping_by_value_has_no_line_of_norms(tmp_path: Path) -> None:
    settings = {"gradient_clip_val": 0.5, "gradient_clip_algorithm": "value"}
    fit(Planted(), planted([1.0] * 6), tmp_path, GradNormHistogram(plot=False), **settings)
    assert set(column(tmp_path, "clipped")) == {0.0}
    assert json.loads((tmp_path / "grad_norms.json").read_text())["gradient_clip_val"] is None


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    fit(Planted(), planted([1.0] * 6), tmp_path, GradNormHistogram(), fast_dev_run=True)
    assert not list(tmp_path.glob("grad_*"))


@pytest.mark.parametrize("strategy", ["ModelParallelStrategy", "FSDPStrategy", "DeepSpeedStrategy"])
def test_strategies_that_part_gradients_are_refused_by_name(strategy: str) -> None:
    import lightning.pytorch.strategies as strategies

    strategy_class = getattr(strategies, strategy)
    trainer: Any = SimpleNamespace(strategy=strategy_class.__new__(strategy_class))
    with pytest.raises(ValueError, match=rf"^GradNormHistogram: under {strategy} .*trainer.strategy=ddp$"):
        GradNormHistogram().setup(trainer, Planted(), "fit")
    GradNormHistogram().setup(trainer, Planted(), "validate")


@pytest.mark.parametrize("arguments", [{"spike_factor": 0.5}, {"histogram_every_n_steps": -1}])
def test_numbers_out_of_range_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"GradNormHistogram.{next(iter(arguments))} is .*; give"):
        GradNormHistogram(**arguments)


@pytest.mark.slow
def test_two_ranks_have_the_norms_of_one_with_twice_the_rows(tmp_path: Path) -> None:
    """Ranks with different numbers of tokens, two micro-batches each: a mean of ranks' means would differ."""
    rows = {"alone": (1, 4), "both": (2, 2)}
    for name, (num_ranks, num_batches) in rows.items():
        (tmp_path / name).mkdir()
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={num_ranks}"]
        command = [sys.executable, *(launcher if num_ranks > 1 else []), str(SCRIPT)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[2])}
        done = subprocess.run(
            [*command, str(tmp_path / name), str(num_ranks), str(num_batches)],
            env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    for name in ("total", "embeddings", "layers", "other"):
        assert column(tmp_path / "both", name) == pytest.approx(column(tmp_path / "alone", name), rel=1e-5)
    assert "example_ids_of_rank_zero" in (tmp_path / "both" / "grad_spikes.csv").read_text()
