"""`TagScores`: does a summary name the speakers and masked values of its reference, no others, and in the same roles?

In: predictions and references. Out: `tag_recall`, `tag_precision` and `swapped_speakers`, each 0-1. A summary that
names the wrong person reads as well as a right one and loses one token of ROUGE.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from torch import Tensor
from torchmetrics import Metric

from kosum_pl.metrics import sums
from kosum_pl.types import TAG_PATTERN

_SPEAKER: Final = re.compile(r"#Person\d+#")


def tag_recall(prediction: str, reference: str) -> float | None:
    """Share of a reference's different tags that a prediction holds, 0-1; None where the reference has no tag.

    Example:
        >>> tag_recall("#Person1#이 인사한다.", "#Person1#은 #Person2#에게 인사한다.")
        0.5
    """
    wanted = set(TAG_PATTERN.findall(reference))
    return len(wanted & set(TAG_PATTERN.findall(prediction))) / len(wanted) if wanted else None


def tag_precision(prediction: str, reference: str) -> float | None:
    """Share of a prediction's different tags that a reference holds, 0-1; None where the prediction has no tag.

    Example:
        >>> tag_precision("#Person1#이 #Person3#에게 인사한다.", "#Person1#은 #Person2#에게 인사한다.")
        0.5
    """
    return tag_recall(reference, prediction)


def has_swapped_speakers(prediction: str, reference: str) -> bool | None:
    """Whether speakers of both texts come first in another order; None where these share fewer than two speakers.

    A signal, no proof: Korean names who acts first, as a rule, but a passive or turned sentence is found as well. Of
    two people's summaries of one dialogue, about 2 in 100 differ so.

    Example:
        >>> has_swapped_speakers("#Person2#가 #Person1#에게 사과한다.", "#Person1#은 #Person2#에게 사과한다.")
        True
    """
    orders = [dict.fromkeys(_SPEAKER.findall(text)) for text in (prediction, reference)]
    shared = orders[0].keys() & orders[1].keys()
    if len(shared) < 2:
        return None
    first, second = ([speaker for speaker in order if speaker in shared] for order in orders)
    return first != second


_SCORES: Final[dict[str, Callable[[str, str], float | None]]] = {
    "tag_recall": tag_recall,
    "tag_precision": tag_precision,
    "swapped_speakers": has_swapped_speakers,
}


class TagScores(Metric):
    """Means of `tag_recall`, `tag_precision` and `has_swapped_speakers`, each over the rows where it can be measured.

    The first reference alone is asked: over all of them a summary would have to name everybody any of them names.

    Example:
        >>> metric = TagScores()
        >>> metric.update(["#Person1#이 온다.", "비가 온다."], [["#Person1#이 온다."], ["#Person2#와 비를 본다."]])
        >>> metric.compute()
        {'tag_recall': tensor(0.5000, dtype=torch.float64), 'tag_precision': tensor(1., dtype=torch.float64)}
    """

    full_state_update = False
    is_differentiable = False
    totals: Tensor
    num_measured: Tensor
    num_rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("totals", default=sums.zeros(len(_SCORES)), dist_reduce_fx="sum")
        self.add_state("num_measured", default=sums.zeros(len(_SCORES)), dist_reduce_fx="sum")
        self.add_state("num_rows", default=sums.zeros(), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Add rows.

        Args:
            predictions: One text a row.
            references: One or more texts a row.

        Raises:
            ValueError: The lengths differ, or a row has no reference.
        """
        sums.check_lengths("TagScores", predictions=predictions, references=references)
        sums.check_references("TagScores", references)
        rows = [(text, texts[0]) for text, texts in zip(predictions, references, strict=True)]
        columns = [[score(text, reference) for text, reference in rows] for score in _SCORES.values()]
        measured = [[value for value in column if value is not None] for column in columns]
        self.totals = self.totals + self.totals.new_tensor([sum(map(sums.to_units, column)) for column in measured])
        self.num_measured = self.num_measured + self.num_measured.new_tensor([len(column) for column in measured])
        self.num_rows = self.num_rows + len(rows)

    def compute(self) -> dict[str, Tensor]:
        """Means by name, 0-dim float64; a score that no row could be measured by is left out.

        Raises:
            ValueError: No rows were added.
        """
        sums.check_rows("TagScores", self.num_rows)
        columns = zip(_SCORES, sums.from_units(self.totals), self.num_measured.tolist(), strict=True)
        return {name: total / count for name, total, count in columns if count}
