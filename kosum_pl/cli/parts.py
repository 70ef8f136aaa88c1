"""Module and data module of a config, without a Trainer and without weights.

In: a command line that `fit` would take. Out: the objects that `fit` would train with, checked by the same parser, so
that a command speaks of exactly the run that would follow. The module has its encoder; weights come only in
`configure_model`, which nobody calls here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pydoc import locate
from typing import TYPE_CHECKING, Any, Final, cast

from kosum_pl.cli.arguments import Invocation
from kosum_pl.cli.lightning_cli import KosumCLI, as_list
from kosum_pl.cli.plugins import load_plugins
from kosum_pl.cli.quiet import quieten
from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.decode import ChangesDecoding
from kosum_pl.modules import SummarizationModule
from kosum_pl.terminal import say

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

_COMMAND: Final = "fit"
# What a Trainer would be built with, some of it with effects of its own; here nothing is run.
_OF_THE_TRAINER: Final = {"callbacks": None, "logger": None, "plugins": None, "profiler": None, "strategy": "auto"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Parts:
    """What a config names.

    Attributes:
        module: With its encoder, without weights; decodes as it would with the config's callbacks.
        datamodule: Bound to the module's encoder; `setup("fit")` reads train and val as `fit` would.
        config: The resolved config as plain values: `trainer`, `model`, `data` and the rest.
    """

    module: SummarizationModule
    datamodule: SummarizationDataModule
    config: dict[str, Any]


def load_parts(invocation: Invocation) -> Parts:
    """Build module and data module of a command line.

    Raises:
        ValueError: The config is wrong, or something that it names.
    """
    quieten()
    plugins = load_plugins(invocation.plugins, is_off=invocation.is_without_plugins)
    for line in plugins.news():
        say(f"kosum_pl: {line}", file=sys.stderr)
    cli = _PartsCLI(replace(invocation, command=_COMMAND), plugins=plugins)
    module, datamodule = cli.model, cli.datamodule
    for callback in _decoding_callbacks(cli.values["trainer"]["callbacks"]):
        module.decoding = callback.change_decoding(module.decoding)
    datamodule.bind(module.encoder, router=module.decoding.router, max_positions=module.max_positions)
    return Parts(module=module, datamodule=datamodule, config=cli.values)


def _decoding_callbacks(callbacks: Any) -> Iterator[ChangesDecoding]:
    """Those of a config's callbacks that change how text is generated; no other is built."""
    for callback in as_list(callbacks):
        kind = locate(callback["class_path"])
        if isinstance(kind, type) and issubclass(kind, ChangesDecoding):
            yield kind(**callback.get("init_args") or {})


class _PartsCLI(KosumCLI):
    """`fit`'s parser, and of what it would build the module and the data module alone."""

    values: dict[str, Any]
    is_run = False

    def _set_seed(self) -> None:
        """Nothing random is built."""

    def before_instantiate_classes(self) -> None:
        """Keep what was parsed, and leave out what only a Trainer needs."""
        super().before_instantiate_classes()
        parsed = self.config[_COMMAND]
        self.values = parsed.as_dict()
        for name, value in _OF_THE_TRAINER.items():
            parsed.trainer[name] = value

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """None: no run directory is opened, and no device looked for."""
        return cast("Trainer", None)
