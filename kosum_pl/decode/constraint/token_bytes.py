"""What each token of a vocabulary writes, as bytes.

In: a tokenizer. Out: one byte string an id; empty for what writes nothing (control tokens, the unknown token). A
byte-level token may be a piece of a character, so text is no help here: decoded alone it is U+FFFD.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, Final

from kosum_pl.encode.text import is_control_shaped

_BYTE_PIECE: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE_MARK: Final = "▁"
_PROBE: Final = "안녕 나는 12시"


def token_bytes(tokenizer: Any) -> list[bytes]:
    """Bytes of every id, in order of ids.

    Byte-level BPE by the inverse of GPT-2's table, SentencePiece (`▁` a space, `<0xNN>` a byte where the vocabulary
    falls back on bytes) and WordPiece (`##` continues a word, anything else follows a space). Added tokens write
    their text, control tokens nothing.

    Raises:
        ValueError: A kind of vocabulary that is not known; the message names the tokenizer's class.
    """
    read = _reader(tokenizer)
    added = {int(index): str(token.content) for index, token in tokenizer.added_tokens_decoder.items()}
    silent = _silent_ids(tokenizer)
    written = []
    for index, token in enumerate(tokenizer.convert_ids_to_tokens(range(len(tokenizer)))):
        if index in silent or token is None:
            written.append(b"")
        elif index in added:
            written.append(added[index].encode("utf-8", "surrogatepass"))
        else:
            written.append(read(token))
    _check(tokenizer, written)
    return written


def vocabulary_fingerprint(tokenizer: Any) -> str:
    """Hash (hex) of what decides `token_bytes`: tokens by id, added tokens, and how they are decoded."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    # The backend's own lookup takes half the time of a dictionary of all tokens.
    read = tokenizer.convert_ids_to_tokens if backend is None else backend.id_to_token
    tokens = [read(index) or "" for index in range(len(tokenizer))]
    content = hashlib.sha256("\n".join(tokens).encode("utf-8", "surrogatepass"))
    added = sorted((int(index), str(token.content)) for index, token in tokenizer.added_tokens_decoder.items())
    content.update(repr([added, sorted(_silent_ids(tokenizer)), _decoder(tokenizer)]).encode("utf-8", "surrogatepass"))
    return content.hexdigest()


def _silent_ids(tokenizer: Any) -> set[int]:
    """Ids that write nothing: named ones, and added tokens of the form `<…>`; tags are data even if called special."""
    names = ("bos", "eos", "pad", "unk", "cls", "sep", "mask")
    ids = {getattr(tokenizer, f"{name}_token_id", None) for name in names}
    added = tokenizer.added_tokens_decoder.items()
    shaped = {int(index) for index, token in added if is_control_shaped(str(token.content))}
    return {int(index) for index in ids if index is not None} | shaped


def _decoder(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return "sentencepiece" if hasattr(tokenizer, "sp_model") else ""
    return "" if backend.decoder is None else backend.decoder.__getstate__().decode()


def _reader(tokenizer: Any) -> Callable[[str], bytes]:
    """How a token of this vocabulary becomes bytes."""
    decoder = _decoder(tokenizer)
    kinds = set(_kinds(json.loads(decoder))) if decoder.startswith("{") else {decoder}
    if "ByteLevel" in kinds:
        return _byte_level_reader()
    if "WordPiece" in kinds:
        return _read_word_piece
    if "ByteFallback" in kinds or (not decoder.startswith("{") and "<0x0A>" in tokenizer.get_vocab()):
        return _read_fallback_piece
    if kinds & {"Metaspace", "sentencepiece"} or (
        "Replace" in kinds and kinds <= {"Sequence", "Replace", "Fuse", "Strip"}
    ):
        return _read_piece
    raise ValueError(
        f"tokenizer {type(tokenizer).__name__}: neither byte-level BPE nor SentencePiece nor WordPiece "
        f"(its decoder is {', '.join(sorted(kinds)) or 'missing'}); set model.constraint to null"
    )


def _kinds(decoder: dict[str, Any]) -> list[str]:
    return [str(decoder["type"]), *(kind for part in decoder.get("decoders", []) for kind in _kinds(part))]


def _byte_level_reader() -> Callable[[str], bytes]:
    # GPT-2 writes a byte as a printable character: itself where it is printable, else one from U+0100 on.
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in set(printable)]
    table = {**{byte: byte for byte in printable}, **{0x100 + index: byte for index, byte in enumerate(hidden)}}
    return lambda token: token.translate(table).encode("latin-1")


def _read_piece(token: str) -> bytes:
    return token.replace(_SPACE_MARK, " ").encode("utf-8", "surrogatepass")


def _read_fallback_piece(token: str) -> bytes:
    found = _BYTE_PIECE.fullmatch(token)
    return bytes([int(found.group(1), 16)]) if found else _read_piece(token)


def _read_word_piece(token: str) -> bytes:
    return token[2:].encode() if token.startswith("##") else f" {token}".encode()


def _check(tokenizer: Any, written: list[bytes]) -> None:
    """Compare the bytes with the tokenizer's own text, so that a wrong reading is no silent leak."""
    ids = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    own = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip()
    ours = b"".join(written[index] for index in ids).decode("utf-8", "replace").strip()
    if ours != own:
        raise ValueError(
            f"tokenizer {type(tokenizer).__name__}: its tokens write {ours!r} where it decodes {own!r}; this kind of "
            "vocabulary is not known, set model.constraint to null"
        )
