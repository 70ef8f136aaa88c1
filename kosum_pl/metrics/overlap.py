"""BLEU and chrF by sacrebleu: over ROUGE's tokens and over characters.

In: predictions and their references. Out: `bleu` and `chrf` of the corpus, 0-100. Both are made of counts that add up
over rows and ranks; sacrebleu's own tokenizers would tear Korean words and `#Person1#` apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torchmetrics import Metric

from kosum_pl.metrics import sums
from kosum_pl.metrics.semantic.embedding import import_extra
from kosum_pl.metrics.tokenize import get_tokenizer

OVERLAP_NAMES: Final = ("bleu", "chrf")
_NUM_BLEU: Final = 10
_NUM_CHRF: Final = 18


class OverlapMetric(Metric):
    """Corpus BLEU-4 over the tokens of ROUGE, and chrF over the text.

    A row's references are used as both scores define it, whatever `multi_reference` says: BLEU counts an n-gram that
    any of them has, chrF takes the one that fits best.

    Args:
        tokenizer: `kiwi`, `mecab`, `char` or `space`.

    Raises:
        ValueError: An unknown tokenizer, or one or sacrebleu is not installed.

    Source:
        Post, "A Call for Clarity in Reporting BLEU Scores", 2018; Popović, "chrF", 2015.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    bleu_counts: Tensor
    chrf_counts: Tensor
    num_rows: Tensor

    def __init__(self, *, tokenizer: str = "kiwi") -> None:
        super().__init__()
        package = import_extra("sacrebleu", setting="model.semantic.overlap")
        self.tokenizer = get_tokenizer(tokenizer)
        self._package_version: str = package.__version__
        self._bleu: Any = package.metrics.BLEU(tokenize="none", force=True)
        self._chrf: Any = package.metrics.CHRF()
        self.add_state("bleu_counts", default=sums.zeros(_NUM_BLEU), dist_reduce_fx="sum")
        self.add_state("chrf_counts", default=sums.zeros(_NUM_CHRF), dist_reduce_fx="sum")
        self.add_state("num_rows", default=sums.zeros(), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Add rows.

        Args:
            predictions: One text a row, perhaps empty.
            references: One or more texts a row.

        Raises:
            ValueError: The lengths differ, or a row has no reference.
        """
        sums.check_lengths("BLEU", predictions=predictions, references=references)
        sums.check_references("BLEU", references)
        flat = [*predictions, *(text for texts in references for text in texts)]
        tokens = dict(zip(flat, map(_join, self.tokenizer.tokenize_batch(flat)), strict=True))
        for prediction, texts in zip(predictions, references, strict=True):
            bleu = _counts(self._bleu, tokens[prediction], [tokens[text] for text in texts])
            chrf = _counts(self._chrf, prediction, texts)
            # Not in place: a state made under inference mode could not be changed outside it.
            self.bleu_counts = self.bleu_counts + self.bleu_counts.new_tensor(bleu)
            self.chrf_counts = self.chrf_counts + self.chrf_counts.new_tensor(chrf)
        self.num_rows = self.num_rows + len(predictions)

    def compute(self) -> dict[str, Tensor]:
        """`bleu` and `chrf`, 0-100, 0-dim float64.

        Raises:
            ValueError: No rows were added.
        """
        sums.check_rows("BLEU", self.num_rows)
        # The sums of counts are the counts of the corpus: what sacrebleu's corpus_score computes from.
        bleu = self._bleu._compute_score_from_stats(self.bleu_counts.tolist()).score
        chrf = self._chrf._compute_score_from_stats(self.chrf_counts.tolist()).score
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in (("bleu", bleu), ("chrf", chrf))}

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
