"""BLEU and chrF by sacrebleu: over ROUGE's tokens and over characters.

In: predictions and their references. Out: `bleu` and `chrf` of the corpus, 0-100. Both are made of counts that add up
over rows and ranks; sacrebleu's own tokenizers would tear Korean words and `#Person1#` apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kosum_pl.metrics.row_metric import Pair
from kosum_pl.metrics.semantic.embedding import import_extra
from kosum_pl.metrics.tokenize import RougeTokenizer
from kosum_pl.types import Prediction

OVERLAP_NAMES: Final = ("bleu", "chrf")
_NUM_BLEU: Final = 10
_NUM_CHRF: Final = 18


class Overlap:
    """Corpus BLEU-4 over the tokens of ROUGE, and chrF over the text, as a `CorpusMetric`.

    A row's references are used as both scores define it, whatever `multi_reference` is: BLEU counts an n-gram that
    any of them has, chrF takes the one that fits best.

    Raises:
        ValueError: sacrebleu is not installed.

    Source:
        Post, "A Call for Clarity in Reporting BLEU Scores", 2018; Popović, "chrF", 2015.
    """

    names = tuple(f"overlap_counts/{pair}" for pair in range((_NUM_BLEU + _NUM_CHRF) // 2))

    def __init__(self, tokenizer: RougeTokenizer) -> None:
        package = import_extra("sacrebleu", setting="model.semantic.overlap")
        self.tokenizer = tokenizer
        self._package_version: str = package.__version__
        self._bleu: Any = package.metrics.BLEU(tokenize="none", force=True)
        self._chrf: Any = package.metrics.CHRF()

    def row_values(self, prediction: Prediction) -> list[Pair]:
        """The counts of both scores for a row with references, two by two."""
        if not prediction.references:
            return []
        texts = list(prediction.references)
        tokens, *wanted = map(_join, self.tokenizer.tokenize_batch([prediction.text, *texts]))
        counts = [*_counts(self._bleu, tokens, wanted), *_counts(self._chrf, prediction.text, texts)]
        return list(zip(counts[::2], counts[1::2], strict=True))

    def corpus_scores(self, sums: Sequence[Pair]) -> dict[str, float]:
        """`bleu` and `chrf`, 0-100."""
        # The sums of counts are the counts of the corpus: what sacrebleu's corpus_score computes from.
        counts = [int(count) for pair in sums for count in pair]
        if not any(counts):
            return {}
        bleu, chrf = counts[:_NUM_BLEU], counts[_NUM_BLEU:]
        return {
            "bleu": self._bleu._compute_score_from_stats(bleu).score,
            "chrf": self._chrf._compute_score_from_stats(chrf).score,
        }

    def record(self) -> dict[str, str]:
        """What must stand beside the scores for them to mean something."""
        return {"bleu_tokenizer": f"sacrebleu {self._package_version}, tokens of {self.tokenizer.label}"}


def _join(tokens: Sequence[str]) -> str:
    # A token with a space in it, as an analyser's dictionary may hold, stays one.
    return " ".join(token.replace(" ", "\u2581") for token in tokens)


def _counts(metric: Any, prediction: str, references: Sequence[str]) -> list[int]:
    """One row's counts; `corpus_score` sums what this gives for every row."""
    (counts,) = metric._extract_corpus_statistics([prediction], [[reference] for reference in references])
    return [int(count) for count in counts]
