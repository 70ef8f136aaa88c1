"""Text of users never commands the terminal: escapes, what stays, and that nobody prints past them."""

from __future__ import annotations

import ast
import csv
import io
import logging
import re
import subprocess
import sys
import unicodedata
import warnings
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kosum_pl.__main__ import main
from kosum_pl.cli.quiet import escape_record, quieten
from kosum_pl.runs import rerun
from kosum_pl.runs.screen import Screen
from kosum_pl.terminal import TEXT, escaped, say
from tests.tiny_config import tiny_config

PACKAGE = Path(__file__).resolve().parent.parent / "kosum_pl"
# The sequences of one id: set the title, ring, clear the screen, write red, turn a path around, hide, join lines.
HOSTILE = "\x1b]0;HACKED\x07\x1b[2J\x1b[31m\x9b2Jid\u202egpj.\u2066a\u200b\x7f\udc1b"
# What rich itself sends in colours: those alone may begin with an escape.
STYLE = re.compile(r"\x1b\[[0-9;]*m")


def commands_in(text: str) -> list[str]:
    """Characters in a terminal's text that are no text."""
    return [char for char in text if char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs")]


@given(st.text(st.characters(exclude_categories=())), st.sampled_from(["", TEXT]))
def test_nothing_that_cannot_be_seen_is_left(text: str, kept: str) -> None:
    shown = escaped(text, kept=kept)
    assert not set(commands_in(shown)) - set(kept)
    shown.encode()  # a lone surrogate would stop the printing
    assert escaped(shown, kept=kept) == shown


@given(st.text(st.characters(categories=("L", "M", "N", "P", "S", "Zs"))))
def test_whatever_can_be_seen_stays(text: str) -> None:
    assert escaped(text) == text


def test_korean_and_emoji_stay() -> None:
    text = "#Person1#: 지민이 café에 간다 🙂.\n\t가 각 👨‍👩‍👧"
    assert escaped(text, kept=TEXT) == text
    assert escaped("가\nkosum_pl: error: 나") == "가\\nkosum_pl: error: 나"


def test_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"{HOSTILE}\r\nkosum_pl: all is well")
    (line,) = capsys.readouterr().out.split("\n")[:-1]
    assert line.startswith("\\x1b]0;HACKED\\x07\\x1b[2J\\x1b[31m\\x9b2Jid\\u202egpj.\\u2066a\\u200b\\x7f\\udc1b\\r\\n")
    rerun.say(f"{HOSTILE} 가")
    assert capsys.readouterr().out == f"{escaped(HOSTILE)} 가\n"


def test_a_line_is_written_at_once() -> None:
    # Two processes on one terminal: a line end of its own lets the other's line in between.
    writes: list[str] = []

    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    say("a", file=Terminal())
    assert [text for text in writes if text] == ["a\n"]


