"""Decoder-only models trained on completions alone: Llama, Qwen and any other `AutoModelForCausalLM`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from kosum_pl.encode import Batch, CausalEncoder, ChatPrompt, Encoder, SourcePrompt
from kosum_pl.models.causality import check_causality
from kosum_pl.modules.base import SummarizationModule
from kosum_pl.modules.loss import next_token_targets, supervised_logits


class CausalModule(SummarizationModule):
    """Prompt and summary in one sequence, loss on the summary."""

    is_causal = True

    def make_encoder(self, tokenizer: Any, prompt: ChatPrompt | SourcePrompt | None) -> Encoder:
        """An encoder that renders `ChatPrompt`s by the tokenizer's chat template."""
        if isinstance(prompt, SourcePrompt):
            raise ValueError("model.prompt has a prefix; CausalModule takes system, user, template_file, template_args")
        return CausalEncoder(tokenizer, prompt or ChatPrompt())

    def on_fit_start(self) -> None:
        """Refuse a model that sees later tokens: it would be trained on its answers."""
        check_causality(self.language_model, name=self.source.model_name)

    def supervised_logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits and targets of the completions' positions, (N, V) and (N,)."""
        assert batch.labels is not None, "only batches with references have a loss"
        return supervised_logits(
            self.language_model,
            next_token_targets(batch.labels),
            num_supervised=batch.num_supervised_tokens,
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
        )
