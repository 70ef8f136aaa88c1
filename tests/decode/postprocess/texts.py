"""A dialogue, and texts as a bad model writes them."""

from __future__ import annotations

from hypothesis import strategies as st

from kosum_pl.decode.charset import Charset

DIALOGUE = (
    "#Person1#: KTX 타고 3km 걷자. U.S. 얘기도.\n#Person2#: Jimmy랑? #Email#로 보내. #Order1# 확인.\n#Person11#: 네."
)
PIECES = st.sampled_from(
    [
        *"가나 은는.,?!#\n\t'\"()-:1K会é\u0301\u00a0\ufffd\u200b\u1112\u1161Ã©ì",
        *("#Person1#", "Person1", "person2 #", "# Person11", "#Person3#", "KTX", "bus", "U.S", "3km", "Email", " . "),
        *("밥을 먹는다.", "밥을 먹는다. ", "ì\x9d\x80", "\ud800", "Mr. ", "#Order1#", "“", "”", "😀", "A.B"),
    ]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=14).map("".join), st.text(max_size=30))
CHARSETS = st.sampled_from([Charset(), Charset(name="korean+latin"), Charset(ranges=("U+00A0-U+02FF",))])
