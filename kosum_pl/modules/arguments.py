"""Constructor arguments → the settings they belong to.

In: the arguments of a constructor, by name. Out: a value made of those that its own constructor takes. The config's
schema is one flat list of arguments; what is behind it is in several hands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, TypeVar

_Settings = TypeVar("_Settings")


def pick(make: Callable[..., _Settings], arguments: Mapping[str, Any]) -> _Settings:
    """Settings from arguments of the same names; what none is named after keeps its default, others are left out.

    Example:
        >>> from kosum_pl.modules.optim import OptimizerSettings
        >>> pick(OptimizerSettings, {"learning_rate": 1e-4, "model_name": "demo:llama"}).learning_rate
        0.0001
    """
    return make(**{name: arguments[name] for name in signature(make).parameters if name in arguments})
