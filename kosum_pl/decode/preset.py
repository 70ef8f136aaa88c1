"""`DecodingPreset`: how summaries are generated, under a name.

In: a YAML file of `configs/presets/` or keyword arguments. Out: a value that was checked when it was built, and its
arguments for `generate`. Every argument that changes the text is given, as a checkpoint brings its own settings
(lengths, penalties, forced ids) and whatever a caller leaves open is silently filled from there.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from kosum_pl.decode.preset_checks import check_conditions, check_preset
from kosum_pl.decode.row_length import RowLength
from kosum_pl.lookup import find_config
from kosum_pl.plain_yaml import read_plain
from kosum_pl.types import profile_text

# Settings that no preset has. As keywords of `generate` they win over the checkpoint's, None included; in a
# `GenerationConfig` None means "take the checkpoint's", so neutral numbers stand wherever there are any.
_NEUTRAL: Final[Mapping[str, Any]] = {
    "max_length": None,
    "min_length": None,
    "max_time": None,
    "stop_strings": None,
    "num_return_sequences": 1,
    "num_beam_groups": None,
    "diversity_penalty": None,
    "min_p": None,
    "top_h": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "encoder_repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
    "exponential_decay_length_penalty": None,
    "renormalize_logits": None,
    "remove_invalid_values": False,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "sequence_bias": None,
    "guidance_scale": None,
    "watermarking_config": None,
    "token_healing": False,
    "penalty_alpha": None,
    "dola_layers": None,
    "constraints": None,
    "force_words_ids": None,
    "prompt_lookup_num_tokens": None,
    "assistant_early_exit": None,
    "use_mtp": None,
    "use_cache": True,
}


class WordEncoder(Protocol):
    """The part of a tokenizer that spells out `bad_words`."""

    unk_token_id: int | None

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Ids of a text."""


