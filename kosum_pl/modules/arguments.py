"""Constructor arguments → the settings they belong to.

In: the arguments of a constructor, by name. Out: a dataclass of those that are its fields. The config's schema is one
flat list of arguments; what is behind it is in several hands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Settings = TypeVar("_Settings", bound="DataclassInstance")


def pick(kind: type[_Settings], arguments: Mapping[str, Any]) -> _Settings:
    """A dataclass of settings from arguments of the same names; fields that none is named after keep their defaults.

    Args:
        kind: The dataclass.
        arguments: By name; others are left out.

    Example:
        >>> from kosum_pl.modules.optim import OptimizerSettings
        >>> pick(OptimizerSettings, {"learning_rate": 1e-4, "model_name": "demo:llama"}).learning_rate
        0.0001
    """
    return kind(**{field.name: arguments[field.name] for field in fields(kind) if field.name in arguments})
