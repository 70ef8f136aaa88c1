"""Markup that cannot be broken by what a data set says.

In: element names and texts. Out: HTML. A text is escaped unless it is already `Html`, so that nobody has to
remember to: a dialogue may hold `</script>`, and a page that a colleague sends must not run it.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

_VOID: Final = ("br", "input", "link", "meta", "wbr")
# SVG is XML inside HTML: without the slash, whatever follows would lie inside of the element.
_SELF_CLOSING: Final = ("circle", "line", "polyline")


class Html(str):
    """A text that is markup already."""

    __slots__ = ()


Child: TypeAlias = "str | Html | Iterable[Child] | None"


def element(name: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Html:
    """One element with its children.

    Args:
        name: Of the element.
        children: Texts, which are escaped, markup, sequences of either; None is nothing.
        attributes: Values are escaped. A trailing underscore is dropped (`class_`), others become hyphens. None and
            False leave an attribute out, True gives it without a value.

    Example:
        >>> element("p", "밥 <b>", element("em", "&"), class_="x")
        '<p class="x">밥 &lt;b&gt;<em>&amp;</em></p>'
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        words.append(key if value is True else f'{key}="{html.escape(str(value))}"')
    opening = " ".join(words)
    if name in _SELF_CLOSING and not children:
        return Html(f"<{opening}/>")
    return Html(f"<{opening}>" if name in _VOID else f"<{opening}>{join(children)}</{name}>")


def join(children: Child) -> Html:
    """Children one after the other, texts escaped.

    Example:
        >>> join(["<", element("br"), None, ["a", "b"]])
        '&lt;<br>ab'
    """
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str):
        return Html(html.escape(children, quote=False))
    return Html("".join(map(join, children)))


def json_block(value: Any, *, id: str) -> Html:
    r"""Data for the page's script, in an element that no content can end.

    Args:
        value: Plain values; numbers must be finite.
        id: Of the element.

    Raises:
        ValueError: A number is not finite, which JSON cannot hold.

    Example:
        >>> json_block(["</script>"], id="rows")
        '<script type="application/json" id="rows">["\\u003c/script>"]</script>'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # `<` stands inside strings alone. Lone surrogates, which no UTF-8 file can hold, are written as escapes.
    text = text.replace("<", "\\u003c")
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return Html(f'<script type="application/json" id="{html.escape(id)}">{text}</script>')
