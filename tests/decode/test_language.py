"""`korean_probability`: the real model on Korean, other languages and mixtures."""

from __future__ import annotations

import csv
import socket
from pathlib import Path
from typing import NoReturn

import pytest

from kosum_pl.decode import language
from kosum_pl.decode.language import korean_probability
from kosum_pl.decode.literals import DEFAULT_LITERALS


@pytest.mark.parametrize(
    ("text", "is_korean"),
    [
        ("#Person1#은 어제 회의에서 #Person2#를 만났다.", True),
        ("감사합니다", True),
        ("#Person2#가 감기약을 추천한다.\n그리고 집에 간다.", True),
        ("그는 the meeting is at three 라고 말했다.", True),
        ("ㅋㅋㅋ 좋은 하루 보내세요", True),
        ("The meeting is at three o'clock.", False),
        ("今天我们去开会。", False),
        ("私は学校に行きます", False),
        ("Привет, как дела?", False),
        ("#Person1# told #Person2# to stay.", False),
        ("#Person1#은 #Person2# says that the meeting was moved to Friday because of the weather", False),
    ],
)
def test_korean_is_told_from_other_languages(text: str, is_korean: bool) -> None:
    probability = korean_probability(text)
    assert probability is not None
    assert 0.9 < probability <= 1 if is_korean else 0 <= probability < 0.1


@pytest.mark.parametrize("text", ["", " \n", "...", "3:30 5%", "#Person1# #Email#", "ㅋㅋㅋ ㅠㅠ", "KTX", "KTX, 3km!"])
def test_without_a_letter_there_is_nothing_to_tell(text: str) -> None:
    assert korean_probability(text, row_words=["KTX", "3km"]) is None


def test_literals_and_row_words_do_not_count() -> None:
    names = ["Phyllis Seymour", "Allan", "Parker", "Wireless Communications"]
    alone = korean_probability("네")
    text = "Wireless Communications, Allan, Parker, Phyllis Seymour: 네"
    assert korean_probability(text, row_words=names) == alone
    assert korean_probability(text, literals=names) == alone
    assert (korean_probability(text) or 0) < 0.1


def test_row_words_are_taken_out_as_whole_words_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Detector:
        def detect(self, text: str, **_: object) -> list[dict[str, object]]:
            seen.append(text)
            return [{"lang": "en", "score": 0.75}, {"lang": "ko", "score": 0.25}]

    monkeypatch.setattr(language, "_detector", Detector)
    text = "art는 #Person1#이 KTX를, smart party에서\nㅋㅋ U.S. 漢字"
    assert korean_probability(text, literals=DEFAULT_LITERALS, row_words=["art", "KTX", "U.S", "漢", ""]) == 0.25
    assert seen == ["는 이 를, smart party에서 漢字"]
    monkeypatch.setattr(Detector, "detect", lambda *_, **__: [{"lang": "ja", "score": 1.0}])
    assert korean_probability("私は") == 0, "Korean is not among the guesses"


def test_the_whole_text_is_judged() -> None:
    korean = "회의는 세 시에 시작한다. " * 8
    english = "The meeting was moved to Friday because of the weather and nobody was told about it. " * 8
    assert (korean_probability(korean[:80] + english) or 0) < 0.5


def test_the_model_comes_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError("no network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    language._detector.cache_clear()
    assert (korean_probability("오늘은 날씨가 좋다.") or 0) > 0.9
    assert language._detector() is language._detector()


@pytest.mark.shared
def test_every_reference_is_korean(shared_dir: Path) -> None:
    with (shared_dir / "data" / "dev.csv").open(encoding="utf-8", newline="") as file:
        summaries = [row["summary"] for row in csv.DictReader(file)]
    assert len(summaries) == 499
    assert min(korean_probability(summary) or 0 for summary in summaries) > 0.95
