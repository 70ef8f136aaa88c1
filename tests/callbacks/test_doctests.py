"""The examples in the docstrings of callbacks and their meters.

pytest would import the files of `callbacks/` a second time, under the folder's own name, and a config that names a
callback by its class alone would find two.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import kosum_pl.callbacks

MODULES = [
    module.name for module in pkgutil.walk_packages(kosum_pl.callbacks.__path__, f"{kosum_pl.callbacks.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_true(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(bool(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name))) >= 5
