"""Data, templates and slices that are not what they are called, and names that lead nowhere."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator

from tests.bad_inputs.row import BadInput, fit, fit_with_template


def _xlsx() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return buffer.getvalue()


_HEADER = "fname,dialogue,summary\n"
_TABLES = {
    "HTML": (b"\n<!DOCTYPE html>\n<html></html>", "this is a page of HTML or XML, not .csv"),
    "xlsx": (_xlsx(), "this is a zip archive, as an Excel file (.xlsx) is one, not .csv"),
    "gzip": (gzip.compress(_HEADER.encode()), "this is gzip data, not .csv; unpack it"),
    "Parquet": (b"PAR1\0\0PAR1", "this is a Parquet file, not .csv; rename it to .parquet"),
    "empty": (b"", "the file is empty"),
    "a header alone": (_HEADER.encode(), "bad.csv"),
    "semicolons": (b"fname;dialogue;summary\na;b;c\n", "divided by a semicolon"),
    "a column twice": (b"fname,dialogue,summary,summary\n", "names column 'summary' twice"),
    "no summary": (b"fname,dialogue\na,b\n", "no column 'summary'"),
    "CP949": (_HEADER.encode() + "a,#Person1#: 요약해 주세요,요약\n".encode("cp949"), "it reads as CP949"),
    "UTF-16": (_HEADER.encode("utf-16"), "the file is UTF-16"),
    "a quote never closed": (_HEADER.encode() + b'a,"b,c\n', "a double quote opens a field here that is never closed"),
    "a field too many": (_HEADER.encode() + b"a,b,c,d\n", "4 fields where the header has 3"),
}


def _rows() -> Iterator[BadInput]:
    for name, (content, said) in _TABLES.items():
        yield BadInput(
            name=f"table, {name}",
            words=fit("--data.train_file", "bad.csv"),
            says=("bad.csv", said),
            files={"bad.csv": content},
        )
    for name, value, said in (
        ("URL", "https://example.com/a.csv", "is a URL, and nothing is downloaded"),
        ("no such file", "none.csv", "none.csv: no such file or folder"),
        ("unknown ending", "tiny.yaml", "unknown file ending '.yaml'"),
        ("folder without data", "empty", "no file in this folder ends in"),
    ):
        yield BadInput(
            name=f"train_file, {name}",
            words=fit("--data.train_file", value),
            says=(value, said),
            make=lambda work: (work / "empty").mkdir(),
        )
    yield BadInput(
        name="config, URL",
        words=("fit", "--config", "https://example.com/a.yaml"),
        says=("config 'https://example.com/a.yaml' is a URL",),
    )
    for name, slices in (("nothing", "[nope]"), ("a value", "[topic=약속]")):
        yield BadInput(
            name=f"slices, {name}",
            words=fit("--model.slices", slices),
            says=("model.slices names", "a column that no row of val has; there are: topic, length"),
        )
    for name, template, said in (
        ("a range without end", "{% for i in range(10**12) %}{% endfor %}", "Range too big"),
        ("no Jinja", "{% for %}", "refuses the turns"),
        ("a division by zero", "{{ 1 // 0 }}", "refuses the turns"),
        ("more memory than there is", "{{ 'a' * 10**11 }}", "takes more than 1 GiB of memory for one chat; mend"),
        ("a number of too many digits", "{{ 10**5000 }}", "refuses the turns user: Exceeds the limit"),
    ):
        yield BadInput(
            name=f"template, {name}",
            words=fit_with_template("bad.jinja"),
            says=("bad.jinja", said),
            files={"bad.jinja": template},
        )


ROWS = [*_rows()]
