from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kosum_pl.__main__ import main
from kosum_pl.cli.arguments import read_arguments
from kosum_pl.cli.parts import load_parts
from kosum_pl.commands.plan.advice import first_fit
from kosum_pl.commands.plan.count import ShapeCache
from kosum_pl.commands.plan.settings import PlanSettings, plan_settings
from kosum_pl.models.adapters import AdapterSettings
from tests.commands.conftest import write_rows

LLAMA: dict[str, Any] = {
    "trainer": {"precision": "bf16-mixed", "callbacks": []},
    "model": {
        "class_path": "CausalModule",
        "init_args": {
            "model_name": "demo:llama",
            "random_init": True,
            "config_overrides": {"model_type": "llama", "hidden_size": 1024, "num_hidden_layers": 4}
            | {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 2048},
        },
    },
    "data": {"train_file": "train.csv", "batch_size": 12, "max_source_tokens": 448, "max_summary_tokens": 64},
}


pytestmark = pytest.mark.usefixtures("no_weights")


@pytest.fixture
def llama(work: Path) -> None:
    (work / "llama.yaml").write_text(yaml.safe_dump(LLAMA), encoding="utf-8")


def plan(*arguments: str, config: str = "tiny.yaml") -> tuple[int, dict[str, Any]]:
    status = main(["plan", "--config", config, "--json", "out.json", *arguments])
    values: dict[str, Any] = json.loads(Path("out.json").read_text(encoding="utf-8"))
    return status, values


def settings_of(*arguments: str) -> PlanSettings:
    return plan_settings(load_parts(read_arguments("plan", ["--config", "llama.yaml", *arguments])))


def assert_each_fits(values: dict[str, Any], *options: str, memory: str) -> None:
    """Every proposal's options, pasted, make it fit, in as many bytes as promised."""
    assert values["proposals"]
    for proposal in values["proposals"]:
        changed = shlex.split(" ".join(proposal["options"]))
        status, again = plan(*options, *changed, "--memory", memory, config="llama.yaml")
        assert (status, again["total"]) == (0, proposal["total"])


def test_limits_that_are_auto(llama: None, capsys: pytest.CaptureFixture[str]) -> None:
    auto = ["--data.max_source_tokens", "{auto_up_to: 448}", "--data.max_summary_tokens", "auto"]
    status, measured = plan(*auto, config="llama.yaml")
    printed = capsys.readouterr().out
    assert status == 0
    assert "max_summary_tokens auto: 64 holds " in printed
    assert measured["training_rows_unread"] == ""
    # Without rows the ceilings count.
    auto[-1] = "{auto_up_to: 64}"
    _, at_most = plan(*auto, "--data.train_file", "null", config="llama.yaml")
    assert "rows at data.max_source_tokens=448 and data.max_summary_tokens=64 alone" in capsys.readouterr().out
    assert at_most["total"] == plan("--data.train_file", "null", config="llama.yaml")[1]["total"]


def test_a_tiny_model_fits(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, values = plan("--memory", "24GB")
    assert (status, values["fits"], values["proposals"]) == (0, True, [])
    num = values["model"]["num_parameters"]
    assert values["model"]["num_trained"] == num
    assert [values["bytes"][kind] for kind in ("weights", "gradients", "optimizer")] == [4 * num, 4 * num, 8 * num]
    assert values["total"] == values["peak"] + values["context"] == max(values["moments"].values()) + 500_000_000
    # `data.batch_size: 2`, and the limits' defaults.
    lengths = {"source_length": 1024, "target_length": 128, "num_supervised": 256}
    assert values["batch"] == {"num_rows": 2, **lengths, "accumulate_grad_batches": 1}
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("fits: 0.", "of 24.00 GB (--memory)", "counted, not measured"))


def test_rows_follow_from_the_budget(work: Path, llama: None) -> None:
    _, values = plan("--data.batch_size=null", "--data.max_batch_tokens=2300", config="llama.yaml")
    # Rows of 448 + 64 tokens, in steps of the sampler's lengths.
    assert (values["batch"]["num_rows"], values["batch"]["target_length"]) == (4, 512)
    _, values = plan("--data.batch_size=null", "--data.max_batch_tokens=100", config="llama.yaml")
    assert values["batch"]["num_rows"] == 1


