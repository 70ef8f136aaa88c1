"""`export`: a checkpoint as a Hugging Face folder that answers as the trained model does.

In: a config, its overrides and a checkpoint. Out: a folder with weights or an adapter, tokenizer, `kosum.json` and
golden prompts, and the scores of a sample before and after. The folder appears under its name only when it is complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kosum_pl.cli.arguments import Invocation, read_arguments
from kosum_pl.cli.options import asks_for_help, take_option
from kosum_pl.errors import UsageError

HELP: Final = """usage: python -m kosum_pl export --config NAME --ckpt_path best --output DIR [options]

Write a checkpoint as a Hugging Face folder: safetensors, tokenizer with the chat template, generation config of the
preset; kosum.json, from which `summarize DIR` works as `predict` does; golden prompts and, of a constraint, the regex
for vLLM's structured outputs. A sample of data.val_file is scored before, and after from the folder.

options:
  --config NAME          the run's config
  --ckpt_path WORD       best, last or a file
  --output DIR           a new folder
  --merge                of an adapter: add it to its base's weights, which stand in 16 bit where they were quantized;
                         without it the folder holds the adapter alone, as peft reads it
  --merge_base WORD      of a quantized base: quantized (the values that the adapter was trained on, in 16 bit; the
                         default) or original (those that its folder holds)
  --sample NUMBER        rows of data.val_file that are scored (50); 0 for none
  --allow_difference     keep the folder also where rouge_mean differs by more than 0.5 points
  --device WORD          where the sample is summarized: auto, cpu, cuda
  --model.presets ...    any option of fit
  --help                 this text"""
_SAMPLE: Final = 50
_MERGE_BASES: Final = ("quantized", "original")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What `export` is asked for.

    Attributes:
        output: The folder.
        checkpoint: The weights.
        merges: Whether an adapter goes into its base's weights.
        merge_base: Of a quantized base: whether it is merged into the quantized values or into the original ones.
        num_rows: Rows of the sample.
        allows_difference: Whether scores may differ.
        device: Where the sample is summarized.
    """

    output: Path
    checkpoint: Path
    merges: bool = False
    merge_base: str = "quantized"
    num_rows: int = _SAMPLE
    allows_difference: bool = False
    device: str = "auto"


def run(command: str, arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        command: Its name.
        arguments: What follows it.

    Returns:
        The exit status.

    Raises:
        ValueError: An option, the config or the checkpoint is wrong, or the exported model scores otherwise.
    """
    if asks_for_help(arguments):
        print(HELP)
        return 0
    invocation, options = read_options(command, arguments)
    from kosum_pl.commands.export.run import export  # seconds of imports, after what can be checked without them

    for line in export(invocation, options):
        print(line, flush=True)
    return 0


def read_options(command: str, arguments: Sequence[str]) -> tuple[Invocation, ExportOptions]:
    """The config's command line, and what is asked for beside it.

    Args:
        command: The command's name.
        arguments: What follows it.

    Raises:
        ValueError: An option is missing, or the output is taken.
    """
    output, rest = take_option(arguments, name="--output")
    sample, rest = take_option(rest, name="--sample")
    device, rest = take_option(rest, name="--device")
    merge_base, rest = take_option(rest, name="--merge_base")
    if merge_base not in (None, *_MERGE_BASES):
        raise UsageError(f"--merge_base is '{merge_base}'; known: {', '.join(_MERGE_BASES)}")
    switches = {name: name in rest for name in ("--merge", "--allow_difference")}
    invocation = read_arguments(command, [argument for argument in rest if argument not in switches])
    if invocation.checkpoint is None:
        raise UsageError("export needs --ckpt_path best|last|FILE")
    return invocation, ExportOptions(
        output=_new_folder(output),
        checkpoint=invocation.checkpoint,
        merges=switches["--merge"],
        merge_base=merge_base or _MERGE_BASES[0],
        num_rows=_number(sample),
        allows_difference=switches["--allow_difference"],
        device=device or "auto",
    )


def _new_folder(value: str | None) -> Path:
    if value is None:
        raise UsageError("export needs --output DIR")
    path = Path(value).expanduser()
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise UsageError(f"--output {value} exists already; name a new folder, or take that one away")
    return path


def _number(value: str | None) -> int:
    if value is None:
        return _SAMPLE
    if not value.isdecimal():
        raise UsageError(f"--sample is '{value}'; write a number of rows, 0 for none")
    return int(value)
