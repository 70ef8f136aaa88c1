from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.report.diff import diff_words

TEXTS = st.lists(st.sampled_from(["#Person1#", "은 ", "밥을 ", "먹었다.", " ", "#", "KTX\n"])).map("".join) | st.text()


@given(TEXTS, TEXTS)
def test_pieces_are_the_texts_again_and_what_is_unmarked_is_in_both(first: str, second: str) -> None:
    kept = []
    for pieces, whole in zip(diff_words(first, second), (first, second), strict=True):
        assert "".join(piece.text for piece in pieces) == whole
        kept.append("".join(piece.text for piece in pieces if not piece.is_marked))
    assert "".join(kept[0].split()) == "".join(kept[1].split())


@given(TEXTS)
def test_equal_texts_have_no_mark(text: str) -> None:
    assert not any(piece.is_marked for pieces in diff_words(text, text) for piece in pieces)


def test_a_tag_differs_by_itself() -> None:
    pieces, _ = diff_words("#Person1#은 간다.", "#Person2#은 간다.")
    assert [(piece.text, piece.is_marked) for piece in pieces] == [("#Person1#", True), ("은 간다.", False)]
