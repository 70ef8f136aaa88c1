"""What to do about what `charset` found, as lines that can be pasted behind a command.

In: the constraint, the tokenizer's report and the scan of the references. Out: lines, none where nothing notable was
found. Only training rows count: settings that follow the validation split would be fitted to it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Final

from kosum_pl.decode import ConstraintSettings
from kosum_pl.decode.constraint.vocabulary import VocabularyReport
from kosum_pl.metrics.reference_scan import ReferenceScan, Tally, by_frequency
from kosum_pl.metrics.scripts import script_of
from kosum_pl.types import TAG_PATTERN

MIN_ROWS: Final = 2
MIN_SHARE: Final = 0.001
"""Something is notable from this many training rows on, and from this share of them."""
_LATIN_SHARE: Final = 0.01
_MAX_NAMED: Final = 30
_MAX_WORDS: Final = 10
_SPLIT: Final = "train"


def advice(
    settings: ConstraintSettings, *, is_set: bool, vocabulary: VocabularyReport, scan: ReferenceScan
) -> list[str]:
    """Lines of advice, the most consequential first."""
    lines = []
    if not is_set:
        lines.append("hold summaries to this charset: --model.constraint.charset korean")
    lines += _character_advice(settings, scan)
    lines += _word_advice(settings, scan)
    lines += _vocabulary_advice(settings, vocabulary, scan)
    return lines


def _character_advice(settings: ConstraintSettings, scan: ReferenceScan) -> list[str]:
    lines = []
    notable = _notable(scan, scan.characters)
    latin = [char for char in notable if char.isascii() and char.isalpha()]
    num_latin = scan.scripts["Latin"].rows[_SPLIT] if latin else 0
    # The letters of a tag that the literals lack ask for a literal, not for an alphabet.
    num_tags = sum(tally.rows[_SPLIT] for word, tally in scan.outside_words.items() if TAG_PATTERN.fullmatch(word))
    if num_latin - num_tags >= max(MIN_ROWS, _LATIN_SHARE * scan.num_rows[_SPLIT]):
        lines.append(
            "Latin letters that no dialogue licenses are common; to allow all of them in every row: "
            f"--model.constraint.charset {shlex.quote(settings.charset + '+latin')}"
        )
    rest = [char for char in notable if char not in latin]
    if any(map(_is_conjoining, rest)):
        lines.append("training rows hold decomposed Hangul; compose it: nfc must stand in data.cleaning")
    added = [char for char in rest if _may_be_added(char) and not _is_foreign_letter(char)]
    if added:
        lines.append(f"add them: {_characters_option(settings, added)}")
    letters = [char for char in rest if _may_be_added(char) and _is_foreign_letter(char)]
    if letters:
        scripts = dict.fromkeys(map(script_of, letters))
        counts = ", ".join(f"{script} in {scan.scripts[script].rows[_SPLIT]:,}" for script in scripts)
        lines.append(
            f"training rows hold letters of other scripts ({counts}), learnt and then never said: mend the references, "
            f"or allow them: {_characters_option(settings, letters)}"
        )
    return lines


def _word_advice(settings: ConstraintSettings, scan: ReferenceScan) -> list[str]:
    notable = _notable(scan, scan.outside_words)
    words = [word for word in notable if len(word) > 1 and not any(map(_is_foreign_letter, word))]
    lines = []
    for kind, is_tag in (("tags", True), ("words", False)):
        found = [word for word in words if bool(TAG_PATTERN.fullmatch(word)) is is_tag][:_MAX_WORDS]
        if found:
            literals = shlex.quote(json.dumps([*settings.fixed_literals, *found], ensure_ascii=False))
            lines.append(f"allow {kind} in every row ({', '.join(found)}): --model.constraint.literals {literals}")
    return lines


def _vocabulary_advice(settings: ConstraintSettings, vocabulary: VocabularyReport, scan: ReferenceScan) -> list[str]:
    num_lost = sum(len(totals.lost) for (split, _), totals in scan.totals.items() if split == _SPLIT)
    if not num_lost:
        return []
    if settings.kind == "static_mask":
        return [
            f"{num_lost:,} training references are refused as they are tokenized: --model.constraint.kind automaton"
        ]
    return [
        f"{num_lost:,} training references cannot be said as they are, {vocabulary.tokenizer} lacks their characters: "
        "reword these, or choose a model whose vocabulary falls back on bytes"
    ]


def _notable(scan: ReferenceScan, tallies: dict[str, Tally]) -> list[str]:
    least = max(MIN_ROWS, MIN_SHARE * scan.num_rows[_SPLIT])
    named = [name for name, tally in by_frequency(tallies) if tally.rows[_SPLIT] >= least]
    return named[:_MAX_NAMED]


def _may_be_added(char: str) -> bool:
    return char != "\ufffd" and char.isprintable() and not _is_conjoining(char)


def _is_conjoining(char: str) -> bool:
    return "\u1100" <= char <= "\u11ff"


def _is_foreign_letter(char: str) -> bool:
    """A letter that is no Latin one, the kana length mark among them; marks and digits belong to no script."""
    return char.isalpha() and script_of(char) not in ("Latin", "Hangul")


def _characters_option(settings: ConstraintSettings, added: Iterable[str]) -> str:
    return f"--model.constraint.characters {shlex.quote(settings.characters + ''.join(added))}"
