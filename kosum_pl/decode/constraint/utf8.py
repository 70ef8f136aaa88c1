"""UTF-8 as ranges of bytes.

In: ranges of code points. Out: sequences of byte ranges that spell exactly these, for an automaton over bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kosum_pl.decode.charset import Span


def utf8_sequences(spans: Sequence[Span]) -> Iterator[tuple[Span, ...]]:
    """Ranges of code points as sequences of byte ranges.

    Source: R. Cox, Regular Expression Matching in the Wild (https://swtch.com/~rsc/regexp/regexp3.html).

    Example:
        >>> list(utf8_sequences([(0x20, 0x7E), (0xAC00, 0xACFF)]))
        [((32, 126),), ((234, 234), (176, 179), (128, 191))]
    """
    pending = list(reversed(spans))
    while pending:
        first, last = pending.pop()
        for limit in (0x7F, 0x7FF, 0xFFFF):
            if first <= limit < last:
                pending += [(limit + 1, last), (first, limit)]
                break
        else:
            split = _split(first, last)
            if split is None:
                yield tuple(zip(chr(first).encode(), chr(last).encode(), strict=True))
            else:
                pending += split


def _split(first: int, last: int) -> list[Span] | None:
    """The same range in two, later part first, where its continuation bytes are not a plain product of ranges."""
    for shift in (6, 12, 18):
        mask = (1 << shift) - 1
        if last <= 0x7F or (first | mask) == (last | mask):
            continue
        if first & mask:
            return [((first | mask) + 1, last), (first, first | mask)]
        if last & mask != mask:
            return [(last & ~mask, last), (first, (last & ~mask) - 1)]
    return None
