"""The one LightningModule: loss and steps; owner of model, encoder and presets. Evaluations: `evaluating.py`.

In: batches. Out: a loss whose gradient is the mean over all supervised tokens of an optimizer step, scores by
their full names, and predictions. What differs between encoder-decoders and causal LMs stands in `seq2seq.py` and
`causal.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer
from transformers import PreTrainedModel

from kosum_pl.checkpoints.random_state import restore_random_state
from kosum_pl.checkpoints.record import read_record, write_record
from kosum_pl.decode import ConstraintSettings, DecodingSettings
from kosum_pl.decode.candidates import MbrSettings
from kosum_pl.decode.postprocess.steps import DEFAULT_STEPS
from kosum_pl.decode.regenerate import Regenerator
from kosum_pl.encode import Batch, ChatPrompt, Encoder, SourcePrompt, add_new_tokens, load_tokenizer
from kosum_pl.metrics import SemanticSettings
from kosum_pl.metrics.scores import EvaluationScores
from kosum_pl.metrics.settings import ScoreSettings, find_metrics
from kosum_pl.models.adapters import AdapterSettings, check_combination
from kosum_pl.models.build import build_model
from kosum_pl.models.new_tokens import NewTokenRows
from kosum_pl.models.quantization import QuantizationName
from kosum_pl.models.source import ModelSource, load_config, num_positions
from kosum_pl.modules.arguments import pick
from kosum_pl.modules.clipping import clip_gradients, row_names
from kosum_pl.modules.evaluating import EvaluatingModule
from kosum_pl.modules.finite import FiniteGuard, OnNonFinite
from kosum_pl.modules.loss import check_label_smoothing, cross_entropy_sum
from kosum_pl.modules.optim import OptimizerName, OptimizerSettings, ScheduleName, build_optimizer
from kosum_pl.modules.resumed_rows import check_rows
from kosum_pl.modules.step_count import num_training_steps
from kosum_pl.modules.step_normalizer import StepNormalizer, is_last_micro_batch
from kosum_pl.types import Prediction


class SummarizationModule(EvaluatingModule):
    """What encoder-decoders and causal LMs have in common; see `Seq2SeqModule` and `CausalModule`.

    Args:
        model_name: Local folder or hub id of model and tokenizer.
        prompt: How a dialogue becomes the model's input; None for the class's default.
        random_init: Random weights of the config's shape instead of trained ones.
        config_overrides: Config fields to replace; with `model_type` among them the folder needs no config.json.
        gguf_file: Name of a GGUF file inside the folder or repository.
        dtype: Of the weights: `auto` (as stored), `float32`, `bfloat16`, `float16` or `float64`.
        attn_implementation: `sdpa`, `eager`, `flash_attention_2`, …; None leaves the choice to transformers.
        gradient_checkpointing: Recompute activations in the backward pass instead of keeping them.
        trust_remote_code: Run code that a hub repository brings along.
        new_tokens: Strings that become tokens of their own, such as `#Person1#`; with an adapter, only their rows of
            embedding and output head are trained beside it.
        adapter: Low-rank adapters to train in place of the weights; None trains all weights.
        quantization: Of the frozen base under an adapter: `nf4`, `int8` or `none`.
        double_quantization: Of `nf4`: quantize the scales too.
        quantization_compute_dtype: Of `nf4`: in which a layer multiplies; `auto` is `dtype`.
        optimizer: `adamw`, `adamw_8bit`, `paged_adamw` or `paged_adamw_8bit`.
        learning_rate: Peak learning rate of AdamW.
        weight_decay: Decoupled decay of weight matrices; norms and biases never decay.
        schedule: After the warm-up: `linear` or `cosine` to zero, or `constant`.
        warmup_steps: Optimizer steps from zero to the peak; wins over `warmup_ratio`.
        warmup_ratio: The same as a share of all optimizer steps.
        label_smoothing: Share of the target mass that is spread over the vocabulary, while training.
        on_non_finite: What to do with a step whose loss or gradient is NaN or infinite: `stop` the fit, or `skip` it,
            at most 10 in a row.
        preset: Decoding preset forced on all rows: a name or a path.
        fit_preset: Forced inside `fit`, where validation should be fast; null routes there too.
        presets: Routing list: the first whose `when` matches serves a row.
        constraint: What may be generated: Korean text, tags and the row's own words; None for anything.
        postprocess: Steps from what the model said to what the user gets, by name; an empty list for none.
        regenerator: Which rows to generate again; None for none.
        mbr: Outside of `fit`: several candidates a row, of which the one is taken that the others agree with most.
        slices: Profile columns of which every value gets scores of its own, and `length` for quartiles of the
            dialogues' characters over the evaluated rows; null for all columns with a dozen values at most.
        generate_during_fit: Whether validation inside `fit` generates, or computes the loss alone.
        rouge_tokenizer: What splits Korean text for ROUGE: `kiwi`, `mecab`, `char` or `space`.
        multi_reference: How several references count: `mean` or `max`.
        semantic: BERTScore, sentence similarity, BLEU and chrF beside ROUGE; None for none of them.
        metrics: Row metrics of your own, by the names that plug-ins have.

    Attributes:
        model: The transformers model; there once `configure_model` has run.
        encoder: Renders prompts; there from the start.
        decoding: How text is generated.
        evaluation: Counts losses and predictions.
        notes: Lines worth showing once: what was changed in tokenizer and model.
        scores: Scores of the last evaluation by full name.
        start_scores: Scores before training, where the sanity check covered all rows.
        predictions: Predictions of the last evaluation, all rows in input order, on every rank.

    Raises:
        ValueError: A setting is out of range, or tokenizer, preset or config cannot be found.
    """

    is_causal: bool
    _random_states: Sequence[dict[str, Tensor]] = ()

    def __init__(
        self,
        model_name: str,
        *,
        prompt: ChatPrompt | SourcePrompt | None = None,
        random_init: bool = False,
        config_overrides: dict[str, Any] | None = None,
        gguf_file: str | None = None,
        dtype: str = "float32",
        attn_implementation: str | None = None,
        gradient_checkpointing: bool = False,
        trust_remote_code: bool = False,
        new_tokens: Sequence[str] = (),
        adapter: AdapterSettings | None = None,
        quantization: QuantizationName = "none",
        double_quantization: bool = True,
        quantization_compute_dtype: str = "auto",
        optimizer: OptimizerName = "adamw",
        learning_rate: float = 3e-5,
        weight_decay: float = 0.01,
        schedule: ScheduleName = "linear",
        warmup_steps: int = 0,
        warmup_ratio: float = 0.0,
        label_smoothing: float = 0.0,
        on_non_finite: OnNonFinite = "stop",
        preset: str | None = None,
        fit_preset: str | None = "fast",
        presets: Sequence[str] = ("default",),
        constraint: ConstraintSettings | None = None,
        postprocess: Sequence[str] = DEFAULT_STEPS,
        regenerator: Regenerator | None = None,
        mbr: MbrSettings | None = None,
        slices: Sequence[str] | None = None,
        generate_during_fit: bool = True,
        rouge_tokenizer: Literal["kiwi", "mecab", "char", "space"] = "kiwi",
        multi_reference: Literal["mean", "max"] = "mean",
        semantic: SemanticSettings | None = None,
        metrics: Sequence[str] = (),
    ) -> None:
        arguments = locals()
        super().__init__()
        check_label_smoothing(label_smoothing)
        check_combination(adapter, quantization)
        self.source, self.optimizer_settings = pick(ModelSource, arguments), pick(OptimizerSettings, arguments)
        self.adapter, self.strict_loading = adapter, adapter is None
        self.label_smoothing, self.gradient_checkpointing = label_smoothing, gradient_checkpointing
        self.generate_during_fit = generate_during_fit
        tokenizer, self.notes = load_tokenizer(model_name, gguf_file=gguf_file, trust_remote_code=trust_remote_code)
        self.new_tokens = add_new_tokens(tokenizer, new_tokens)
        self.encoder = self.make_encoder(tokenizer, prompt)
        self.decoding = decoding = pick(DecodingSettings.load, arguments)
        self.notes += decoding.notes
        judged_by = {"charset": decoding.charset, "literals": decoding.literals, "metrics": find_metrics(metrics)}
        scored_by = pick(ScoreSettings, arguments | judged_by)
        self.evaluation = EvaluationScores(scored_by, slices=slices, steps=decoding.postprocess)
        self.normalizer, self.finite_guard = StepNormalizer(), FiniteGuard(on_non_finite)
        self.model: PreTrainedModel | None = None
        self.new_token_rows: NewTokenRows | None = None
        self.scores, self.start_scores, self.predictions = dict[str, float](), dict[str, float](), list[Prediction]()

    @abstractmethod
    def make_encoder(self, tokenizer: Any, prompt: ChatPrompt | SourcePrompt | None) -> Encoder:
        """The encoder of this kind of model."""

    def configure_model(self) -> None:
        """Load or build the weights, once; the encoder is there already."""
        if self.model is not None:
            return
        self.model, self.new_token_rows, notes = build_model(
            self.source, self.encoder, is_causal=self.is_causal, adapter=self.adapter, new_tokens=self.new_tokens
        )
        self.notes += notes
        self._summarizer.check(self.model)
        # Encoders that are not there would otherwise be missed when a validation has generated.
        if self._trainer is not None and self.trainer.state.fn != "predict" and self.evaluation.semantic is not None:
            self.evaluation.semantic.check()
        if self.gradient_checkpointing:
            self.model.activation_checkpointing_enable({"use_reentrant": False})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW and its schedule, stepped once an optimizer step."""
        optimizer, schedule = build_optimizer(
            self.named_parameters(),
            settings=self.optimizer_settings,
            num_training_steps=num_training_steps(self.trainer),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def max_positions(self) -> int | None:
        """Positions that the model has for a sequence, by its config; None where it has no such limit.

        None without a usable config too: `configure_model`, which cannot do without one, is who says what is wrong.
        """
        try:
            return num_positions(load_config(self.source, num_tokens=len(self.encoder.tokenizer)))
        except ValueError:
            return None

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Sum of the batch's losses, scaled; `on_after_backward` turns the step's sum into a mean over tokens."""
        logits, targets = self.supervised_logits(batch)
        loss = cross_entropy_sum(logits, targets, label_smoothing=self.label_smoothing)
        self.normalizer.add(loss.detach(), num_tokens=batch.num_supervised_tokens)
        self.finite_guard.add(batch.rows, loss.detach())
        return loss / self.normalizer.unit_tokens

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """After a resume, go on with the random state of the moment the checkpoint was written, and the next rows."""
        if self._random_states:
            check_rows(self.trainer, batch.rows, position=batch_idx)
            restore_random_state(self._random_states, rank=self.global_rank)
            self._random_states = ()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Let the model have the rows that the step has changed."""
        if self.new_token_rows is not None:
            self.new_token_rows.write_back()

    def on_after_backward(self) -> None:
        """On the last micro-batch, make the gradient the mean over all supervised tokens of the optimizer step."""
        # Not in `on_before_optimizer_step`: callbacks' runs before the module's, and would see the wrong norm.
        if not is_last_micro_batch(self.trainer):
            return
        self._step_loss = self.normalizer.normalize(
            self.parameters(),
            accumulate_grad_batches=self.trainer.accumulate_grad_batches,
            world_size=self.trainer.world_size,
        )
        self.log("train/loss", self._step_loss, prog_bar=True)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as the Trainer says, and take the gradients of a step that is not finite away."""
        norm = clip_gradients(self, optimizer, gradient_clip_val, gradient_clip_algorithm)
        is_allowed = self.finite_guard.allows(
            loss=self._step_loss,
            norm=norm,
            step=self.trainer.global_step + 1,
            is_scaled=getattr(self.trainer.precision_plugin, "scaler", None) is not None,
            name_of=row_names(self.trainer),
        )
        if not is_allowed:
            optimizer.zero_grad(set_to_none=True)

    def on_train_end(self) -> None:
        """Say which steps were left out."""
        for line in self.finite_guard.lines(num_steps=self.trainer.global_step):
            rank_zero_info(line)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning leaves out: random states, and which encoder the weights were trained with."""
        write_record(self, checkpoint, random_states=self._random_states)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the random states for the resume, and refuse an adapter of another base."""
        self._random_states = read_record(self, checkpoint)