@dataclass(frozen=True, kw_only=True)
class DecodingPreset:
    """Settings of generation, checked when built.

    Attributes:
        name: Stands beside every prediction that the preset served.
        when: Profile column to a value, or to a list of which any will do; all columns must match, compared as text.
            Empty: serves every row.
        num_beams: Beams; 1 is greedy or sampling.
        do_sample: Draw tokens instead of taking the best ones.
        temperature: Divides the logits; sampling only.
        top_p: Probability mass that is drawn from; sampling only.
        top_k: Number of tokens that is drawn from; sampling only, None for no limit.
        max_new_tokens: Most tokens of a summary, its terminator included: a number, or a `RowLength`, which a file
            writes as `{per_source_token: 0.4, min: 48, max: 256}`.
        min_new_tokens: Fewest tokens before a terminator is allowed.
        no_repeat_ngram_size: No n-gram of this size occurs twice in a summary; 0 switches it off.
        no_repeat_ngram_unit: What an n-gram consists of: `word`s, as white space separates them, or `token`s, as
            `generate` counts them, which forbids the more the smaller the pieces are that a vocabulary cuts words into.
        repetition_penalty: Above 1, tokens that the summary already holds become less likely.
        length_penalty: Exponent of the length in a beam's score; above 0 favours longer summaries.
        early_stopping: When beams stop: True at `num_beams` candidates, False when a better one is unlikely, `never`
            when it is impossible.
        bad_words: Texts that are not generated in the spelling the tokenizer gives them; other splits of the same
            text get through.
        seed: Of sampling.

    Raises:
        ValueError: A value of a wrong type or out of its range, or settings that contradict one another.

    Example:
        >>> preset = DecodingPreset(name="long", when={"weekday": 7}, num_beams=4, length_penalty=1.5)
        >>> preset.matches({"weekday": "7", "topic": "여행"}), preset.matches({"topic": "여행"})
        (True, False)
        >>> DecodingPreset(name="warm", temperature=0.7)
        Traceback (most recent call last):
        ValueError: preset 'warm': temperature is 0.7 without sampling; set do_sample: true or take temperature out
    """

    name: str
    # Left out of the hash, as a mapping has none: equal presets still have equal hashes.
    when: Mapping[str, str | int | float | list[str | int | float]] = field(default_factory=dict, hash=False)
    num_beams: int = 1
    do_sample: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_new_tokens: int | RowLength = 128
    min_new_tokens: int = 0
    no_repeat_ngram_size: int = 0
    no_repeat_ngram_unit: Literal["word", "token"] = "word"
    repetition_penalty: float = 1.0
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    bad_words: tuple[str, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        checked = check_preset({item.name: getattr(self, item.name) for item in fields(self)})
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        check_conditions(self.when, where=f"preset '{self.name}'")

    def matches(self, profile: Mapping[str, str]) -> bool:
        """Whether the preset serves rows of this profile; a column that a row lacks satisfies no condition."""
        conditions = check_conditions(self.when, where=f"preset '{self.name}'")
        return all(name in profile and profile_text(profile[name]) in texts for name, texts in conditions.items())

    @property
    def most_new_tokens(self) -> int:
        """`max_new_tokens` of the longest rows."""
        return self.max_new_tokens.max if isinstance(self.max_new_tokens, RowLength) else self.max_new_tokens

    def max_new_tokens_of(self, num_source_tokens: int) -> int:
        """`max_new_tokens` of a row whose prompt, as the model reads it, has so many tokens.

        Example:
            >>> limit = {"per_source_token": 0.4, "min": 48, "max": 256}
            >>> DecodingPreset(name="long", max_new_tokens=limit).max_new_tokens_of(250)
            100
        """
        limit = self.max_new_tokens
        return limit.tokens(num_source_tokens) if isinstance(limit, RowLength) else limit

    def generation_kwargs(self, *, tokenizer: WordEncoder | None = None) -> dict[str, Any]:
        """Keyword arguments for `model.generate`; special tokens stay the model's, and `RowLimits` a row's own limit.

        In a `GenerationConfig` they do the same once `model.generation_config` holds nothing but special tokens.
        Repetition rules are left to `generated_only_processors`: transformers' own count a causal model's prompt, and
        forbid quoting the dialogue, or an encoder-decoder's start token, which is BART's EOS: a penalty would keep
        every summary from ending.

        Args:
            tokenizer: Spells out `bad_words`; needed only where there are any.

        Raises:
            ValueError: `bad_words` without a tokenizer.

        Example:
            >>> kwargs = DecodingPreset(name="quick", no_repeat_ngram_size=4).generation_kwargs()
            >>> kwargs["max_new_tokens"], kwargs["no_repeat_ngram_size"], kwargs["forced_eos_token_id"]
            (128, 0, None)
        """
        return {
            **_NEUTRAL,
            "num_beams": self.num_beams,
            "do_sample": self.do_sample,
            # transformers' default for sampling is 50, so that "no limit" must be said.
            "top_k": (self.top_k or 0) if self.do_sample else None,
            "top_p": (self.top_p or 1.0) if self.do_sample else None,
            "temperature": (self.temperature or 1.0) if self.do_sample else None,
            "max_new_tokens": self.most_new_tokens,
            # A zero would clash, with a warning, with a `min_length` of the checkpoint's.
            "min_new_tokens": self.min_new_tokens or None,
            "no_repeat_ngram_size": 0,
            "repetition_penalty": 1.0,
            "length_penalty": self.length_penalty,
            "early_stopping": self.early_stopping,
            "bad_words_ids": self._bad_words_ids(tokenizer),
        }

    def _bad_words_ids(self, tokenizer: WordEncoder | None) -> list[list[int]] | None:
        if not self.bad_words:
            return None
        if tokenizer is None:
            raise ValueError(f"preset '{self.name}': bad_words need a tokenizer; pass tokenizer= to generation_kwargs")
        # A word is spelt otherwise at the start of a text or inside a word than behind a space.
        spellings = [
            tokenizer.encode(text, add_special_tokens=False) for word in self.bad_words for text in (word, f" {word}")
        ]
        # Where a piece is unknown the model cannot write the word, and a ban would hit every unknown piece.
        known = [ids for ids in spellings if ids and tokenizer.unk_token_id not in ids]
        return [list(ids) for ids in dict.fromkeys(map(tuple, known))] or None


def find_preset(name_or_path: str) -> Path:
    """The file that `load_preset` reads."""
    return find_config(name_or_path, "presets")


def load_preset(name_or_path: str) -> DecodingPreset:
    """Read a preset: `saturday`, or the path of a YAML file.

    Args:
        name_or_path: Looked up as a path, then in `configs/presets`; the file's name is the preset's unless it says
            otherwise.

    Raises:
        ValueError: No such preset (the message lists those that exist), broken YAML, an unknown field, or a value
            that `DecodingPreset` refuses.

    Example:
        >>> load_preset("fast").num_beams
        1
    """
    path = find_preset(name_or_path)
    values = _read_yaml(path)
    known = [item.name for item in fields(DecodingPreset)]
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise ValueError(f"{path}: unknown field '{key}'; {hint}known: {', '.join(known)}")
    return DecodingPreset(**{"name": path.stem, **values})


def unit_note(path: Path) -> str:
    """What to say of a preset file that bans n-grams and was written before they had a unit; empty for any other."""
    values = _read_yaml(path)
    size = values.get("no_repeat_ngram_size")
    if not size or "no_repeat_ngram_unit" in values:
        return ""
    return (
        f"{path}: no_repeat_ngram_size: {size} counts words now, it counted tokens before; "
        "add no_repeat_ngram_unit: word or token"
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    values = read_plain(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path}: holds {type(values).__name__} instead of fields; write lines such as 'num_beams: 4'")
    return values
