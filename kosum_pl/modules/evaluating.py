"""What `validate`, `test` and `predict` do with a batch, and with all of them: the part of the module that generates.

In: batches, under whatever preset serves their rows. Out: scores by their full names, logged, and predictions in the
order of the input. Where a batch does not fit into memory it is computed in halves.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor
from transformers import PreTrainedModel

from kosum_pl.decode import DecodingPreset, DecodingSettings, PresetRouter
from kosum_pl.encode import Batch, Encoder
from kosum_pl.metrics.least_risk import least_risk
from kosum_pl.metrics.scores import EvaluationScores
from kosum_pl.modules.clipping import is_sharded
from kosum_pl.modules.loss import cross_entropy_sum
from kosum_pl.modules.out_of_memory import Demand, in_parts
from kosum_pl.modules.summarizer import Summarizer
from kosum_pl.types import Prediction


class EvaluatingModule(LightningModule):
    """Loss, summaries and scores of an evaluation; see `SummarizationModule`, which sets what is named here.

    Attributes:
        model: The transformers model; there once `configure_model` has run.
        encoder: Renders prompts.
        evaluation: Counts losses and predictions.
        generate_during_fit: Whether validation inside `fit` generates, or computes the loss alone.
        scores: Scores of the last evaluation by full name.
        start_scores: Scores before training, where the sanity check covered all rows.
        predictions: Predictions of the last evaluation, all rows in input order, on every rank.
    """

    model: PreTrainedModel | None
    encoder: Encoder
    evaluation: EvaluationScores
    generate_during_fit: bool
    scores: dict[str, float]
    start_scores: dict[str, float]
    predictions: list[Prediction]
    _summarizer: Summarizer
    _constraint_name = "none"  # in the last evaluation

    @abstractmethod
    def supervised_logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits and targets of a batch's supervised positions, (N, V) and (N,)."""

    @property
    def language_model(self) -> PreTrainedModel:
        """The model; `configure_model` must have run."""
        if self.model is None:
            raise RuntimeError("the module has no weights yet: call configure_model() first")
        return self.model

    @property
    def is_fitting(self) -> bool:
        """Whether a `fit` is running, also during its validation."""
        return self._trainer is not None and self.trainer.state.fn == "fit"

    @property
    def decoding(self) -> DecodingSettings:
        """How text is generated; a callback may replace it."""
        return self._summarizer.decoding

    @decoding.setter
    def decoding(self, decoding: DecodingSettings) -> None:
        self._summarizer = Summarizer(self.encoder, decoding)

    @property
    def active_router(self) -> PresetRouter:
        """Decides which preset serves which row, at this stage."""
        return self.decoding.fit_router if self.is_fitting else self.decoding.router

    @property
    def should_generate(self) -> bool:
        """Whether an evaluation now would generate."""
        return self.generate_during_fit or not self.is_fitting

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names that every validation will log, for callbacks to check at the start."""
        generated = self.evaluation.settings.score_names if self.should_generate else ()
        return tuple(f"val/{name}" for name in ("loss", *generated))

    def score_record(self) -> dict[str, Any]:
        """What must stand beside the scores for them to mean something."""
        return {
            **self.evaluation.record(),
            "constraint": self._constraint_name,
            **({"mbr": asdict(self.decoding.mbr)} if self.decoding.mbr is not None and not self.is_fitting else {}),
            "preset": ",".join(sorted({prediction.preset for prediction in self.predictions})),
            "num_rows": len(self.predictions),
        }

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss and generated summaries of one batch."""
        self._evaluate(batch, "validation")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss and generated summaries of one batch."""
        self._evaluate(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> list[str]:
        """Summaries of one batch, as text; `predictions` has all rows in input order once the epoch has ended."""
        return [prediction.text for prediction in self._evaluate(batch, "predict")]

    def _evaluate(self, batch: Batch, stage: str) -> list[Prediction]:
        if batch.labels is not None:
            demand = Demand(work="is scored by its loss", together=self._together)
            for part, _, loss in in_parts(batch, self._loss_sum, demand=demand):
                if batch.is_counted and loss is not None:
                    self.evaluation.update_loss(loss, num_tokens=part.num_supervised_tokens)
        if not self.should_generate:
            return []
        preset, *others = {self.active_router.preset_for(dialogue.profile) for dialogue in batch.dialogues}
        assert not others, "a batch mixes presets"
        predictions = self.summarize_batch(batch, preset=preset, stage=stage)
        if batch.is_counted:  # a row that fills up a rank's last batch is scored on another
            self.evaluation.update(batch.rows, predictions)
        return predictions

    def _loss_sum(self, batch: Batch, _: range) -> Tensor | None:
        """Sum of a batch's losses; None of a part without any reference."""
        return None if batch.labels is None else cross_entropy_sum(*self.supervised_logits(batch))

    @property
    def _together(self) -> str:
        """Name of the strategy under which several ranks compute together; empty where each computes alone."""
        if self._trainer is None or self.trainer.world_size == 1 or not is_sharded(self.trainer):
            return ""
        return type(self.trainer.strategy).__name__

    def summarize_batch(
        self, batch: Batch, *, preset: DecodingPreset, stage: str = "predict", encoder_states: Tensor | None = None
    ) -> list[Prediction]:
        """Generate one summary for every row of a batch; see `Summarizer.summarize`, and of `mbr` `candidates`."""
        mbr = None if self.is_fitting else self.decoding.mbr
        if mbr is not None:
            rows = self._summarizer.candidates(
                self.language_model, batch, preset=preset, stage=stage, settings=mbr, together=self._together
            )
            return least_risk(rows, tokenizer=self.evaluation.metrics.tokenizer, weights=mbr.weights)
        return self._summarizer.summarize(
            self.language_model,
            batch,
            preset=preset,
            stage=stage,
            encoder_states=encoder_states,
            together=self._together,
        )

    def on_validation_epoch_end(self) -> None:
        """Scores of all rows, logged under `val/`."""
        self._finish_evaluation("validation", prefix="val")

    def on_test_epoch_end(self) -> None:
        """Scores of all rows, logged under `test/`."""
        self._finish_evaluation("test", prefix="test")

    def on_predict_epoch_end(self) -> None:
        """All rows' predictions in input order, and what can be scored without references."""
        self._finish_evaluation("predict", prefix="predict")

    def _finish_evaluation(self, stage: str, *, prefix: str) -> None:
        self._constraint_name = self.decoding.constraint_name(stage)
        table, self.scores = self.evaluation.finish(prefix)
        self.predictions = list(table.predictions)
        if self.trainer.sanity_checking:
            self.start_scores = self.scores
        elif stage != "predict":  # where nothing can be logged
            self._log_scores(prefix)

    def _log_scores(self, prefix: str) -> None:
        self.log_dict(self.scores)
        if f"{prefix}/rouge_sum" in self.scores:
            self.log("rouge_sum", self.scores[f"{prefix}/rouge_sum"], prog_bar=True, logger=False)