def test_a_screen_shows_tables_panels_and_markup_as_they_are() -> None:
    screen = Screen(file=io.StringIO(), width=200, force_terminal=True, color_system="truecolor", highlight=False)
    table = Table(title=f"title {HOSTILE}", caption=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(f"{HOSTILE} [red]:key: [/nothing]")
    table.add_row(Text(HOSTILE, style="bold"))
    screen.print(table, Panel(Text(HOSTILE), title=HOSTILE), HOSTILE)
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert not commands_in(STYLE.sub("", text))
    assert "[red]:key: [/nothing]" in text
    # rich itself drops a bell from a `Text`; all else is spelt out, column, rows, panel and line.
    assert len(re.findall(r"HACKED(?:\\x07)?\\x1b\[2J\\x1b\[31m\\x9b2Jid\\u202egpj", text)) >= 5


def test_libraries_log_and_warn_in_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("a", logging.INFO, "a.py", 1, "restored from %s", (HOSTILE,), None)
    assert escape_record(record)
    assert record.getMessage() == f"restored from {escaped(HOSTILE)}"
    quieten()
    form = warnings.formatwarning
    assert escaped(HOSTILE) in form(f"about {HOSTILE}", UserWarning, "a.py", 1)
    quieten()
    assert warnings.formatwarning is form
    handlers = logging.getLogger("lightning.pytorch").handlers
    assert handlers
    assert all(escape_record in handler.filters for handler in handlers)


# `rerun` is copied into reproduce.sh and has a `say` of its own; the demo's own generator prints its own words.
MAY_PRINT = {"__main__.py", "terminal.py", "runs/rerun.py", "demo/__main__.py"}


@pytest.mark.parametrize(
    "path", sorted([*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "callbacks").rglob("*.py")]), ids=lambda path: path.stem
)
def test_nobody_prints_past_say_and_screen(path: Path) -> None:
    if path.is_relative_to(PACKAGE) and str(path.relative_to(PACKAGE)) in MAY_PRINT:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called != "print", f"{path.name}:{node.lineno}: print; use kosum_pl.terminal.say"
            assert called != "Console" or ast.unparse(node) == "Console(stderr=True)", f"{path.name}:{node.lineno}"


def write_rows(path: Path, number: int) -> None:
    mark = HOSTILE.removesuffix("\udc1b")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["fname", "dialogue", "summary", "topic", "weekday"])
        for row in range(number):
            dialogue = f"#Person1#: {row}시 \x1b[2J\u202e.\n#Person2#: 네 [/red]."
            writer.writerow([f"{mark}{path.stem}{row}", dialogue, f"{row}시에 \x9b2J만난다.", f"{mark}[/a]", row % 2])


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose rows, cleaned by nothing, hold control characters everywhere."""
    monkeypatch.chdir(tmp_path)
    for name, number in (("train", 12), ("dev", 4)):
        write_rows(tmp_path / f"{name}.csv", number)
    callbacks = [{"class_path": "RougeSumCheckpoint"}, {"class_path": "SampleTable"}]
    config = tiny_config(
        trainer={"max_steps": 2, "val_check_interval": 1, "callbacks": callbacks},
        model={"rouge_tokenizer": "space"},
        data={"predict_file": "dev.csv", "cleaning": []},
    )
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (tmp_path / "tiny_preset.yaml").write_text("max_new_tokens: 4\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["doctor", "--config", "tiny.yaml"],
        ["charset", "--config", "tiny.yaml"],
        ["drift", "--config", "tiny.yaml"],
        ["validate", "--config", "tiny.yaml", "--slice", "topic=\x1b[2J"],
        ["fit", "--config", "\x1b[2J.yaml"],
        ["\x1b[2J"],
        ["gate", "\x1b[2J", "--rules", "\x9b2J.yaml"],
    ],
    ids=lambda words: words[0] if words[0].isprintable() else "unknown",
)
def test_no_command_shows_control_characters(
    hostile: Path, words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    main(words)
    out, err = capfd.readouterr()
    assert out + err
    assert not commands_in(out + err)


@pytest.mark.slow
def test_a_run_shows_none_and_its_files_keep_the_texts(hostile: Path) -> None:
    mark = HOSTILE.removesuffix("\udc1b")
    said = ""
    for words in (
        ["fit"],
        ["validate", "--ckpt_path", "best"],
        ["predict", "--ckpt_path", "best"],
    ):
        process = subprocess.run(
            [sys.executable, "-m", "kosum_pl", words[0], "--config", "tiny.yaml", *words[1:]],
            capture_output=True,
            check=True,
        )
        said += process.stdout.decode() + process.stderr.decode()
    assert escaped(mark) in said
    assert not commands_in(said)
    rows = list(csv.reader((hostile / "runs/tiny/latest/predictions.csv").open(encoding="utf-8", newline="")))
    assert [row[1] for row in rows[1:]] == [f"{mark}dev{row}" for row in range(4)]
    assert main(["report", "runs/tiny/latest"]) == 0
