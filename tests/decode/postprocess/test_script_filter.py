"""`script_filter`: what is dropped, what is tidied, and that nothing foreign is left."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.literals import DEFAULT_LITERALS, allowed_text, foreign_places, row_literals
from kosum_pl.decode.postprocess.script_filter import filter_scripts
from kosum_pl.decode.postprocess.steps import Postprocessor
from tests.decode.postprocess.texts import CHARSETS, DIALOGUE, TEXTS


def run(text: str, *, dialogue: str = DIALOGUE) -> str:
    return filter_scripts(text, allowed_text(dialogue, charset=Charset(), literals=DEFAULT_LITERALS))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("나는 會議 갔다", "나는 갔다"),
        ("나는 會議에서 갔다", "나는 에서 갔다"),
        ("나는会갔다", "나는갔다"),
        ("나는 會議.", "나는."),
        ("大 한국", "한국"),
        ("나는 會議\n대답", "나는\n대답"),
        ("한국(韓國)은", "한국은"),
        ("가격(price, 大)은", "가격은"),
        ("(가격 price)", "(가격)"),
        ('그는 "hello"라고', "그는 라고"),
        ("나는 會議, 國會, 그리고 KTX", "나는, 그리고 KTX"),
        ("갔다. 會議. 왔다.", "갔다. 왔다."),
        ("KTX 會 .KTX", "KTX .KTX"),
        ("今天我们去开会。", ""),
        ("3年2月", "3 2"),
        ("KTX\tJimmy\u00a0갔다", "KTX Jimmy 갔다"),
        ("KTX\ufffd를 타고 만\ufffd났다", "KTX를 타고 만났다"),
        ("K\u200bTX를 타고 5\ufffd \ufffd 분", "KTX를 타고 5 분"),
        ("KTXs를 U.S.에서", "를 U.S.에서"),
        ("L.A.로 Mrs. Jimmy가", "로 Jimmy가"),
        ("Wi-Fi와 3km, 4km", "와 3km, 4"),
        ("#email 보내고", "보내고"),
        ("#Person9#는 #Order1# 얘기를", "는 #Order1# 얘기를"),
        ("#Person1#Jim#Person2#", "#Person1##Person2#"),
        ("가 #KTX#Person1# 나", "가 #KTX#Person1# 나"),
        ("가 #bus#Person1# 나", "가 #Person1# 나"),
        ("สวัสดี привет ありがとう 안녕 😀", "안녕"),
        ("\u1112\u1161\u11ab글", "글"),
    ],
)
def test_script_filter_drops_and_tidies(text: str, expected: str) -> None:
    assert run(text) == expected


def test_script_filter_asks_the_charset_and_the_literals() -> None:
    postprocess = Postprocessor(["script_filter"], charset=Charset(name="korean+latin"), literals=["漢字"])
    assert postprocess("bus는 漢字로 字", dialogue="").text == "bus는 漢字로"


@pytest.mark.parametrize(
    "text", ["#Person1#은 KTX를, Jimmy는 3km를 U.S.에서", "#Person7# (“네” ...) 「ㅋㅋ」 .", "  가 ,\n\n나  "]
)
def test_script_filter_leaves_allowed_text(text: str) -> None:
    assert run(text) == text


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, charset=CHARSETS)
def test_the_filter_leaves_nothing_foreign(text: str, charset: Charset) -> None:
    literals = (*DEFAULT_LITERALS, "#Person11#", "#Order1#")
    allowed = {"charset": charset, "literals": literals, "row_words": row_literals(DIALOGUE, charset)}
    filtered = filter_scripts(text, allowed_text(DIALOGUE, charset=charset, literals=DEFAULT_LITERALS))
    assert foreign_places(filtered, **allowed) == []
    if not foreign_places(text, **allowed):
        assert filtered == text
    # Right tags of the dialogue are never lost.
    assert filtered.count("#Person1#") >= text.count("#Person1#")
    assert foreign_places(Postprocessor(charset=charset)(text, dialogue=DIALOGUE).text, **allowed) == []
