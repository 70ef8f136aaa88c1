"""The command line of `fit`, `validate`, `test` and `predict`, on LightningCLI.

In: a checked `Invocation`. Out: a finished run, and an exit status. Configs, presets and the run directory; nothing
else: what is trained is the module's affair, what is written the recorder's.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import torch
from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.io import CheckpointIO

from kosum_pl import __version__, signals
from kosum_pl.checkpoints.content import check_checkpoint
from kosum_pl.checkpoints.file import AtomicCheckpointIO
from kosum_pl.checkpoints.limits import run_limits
from kosum_pl.checkpoints.lineage import lineage_of, start_of
from kosum_pl.checkpoints.start import StartWeights
from kosum_pl.cli.arguments import Invocation, own_options_help, without_options
from kosum_pl.cli.loggers import run_loggers
from kosum_pl.cli.memory_advice import memory_advice
from kosum_pl.cli.parser_errors import explain_instantiation_error, explain_parser_error
from kosum_pl.cli.plugins import LoadedPlugins, load_plugins
from kosum_pl.cli.quiet import quieten
from kosum_pl.cli.setting_checks import check_devices, check_nulls, check_seed, check_trainer, explain_refusal
from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.errors import (
    UsageError,
    checkpoint_misfit,
    is_out_of_memory,
    is_raised_in_rooms,
    memory_statement,
    one_line,
    user_error_line,
)
from kosum_pl.modules import SummarizationModule
from kosum_pl.report.finish import finish_report
from kosum_pl.runs.files import CHECKPOINT_FOLDER, LAST_CHECKPOINT, RECORD_FILE
from kosum_pl.runs.folders import RunFolders, find_checkpoint, is_rank_zero, open_folders, run_of
from kosum_pl.runs.lock import hold_run
from kosum_pl.runs.memory_watch import MemoryWatch
from kosum_pl.runs.recorder import RunRecorder
from kosum_pl.runs.reproduce import Reproduction
from kosum_pl.runs.run import Run
from kosum_pl.runs.stopping import SignalStop
from kosum_pl.terminal import say

_DEFAULT_SEED: Final = 42
# What Lightning, torch and transformers raise of a setting; `is_raised_in_rooms` tells our own defects apart.
_REFUSALS: Final = (ImportError, MisconfigurationException, NotImplementedError, OverflowError, TypeError, ValueError)


def run_command(invocation: Invocation) -> int:
    """Run one of the four commands; return the exit status.

    Raises:
        ValueError: The config is wrong, or something that it names.
    """
    quieten()
    plugins = load_plugins(invocation.plugins, is_off=invocation.is_without_plugins)
    if is_rank_zero():
        for line in plugins.news():
            say(f"kosum_pl: {line}", file=sys.stderr)
        for line in plugins.lines():
            say(f"kosum_pl: warning: {line}", file=sys.stderr)
    cli = KosumCLI(invocation, plugins=plugins)
    with cli.exclusive_run():
        return cli.run()


class KosumCLI(LightningCLI):
    """LightningCLI for one command, whose config and flags win over whatever a checkpoint remembers."""

    model: SummarizationModule
    datamodule: SummarizationDataModule
    is_run = True

    def __init__(self, invocation: Invocation, *, plugins: LoadedPlugins) -> None:
        self.invocation = invocation
        self.plugins = plugins
        self.folders: RunFolders | None = None
        self.recorder: RunRecorder | None = None
        self.memory_watch = MemoryWatch()
        self.start: Path | None = None
        super().__init__(
            model_class=SummarizationModule,
            datamodule_class=SummarizationDataModule,
            save_config_callback=None,
            seed_everything_default=_DEFAULT_SEED,
            subclass_mode_model=True,
            auto_configure_optimizers=False,
            # Checkpoints hold no hyper-parameters: the run's config says them, and writing them out takes time.
            load_from_checkpoint_support=False,
            parser_kwargs={"exit_on_error": False, "allow_abbrev": False, "prog": "kosum_pl"},
            args=[invocation.command, *invocation.arguments],
        )

    # Parsing.

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Only the command that runs: a parser for each of the four would take seconds."""
        command = self.invocation.command
        return {command: LightningCLI.subcommands()[command]}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """A parser whose saved configs name the version that wrote them."""
        return super().init_parser(**{"dump_header": [f"kosum_pl=={__version__}"], **kwargs})

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        """The command's own arguments, with our defaults: plain checkpoints alone, and no second table of scores."""
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        ours = {"weights_only": True, "verbose": False, "return_predictions": False}
        added = self._subcommand_method_arguments[subcommand]
        parser.set_defaults({name: value for name, value in ours.items() if name in added})
        # The data module's samplers know about ranks; and a check on two batches scores nothing worth waiting for.
        parser.set_defaults({"trainer.use_distributed_sampler": False, "trainer.num_sanity_val_steps": 0})
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what a config of ours may say beside `trainer`, `model` and `data`."""
        parser.add_argument(
            "--plugins", type=list[str], default=[], help="Modules that are imported for the callbacks in them."
        )
        parser.add_argument(
            "--lineage",
            type=list[dict[str, str]],
            default=[],
            help="Earlier runs, the oldest first; fit starts from the weights of the last. Set by --init_from.",
        )
        parser.usage = f"kosum_pl {self.invocation.command} --config NAME [options]"
        parser.description = f"{parser.description} {own_options_help(self.invocation.command)}"

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and tell of a mistake in one line."""
        try:
            # Not through the base class: its warning about sys.argv is for programs that have none of their own.
            self.config = parser.parse_args(args)
        except ArgumentError as error:
            raise UsageError(
                explain_parser_error(
                    str(error), parser=self._parser(self.invocation.command), failures=self.plugins.failures
                )
            ) from error
        values = self.config[self.invocation.command]
        check_seed(values.seed_everything)
        check_trainer(values.trainer, command=self.invocation.command, has_gpu=torch.cuda.is_available)
        check_nulls(values.model, owner="model")
        check_nulls(values.data, owner="data", of=SummarizationDataModule)
        check_nulls(values.trainer.callbacks, owner="trainer.callbacks")
        if self.is_run:
            check_devices(values.trainer, has_gpu=torch.cuda.is_available)

    def _parse_ckpt_path(self) -> None:
        """Leave the checkpoint's hyper-parameters alone: a preset given with `--ckpt_path` is the one used."""

    # Building and running.

    def before_instantiate_classes(self) -> None:
        """Settle what the run directory decides, and nobody else."""
        values = self.config[self.invocation.command]
        if values.trainer.default_root_dir is not None:
            raise UsageError("trainer.default_root_dir is the run directory, and set for you; use --runs_dir")
        checkpoint = self._checkpoint()
        if checkpoint is not None:
            check_checkpoint(checkpoint, is_resumed=self.is_run and self.invocation.command == "fit")
            values.ckpt_path = str(checkpoint)
            # Who goes on with a run, or evaluates it, shares its ancestors whatever config is given.
            ancestors = lineage_of(checkpoint)
            values.lineage = values.lineage if ancestors is None else ancestors
            self._take_limits(run_limits(values.data.as_dict(), checkpoint=checkpoint))
        elif self.invocation.command == "fit":
            self.start = start_of(values.lineage)
        self._say_torn_record(checkpoint or self.start)

    def _say_torn_record(self, weights: Path | None) -> None:
        """Tell of a `run.json` beside the weights that cannot be read: nothing here needs it, and others may."""
        run_dir = run_of(weights) if weights is not None else None
        failure = Run(run_dir).record_failure if run_dir is not None else ""
        if not failure or not is_rank_zero():
            return
        is_resumed = weights != self.start and self.invocation.command == "fit" and self.is_run
        remedy = "fit writes it anew" if is_resumed else "copy the run once more, or delete that file"
        what = "what it says of the run, such as versions and lineage, is left out"
        say(f"kosum_pl: warning: {run_dir}/{RECORD_FILE} cannot be read ({failure}); {what}; {remedy}", file=sys.stderr)

    def _take_limits(self, numbers: Mapping[str, int]) -> None:
        """Cut rows where the checkpoint's fit did, whatever lies in the train file by now."""
        for name, number in numbers.items():
            self.config[self.invocation.command].data[name] = number
        if numbers and is_rank_zero():
            taken = ", ".join(f"{name} auto: {number:,}" for name, number in numbers.items())
            say(f"kosum_pl: {taken}, as in the checkpoint's fit; train is not measured", file=sys.stderr)

    def instantiate_classes(self) -> None:
        """Build module, data module and Trainer; what a setting makes impossible is told in one line."""
        try:
            super().instantiate_classes()
        except _REFUSALS as error:
            if str(error).startswith("Does not validate"):
                raise UsageError(explain_instantiation_error(str(error))) from error
            if user_error_line(error) is not None or is_raised_in_rooms(error):
                raise
            raise UsageError(f"a class of the config cannot be built: {one_line(str(error))}") from error

    def _checkpoint(self) -> Path | None:
        """What `ckpt_path` means, also where a config says it."""
        word = self.config[self.invocation.command].get("ckpt_path")
        if not word:
            return None
        return find_checkpoint(word, runs_dir=self.invocation.runs_dir, config_name=self.invocation.config_name)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Open the run directory, and give the Trainer its loggers and its recorder."""
        command = self.invocation.command
        parent = self.invocation.runs_dir / self.invocation.config_name
        placeholder = RunFolders(run_dir=parent, output_dir=parent, is_new=False)
        self.folders = self._open_folders() if is_rank_zero() else placeholder
        self.recorder = RunRecorder(
            self.folders,
            config_text=self.config_text,
            reproduction=self._reproduction(command),
            is_safe_csv=self.invocation.is_safe_csv,
            has_sources=not self.invocation.is_without_text,
            write_pages=finish_report,
        )
        values = self.config_init[command].trainer
        # First, so that weights which do not fit leave no run behind.
        start = [StartWeights(self.start)] if self.start else []
        watch = [self.memory_watch] if command == "fit" else []
        values.callbacks = [*start, SignalStop(), *watch, self.recorder, *as_list(values.callbacks)]
        plugins = as_list(values.plugins)
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            values.plugins = [*plugins, AtomicCheckpointIO()]
        values.logger = run_loggers(values.logger, self.folders.output_dir)
        try:
            return super().instantiate_trainer(default_root_dir=str(self.folders.output_dir), **kwargs)
        except BaseException as error:
            self.folders.remove()
            if not isinstance(error, _REFUSALS) or is_raised_in_rooms(error):
                raise
            raise UsageError(explain_refusal(error, self.config[command].trainer)) from error

    def _stopped_line(self) -> str:
        """What is left of a command that a signal stopped, and how to go on."""
        assert self.recorder is not None
        run_dir, command = self.recorder.folders.run_dir, self.invocation.command
        if not self.recorder.has_started:
            return "nothing had begun"
        if command != "fit":
            return self.recorder.kept or "no summary was done yet"
        last = run_dir / CHECKPOINT_FOLDER / LAST_CHECKPOINT
        if not last.is_file():
            return f"no step was complete, and nothing is lost but the start; run directory: {run_dir}"
        words = without_options(self.invocation.given, ("--ckpt_path", "--init_from"))
        again = shlex.join(["python", "-m", "kosum_pl", command, *words, "--ckpt_path", str(last)])
        return f"step {self.trainer.global_step:,} is saved in {run_dir}; go on with: {again}"

    def _memory_line(self, error: Exception) -> str:
        """Where the memory of a fit ran out, what was saved, and what to change."""
        assert self.recorder is not None
        watch, values = self.memory_watch, self.config[self.invocation.command]
        problem = watch.problem or f"memory ran out before the first step ({memory_statement(error)})"
        step = getattr(self.trainer.checkpoint_callback, "saved_step", None)
        saved = "" if step is None else f"step {step:,} is saved in {self.recorder.folders.run_dir}; "
        advice = memory_advice(
            self.invocation.given,
            data=values.data.as_dict(),
            num_accumulated=values.trainer.accumulate_grad_batches,
            is_checkpointed=self.model.gradient_checkpointing,
            place=watch.place,
            num_rows=watch.num_rows,
        )
        return f"{problem}; {saved}{advice}"

    def _reproduction(self, command: str) -> Reproduction:
        return Reproduction(
            command=command,
            arguments=self.invocation.given,
            runs_dir=self.invocation.runs_dir.resolve(),
            config_name=self.invocation.config_name,
            data=self.config[command].data.as_dict(),
            settings_files=(*self.model.decoding.preset_files, *self.model.encoder.prompt.files),
            lineage=self.config[command].lineage,
            checkpoint=self._checkpoint(),
            start=self.start,
        )

    def _open_folders(self) -> RunFolders:
        name, slice_name = self.model.decoding.preset_name, self.datamodule.slice_name
        return open_folders(
            self.invocation.command,
            runs_dir=self.invocation.runs_dir,
            config_name=self.invocation.config_name,
            checkpoint=self._checkpoint(),
            # A condition may be of any length, a folder's name may not.
            preset=f"{name}-{slice_name[:40]}" if slice_name else name,
        )

    def config_text(self) -> str:
        """The resolved config as YAML, complete, such that it can be given as `--config` to any of the commands.

        Once rows are read, limits that are `auto` stand there as the numbers that they came to.
        """
        command = self.invocation.command
        values = self.config[command].clone()
        for name, number in self.datamodule.splits.measured_limits.items():
            values.data[name] = number
        for name in self._subcommand_method_arguments[command]:
            values.pop(name, None)
        text: str = self._parser(command).dump(values, skip_none=False, skip_validation=True)
        return text

    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing yet: `run` does, once the object is complete."""

    def exclusive_run(self) -> AbstractContextManager[None]:
        """In `fit` a block that no other `fit` of the same run enters; the others may run beside it."""
        if self.invocation.command != "fit" or self.folders is None or not is_rank_zero():
            return nullcontext()
        return hold_run(self.folders.run_dir)

    def run(self) -> int:
        """Run the command; return 0, or 130 after an interruption."""
        assert self.recorder is not None
        try:
            super()._run_subcommand(self.invocation.command)
            if self.recorder.report:  # now, when the progress bar has let go of the terminal
                self.recorder.report.print()
            if self.recorder.lost:  # all is done and shown, and yet not all is there
                raise UsageError(f"{self.recorder.lost}; the checkpoints are whole")
        except SystemExit:
            # Lightning ends an interrupted run with status 1.
            if not self.recorder.was_interrupted:
                raise
            raise KeyboardInterrupt(f"run directory: {self.recorder.folders.run_dir}") from None
        except signals.Stopped as stop:
            raise signals.Stopped(stop.number, self._stopped_line()) from None
        except Exception as error:
            number = signals.received()
            if number is not None:  # sent to the whole group it ends a loader's workers, and that is an error here
                raise signals.Stopped(number, self._stopped_line()) from None
            misfit = checkpoint_misfit(error, str(self._checkpoint()))
            if misfit is not None:
                raise misfit from error
            if self.invocation.command == "fit" and is_out_of_memory(error):
                raise UsageError(self._memory_line(error)) from error
            if user_error_line(error) is None and self.recorder.has_started:
                self.recorder.write_crash(error)
            raise
        finally:
            if not self.recorder.has_started and self.folders is not None:
                self.folders.remove()
        return 0


def as_list(value: Any) -> list[Any]:
    """What a config gives as none, one or several, as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
