"""A block that takes too long or too much is stopped, and so is a template, in one line; others render as ever."""

from __future__ import annotations

import resource
import signal
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from kosum_pl.encode import ChatPrompt, load_tokenizer, prompt
from kosum_pl.encode.prompt import ChatRenderer
from kosum_pl.encode.render_limits import TookTooLongError, memory_limit, time_limit
from kosum_pl.types import Message


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


def test_a_block_that_takes_too_much_is_stopped_and_the_next_is_not() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    for ask in (lambda: "a" * 10**11, lambda: [0] * 10**11, lambda: "a".center(10**11)):
        with pytest.raises(MemoryError), memory_limit(1 << 30):
            ask()
    with memory_limit(1 << 30):
        assert len(bytearray(1 << 20)) == 1 << 20
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_another_thread_leaves_the_process_its_memory() -> None:
    found = []

    def look() -> None:
        with memory_limit(1 << 20):
            found.append(resource.getrlimit(resource.RLIMIT_AS))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [resource.getrlimit(resource.RLIMIT_AS)]


DOUBLED = "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}"


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10**11 }}",
        "{{ ['a'] * 10**11 }}",
        "{{ '%100000000000d' % 1 }}",
        "{{ '{:>100000000000}'.format(1) }}",
        "{{ 'a' | center(10**11) }}",
        "{{ ['a'] | batch(10**11, 'x') | list }}",
        "{{ ('a' * 10**8).replace('a', 'b' * 1000) | length }}",
        "{{ [1, 2] | tojson(indent=10**11) }}",
        DOUBLED,
    ],
)
def test_a_template_that_takes_all_memory_is_one_line(tmp_path: Path, template: str) -> None:
    path = tmp_path / "large.jinja"
    path.write_text(template, encoding="utf-8")
    tokenizer, _ = load_tokenizer("demo:llama")
    with pytest.raises(ValueError, match=r"takes more than 1 GiB of memory for one chat; mend that template"):
        ChatRenderer(tokenizer, ChatPrompt(template_file=str(path))).frame()


TURNS = [
    Message(role="user", content="#Person1#: 안녕하세요? <b>&amp;</b> {{ x }}"),
    Message(role="assistant", content="네, 반갑습니다."),
    Message(role="user", content="  요약해 주세요.\n"),
]


@pytest.mark.shared
@pytest.mark.parametrize("name", ["llama3_1", "qwen3"])
@pytest.mark.parametrize("is_open", [True, False])
def test_templates_of_large_models_render_as_transformers_has_it(shared_dir: Path, name: str, is_open: bool) -> None:
    tokenizer, _ = load_tokenizer(str(shared_dir / "tokenizers" / name))
    turns = [Message(role="system", content="요약합니다."), *TURNS]
    expected = tokenizer.apply_chat_template(
        [asdict(turn) for turn in turns], tokenize=False, add_generation_prompt=is_open
    )
    assert ChatRenderer(tokenizer, ChatPrompt()).render(turns, is_open=is_open) == expected


def test_a_template_of_gemma_renders_as_transformers_has_it(tiny) -> None:
    tokenizer = tiny.gemma()
    expected = tokenizer.apply_chat_template(
        [asdict(turn) for turn in TURNS], tokenize=False, add_generation_prompt=True
    )
    assert ChatRenderer(tokenizer, ChatPrompt()).render(TURNS, is_open=True) == expected
