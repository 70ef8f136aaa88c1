"""Korean tokenizers for ROUGE: `kiwi`, `mecab`, `char`, `space`.

In: texts. Out: their tokens; a `#Person1#`-like tag is always one of them. The stock ROUGE tokenizers delete Hangul:
pure Korean scores 0, and two summaries that share nothing but a tag score 1. A score means nothing without the name
and version of its tokenizer, so each knows its own.

Tokens of `kiwi` are morphemes in their dictionary spelling (`어려워` is `어렵`, `어`), unmerged and untagged; of
`mecab` surface morphemes (`간다` stays one); of `char` all characters but white space; of `space` words between white
space, where a tag is parted from the particle behind it.

Source: https://github.com/bab2min/kiwipiepy
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from kosum_pl.types import TAG_PATTERN

_CACHED_TEXTS: Final = 8192
_MAX_THREADS: Final = 4
# Stands in for a tag while MeCab reads: foreign letters are one noun to it, and no Korean word holds these.
_MECAB_STAND_IN: Final = "Xqz"
_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")


class RougeTokenizer:
    """Splits texts into ROUGE tokens and remembers the last 8,192 of them, as references come back every validation.

    Args:
        split: Tokens of every text, tags whole.
        version: Of the library behind it; empty where there is none.
    """

    def __init__(self, name: str, split: Callable[[Sequence[str]], list[list[str]]], *, version: str = "") -> None:
        self.name, self.version = name, version
        self._split = split
        self._known: OrderedDict[str, list[str]] = OrderedDict()

    @property
    def label(self) -> str:
        """Name and version, as they stand beside a score: `kiwi 0.24.1`."""
        return f"{self.name} {self.version}".strip()

    def __call__(self, text: str) -> list[str]:
        """Tokens of one text."""
        return self.tokenize_batch([text])[0]

    def tokenize_batch(self, texts: Sequence[str]) -> list[list[str]]:
        """Tokens of every text; in one call, as an analyser spreads many texts over threads."""
        unknown = [text for text in dict.fromkeys(texts) if text not in self._known]
        fresh = dict(zip(unknown, self._split(unknown), strict=True)) if unknown else {}
        tokens = []
        for text in texts:
            if text not in fresh:
                self._known.move_to_end(text)
            # A copy: whoever changes it must not change what the next one gets.
            tokens.append(list(fresh[text] if text in fresh else self._known[text]))
        self._known.update(fresh)
        while len(self._known) > _CACHED_TEXTS:
            self._known.popitem(last=False)
        return tokens


def get_tokenizer(name: str) -> RougeTokenizer:
    """A ROUGE tokenizer, `kiwi`, `mecab`, `char` or `space`; an analyser is loaded at first use (Kiwi: 3 s).

    Raises:
        ValueError: An unknown name, or a package that is not installed.

    Example:
        >>> get_tokenizer("space")("#Person1#은 집에 간다.")
        ['#Person1#', '은', '집에', '간다.']
        >>> get_tokenizer("char")("#Person1#은 간다")
        ['#Person1#', '은', '간', '다']
    """
    if name not in _SPLITS:
        raise ValueError(f"rouge_tokenizer is '{name}'; known: {', '.join(_SPLITS)}")
    split, package = _SPLITS[name]
    try:
        return RougeTokenizer(name, split, version=version(package) if package else "")
    except PackageNotFoundError:
        raise ValueError(
            f"rouge_tokenizer '{name}' needs {package}, which is not installed: pip install {package}"
        ) from None


def _split_by_kiwi(texts: Sequence[str]) -> list[list[str]]:
    # Lone halves of a character, as broken JSON holds them, are an error to Kiwi.
    clean = [_SURROGATES.sub("\ufffd", text) for text in texts]
    analysed = _load_kiwi(os.getpid()).tokenize(clean, pretokenized=_tag_spans)
    return [[token.form for token in tokens] for tokens in analysed]


def _split_by_mecab(texts: Sequence[str]) -> list[list[str]]:
    return [_morphemes(_SURROGATES.sub("\ufffd", text)) for text in texts]


def _morphemes(text: str) -> list[str]:
    tagger = _load_mecab(os.getpid())
    tags = TAG_PATTERN.findall(text)
    morphemes: list[str] = tagger.morphs(TAG_PATTERN.sub(_MECAB_STAND_IN, text))
    if morphemes.count(_MECAB_STAND_IN) == len(tags):
        remaining = iter(tags)
        return [next(remaining) if morpheme == _MECAB_STAND_IN else morpheme for morpheme in morphemes]
    # Tags that touch one another or Latin letters melt into them: the text between them is read on its own.
    return [token for part, tag in split_tags(text) for token in [*tagger.morphs(part), *tag]]


def _split_characters(texts: Sequence[str]) -> list[list[str]]:
    return [[token for part, tag in split_tags(text) for token in [*"".join(part.split()), *tag]] for text in texts]


def _split_words(texts: Sequence[str]) -> list[list[str]]:
    return [[token for part, tag in split_tags(text) for token in [*part.split(), *tag]] for text in texts]


_SPLITS: Final = {
    "kiwi": (_split_by_kiwi, "kiwipiepy"),
    "mecab": (_split_by_mecab, "python-mecab-ko"),
    "char": (_split_characters, ""),
    "space": (_split_words, ""),
}
"""How each splits, and the package that it needs."""


def split_tags(text: str) -> list[tuple[str, list[str]]]:
    """Text before each tag and that tag, in order; the last entry has no tag.

    Example:
        >>> split_tags("#Person1#은 간다")
        [('', ['#Person1#']), ('은 간다', [])]
    """
    parts = TAG_PATTERN.split(text)
    tags = TAG_PATTERN.findall(text)
    return [(part, tags[index : index + 1]) for index, part in enumerate(parts)]


def _tag_spans(text: str) -> list[tuple[int, int, str]]:
    # As proper nouns, so that Kiwi reads the particle behind a tag as a particle; cut off, `는` becomes `늘` + `ᆫ`.
    return [(tag.start(), tag.end(), "NNP") for tag in TAG_PATTERN.finditer(text)]


# One analyser a process: a fork inherits Kiwi without its threads and would wait for them for ever, in use and also
# in the destructor, so that what was inherited is kept.
@cache
def _load_kiwi(process_id: int) -> Any:
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=min(_MAX_THREADS, os.cpu_count() or 1))


@cache
def _load_mecab(process_id: int) -> Any:
    from mecab import MeCab

    return MeCab()
