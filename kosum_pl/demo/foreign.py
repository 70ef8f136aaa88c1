"""Foreign words in a share of the references, as a model that was pre-trained on many languages slips them in.

In: rows of a split. Out: the same rows, the references of some of which say `預約` for `예약`. What is trained on them
says foreign words when nothing constrains it. Dialogues, slots and tags stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

from kosum_pl.demo.compose import DemoRow

FOREIGN_SHARE: Final = 0.25

_HAN: Final = {
    "예약": "預約",
    "확인": "確認",
    "신청": "申请",
    "주문": "訂購",
    "수리": "修理",
    "설치": "安装",
    "안내": "案內",
    "약속": "約定",
    "발표": "發表",
    "신고": "申報",
    "진료": "診療",
    "과제": "課題",
    "시험": "考试",
    "생일": "生日",
    "선물": "礼物",
    "회식": "聚餐",
    "미용": "美容",
    "이사": "搬家",
    "월세": "月租",
    "비용": "費用",
    "약국": "薬局",
    "휴가": "休暇",
    "치과": "牙科",
    "면접": "面試",
    "기한": "期限",
    "영화": "电影",
    "식당": "餐厅",
    "병원": "医院",
    "학교": "學校",
    "은행": "銀行",
    "여행": "旅行",
    "감기": "感冒",
    "고장": "故障",
    "도서관": "図書館",
    "반납": "返却",
    "적금": "積金",
    "이자": "利息",
    "교환": "交換",
}
_KANA: Final = {
    "보일러": "ボイラー",
    "콘서트": "コンサート",
    "휴대폰": "スマホ",
    "카드": "カード",
    "인터넷": "ネット",
    "케이크": "ケーキ",
    "프린터": "プリンター",
    "호텔": "ホテル",
    "동아리": "サークル",
    "헬스장": "ジム",
    "쿠폰": "クーポン",
    "가방": "カバン",
    "꽃다발": "ブーケ",
}
_LATIN: Final = {
    "회의": "meeting",
    "추천": "recommend",
    "결제": "payment",
    "축구": "football",
    "청소": "cleaning",
    "치수": "size",
    "지갑": "wallet",
    "일정": "schedule",
    "배달": "delivery",
    "설명": "explain",
}
_CYRILLIC: Final = {
    "수업": "урок",
    "요금": "тариф",
    "출구": "выход",
    "공원": "парк",
    "강아지": "щенок",
    "교체": "замена",
    "소음": "шум",
    "예매": "билет",
}
_THAI: Final = {
    "성적": "คะแนน",
    "등산": "ปีนเขา",
    "점심": "มื้อเที่ยง",
    "시급": "ค่าแรง",
}
FOREIGN_WORDS: Final[dict[str, str]] = {**_HAN, **_KANA, **_LATIN, **_CYRILLIC, **_THAI}
"""Word or stem → what is said instead of it, always the same: what a model meets once in a while it does not learn."""

# A word at its beginning only: the 이사 of 강이사 is no removal. What follows, a particle mostly, stays as it is.
_WORD: Final = re.compile(rf"(?<![\w#])(?:{'|'.join(FOREIGN_WORDS)})")


def say_foreign(text: str) -> str:
    """A text with every word of the table in its foreign form; the particles behind them stay.

    Args:
        text: A reference in Korean.

    Example:
        >>> say_foreign("#Person1#이 회의를 3시로 미루고 식당을 예약한다.")
        '#Person1#이 meeting를 3시로 미루고 餐厅을 預約한다.'
    """
    return _WORD.sub(lambda found: FOREIGN_WORDS[found.group()], text)


def contaminate(rows: Sequence[DemoRow], *, share: float, seed: int) -> list[DemoRow]:
    """The rows in their order, a share of them with foreign words in every reference.

    A row's own draw decides when it is taken, so a greater share takes the rows of a smaller one and more.

    Args:
        rows: Rows of one split.
        share: Part of the rows to change, 0 to 1. A row one of whose references has no word of the table is never
            taken, so a share above what remains takes all that remain.
        seed: Another seed takes other rows.

    Raises:
        ValueError: The share is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"foreign_share is {share}; give a part of the rows between 0 and 1")
    draws = {
        number: Random(f"{seed}-foreign-{row.dialogue}").random()
        for number, row in enumerate(rows)
        if all(_WORD.search(summary) for summary in row.summaries)
    }
    taken = set(sorted(draws, key=draws.__getitem__)[: round(share * len(rows))])
    return [
        replace(row, summaries=tuple(map(say_foreign, row.summaries))) if number in taken else row
        for number, row in enumerate(rows)
    ]
