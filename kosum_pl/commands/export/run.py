"""Export from end to end: load, score, merge, write, read back, score again.

In: a command line and options. Out: lines that say what was done, and the folder. What is scored afterwards is the
folder itself, so that weights, tokenizer, prompt, preset and constraint are all tried. Two models are held at once only
where a quantized one gives its values to another.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch

from kosum_pl.checkpoints.lineage import EXPORT_RECORD, lineage_from
from kosum_pl.checkpoints.topics import run_topics
from kosum_pl.checkpoints.weights import load_weights, seed_of
from kosum_pl.cli.arguments import Invocation, Options
from kosum_pl.cli.parts import Parts, load_parts
from kosum_pl.data import TOPICS_FILE
from kosum_pl.errors import UsageError
from kosum_pl.export.folder import load_folder, write_folder
from kosum_pl.export.merge import merge_adapter, take_quantized_values
from kosum_pl.files import make_folders, make_free_folder, remove_empty_folders, writing
from kosum_pl.inference import InferenceSettings, find_device, summarize_dialogues
from kosum_pl.metrics.score_table import ScoreTable
from kosum_pl.modules import SummarizationModule
from kosum_pl.types import Dialogue

TOLERANCE: Final = 0.5
"""Points of `rouge_mean` that an exported model may differ by."""
_SEED: Final = 42
_SIXTEEN_BIT: Final = ("bfloat16", "float16")
_SHOWN: Final = ("rouge_mean", "rouge1", "rouge2", "rougeL")


def export(invocation: Invocation, options: Options) -> Iterator[str]:
    """Export a checkpoint; yields lines that say what was done.

    Raises:
        ValueError: The config or the checkpoint is wrong, or the exported model scores otherwise.
    """
    parts = load_parts(invocation)
    _check(parts.module, options)
    device = find_device(options.device)
    settings = InferenceSettings.from_config(parts.config, limits=parts.datamodule.limits)
    topics = run_topics(parts.config["data"]["topics"], checkpoint=options.checkpoint)
    dialogues = _sample(parts, options.sample)
    load_weights(parts.module, options.checkpoint, seed=seed_of(parts.config))
    made = make_folders(options.output.parent)
    try:
        # A folder of its own beside the output: whatever else lies there is not touched.
        with tempfile.TemporaryDirectory(dir=options.output.parent, prefix=f".{options.output.name}-") as folder:
            draft = Path(folder) / options.output.name
            if is_quantized_merge := options.merge and parts.module.source.quantization != "none":
                # Before anything is computed: on a CPU, bitsandbytes packs the weights anew at their first use.
                yield _write(_unquantized(invocation, parts, options), settings, draft, options)
            before = _score(parts.module, dialogues, settings, device=device)
            if not is_quantized_merge:
                yield _write(parts.module, settings, draft, options)
            _release(parts.module)
            if topics is not None:
                topics.save(draft / TOPICS_FILE)
            exported = load_folder(draft)
            after = _score(exported.module, dialogues, exported.settings, device=device)
            yield _comparison(before, after, num_rows=len(dialogues))
            _check_difference(before, after, draft, options)
            _publish(draft, options.output)
    finally:
        remove_empty_folders(made)
    yield f"exported: {options.output}"


def _score(
    module: SummarizationModule, dialogues: Sequence[Dialogue], settings: InferenceSettings, *, device: torch.device
) -> dict[str, float]:
    """Scores of a module's summaries by bare name; none of no dialogues."""
    if not dialogues:
        return {}
    predictions = summarize_dialogues(module, dialogues, settings, device=device)
    return ScoreTable.of(predictions, module.evaluation.settings).scores()


def _check(module: SummarizationModule, options: Options) -> None:
    if options.merge and module.adapter is None:
        raise UsageError("--merge: this config has no model.adapter, and the whole model is exported; leave it out")
    if module.adapter is not None and module.source.random_init and not options.merge:
        raise UsageError(
            "model.random_init: the adapter's base stands in no folder that a reader of the export could load; "
            "add --merge"
        )


def _sample(parts: Parts, num_rows: int) -> list[Dialogue]:
    """Rows of data.val_file, the same at every export."""
    if num_rows == 0 or not parts.config["data"]["val_file"]:
        return []
    parts.datamodule.setup("validate")
    table = parts.datamodule.tables["val"]
    rows = np.random.default_rng(_SEED).choice(len(table), size=min(num_rows, len(table)), replace=False)
    return [table[int(row)] for row in np.sort(rows)]


def _unquantized(invocation: Invocation, parts: Parts, options: Options) -> SummarizationModule:
    """The module of a quantized base on a base of 16 bits."""
    dtype = parts.module.source.dtype if parts.module.source.dtype in _SIXTEEN_BIT else _SIXTEEN_BIT[0]
    changes = ("--model.quantization=none", f"--model.dtype={dtype}")
    module = load_parts(replace(invocation, arguments=(*invocation.arguments, *changes))).module
    load_weights(module, options.checkpoint, seed=seed_of(parts.config))
    if options.merge_base == "quantized":
        take_quantized_values(module, parts.module)
    return module


def _write(module: SummarizationModule, settings: InferenceSettings, folder: Path, options: Options) -> str:
    """Write the folder, and say what went into it; the module's weights are gone afterwards."""
    content = "the adapter alone" if module.adapter is not None else "the whole model"
    num_merged = 0
    if options.merge:
        num_merged = merge_adapter(module)
        dtype = str(module.language_model.dtype).removeprefix("torch.")
        content = f"the whole model, {num_merged} layers merged in {dtype}"
    with writing(options.output):
        write_folder(
            module,
            settings,
            folder,
            checkpoint=options.checkpoint.name,
            merged_layers=num_merged,
            lineage=lineage_from(str(options.checkpoint)),
        )
    _release(module)
    for path in folder.iterdir():
        path.chmod((folder / EXPORT_RECORD).stat().st_mode)  # safetensors makes private files
    size = sum(path.stat().st_size for path in folder.iterdir())
    return f"written: {content} ({size / 1e6:,.1f} MB)"


def _release(module: SummarizationModule) -> None:
    """Give a module's memory back."""
    module.model = None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _comparison(before: Mapping[str, float], after: Mapping[str, float], *, num_rows: int) -> str:
    """The scores of both, a line each."""
    if not before:
        return "not compared: data.val_file is not set, or --sample is 0"
    lines = []
    for name, scores in (("before", before), ("after", after)):
        values = ", ".join(f"{score} {scores[score]:.2f}" for score in _SHOWN)
        lines.append(f"{name + ':':<8} {values}, {num_rows} rows of data.val_file")
    return "\n".join(lines)


def _check_difference(before: Mapping[str, float], after: Mapping[str, float], draft: Path, options: Options) -> None:
    if not before or options.allow_difference:
        return
    difference = after["rouge_mean"] - before["rouge_mean"]
    if abs(difference) <= TOLERANCE:
        return
    failed = make_free_folder(options.output.with_name(f"{options.output.name}.failed"))
    _publish(draft, failed)
    raise UsageError(
        f"the exported model's rouge_mean differs by {difference:+.2f} points, more than {TOLERANCE}; what was written "
        f"is left at {failed}; try a larger --sample, or add --allow_difference"
    )


def _publish(draft: Path, folder: Path) -> None:
    """Move the draft to its place, where at most an empty folder is; files that came there meanwhile are kept."""
    try:
        if folder.is_dir():
            folder.rmdir()
        draft.rename(folder)
    except OSError as error:
        raise UsageError(f"{folder}: the export cannot be moved there ({error.strerror})") from error
