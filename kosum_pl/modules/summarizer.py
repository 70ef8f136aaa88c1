"""From a batch to final predictions: generate, post-process, generate again what failed.

In: a model, a batch and a preset. Out: one `Prediction` a row, with raw and final text. It knows no Trainer, so that
whoever has a model and prompts gets the same summaries as a validation does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from torch import Tensor
from transformers import PreTrainedModel

from kosum_pl.decode import DecodingPreset, DecodingSettings
from kosum_pl.decode.candidates import MbrSettings
from kosum_pl.decode.postprocess.steps import Postprocessor
from kosum_pl.decode.rules import DecodingRules
from kosum_pl.encode import Batch, Encoder
from kosum_pl.modules.generation import Completion, generate
from kosum_pl.modules.out_of_memory import Demand, in_parts
from kosum_pl.types import Dialogue, Prediction

_Part = tuple[Batch, Tensor | None, list[Prediction]]
"""Rows that fitted into memory at once, their encoder states where those were given, and their predictions."""
_Attempt = Callable[..., Iterator[_Part]]


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
        together: str = "",
    ) -> list[Prediction]:
        """One prediction for every row of a batch, which is split where it does not fit into memory (`in_parts`).

        The stage, out of `STAGES`, decides on the constraint. `encoder_states`, (B, P, H), come from `encode_prompts`
        where a batch is summarized more than once; `together` names what makes ranks compute together, if anything.
        """
        attempt = partial(self._attempt, model, stage=stage, together=together)
        found: list[Prediction] = []
        for part, states, first in attempt(batch, preset=preset, encoder_states=encoder_states):
            found += first if self.decoding.regenerator is None else self._regenerate(attempt, part, states, first)
        return found

    def candidates(
        self,
        model: PreTrainedModel,
        batch: Batch,
        *,
        preset: DecodingPreset,
        stage: str,
        settings: MbrSettings,
        together: str = "",
    ) -> list[list[Prediction]]:
        """Several predictions for every row of a batch, (B, num_candidates); see `summarize`.

        As many sequences are generated at once as the preset would need for the batch, so that memory is the same; but
        ranks that compute together take the whole batch, as one that has fewer rows must not be done earlier.
        """
        several, num = settings.preset_for(preset), settings.num_candidates
        at_once = max(1, len(batch.rows) * preset.num_beams // max(num, several.num_beams))
        at_once = len(batch.rows) if together else at_once
        found: list[Prediction] = []
        for start in range(0, len(batch.rows), at_once):
            part = batch.select(range(start, min(start + at_once, len(batch.rows))))
            for *_, predictions in self._attempt(
                model, part, preset=several, stage=stage, num_candidates=num, together=together
            ):
                found += predictions
        return [found[start : start + num] for start in range(0, len(found), num)]

    def _regenerate(
        self, attempt: _Attempt, batch: Batch, encoder_states: Tensor | None, first: Sequence[Prediction]
    ) -> list[Prediction]:
        assert self.decoding.regenerator is not None

        def again(rows: Sequence[int], preset: DecodingPreset, number: int) -> list[Prediction]:
            states = None if encoder_states is None else encoder_states[list(rows)]
            parts = attempt(batch.select_prompts(rows), preset=preset, number=number, encoder_states=states)
            return [prediction for *_, predictions in parts for prediction in predictions]

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
        num_candidates: int = 1,
        encoder_states: Tensor | None = None,
        together: str = "",
    ) -> Iterator[_Part]:
        """Predictions of a batch, in as many parts as its memory takes."""
        rules = self._rules if self.decoding.is_constrained(stage) else self._rules_without_constraint

        def complete(part: Batch, places: range) -> tuple[Tensor | None, list[Completion]]:
            states = _states_of(encoder_states, part, places)
            completions = generate(
                model,
                part,
                preset=preset,
                rules=rules,
                attempt=number,
                num_candidates=num_candidates,
                encoder_states=states,
            )
            return states, completions

        for part, _, (states, completions) in in_parts(
            batch, complete, demand=Demand(preset=preset, together=together)
        ):
            dialogues = [dialogue for dialogue in part.dialogues for _ in range(num_candidates)]
            rows = zip(dialogues, completions, strict=True)
            yield part, states, [self._prediction(dialogue, each, preset=preset.name) for dialogue, each in rows]

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


def _states_of(states: Tensor | None, part: Batch, places: range) -> Tensor | None:
    """A part's rows of encoder states, no wider than its prompts."""
    if states is None or states.shape[0] == len(places):
        return states
    assert part.prompt_ids is not None
    return states[places.start : places.stop, : part.prompt_ids.shape[1]]
