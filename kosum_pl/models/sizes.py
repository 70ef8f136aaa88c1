"""Sizes of a model's config that no model can have.

In: the fields of a config, and which of them the user's overrides brought. Out: nothing, or one line that names the
field, where it stands and what to write. transformers takes most of them: no layer is a model that reads nothing, and a
negative width an error of torch that names no setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_SIZES: Final = frozenset(
    {
        *("vocab_size", "d_model", "hidden_size", "n_embd", "head_dim", "d_kv"),
        *("num_hidden_layers", "num_layers", "num_decoder_layers", "n_layer", "encoder_layers", "decoder_layers"),
        *("num_attention_heads", "num_key_value_heads", "num_heads", "n_head"),
        *("encoder_attention_heads", "decoder_attention_heads"),
        *("intermediate_size", "d_ff", "n_inner", "encoder_ffn_dim", "decoder_ffn_dim"),
        *("max_position_embeddings", "n_positions", "max_encoder_position_embeddings"),
    }
)
"""What the usual configs call their sizes; null is left to the model."""
_HEADS: Final = {
    "hidden_size": ("num_attention_heads",),
    "d_model": ("num_heads", "encoder_attention_heads", "decoder_attention_heads"),
    "n_embd": ("n_head",),
}
"""Width, and the numbers of heads that it is divided among."""
_WIDTHS_OF_HEADS: Final = ("head_dim", "d_kv")


def check_sizes(fields: Mapping[str, Any], *, overrides: Mapping[str, Any], source: str, prefix: str = "") -> None:
    """Refuse sizes that are no positive whole numbers, and widths that their heads do not share evenly.

    Args:
        fields: Of the whole config.
        overrides: Those of them that stand in `model.config_overrides`.
        source: What says the others, for the message.
        prefix: Names of the parts of the config that the fields stand in, each with a dot.

    Raises:
        ValueError: The first that is wrong.

    Example:
        >>> check_sizes({"d_model": 30, "num_heads": 4}, overrides={"num_heads": 4}, source="config.json")
        Traceback (most recent call last):
        ValueError: model.config_overrides.num_heads is 4, and d_model of config.json 30, which 4 does not divide; ...
    """

    def place(name: str) -> str:
        whole = f"{prefix}{name}"
        return f"model.config_overrides.{whole}" if name in overrides else f"{whole} of {source}"

    def check_divides(part: str, whole: str) -> None:
        number, total = fields.get(part), fields.get(whole)
        if number is not None and total is not None and total % number:
            raise ValueError(
                f"{place(part)} is {number}, and {place(whole)} {total}, which {number} does not divide; change one of "
                "them"
            )

    for name, value in fields.items():
        if name in _SIZES and value is not None and not (type(value) is int and value >= 1):
            raise ValueError(f"{place(name)} is {value!r}; write a whole number from 1 on")
        if isinstance(value, Mapping):  # the parts of a model that reads more than text
            inner = overrides.get(name)
            inner = inner if isinstance(inner, Mapping) else {}
            check_sizes(value, overrides=inner, source=source, prefix=f"{prefix}{name}.")
    for width, names in _HEADS.items():
        if not any(fields.get(name) for name in _WIDTHS_OF_HEADS):
            for name in names:
                check_divides(name, width)
