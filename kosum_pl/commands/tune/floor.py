"""`ReachFloor`: which presets a search may propose at all.

In: the references of the slice's rows, and the default preset. Out: whether a preset leaves as many of them sayable as
the default does. A search on a hundred rows is easily paid for with references that nobody could generate any more:
fewest tokens above the shortest of them, say. Lengths and phrases are looked at here, never what a model scores.
"""

from __future__ import annotations

from kosum_pl.decode import DecodingPreset
from kosum_pl.decode.reachability.references import References
from kosum_pl.decode.reachability.report import percent
from kosum_pl.errors import UsageError
from kosum_pl.types import UNLIMITED


class ReachFloor:
    """The share of references that can be said under the default preset, as the least that a proposal may leave.

    Args:
        references: Of all rows of the slice, held-out ones included.
        default: The preset that the others are held against.
    """

    def __init__(self, references: References, *, default: DecodingPreset) -> None:
        self._references = references
        self._default = default

    def allows(self, preset: DecodingPreset) -> bool:
        """Whether no fewer references can be said than under the default."""
        return self._references.share(preset) >= self._references.share(self._default)

    def check_base(self, base: DecodingPreset) -> None:
        """Stop where what the search never changes forbids too much already.

        Raises:
            UsageError: Bad words of the preset that is tuned alone leave fewer references than the default does.
        """
        bare = DecodingPreset(name=base.name, max_new_tokens=UNLIMITED, bad_words=base.bad_words)
        if not self.allows(bare):
            raise UsageError(
                f"no preset can be proposed: with the bad_words of '{base.name}', {self.words(bare)}; take words out"
            )

    def words(self, preset: DecodingPreset) -> str:
        """How many references can be said, beside the default's number."""
        share, least = (percent(self._references.share(each)) for each in (preset, self._default))
        return f"{share} of {len(self._references.ids):,} references can be said ({least} with {self._default.name})"
