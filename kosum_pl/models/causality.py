"""Whether a model that is trained as a causal one looks back alone.

In: a model with its weights. Out: nothing, or an error that names it. `AutoModelForCausalLM` takes encoders as well,
BERT for one, whose every position sees the whole sequence: the loss falls to nothing, as the input holds the answer,
and nothing that it generates is of use.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from kosum_pl.errors import UsageError

_LENGTH: Final = 8
# Of the largest logit. Half precision rounds; an expert that is given other neighbours may round otherwise.
_TOLERANCE: Final = {torch.float64: 1e-6, torch.float32: 1e-4}
_COARSE_TOLERANCE: Final = 3e-2


def check_causality(model: PreTrainedModel, *, name: str) -> None:
    """Change the last token of a sequence, and see that the logits before it stay; `name` is the model's in the config.

    Raises:
        ValueError: They do not: the model sees what it shall predict.
    """
    size = int(model.config.get_text_config().vocab_size)
    ids = torch.arange(1, _LENGTH + 1, device=model.device).remainder(size)[None]
    changed = ids.clone()
    changed[0, -1] = (int(ids[0, -1]) + size // 2) % size
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            before, after = _logits(model, ids), _logits(model, changed)
    finally:
        model.train(was_training)
    difference, scale = (before - after).abs().max(), before.abs().max()
    if difference > _TOLERANCE.get(model.dtype, _COARSE_TOLERANCE) * scale:
        raise UsageError(
            f"model.model_name '{name}' is no causal model: a later token changes what {type(model).__name__} predicts "
            "before it, so that training would show it the answer; give a decoder-only model"
        )


def _logits(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Logits at all positions but the last, (1, T - 1, V), in fp64."""
    logits: Tensor = model(input_ids=ids).logits[:, :-1]
    return logits.double()
