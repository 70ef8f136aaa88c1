from __future__ import annotations

import json
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.report.markup import Html, element, join, json_block

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
NASTY = st.sampled_from(["</script>", "<!--", "<script", "]]>", "&lt;", "<b>", '"', "'", "\\u003c"])


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""
        self.attributes: dict[str, str | None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= dict(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


@given(st.lists(st.one_of(ANY_TEXT, NASTY)).map("".join))
def test_no_text_becomes_markup(text: str) -> None:
    # What a parser of HTML folds of any text: carriage returns and NUL.
    found = read(element("p", text, title=text))
    assert found.tags == ["p"]
    assert found.text == text
    assert found.attributes["title"] == text


@given(st.lists(st.one_of(st.text(), NASTY)).map("".join))
def test_no_data_ends_its_block(text: str) -> None:
    block = json_block({"text": text, text: [text]}, id="x")
    inner = block.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert "<" not in inner
    inner.encode("utf-8")
    assert json.loads(inner) == {"text": text, text: [text]}


def test_children_and_attributes() -> None:
    assert join(None) == ""
    assert join([]) == ""
    assert element("a", Html("<i>"), class_="x", data_find="1", hidden=True, open=False, id=None) == (
        '<a class="x" data-find="1" hidden><i></a>'
    )
    # In SVG an element that is not closed holds all that follow.
    assert element("line", x1=1) == '<line x1="1"/>'
    assert element("circle", element("title", "t")) == "<circle><title>t</title></circle>"
    assert element("meta", name="a") == '<meta name="a">'
