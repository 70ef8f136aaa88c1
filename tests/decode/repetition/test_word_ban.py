"""The ban on phrases, against a naive reading of the decoded text and in real generation."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel

from kosum_pl.decode.constraint.token_bytes import token_bytes
from kosum_pl.decode.repetition.word_ban import WordNGramBan
from kosum_pl.decode.repetition.word_pieces import WordPieces

INFINITY = float("inf")
EOS = 0
TEXT = "가 나가\n똠 가나 나\u3000가 똠똠\u00a0나 a"


def is_forbidden(before: bytes, token: bytes, *, size: int, ends: bool) -> bool:
    """The definition: a word that the token touches and leaves whole or running repeats an n-gram."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    decoder.decode(before)
    if decoder.getstate()[0] and not ends and not token.decode(errors="replace")[:1].isspace():
        return False  # it may finish a character
    text = before.decode(errors="surrogateescape")
    num_whole = len(text.split()) - (bool(text) and not text[-1].isspace())
    if not token and not ends:
        return False
    words = (before + token).decode(errors="surrogateescape").split()
    grams = [tuple(words[end - size : end]) for end in range(1, len(words) + 1) if end >= size]
    first_touched = max(num_whole - size + 1, 0)
    return any(gram in grams[:index] for index, gram in enumerate(grams) if index >= first_touched)


@st.composite
def texts(draw: st.DrawFn) -> tuple[list[bytes], list[list[int]]]:
    """A vocabulary of slices of a text, cut anywhere, and sequences of its tokens."""
    source = TEXT.encode()
    starts = draw(st.lists(st.tuples(st.integers(0, len(source) - 1), st.integers(1, 7)), min_size=3, max_size=12))
    pieces = {source[start : start + length] for start, length in starts} | {" 가".encode(), "나".encode(), b" "}
    written = [b"", b"", *sorted(pieces)]
    length = draw(st.integers(0, 16))
    tokens = st.integers(1, len(written) - 1)
    rows = draw(st.lists(st.lists(tokens, min_size=length, max_size=length), min_size=1, max_size=3))
    return written, rows


@given(drawn=texts(), size=st.integers(1, 3), prompt_length=st.integers(0, 2))
@settings(max_examples=400, deadline=None)
def test_ban_equals_a_naive_reading(drawn: tuple[list[bytes], list[list[int]]], size: int, prompt_length: int) -> None:
    written, rows = drawn
    ban = WordNGramBan(WordPieces(written, eos_token_ids=[EOS]), ngram_size=size, prompt_length=prompt_length)
    scores = torch.randn(len(rows), len(written) + 2, generator=torch.Generator().manual_seed(0))
    expected = scores.clone()
    for row, ids in enumerate(rows):
        before = b"".join(written[token] for token in ids)
        for token, text in enumerate(written):
            if is_forbidden(before, text, size=size, ends=token == EOS):
                expected[row, token] = -INFINITY
    prompts = torch.full((len(rows), prompt_length), 3)
    given_ids = torch.cat([prompts, torch.tensor(rows, dtype=torch.long).reshape(len(rows), -1)], dim=1)
    assert torch.equal(ban(given_ids, scores), expected)


