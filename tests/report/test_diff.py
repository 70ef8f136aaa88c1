from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.report.diff import diff_words, marked_text

TEXTS = st.lists(st.sampled_from(["#Person1#", "은 ", "밥을 ", "먹었다.", " ", "#", "KTX\n"])).map("".join) | st.text()


@given(TEXTS, TEXTS)
def test_pieces_are_the_texts_again_and_what_is_unmarked_is_in_both(first: str, second: str) -> None:
    said, wanted = diff_words(first, second)
    assert "".join(text for text, _ in said) == first
    assert "".join(text for text, _ in wanted) == second
    kept = ["".join(text for text, marked in pieces if not marked).split() for pieces in (said, wanted)]
    assert "".join(kept[0]) == "".join(kept[1])


@given(TEXTS)
def test_equal_texts_have_no_mark(text: str) -> None:
    assert not any(marked for pieces in diff_words(text, text) for _, marked in pieces)


def test_a_tag_differs_by_itself() -> None:
    said, _ = diff_words("#Person1#은 간다.", "#Person2#은 간다.")
    assert said == [("#Person1#", True), ("은 간다.", False)]
    assert marked_text([("<b> ", True)], name="ins") == "<ins>&lt;b&gt;</ins> "
