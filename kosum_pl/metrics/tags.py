"""`TagRecall`: does a summary keep the speakers and masked values of its reference?

In: predictions and references. Out: `tag_recall`, 0-1. A summary that names the wrong person reads as well as a right
one and loses one token of ROUGE.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchmetrics import Metric

from kosum_pl.metrics import sums
from kosum_pl.types import TAG_PATTERN


def tag_recall(prediction: str, reference: str) -> float | None:
    """Share of a reference's different tags that a prediction holds, 0-1; None where the reference has no tag.

    Example:
        >>> tag_recall("#Person1#이 인사한다.", "#Person1#은 #Person2#에게 인사한다.")
        0.5
    """
    wanted = set(TAG_PATTERN.findall(reference))
    return len(wanted & set(TAG_PATTERN.findall(prediction))) / len(wanted) if wanted else None


class TagRecall(Metric):
    """Mean of `tag_recall` over the rows whose first reference has tags; the other rows do not count.

    The first reference alone is asked: over all of them a summary would have to name everybody any of them names.

    Example:
        >>> metric = TagRecall()
        >>> metric.update(["#Person1#이 온다.", "비가 온다."], [["#Person1#이 온다."], ["비가 온다."]])
        >>> metric.compute()
        {'tag_recall': tensor(1., dtype=torch.float64)}
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    total: Tensor
    num_tagged: Tensor
    num_rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "num_tagged", "num_rows"):
            self.add_state(name, default=sums.zeros(), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Add rows.

        Args:
            predictions: One text a row.
            references: One or more texts a row.

        Raises:
            ValueError: The lengths differ, or a row has no reference.
        """
        sums.check_lengths("TagRecall", predictions=predictions, references=references)
        sums.check_references("TagRecall", references)
        recalls = [tag_recall(text, texts[0]) for text, texts in zip(predictions, references, strict=True)]
        tagged = [recall for recall in recalls if recall is not None]
        self.total = self.total + sum(map(sums.to_units, tagged))
        self.num_tagged = self.num_tagged + len(tagged)
        self.num_rows = self.num_rows + len(recalls)

    def compute(self) -> dict[str, Tensor]:
        """`tag_recall`, 0-dim float64; nothing where no row has a tag, as there is nothing to measure.

        Raises:
            ValueError: No rows were added.
        """
        sums.check_rows("TagRecall", self.num_rows)
        num_tagged = int(self.num_tagged)
        return {"tag_recall": sums.from_units(self.total) / num_tagged} if num_tagged else {}
