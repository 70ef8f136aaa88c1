"""Rows of embedding and output head for tokens that a frozen base has not learnt.

In: a model with frozen weights and the ids of `model.new_tokens`. Out: a few trainable rows beside its matrices. They
act by hooks while gradients are computed, and are copied into the matrices after every optimizer step: evaluation,
generation and export see plain weights, and no optimizer holds moments for the other 128,000 rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

ROWS_FILE: Final = "new_token_rows.safetensors"
"""Where an exported adapter keeps them."""


class NewTokenRows(nn.Module):
    """Trainable rows (N, H) of some tokens, in fp32.

    Args:
        model: With frozen weights, its vocabulary as large as the tokenizer's; hooks are put on it.
        token_ids: Whose rows are trained, N different ids.

    Attributes:
        input_rows: Rows of the embedding, (N, H).
        output_rows: Rows of the output head, (N, H); None where it shares the embedding's matrix.

    Raises:
        ValueError: The embedding or the head is none that rows can be trained of.

    Source:
        The idea, with another implementation: trainable tokens of PEFT, which copies the whole matrix at every step.
    """

    row_numbers: Tensor
    token_ids: Tensor

    def __init__(self, model: PreTrainedModel, token_ids: Sequence[int]) -> None:
        super().__init__()
        embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
        if type(head) is not nn.Linear:
            raise ValueError(
                f"model.new_tokens: the output head is a {type(head).__name__}, whose rows cannot be trained apart; "
                "take it out of model.adapter.target_modules"
            )
        self._layers = (embedding, head)  # a tuple, so that they are not registered here as well
        ids = torch.tensor(list(token_ids), device=embedding.weight.device)
        row_numbers = torch.full((len(embedding.weight),), -1, device=ids.device)
        row_numbers[ids] = torch.arange(len(ids), device=ids.device)
        self.register_buffer("token_ids", ids, persistent=False)
        self.register_buffer("row_numbers", row_numbers, persistent=False)
        self.input_rows = nn.Parameter(embedding.weight.detach()[ids].float())
        is_tied = head.weight is embedding.weight
        self.output_rows = None if is_tied else nn.Parameter(head.weight.detach()[ids].float())
        for part in model.modules():
            if isinstance(part, nn.Embedding) and part.weight is embedding.weight:
                part.register_forward_hook(self._replace_embeddings)
        head.register_forward_hook(self._replace_logits)
        self.register_load_state_dict_post_hook(lambda *_: self.write_back())  # type: ignore[no-untyped-call]

    def write_back(self) -> None:
        """Copy the rows into the model's matrices, in their dtype; after every change of the rows."""
        embedding, head = self._layers
        with torch.no_grad():
            embedding.weight[self.token_ids] = self.input_rows.to(embedding.weight.dtype)
            if self.output_rows is not None:
                head.weight[self.token_ids] = self.output_rows.to(head.weight.dtype)

    def _replace_embeddings(self, part: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        """The embeddings (B, T, H) with gradients for the rows; nothing where none are computed."""
        if not torch.is_grad_enabled():
            return None
        row_numbers = self.row_numbers[arguments[0]]
        # Gemma and BART scale what they look up.
        scale = getattr(part, "embed_scale", 1.0)
        rows = functional.embedding(row_numbers.clamp(min=0), self.input_rows) * scale
        return torch.where((row_numbers >= 0).unsqueeze(-1), rows.to(output.dtype), output)

    def _replace_logits(self, part: nn.Linear, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        """The logits (N, V) with gradients for the rows."""
        if not torch.is_grad_enabled():
            return None
        rows = self.input_rows if self.output_rows is None else self.output_rows
        bias = None if part.bias is None else part.bias[self.token_ids]
        logits = functional.linear(arguments[0], rows.to(arguments[0].dtype), bias)
        return output.index_copy_(-1, self.token_ids, logits.to(output.dtype))


def fit_vocabulary(model: PreTrainedModel, *, num_tokens: int, pieces: Mapping[int, Sequence[int]]) -> None:
    """Give a model a row for every token, and new tokens a start: the mean of the pieces they were written with.

    The model is changed in place. `pieces` are the ids that spelt a new token before; none for one that keeps its row.

    Source:
        Hewitt 2021, Initializing New Word Embeddings for Pretrained Language Models (there the mean of all rows).
    """
    if len(model.get_input_embeddings().weight) < num_tokens:
        model.resize_token_embeddings(num_tokens, mean_resizing=False)
    matrices: list[Any] = [model.get_input_embeddings().weight, getattr(model.get_output_embeddings(), "weight", None)]
    with torch.no_grad():
        for matrix in {id(matrix): matrix for matrix in matrices if matrix is not None}.values():
            for token_id, parts in pieces.items():
                if parts:
                    matrix[token_id] = matrix[list(parts)].float().mean(dim=0).to(matrix.dtype)
