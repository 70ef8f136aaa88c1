from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from kosum_pl.decode import ConstraintSettings
from kosum_pl.decode.constraint.minimal import DEAD
from kosum_pl.decode.constraint.tables import TokenTables
from kosum_pl.decode.constraint.vocabulary import Vocabulary, split_unwritable
from kosum_pl.encode import Seq2SeqEncoder, SourcePrompt, load_tokenizer
from tests.decode.driver import is_accepted

PIECES = [char.encode()[start:end] for char in ("가", "각", "나") for start, end in itertools.combinations(range(4), 2)]


def spell(pieces: frozenset[bytes], target: bytes) -> bool:
    """Independent of the code under test: every sequence of up to four pieces."""
    return any(
        b"".join(sequence) == target for length in range(1, 5) for sequence in itertools.product(pieces, repeat=length)
    )


@given(st.frozensets(st.sampled_from([*PIECES, b" ", " 나".encode(), "가각".encode()]), max_size=6))
def test_what_is_spelt_is_found(pieces: frozenset[bytes]) -> None:
    missing, bound = split_unwritable("가각나", pieces)
    for char in "가각나":
        is_inside = any(char in piece.decode(errors="ignore") for piece in pieces)
        if spell(pieces, char.encode()):
            assert char not in missing + bound
        else:
            assert (char in bound) is (is_inside or spell(pieces, f" {char}".encode()))
            assert (char in missing) is (char not in bound)


def small_tokenizer(*, is_narrowing: bool = False) -> PreTrainedTokenizerFast:
    """Characters alone, some of them only in one place, without a way to fall back on bytes."""
    names = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"가나다안녕는시12.KTXJimy", "▁라", "느꼈", "…"]
    merges = [("▁", "라"), ("느", "꼈")]
    names += ["라", "느", "꼈"]
    backend = Tokenizer(
        models.BPE(vocab={name: place for place, name in enumerate(names)}, merges=merges, unk_token="<unk>")
    )
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    if is_narrowing:
        backend.normalizer = normalizers.NFKC()
    roles = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False, **roles)


def vocabulary(settings: ConstraintSettings | None = None, *, is_narrowing: bool = False) -> Vocabulary:
    encoder = Seq2SeqEncoder(small_tokenizer(is_narrowing=is_narrowing), SourcePrompt())
    return Vocabulary(encoder, settings or ConstraintSettings())


def walk(tables: TokenTables, target: bytes) -> bool:
    """Whether some path of tokens leads from the start along these bytes to where a text may end."""
    places = {(tables.automaton.start, 0)}
    for place in range(len(target)):
        for state, _ in [item for item in places if item[1] == place]:
            for column, token in enumerate(tables.columns):
                piece, following = tables.written[token], int(tables.following[state, column])
                if following != DEAD and target.startswith(piece, place):
                    places.add((following, place + len(piece)))
    return any(place == len(target) and tables.automaton.is_accepting[state] for state, place in places)


def test_unwritable_characters_are_those_that_no_path_of_the_tables_spells() -> None:
    settings = ConstraintSettings(charset="korean", ranges=("U+4E00-U+4E10",))
    seen = vocabulary(settings)
    report = seen.report
    points = sorted(settings.character_set.code_points)
    sample = [chr(point) for point in points if chr(point) in "가나라느꼈…뷁ㅋ12.!" or point % 97 == 0]
    spelt = {char for char in sample if walk(seen._constraint.tables, char.encode())}
    assert {"가", "라", "꼈", "1", "…"} <= spelt
    assert {"뷁", "ㅋ", "一", "!"} & set(sample) <= set(report.unwritable)
    assert spelt.isdisjoint(report.unwritable + report.bound)
    assert set(sample) - spelt <= set(report.unwritable + report.bound)
    assert report.num_syllables == 11_172 - len("가나다안녕는시라느꼈")
    assert (report.num_tokens, report.num_allowed) == (28, 17)


def test_a_summary_is_accepted_as_the_tokenizer_writes_it() -> None:
    seen = vocabulary(is_narrowing=True)
    assert seen.write("가나 다.").is_accepted
    assert not seen.write("가뷁").is_accepted
    assert not seen.write("KTX").is_accepted
    assert seen.write("KTX", ["KTX"]).is_accepted
    assert not seen.write("KTX", ["TX"]).is_accepted
    assert not seen.write("KTX 뷁", ["KTX"]).is_accepted
    assert [seen.write(text).is_rewritten for text in ("가나 다.", "１시", " 가 ")] == [False, True, False]


def test_terminators_within_a_summary_are_refused() -> None:
    encoder = Seq2SeqEncoder(small_tokenizer(), SourcePrompt())
    encoder.terminator_ids = (encoder.tokenizer.convert_tokens_to_ids("."), encoder.tokenizer.eos_token_id)
    seen = Vocabulary(encoder, ConstraintSettings())
    assert seen.write("가나").is_accepted
    assert not seen.write("가나.").is_accepted
    assert "." in seen.report.unwritable


def test_a_static_mask_loses_what_needs_pieces(repository: Path) -> None:
    tokenizer, _ = load_tokenizer("demo:bart")
    encoder = Seq2SeqEncoder(tokenizer, SourcePrompt())
    exact = Vocabulary(encoder, ConstraintSettings())
    static = Vocabulary(encoder, ConstraintSettings(kind="static_mask"))
    leaking = Vocabulary(encoder, ConstraintSettings(kind="static_mask", allow_fragments=True))
    assert (exact.report.unwritable, leaking.report.unwritable) == ("", "")
    assert "뷁" in static.report.unwritable
    assert [seen.write("뷁").is_accepted for seen in (exact, static, leaking)] == [True, False, True]
    assert static.write("Jimmy", ["Jimmy"]).is_accepted
    assert not static.write("Jimmy").is_accepted


@pytest.mark.parametrize(
    "text", ["KTX로 간다", "KTXX", "Jimmy와 KTX", "Wi-Fi와 Wi", "Wi-", "가KTX나 5km", "漢字", "15km", "뷁 5km."]
)
def test_words_of_a_row_are_accepted_as_its_tables_do(text: str) -> None:
    words = ["KTX", "Wi-Fi", "Wi", "5km"]
    tokenizer, _ = load_tokenizer("demo:bart")
    seen = Vocabulary(Seq2SeqEncoder(tokenizer, SourcePrompt()), ConstraintSettings())
    expected = is_accepted(seen._constraint, seen.summary_ids(text), words)
    assert seen.write(text, words).is_accepted is expected


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "kind", "num_syllables"),
    [
        ("kobart", "automaton", 6_295),
        ("qwen3", "automaton", 0),
        ("llama3_1", "automaton", 0),
        ("llama3_1", "static_mask", 10_494),
        ("qwen3", "static_mask", 8_660),
    ],
)
def test_real_vocabularies(shared_dir: Path, name: str, kind: str, num_syllables: int) -> None:
    tokenizer, _ = load_tokenizer(str(shared_dir / "tokenizers" / name))
    encoder = Seq2SeqEncoder(tokenizer, SourcePrompt())
    report = Vocabulary(encoder, ConstraintSettings(kind=kind)).report  # type: ignore[arg-type]
    assert report.num_syllables == num_syllables
    assert not (kind == "automaton" and name != "kobart" and report.unwritable + report.bound)
    assert report.load_seconds < report.build_seconds
