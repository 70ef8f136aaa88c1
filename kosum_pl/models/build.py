"""The model that a module trains: loaded, fitted to its tokenizer, frozen where adapters are trained.

In: the module's settings and its encoder. Out: the model, the trained rows of new tokens, and a line for everything
that had to be changed. One function, so that training, commands and exported folders build the same model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transformers import PreTrainedModel

from kosum_pl.encode import Encoder
from kosum_pl.models.adapters import AdapterSettings, add_adapter
from kosum_pl.models.new_tokens import NewTokenRows, fit_vocabulary
from kosum_pl.models.source import ModelSource, load_config, load_model
from kosum_pl.models.special_tokens import align_special_tokens


def build_model(
    source: ModelSource,
    encoder: Encoder,
    *,
    is_causal: bool,
    adapter: AdapterSettings | None = None,
    new_tokens: Mapping[int, Sequence[int]] | None = None,
) -> tuple[PreTrainedModel, NewTokenRows | None, list[str]]:
    """Load or build a model as it is trained.

    Without an adapter all weights are trained. New tokens are ids, each with the ids that spelt it before.

    Returns:
        The model; the trained rows of the new tokens, None where all rows are trained or none is new; the lines.

    Raises:
        ValueError: It cannot be loaded, or does not fit its tokenizer or the settings.
    """
    num_tokens = len(encoder.tokenizer)
    model = load_model(source, config=load_config(source, num_tokens=num_tokens), is_causal=is_causal)
    if new_tokens:
        fit_vocabulary(model, num_tokens=num_tokens, pieces=new_tokens)
    notes = align_special_tokens(model, encoder.tokenizer, terminator_ids=encoder.terminator_ids)
    if adapter is None:
        return model, None, notes
    notes.append(add_adapter(model, adapter))
    rows = NewTokenRows(model, list(new_tokens)) if new_tokens else None
    if rows is not None:
        notes.append(f"new tokens: {len(rows.token_ids)} rows of embedding and output head are trained")
    return model, rows, notes
