"""Numbers of the Trainer that are refused, and whose line names the key; `tests/test_bad_inputs.py` has the command."""

from __future__ import annotations

from typing import Any

import pytest

from kosum_pl.cli.setting_checks import check_devices, check_seed, check_trainer, explain_refusal
from kosum_pl.data.batching.numbers import check_numbers
from kosum_pl.errors import UsageError


def check(settings: dict[str, Any], *, command: str = "fit", has_gpu: bool = False) -> None:
    check_trainer(settings, command=command, has_gpu=lambda: has_gpu)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("val_check_interval", 2.5, "from 1 on, or a share"),
        ("val_check_interval", 0.0, "from 1 on, or a share"),
        ("accumulate_grad_batches", -3, "from 1 on"),
        ("check_val_every_n_epoch", 0, "from 1 on"),
        ("num_nodes", 0, "from 1 on"),
        ("max_epochs", -2, "from -1 on"),
        ("max_steps", 0, "would train nothing"),
        ("min_epochs", -3, "from 0 on"),
        ("min_steps", -3, "from 0 on"),
        ("gradient_clip_val", float("inf"), "from 0 on"),
        ("gradient_clip_val", float("nan"), "from 0 on"),
        ("limit_train_batches", 0, "would train nothing"),
        ("limit_train_batches", 0.0, "would train nothing"),
        ("limit_test_batches", -2, "from 0 on"),
        ("limit_predict_batches", float("nan"), "from 0 on"),
        ("overfit_batches", 1.7, "from 0 on, or a share"),
        ("num_sanity_val_steps", -5, "from -1 on"),
        ("log_every_n_steps", -1, "from 0 on"),
        ("reload_dataloaders_every_n_epochs", -1, "from 0 on"),
        ("strategy", "deepspeed_stage_2", "needs a GPU, and there is none here"),
        ("strategy", "fsdp_cpu_offload", "needs a GPU"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(name: str, value: Any, said: str) -> None:
    with pytest.raises(UsageError, match=rf"^trainer\.{name} is ") as caught:
        check({name: value})
    assert said in str(caught.value)


def test_what_lightning_means_something_by_is_let_through() -> None:
    for settings in (
        {"max_epochs": -1, "max_steps": -1, "num_sanity_val_steps": -1, "check_val_every_n_epoch": None},
        {"limit_val_batches": 0, "limit_test_batches": 0.0, "overfit_batches": 0.0, "limit_train_batches": 1.0},
        {"val_check_interval": 0.25, "gradient_clip_val": 0, "min_epochs": None, "log_every_n_steps": 0},
        {"val_check_interval": "00:15:00", "fast_dev_run": True, "strategy": "ddp"},
    ):
        check(settings)
    check({"max_epochs": 0, "limit_train_batches": 0}, command="validate")
    check({"strategy": "fsdp", "accelerator": "auto"}, has_gpu=True)


def test_seeds_are_those_of_numpy() -> None:
    for seed in (0, 2**32 - 1, True, None):
        check_seed(seed)
    for seed in (-1, 2**32):
        with pytest.raises(UsageError, match=rf"seed_everything is {seed}; write a whole number from 0 to 4294967295"):
            check_seed(seed)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("`devices` of <lightning.A object at 0x7f> is wrong", "trainer.devices is -4: `devices` of … is wrong"),
        ("No supported gpu backend found!", "trainer.accelerator is gpu: No supported gpu backend found!"),
        ("Requirement 'x' not met", "trainer: Requirement 'x' not met"),
        ("", "trainer: ValueError"),
    ],
)
def test_a_refusal_names_the_key_that_it_speaks_of(message: str, line: str) -> None:
    settings = {"accelerator": "gpu", "devices": "-4", "max_epochs": None}
    assert explain_refusal(ValueError(message), settings) == line


@pytest.mark.parametrize(
    ("name", "value"), [("num_workers", 100_000), ("num_eval_samples", -1), ("seed", 10**23), ("batch_size", 0)]
)
def test_numbers_of_the_data_module_have_a_range(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"^data\.{name} is {value}; write a whole number from"):
        check_numbers({name: value})


@pytest.mark.parametrize(
    ("devices", "accelerator", "has_gpu", "is_refused"),
    [
        (5, "cpu", False, True),
        ("5", "cpu", True, True),
        (5, "auto", False, True),
        (5, "auto", True, False),
        (5, "gpu", True, False),
        (4, "cpu", False, False),
        (3, "cpu", False, False),
        ("auto", "cpu", False, False),
        ([0, 1], "cpu", False, False),
        (-1, "auto", False, False),
    ],
)
@pytest.mark.parametrize("num_cores", [1, 4])
def test_a_cpu_takes_as_many_processes_as_it_has_cores(
    monkeypatch: pytest.MonkeyPatch, num_cores: int, devices: object, accelerator: str, has_gpu: bool, is_refused: bool
) -> None:
    """And a few, however few it has."""
    monkeypatch.setattr("os.cpu_count", lambda: num_cores)
    settings = {"devices": devices, "accelerator": accelerator}
    if not is_refused:
        check_devices(settings, has_gpu=lambda: has_gpu)
        return
    with pytest.raises(UsageError, match=rf"trainer\.devices is 5: .* has {num_cores} cores; write a number up to 4"):
        check_devices(settings, has_gpu=lambda: has_gpu)
