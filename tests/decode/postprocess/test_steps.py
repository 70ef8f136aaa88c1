"""`Postprocessor`: final texts by hand, that its own output stays, and what it changes in real references."""

from __future__ import annotations

import csv
import pickle
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.postprocess.steps import DEFAULT_STEPS, POSTPROCESS_STEPS, Postprocessor
from kosum_pl.types import TAG_PATTERN
from tests.decode.postprocess.texts import CHARSETS, DIALOGUE, TEXTS


def run(text: str, *steps: str, dialogue: str = DIALOGUE) -> str:
    return Postprocessor(steps or DEFAULT_STEPS)(text, dialogue=dialogue).text


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
@pytest.mark.parametrize("text", ["안녕하세요", "#Person1#은 간다.", "오늘 #Person2#에게 감기약을 추천한다."])
def test_mojibake_is_decoded_rightly(text: str, encoding: str) -> None:
    # cp1252 leaves five bytes undefined, which decoders in the field pass through as latin-1 does.
    broken = "".join(
        bytes([byte]).decode(encoding if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else "latin-1")
        for byte in text.encode()
    )
    assert run(broken, "ftfy") == text


def test_an_allowed_word_that_looks_like_mojibake_stays() -> None:
    dialogue = "#Person1#: CafÃ©로 와."
    assert run("CafÃ©로 간다.", dialogue=dialogue) == "CafÃ©로 간다."
    assert run("CafÃ©로 간다.", "ftfy", dialogue="#Person1#: 와.") == "Café로 간다."


@pytest.mark.parametrize(
    ("step", "text", "expected"),
    [
        ("ftfy", "#Person1#은 " + "안녕".encode().decode("latin-1") + "이라 한다.", "#Person1#은 안녕이라 한다."),
        ("ftfy", "가\x00나\x1b[31m다\r\n라", "가나다\n라"),
        # Quotes, widths and entities are the writer's own.
        *(("ftfy", f"{text} é", f"{text} é") for text in ("“안녕” ‘네’ …", "ＫＴＸ를 ﬁ로", "&amp; &lt;b&gt;", "①②→")),
        *(("ftfy", f"{text} é", f"{text} é") for text in ("가\u200b나", "ㅋㅋ ㅠㅠ 똠")),
        ("whitespace", "  가  나\t다 \n\n \n 라 ", "가 나 다\n라"),
        ("whitespace", "좋다 . 그래 , 네 ? 응 !", "좋다. 그래, 네? 응!"),
        ("whitespace", "가\u3000나\u00a0다\u3164라", "가 나 다 라"),
        ("whitespace", "값은 .5, .NET과 음 ... 네", "값은 .5, .NET과 음 ... 네"),
        ("whitespace", "\n\n", ""),
        ("repeated_sentences", "밥을 먹는다. 집에 간다. 밥을 먹는다.", "밥을 먹는다. 집에 간다."),
        ("repeated_sentences", "밥을 먹는다. 밥을 먹는다. 밥을 먹는다.", "밥을 먹는다."),
        ("repeated_sentences", "정말?! 좋다! 정말?! 네.", "정말?! 좋다! 네."),
        ("repeated_sentences", "- 가격\n- 배송\n- 가격", "- 가격\n- 배송"),
        ("repeated_sentences", "밥을 먹는다.\n밥을 먹는다. 간다.", "밥을 먹는다.\n간다."),
    ],
)
def test_one_step(step: str, text: str, expected: str) -> None:
    assert run(text, step) == expected


@pytest.mark.parametrize(
    "text",
    [
        "#Person1#은 간다. #Person2#는 간다.",
        "그는 Mr. White를 본다. 그는 Mr. Smith를 본다.",
        "1. 가격 2. 배송 1. 가격",
        '"좋아요. 네." 좋아요. 네."',
        "3.5배다. 3.5배",
        "밥을 먹는다. 밥을 먹는",
        "",
    ],
)
def test_what_no_earlier_sentence_says_stays(text: str) -> None:
    assert run(text, "repeated_sentences") == text


