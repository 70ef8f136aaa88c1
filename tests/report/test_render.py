from __future__ import annotations

import json
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.report.render import json_text, render
from kosum_pl.report.texts import Contamination, ForeignText
from kosum_pl.types import Prediction
from tests.report.run_folders import ROWS

NASTY = st.sampled_from(
    ["</script>", "<!--", "<script", "]]>", "&lt;", "<b>", '"', "'", "\\u003c", "{{ 1 }}", "{% x %}"]
)
TEXTS = st.lists(st.one_of(st.text(), NASTY)).map("".join)


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


@given(TEXTS)
def test_no_text_becomes_markup(text: str) -> None:
    source = Prediction(**{key: value for key, value in ROWS[0].items() if key != "summary"} | {"example_id": text})
    one = ForeignText(prediction=source, text=f"{text}漢", indices=(len(text),), is_raw=False)
    view = Contamination(num_rows=1, scripts=[], texts=[one])
    reader = Reader()
    reader.feed(render("contamination.html.j2", runs=[None], view=[(None, view)]))
    reader.close()
    assert reader.tags[-7:] == ["details", "summary", "ul", "li", "a", "small", "mark"]
    shown = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    assert reader.attributes["data-find"] == shown
    assert f"{shown} final " in reader.text
    assert f"{shown[-24:]}漢" in reader.text


@given(TEXTS)
def test_no_data_ends_its_block(text: str) -> None:
    block = json_text({"text": text, text: [text]})
    assert "<" not in block
    block.encode("utf-8")
    assert json.loads(block) == {"text": text, text: [text]}
