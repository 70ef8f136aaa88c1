"""Settings of the Trainer that Lightning refuses too late, in words that name no key, or not at all.

In: the parsed `trainer` and `seed_everything` of a config, or what was raised when objects were built from a config.
Out: nothing, or one line with the key, its value and what to write. Nothing has begun when it is said.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pydoc import locate
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from jsonargparse import Namespace

from kosum_pl.errors import UsageError, one_line
from kosum_pl.types import is_finite_number

_MAX_SEED: Final = 2**32 - 1
_WHOLE_NUMBERS: Final = {
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "log_every_n_steps": 0,
    "max_epochs": -1,
    "max_steps": -1,
    "min_epochs": 0,
    "min_steps": 0,
    "num_nodes": 1,
    "num_sanity_val_steps": -1,
    "reload_dataloaders_every_n_epochs": 0,
}
"""The least that a setting may be."""
_SHARES: Final = (
    "limit_train_batches",
    "limit_val_batches",
    "limit_test_batches",
    "limit_predict_batches",
    "overfit_batches",
)
_TIMES: Final = ("max_time", "val_check_interval")
_TIME: Final = re.compile(r"\d+:\d\d:\d\d:\d\d")
_TIME_UNITS: Final = {"weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds"}
_TRAINS_NOTHING: Final = ("max_epochs", "max_steps", "limit_train_batches")
_GPU_STRATEGIES: Final = ("deepspeed", "fsdp")
_COPYING_STRATEGIES: Final = ("ddp_fork", "ddp_notebook", "ddp_spawn")
"""What the processes of these have written and scored does not come back to the one that reports it."""
_FEW_PROCESSES: Final = 4
_TAKES_NULL: Final = (Any, NoneType, object)
_ABSENT: Final = object()
_OBJECT: Final = re.compile(r"<[\w.]+ object at 0x\w+>")


def check_seed(seed: Any) -> None:
    """Refuse a seed that numpy would refuse, in words that do not name the setting."""
    if isinstance(seed, int) and not 0 <= seed <= _MAX_SEED:
        raise UsageError(f"seed_everything is {seed}; write a whole number from 0 to {_MAX_SEED}")


def check_trainer(settings: Mapping[str, Any], *, command: str, has_gpu: Callable[[], bool]) -> None:
    """Refuse values with which Lightning fails in mid-run, or does silently something else.

    Args:
        settings: `trainer` of a parsed config.
        command: Training nothing is refused in `fit` alone.
        has_gpu: Asked only where a strategy needs one.

    Raises:
        UsageError: The first value that is wrong.
    """
    for name, least in _WHOLE_NUMBERS.items():
        value = settings.get(name)
        if isinstance(value, int) and value < least:
            raise UsageError(f"trainer.{name} is {value}; write a whole number from {least} on")
    for name in _SHARES:
        _check_share(name, settings.get(name), least=0)
    _check_share("val_check_interval", settings.get("val_check_interval"), least=1)
    for name in _TIMES:
        _check_time(name, settings.get(name), is_number_too=name != "max_time")
    clip = settings.get("gradient_clip_val")
    if isinstance(clip, (int, float)) and not (is_finite_number(clip) and clip >= 0):
        raise UsageError(f"trainer.gradient_clip_val is {clip}; write a number from 0 on, such as 1.0")
    if settings.get("barebones"):
        raise UsageError("trainer.barebones is True, and would keep no checkpoint and no score; set it to false")
    for name in _TRAINS_NOTHING:
        if command == "fit" and settings.get(name) == 0 and settings.get(name) is not None:
            raise UsageError(f"trainer.{name} is 0, and fit would train nothing; write a number above 0, or null")
    accelerator = settings.get("accelerator")
    if accelerator == "tpu" and find_spec("torch_xla") is None:
        raise UsageError(
            "trainer.accelerator is tpu, which needs torch_xla, and it is not installed; use auto, gpu or cpu"
        )
    _check_strategy(settings.get("strategy"), accelerator=accelerator, has_gpu=has_gpu)


def check_devices(settings: Mapping[str, Any], *, has_gpu: Callable[[], bool]) -> None:
    """Refuse more processes on a CPU than it could serve: each device is one there, with a model of its own.

    A few are taken whatever it has, to try out what several ranks do.

    Args:
        settings: `trainer` of a parsed config that runs here; one that is planned for may have another machine.
        has_gpu: Asked only where the number is too large for a CPU.

    Raises:
        UsageError: There are more.
    """
    devices, accelerator = settings.get("devices"), settings.get("accelerator")
    if isinstance(devices, str) and devices.isdecimal():
        devices = int(devices)
    num_cores = os.cpu_count() or 1
    most = max(num_cores, _FEW_PROCESSES)
    if not isinstance(devices, int) or devices <= most or accelerator not in ("auto", "cpu"):
        return
    if accelerator == "cpu" or not has_gpu():
        raise UsageError(
            f"trainer.devices is {devices}: on a CPU that is as many processes, and this machine has {num_cores} "
            f"cores; write a number up to {most}"
        )


def check_nulls(settings: Any, *, owner: str, of: type | None = None) -> None:
    """Refuse null where a class needs a value, which the parser lets through, with the key that holds it.

    Args:
        settings: Arguments of a class, or a class with `class_path` and `init_args`, or a list of these.
        owner: The key that they stand under.
        of: The class; None where the settings name it.

    Raises:
        UsageError: The first null that is wrong.
    """
    if isinstance(settings, list):
        for entry in settings:
            check_nulls(entry, owner=owner)
        return
    path = getattr(settings, "class_path", None)
    kind, values = (locate(path), settings.get("init_args")) if isinstance(path, str) else (of, settings)
    for name, hint in _argument_hints(kind).items() if isinstance(values, (Mapping, Namespace)) else ():
        options = _options_of(hint)
        value = values.get(name, _ABSENT)
        if value is None and not any(option in _TAKES_NULL for option in options):
            whose = f" of {path.rpartition('.')[2]}" if path and owner.endswith("callbacks") else ""
            raise UsageError(f"{owner}.{name}{whose} is null; write a value, or leave it out")
        below = next((option for option in options if isinstance(option, type) and _argument_hints(option)), None)
        check_nulls(value, owner=f"{owner}.{name}", of=below)


def _argument_hints(of: object) -> dict[str, Any]:
    """Types of a class's arguments; none where they cannot be told."""
    try:
        return get_type_hints(of.__init__) if isinstance(of, type) else {}  # type: ignore[misc]
    except (NameError, TypeError):  # of a plug-in that imports names for type checkers alone
        return {}


