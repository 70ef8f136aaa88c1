"""BERTScore: how well the tokens of prediction and reference match in an encoder's hidden states.

In: predictions and their references. Out: precision, recall and F1 of every row, 0-1, without rescaling. Our own, as
the function of torchmetrics 1.9 gives rows the scores of others when texts differ in length, and embeds every
reference anew at every validation; a single pair it scores the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kosum_pl.metrics.semantic.hidden_states import HiddenStateEncoder
from kosum_pl.metrics.semantic.settings import BERTSCORE_NAMES, BertScoreSettings

_ROWS_AT_ONCE: Final = 256


def idf_weights(references: Sequence[Sequence[int]]) -> dict[int, float]:
    """Inverse document frequency of every token of N references: `log((N + 1) / (df + 1))`.

    Source:
        Zhang et al., "BERTScore: Evaluating Text Generation with BERT", 2020; the arithmetic of `bert-score` 0.3.13.

    Example:
        >>> {token: round(weight, 3) for token, weight in idf_weights([[5, 7, 7], [7, 9]]).items()}
        {5: 0.405, 7: 0.0, 9: 0.405}
    """
    counts = Counter(token for ids in references for token in set(ids))
    return {token: math.log((len(references) + 1) / (count + 1)) for token, count in counts.items()}


def match_tokens(
    prediction: Tensor, reference: Tensor, *, prediction_weights: Tensor, reference_weights: Tensor
) -> tuple[float, float, float]:
    """Precision, recall and F1 of greedy matching, each 0-1; all 0 where either side has no token.

    Args:
        prediction: Unit vectors of the prediction's tokens, (P, H).
        reference: Unit vectors of the reference's tokens, (R, H).
        prediction_weights: Weights of the tokens, (P,) float64; all alike where they sum to 0.
        reference_weights: The same of the reference, (R,).

    Example:
        >>> x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> scores = match_tokens(x, y, prediction_weights=torch.ones(1), reference_weights=torch.ones(2))
        >>> [round(score, 3) for score in scores]
        [1.0, 0.5, 0.667]
    """
    if not len(prediction) or not len(reference):
        return 0.0, 0.0, 0.0
    # In float64, which no autocast around it touches.
    similarity = (prediction.double() @ reference.double().T).clamp(-1.0, 1.0)
    precision = _weighted_mean(similarity.max(dim=1).values, prediction_weights)
    recall = _weighted_mean(similarity.max(dim=0).values, reference_weights)
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total > 0 else 0.0


class BertScorer:
    """BERTScore of rows, with one encoder.

    Args:
        multi_reference: `mean` or `max` over a row's references, for each of the three scores apart.
    """

    names = BERTSCORE_NAMES

    def __init__(self, settings: BertScoreSettings, *, multi_reference: Literal["mean", "max"] = "mean") -> None:
        self.settings, self.multi_reference = settings, multi_reference
        self.encoder = TokenEncoder(
            settings.model_name,
            layer=settings.layer,
            setting="model.semantic.bertscore",
            batch_size=settings.batch_size,
        )

    def score(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        *,
        rows: Sequence[int],
        device: torch.device,
    ) -> NDArray[np.float64]:
        """Precision, recall and F1 of M rows of the split, (M, 3); all its references decide the weights of IDF."""
        self.encoder.load(device)
        weights = self._weights(references)
        self.encoder.retain({text for row in rows for text in references[row]})
        scores = np.zeros((len(rows), len(self.names)))
        # Rows of like length together, so that batches are; few at once, as every token has a vector.
        order = sorted(range(len(rows)), key=lambda index: len(predictions[rows[index]]))
        for start in range(0, len(order), _ROWS_AT_ONCE):
            chunk = order[start : start + _ROWS_AT_ONCE]
            texts = {text for index in chunk for text in references[rows[index]]}
            predicted = {predictions[rows[index]] for index in chunk}
            vectors = self.encoder.embed(sorted(texts | predicted), keep=texts, device=device)
            token_weights = self._token_weights(list(vectors), weights)
            for index in chunk:
                row = rows[index]
                each = [_match(predictions[row], reference, vectors, token_weights) for reference in references[row]]
                scores[index] = np.max(each, axis=0) if self.multi_reference == "max" else np.mean(each, axis=0)
        return scores

    def record(self) -> dict[str, str]:
        """What must stand beside the scores for them to mean something."""
        layer = "last layer" if self.settings.layer is None else f"layer {self.settings.layer}"
        idf = "idf" if self.settings.idf else "no idf"
        return {"bertscore_encoder": f"{self.settings.model_name}, {layer}, {idf}"}

    def _weights(self, references: Sequence[Sequence[str]]) -> tuple[dict[int, float], float] | None:
        """Weights by token, and that of a token which no reference has; None where all are alike."""
        if not self.settings.idf:
            return None
        texts = [text for row in references for text in row]
        return idf_weights(self.encoder.content_ids(texts)), math.log(len(texts) + 1)

    def _token_weights(self, texts: Sequence[str], weights: tuple[dict[int, float], float] | None) -> dict[str, Tensor]:
        """Weights of each text's tokens, (T,) float64."""
        if weights is None:
            return {}
        known, unseen = weights
        ids = self.encoder.content_ids(texts)
        return {
            text: torch.tensor([known.get(token, unseen) for token in row], dtype=torch.float64)
            for text, row in zip(texts, ids, strict=True)
        }


class TokenEncoder(HiddenStateEncoder):
    """Unit vectors of a text's own tokens, without `[CLS]` and `[SEP]`."""

    def content_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of every text's own tokens."""
        ids, masks = self.token_ids(texts)
        return [
            [token for token, is_content in zip(row, mask, strict=True) if is_content]
            for row, mask in zip(ids, masks, strict=True)
        ]

    def _reduce(self, states: Tensor, is_content: Tensor) -> Tensor:
        return torch.nn.functional.normalize(states[is_content], dim=-1)


def _match(
    prediction: str, reference: str, vectors: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> tuple[float, float, float]:
    def weights_of(text: str) -> Tensor:
        return weights[text] if weights else torch.ones(len(vectors[text]), dtype=torch.float64)

    return match_tokens(
        vectors[prediction],
        vectors[reference],
        prediction_weights=weights_of(prediction),
        reference_weights=weights_of(reference),
    )


def _weighted_mean(values: Tensor, weights: Tensor) -> float:
    # One reference, or one word in all of them: IDF weighs every token 0.
    weights = weights if weights.sum() > 0 else torch.ones_like(weights)
    return float((values * weights).sum() / weights.sum())
