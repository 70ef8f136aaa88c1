"""Frozen text encoders: texts to vectors, each reference embedded once over all validations of a fit.

In: texts and a device. Out: float32 vectors on the CPU. An encoder is no `nn.Module` of the module that is scored: it
is in no checkpoint, no optimizer and no cast to bfloat16. It is loaded when the first text is to be embedded.
"""

from __future__ import annotations

import importlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from kosum_pl.lookup import resolve_path

MAX_CACHED_BYTES: Final = 512 * 2**20
"""Of kept references: 4,000 of 40 tokens at 768 numbers each. Further ones are embedded at every validation."""


class TextEncoder(ABC):
    """Embeds texts and keeps the vectors that it is asked to keep.

    Args:
        setting: Where the model was named, for messages: `model.semantic.bertscore`.
        batch_size: Texts embedded at once; texts of like length go together.
        max_cached_bytes: Of kept vectors.
    """

    def __init__(
        self, model_name: str, *, setting: str, batch_size: int = 64, max_cached_bytes: int = MAX_CACHED_BYTES
    ) -> None:
        self.model_name = model_name
        self.setting = setting
        self.batch_size = batch_size
        self.max_cached_bytes = max_cached_bytes
        self._is_noted = False
        self._known: dict[str, Tensor] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> TextEncoder:
        """Itself: it is frozen, and a copy of a module needs no second one."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Without weights and vectors: another process loads its own."""
        return {**self.__dict__, "_known": {}}

    @abstractmethod
    def check(self) -> None:
        """Whether the model is there, without loading its weights: asked before hours of training.

        Raises:
            ValueError: It is not, or what reads it is not installed.
        """

    @abstractmethod
    def load(self, device: torch.device) -> None:
        """Have the model on a device, float32 and in evaluation mode."""

    @abstractmethod
    def _encode(self, texts: Sequence[str]) -> list[Tensor]:
        """One tensor a text, on the model's device."""

    def embed(self, texts: Sequence[str], *, keep: Collection[str], device: torch.device) -> dict[str, Tensor]:
        """Vectors by text, float32 on the CPU; texts of `keep` are remembered while there is room."""
        unknown = [text for text in dict.fromkeys(texts) if text not in self._known]
        fresh: dict[str, Tensor] = {}
        if unknown:
            self.load(device)
            # The scored module's precision is not the encoder's.
            with torch.inference_mode(), torch.autocast(device.type, enabled=False):
                encoded = [vectors.float().cpu() for vectors in self._encode(unknown)]
            fresh = dict(zip(unknown, encoded, strict=True))
        found = {text: fresh[text] if text in fresh else self._known[text] for text in texts}
        self._remember({text: fresh[text] for text in keep if text in fresh})
        return found

    def retain(self, texts: Collection[str]) -> None:
        """Forget all kept texts but these, so that another split's references make room."""
        chosen = set(texts)
        self._known = {text: vectors for text, vectors in self._known.items() if text in chosen}

    def _remember(self, fresh: dict[str, Tensor]) -> None:
        # The first ones stay: with the last ones, references that come round in turn would always be gone.
        used = sum(vectors.nbytes for vectors in self._known.values())
        for text, vectors in fresh.items():
            used += vectors.nbytes
            if used > self.max_cached_bytes:
                return
            self._known[text] = vectors.clone()

    def note_truncation(self, num_cut: int, limit: int) -> None:
        """Warn once that texts are longer than the encoder can read."""
        if num_cut and not self._is_noted:
            self._is_noted = True
            warnings.warn(
                f"{self.setting}: {num_cut} texts are longer than the {limit} tokens that '{self.model_name}' reads; "
                "the rest of them is not scored",
                stacklevel=2,
            )


def check_source(model_name: str, setting: str) -> str:
    """The model's folder or hub id; a misspelt path is answered at once, without asking a hub.

    Raises:
        ValueError: No such folder.
    """
    source = resolve_path(model_name)
    if model_name.startswith(("/", ".", "~")) and not Path(source).is_dir():
        raise load_error(model_name, setting, "no such folder")
    return source


def import_extra(module: str, *, setting: str) -> Any:
    """A package of the extra `semantic`, by its import name.

    Raises:
        ValueError: It cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.replace("_", "-")
        raise ValueError(f"{setting} needs {name}, which cannot be loaded ({error}): pip install {name}") from None


def load_error(model_name: str, setting: str, error: object) -> ValueError:
    """The error of an encoder that cannot be loaded, in one line."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return ValueError(
        f"{setting}.model_name '{model_name}' cannot be loaded ({reason}); pass a folder with config.json, tokenizer "
        "and weights, or a hub id that can be reached, or set this score to null"
    )
