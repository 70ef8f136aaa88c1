"""`Contamination`: do summaries hold characters that are no Korean text and that their dialogue does not allow?

In: predictions and their dialogues. Out: `contamination_rate` (the share of rows, 0-1), `foreign_per_mille` and
`foreign_per_mille/han`, … A character counts here exactly when constrained decoding would have forbidden it, so that
the score of constrained summaries is 0 by construction and not by luck.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.literals import DEFAULT_LITERALS, allowed_text, foreign_places
from kosum_pl.metrics.row_metric import Pair
from kosum_pl.metrics.scripts import SCRIPTS, script_of
from kosum_pl.types import Prediction

_KOREAN: Final = Charset()


def count_foreign(
    text: str, dialogue: str, *, charset: Charset = _KOREAN, literals: Sequence[str] = DEFAULT_LITERALS
) -> Counter[str]:
    """Foreign characters of a summary by script; empty where there is none.

    The text is taken as it is: decomposed Hangul is foreign. The dialogue's own words and numbers are allowed as they
    stand there.

    Example:
        >>> count_foreign("#Person1#은 KTX로 會議에 간다ー", "#Person1#: KTX 타자.")
        Counter({'Han': 2, 'Common': 1})
    """
    # The dialogue is read only for a summary that needs it: that costs ten times the rest.
    if not foreign_places(text, charset=charset, literals=literals):
        return Counter()
    indices = allowed_text(dialogue, charset=charset, literals=literals).foreign_places(text)
    return Counter(script_of(text[index]) for index in indices)


class Contamination:
    """Foreign characters of summaries as a `RowMetric`.

    `contamination_rate` is the share of rows with at least one foreign character (혼입율@N, where N is the number of
    rows); `foreign_per_mille` are foreign characters among a thousand of all predictions together, and
    `foreign_per_mille/SCRIPT` those of one script, for the scripts that were found. `raw_contamination_rate` is the
    rate of what the model generated before post-processing.

    Raises:
        ValueError: `literals` are a bare text.
    """

    names = (
        *("contamination_rate", "foreign_per_mille"),
        *(f"foreign_per_mille/{script.lower()}" for script in SCRIPTS),
        "raw_contamination_rate",
    )

    def __init__(self, charset: Charset = _KOREAN, *, literals: Sequence[str] = DEFAULT_LITERALS) -> None:
        if isinstance(literals, str):
            raise ValueError(f"contamination: literals are the bare text {literals!r}; give a list of texts")
        self.charset, self.literals = charset, tuple(literals)

    def row_values(self, prediction: Prediction) -> list[Pair]:
        """Counts of one row."""
        found, raw = (
            count_foreign(text, prediction.dialogue, charset=self.charset, literals=self.literals)
            for text in (prediction.text, prediction.raw_text)
        )
        counts = [found.total(), *(found[script] for script in SCRIPTS)]
        per_mille = [(1000 * count, len(prediction.text)) for count in counts]
        return [(bool(found), 1), *per_mille, (bool(raw), 1)]
