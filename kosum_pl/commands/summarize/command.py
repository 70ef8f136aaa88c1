"""`summarize`: dialogues to summaries, by an exported folder or a run's checkpoint, without a Trainer.

In: the command line: a folder or a config, and dialogues from a file or standard input. Out: summaries as text, CSV or
JSON lines, in the order of the dialogues; progress and notes go to standard error, so that the output can be piped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kosum_pl.checkpoints.lineage import EXPORT_RECORD
from kosum_pl.cli.arguments import Invocation, read_arguments
from kosum_pl.cli.options import asks_for_help, output_file, take_option
from kosum_pl.errors import UsageError

HELP: Final = """usage: python -m kosum_pl summarize DIR [FILE | -] [options]
       python -m kosum_pl summarize NAME --ckpt_path best [FILE | -] [options]

Summarize dialogues by an exported folder, or by a config and a checkpoint: the same prompt, preset, constraint and
post-processing as in `predict`. Without a FILE, or with -, dialogues come from standard input. Interrupted (Ctrl-C), it
writes the rows that are done, in their order and under their own numbers; as text, the others are empty lines. How many
dialogues were truncated to the model's limit stands on standard error.

options:
  --ckpt_path WORD       of a config: best, last or a file; without it, the weights that the config names
  --input_format WORD    text (dialogues divided by blank lines), csv or jsonl (the usual columns); by default the
                         file's ending decides, and standard input is text
  --format WORD          text (a summary a line), csv or jsonl, as predict writes them
  --output FILE          instead of standard output
  --batch_size NUMBER    dialogues at once
  --device WORD          auto, cpu, cuda
  --model.presets ...    of a config: any option of fit
  --help                 this text"""
_INPUT_FORMATS: Final = ("auto", "text", "csv", "jsonl")
_FORMATS: Final = ("text", "csv", "jsonl")


@dataclass(frozen=True, kw_only=True)
class SummarizeOptions:
    """What `summarize` is asked for.

    Attributes:
        source: A file, or `-`.
        input_format: `auto`, `text`, `csv` or `jsonl`.
        output_format: `text`, `csv` or `jsonl`.
        output: A file; None for standard output.
        batch_size: Dialogues at once; None: as configured.
        device: Where to compute.
        folder: An exported folder; None where a config is given.
        invocation: The config's command line; None where a folder is given.
    """

    source: str
    input_format: str
    output_format: str
    output: Path | None
    batch_size: int | None
    device: str
    folder: Path | None = None
    invocation: Invocation | None = None


def run(command: str, arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        command: Its name.
        arguments: What follows it.

    Returns:
        The exit status.

    Raises:
        ValueError: An option, the folder, the config or the input is wrong.
    """
    if asks_for_help(arguments):
        print(HELP)
        return 0
    options = read_options(command, arguments)
    from kosum_pl.commands.summarize.run import summarize  # seconds of imports, after what can be checked without them

    summarize(options)
    return 0


def read_options(command: str, arguments: Sequence[str]) -> SummarizeOptions:
    """What is asked for.

    Args:
        command: The command's name.
        arguments: What follows it.

    Raises:
        ValueError: An option is wrong, or neither folder nor config is named.
    """
    input_format, rest = _choice(arguments, name="--input_format", known=_INPUT_FORMATS)
    output_format, rest = _choice(rest, name="--format", known=_FORMATS)
    output, rest = take_option(rest, name="--output")
    batch_size, rest = take_option(rest, name="--batch_size")
    device, rest = take_option(rest, name="--device")
    if batch_size is not None and (not batch_size.isdecimal() or int(batch_size) < 1):
        raise UsageError(f"--batch_size is '{batch_size}'; write a number from 1 on")
    target, source, rest = _positional(rest)
    folder, invocation = _model(command, target, rest)
    return SummarizeOptions(
        source=source,
        input_format=input_format,
        output_format=output_format,
        output=output_file(output, option="--output"),
        batch_size=int(batch_size) if batch_size else None,
        device=device or "auto",
        folder=folder,
        invocation=invocation,
    )


def _choice(arguments: Sequence[str], *, name: str, known: Sequence[str]) -> tuple[str, list[str]]:
    value, rest = take_option(arguments, name=name)
    if value is not None and value not in known:
        raise UsageError(f"{name} is '{value}'; known: {', '.join(known)}")
    return value or known[0], rest


def _positional(arguments: Sequence[str]) -> tuple[str | None, str, list[str]]:
    """Folder or config, input, and the rest; words in front of the first option are none of its values."""
    words: list[str] = []
    rest: list[str] = []
    pending = iter(arguments)
    for argument in pending:
        if argument.startswith("-") and argument != "-":
            rest.append(argument)
            if "=" not in argument:
                rest += [value] if (value := next(pending, None)) is not None else []
        else:
            words.append(argument)
    is_config = any(argument.split("=")[0] in ("--config", "-c") for argument in rest)
    target = None if is_config else next(iter(words), None)
    sources = words if is_config else words[1:]
    if len(sources) > 1:
        raise UsageError(f"summarize takes one input, and there are {len(sources)}: {', '.join(sources)}; join them")
    return target, sources[0] if sources else "-", rest


def _model(command: str, target: str | None, rest: Sequence[str]) -> tuple[Path | None, Invocation | None]:
    if target is not None and Path(target).expanduser().is_dir():
        folder = Path(target).expanduser()
        if not (folder / EXPORT_RECORD).is_file():
            raise UsageError(f"{target} has no {EXPORT_RECORD}; give a folder that `export` has written, or a config")
        if rest:
            raise UsageError(f"{rest[0]} belongs to a config, and {target} is an exported folder; take it out")
        return folder, None
    config = ["--config", target] if target is not None else []
    return None, read_arguments(command, [*config, *rest])
