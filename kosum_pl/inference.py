"""Summaries without a Trainer, the same that `predict` writes.

In: a module with weights, dialogues, and what of a config decides beside the module. Out: predictions in the order of
the dialogues. Batches are formed as the data module forms them, and computed in the Trainer's precision: padding and
rounding are the same too, so that equality can be tested row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from lightning.pytorch.plugins.precision import DoublePrecision, HalfPrecision, MixedPrecision, Precision

from kosum_pl.data import Columns, EvaluationBatchSampler
from kosum_pl.encode import CollateItem, Collator, TokenLimits
from kosum_pl.errors import UsageError
from kosum_pl.modules import SummarizationModule
from kosum_pl.types import Dialogue, EncodedExample, Prediction

_MIXED: Final = {"16-mixed": "16-mixed", "16": "16-mixed", "bf16-mixed": "bf16-mixed", "bf16": "bf16-mixed"}


@dataclass(frozen=True, kw_only=True)
class InferenceSettings:
    """What of a config decides on summaries, beside the module."""

    limits: TokenLimits
    columns: Columns
    cleaning: tuple[str, ...]
    batch_size: int
    precision: str = "32-true"

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, limits: TokenLimits) -> InferenceSettings:
        """From a resolved config: plain values under `trainer` and `data`; of limits that are `auto` the numbers."""
        data, trainer = config["data"], config["trainer"]
        return cls(
            limits=limits,
            columns=Columns(**(data["columns"] or {})),
            cleaning=tuple(data["cleaning"]),
            batch_size=data["eval_batch_size"],
            precision=str(trainer["precision"] or "32-true"),
        )

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> InferenceSettings:
        """The way back from `values`."""
        return cls(
            **{
                **values,
                "limits": TokenLimits(**values["limits"]),
                "columns": Columns(**values["columns"]),
                "cleaning": tuple(values["cleaning"]),
            }
        )

    def values(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return {**asdict(self), "cleaning": list(self.cleaning)}


def find_device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:1` means.

    Raises:
        ValueError: It is no device, or not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device is '{name}'; known: auto, cpu, cuda, cuda:0")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: this machine has {torch.cuda.device_count()} such devices; take another")
    return device


def encode_dialogues(
    module: SummarizationModule, dialogues: Sequence[Dialogue], settings: InferenceSettings
) -> list[EncodedExample]:
    """Prompts of dialogues; no weights are needed.

    Raises:
        ValueError: A row cannot be brought within the limits.
    """
    return [module.encoder.encode(dialogue, limits=settings.limits, with_summary=False) for dialogue in dialogues]


def summarize_dialogues(
    module: SummarizationModule,
    dialogues: Sequence[Dialogue],
    settings: InferenceSettings,
    *,
    device: torch.device,
    examples: Sequence[EncodedExample] | None = None,
    on_batch: Callable[[Mapping[int, Prediction]], object] = lambda found: None,
) -> list[Prediction]:
    """One prediction for every dialogue, in their order; the module is moved to the device.

    Dialogues are encoded here where there are no `examples`. `on_batch` is called after each batch with its predictions
    by row; the longest rows come first.

    Raises:
        ValueError: A row cannot be brought within the limits.
    """
    encoder, router = module.encoder, module.decoding.router
    examples = encode_dialogues(module, dialogues, settings) if examples is None else examples
    presets = [router.preset_for(dialogue.profile) for dialogue in dialogues]
    collate = Collator(
        pad_token_id=int(encoder.tokenizer.pad_token_id), is_causal=module.is_causal, for_generation=True
    )
    sampler = EvaluationBatchSampler(
        [example.prompt_length for example in examples],
        batch_size=settings.batch_size,
        groups=[preset.name for preset in presets],
    )
    precision = precision_context(settings.precision, device)
    precision.convert_module(module).to(device).eval()
    summaries: dict[int, Prediction] = {}
    for rows in sampler:
        batch = collate([CollateItem(example=examples[row], row=row, dialogue=dialogues[row]) for row in rows])
        with torch.inference_mode(), precision.predict_step_context():
            predictions = module.summarize_batch(batch.to(device), preset=presets[rows[0]])
        found = dict(zip(rows, predictions, strict=True))
        summaries.update(found)
        on_batch(found)
    return [summaries[row] for row in range(len(dialogues))]


def precision_context(name: str, device: torch.device) -> Precision:
    """What the Trainer would compute with."""
    if name in _MIXED:
        return MixedPrecision(_MIXED[name], device=device.type)  # type: ignore[arg-type]
    if name in ("16-true", "bf16-true"):
        return HalfPrecision(name)  # type: ignore[arg-type]
    return DoublePrecision() if name in ("64", "64-true") else Precision()
