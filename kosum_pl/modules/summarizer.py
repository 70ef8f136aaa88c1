"""From a batch to final predictions: generate, post-process, generate again what failed.

In: a model, a batch and a preset. Out: one `Prediction` a row, with raw and final text. It knows no Trainer, so that
whoever has a model and prompts gets the same summaries as a validation does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor
from transformers import PreTrainedModel

from kosum_pl.decode import ConstraintSettings, DecodingPreset
from kosum_pl.decode.postprocess.steps import Postprocessor
from kosum_pl.decode.regenerate import Regenerator
from kosum_pl.decode.rules import DecodingRules
from kosum_pl.encode import Batch, Encoder
from kosum_pl.modules.generation import first_prediction, generate
from kosum_pl.types import Prediction


class Summarizer:
    """Everything between a batch of prompts and its predictions.

    Args:
        encoder: Rendered the prompts.
        constraint: What may be said; None for everything.
        postprocess: Names of the steps from raw to final text.
        regenerator: Tries failed rows again; None for never.

    Attributes:
        rules: Repetition and constraint.
        licence: Charset and literals by which texts are judged, with or without a constraint.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        constraint: ConstraintSettings | None,
        postprocess: Sequence[str],
        regenerator: Regenerator | None,
    ) -> None:
        self.encoder = encoder
        self.rules = DecodingRules(encoder, constraint)
        self.licence = constraint or ConstraintSettings()
        self.regenerator = regenerator
        self.postprocessor = Postprocessor(
            postprocess, charset=self.licence.character_set, literals=self.licence.fixed_literals
        )

    def summarize(
        self, model: PreTrainedModel, batch: Batch, *, preset: DecodingPreset, encoder_states: Tensor | None = None
    ) -> list[Prediction]:
        """One prediction for every row of a batch.

        Args:
            model: In evaluation mode.
            batch: Collated for generation.
            preset: How to decode.
            encoder_states: From `encode_prompts` on this batch, (B, P, H), where it is summarized more than once; None
                computes them.
        """
        first = self._attempt(model, batch, preset=preset, attempt=0, encoder_states=encoder_states)
        if self.regenerator is None:
            return first

        def again(places: Sequence[int], preset: DecodingPreset, attempt: int) -> list[Prediction]:
            states = None if encoder_states is None else encoder_states[list(places)]
            return self._attempt(
                model, batch.select_prompts(places), preset=preset, attempt=attempt, encoder_states=states
            )

        return self.regenerator.regenerate(
            first, again, charset=self.licence.character_set, literals=self.licence.fixed_literals
        )

    def _attempt(
        self,
        model: PreTrainedModel,
        batch: Batch,
        *,
        preset: DecodingPreset,
        attempt: int,
        encoder_states: Tensor | None = None,
    ) -> list[Prediction]:
        completions = generate(
            model,
            batch,
            preset=preset,
            encoder=self.encoder,
            rules=self.rules,
            attempt=attempt,
            encoder_states=encoder_states,
        )
        return [
            self._finish(
                first_prediction(dialogue, completion, text=self.encoder.decode(completion.ids), preset=preset.name)
            )
            for dialogue, completion in zip(batch.dialogues, completions, strict=True)
        ]

    def _finish(self, prediction: Prediction) -> Prediction:
        final = self.postprocessor(prediction.raw_text, dialogue=prediction.dialogue)
        return replace(prediction, text=final.text, changed_steps=final.changed)
