"""Where in the automaton a sequence stands, from its ids alone.

In: the tables, and ids that were generated so far. Out: one state a sequence. The state is a function of the ids, so
that beams may be reordered and candidates of assisted decoding taken back; what was computed at the last step is only
remembered, and looked up by the ids themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kosum_pl.decode.constraint.minimal import DEAD
from kosum_pl.decode.constraint.row_tables import RowTables
from kosum_pl.decode.constraint.tables import TokenTables
from kosum_pl.decode.prefix_memo import PrefixMemo

ENDED: Final = -2
"""State behind a terminator."""


class StateTracker:
    """States of the sequences of one batch.

    Args:
        tables: Common tables.
        eos_token_ids: Terminators.
        rows: What each row of the batch adds; None for a row that adds nothing.
        prompt_length: Leading positions that nobody generated: a padded prompt, or a decoder's start token.
    """

    def __init__(
        self,
        tables: TokenTables,
        *,
        eos_token_ids: Sequence[int],
        rows: Sequence[RowTables | None],
        prompt_length: int,
    ) -> None:
        self.tables = tables
        self.rows = rows
        self.prompt_length = prompt_length
        self._eos = frozenset(eos_token_ids)
        self._memo = PrefixMemo(tables.automaton.start, self.step)

    def row_of(self, sequence: int, num_sequences: int) -> int:
        """Row of a sequence: the beams of a row stand together."""
        return sequence * len(self.rows) // num_sequences

    def states(self, input_ids: Tensor) -> list[int]:
        """Row state of every sequence, or `ENDED`; the ids are (N, T), prompt included."""
        generated = input_ids[:, self.prompt_length :].cpu().numpy()
        rows = [self.row_of(sequence, len(generated)) for sequence in range(len(generated))]
        return self._memo.states(generated, rows=rows)

    def fold(self, ids: Sequence[int] | NDArray[np.int64], *, row: int) -> int:
        """State behind ids that were generated from the start."""
        return self._memo.fold(ids, row=row)

    def step(self, state: int, token: int, row: int) -> int:
        """State behind one more token.

        A token that writes nothing (a forced BOS) leaves the state as it is; one that is not allowed, as a draft model
        may propose, starts anew: what follows it is thrown away.
        """
        if state == ENDED or token in self._eos:
            return ENDED
        tables, added = self.tables, self.rows[row]
        common = state
        if added is not None:
            target = added.following.get((state, token))
            if target is not None:
                return target
            common = added.common[state]
        column = tables.column_of.get(token)
        following = DEAD if column is None or common == DEAD else int(tables.following[common, column])
        if following != DEAD:
            return following
        is_silent = token >= len(tables.written) or not tables.written[token]
        return state if is_silent else tables.automaton.start

    def common_state(self, state: int, *, row: int) -> int:
        """State of the common tables, `DEAD` inside a row's word; `ENDED` stays."""
        added = self.rows[row]
        return state if state == ENDED or added is None else added.common[state]

    def is_between_characters(self, input_ids: Tensor) -> list[bool]:
        """Whether each sequence, (N, T), has finished its last character; rules on repetition may bind only there."""
        states = [
            self.common_state(state, row=self.row_of(sequence, len(input_ids)))
            for sequence, state in enumerate(self.states(input_ids))
        ]
        is_accepting = self.tables.automaton.is_accepting
        return [state == ENDED or (state != DEAD and bool(is_accepting[state])) for state in states]
