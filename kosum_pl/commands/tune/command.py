"""`tune`: the decoding preset that summarizes a slice of the validation rows best.

In: a config, a checkpoint and a slice such as `weekday=7`. Out: a preset file, with what it won and on how many rows in
its comments. Half of the rows are never tuned on: the gain that is told is measured there, and where there is none no
preset is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kosum_pl.cli.arguments import Invocation, read_arguments
from kosum_pl.cli.options import asks_for_help, output_file, take_option
from kosum_pl.errors import UsageError

HELP: Final = """usage: python -m kosum_pl tune --config NAME --ckpt_path best --output FILE.yaml [options]

Search a decoding preset for some rows of data.val_file by mean rouge_sum, summarized as validate does. The rows are
split: one part is searched on, the other says what was won, against the preset that serves these rows today (or the one
that stands in the output file and serves them). In the end fields of the best trial are put back where the rows cannot
tell. Rows of test are never read. Trials are kept: the same call goes on where it was stopped.

options:
  --config NAME          the run's config
  --ckpt_path WORD       best, last or a file
  --slice COLUMN=VALUE   rows of a profile column; 6,7 is either; given again, rows must match all (default: all rows)
  --trials NUMBER        presets to try in all (40)
  --output FILE.yaml     the preset; an existing file is replaced only by a better one
  --force                write the preset also where it does not win
  --held_out SHARE       part of the rows that is not searched on (0.5)
  --seed NUMBER          of the split and the search (42)
  --study FILE.db        where trials are kept (RUN/tune/SLICE.db)
  --device WORD          auto, cpu, cuda
  --model.presets ...    any option of fit
  --help                 this text"""
_TRIALS: Final = 40
_SEED: Final = 42
_HELD_OUT: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """What `tune` is asked for.

    Attributes:
        checkpoint: The weights.
        output: The preset's file.
        slices: Conditions on the rows, `column=value` each; none for all rows.
        num_trials: Trials in all, earlier calls' included.
        held_out: Share of the rows that is not searched on, 0-1.
        seed: Of the split and the search.
        study: Where trials are kept; None for the run's folder.
        device: Where to compute.
        is_forced: Whether a preset that does not win is written too.
        words: The command line after the command, for the preset's comments.
    """

    checkpoint: Path
    output: Path
    slices: tuple[str, ...] = ()
    num_trials: int = _TRIALS
    held_out: float = _HELD_OUT
    seed: int = _SEED
    study: Path | None = None
    device: str = "auto"
    is_forced: bool = False
    words: tuple[str, ...] = ()


def run(command: str, arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        command: Its name.
        arguments: What follows it.

    Returns:
        The exit status.

    Raises:
        ValueError: An option, the config, the checkpoint or the slice is wrong, or the best preset found does not win.
    """
    if asks_for_help(arguments):
        print(HELP)
        return 0
    invocation, options = read_options(command, arguments)
    from kosum_pl.commands.tune.run import tune  # seconds of imports, after what can be checked without them

    for line in tune(invocation, options):
        print(line, flush=True)
    return 0


def read_options(command: str, arguments: Sequence[str]) -> tuple[Invocation, TuneOptions]:
    """The config's command line, and what is asked for beside it.

    Args:
        command: The command's name.
        arguments: What follows it.

    Raises:
        ValueError: An option is missing or wrong, or Optuna is not installed.
    """
    slices, rest = _take_all(arguments, name="--slice")
    values: dict[str, str | None] = {}
    for name in ("trials", "output", "held_out", "seed", "study", "device"):
        values[name], rest = take_option(rest, name=f"--{name}")
    output = output_file(values["output"], option="--output")
    if output is None or output.suffix not in (".yaml", ".yml"):
        raise UsageError("tune needs --output FILE.yaml, such as configs/presets/saturday.yaml")
    invocation = read_arguments(command, [word for word in rest if word != "--force"])
    if invocation.checkpoint is None:
        raise UsageError("tune needs --ckpt_path best|last|FILE")
    _check_optuna()
    return invocation, TuneOptions(
        checkpoint=invocation.checkpoint,
        output=output,
        slices=tuple(slices),
        num_trials=_number(values["trials"], option="--trials", default=_TRIALS, least=1),
        held_out=_share(values["held_out"]),
        seed=_number(values["seed"], option="--seed", default=_SEED, least=0),
        study=output_file(values["study"], option="--study"),
        device=values["device"] or "auto",
        is_forced="--force" in rest,
        words=tuple(arguments),
    )


def _take_all(arguments: Sequence[str], *, name: str) -> tuple[list[str], list[str]]:
    """All values of an option that may be given several times, and all other arguments."""
    values: list[str] = []
    rest: list[str] = []
    pending = iter(arguments)
    for argument in pending:
        if argument == name:
            value, _ = take_option([argument, next(pending, "")], name=name)
        elif argument.startswith(f"{name}="):
            value, _ = take_option([argument], name=name)
        else:
            rest.append(argument)
            continue
        values += [value] if value is not None else []
    return values, rest


def _number(value: str | None, *, option: str, default: int, least: int) -> int:
    if value is None:
        return default
    if not value.isdecimal() or int(value) < least:
        raise UsageError(f"{option} is '{value}'; write a whole number from {least} on")
    return int(value)


def _share(value: str | None) -> float:
    try:
        share = _HELD_OUT if value is None else float(value)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise UsageError(f"--held_out is '{value}'; write a share between 0 and 1, such as 0.5")
    return share


def _check_optuna() -> None:
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise UsageError("tune needs Optuna, which is not installed: pip install optuna")
