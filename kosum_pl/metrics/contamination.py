"""`ContaminationMetric`: do summaries hold characters that are no Korean text and that their dialogue does not license?

In: predictions and their dialogues. Out: `contamination_rate` (the share of rows, 0-1), `foreign_per_mille` and
`foreign_per_mille/han`, … A character counts here exactly when constrained decoding would have forbidden it, so that
the score of constrained summaries is 0 by construction and not by luck.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torchmetrics import Metric

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.licence import row_licence
from kosum_pl.decode.literals import DEFAULT_LITERALS, foreign_places
from kosum_pl.metrics import sums
from kosum_pl.metrics.scripts import SCRIPTS, script_of

_KOREAN: Final = Charset()


def count_foreign(
    text: str, dialogue: str, *, charset: Charset = _KOREAN, literals: Sequence[str] = DEFAULT_LITERALS
) -> Counter[str]:
    """Foreign characters of a summary by script; empty where there is none.

    Args:
        text: A summary, taken as it is: decomposed Hangul is foreign.
        dialogue: Its dialogue, whose own words and numbers are licensed as they stand there.
        charset: Characters that need no licence.
        literals: Licensed in every row.

    Example:
        >>> count_foreign("#Person1#은 KTX로 會議에 간다ー", "#Person1#: KTX 타자.")
        Counter({'Han': 2, 'Common': 1})
    """
    # The dialogue is read only for a summary that needs its licence: that costs ten times the rest.
    if not foreign_places(text, charset=charset, literals=literals):
        return Counter()
    places = row_licence(dialogue, charset=charset, literals=literals).foreign_places(text)
    return Counter(script_of(text[place]) for place in places)


class ContaminationMetric(Metric):
    """Foreign characters of a split's summaries.

    `contamination_rate` is the share of rows with at least one foreign character (혼입율@N, where N is the number of
    rows); `foreign_per_mille` are foreign characters among a thousand of all predictions together, and
    `foreign_per_mille/SCRIPT` those of one script, for the scripts that were found.

    Args:
        charset: Characters that need no licence.
        literals: Licensed in every row.
        prefix: Before every name: `raw_` for what the model said before post-processing.

    Raises:
        ValueError: `literals` are a bare text.

    Example:
        >>> metric = ContaminationMetric()
        >>> metric.update(["KTX로 會議에 간다.", "비가 온다."], ["#Person1#: KTX 타자.", "#Person1#: 비 온다."])
        >>> {name: round(float(value), 1) for name, value in metric.compute().items()}
        {'contamination_rate': 0.5, 'foreign_per_mille': 111.1, 'foreign_per_mille/han': 111.1}
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    num_foreign: Tensor
    num_chars: Tensor
    num_contaminated: Tensor
    num_rows: Tensor

    def __init__(
        self, charset: Charset = _KOREAN, *, literals: Sequence[str] = DEFAULT_LITERALS, prefix: str = ""
    ) -> None:
        super().__init__()
        if isinstance(literals, str):
            raise ValueError(f"ContaminationMetric: literals are the bare text {literals!r}; give a list of texts")
        self.charset = charset
        self.literals = tuple(literals)
        self.prefix = prefix
        self.add_state("num_foreign", default=sums.zeros(len(SCRIPTS)), dist_reduce_fx="sum")
        for name in ("num_chars", "num_contaminated", "num_rows"):
            self.add_state(name, default=sums.zeros(), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[str], dialogues: Sequence[str]) -> None:
        """Add rows.

        Args:
            predictions: One text a row.
            dialogues: The dialogue of each.

        Raises:
            ValueError: The lengths differ.
        """
        sums.check_lengths("ContaminationMetric", predictions=predictions, dialogues=dialogues)
        rows = [
            count_foreign(text, dialogue, charset=self.charset, literals=self.literals)
            for text, dialogue in zip(predictions, dialogues, strict=True)
        ]
        by_script = [sum(row[script] for row in rows) for script in SCRIPTS]
        self.num_foreign = self.num_foreign + self.num_foreign.new_tensor(by_script)
        self.num_chars = self.num_chars + sum(map(len, predictions))
        self.num_contaminated = self.num_contaminated + sum(map(bool, rows))
        self.num_rows = self.num_rows + len(rows)

    def compute(self) -> dict[str, Tensor]:
        """Rates by name, 0-dim float64; nothing per thousand where all predictions are empty.

        Raises:
            ValueError: No rows were added.
        """
        values = {
            "contamination_rate": int(self.num_contaminated) / sums.check_rows(type(self).__name__, self.num_rows)
        }
        # States are summed over ranks before, so all ranks name the same scripts.
        by_script = dict(zip(SCRIPTS, self.num_foreign.tolist(), strict=True))
        if num_chars := int(self.num_chars):
            values["foreign_per_mille"] = 1000 * sum(by_script.values()) / num_chars
            for script, count in by_script.items():
                if count:
                    values[f"foreign_per_mille/{script.lower()}"] = 1000 * count / num_chars
        return {self.prefix + name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}

    def record(self) -> dict[str, str]:
        """What must stand beside the scores for them to mean something.

        Example:
            >>> ContaminationMetric(Charset(name="korean+latin")).record()
            {'contamination_charset': 'korean+latin'}
        """
        return {"contamination_charset": str(self.charset)}
