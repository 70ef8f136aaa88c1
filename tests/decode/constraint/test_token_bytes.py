"""Bytes of tokens, held against what the tokenizers themselves write."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from kosum_pl.decode.constraint.token_bytes import token_bytes, vocabulary_fingerprint

TokenizerOf = Callable[[str], PreTrainedTokenizerFast]
KINDS = ("byte_level", "fallback_bpe", "metaspace_bpe", "metaspace_unigram", "word_piece")
BYTE_KINDS = ("byte_level", "fallback_bpe")


def words(tokens: list[str], decoder: object) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words with this decoder."""
    names = ["<unk>", "</s>", *tokens]
    backend = tokenizers.Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if decoder is not None:
        backend.decoder = decoder
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>")


@pytest.mark.parametrize("kind", KINDS)
def test_a_known_text_is_written_as_it_was_read(tokenizer_of: TokenizerOf, kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    written = token_bytes(tokenizer)
    assert len(written) == len(tokenizer)
    assert [written[index] for index in range(4)] == [b""] * 4, "control tokens write nothing"
    text = "회의가 길어져서 다시 만나기로 했다"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) > 3
    assert b"".join(written[index] for index in ids).decode().removeprefix(" ") == text


@pytest.mark.parametrize("kind", BYTE_KINDS)
@given(text=st.text(st.characters(exclude_categories=["Cs"]).filter(lambda char: char != "▁"), max_size=20))
@settings(max_examples=60, deadline=None)
def test_vocabularies_with_bytes_write_any_text(tokenizer_of: TokenizerOf, kind: str, text: str) -> None:
    tokenizer = tokenizer_of(kind)
    written = token_bytes(tokenizer)
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    ours = b"".join(written[index] for index in ids).decode()
    assert ours == (f" {text}" if kind == "fallback_bpe" and text else text)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.lists(st.integers(4, 10**6), max_size=12))
@settings(max_examples=60, deadline=None)
def test_random_ids_write_what_the_tokenizer_decodes(tokenizer_of: TokenizerOf, kind: str, seed: list[int]) -> None:
    """And where the bytes are broken, the tokenizer says so as well."""
    tokenizer = tokenizer_of(kind)
    written = token_bytes(tokenizer)
    ids = [4 + index % (len(tokenizer) - 4) for index in seed]
    if kind == "word_piece" and ids and not written[ids[0]].startswith(b" "):
        return  # the decoder writes the `##` of a first token
    ours = b"".join(written[index] for index in ids).decode("utf-8", "replace")
    own = tokenizer.decode(ids)
    # Byte fallback gives up a whole run of bytes where one is broken.
    assert "\ufffd" in own if "\ufffd" in ours else ours.strip() == own.strip()


def test_fallback_bytes_and_fragments(tokenizer_of: TokenizerOf) -> None:
    fallback, byte_level = tokenizer_of("fallback_bpe"), tokenizer_of("byte_level")
    at = fallback.convert_tokens_to_ids
    assert [token_bytes(fallback)[at(f"<0x{byte:02X}>")] for byte in (0, 10, 0xEA)] == [b"\0", b"\n", b"\xea"]
    assert {bytes([byte]) for byte in range(256)} <= set(token_bytes(byte_level))
    assert token_bytes(tokenizer_of("word_piece"))[at("<unk>")] == b""


def test_added_tokens_write_their_text_and_control_tokens_nothing() -> None:
    tokenizer = words(["안녕", "##는"], decoders.WordPiece())
    tokenizer.add_tokens(["#Person1#", "▁Ġ"])
    special = [AddedToken("<|turn|>", special=True), AddedToken("#Person2#", special=True)]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    written = dict(zip(tokenizer.convert_ids_to_tokens(range(len(tokenizer))), token_bytes(tokenizer), strict=True))
    assert written == {
        "<unk>": b"",
        "</s>": b"",
        "안녕": " 안녕".encode(),
        "##는": "는".encode(),
        "#Person1#": b"#Person1#",
        "▁Ġ": "▁Ġ".encode(),
        "<|turn|>": b"",
        # A tag is data, whatever the tokenizer calls it.
        "#Person2#": b"#Person2#",
    }


@pytest.mark.parametrize(
    ("decoder", "named"), [(decoders.BPEDecoder(), "BPEDecoder"), (decoders.CTC(), "CTC"), (None, "missing")]
)
def test_an_unknown_kind_is_refused_by_class(decoder: object, named: str) -> None:
    with pytest.raises(ValueError, match="neither byte-level") as caught:
        token_bytes(words(["안녕"], decoder))
    message = str(caught.value)
    name = type(words(["안녕"], decoder)).__name__
    assert f"tokenizer {name}:" in message
    assert named in message
    assert "\n" not in message


def test_a_known_kind_with_another_spelling_is_refused() -> None:
    """A decoder of a known name that writes other text than we read: no silent leak."""
    tokenizer = words(["_안녕", "_나는", "_12시"], decoders.Metaspace(replacement="_"))
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="_")
    with pytest.raises(ValueError, match="its tokens write"):
        token_bytes(tokenizer)


def test_fingerprint_follows_the_content(tokenizer_of: TokenizerOf) -> None:
    make = lambda tokens, decoder=None: words(tokens, decoder or decoders.WordPiece())  # noqa: E731
    base = vocabulary_fingerprint(make(["안녕", "나"]))
    assert base == vocabulary_fingerprint(make(["안녕", "나"]))
    changed = make(["안녕", "나"])
    changed.add_tokens(["#Person1#"])
    others = [make(["나", "안녕"]), make(["안녕"]), make(["안녕", "나"], decoders.Metaspace()), changed]
    assert len({base, *map(vocabulary_fingerprint, others)}) == 5
    assert len({vocabulary_fingerprint(tokenizer_of(kind)) for kind in KINDS}) == len(KINDS)
