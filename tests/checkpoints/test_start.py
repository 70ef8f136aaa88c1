"""`fit --init_from`: the weights of an earlier run, everything else fresh."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from kosum_pl.__main__ import main
from kosum_pl.checkpoints.start import StartWeights
from kosum_pl.cli import lightning_cli
from kosum_pl.cli.arguments import read_arguments
from kosum_pl.cli.lightning_cli import as_list
from kosum_pl.cli.parts import load_parts
from kosum_pl.files import read_json, read_yaml
from tests import error_lines
from tests.tiny_config import tiny_config

CONFIG = tiny_config(
    preset="short.yaml",
    trainer={
        "max_steps": 3,
        "val_check_interval": 3,
        "num_sanity_val_steps": -1,
        "callbacks": [{"class_path": "RougeSumCheckpoint", "init_args": {"monitor": "val/loss"}}],
    },
    model={"learning_rate": 0.05, "warmup_steps": 2, "rouge_tokenizer": "char"},
    data={},
)
LORA = {"model": {"init_args": {"adapter": {"rank": 2, "alpha": 64.0, "dropout": 0.1}, "learning_rate": 0.2}}}


class Watch(Callback):
    """Notes what a fresh start looks like, before the first step."""

    seen: dict[str, Any]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        optimizer = trainer.optimizers[0]
        Watch.seen = {
            "state": len(optimizer.state),
            "lr": optimizer.param_groups[0]["lr"],
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "rng": torch.get_rng_state(),
        }


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_demo: Callable[[int, int], dict[str, str]]) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("KOSUM_RUNS_DIR", "KOSUM_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    config = {**CONFIG, "data": {**CONFIG["data"], **cut_demo(8, 4)}}
    (tmp_path / "short.yaml").write_text("max_new_tokens: 6\nmin_new_tokens: 6\n", encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (tmp_path / "lora.yaml").write_text(yaml.safe_dump(LORA), encoding="utf-8")
    monkeypatch.setattr(
        lightning_cli, "as_list", lambda value, as_list=as_list: [*as_list(value), *([Watch()] if value else [])]
    )
    return tmp_path


def fit(*arguments: str) -> Path:
    assert main(["fit", "--config", "tiny.yaml", *arguments]) == 0
    return Path("runs/tiny/latest").resolve()


def metrics(run_dir: Path) -> Any:
    return read_json(run_dir / "metrics.json")


def lineage(run_dir: Path) -> Any:
    return read_yaml(run_dir / "config.yaml")["lineage"]


def scores(run_dir: Path, prefix: str) -> dict[str, float]:
    names = ("loss", "rouge1", "rouge_sum", "mean_length", "contamination_rate", "eos_rate")
    found = metrics(run_dir)
    return {name: found[f"{prefix}/{name}"] for name in names}


def error_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    return error_lines.error_line(capsys, "fit", "--config", "tiny.yaml", *arguments, has_output=True)


def num_runs() -> int:
    return len([path for path in Path("runs/tiny").iterdir() if path.name != "latest"])


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_a_run_starts_where_the_other_was_best_with_everything_else_fresh(work: Path, kind: str) -> None:
    added = ["--config", "lora.yaml"] if kind == "lora" else []
    first = fit(*added)
    fresh = Watch.seen
    assert scores(first, "start")["loss"] != scores(first, "val")["loss"]

    second = fit(*added, "--init_from", str(first))
    assert scores(second, "start") == scores(first, "val")
    assert (Watch.seen["state"], Watch.seen["step"], Watch.seen["epoch"]) == (0, 0, 0)
    assert Watch.seen["lr"] == fresh["lr"] == 0.0  # the warm-up begins anew
    assert torch.equal(Watch.seen["rng"], fresh["rng"])
    best = str(first / metrics(first)["best_checkpoint"])
    (generation,) = lineage(second)
    assert generation["weights"] == best
    assert generation["config_hash"] == f"sha256:{metrics(first)['config_hash']}"
    assert float(generation["rouge_sum"]) == pytest.approx(metrics(first)["val/rouge_sum"], abs=1e-4)


@pytest.mark.slow
def test_the_lineage_of_three_generations_survives_a_second_fit_a_resume_and_an_evaluation(work: Path) -> None:
    first = fit("--trainer.max_steps=1", "--trainer.val_check_interval=1")
    second = fit("--trainer.max_steps=1", "--trainer.val_check_interval=1", "--init_from", str(first))
    third = fit("--trainer.max_steps=3", "--init_from", "runs/tiny/latest")
    assert lineage(first) == []
    parents = [Path(generation["weights"]).parents[1] for generation in lineage(third)]
    assert parents == [first, second]

    assert main(["fit", "--config", str(third / "config.yaml")]) == 0
    again = Path("runs/tiny/latest").resolve()
    assert again != third
    assert lineage(again) == lineage(third)
    assert scores(again, "start") == scores(third, "start") == scores(second, "val")
    assert metrics(again)["val/loss"] == metrics(third)["val/loss"]

    assert fit("--ckpt_path", "last", "--trainer.max_steps=4", "--trainer.val_check_interval=1") == again
    assert lineage(again) == lineage(third)
    assert main(["validate", "--config", "tiny.yaml", "--ckpt_path", "best"]) == 0
    (folder,) = (again / "eval").iterdir()
    assert lineage(folder) == lineage(third)


def exported(run_dir: Path, folder: Path, *, base: str = "kept") -> None:
    """Export with PEFT and transformers alone, as an oracle of the format."""
    module = load_parts(read_arguments("fit", ["--config", str(run_dir / "config.yaml")])).module
    module.configure_model()
    state = torch.load(run_dir / metrics(run_dir)["best_checkpoint"], weights_only=True)["state_dict"]
    module.load_state_dict(state, strict=False)
    module.language_model.save_pretrained(folder)
    path = folder / "adapter_config.json"
    if path.exists() and base != "kept":
        values = json.loads(path.read_text())
        path.write_text(json.dumps({**values, "base_model_name_or_path": base}))


@pytest.mark.parametrize("kind", ["full", "dora"])
def test_an_exported_folder_serves_as_well(work: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    added = ["--config", "lora.yaml", "--model.adapter.use_dora=true"] if kind == "dora" else []
    first = fit(*added)
    exported(first, work / "out", base="demo:bart")
    assert (work / "out" / ("adapter_model.safetensors" if kind == "dora" else "model.safetensors")).exists()
    second = fit(*added, "--init_from", "out")
    assert scores(second, "start") == scores(first, "val")
    assert lineage(second) == [{"weights": str(work / "out")}]
    if kind == "full":
        line = error_line(capsys, "--config", "lora.yaml", "--init_from", "out")
        assert line.endswith("; drop --init_from and set model.model_name to that folder, or set model.adapter=null")
    if kind == "dora":
        line = error_line(capsys, *added, "--model.adapter.alpha=8", "--init_from", "out")
        assert line.endswith("its adapter has alpha 64.0, and model.adapter.alpha is 8.0; set it to that")
        line = error_line(capsys, "--config", "lora.yaml", "--init_from", "out")
        assert line.endswith("its adapter has use_dora True, and model.adapter.use_dora is False; set it to that")
        assert "set model.adapter as it was trained" in error_line(capsys, "--init_from", "out")
        record = torch.load(first / metrics(first)["best_checkpoint"], weights_only=True)["kosum_pl"]
        kosum = {"base_model": {"name": "demo:bart", "fingerprint": record["base"]}}
        Path("out/kosum.json").write_text(json.dumps(kosum), encoding="utf-8")
        assert scores(fit(*added, "--trainer.max_steps=1", "--init_from", "out"), "start") == scores(first, "val")
        other = "--model.config_overrides.encoder_ffn_dim=32"
        assert "'demo:bart' is another base" in error_line(capsys, *added, other, "--init_from", "out")
        shutil.rmtree("out")
        exported(first, work / "out", base="somebody/else")
        line = error_line(capsys, *added, "--init_from", "out")
        assert line.endswith("belongs to 'somebody/else', and model.model_name is 'demo:bart'; set it to that base")


def test_a_checkpoint_that_does_not_fit_is_one_line_and_leaves_no_run(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = fit("--trainer.max_steps=1", "--trainer.val_check_interval=1")
    saved = torch.load(first / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["kosum_pl"]["model_name"] == "demo:bart"
    assert "hyper_parameters" not in saved
    text = saved["kosum_pl_config"]
    assert (first / "config.yaml").read_text(encoding="utf-8").endswith(text)
    assert yaml.safe_load(text)["trainer"]["max_steps"] == 1
    line = error_line(capsys, "--init_from", str(first), "--model.config_overrides.d_model=32")
    assert "has the shape" in line
    line = error_line(capsys, "--config", "lora.yaml", "--init_from", str(first))
    assert "model.adapter trains beside frozen ones; export it and set model.model_name to that folder, or" in line
    assert num_runs() == 1
    lora = fit("--config", "lora.yaml", "--trainer.max_steps=1", "--trainer.val_check_interval=1")
    assert "model.adapter is null" in error_line(capsys, "--init_from", str(lora))
    other = ["--config", "lora.yaml", "--model.config_overrides.encoder_ffn_dim=32", "--init_from", str(lora)]
    assert "is another base" in error_line(capsys, *other)
    line = error_line(capsys, "--config", "lora.yaml", "--model.adapter.alpha=8", "--init_from", str(lora))
    assert line.endswith("its adapter has alpha 64.0, and model.adapter.alpha is 8.0; set it to that")
    line = error_line(capsys, "--config", "lora.yaml", "--model.adapter.rank=3", "--init_from", str(lora))
    assert line.endswith("its adapter has rank 2, and model.adapter.rank is 3; set it to that")
    assert num_runs() == 2


def test_weights_that_are_gone_are_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "old.yaml").write_text("lineage: [{weights: runs/gone/last.ckpt}]\n", encoding="utf-8")
    line = error_line(capsys, "--config", "old.yaml")
    assert line.startswith("lineage: weights runs/gone/last.ckpt: there is no such run")
    assert not Path("runs").exists()


def test_a_sharded_strategy_is_refused() -> None:
    trainer = SimpleNamespace(strategy=object(), is_global_zero=True)
    with pytest.raises(ValueError, match=r"^--init_from does not work with object; use "):
        StartWeights(Path("x")).on_fit_start(trainer, SimpleNamespace())  # type: ignore[arg-type]
