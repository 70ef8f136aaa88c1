"""`DecodingSettings`: all that decides how text is generated; and `ConstraintSettings`, a part of it.

In: arguments of the module, as a config gives them. Out: checked values, made once and passed to whatever generates,
evaluates, exports or tunes. Nothing heavy is loaded before a constraint is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

from kosum_pl.decode.candidates import MbrSettings
from kosum_pl.decode.charset import Charset
from kosum_pl.decode.literals import DEFAULT_LITERALS, row_literals
from kosum_pl.decode.postprocess.steps import check_steps
from kosum_pl.decode.preset import DecodingPreset, find_preset, load_preset, unit_note
from kosum_pl.decode.regenerate import Regenerator
from kosum_pl.decode.router import PresetRouter
from kosum_pl.types import TAG_PATTERN

if TYPE_CHECKING:
    from kosum_pl.decode.constraint.kinds import Constraint

STAGES: Final = ("validation", "test", "predict")
"""Stages that generate; validation also takes place inside `fit`."""


@dataclass(frozen=True, kw_only=True)
class ConstraintSettings:
    """What may be generated, and how that is enforced.

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


@dataclass(frozen=True, kw_only=True)
class DecodingSettings:
    """What decides, beside the model and the dialogue, which text a row gets.

    Attributes:
        router: Which preset serves which row, outside of `fit`.
        fit_router: The same inside `fit`, where validation should be fast.
        mbr: Outside of `fit`: which of several candidates a row gets; None for the preset's own summary.
        constrained_stages: Out of `STAGES`: where the constraint is on.
        preset_files: Files that the presets were read from, the default's included.
        notes: Lines worth showing once: what of a preset file has changed its meaning.

    Example:
        >>> decoding = DecodingSettings.load(presets=["saturday", "default"], constraint=ConstraintSettings())
        >>> decoding.preset_name, decoding.constraint_name("test")
        ('saturday+default', 'automaton')
    """

    router: PresetRouter = field(default_factory=PresetRouter)
    fit_router: PresetRouter = field(default_factory=PresetRouter)
    constraint: ConstraintSettings | None = None
    constrained_stages: tuple[str, ...] = STAGES
    postprocess: tuple[str, ...] = ()
    regenerator: Regenerator | None = None
    mbr: MbrSettings | None = None
    preset_files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def load(
        cls,
        *,
        preset: str | None = None,
        fit_preset: str | None = None,
        presets: Sequence[str] = (),
        constraint: ConstraintSettings | None = None,
        postprocess: Sequence[str] = (),
        regenerator: Regenerator | None = None,
        mbr: MbrSettings | None = None,
    ) -> DecodingSettings:
        """From the module's arguments of the same names, presets by name or path.

        Raises:
            ValueError: A preset cannot be read, or can never be reached; or a row would be chosen for in two ways.
        """
        if mbr is not None and regenerator is not None:
            raise ValueError("model.mbr and model.regenerator choose a row's summary in two ways; take one of them out")
        forced = load_preset(preset) if preset else None
        routed = tuple(load_preset(name) for name in presets)
        fit_forced = forced or (load_preset(fit_preset) if fit_preset else None)
        names = ["default", *filter(None, (preset, fit_preset)), *presets]
        files = (*map(find_preset, names), *(regenerator.preset_files if regenerator else ()))
        return cls(
            router=PresetRouter(forced=forced, presets=routed),
            fit_router=PresetRouter(forced=fit_forced, presets=routed),
            constraint=constraint,
            postprocess=check_steps(postprocess),
            regenerator=regenerator,
            mbr=mbr,
            preset_files=files,
            notes=tuple(filter(None, map(unit_note, dict.fromkeys(files)))),
        )

    @property
    def reachable_presets(self) -> tuple[DecodingPreset, ...]:
        """Presets that may serve a row, at any stage and attempt."""
        again = self.regenerator.presets if self.regenerator else ()
        return (*self.router.candidates, *self.fit_router.candidates, *again)

    @property
    def charset(self) -> Charset:
        """Characters by which texts are judged, with or without a constraint."""
        return (self.constraint or ConstraintSettings()).character_set

    @property
    def literals(self) -> tuple[str, ...]:
        """Strings that are allowed in every row, with or without a constraint."""
        return (self.constraint or ConstraintSettings()).fixed_literals

    @property
    def preset_name(self) -> str:
        """Presets that the config asks for, as the name of an evaluation's folder."""
        presets = [self.router.forced] if self.router.forced else self.router.presets
        return "+".join(preset.name for preset in presets) or "default"

    def is_constrained(self, stage: str) -> bool:
        """Whether the constraint is on in a stage out of `STAGES`."""
        return self.constraint is not None and stage in self.constrained_stages

    def constraint_name(self, stage: str) -> str:
        """What constrains a stage: `automaton`, `static_mask`, `prefix_function` or `none`."""
        return self.constraint.kind if self.constraint is not None and self.is_constrained(stage) else "none"


@runtime_checkable
class ChangesDecoding(Protocol):
    """A callback that changes how text is generated; whoever generates without a Trainer asks it too."""

    def change_decoding(self, decoding: DecodingSettings) -> DecodingSettings:
        """The settings of a run with this callback, made of those of the config."""