@pytest.mark.parametrize(
    ("steps", "text", "expected", "changed"),
    [
        (DEFAULT_STEPS, unicodedata.normalize("NFD", "#Person1#이 간다."), "#Person1#이 간다.", ("nfc",)),
        (
            DEFAULT_STEPS,
            "#person1 #은 Person2와 #Email로 bye",
            "#Person1#은 #Person2#와 #Email#로",
            ("tag_repair", "script_filter"),
        ),
        ((), " 會 \ufffd #Person1 # ", " 會 \ufffd #Person1 # ", ()),
        (("script_filter", "tag_repair"), "#Person1 #은", "1 #은", ("script_filter",)),
        (("tag_repair", "script_filter"), "#Person1 #은", "#Person1#은", ("tag_repair",)),
    ],
)
def test_steps_in_their_order(steps: tuple[str, ...], text: str, expected: str, changed: tuple[str, ...]) -> None:
    done = Postprocessor(steps)(text, dialogue=DIALOGUE)
    assert (done.text, done.changed) == (expected, changed)


def test_what_a_later_step_brings_about_is_mended_in_another_round() -> None:
    postprocess = Postprocessor(["tag_repair", "script_filter"], charset=Charset(name="korean+latin"))
    assert postprocess("Person\u200b1#은", dialogue=DIALOGUE).text == "#Person1#은"


@pytest.mark.parametrize("steps", [["ftyf"], ["nfc", "NFC"], "nfc"])
def test_unknown_steps_are_answered_in_one_line(steps: list[str] | str) -> None:
    with pytest.raises(ValueError, match=r"^model\.postprocess: .*ftfy, nfc, tag_repair, script_filter") as caught:
        Postprocessor(steps)
    assert "\n" not in str(caught.value)


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, charset=CHARSETS, steps=st.permutations(list(DEFAULT_STEPS)), count=st.integers(1, 6))
def test_its_own_output_is_left_as_it_is(text: str, charset: Charset, steps: list[str], count: int) -> None:
    for chosen in (DEFAULT_STEPS, steps[:count]):
        postprocess = Postprocessor(chosen, charset=charset)
        once = postprocess(text, dialogue=DIALOGUE).text
        again = postprocess(once, dialogue=DIALOGUE)
        assert (again.text, again.changed) == (once, ())


@settings(max_examples=300, deadline=None)
@given(
    words=st.lists(
        st.sampled_from(
            ["KTX를", "Jimmy는", "3km", "#Person1#이", "가다", "“네”", "U.S.에서", "똠", "5시", "#Order1#"]
        ),
        min_size=1,
        max_size=12,
    )
)
def test_text_of_an_exact_constraint_passes_unchanged(words: list[str]) -> None:
    text = " ".join(words) + "."
    assert Postprocessor()(text, dialogue=DIALOGUE).changed == ()


@pytest.mark.shared
def test_clean_references_change_only_where_they_are_not_clean(shared_dir: Path) -> None:
    with (shared_dir / "data" / "dev.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 499
    changed = {
        step: {r["fname"] for r in rows if Postprocessor([step])(r["summary"], dialogue=r["dialogue"]).changed}
        for step in POSTPROCESS_STEPS
    }
    # dev_343 writes Person1 without its signs; the others name in Latin letters what their dialogue writes in Hangul.
    latin = {"dev_89", "dev_90", "dev_91", "dev_98", "dev_110", "dev_291", "dev_295"}
    assert changed == {
        **{step: set() for step in POSTPROCESS_STEPS},
        "tag_repair": {"dev_343"},
        "script_filter": latin | {"dev_343"},
    }
    for row in rows:
        done = Postprocessor()(row["summary"], dialogue=row["dialogue"])
        assert (done.text == row["summary"]) == (row["fname"] not in latin | {"dev_343"})
        assert len(TAG_PATTERN.findall(done.text)) >= len(TAG_PATTERN.findall(row["summary"]))


def test_ranks_of_other_processes_get_the_same_steps() -> None:
    step = pickle.loads(pickle.dumps(Postprocessor()))
    assert step("#Person1 #은 明日 떠난다 .", dialogue="#Person1#: 내일 떠나요.").text == "#Person1#은 떠난다."
