"""Hidden states of a transformers encoder, in batches of like length.

In: texts. Out: each one's states at a layer, with and without its special tokens. BERTScore matches them token by
token, sentence similarity pools them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kosum_pl.metrics.semantic.embedding import TextEncoder, check_source, load_error


class HiddenStateEncoder(TextEncoder):
    """A transformers encoder that gives the hidden states of one layer.

    Args:
        layer: Whose output is taken, 0 for the embeddings; None for the last.
    """

    def __init__(self, model_name: str, *, layer: int | None = None, **options: Any) -> None:
        super().__init__(model_name, **options)
        self.layer = layer
        self._model: Any = None
        self._tokenizer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_model": None, "_tokenizer": None}

    def check(self) -> None:
        """See `TextEncoder.check`; the model's config is read, and its number of layers compared."""
        source = check_source(self.model_name, self.setting)
        from transformers import AutoConfig

        try:
            num_layers = AutoConfig.from_pretrained(source).num_hidden_layers
        except Exception as error:  # a hub client and parsers may raise anything
            raise load_error(self.model_name, self.setting, error) from error
        if self.layer is not None and self.layer > num_layers:
            raise ValueError(f"{self.setting}.layer is {self.layer}; '{self.model_name}' has {num_layers} layers")

    def load(self, device: torch.device) -> None:
        """See `TextEncoder.load`."""
        if self._model is None:
            self.check()
            try:
                self._tokenizer, self._model = _read(check_source(self.model_name, self.setting))
            except Exception as error:  # as above
                raise load_error(self.model_name, self.setting, error) from error
        self._model.to(device)

    @property
    def max_tokens(self) -> int:
        """Tokens that the model can read, special ones included."""
        table = getattr(getattr(self._model, "embeddings", None), "position_embeddings", None)
        positions = int(getattr(self._model.config, "max_position_embeddings", None) or 2**31)
        # RoBERTa counts positions from behind its pad token.
        offset = 0 if table is None or table.padding_idx is None else table.padding_idx + 1
        return int(min(self._tokenizer.model_max_length, positions - offset))

    def token_ids(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[bool]]]:
        """Ids of every text, cut to what the model reads, and which of them belong to the text."""
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        encoded = self._tokenizer(clean, return_special_tokens_mask=True, verbose=False, truncation=False)
        limit = self.max_tokens
        num_cut = sum(len(ids) > limit for ids in encoded["input_ids"])
        if num_cut:
            self.note_truncation(num_cut, limit)
            encoded = self._tokenizer(clean, return_special_tokens_mask=True, truncation=True, max_length=limit)
        return encoded["input_ids"], [[not flag for flag in mask] for mask in encoded["special_tokens_mask"]]

    @abstractmethod
    def _reduce(self, states: Tensor, is_content: Tensor) -> Tensor:
        """What is kept of a text's hidden states (T, H), of which `is_content` (T,) are no special tokens."""

    def _encode(self, texts: Sequence[str]) -> list[Tensor]:
        ids, masks = self.token_ids(texts)
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        device, pad = self._model.device, self._tokenizer.pad_token_id or 0
        found: dict[int, Tensor] = {}
        for start in range(0, len(order), self.batch_size):
            chunk = order[start : start + self.batch_size]
            rows = [torch.tensor(ids[index], dtype=torch.long) for index in chunk]
            attention = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True).to(device)
            inputs = pad_sequence(rows, batch_first=True, padding_value=pad).to(device)
            output = self._model(input_ids=inputs, attention_mask=attention, output_hidden_states=True)
            states = output.hidden_states[-1 if self.layer is None else self.layer]
            for index, row in zip(chunk, states, strict=True):
                found[index] = self._reduce(row[: len(ids[index])], torch.tensor(masks[index], device=device))
        return [found[index] for index in range(len(texts))]


def _read(source: str) -> tuple[Any, Any]:
    """Tokenizer and model, float32 and in evaluation mode; of an encoder-decoder, the encoder."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    tokenizer = AutoTokenizer.from_pretrained(source)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # it would report that the pooler, which is not used, has no weights
    try:
        # Tensors made in a validation's inference mode would be useless outside of it; and the random weights of an
        # unused pooler must not move the training's random numbers.
        with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
            model, found = AutoModel.from_pretrained(source, dtype=torch.float32, output_loading_info=True)
    finally:
        logging.set_verbosity(verbosity)
    missing = sorted(name for name in found["missing_keys"] if not name.startswith(("pooler.", "decoder.")))
    if missing:
        raise ValueError(f"it has no weights for {missing[0]} and {len(missing) - 1} more")
    return tokenizer, (model.get_encoder() if model.config.is_encoder_decoder else model).eval()
