"""`TextQuality`: are summaries written in Hangul, and are they whole characters?

In: predictions. Out: `hangul_ratio` and `broken_rate`, both 0-1. They ask no dialogue and no charset, so they show
what a generous charset or a wrong list of literals would hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import regex
import torch
from torch import Tensor
from torchmetrics import Metric

from kosum_pl.metrics import sums
from kosum_pl.types import TAG_PATTERN

_LETTER: Final = regex.compile(r"\p{L}")
_HANGUL_LETTER: Final = regex.compile(r"(?=\p{L})\p{Script=Hangul}")
# U+FFFD, lone surrogates, and the three blocks of conjoining jamo.
_BROKEN: Final = regex.compile(
    r"[\uFFFD\p{Cs}\p{Block=Hangul_Jamo}\p{Block=Hangul_Jamo_Extended_A}\p{Block=Hangul_Jamo_Extended_B}]"
)


def hangul_letters(text: str) -> tuple[int, int]:
    """Numbers of Hangul letters and of all letters, without those of tags.

    Args:
        text: A summary.

    Example:
        >>> hangul_letters("#Person1#은 KTX를 3시에 탄다.")
        (6, 9)
    """
    words = TAG_PATTERN.sub(" ", text)
    return len(_HANGUL_LETTER.findall(words)), len(_LETTER.findall(words))


def is_broken(text: str) -> bool:
    r"""Whether a text holds U+FFFD, a lone surrogate or a conjoining jamo, the traces of cut or decomposed characters.

    Args:
        text: A summary.

    Example:
        >>> [is_broken(text) for text in ("비가 온다 ㅋㅋ", "비가 \ufffd온다", "\u1112\u1161\u11ab글")]
        [False, True, True]
    """
    return _BROKEN.search(text) is not None


class TextQuality(Metric):
    """Hangul and broken characters of a split's summaries.

    `hangul_ratio` are the Hangul letters among all letters of all predictions together, without those of tags;
    `broken_rate` is the share of rows with a broken character, as `is_broken` says.

    Example:
        >>> metric = TextQuality()
        >>> metric.update(["#Person1#은 KTX를 탄다.", "비가 온\ufffd"])
        >>> {name: round(float(value), 2) for name, value in metric.compute().items()}
        {'hangul_ratio': 0.7, 'broken_rate': 0.5}
    """

    full_state_update = False
    is_differentiable = False
    num_hangul: Tensor
    num_letters: Tensor
    num_broken: Tensor
    num_rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("num_hangul", "num_letters", "num_broken", "num_rows"):
            self.add_state(name, default=sums.zeros(), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[str]) -> None:
        """Add rows.

        Args:
            predictions: One text a row.

        Raises:
            ValueError: A bare text in place of a list.
        """
        sums.check_lengths("TextQuality", predictions=predictions)
        letters = [hangul_letters(text) for text in predictions]
        self.num_hangul = self.num_hangul + sum(hangul for hangul, _ in letters)
        self.num_letters = self.num_letters + sum(every for _, every in letters)
        self.num_broken = self.num_broken + sum(map(is_broken, predictions))
        self.num_rows = self.num_rows + len(predictions)

    def compute(self) -> dict[str, Tensor]:
        """Both by name, 0-dim float64; no `hangul_ratio` where no prediction has a letter.

        Raises:
            ValueError: No rows were added.
        """
        num_rows = sums.check_rows("TextQuality", self.num_rows)
        values = {"hangul_ratio": int(self.num_hangul) / int(self.num_letters)} if self.num_letters else {}
        values["broken_rate"] = int(self.num_broken) / num_rows
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
