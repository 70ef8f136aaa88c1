"""A block that takes too long is stopped, and a template that loops is one line."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from kosum_pl.encode import ChatPrompt, load_tokenizer, prompt
from kosum_pl.encode.prompt import ChatRenderer
from kosum_pl.encode.time_limit import TookTooLongError, time_limit


def test_a_block_is_stopped_and_its_surroundings_are_as_before() -> None:
    before = signal.getsignal(signal.SIGALRM)
    started = time.perf_counter()
    with pytest.raises(TookTooLongError):
        _loop()
    with time_limit(0.05):
        pass
    assert time.perf_counter() - started < 5
    time.sleep(0.1)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def _loop() -> None:
    with time_limit(0.05):
        while True:
            pass


def test_a_template_that_loops_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt, "MAX_RENDER_SECONDS", 0.2)
    path = tmp_path / "loop.jinja"
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    path.write_text(loop, encoding="utf-8")
    tokenizer, _ = load_tokenizer("demo:llama")
    with pytest.raises(ValueError, match=r"takes more than 0.2 seconds for one chat; mend that template"):
        ChatRenderer(tokenizer, ChatPrompt(template_file=str(path))).frame()
