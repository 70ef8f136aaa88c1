"""The words of a row: what a batch may say is exactly the text in which `foreign_places` finds nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint.automaton import build_automaton
from kosum_pl.decode.constraint.kinds import AutomatonConstraint
from kosum_pl.decode.constraint.processors import GenerationShape
from kosum_pl.decode.constraint.row_tables import RowTablesBuilder, VocabularyIndex
from kosum_pl.decode.constraint.tables import build_tables
from kosum_pl.decode.literals import foreign_places, row_literals

CHARSETS = (Charset(), Charset(name="latin", characters="-,3가"), Charset(name="korean", characters="é"))
LITERALS: tuple[tuple[str, ...], ...] = (
    (),
    ("#K#", "#Ka#", "K-3", "大"),
    ("K", "Ka大", "a-", "-", "K,", "😀"),
)
# Few characters, so that words, connectors and digits meet often.
ALPHABET = "가힣ㅋ37Ka대大é😀-.,:#( \n"
EOS = 256


@cache
def automaton_of(charset: int, literals: int):  # type: ignore[no-untyped-def]
    return build_automaton(CHARSETS[charset], LITERALS[literals])


@dataclass(frozen=True)
class Case:
    """A vocabulary of all bytes and some more, the words of a row, and a text cut into tokens."""

    charset: int
    literals: int
    words: tuple[str, ...]
    pieces: tuple[bytes, ...]
    text: str
    cuts: tuple[int, ...]

    @property
    def written(self) -> list[bytes]:
        """Single bytes, nothing (the end), then the other tokens."""
        return [*(bytes([byte]) for byte in range(256)), b"", *self.pieces]

    @property
    def constraint(self) -> AutomatonConstraint:
        return AutomatonConstraint(
            build_tables(automaton_of(self.charset, self.literals), self.written), eos_token_ids=[EOS]
        )

    def foreign(self, text: str) -> list[int]:
        return foreign_places(
            text, charset=CHARSETS[self.charset], literals=LITERALS[self.literals], row_words=self.words
        )

    def tokens(self) -> list[int]:
        """Ids that write the text: a longer token where one fits at a cut, else bytes; equal tokens take turns."""
        text, place, ids = self.text.encode(), 0, []
        while place < len(text):
            fitting = [index for index, piece in enumerate(self.pieces) if text.startswith(piece, place)]
            choice = self.cuts[len(ids) % len(self.cuts)] % (len(fitting) + 1)
            ids.append(text[place] if choice == 0 else 257 + fitting[choice - 1])
            place += 1 if choice == 0 else len(self.pieces[fitting[choice - 1]])
        return ids


characters = st.text(ALPHABET, min_size=1, max_size=4)
foreign_words = characters.filter(lambda word: any(char in "Ka大é😀" for char in word))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    charset, literals = draw(st.integers(0, len(CHARSETS) - 1)), draw(st.integers(0, len(LITERALS) - 1))
    dialogue = draw(st.text(ALPHABET, max_size=12))
    words = (*row_literals(dialogue, CHARSETS[charset]), *draw(st.lists(foreign_words, max_size=3)))
    fragments = st.sampled_from([*words, *LITERALS[literals], *ALPHABET])
    text = "".join(draw(st.lists(fragments, max_size=7)))
    near = "".join(draw(st.lists(fragments, max_size=4))).encode()
    blob = text.encode() + near
    spans = st.tuples(st.integers(0, max(len(blob) - 1, 0)), st.integers(2, 7))
    pieces = tuple(blob[start : start + size] for start, size in draw(st.lists(spans, max_size=12)))
    pieces = tuple(piece for piece in pieces if piece)
    cuts = draw(st.lists(st.integers(0, 11), min_size=1, max_size=8))
    return Case(charset, literals, words, pieces, text, tuple(cuts))


def allowed_steps(case: Case, ids: Sequence[int], *, max_new_tokens: int) -> bool:
    """Whether the processor allows each token in its turn, and the end behind the last if there is room for it."""
    shape = GenerationShape(prompt_length=1, max_new_tokens=max_new_tokens)
    processor = case.constraint.for_rows([case.words], shape).processor
    generated = torch.full((1, 1), EOS)
    for token in (*ids, EOS)[:max_new_tokens]:
        scores = processor(generated, torch.zeros(1, len(case.written)))
        if scores[0, token] == -torch.inf:
            return False
        generated = torch.cat([generated, torch.tensor([[token]])], dim=1)
    return True


def plain(text: str, *, words: Sequence[str] = (), charset: int = 0, literals: int = 0, pieces: str = "") -> Case:
    return Case(charset, literals, tuple(words), tuple(p.encode() for p in pieces.split("|") if p), text, (1,))


@given(case=cases(), room=st.sampled_from([0, 1, 9]))
@settings(max_examples=250, deadline=None)
@example(case=plain("K가", words=["K"], literals=2), room=1)
@example(case=plain("#K 가", words=["K"], literals=1), room=1)
@example(case=plain("#大##大#", words=["#大#"]), room=1)
@example(case=plain("K.-a", words=["K.", "a"]), room=1)
@example(case=plain("3-K", words=["K"], literals=2), room=1)
@example(case=plain("#", words=["#"], charset=1, literals=1), room=0)
@example(case=plain("가K 3", words=["K"], pieces="가K|K 3"), room=0)
def test_language_is_the_text_without_foreign_places(case: Case, room: int) -> None:
    """Both directions, whatever the cut into tokens, and with no token more of room than the text needs."""
    ids = case.tokens()
    assert b"".join(case.written[token] for token in ids) == case.text.encode()
    limit = max(len(ids) + room, 1)
    assert allowed_steps(case, ids, max_new_tokens=limit) == (not case.foreign(case.text))


@given(case=cases(), seed=st.integers(0, 10**6), limit=st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_random_walks_end_in_clean_text(case: Case, seed: int, limit: int) -> None:
    """Whatever is drawn of what is allowed, a text that ends at the limit ends at a whole character."""
    processor = case.constraint.for_rows([case.words], GenerationShape(prompt_length=1, max_new_tokens=limit)).processor
    # The ends of words and unfinished characters are rare among all tokens: they are drawn more often.
    weights = torch.tensor([1.0 if token < 257 else 8.0 for token in range(len(case.written))])
    weights[torch.tensor([*set("Ka大é😀#".encode())])] = 8.0
    generator = torch.Generator().manual_seed(seed)
    ids = torch.full((1, 1), EOS)
    while ids.shape[1] <= limit and (ids.shape[1] == 1 or ids[0, -1] != EOS):
        scores = processor(ids, weights.log()[None].clone())
        ids = torch.cat([ids, torch.multinomial(scores.softmax(dim=-1), 1, generator=generator)], dim=1)
    text = b"".join(case.written[token] for token in ids[0, 1:].tolist()).decode()
    assert not case.foreign(text)


def entries(case: Case) -> tuple[int, Tensor]:
    tables = RowTablesBuilder(VocabularyIndex(case.constraint.tables), case.words).build()
    return len(tables.following), torch.from_numpy(tables.all_tokens)


def test_a_row_adds_only_what_its_words_need() -> None:
    """A token of the row's word that the common table does not know, and nothing else."""
    count, tokens = entries(plain("", words=["Ka"], pieces="Ka|가Ka|a가|K3|나"))
    # In order: the bytes K and a, then the pieces; `K3` breaks the word, `나` touches none.
    assert tokens.tolist() == [ord("K"), ord("a"), 257, 258, 259]
    assert 0 < count < 100
    assert entries(plain("", words=[]))[0] == 0
    # A word of the charset's own characters adds no token: it may be said anyway.
    assert entries(plain("", words=["가3"]))[1].tolist() == []


