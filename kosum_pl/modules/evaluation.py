"""What an evaluation does with a batch, and with all of them at its end.

In: a model and batches. Out: predictions of all rows in input order, and scores by full name. It decides which preset
serves which row; when it is asked, and what is logged, is the module's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from transformers import PreTrainedModel

from kosum_pl.decode import ConstraintSettings, DecodingPreset, PresetRouter, load_preset
from kosum_pl.decode.regenerate import Regenerator
from kosum_pl.encode import Batch, Encoder
from kosum_pl.metrics import SemanticSettings
from kosum_pl.metrics.scores import EvaluationScores
from kosum_pl.metrics.slice_scores import SliceScores
from kosum_pl.metrics.summary_scores import ScoreSettings
from kosum_pl.modules.summarizer import Summarizer
from kosum_pl.types import Prediction


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How summaries are generated, finished and scored; the fields are arguments of `SummarizationModule`.

    Attributes:
        preset: Decoding preset forced on all rows: a name or a path.
        fit_preset: Forced inside `fit`; None routes there too.
        presets: Routing list.
        constraint: What may be generated; None for anything.
        postprocess: Steps from raw to final text.
        regenerator: Which rows to generate again.
        slices: Profile columns whose values are scored apart, `length` for quartiles; None for all there are.
        rouge_tokenizer: `kiwi`, `mecab`, `char` or `space`.
        multi_reference: `mean` or `max`.
        semantic: Scores beyond ROUGE; None for none.
    """

    preset: str | None
    fit_preset: str | None
    presets: Sequence[str]
    constraint: ConstraintSettings | None
    postprocess: Sequence[str]
    regenerator: Regenerator | None
    slices: Sequence[str] | None
    rouge_tokenizer: Literal["kiwi", "mecab", "char", "space"]
    multi_reference: Literal["mean", "max"]
    semantic: SemanticSettings | None = None


class Evaluation(nn.Module):
    """Presets, summaries and scores of one evaluation after the other.

    Args:
        encoder: Rendered the prompts.
        settings: How to generate, finish and score.

    Attributes:
        router: Decides outside of `fit` which preset serves which row.
        fit_router: The same within `fit`.
        summarizer: From a batch to predictions.
        results: Losses and predictions so far.
        constraint_name: What constrained the last evaluation.
    """

    def __init__(self, encoder: Encoder, settings: EvaluationSettings) -> None:
        super().__init__()
        forced = load_preset(settings.preset) if settings.preset else None
        routed = tuple(load_preset(name) for name in settings.presets)
        self.router = PresetRouter(forced=forced, presets=routed)
        fit_forced = forced or (load_preset(settings.fit_preset) if settings.fit_preset else None)
        self.fit_router = PresetRouter(forced=fit_forced, presets=routed)
        self.summarizer = Summarizer(
            encoder,
            constraint=settings.constraint,
            postprocess=settings.postprocess,
            regenerator=settings.regenerator,
        )
        licence = self.summarizer.licence
        self.results = EvaluationScores(
            ScoreSettings(
                rouge_tokenizer=settings.rouge_tokenizer,
                multi_reference=settings.multi_reference,
                charset=licence.character_set,
                literals=licence.fixed_literals,
                semantic=settings.semantic,
            ),
            slices=settings.slices,
            steps=self.summarizer.postprocessor.steps,
        )
        self.constraint_name = self.summarizer.rules.constraint_name

    @property
    def slice_scores(self) -> SliceScores | None:
        """Scores of the last evaluation's slices, with intervals; None before the first."""
        return self.results.slice_scores

    @property
    def score_names(self) -> tuple[str, ...]:
        """Scores that every evaluation with summaries has, by bare name."""
        return self.results.settings.score_names

    def check(self, model: PreTrainedModel, *, is_scored: bool) -> None:
        """What would otherwise fail when a validation has generated, perhaps after hours of training.

        Args:
            model: To be evaluated.
            is_scored: Whether its summaries will be; whoever only summarizes needs no encoders.

        Raises:
            ValueError: The model cannot be held to the rules, or an encoder of semantic scores is not there.
        """
        self.summarizer.rules.check(model)
        if is_scored and self.results.semantic is not None:
            self.results.semantic.check()

    def preset_of(self, batch: Batch, router: PresetRouter) -> DecodingPreset:
        """The one preset that serves a batch."""
        first, *rest = [router.preset_for(dialogue.profile) for dialogue in batch.dialogues]
        assert all(preset.name == first.name for preset in rest), "a batch mixes presets"
        return first

    def add_loss(self, batch: Batch, loss: Tensor) -> None:
        """Count a batch's loss, summed over its supervised tokens."""
        if batch.is_counted:
            self.results.update_loss(loss, num_tokens=batch.num_supervised_tokens)

    def summarize(self, model: PreTrainedModel, batch: Batch, router: PresetRouter) -> list[Prediction]:
        """Summaries of a batch, counted once over all ranks."""
        predictions = self.summarizer.summarize(model, batch, preset=self.preset_of(batch, router))
        if batch.is_counted:
            self.results.update(batch.rows, predictions)
        return predictions

    def finish(self, stage: str) -> tuple[list[Prediction], dict[str, float]]:
        """All rows' predictions in input order and all scores, on every rank; then forget them.

        Args:
            stage: `val`, `test` or `predict`.
        """
        self.constraint_name = self.summarizer.rules.constraint_name
        predictions = self.results.gather()
        scores = self.results.compute(stage, predictions)
        self.results.reset()
        return predictions, scores

    def record(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        """What must stand beside the scores for them to mean something."""
        return {
            **self.results.record(),
            "constraint": self.constraint_name,
            "preset": ",".join(sorted({prediction.preset for prediction in predictions})),
            "num_rows": len(predictions),
        }
