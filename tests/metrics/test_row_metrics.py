"""Endings, lengths, tags, slots and quality of rows, summed."""

from __future__ import annotations

from typing import Any

import pytest

from kosum_pl.metrics import find_slots
from tests.metrics.rows import prediction, scored


def test_endings_and_lengths() -> None:
    rows = [
        prediction("12345678 ", ["1234"]),
        prediction("", ["12", "1234", "123456"], reached_eos=False),
        prediction("1234", ["12345678"]),
    ]
    expected = {"eos_rate": 2 / 3, "length_ratio": 12 / 16, "mean_length": 4.0}
    assert scored(rows, *expected) == pytest.approx(expected)
    # A mean over references need not be whole.
    assert scored([prediction("1234567", ["12", "12", "123"])], "length_ratio") == pytest.approx(
        {"length_ratio": 3.0}, abs=1e-3
    )


TAGS = ("tag_recall", "tag_precision", "swapped_speakers")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [
                ("#Person1#", ["#Person1#은 #Person2#"]),
                ("#Person3#", ["없다", "#Person3#"]),
                ("#Person1# #Person2#", ["#Person1# #Person2#", "#Person2# #Person1#"]),
                ("#Person2# #Person1#", ["#Person1# #Person2#"]),
            ],
            {"tag_recall": (0.5 + 1 + 1) / 3, "tag_precision": (1 + 0 + 1 + 1) / 4, "swapped_speakers": 1 / 2},
        ),
        ([("비", ["비"])], {}),
        ([("비", ["비"]), ("비", ["#Person1#"])], {"tag_recall": 0.0}),
    ],
)
def test_tags_are_means_over_rows_that_can_be_measured_by_their_first_reference(
    rows: list[Any], expected: dict[str, float]
) -> None:
    assert scored([prediction(*row) for row in rows], *TAGS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [("민수는 13시에 온다.", ("민수", "3시", "민수")), ("비가 온다.", ()), ("KTX", ("KTX", "부산"))],
            {"slot_recall": 0.5},
        ),
        ([("비", ())], {}),
    ],
)
def test_slots_are_a_share_over_all_rows_together(rows: list[Any], expected: dict[str, float]) -> None:
    assert scored([prediction(text, ["비"], slots=slots) for text, slots in rows], "slot_recall") == expected


def test_an_empty_slot_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^a slot is empty, which every summary holds; leave it out$"):
        find_slots("가", [" "])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        # 2 of 5, 0 of 0, 4 of 4 and 1 of 1 letters; rows 2 and 3 are broken.
        (
            ["#Person1#은 KTX를", "123", "가나다라\ufffd\ufffd", "\u1100 \ud83d"],
            {"hangul_ratio": 0.7, "broken_rate": 0.5},
        ),
        (["", "123", "#Person1#"], {"broken_rate": 0.0}),
    ],
)
def test_letters_are_summed_and_rows_are_counted(texts: list[str], expected: dict[str, float]) -> None:
    assert scored(list(map(prediction, texts)), "hangul_ratio", "broken_rate") == pytest.approx(expected)