@given(drawn=texts(), order=st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_what_was_asked_before_decides_nothing(drawn: tuple[list[bytes], list[list[int]]], order: Any) -> None:
    """Beams are reordered and repeated, candidates taken back: a ban that has seen other steps says the same."""
    written, rows = drawn
    pieces = WordPieces(written, eos_token_ids=[EOS])
    used = WordNGramBan(pieces, ngram_size=2, prompt_length=0)
    ids = torch.tensor(rows, dtype=torch.long).reshape(len(rows), -1)
    for _ in range(8):
        length = order.randint(0, ids.shape[1])
        seen = ids[[order.randrange(len(ids)) for _ in range(3)], :length]
        fresh = WordNGramBan(pieces, ngram_size=2, prompt_length=0)
        scores = torch.zeros(3, len(written))
        assert torch.equal(used(seen, scores), fresh(seen, scores))


def banned(written: Sequence[str | bytes], ids: Sequence[int], *, size: int) -> set[int]:
    """Tokens that are banned behind these."""
    texts = [text.encode() if isinstance(text, str) else text for text in written]
    ban = WordNGramBan(WordPieces(texts, eos_token_ids=[EOS]), ngram_size=size, prompt_length=0)
    scores = ban(torch.tensor([ids]), torch.zeros(1, len(texts)))
    return {token for token, score in enumerate(scores[0].tolist()) if score == -INFINITY}


def test_tags_loop_no_longer() -> None:
    """A loop over one tag in KoBART's spelling ends with its fourth word, and another tag may stand there."""
    written = ["", " #", "P", "ers", "on", "1", "2", "#", "는", "#는"]
    tag = [1, 2, 3, 4, 5, 7, 8]
    assert banned(written, [*tag * 3, *tag[:-1]], size=3) == {8}
    assert banned(written, [*tag * 3, *tag[:-2]], size=3) == {9}
    assert banned(written, [*tag * 3, *tag[:-3], 6, 7], size=3) == set()
    assert banned(written, [*tag * 2, *tag[:-1]], size=3) == set()


def test_a_word_may_be_the_beginning_of_another() -> None:
    written = ["", " 가", "나", " 가나", " 다", " "]
    assert banned(written, [4, 1, 4], size=2) == {1}  # 다 가 다, and the word 가나 goes on
    assert banned(written, [4, 3, 4, 1], size=2) == {2}
    assert banned(written, [4, 3, 4, 5], size=2) == {3}  # behind a space that stands already


def test_a_character_that_is_begun_is_finished() -> None:
    """The third byte completes the forbidden word, and may; then the word goes on, and neither ends nor breaks."""
    first, second, third = (bytes([byte]) for byte in "똠".encode())
    written = [b"", b" ", "가".encode(), first, second, third]
    word = [3, 4, 5]
    assert banned(written, [*word, 1, 3, 4], size=1) == set()
    assert banned(written, [*word, 1, *word], size=1) == {EOS, 1}


def test_white_space_in_pieces_separates_too() -> None:
    wide = [bytes([byte]) for byte in "\u3000".encode()]
    written = [b"", "가".encode(), *wide]
    assert banned(written, [1, 2, 3, 4], size=1) == {1}
    assert banned(written, [1, 2, 3], size=1) == set()


def test_scores_are_overwritten_where_allowed_alone() -> None:
    pieces = WordPieces([b"", b" a", b" b"], eos_token_ids=[EOS])
    kept, changed = torch.zeros(1, 3), torch.zeros(1, 3)
    ids = torch.tensor([[1]])
    assert WordNGramBan(pieces, ngram_size=1, prompt_length=0)(ids, kept) is not kept
    assert kept.eq(0).all()
    ban = WordNGramBan(pieces, ngram_size=1, prompt_length=0, overwrites_scores=True)
    assert ban(ids, changed) is changed
    assert changed.tolist() == [[0.0, -INFINITY, 0.0]]


@pytest.mark.parametrize(("size", "length"), [(0, 3), (2, -1)])
def test_nonsense_is_refused(size: int, length: int) -> None:
    with pytest.raises(ValueError, match=f"ngram_size is {size} and prompt_length {length}"):
        WordNGramBan(WordPieces([b""], eos_token_ids=[EOS]), ngram_size=size, prompt_length=length)


MODES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampling": {"do_sample": True, "temperature": 0.5},
    "beams": {"num_beams": 4},
    "static_cache": {"cache_implementation": "static"},
    "prompt_lookup": {"prompt_lookup_num_tokens": 3},
}


def repeats(text: str, size: int) -> int:
    """Repeated n-grams of the whole words of a text."""
    words = text.split()[:-1]
    grams = [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]
    # Pieces of characters are different words that look the same.
    readable = [gram for gram in grams if "\ufffd" not in "".join(gram)]
    return len(readable) - len(set(readable))


@pytest.mark.parametrize("kind", ["byte_level", "fallback_bpe", "metaspace_unigram", "word_piece"])
@pytest.mark.parametrize("mode", MODES)
def test_generation_repeats_no_phrase(
    tiny: Callable[..., PreTrainedModel], tokenizer_of: Callable[[str], Any], kind: str, mode: str
) -> None:
    """A model in a loop goes on for ever; under the ban no phrase comes twice, in any mode."""
    tokenizer = tokenizer_of(kind)
    pieces = WordPieces(token_bytes(tokenizer), eos_token_ids=[2])
    words = tokenizer(" 가 나 #Person1#은 말했다", add_special_tokens=False)["input_ids"]
    num = {0: 0, 2: 0}
    for size in num:
        torch.manual_seed(0)
        rules = [_Loop(words), *([WordNGramBan(pieces, ngram_size=size, prompt_length=2)] if size else [])]
        rows = 1 if mode == "prompt_lookup" else 3
        ids = torch.tensor([[5, 6]] * rows)
        sequences = tiny("llama").generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            logits_processor=LogitsProcessorList(rules),
            max_new_tokens=120,
            min_new_tokens=120,
            **MODES[mode],
        )
        num[size] = sum(repeats(tokenizer.decode(row, skip_special_tokens=True), 2) for row in sequences[:, 2:])
    assert num[2] == 0
    assert num[0] > 10


class _Loop(LogitsProcessor):  # type: ignore[misc]
    """A model that wants to say the same words over and over."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = list(tokens)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        wanted = scores.clone()
        wanted[:, self.tokens[(input_ids.shape[1] - 2) % len(self.tokens)]] += 40.0
        return wanted
