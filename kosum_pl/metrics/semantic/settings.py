"""What a config says of scores beyond ROUGE.

In: `model.semantic` of a YAML file. Out: checked values, and the names of the scores that they ask for. Nothing is
loaded or imported before rows are scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from kosum_pl.metrics.overlap import OVERLAP_NAMES

BERTSCORE_NAMES: Final = ("bertscore_precision", "bertscore_recall", "bertscore_f1")
SIMILARITY_NAMES: Final = ("similarity",)


@dataclass(frozen=True, kw_only=True)
class BertScoreSettings:
    """BERTScore, without rescaling.

    Attributes:
        model_name: Local folder or hub id of an encoder.
        layer: Whose hidden states are compared, 0 for the embeddings; None for the last. Layers in the middle often
            agree better with people.
        idf: Weigh tokens by how rare they are among the references of the evaluated split.
        batch_size: Texts embedded at once.

    Raises:
        ValueError: A number is out of its range.
    """

    model_name: str
    layer: int | None = None
    idf: bool = False
    batch_size: int = 64

    def __post_init__(self) -> None:
        if self.layer is not None and self.layer < 0:
            raise ValueError(f"model.semantic.bertscore.layer is {self.layer}; count from 0, or null for the last")
        _check_batch_size("bertscore", self.batch_size)


@dataclass(frozen=True, kw_only=True)
class SimilaritySettings:
    """Cosine similarity of sentence vectors.

    Attributes:
        model_name: Local folder or hub id: a model of sentence-transformers, or any encoder.
        pooling: `mean` or `cls`; None for what a sentence-transformers folder says, and the mean elsewhere.
        prompt: Put before every text, such as `query: ` for E5.
        batch_size: Texts embedded at once.

    Raises:
        ValueError: A number is out of its range.
    """

    model_name: str
    pooling: Literal["mean", "cls"] | None = None
    prompt: str = ""
    batch_size: int = 64

    def __post_init__(self) -> None:
        if self.pooling not in (None, "mean", "cls"):
            raise ValueError(f"model.semantic.similarity.pooling is '{self.pooling}'; write mean, cls or null")
        _check_batch_size("similarity", self.batch_size)


@dataclass(frozen=True, kw_only=True)
class SemanticSettings:
    """Scores beyond ROUGE, behind the extra `semantic`.

    Attributes:
        bertscore: BERTScore with this encoder; None for none.
        similarity: Sentence similarity with this encoder; None for none.
        overlap: BLEU and chrF by sacrebleu.

    Example:
        >>> SemanticSettings(similarity=SimilaritySettings(model_name="BM-K/KoSimCSE-roberta", pooling="cls")).names
        ('similarity', 'bleu', 'chrf')
    """

    bertscore: BertScoreSettings | None = None
    similarity: SimilaritySettings | None = None
    overlap: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Bare names of the scores that every row with a reference has."""
        return (*self.encoder_names, *(OVERLAP_NAMES if self.overlap else ()))

    @property
    def encoder_names(self) -> tuple[str, ...]:
        """Those of them that need an encoder."""
        bertscore = BERTSCORE_NAMES if self.bertscore else ()
        return (*bertscore, *(SIMILARITY_NAMES if self.similarity else ()))


def _check_batch_size(name: str, batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"model.semantic.{name}.batch_size is {batch_size}; give at least 1")
