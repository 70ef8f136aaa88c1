"""What is said of reachability, and that it survives JSON."""

from __future__ import annotations

import json

from kosum_pl.decode.reachability.report import Reachability

FOUND = Reachability(
    num_rows=499,
    num_all=1200,
    presets=["default"],
    forbidden={"max_new_tokens": ["d", "e", "f", "g"], "no_repeat_ngram_size": ["a", "d"]},
    unreachable=["a", "d", "e", "f", "g"],
    charset=["x"],
    unwritable=["y", "z"],
    num_rewritten=12,
    remedy="max_new_tokens: 192 in preset 'default'",
    remedy_share=0.99799,
)


def test_the_line_says_reasons_apart_from_charset_and_tokenizer() -> None:
    assert FOUND.line("val") == (
        "val: 99.0 % of 499 references (of 1,200 rows, spread evenly) can be said "
        "(2 repeat a phrase: a, d; 4 longer than max_new_tokens: d, e, f, …); the charset forbids 1 more (x); "
        "the tokenizer cannot write 2 more (y, z); it writes 12 otherwise"
    )
    assert FOUND.remedy_line() == "max_new_tokens: 192 in preset 'default': then 99.8 % can be said"


def test_all_that_can_be_said_is_one_short_line() -> None:
    found = Reachability(num_rows=3, num_all=3)
    assert found.line("train") == "train: 100 % of 3 references can be said"
    assert found.remedy_line() == ""
    assert found.share == 1.0


def test_json_gives_it_back() -> None:
    values = json.loads(json.dumps(FOUND.values()))
    assert values["share"] == 1 - 5 / 499
    assert Reachability.from_values(values) == FOUND
