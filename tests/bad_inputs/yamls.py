"""YAML that is out of bounds or says what cannot be, in everything that is read as YAML."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bad_inputs.row import BadInput, fit

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{below}'] * 9)}]\n" for below, name in zip("abcdefgh", "bcdefghi", strict=True)
)
_CONTENTS = {
    "laughs": (LAUGHS, "with its aliases written out it holds more than 200,000 values"),
    "recursion": ("a: &a [*a]\n", ":1: an alias leads back to itself"),
    "depth": ("[" * 20_000 + "]" * 20_000, ":1: nested more than 50 deep"),
    "depth by aliases": (
        "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200)),
        "nested more than 50 deep",
    ),
    "no YAML": ("a: [1\n", ":2:1: not YAML"),
    "a date that is none": ("a: 2026-13-45\n", "not YAML: month must be in 1..12"),
    "a number too long": (f"a: {'9' * 5000}\n", "not YAML: Exceeds the limit"),
    "not UTF-8": ("a: 요약\n".encode("cp949"), "not UTF-8 at byte 3"),
    "a tag with code": ("a: !!python/object/apply:os.system ['touch BOMBED']\n", ":1:4: not YAML"),
}
_PLACES = {
    "config": ("fit", "--config", "bad.yaml"),
    "overlay": fit("--config", "bad.yaml"),
    "preset": fit("--preset", "bad.yaml"),
    "part of a config": fit("--model=bad.yaml"),
}
_TEXT_ALONE = ("a date that is none", "a number too long", "a tag with code")


def _rows() -> Iterator[BadInput]:
    for kind, (content, said) in _CONTENTS.items():
        for place, words in _PLACES.items():
            if place == "config" or kind in ("laughs", "recursion"):
                yield BadInput(
                    name=f"{place}, {kind}", words=words, says=("bad.yaml", said), files={"bad.yaml": content}
                )
        if kind not in _TEXT_ALONE:
            said = "no UTF-8" if kind == "not UTF-8" else said
            words = ("gate", "runs", "--rules", "bad.yaml")
            yield BadInput(name=f"rules, {kind}", words=words, says=("bad.yaml", said), files={"bad.yaml": content})
    yield BadInput(
        name="option, recursion",
        words=fit("--model.config_overrides", "&a [*a]"),
        says=("--model.config_overrides:1: an alias leads back to itself",),
    )
    yield BadInput(
        name="plugins, recursion", words=fit("--plugins", "&a [*a]"), says=("--plugins:1: an alias leads back",)
    )
    yield _preset("a field twice", "num_beams: 1\nnum_beams: 4\n", "bad.yaml:2: key 'num_beams' stands twice")
    yield _preset("absurd beams", "num_beams: 100000\n", "num_beams is 100000; write a whole number of at most 256")
    yield _preset("negative length", "max_new_tokens: -4\n", "max_new_tokens is -4; write a whole number of at least 1")
    yield _preset("absurd length", "max_new_tokens: 1000000000\n", "at most 131,072")
    yield _preset("huge number", f"repetition_penalty: {'9' * 400}\n", "repetition_penalty is 9999", "at most 1000")
    yield _preset("not a number", "repetition_penalty: .nan\n", "repetition_penalty is nan")
    yield _preset("infinity", "do_sample: true\ntemperature: .inf\n", "temperature is inf")
    yield _preset("unknown field", "num_beam: 4\n", "did you mean 'num_beams'?")
    yield _preset("a list", "- 1\n", "holds list instead of fields")
    yield _preset("nothing", "", "holds NoneType instead of fields")
    yield BadInput(
        name="config, a key twice",
        words=fit("--config", "bad.yaml"),
        says=("bad.yaml:2: key 'data' stands twice",),
        files={"bad.yaml": "data: {}\ndata: {}\n"},
    )


def _preset(name: str, content: str, *says: str) -> BadInput:
    return BadInput(name=f"preset, {name}", words=fit("--preset", "bad.yaml"), says=says, files={"bad.yaml": content})


ROWS = [*_rows()]
