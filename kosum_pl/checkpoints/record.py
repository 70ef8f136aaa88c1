"""What a checkpoint holds beside Lightning's own, and what is asked of it when it is loaded.

In: a module with its weights. Out: a checkpoint with random states, the fingerprints of encoder and base, and, of an
adapter, without the frozen base. Plain values only, so that it loads with `weights_only=True`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from torch import Tensor, nn
from transformers import PreTrainedModel

from kosum_pl.checkpoints.random_state import gather_random_states
from kosum_pl.decode.constraint.token_bytes import vocabulary_fingerprint
from kosum_pl.encode import Encoder
from kosum_pl.models.adapters import base_fingerprint, check_base, check_trained_state, trained_state
from kosum_pl.models.source import ModelSource

RECORD_KEY: Final = "kosum_pl"


class RecordedModule(Protocol):
    """The part of the module that is asked here."""

    source: ModelSource
    encoder: Encoder
    adapter: Any

    @property
    def language_model(self) -> PreTrainedModel:
        """The model."""


def write_record(
    module: RecordedModule, checkpoint: dict[str, Any], *, random_states: Sequence[dict[str, Tensor]] = ()
) -> None:
    """Add the record to a checkpoint, in place, and leave a frozen base out of it.

    Random states that a resumed fit has not gone on with yet are handed on; without any they are those of now.
    """
    checkpoint[RECORD_KEY] = {
        "random_states": list(random_states) or gather_random_states(),
        "model_name": module.source.model_name,
        "encoder": module.encoder.fingerprint,
        "base": _fingerprint(module),
    }
    if module.adapter is not None:
        assert isinstance(module, nn.Module)
        checkpoint["state_dict"] = trained_state(module, checkpoint["state_dict"])


def read_record(module: RecordedModule, checkpoint: dict[str, Any]) -> Sequence[dict[str, Tensor]]:
    """Random states of a checkpoint, one a rank.

    Raises:
        ValueError: The checkpoint is of an adapter that belongs to another base, or trains other weights.
    """
    record = checkpoint.get(RECORD_KEY, {})
    if module.adapter is not None:
        assert isinstance(module, nn.Module)
        check_base(record, model_name=module.source.model_name, fingerprint=_fingerprint(module))
        check_trained_state(module, checkpoint["state_dict"])
    states: Sequence[dict[str, Tensor]] = record.get("random_states", ())
    return states


def _fingerprint(module: RecordedModule) -> str:
    vocabulary = vocabulary_fingerprint(module.encoder.tokenizer)
    return base_fingerprint(module.language_model.config, vocabulary=vocabulary)
