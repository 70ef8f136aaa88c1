"""From a batch to final predictions: generate, post-process, generate again what failed.

In: a model, a batch and a preset. Out: one `Prediction` a row, with raw and final text. It knows no Trainer, so that
whoever has a model and prompts gets the same summaries as a validation does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor
from transformers import PreTrainedModel

from kosum_pl.decode import DecodingPreset, DecodingSettings
from kosum_pl.decode.postprocess.steps import Postprocessor
from kosum_pl.decode.rules import DecodingRules
from kosum_pl.encode import Batch, Encoder
from kosum_pl.modules.generation import Completion, generate
from kosum_pl.types import Dialogue, Prediction


class Summarizer:
    """Everything between a batch of prompts and its predictions."""

    def __init__(self, encoder: Encoder, decoding: DecodingSettings) -> None:
        self.encoder = encoder
        self.decoding = decoding
        self._rules = DecodingRules(encoder, decoding.constraint)
        self._rules_without_constraint = DecodingRules(encoder, None)
        self._postprocess = Postprocessor(decoding.postprocess, charset=decoding.charset, literals=decoding.literals)

    def check(self, model: PreTrainedModel) -> None:
        """Refuse, before anything is generated, a model or a vocabulary that the rules cannot serve."""
        self._rules.check(model, self.decoding.reachable_presets)

    def summarize(
        self,
        model: PreTrainedModel,
        batch: Batch,
        *,
        preset: DecodingPreset,
        stage: str,
        encoder_states: Tensor | None = None,
    ) -> list[Prediction]:
        """One prediction for every row of a batch.

        The stage, out of `STAGES`, decides on the constraint. `encoder_states`, (B, P, H), come from `encode_prompts`
        where a batch is summarized more than once.
        """
        attempt = partial(self._attempt, model, stage=stage)
        first = attempt(batch, preset=preset, encoder_states=encoder_states)
        if self.decoding.regenerator is None:
            return first

        def again(rows: Sequence[int], preset: DecodingPreset, number: int) -> list[Prediction]:
            states = None if encoder_states is None else encoder_states[list(rows)]
            return attempt(batch.select_prompts(rows), preset=preset, number=number, encoder_states=states)

        return self.decoding.regenerator.regenerate(
            first, again, charset=self.decoding.charset, literals=self.decoding.literals
        )

    def _attempt(
        self,
        model: PreTrainedModel,
        batch: Batch,
        *,
        preset: DecodingPreset,
        stage: str,
        number: int = 0,
        encoder_states: Tensor | None = None,
    ) -> list[Prediction]:
        rules = self._rules if self.decoding.is_constrained(stage) else self._rules_without_constraint
        completions = generate(model, batch, preset=preset, rules=rules, attempt=number, encoder_states=encoder_states)
        rows = zip(batch.dialogues, completions, strict=True)
        return [self._prediction(dialogue, completion, preset=preset.name) for dialogue, completion in rows]

    def _prediction(self, dialogue: Dialogue, completion: Completion, *, preset: str) -> Prediction:
        raw_text = self.encoder.decode(completion.ids)
        final = self._postprocess(raw_text, dialogue=dialogue.text, is_finished=completion.reached_eos)
        return Prediction(
            example_id=dialogue.example_id,
            text=final.text,
            raw_text=raw_text,
            dialogue=dialogue.text,
            references=dialogue.references,
            profile=dialogue.profile,
            log_prob=completion.log_prob,
            num_tokens=len(completion.ids),
            reached_eos=completion.reached_eos,
            attempts=1,
            preset=preset,
            slots=dialogue.slots,
            changed_steps=final.changed,
        )
