"""Runs `summarize`: reads the dialogues, generates, writes the summaries.

In: what the command line asks for. Out: summaries of all dialogues in their order, on standard output or in a file.
Batches go by length, so that the first dialogue may well be the last to be done: rows are kept until the end, and where
an interruption or an error comes first, those that are done are written. Weights are loaded last of all, as that may
take minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kosum_pl.checkpoints.topics import exported_topics, run_topics
from kosum_pl.cli.arguments import Invocation, Options
from kosum_pl.cli.quiet import quieten
from kosum_pl.commands.summarize.input import read_input
from kosum_pl.commands.summarize.output import render_predictions
from kosum_pl.data import TopicClusters, add_topics
from kosum_pl.encode.table import EncodingCounts
from kosum_pl.errors import UsageError
from kosum_pl.export.folder import load_exported_weights, open_folder
from kosum_pl.files import write_atomically
from kosum_pl.inference import InferenceSettings, encode_dialogues, find_device, summarize_dialogues
from kosum_pl.modules import SummarizationModule
from kosum_pl.runs.csv_cells import CsvCells
from kosum_pl.runs.predictions import unfinished_line
from kosum_pl.signals import Stopped
from kosum_pl.terminal import TEXT, escaped, say
from kosum_pl.types import Dialogue, EncodedExample, Prediction


@dataclass(frozen=True, eq=False, kw_only=True)
class _Summarizer:
    """What summarizes, without its weights until `load_weights` is called."""

    module: SummarizationModule
    settings: InferenceSettings
    topics: TopicClusters | None
    load_weights: Callable[[], object]


def summarize(source: str, model: Path | Invocation, options: Options) -> None:
    """Summarize everything, and write it.

    Raises:
        ValueError: The folder, the config or the input is wrong.
        Stopped: A signal came; says how many rows were written.
    """
    quieten()
    device = find_device(options.device)
    summarizer = _open_export(model) if isinstance(model, Path) else _open_config(model)
    settings = summarizer.settings
    if options.batch_size:
        settings = replace(settings, batch_size=options.batch_size)
    dialogues = read_input(
        source, input_format=options.input_format, columns=settings.columns, cleaning=settings.cleaning
    )
    if summarizer.topics is not None:
        dialogues = add_topics(dialogues, clusters=summarizer.topics)
    examples = _encode(summarizer.module, dialogues, settings)
    summarizer.load_weights()
    done: dict[int, Prediction] = {}
    try:
        _generate(summarizer.module, dialogues, settings, device=device, examples=examples, done=done)
    except BaseException as error:
        if done:
            _write_some([done.get(row) for row in range(len(dialogues))], options, error=error)
        raise
    _write([done[row] for row in range(len(dialogues))], options)
    if options.output is not None:
        say(f"written: {options.output}", file=sys.stderr)


def _encode(
    module: SummarizationModule, dialogues: Sequence[Dialogue], settings: InferenceSettings
) -> list[EncodedExample]:
    """Prompts of the dialogues; says how many were truncated, as `predict` does."""
    examples = encode_dialogues(module, dialogues, settings)
    truncated = [example.truncated_tokens for example in examples if example.truncated_tokens]
    counts = EncodingCounts(
        num_rows=len(examples),
        num_truncated=len(truncated),
        truncated_tokens=sum(truncated),
        num_cut=0,
        supervised_tokens=0,
    )
    say(counts.line("summarize"), file=sys.stderr)
    return examples


def _generate(
    module: SummarizationModule,
    dialogues: Sequence[Dialogue],
    settings: InferenceSettings,
    *,
    device: torch.device,
    examples: Sequence[EncodedExample],
    done: dict[int, Prediction],
) -> None:
    """Fill `done` batch by batch, and show how far it is."""
    columns = (TextColumn("summarized"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(dialogues))

        def keep(found: Mapping[int, Prediction]) -> None:
            done.update(found)
            progress.advance(task, len(found))

        summarize_dialogues(module, dialogues, settings, device=device, examples=examples, on_batch=keep)


def _write(predictions: Sequence[Prediction | None], options: Options) -> None:
    """Write what is done, and say what of it the model did not end."""
    cells = CsvCells(is_safe=options.safe_csv)
    render = partial(render_predictions, predictions, options.format, cells=cells)
    if options.output is not None:
        write_atomically(options.output, render(file=options.output.name))
    else:
        is_terminal = sys.stdout.isatty()
        text = render(is_marked=is_terminal)
        sys.stdout.write(escaped(text, kept=TEXT) if is_terminal else text)
        sys.stdout.flush()
    done = [prediction for prediction in predictions if prediction is not None]
    for line in (*cells.lines(), *unfinished_line(done)):
        say(line, file=sys.stderr)


def _write_some(predictions: Sequence[Prediction | None], options: Options, *, error: BaseException) -> None:
    """Write what an error left, and say so; raises it again where somebody stopped the command."""
    _write(predictions, options)
    num_done = sum(prediction is not None for prediction in predictions)
    where = "on standard output" if options.output is None else f"in {options.output}"
    message = f"{num_done:,} of {len(predictions):,} summaries are {where}"
    if isinstance(error, KeyboardInterrupt):
        raise KeyboardInterrupt(message) from None
    if isinstance(error, Stopped):
        raise Stopped(error.number, message) from None
    say(message, file=sys.stderr)


def _open_export(folder: Path) -> _Summarizer:
    exported = open_folder(folder)
    return _Summarizer(
        module=exported.module,
        settings=exported.settings,
        topics=exported_topics(folder),
        load_weights=partial(load_exported_weights, exported, folder),
    )


def _open_config(invocation: Invocation) -> _Summarizer:
    from kosum_pl.checkpoints.weights import load_weights, seed_of
    from kosum_pl.cli.parts import load_parts  # seconds of imports, which an exported folder does without

    parts, checkpoint = load_parts(invocation), invocation.checkpoint
    if checkpoint is None and (parts.module.adapter is not None or parts.module.source.random_init):
        raise UsageError("this config's own weights are untrained; add --ckpt_path best")
    return _Summarizer(
        module=parts.module,
        settings=InferenceSettings.from_config(parts.config, limits=parts.datamodule.limits),
        topics=run_topics(parts.config["data"]["topics"], checkpoint=checkpoint),
        load_weights=(
            parts.module.configure_model
            if checkpoint is None
            else partial(load_weights, parts.module, checkpoint, seed=seed_of(parts.config))
        ),
    )
