"""Encoder-decoder models: KoBART, KoT5 and any other `AutoModelForSeq2SeqLM`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from kosum_pl.encode import Batch, ChatPrompt, Encoder, Seq2SeqEncoder, SourcePrompt
from kosum_pl.modules.base import SummarizationModule
from kosum_pl.modules.loss import shift_right, supervised_logits


class Seq2SeqModule(SummarizationModule):
    """Source in the encoder, summary in the decoder."""

    is_causal = False

    def make_encoder(self, tokenizer: Any, prompt: ChatPrompt | SourcePrompt | None) -> Encoder:
        """An encoder that renders `SourcePrompt`s."""
        if isinstance(prompt, ChatPrompt):
            raise ValueError("model.prompt has system or user; Seq2SeqModule takes prefix, suffix, add_bos and add_eos")
        return Seq2SeqEncoder(tokenizer, prompt or SourcePrompt())

    def supervised_logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits and targets of the summaries' positions, (N, V) and (N,)."""
        assert batch.labels is not None, "only batches with references have a loss"
        model = self.language_model
        return supervised_logits(
            model,
            batch.labels,
            num_supervised=batch.num_supervised_tokens,
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            decoder_input_ids=shift_right(
                batch.labels,
                start_token_id=int(model.generation_config.decoder_start_token_id),
                pad_token_id=int(model.generation_config.pad_token_id),
            ),
        )
