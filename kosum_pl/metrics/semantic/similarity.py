"""Similarity of sentences: the cosine between the vectors of prediction and reference.

In: predictions and their references. Out: one number a row, from -1 to 1, where encoders trained for it seldom go below
0. A folder of sentence-transformers is read by that package, which knows its pooling; any other encoder is pooled here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kosum_pl.metrics.semantic.embedding import TextEncoder, check_source, import_extra, load_error
from kosum_pl.metrics.semantic.hidden_states import HiddenStateEncoder
from kosum_pl.metrics.semantic.settings import SIMILARITY_NAMES, SimilaritySettings

_SETTING: Final = "model.semantic.similarity"


class SimilarityScorer:
    """Cosine similarity of rows, with one encoder."""

    names = SIMILARITY_NAMES

    def __init__(self, settings: SimilaritySettings, *, multi_reference: Literal["mean", "max"] = "mean") -> None:
        self.settings, self.multi_reference = settings, multi_reference

    def score(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        *,
        rows: Sequence[int],
        device: torch.device,
    ) -> NDArray[np.float64]:
        """Similarity of M rows of a split, (M, 1); an empty prediction has 0. See `BertScorer.score`."""
        prompt, encoder = self.settings.prompt, self.encoder
        kept = {prompt + text for row in rows for text in references[row]}
        predicted = {prompt + predictions[row] for row in rows if predictions[row].strip()}
        encoder.retain(kept)
        vectors = encoder.embed(sorted(kept | predicted), keep=kept, device=device)
        scores = np.zeros((len(rows), 1))
        for index, row in enumerate(rows):
            if not predictions[row].strip():
                continue
            prediction = vectors[prompt + predictions[row]].double()
            each = [float(prediction @ vectors[prompt + text].double()) for text in references[row]]
            scores[index] = np.clip(max(each) if self.multi_reference == "max" else np.mean(each), -1.0, 1.0)
        return scores

    @cached_property
    def encoder(self) -> TextEncoder:
        """Made at first use, as its kind depends on the model's files; a ValueError where there is no such folder."""
        name, pooling, batch_size = self.settings.model_name, self.settings.pooling, self.settings.batch_size
        if pooling is None and has_modules_file(name):
            return SentenceTransformerEncoder(name, setting=_SETTING, batch_size=batch_size)
        return PoolingEncoder(name, pooling=pooling or "mean", setting=_SETTING, batch_size=batch_size)

    def record(self) -> dict[str, str]:
        """What must stand beside the score for it to mean something."""
        pooling = self.settings.pooling or "its own pooling, else mean"
        prompt = f", prompt {self.settings.prompt!r}" if self.settings.prompt else ""
        return {"similarity_encoder": f"{self.settings.model_name}, {pooling}{prompt}"}


class PoolingEncoder(HiddenStateEncoder):
    """Unit vectors of texts: the mean over all tokens, or the first one's."""

    def __init__(self, model_name: str, *, pooling: Literal["mean", "cls"], **options: Any) -> None:
        super().__init__(model_name, **options)
        self.pooling = pooling

    def _reduce(self, states: Tensor, is_content: Tensor) -> Tensor:
        vector = states[0] if self.pooling == "cls" else states.mean(dim=0)
        return torch.nn.functional.normalize(vector, dim=-1)


class SentenceTransformerEncoder(TextEncoder):
    """Unit vectors of texts by a model of sentence-transformers, with its own pooling and layers."""

    _model: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_model": None}

    def check(self) -> None:
        """See `TextEncoder.check`; the package that reads the model is imported."""
        check_source(self.model_name, self.setting)
        import_extra("sentence_transformers", setting=f"{_SETTING}.model_name '{self.model_name}'")

    def load(self, device: torch.device) -> None:
        """See `TextEncoder.load`."""
        if self._model is None:
            self.check()
            package = import_extra("sentence_transformers", setting=_SETTING)
            try:
                with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
                    model = package.SentenceTransformer(check_source(self.model_name, self.setting), device="cpu")
            except Exception as error:  # a hub client and parsers may raise anything
                raise load_error(self.model_name, self.setting, error) from error
            self._model = model.eval().float()
        self._model.to(device)

    def _encode(self, texts: Sequence[str]) -> list[Tensor]:
        limit = self._model.max_seq_length
        if limit:
            lengths = [len(ids) for ids in self._model.tokenizer(list(texts), verbose=False)["input_ids"]]
            self.note_truncation(sum(length > limit for length in lengths), limit)
        vectors = self._model.encode(
            list(texts),
            batch_size=self.batch_size,
            show_progress_bar=False,
            convert_to_tensor=True,
            normalize_embeddings=True,
        )
        return list(vectors)


def has_modules_file(model_name: str) -> bool:
    """Whether a folder or hub repository is a model of sentence-transformers."""
    source = check_source(model_name, _SETTING)
    if Path(source).is_dir():
        return (Path(source) / "modules.json").is_file()
    from transformers.utils import cached_file

    options: dict[str, Any] = {
        "_raise_exceptions_for_missing_entries": False,
        "_raise_exceptions_for_connection_errors": False,
        "_raise_exceptions_for_gated_repo": False,
    }
    try:
        return cached_file(source, "modules.json", **options) is not None
    except OSError:
        return False  # what is wrong with the repository, loading its model says better
