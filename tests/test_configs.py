"""Every shipped config is complete, starts with the command that runs it, and is parsed by the real parser."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kosum_pl.__main__ import main
from kosum_pl.encode import Batch
from kosum_pl.modules import SummarizationModule

REPOSITORY = Path(__file__).resolve().parent.parent
CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))
EXPECTED = {"demo", "demo_causal", "kobart", "kot5", "llama3b", "qwen4b"}
TINY = {
    "Seq2SeqModule": (
        "demo:bart",
        "{d_model: 16, encoder_layers: 1, decoder_layers: 1, encoder_attention_heads: 2, decoder_attention_heads: 2, "
        "encoder_ffn_dim: 16, decoder_ffn_dim: 16}",
    ),
    "CausalModule": (
        "demo:llama",
        # Four-bit kernels of a CPU work on blocks of 64.
        "{hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 2, head_dim: 32, "
        "intermediate_size: 64}",
    ),
}


def values_of(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values


def name(path: Path) -> str:
    return path.stem


def test_the_shipped_configs_are_these() -> None:
    assert {path.stem for path in CONFIGS} >= EXPECTED


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_the_first_line_is_the_command_that_runs_it(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# python -m kosum_pl fit --config {path.name}"


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").rglob("*.yaml")), ids=name)
def test_every_yaml_starts_with_a_command(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.match(r"# python -m kosum_pl (fit|validate|test|predict) --config \S+", first)


@pytest.mark.parametrize("path", CONFIGS, ids=name)
@pytest.mark.parametrize("command", ["fit", "predict"])
def test_the_real_parser_takes_it(
    path: Path, command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main([command, "--config", path.stem, "--print_config"])
    assert end.value.code == 0
    parsed, given = yaml.safe_load(capsys.readouterr().out), values_of(path)
    assert parsed["model"]["class_path"] == f"kosum_pl.modules.{given['model']['class_path']}"
    for key, value in given["model"]["init_args"].items():
        found = parsed["model"]["init_args"][key]
        if isinstance(value, dict) and key != "prompt":  # settings with defaults of their own
            assert value.items() <= found.items()
        elif key != "prompt":
            assert found == value
    assert parsed["data"].items() >= given["data"].items()


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_settings_that_hold_for_all(path: Path) -> None:
    trainer = values_of(path)["trainer"]
    assert trainer["use_distributed_sampler"] is False
    assert trainer["num_sanity_val_steps"] == (-1 if path.stem.startswith("demo") else 0)
    assert trainer["callbacks"][0]["class_path"] == "RougeSumCheckpoint"


def test_what_the_shipped_configs_import_comes_with_the_package() -> None:
    """Adapters, 4-bit bases and 8-bit AdamW stand in shipped configs: no extra is needed to run one."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.match(r"[\w-]+", dependency)[0] for dependency in project["dependencies"]}  # type: ignore[index]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (REPOSITORY / "constraints.txt").read_text(encoding="utf-8"), re.M))
    settings = [values_of(path)["model"]["init_args"] for path in CONFIGS]
    assert any(given.get("adapter") for given in settings)
    assert any(given.get("quantization", "none") != "none" for given in settings)
    for package in ("peft", "bitsandbytes"):
        assert package in names
        assert pins[package]
    assert project["optional-dependencies"]["adapters"] == []


def test_the_demo_goes_on_in_mid_epoch_with_the_very_next_rows(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cut_demo: Callable[[int, int], dict[str, str]],
) -> None:
    """The config as it is shipped, `max_epochs` and all, with a small model, few rows and a validation in mid-epoch."""
    rows: list[tuple[int, ...]] = []

    def note(module: SummarizationModule, batch: Batch, batch_idx: int) -> None:
        rows.append(batch.rows)
        taken_over(module, batch, batch_idx)

    taken_over = SummarizationModule.on_train_batch_start
    monkeypatch.setattr(SummarizationModule, "on_train_batch_start", note)
    monkeypatch.chdir(tmp_path)
    arguments = [
        "--config=demo",
        *(f"--data.{split}={path}" for split, path in cut_demo(40, 2).items()),
        f"--model.config_overrides={TINY['Seq2SeqModule'][1]}",
        "--model.rouge_tokenizer=space",
        "--trainer.accelerator=cpu",
        "--trainer.max_epochs=2",
        "--trainer.val_check_interval=3",
        "--trainer.enable_progress_bar=false",
    ]
    assert main(["fit", *arguments, "--data.batch_size=8"]) == 0
    whole = rows.copy()
    rows.clear()
    (best,) = Path("runs/demo/latest/checkpoints").glob("step=*.ckpt")
    num_steps = int(best.name[5:11])
    assert num_steps % 5 == 3  # of an epoch's five batches, validated after the third
    checkpoint = f"--ckpt_path={best.resolve()}"
    assert main(["fit", *arguments, "--data.batch_size=8", checkpoint]) == 0
    assert (len(whole), rows) == (10, whole[num_steps:])
    capsys.readouterr()
    assert main(["fit", *arguments, "--data.batch_size=7", checkpoint]) == 2
    assert "kosum_pl: error: cannot resume: the training rows' lengths" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_it_runs_with_a_small_model_in_the_place_of_its_own(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = values_of(path)
    model_name, overrides = TINY[shipped["model"]["class_path"]]
    is_auto = shipped["data"]["max_source_tokens"] == {"auto_up_to": 1536}
    assert is_auto == (path.stem in ("llama3b", "llama8b_qlora", "qwen4b", "qwen7b_qlora"))
    arguments = [
        f"--model.model_name={model_name}",
        "--model.random_init=true",
        f"--model.config_overrides={overrides}",
        "--model.rouge_tokenizer=space",
        *(f"--data.{split}_file=demo:{file}.csv" for split, file in (("train", "dev"), ("val", "dev"))),
        *([] if is_auto else ["--data.max_source_tokens=512"]),
        "--data.num_workers=0",
        "--trainer.accelerator=cpu",
        "--trainer.max_steps=2",
        "--trainer.accumulate_grad_batches=1",
        "--trainer.limit_train_batches=2",
        "--trainer.limit_val_batches=1",
        "--trainer.num_sanity_val_steps=0",
        "--trainer.enable_progress_bar=false",
    ]
    assert main(["fit", "--config", path.stem, *arguments]) == 0
    run_dir = (tmp_path / "runs" / path.stem / "latest").resolve()
    assert (run_dir / "predictions.csv").exists()
    assert (run_dir / "checkpoints" / "last.ckpt").exists()
    limits = values_of(run_dir / "config.yaml")["data"]
    numbers = limits["max_source_tokens"], limits["max_summary_tokens"]
    assert all(number % 64 == 0 for number in numbers if is_auto)
    assert sum(numbers) <= 512 or not is_auto  # the small model's positions


def test_the_wheel_has_every_package() -> None:
    """A mapped package rules out setuptools' own search, so that the list is written by hand."""
    listed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
        "packages"
    ]
    roots = {"kosum_pl": REPOSITORY / "kosum_pl", "kosum_pl.callbacks": REPOSITORY / "callbacks"}
    found = {
        ".".join([root, *init.parent.relative_to(folder).parts])
        for root, folder in roots.items()
        for init in folder.rglob("__init__.py")
    }
    assert set(listed) == found | {"kosum_pl.configs", "kosum_pl.configs.presets"}
    assert len(listed) == len(set(listed))
