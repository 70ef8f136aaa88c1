"""Complete sentences: a summary that was cut off loses the sentence that it was cut in.

In: a text, and whether the model ended it. Out: the text up to the end of its last whole sentence. Half a sentence
reads as a fault and may say the opposite of what was meant; Korean has its negation at the end.
"""

from __future__ import annotations

import re
from typing import Final

from kosum_pl.decode.literals import AllowedText

_PAIRS: Final = ("()", "[]", "{}", "「」", "『』", "〈〉", "《》", "“”", "‘’")
_CLOSING: Final = re.escape("\"'" + "".join(pair[1] for pair in _PAIRS))
# Behind a Latin letter or a digit (Mr., 3.) a full stop may mean nothing, behind another (음...) it hesitates, and
# behind a lone syllable (가. 나.) it counts.
_NO_FULL_STOP: Final = r"(?<![A-Za-zÀ-ɏ0-9.])(?<!\A[가나다라마바사아자차카타파하])(?<!\s[가나다라마바사아자차카타파하])"
# What is quoted is no sentence of its own where its verb follows: "가자." 하고 말한다.
_NO_QUOTATION: Final = r"(?!(?<=[\"'”’」』])\s+(?:라고|라며|하고|하며)\b)"
_END: Final = re.compile(rf"(?:{_NO_FULL_STOP}\.|[!?。！？])[{_CLOSING}]*(?=\s|\Z){_NO_QUOTATION}")


def complete_sentence(text: str, row: AllowedText) -> str:
    """Drop the unfinished last sentence of an unfinished summary, if a whole one stands before it.

    A sentence ends with a mark and the quotes and brackets that close behind it, where no quotation or bracket is left
    open. Only the last line is shortened; it goes as a whole where it holds no end and the line above it does: items of
    a list have no marks, and the whole ones could not be told from the last.

    Args:
        text: A summary.
        row: Says whether the model finished it.

    Example:
        >>> from kosum_pl.decode.charset import Charset
        >>> from kosum_pl.decode.literals import allowed_text
        >>> row = allowed_text("#Person1#: 3.5km 걷자.", charset=Charset(), literals=(), is_finished=False)
        >>> [complete_sentence(text, row) for text in ("둘은 간다. 둘은 3.5km를 걷", "둘은 3.5km를 걷")]
        ['둘은 간다.', '둘은 3.5km를 걷']
    """
    if row.is_finished:
        return text
    written = text.rstrip()
    above, _, last = written.rpartition("\n")
    kept = written[: len(written) - len(last) + _whole_length(last)]
    if not _whole_length(last):
        kept = above.rstrip()
        line = kept.rpartition("\n")[2]
        if not line or _whole_length(line) < len(line):
            return text
    return text if kept == written else kept


def _whole_length(line: str) -> int:
    """Characters of a line up to its last sentence end; 0 where there is none."""
    ends = (found.end() for found in _END.finditer(line))
    return max((end for end in ends if _is_sentence(line[:end])), default=0)


def _is_sentence(text: str) -> bool:
    """Whether a text says something, and leaves no quotation or bracket open."""
    is_open = text.count('"') % 2 or any(text.count(pair[0]) > text.count(pair[1]) for pair in _PAIRS)
    return not is_open and any(char.isalnum() for char in text)