def test_many_short_rows_can_be_the_largest_batch(work: Path, llama: None, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(work / "train.csv", [("#Person1#: 네.", "네, 그렇게 하기로 둘이서 정한다. " * 3)] * 400)
    options = ("--data.batch_size=null", "--data.max_batch_tokens=2300")
    _, limits = plan(*options, "--data.train_file=null", config="llama.yaml")
    capsys.readouterr()
    _, real = plan(*options, config="llama.yaml")
    assert "of data.train_file's rows; one of rows at the limits needs less" in capsys.readouterr().out
    batch = real["batch"]
    assert batch["num_rows"] > limits["batch"]["num_rows"] == 4
    assert batch["num_rows"] * batch["target_length"] <= 2300
    assert batch["num_supervised"] > limits["batch"]["num_supervised"]
    assert real["total"] > limits["total"]
    memory = f"{limits['total'] / 1e6:.0f}MB"  # where a batch of rows at the limits would fit
    status, values = plan(*options, "--memory", memory, config="llama.yaml")
    assert status == 1
    assert_each_fits(values, *options, memory=memory)


def test_validation_can_be_the_peak_and_is_made_smaller(
    work: Path, llama: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "configs" / "presets").mkdir(parents=True)
    (work / "configs" / "presets" / "wide.yaml").write_text("num_beams: 4\nmax_new_tokens: 64\n", encoding="utf-8")
    options = ("--model.fit_preset=wide", "--data.val_file=dev.csv", "--data.eval_batch_size=128")
    status, values = plan(*options, config="llama.yaml")
    # Layers, keys and values, their width, rows, beams, positions, bytes.
    keys_and_values = 4 * 2 * 512 * 128 * 4 * (448 + 64) * 2
    kept = sum(values["bytes"][kind] for kind in ("weights", "adapter", "optimizer", "gradients"))
    assert values["moments"]["validation"] == kept + keys_and_values
    assert (status, values["peak_moment"]) == (0, "validation")
    assert "128 rows generated at once, 4 beams each" in capsys.readouterr().out
    memory = f"{values['total'] / 1e6 - 200:.0f}MB"
    status, values = plan(*options, "--memory", memory, config="llama.yaml")
    assert (status, values["proposals"][0]["options"]) == (1, ["--data.eval_batch_size 64"])
    assert plan(*options, "--data.eval_batch_size=64", "--memory", memory, config="llama.yaml")[0] == 0
    for off in ("--model.generate_during_fit=false", "--data.val_file=null"):
        assert "validation" not in plan(*options, off, config="llama.yaml")[1]["moments"]


def test_shorter_prompts_allow_a_budget_below_todays_longest_row(work: Path, llama: None) -> None:
    options = ("--data.batch_size=null", "--data.max_batch_tokens=512")
    settings = settings_of(*options, "--model.adapter.rank=8", "--model.dtype=bfloat16")  # activations weigh most
    cache = ShapeCache()
    assert settings.row_length == settings.max_batch_tokens == 512
    wanted = replace(settings, max_source_tokens=112, max_batch_tokens=256, accumulate_grad_batches=2)
    memory = cache.largest(wanted)[1].total
    assert memory < cache.largest(replace(settings, max_source_tokens=112))[1].total
    names = ("smaller batches, accumulated", "shorter prompts")
    found = first_fit(settings, names, memory=memory, cache=cache)
    assert found is not None
    assert found.names == names
    assert "--data.max_batch_tokens 256" in found.options


def test_lora_is_proposed_with_its_learning_rate(work: Path, llama: None) -> None:
    settings, cache = settings_of("--model.learning_rate=2e-5"), ShapeCache()
    found = first_fit(settings, ("LoRA",), memory=10**12, cache=cache)
    assert found is not None
    options = ["--config", "llama.yaml", "--model.learning_rate=2e-5", *shlex.split(" ".join(found.options))]
    parts = load_parts(read_arguments("plan", options))
    assert parts.module.adapter == AdapterSettings()
    shipped = load_parts(read_arguments("plan", ["--config", "llama3b", "--model.model_name=demo:llama"]))
    rates = {one.config["model"]["init_args"]["learning_rate"] for one in (parts, shipped)}
    assert rates == {2e-4}
    # Of what has an adapter, the rate is somebody's choice.
    adapted = replace(settings, adapter=AdapterSettings(rank=4))
    for names in (("nf4 base",), ("gradient checkpointing",)):
        changed = first_fit(adapted, names, memory=10**12, cache=cache)
        assert changed is not None
        assert not any("learning_rate" in option for option in changed.options)


@pytest.mark.parametrize(
    ("value", "reason"), [("null", "data.train_file is not set"), ("gone.csv", "gone.csv: no such file or folder")]
)
def test_rows_that_cannot_be_read_are_named(
    work: Path, capsys: pytest.CaptureFixture[str], value: str, reason: str
) -> None:
    status, values = plan(f"--data.train_file={value}")
    assert (status, values["is_of_training_rows"]) == (0, False)
    assert values["training_rows_unread"].startswith(reason)
    assert reason in " ".join(capsys.readouterr().out.split())


def test_what_does_not_fit_fits_with_the_options_that_are_printed(
    work: Path, llama: None, capsys: pytest.CaptureFixture[str]
) -> None:
    _, values = plan(config="llama.yaml")
    memory = f"{values['context'] / 1e6 + (values['peak'] / 1e6) * 0.7:.0f}MB"
    status, values = plan("--memory", memory, config="llama.yaml")
    assert (status, values["fits"]) == (1, False)
    printed = capsys.readouterr().out
    assert "does not fit" in printed
    assert all(" ".join(proposal["options"]) in printed for proposal in values["proposals"])
    assert_each_fits(values, memory=memory)
    by_name = {name: proposal["options"] for proposal in values["proposals"] for name in proposal["names"]}
    assert "gradient checkpointing" in by_name
    # Smaller batches keep the rows of an optimizer step.
    options = dict(option.split(" ") for option in by_name["smaller batches, accumulated"])
    rows, batches = int(options["--data.batch_size"]), int(options["--trainer.accumulate_grad_batches"])
    assert rows * batches == 12 > rows


def test_fewest_changes_are_proposed_and_more_where_one_is_not_enough(work: Path, llama: None) -> None:
    _, values = plan("--memory", "640MB", config="llama.yaml")
    (size,) = {len(proposal["names"]) for proposal in values["proposals"]}
    assert size >= 2
    assert_each_fits(values, memory="640MB")


def test_where_nothing_helps_it_says_so(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, values = plan("--memory", "501MB")
    assert (status, values["proposals"]) == (1, [])
    assert "take a smaller model or a larger device" in capsys.readouterr().out


def test_an_adapter_and_nf4_shrink_what_they_should(work: Path, llama: None) -> None:
    _, full = plan(config="llama.yaml")
    _, lora = plan("--model.adapter.rank=8", config="llama.yaml")
    _, qlora = plan("--model.adapter.rank=8", "--model.quantization=nf4", config="llama.yaml")
    assert lora["bytes"]["weights"] == full["bytes"]["weights"]
    assert lora["bytes"]["adapter"] == lora["bytes"]["gradients"] == 4 * lora["model"]["num_trained"]
    # Per layer: q, k, v, o, gate, up, down; rank times the sum of both widths.
    widths = (1024 + 1024) * 2 + (1024 + 512) * 2 + (1024 + 2048) * 3
    assert lora["model"]["num_trained"] == 4 * 8 * widths
    linear = 4 * (2 * 1024 * 1024 + 2 * 1024 * 512 + 3 * 1024 * 2048)
    saved = lora["bytes"]["weights"] - qlora["bytes"]["weights"]
    assert saved == pytest.approx(linear * (4 - 0.5 - 1 / 64), rel=0.002)


def test_a_model_without_a_config_is_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "bare").mkdir()
    assert main(["plan", "--config", "tiny.yaml", "--model.model_name=bare"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "bare" in err
