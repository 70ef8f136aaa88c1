"""Names, times, amounts and dates of the demo dialogues.

In: the name of a kind (`given`, `clock`, `won_s`, …) and a random generator. Out: values of that kind. They are few
on purpose: a tiny model sees each of them often enough to learn to copy it within minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GIVEN_NAMES: Final = _words(
    "민준 서준 도윤 지호 준우 현우 지훈 건우 우진 민재 유준 정우 승현 은우 승민 유진 "
    "서연 서윤 지우 하은 민서 윤서 채원 지민 수아 다은 예은 수빈 소율 예린 소연 가은 유나 시우 민지 태호"
)
SURNAMES: Final = _words("김 이 박 최 정 강 조 윤 장 임")
# 정우진 would read as 정우 and 진, to people and to a tokenizer.
FULL_NAMES: Final = tuple(
    surname + given for surname in SURNAMES for given in GIVEN_NAMES if surname + given[0] not in GIVEN_NAMES
)
TITLES: Final = _words("과장 대리 부장 팀장 차장")
PET_NAMES: Final = _words("초코 콩이 보리 두부 몽이 구름이 까미 해피")

_DAYS_OF_WEEK: Final = _words("월요일 화요일 수요일 목요일 금요일 토요일 일요일")
_PEOPLE: Final = tuple(f"{count} 명" for count in _words("두 세 네 다섯 여섯 일곱 여덟 열"))

Sampler = Callable[[Random], str | tuple[str, ...]]


def format_won(thousands: int) -> str:
    """An amount in units of 1,000 won, as people say it.

    Example:
        >>> format_won(8), format_won(25), format_won(300), format_won(10000)
        ('8천 원', '2만 5천 원', '30만 원', '1000만 원')
    """
    ten_thousands, rest = divmod(thousands, 10)
    parts = [f"{ten_thousands}만"] * (ten_thousands > 0) + [f"{rest}천"] * (rest > 0)
    return " ".join(parts) + " 원"


def _clock(rng: Random, period: str, hours: tuple[int, ...]) -> str:
    half = " 30분" if rng.random() < 0.25 else ""
    return f"{period} {rng.choice(hours)}시{half}"


def _office_clock(rng: Random) -> str:
    period, hours = rng.choice((("오전", (9, 10, 11)), ("오후", (1, 2, 3)), ("오후", (4, 5))))
    return _clock(rng, period, hours)


def _month_and_day(rng: Random) -> str:
    return f"{rng.randint(3, 9)}월 {rng.randint(1, 30)}일"


def _date(rng: Random) -> str:
    return _month_and_day(rng) if rng.random() < 0.5 else f"다음 주 {rng.choice(_DAYS_OF_WEEK)}"


def _day(rng: Random) -> str:
    return rng.choice(("내일", "모레")) if rng.random() < 0.3 else _date(rng)


def _workday(rng: Random) -> str:
    """A day on which offices are open, or a date that does not say which day it is."""
    drawn = rng.random()
    if drawn < 0.25:
        return rng.choice(("내일", "모레"))
    return _month_and_day(rng) if drawn < 0.6 else f"다음 주 {rng.choice(_DAYS_OF_WEEK[:5])}"


def _pair(first: Sequence[str], rng: Random) -> tuple[str, ...]:
    """Two different values in the order in which they come."""
    earlier, later = sorted(rng.sample(range(len(first)), 2))
    return first[earlier], first[later]


def _bargain(rng: Random) -> tuple[str, ...]:
    """A lower and a higher amount."""
    asked = rng.randrange(30, 200, 10)
    return format_won(asked - rng.choice((5, 10, 15))), format_won(asked)


def _split_by_three(rng: Random) -> tuple[str, ...]:
    """What each of three people pays, and what they pay together."""
    each = rng.randint(7, 19)
    return format_won(each), format_won(3 * each)


def _won(start: int, stop: int, step: int) -> Sampler:
    """Amounts from `start` to `stop` thousand won."""
    return lambda rng: format_won(rng.randrange(start, stop + 1, step))


def _choice(*values: str) -> Sampler:
    return lambda rng: rng.choice(values)


_OFFICE_HOURS: Final = [f"오전 {hour}시" for hour in (9, 10, 11)] + [f"오후 {hour}시" for hour in range(1, 6)]

SAMPLERS: Final[dict[str, Sampler]] = {
    "given": _choice(*GIVEN_NAMES),
    "full": _choice(*FULL_NAMES),
    "boss": lambda rng: f"{rng.choice(SURNAMES)} {rng.choice(TITLES)}",
    "teacher": lambda rng: f"{rng.choice(SURNAMES)} 선생님",
    "pet": _choice(*PET_NAMES),
    "clock": _office_clock,
    "clock_pair": lambda rng: _pair(_OFFICE_HOURS, rng),
    "morning": lambda rng: _clock(rng, "오전", (7, 8, 9)),
    "eve": lambda rng: _clock(rng, "저녁", (6, 7, 8)),
    "eve_pair": lambda rng: _pair(("저녁 6시", "저녁 7시", "저녁 8시", "저녁 9시"), rng),
    "night": lambda rng: _clock(rng, "밤", (9, 10, 11)),
    "day": _day,
    "day2": _date,
    "workday": _workday,
    "day_pair": lambda rng: _pair(("내일", "모레", *(f"다음 주 {day}" for day in _DAYS_OF_WEEK[:6])), rng),
    "days": _choice("3일", "4일", "5일", "사흘", "나흘", "일주일", "열흘"),
    "days2": _choice("2일", "3일", "4일", "5일", "6일", "일주일", "열흘", "2주"),
    "nights": _choice("1박 2일", "2박 3일", "3박 4일", "4박 5일"),
    "minutes": _choice("5분", "10분", "15분", "20분", "25분", "30분"),
    "hours": _choice("한 시간", "두 시간", "세 시간", "한 시간 반", "두 시간 반"),
    "few": _choice(*_PEOPLE[:3]),
    "people": _choice(*_PEOPLE),
    "crowd": _choice(*_PEOPLE[3:]),
    "wage": _won(11, 15, 1),
    "rent": _won(350, 750, 50),
    "won_k": _won(2, 9, 1),
    "won_s": _won(15, 65, 5),
    "won_m": _won(50, 290, 10),
    "won_l": _won(300, 1200, 100),
    "won_l2": _won(150, 590, 20),
    "deposit": _won(3000, 20000, 1000),
    "bargain": _bargain,
    "split3": _split_by_three,
}
"""Kind → values; the kinds that come as several have as many names before `=` in a situation."""


def sample_slots(kinds: Sequence[tuple[tuple[str, ...], str]], rng: Random, *, max_tries: int = 100) -> dict[str, str]:
    """Values of a situation's slots, no two of which share a name, a time or an amount.

    After `max_tries` draws the situation counts as impossible to fill.
    """
    values: dict[str, str] = {}
    for names, kind in kinds:
        if kind not in SAMPLERS:
            raise ValueError(f"slot '{'+'.join(names)}': kind '{kind}' is unknown; known: {', '.join(SAMPLERS)}")
        for _ in range(max_tries):
            drawn = SAMPLERS[kind](rng)
            drawn = (drawn,) if isinstance(drawn, str) else drawn
            if not any(_is_alike(value, old) for value in drawn for old in values.values()):
                break
        else:
            raise ValueError(f"slot '{'+'.join(names)}': no value of kind '{kind}' differs from the others")
        values.update(zip(names, drawn, strict=True))
    return values


def _is_alike(value: str, other: str) -> bool:
    """Whether one could be mistaken for the other: the same text, the same given name, one inside the other."""
    return value in other or other in value or (len(value) == len(other) == 3 and value[1:] == other[1:])
