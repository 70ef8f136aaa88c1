"""PAD, BOS and EOS of a model, and what its checkpoint says of decoding.

In: a model and the tokenizer it is used with. Out: the model with the tokenizer's special tokens, and one line for
everything that had to be changed. No setting of a checkpoint's `generation_config` survives unseen: presets say how
to decode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

# Fields of a generation config that say nothing of how to decode, or are aligned by name.
NOT_DECODING: Final = frozenset(
    {"pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id", "transformers_version", "use_cache"}
)


def align_special_tokens(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, terminator_ids: Sequence[int]
) -> list[str]:
    """Make PAD, BOS and EOS of model and generation those of the tokenizer, and drop stored decoding settings.

    The model's `config` and `generation_config` are changed in place; the most important terminator comes first.

    Returns:
        One line for everything that changed, to be shown once; none for no change.

    Raises:
        ValueError: The model's vocabulary is smaller than the tokenizer's.
    """
    vocab_size = model.get_input_embeddings().weight.shape[0]
    if vocab_size < len(tokenizer):
        raise ValueError(
            f"the model has {vocab_size} embeddings but the tokenizer {len(tokenizer)} tokens; "
            "use the tokenizer that belongs to the model"
        )
    stored = model.generation_config
    aligned = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id}
    notes = [
        f"{name}: {getattr(model.config, name, None)} -> {value} ('{tokenizer.convert_ids_to_tokens(value)}')"
        for name, value in {**aligned, "eos_token_id": terminator_ids[0]}.items()
        if value is not None and not _names_id(getattr(model.config, name, None), value)
    ]
    notes += _dropped_settings(stored, tokenizer)
    for name, value in aligned.items():
        setattr(model.config, name, value)
    model.config.eos_token_id = terminator_ids[0]
    model.generation_config = GenerationConfig(
        **aligned, eos_token_id=list(terminator_ids), decoder_start_token_id=_decoder_start(model, tokenizer)
    )
    return [f"special tokens aligned with the tokenizer: {'; '.join(notes)}"] if notes else []


def _names_id(stored: Any, token_id: int) -> bool:
    return token_id in stored if isinstance(stored, (list, tuple)) else stored == token_id


def _decoder_start(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Start token of an encoder-decoder: the checkpoint's, as it was trained with it, else BOS, else PAD."""
    if not model.config.is_encoder_decoder:
        return None
    stored = (model.generation_config, model.config)
    candidates = [getattr(part, "decoder_start_token_id", None) for part in stored]
    for candidate in (*candidates, tokenizer.bos_token_id, tokenizer.pad_token_id):
        if candidate is not None:
            return int(candidate)
    raise ValueError("the model has no decoder_start_token_id; set it in model.config_overrides")


def _dropped_settings(stored: GenerationConfig, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What the checkpoint's generation config asked for beyond special tokens, in words."""
    lines = []
    for name, value in sorted(stored.to_diff_dict().items()):
        if name in NOT_DECODING or name.startswith("_") or value in (None, False):
            continue
        meaning = f" ('{tokenizer.convert_ids_to_tokens(value)}')" if name.endswith("token_id") else ""
        lines.append(f"the checkpoint's {name}={value}{meaning} is not used, the preset decides")
    return lines