def test_cost_counts_tokens_to_the_end_of_the_word() -> None:
    """Inside `Kaé` the way to its end is two tokens by bytes and one by the piece `aé`."""
    case = plain("", words=["Kaé"], pieces="aé")
    constraint = case.constraint
    row = constraint.row_tables(case.words)
    assert row is not None
    start = constraint.tables.automaton.start
    place = row.tokens[start].tolist().index(ord("K"))
    assert row.cost[start][place] == 1
    inside = row.following[start, ord("K")]
    costs = dict(zip(row.tokens[inside].tolist(), row.cost[inside].tolist(), strict=True))
    assert costs == {ord("a"): 2, 257: 0}


def test_equal_bytes_are_equally_allowed() -> None:
    case = Case(0, 0, ("Ka",), (b"Ka", b"Ka", b"K"), "", (0,))
    row = case.constraint.row_tables(case.words)
    assert row is not None
    start = case.constraint.tables.automaton.start
    assert row.following[start, 257] == row.following[start, 258]
    assert row.following[start, ord("K")] == row.following[start, 259]


@pytest.mark.parametrize("words", [(), ("",), ("KTX", "")])
def test_empty_words_allow_nothing(words: tuple[str, ...]) -> None:
    case = plain("", words=words)
    row = case.constraint.row_tables(words)
    tokens = [] if row is None else row.all_tokens.tolist()
    assert tokens == sorted(map(ord, set("KTX"))) * ("KTX" in words)


def test_vocabulary_index_finds_ranges_of_a_prefix() -> None:
    written = [b"", b"b", b"ab", b"a", b"abc", b"a\xff", b"b", b"a\xff\xff"]
    index = VocabularyIndex(build_tables(build_automaton(CHARSETS[2], ["a", "b"]), written))
    expected = sorted((piece, place) for place, piece in enumerate(written) if piece)
    assert list(zip(index.pieces, index.ids, strict=True)) == expected
    for prefix in (b"", b"a", b"ab", b"b", b"a\xff", b"abc", b"c"):
        high = index.end_of(prefix)
        assert [piece for piece in index.pieces[:high] if not piece.startswith(prefix) and piece > prefix] == []
        assert all(not piece.startswith(prefix) for piece in index.pieces[high:])
    children = list(index.children(b"a", 0, index.end_of(b"a")))
    assert [(byte, index.pieces[low:high]) for byte, low, high in children] == [
        (ord("b"), [b"ab", b"abc"]),
        (0xFF, [b"a\xff", b"a\xff\xff"]),
    ]
    assert np.all(np.diff([low for _, low, _ in children]) > 0)
