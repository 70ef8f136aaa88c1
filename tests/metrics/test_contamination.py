"""Foreign characters of summaries: by hand, by brute force, and what is licensed never counts."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.literals import DEFAULT_LITERALS, row_literals
from kosum_pl.metrics import count_foreign
from kosum_pl.metrics.settings import Metrics, ScoreSettings
from tests.metrics import rows

KOREAN = Charset()
DIALOGUE = "#Person1#: KTX로 5km 가서 Jimmy랑 会う 이야기를 하자.\n#Person2#: Wi-Fi가 있나요?"
ROWS = [
    ("#Person1#은 KTX를 탄다.", DIALOGUE),
    ("#Person1#은 會議에서 Привет라고 한다.", DIALOGUE),
    ("", "#Person1#: 안녕."),
    ("KTXへ 간다★", "#Person1#: 안녕."),
    ("비가 온다.", "#Person1#: 안녕."),
]


def scored(texts: Sequence[tuple[str, str]], **settings: Any) -> dict[str, float]:
    predictions = [rows.prediction(text, dialogue=dialogue) for text, dialogue in texts]
    return rows.scored(predictions, "contamination_rate", "foreign_per_mille", **settings)


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ("#Person1#과 #Person7#은 #PhoneNumber#로 KTX와 5km, Wi-Fi를 말한다.", {}),
        ("#Person8#", {"Latin": 6}),
        ("Person1", {"Latin": 6}),
        ("KTXX ktx Jimmy", {"Latin": 7}),
        ("会う", {}),
        ("会った う", {"Han": 1, "Hiragana": 3}),
        ("カレーを", {"Katakana": 2, "Common": 1, "Hiragana": 1}),
        ("สวัสดี العربية", {"Thai": 6, "Arabic": 7}),
        (unicodedata.normalize("NFD", "한"), {"Hangul": 3}),
        ("é" + unicodedata.normalize("NFD", "é"), {"Latin": 2, "Inherited": 1}),
        ("온다\ufffd\ud800\t", {"Common": 2, "Other": 1}),
        ("", {}),
    ],
)
def test_characters_by_script(text: str, foreign: dict[str, int]) -> None:
    assert count_foreign(text, DIALOGUE) == foreign


def test_charset_and_literals_are_settings() -> None:
    assert count_foreign("KTX 漢", "", charset=Charset(name="korean+latin")) == {"Han": 1}
    assert count_foreign("KTX 漢", "", literals=["漢"]) == {"Latin": 3}
    assert count_foreign("#Person1#", "", literals=[]) == {"Latin": 6}
    assert scored([("KTX 漢 #Email#", "")], charset=Charset(name="korean+latin"), literals=["漢"]) == {
        "contamination_rate": 0.0,
        "foreign_per_mille": 0.0,
    }


def test_rates_by_hand() -> None:
    # 19 + 28 + 0 + 8 + 6 characters; rows 1 and 3 are foreign: 2 Han, 6 Cyrillic; 3 Latin, 1 Hiragana, 1 star.
    assert [len(text) for text, _ in ROWS] == [19, 28, 0, 8, 6]
    assert scored(ROWS) == pytest.approx(
        {
            "contamination_rate": 2 / 5,
            "foreign_per_mille": 1000 * 13 / 61,
            "foreign_per_mille/han": 1000 * 2 / 61,
            "foreign_per_mille/cyrillic": 1000 * 6 / 61,
            "foreign_per_mille/latin": 1000 * 3 / 61,
            "foreign_per_mille/hiragana": 1000 * 1 / 61,
            "foreign_per_mille/common": 1000 * 1 / 61,
        }
    )


@given(texts=st.lists(st.text(alphabet="가힣ㅋ3. \n漢ひカaБ\ufffd★ა"), min_size=1, max_size=6))
def test_rates_by_brute_force(texts: list[str]) -> None:
    allowed = set("가힣ㅋ3. \n")
    starts = {"CJK": "Han", "HIRAGANA": "Hiragana", "KATAKANA": "Katakana", "LATIN": "Latin", "CYRILLIC": "Cyrillic"}
    foreign = Counter(
        starts.get(unicodedata.name(char).split()[0], "Other" if char == "ა" else "Common")
        for char in "".join(texts)
        if char not in allowed
    )
    num_chars = len("".join(texts))
    expected = {"contamination_rate": sum(bool(set(text) - allowed) for text in texts) / len(texts)}
    if num_chars:
        expected["foreign_per_mille"] = 1000 * foreign.total() / num_chars
        expected |= {f"foreign_per_mille/{name.lower()}": 1000 * foreign[name] / num_chars for name in foreign}
    assert scored([(text, "") for text in texts]) == pytest.approx(expected)


DIALOGUES = st.text(alphabet="가나KTXi漢é35.,-'&: \n#\ufffd", max_size=40)


@given(data=st.data(), dialogue=DIALOGUES)
def test_what_is_licensed_never_counts(data: st.DataObject, dialogue: str) -> None:
    own = st.text(alphabet=st.sampled_from(sorted(KOREAN.code_points)).map(chr), max_size=6)
    licensed = [*DEFAULT_LITERALS, *row_literals(dialogue, KOREAN)]
    text = " ".join(data.draw(st.lists(own | st.sampled_from(licensed))))
    assert count_foreign(text, dialogue) == {}
    assert scored([(text, dialogue)])["contamination_rate"] == 0


@given(
    text=st.text(alphabet="가나KT漢é3. #\n\ufffd", max_size=20), dialogue=DIALOGUES, code=st.integers(0x4E00, 0x9FFF)
)
def test_one_han_character_makes_the_row_count(text: str, dialogue: str, code: int) -> None:
    if chr(code) in dialogue:
        dialogue = dialogue.replace(chr(code), "")
    foreign = count_foreign(text + chr(code), dialogue)
    assert foreign["Han"] >= 1
    assert scored([(text + chr(code), dialogue)])["contamination_rate"] == 1


def test_a_word_of_one_row_is_foreign_in_another() -> None:
    first, second = "#Person1#: KTX 타자.", "#Person1#: PPT 보자."
    assert scored([("KTX", first), ("PPT", second)])["contamination_rate"] == 0
    assert scored([("PPT", first), ("KTX", second)])["contamination_rate"] == 1


def test_the_charset_stands_beside_the_scores() -> None:
    for charset, name in ((Charset(), "korean"), (Charset(characters="é"), "korean + é")):
        assert Metrics(ScoreSettings(rouge_tokenizer="char", charset=charset)).record()["contamination_charset"] == name


def test_a_bare_text_of_literals_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^contamination: literals are the bare text '#A#'; give a list of texts$"):
        scored(ROWS, literals="#A#")
