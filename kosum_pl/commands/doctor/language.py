"""How well a tokenizer fits Korean: what a character costs, and what it cannot write.

In: tokenizers and the training references. Out: figures side by side, and findings. A model of twice the size whose
tokenizer spends twice the tokens on a syllable reads half the dialogue in the same window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from kosum_pl.cli.arguments import read_yaml
from kosum_pl.commands.doctor.finding import Finding, note, ok, warning
from kosum_pl.commands.doctor.tokens import local_folder
from kosum_pl.decode.constraint.token_bytes import token_bytes
from kosum_pl.encode import load_tokenizer
from kosum_pl.lookup import find_config, list_configs

MAX_TEXTS: Final = 2_000
"""References that are measured."""
_MAX_UNKNOWN: Final = 0.001
_MUCH_MORE: Final = 1.25
_EUC_KR_BYTES: Final = 2  # the codec spells other syllables in eight, as compositions of jamo


@dataclass(frozen=True, kw_only=True)
class LanguageFit:
    """One tokenizer on Korean.

    Attributes:
        tokens_per_hangul: Tokens of the references for each of their Hangul characters; None where they hold none.
        common_share: Of the 2,350 syllables of KS X 1001, those that one token writes; None where that is not known.
        all_share: The same of all 11,172.
        unknown_rate: Share of the references' tokens that are the unknown token.
    """

    name: str
    model_name: str
    num_tokens: int
    tokens_per_hangul: float | None
    common_share: float | None
    all_share: float | None
    unknown_rate: float


@cache
def common_syllables() -> tuple[str, ...]:
    """The 2,350 syllables of KS X 1001, which nearly all Korean text is made of.

    Example:
        >>> len(common_syllables()), "각" in common_syllables(), "뷁" in common_syllables()
        (2350, True, False)
    """
    return tuple(char for char in all_syllables() if len(char.encode("euc_kr")) == _EUC_KR_BYTES)


def all_syllables() -> tuple[str, ...]:
    """All 11,172 Hangul syllables."""
    return tuple(map(chr, range(0xAC00, 0xD7A4)))


def measure(tokenizer: Any, texts: Sequence[str], *, name: str, model_name: str = "") -> LanguageFit:
    """One config's transformers tokenizer on the same references as the others."""
    rows = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"] if texts else []
    ids = [token for row in rows for token in row]
    num_hangul = sum("가" <= char <= "힣" for text in texts for char in text)
    common, every = _shares(tokenizer)
    unknown = tokenizer.unk_token_id
    return LanguageFit(
        name=name,
        model_name=model_name,
        num_tokens=len(tokenizer),
        tokens_per_hangul=len(ids) / num_hangul if num_hangul else None,
        common_share=common,
        all_share=every,
        unknown_rate=sum(token == unknown for token in ids) / len(ids) if ids and unknown is not None else 0.0,
    )


def _shares(tokenizer: Any) -> tuple[float | None, float | None]:
    """Shares of syllables that some token writes, alone or behind a space."""
    try:
        pieces = {piece.removeprefix(b" ") for piece in token_bytes(tokenizer)}
    except ValueError:  # a kind of vocabulary whose tokens we cannot read
        return None, None
    common, every = common_syllables(), all_syllables()
    whole = {char for char in every if char.encode() in pieces}
    return len(whole.intersection(common)) / len(common), len(whole) / len(every)


def measure_neighbours(own: str, texts: Sequence[str]) -> list[LanguageFit]:
    """The other configs' tokenizers on the same texts; one that does not load is left out."""
    fits = []
    for name, model_name, folder in _neighbours(own):
        try:
            tokenizer, _ = load_tokenizer(str(folder))
        except ValueError:
            continue
        fits.append(measure(tokenizer, texts, name=name, model_name=model_name))
    return fits


def _neighbours(own: str) -> Iterator[tuple[str, str, Path]]:
    """(config, model, folder) of the other configs whose tokenizer is on this machine, each tokenizer once."""
    seen = {local_folder(own)}
    for name in list_configs():
        try:
            model = read_yaml(find_config(name)).get("model") or {}
        except ValueError:
            continue  # not the config that is asked about
        arguments = (model.get("init_args") or {}) if isinstance(model, dict) else {}
        model_name = arguments.get("model_name") if isinstance(arguments, dict) else None
        folder = local_folder(model_name) if isinstance(model_name, str) else None
        if folder is not None and folder not in seen:
            seen.add(folder)
            yield name, str(model_name), folder


def language_findings(own: LanguageFit, others: Sequence[LanguageFit]) -> Iterator[Finding]:
    """What the figures of the config at hand mean, beside those of the other configs."""
    if own.tokens_per_hangul is None:
        yield note("there is no Hangul in the training references: tokens per character cannot be told")
        return
    yield ok(f"{own.tokens_per_hangul:.2f} tokens per Hangul character of the training references")
    if own.unknown_rate > _MAX_UNKNOWN:
        text = f"{own.unknown_rate:.2%} of the references' tokens are unknown ones, learnt and never said"
        yield warning(
            text, "see `charset` for the characters; reword these, or choose a model that falls back on bytes"
        )
    rates = {fit.tokens_per_hangul: fit.name for fit in others if fit.tokens_per_hangul is not None}
    least = min(rates, default=own.tokens_per_hangul)
    if own.tokens_per_hangul > _MUCH_MORE * least:
        ratio = own.tokens_per_hangul / least
        yield note(f"{rates[least]} needs {least:.2f}: this tokenizer spends {ratio:.1f} times as many tokens")
