"""`TagScores`: does a summary name the speakers and masked values of its reference, no others, and in the same roles?

In: predictions and references. Out: `tag_recall`, `tag_precision` and `swapped_speakers`, each 0-1. A summary that
names the wrong person reads as well as a right one and loses one token of ROUGE.
"""

from __future__ import annotations

import re
from typing import Final

from kosum_pl.metrics.row_metric import Pair, in_units
from kosum_pl.types import TAG_PATTERN, Prediction

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


class TagScores:
    """Means of the three as a `RowMetric`, each over the rows where it can be measured.

    The first reference alone is asked: over all of them a summary would have to name everybody any of them names.
    """

    names = ("tag_recall", "tag_precision", "swapped_speakers")

    def row_values(self, prediction: Prediction) -> list[Pair]:
        """Scores of a row with references."""
        if not prediction.references:
            return []
        texts = prediction.text, prediction.references[0]
        scores = (tag_recall(*texts), tag_precision(*texts), has_swapped_speakers(*texts))
        return [(0, 0) if score is None else (in_units(score), 1) for score in scores]
