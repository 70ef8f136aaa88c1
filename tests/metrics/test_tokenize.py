"""Korean tokenizers."""

from __future__ import annotations

import copy
import importlib.metadata
import importlib.util
import multiprocessing
import pickle
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kosum_pl.metrics import RougeTokenizer, get_tokenizer
from kosum_pl.metrics import tokenize as tokenize_module
from kosum_pl.metrics.tokenize import split_tags
from kosum_pl.types import TAG_PATTERN

NAMES = ("kiwi", "mecab", "char", "space")
INSTALLED = [name for name in NAMES if name != "mecab" or importlib.util.find_spec("mecab")]
pieces = st.sampled_from(
    [
        "#Person1#",
        "#Person2#",
        "#PhoneNumber#",
        "은",
        "는",
        "이",
        " ",
        "\n",
        "집에",
        "간다",
        "KTX",
        "#",
        "3시",
        ".",
        "😀",
    ]
)
texts = st.lists(pieces, max_size=12).map("".join)


@pytest.fixture(params=INSTALLED)
def tokenizer(request: pytest.FixtureRequest) -> RougeTokenizer:
    return get_tokenizer(request.param)


@pytest.mark.parametrize(
    ("name", "text", "tokens"),
    [
        ("kiwi", "#Person2#는 숨쉬기 어려워합니다.", "#Person2# 는 숨 쉬 기 어렵 어 하 ᆸ니다 ."),
        ("mecab", "#Person1#은 KTX를 타고 간다.", "#Person1# 은 KTX 를 타 고 간다 ."),
        ("char", " #Person1#은\n간다 3시", "#Person1# 은 간 다 3 시"),
        ("space", " #Person1#은\n3시에  간다.", "#Person1# 은 3시에 간다."),
    ],
)
def test_tokens(name: str, text: str, tokens: str) -> None:
    """Dictionary forms by kiwi, surface forms by mecab."""
    if name not in INSTALLED:
        pytest.skip("the extra 'mecab' is not installed")
    assert get_tokenizer(name)(text) == tokens.split()


@given(text=texts)
@example(text="#Person1##Person2#")
@example(text="ABC#Person1#DEF")
@example(text="Xqz #Person1#")
@example(text="#Person1##Person2#은 Xqz를 안다.")
@example(text="#Person1#Person2#")
@settings(max_examples=150, deadline=None)
def test_tags_are_one_token_and_nothing_else_is(text: str) -> None:
    for name in INSTALLED:
        tokens = get_tokenizer(name)(text)
        assert [token for token in tokens if TAG_PATTERN.fullmatch(token)] == TAG_PATTERN.findall(text), name
        assert all(token.strip() for token in tokens), name


@given(text=st.text(max_size=40))
@example(text="\ud83d broken \x00 \ufffd")
@settings(max_examples=100, deadline=None)
def test_any_text_can_be_read(text: str) -> None:
    for name in INSTALLED:
        tokens = get_tokenizer(name)(text)
        assert isinstance(tokens, list)
        assert all(isinstance(token, str) for token in tokens)


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_nothing_has_no_tokens(tokenizer: RougeTokenizer, text: str) -> None:
    assert tokenizer(text) == []


def test_a_batch_is_its_texts_one_by_one(tokenizer: RougeTokenizer) -> None:
    batch = ["#Person1#은 간다.", "", "비가 온다.", "#Person1#은 간다.", "3시 30분에 만난다."]
    one_by_one = [get_tokenizer(tokenizer.name)(text) for text in batch]
    assert tokenizer.tokenize_batch(batch) == one_by_one
    assert tokenizer.tokenize_batch(batch) == one_by_one
    assert tokenizer.tokenize_batch([]) == []


def test_known_texts_are_not_split_again(monkeypatch: pytest.MonkeyPatch) -> None:
    split_texts: list[str] = []
    tokenizer = RougeTokenizer("words", lambda texts: split_texts.extend(texts) or [text.split() for text in texts])
    tokenizer.tokenize_batch(["가", "나", "가"])
    assert split_texts == ["가", "나"]
    tokenizer("나").append("changed by the caller")
    assert tokenizer("나") == ["나"]
    assert split_texts == ["가", "나"]
    # The one that was asked for longest ago goes first, and a batch may be longer than the memory.
    monkeypatch.setattr(tokenize_module, "_CACHED_TEXTS", 2)
    tokenizer("가")
    tokenizer("다")
    assert tokenizer.tokenize_batch(["가", "나"]) == [["가"], ["나"]]
    assert split_texts == ["가", "나", "다", "나"]
    assert tokenizer.tokenize_batch(list("abcd")) == [["a"], ["b"], ["c"], ["d"]]


def test_labels_hold_the_version() -> None:
    assert get_tokenizer("kiwi").label == f"kiwi {importlib.metadata.version('kiwipiepy')}"
    assert get_tokenizer("char").label == "char"
    if "mecab" in INSTALLED:
        assert get_tokenizer("mecab").label == f"mecab {importlib.metadata.version('python-mecab-ko')}"


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"^rouge_tokenizer is 'okt'; known: kiwi, mecab, char, space$"):
        get_tokenizer("okt")


def test_missing_mecab_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tokenize_module, "version", no_version)
    with pytest.raises(ValueError, match=r"^rouge_tokenizer 'mecab' needs .*: pip install python-mecab-ko$"):
        get_tokenizer("mecab")


def test_tokenizers_can_be_sent_to_another_process(tokenizer: RougeTokenizer) -> None:
    expected = tokenizer("#Person1#은 간다.")
    for copied in (pickle.loads(pickle.dumps(tokenizer)), copy.deepcopy(tokenizer)):
        assert copied("#Person1#은 간다.") == expected
        assert copied("비가 온다.") == tokenizer("비가 온다.")


def _tokenize_in_child(queue: Any) -> None:
    queue.put(get_tokenizer("kiwi").tokenize_batch(["비가 온다.", "눈이 온다."]))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_a_fork_does_not_wait_for_threads_it_lacks() -> None:
    expected = get_tokenizer("kiwi").tokenize_batch(["비가 온다.", "눈이 온다."])
    context = multiprocessing.get_context("fork")
    queue: Any = context.SimpleQueue()
    child = context.Process(target=_tokenize_in_child, args=(queue,), daemon=True)
    child.start()
    child.join(timeout=60)
    assert child.exitcode == 0
    assert queue.get() == expected


def test_analysers_are_loaded_at_first_use() -> None:
    code = (
        "import sys; from kosum_pl.metrics import get_tokenizer; get_tokenizer('kiwi'); "
        "sys.exit(' '.join({'kiwipiepy', 'mecab', 'rouge_score'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_split_tags() -> None:
    assert split_tags("가 #Person1##SSN#나") == [("가 ", ["#Person1#"]), ("", ["#SSN#"]), ("나", [])]
    assert split_tags("#서울 맛집 # 1#") == [("#서울 맛집 # 1#", [])]


@pytest.mark.shared
def test_every_real_tag_is_one_token(dev_references: list[list[str]], tokenizer: RougeTokenizer) -> None:
    flat = [text for row in dev_references for text in row]
    tags = 0
    for text, tokens in zip(flat, tokenizer.tokenize_batch(flat), strict=True):
        assert [token for token in tokens if TAG_PATTERN.fullmatch(token)] == TAG_PATTERN.findall(text)
        tags += len(TAG_PATTERN.findall(text))
    assert tags > 3000
