"""Module and data module of a config, without a Trainer and without weights.

In: a command line that `fit` would take. Out: the objects that `fit` would train with, checked by the same parser, so
that a command speaks of exactly the run that would follow. The module has its encoder; weights come only in
`configure_model`, which nobody calls here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

from kosum_pl.cli.arguments import Invocation
from kosum_pl.cli.lightning_cli import KosumCLI
from kosum_pl.cli.plugins import load_plugins
from kosum_pl.cli.quiet import quieten
from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.modules import SummarizationModule

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

_COMMAND: Final = "fit"
# What a Trainer would be built with, some of it with effects of its own; here nothing is run.
_OF_THE_TRAINER: Final = {"callbacks": None, "logger": None, "plugins": None, "profiler": None, "strategy": "auto"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Parts:
    """What a config names.

    Attributes:
        module: With its encoder, without weights.
        datamodule: Borrows the module's encoder; `setup("fit")` reads train and val as `fit` would.
        config: The resolved config as plain values: `trainer`, `model`, `data` and the rest.
    """

    module: SummarizationModule
    datamodule: SummarizationDataModule
    config: dict[str, Any]


def load_parts(invocation: Invocation) -> Parts:
    """Build module and data module of a command line.

    Args:
        invocation: From `read_arguments`, whatever its command.

    Raises:
        ValueError: The config is wrong, or something that it names.
    """
    quieten()
    cli = _PartsCLI(
        replace(invocation, command=_COMMAND),
        plugins=load_plugins(invocation.plugins),
        module_class=SummarizationModule,
        datamodule_class=SummarizationDataModule,
    )
    cli.datamodule.trainer = cast("Trainer", _EncoderOwner(cli.model))
    return Parts(module=cli.model, datamodule=cli.datamodule, config=cli.values)


class _EncoderOwner:
    """Stands where the data module looks for a Trainer: it has the module and nothing else."""

    def __init__(self, module: SummarizationModule) -> None:
        self.lightning_module = module


class _PartsCLI(KosumCLI):
    """`fit`'s parser, and of what it would build the module and the data module alone."""

    model: SummarizationModule
    datamodule: SummarizationDataModule
    values: dict[str, Any]

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