def _options_of(hint: Any) -> tuple[Any, ...]:
    """What a hint allows: the types of a union, or itself."""
    if get_origin(hint) not in (Union, UnionType):
        return (hint,)
    return tuple(option for each in get_args(hint) for option in _options_of(each))


def explain_refusal(error: BaseException, settings: Mapping[str, Any], *, owner: str = "trainer") -> str:
    """One line of what Lightning said, with the key that it speaks of, where one is to be recognised.

    Example:
        >>> explain_refusal(TypeError("`devices` should be an int > 0."), {"devices": "-4", "strategy": "auto"})
        'trainer.devices is -4: `devices` should be an int > 0.'
    """
    message = _OBJECT.sub("…", one_line(str(error))) or type(error).__name__
    key = _named_key(message, settings)
    return f"{owner}.{key} is {settings[key]}: {message}" if key else f"{owner}: {message}"


def _check_share(name: str, value: Any, *, least: int) -> None:
    """A whole number of batches from `least` on, or a share of them."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    is_share = isinstance(value, float) and (0 < value <= 1 or value == least == 0)
    if not is_share and not (isinstance(value, int) and value >= least):
        remedy = f"write a whole number from {least} on, or a share such as 0.25"
        raise UsageError(f"trainer.{name} is {value}; {remedy}")


def _check_time(name: str, value: Any, *, is_number_too: bool) -> None:
    """A span of time as Lightning reads it."""
    if isinstance(value, str) and not (is_number_too or _TIME.fullmatch(value.strip())):
        raise UsageError(f"trainer.{name} is '{value}'; write DD:HH:MM:SS, such as 00:12:00:00 for twelve hours")
    if isinstance(value, Mapping) and set(value) - _TIME_UNITS:
        raise UsageError(f"trainer.{name} is {dict(value)}; write DD:HH:MM:SS, or units such as {{hours: 12}}")


def _check_strategy(strategy: Any, *, accelerator: Any, has_gpu: Callable[[], bool]) -> None:
    if not isinstance(strategy, str):
        return
    if strategy.startswith(_COPYING_STRATEGIES):
        raise UsageError(f"trainer.strategy is {strategy}, which keeps no scores of its processes; use ddp")
    if not strategy.startswith(_GPU_STRATEGIES):
        return
    is_on_cpu = accelerator == "cpu"
    if is_on_cpu or not has_gpu():
        reason = "trainer.accelerator is cpu" if is_on_cpu else "there is none here"
        raise UsageError(f"trainer.strategy is {strategy}, which needs a GPU, and {reason}; use auto or ddp")


def _named_key(message: str, settings: Mapping[str, Any]) -> str | None:
    """The key that stands first in a message, else the one whose value does."""
    given = {key: value for key, value in settings.items() if value is not None}
    places = {key: found.start() for key in given if (found := re.search(rf"(?<![\w.]){key}(?!\w)", message))}
    if places:
        return min(places, key=lambda key: places[key])
    words = message.lower()
    texts = {key: value.lower() for key, value in given.items() if isinstance(value, str) and len(value) > 2}
    return next((key for key, text in texts.items() if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", words)), None)
