"""What a config says of constrained decoding, checked before anything heavy is loaded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from transformers import PreTrainedTokenizerFast

from kosum_pl.decode.constraint.kinds import AutomatonConstraint, PrefixFunctionConstraint, StaticMaskConstraint
from kosum_pl.decode.literals import DEFAULT_LITERALS
from kosum_pl.decode.settings import ConstraintSettings

TokenizerOf = Callable[[str], PreTrainedTokenizerFast]
DIALOGUE = "#Person1#: KTX 타고 café에 가요. #Person2#: 大會는 5km래, #Topic#!"


def test_rows_have_the_words_and_new_tags_of_their_dialogue() -> None:
    assert ConstraintSettings().row_words(DIALOGUE) == ("KTX", "café", "大會", "5km", "#Topic#")
    wider = ConstraintSettings(charset="korean+latin", characters="é", ranges=["U+4E00-U+9FFF"])
    assert wider.row_words(DIALOGUE) == ("#Topic#",)
    assert ConstraintSettings(literals=[]).row_words("#Person2#: 가자") == ("#Person2#",)
    assert ConstraintSettings(row_literals=False).row_words(DIALOGUE) == ()


def test_literals_default_to_those_of_the_data() -> None:
    assert ConstraintSettings().fixed_literals == DEFAULT_LITERALS
    assert ConstraintSettings(literals=["#A#", "B"]).fixed_literals == ("#A#", "B")
    assert ConstraintSettings(literals=[]).fixed_literals == ()


@pytest.mark.parametrize(
    ("kind", "constraint"),
    [
        ("automaton", AutomatonConstraint),
        ("static_mask", StaticMaskConstraint),
        ("prefix_function", PrefixFunctionConstraint),
    ],
)
def test_builds_its_kind(tokenizer_of: TokenizerOf, kind: str, constraint: type) -> None:
    tokenizer = tokenizer_of("byte_level")
    built = ConstraintSettings(kind=kind, literals=["#K#"]).build(tokenizer, eos_token_ids=[2])  # type: ignore[arg-type]
    assert type(built) is constraint
    assert built.name == kind
    ids = tokenizer("#K#은 뷁", add_special_tokens=False)["input_ids"]
    assert built.tables.accepts(ids)
    assert not built.tables.accepts(tokenizer("#L#은", add_special_tokens=False)["input_ids"])


def test_fragments_are_an_option_of_the_static_mask(tokenizer_of: TokenizerOf) -> None:
    settings = [ConstraintSettings(kind="static_mask", allow_fragments=allow) for allow in (False, True)]
    strict, loose = (one.build(tokenizer_of("byte_level"), eos_token_ids=[2]) for one in settings)
    assert set(strict.columns) < set(loose.columns)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "regex"}, "model.constraint.kind is 'regex'; known: automaton, static_mask, prefix_function"),
        ({"charset": "hangul"}, "model.constraint: charset names 'hangul'"),
        ({"ranges": ["4E00"]}, "model.constraint: charset: '4E00' is no range"),
        ({"characters": "\ufffd"}, "model.constraint: charset: U\\+FFFD"),
        ({"literals": ["#A#", ""]}, "model.constraint.literals is .*; write a list of texts, none of them empty"),
        ({"literals": [3]}, "model.constraint.literals is \\[3\\]"),
        ({"allow_fragments": True}, "allow_fragments belongs to kind static_mask"),
    ],
)
def test_mistakes_are_answered_in_one_line(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        ConstraintSettings(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_settings_load_nothing_heavy() -> None:
    code = (
        "import sys; from kosum_pl.decode.settings import ConstraintSettings; "
        "ConstraintSettings().row_words('KTX'); print({'torch', 'transformers', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
