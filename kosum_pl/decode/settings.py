"""`ConstraintSettings`: what a config says of constrained decoding.

In: `model.constraint` of a YAML file. Out: a checked value, and the constraint for a tokenizer. Nothing heavy is loaded
before a constraint is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.literals import DEFAULT_LITERALS, row_literals
from kosum_pl.types import TAG_PATTERN

if TYPE_CHECKING:
    from kosum_pl.decode.constraint.kinds import Constraint


@dataclass(frozen=True, kw_only=True)
class ConstraintSettings:
    """What may be generated, and how that is held.

    Attributes:
        kind: `automaton` is exact; `static_mask` (one list of tokens) and `prefix_function` (the automaton behind
            `prefix_allowed_tokens_fn`) are there to compare with.
        charset: Names of sets joined by `+`: `korean`, `korean+latin`.
        ranges: Further ranges of code points, such as `U+4E00-U+9FFF`.
        characters: Further characters.
        literals: Strings that are allowed in every row; None for the speakers and masked values of the data.
        row_literals: Whether words outside the charset that stand in a row's dialogue are allowed in its summary.
        small_head: Compute the output head only for what a batch may be allowed.
        allow_fragments: Of `static_mask`: also allow pieces of characters, with which any script can be written.

    Raises:
        ValueError: An unknown kind or set, a range that is none, or an empty literal.

    Example:
        >>> settings = ConstraintSettings(charset="korean", characters="é")
        >>> settings.row_words("#Person1#: KTX 타고 café에 가요.")
        ('KTX', 'café')
    """

    kind: Literal["automaton", "static_mask", "prefix_function"] = "automaton"
    charset: str = "korean"
    ranges: Sequence[str] = ()
    characters: str = ""
    literals: Sequence[str] | None = None
    row_literals: bool = True
    small_head: bool = True
    allow_fragments: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("automaton", "static_mask", "prefix_function"):
            raise ValueError(f"model.constraint.kind is '{self.kind}'; known: automaton, static_mask, prefix_function")
        if not all(isinstance(literal, str) and literal for literal in self.fixed_literals):
            raise ValueError(
                f"model.constraint.literals is {self.literals!r}; write a list of texts, none of them empty"
            )
        if self.allow_fragments and self.kind != "static_mask":
            raise ValueError("model.constraint.allow_fragments belongs to kind static_mask; take it out")
        _ = self.character_set

    @cached_property
    def character_set(self) -> Charset:
        """The charset as a set of characters."""
        try:
            return Charset(name=self.charset, ranges=tuple(self.ranges), characters=self.characters)
        except ValueError as error:
            raise ValueError(f"model.constraint: {error}") from None

    @property
    def fixed_literals(self) -> tuple[str, ...]:
        """Literals of every row."""
        return DEFAULT_LITERALS if self.literals is None else tuple(self.literals)

    def row_words(self, dialogue: str) -> tuple[str, ...]:
        """Literals of the row of this dialogue: its words, and tags that are no fixed literals."""
        if not self.row_literals:
            return ()
        tags = set(TAG_PATTERN.findall(dialogue)) - set(self.fixed_literals)
        return (*row_literals(dialogue, self.character_set), *sorted(tags))

    def __str__(self) -> str:
        """The settings in words, for a log."""
        parts = [
            f"{len(self.character_set.code_points):,} characters of '{self.character_set}'",
            f"{len(self.fixed_literals)} literals",
            "the row's own words" if self.row_literals else "no words of the row's own",
            "small head" if self.small_head else "full head",
        ]
        return f"{self.kind}: {', '.join(parts)}"

    def build(self, tokenizer: Any, *, eos_token_ids: Sequence[int]) -> Constraint:
        """The constraint for a tokenizer; its tables are read from the cache, or built in a second.

        Args:
            tokenizer: A transformers tokenizer.
            eos_token_ids: Terminators.

        Raises:
            ValueError: The tokenizer's kind is unknown, or its vocabulary can write nothing of the charset.
        """
        from kosum_pl.decode.constraint import kinds as constraint
        from kosum_pl.decode.constraint.table_cache import load_tables

        tables = load_tables(tokenizer, charset=self.character_set, literals=self.fixed_literals)
        if self.kind == "static_mask":
            return constraint.StaticMaskConstraint(
                tables, eos_token_ids=eos_token_ids, allow_fragments=self.allow_fragments
            )
        kinds = {
            "automaton": constraint.AutomatonConstraint,
            "prefix_function": constraint.PrefixFunctionConstraint,
        }
        return kinds[self.kind](tables, eos_token_ids=eos_token_ids)
