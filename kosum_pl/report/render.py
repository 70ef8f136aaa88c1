"""Templates of this folder, filled with view data.

In: a template's name and plain values. Out: text. Every text is escaped here, by Jinja2 or by its filter, so that no
section has to remember to: a dialogue may hold `</script>`, and a page that a colleague sends must not run it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from kosum_pl.report.diff import diff_words
from kosum_pl.report.texts import mark_tags
from kosum_pl.report.training import gigabytes
from kosum_pl.runs.predictions import UNFINISHED_MARK

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def render(name: str, **values: object) -> str:
    """A template's text; lone surrogates, which no UTF-8 file can hold, are replaced.

    `name` is `<section>.html.j2`, escaped by itself, or `.md.j2`, whose texts go through the filter `markdown`.
    """
    return _SURROGATE.sub("\ufffd", _environment().get_template(name).render(values))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("kosum_pl.report"),
        autoescape=select_autoescape(enabled_extensions=["html.j2"], disabled_extensions=["md.j2"], default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"grouped": grouped, "score": score_text, "gigabytes": gigabytes}
    environment.filters |= {"json_block": json_text, "markdown": markdown_text}
    environment.globals["unfinished_mark"] = UNFINISHED_MARK
    environment.filters |= {"diff": diff_words, "mark_tags": mark_tags}
    return environment


def json_text(value: object) -> Markup:
    r"""Data for the page's script, as the content of an element that no text in it can end.

    Example:
        >>> print(json_text(["</script>"]))
        ["\u003c/script>"]
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # `<` stands inside strings alone, and so do lone surrogates, which are written as escapes.
    return Markup(text.replace("<", "\\u003c").encode("utf-8", "backslashreplace").decode("utf-8"))


def markdown_text(text: object) -> str:
    r"""A text that no cell of a table and no markup is ended or begun by.

    Example:
        >>> print(markdown_text("a|b <i> *c*"))
        a\|b &lt;i&gt; \*c\*
    """
    escaped = re.sub(r"([\\|*_`\[\]])", r"\\\1", str(text))
    return " ".join(escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split())


def score_text(value: float | None, name: str, *, sign: str = "") -> str:
    """A score as people read it: ROUGE to two digits, rates to three; nothing where there is none.

    Example:
        >>> score_text(215.1647, "rouge_sum"), score_text(0.68884, "tag_recall"), score_text(-1.0, "rouge1", sign="+")
        ('215.16', '0.689', '-1.00')
    """
    if value is None:
        return ""
    digits = 2 if name.startswith(("rouge", "bleu", "chrf")) else 1 if name == "mean_length" else 3
    return f"{value:{sign}.{digits}f}"


def grouped(value: object) -> str:
    """A whole number with its thousands apart, anything else as it is.

    Example:
        >>> grouped(12345), grouped(True), grouped("kiwi")
        ('12,345', 'True', 'kiwi')
    """
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
