"""Real rows and tokenizers of the shared folder, for tests marked `shared`."""

from __future__ import annotations

from pathlib import Path

from kosum_pl.data import DEFAULT_CLEANING, Columns, DialogueTable, read_dialogues
from kosum_pl.encode import CausalEncoder, ChatPrompt, Encoder, Seq2SeqEncoder, SourcePrompt, load_tokenizer


def shared_rows(shared_dir: Path, split: str, *, cache_dir: Path) -> DialogueTable:
    """All rows of a split, `train` or `dev`."""
    return read_dialogues(
        str(shared_dir / "data" / f"{split}.csv"),
        columns=Columns(),
        cleaning=DEFAULT_CLEANING,
        on_bad_rows="error",
        needs_summary=True,
        split=split,
        cache_dir=cache_dir,
    )


def shared_encoder(shared_dir: Path, name: str) -> Encoder:
    """A tokenizer's encoder; one without a chat template is an encoder-decoder's."""
    tokenizer, _ = load_tokenizer(str(shared_dir / "tokenizers" / name))
    if tokenizer.chat_template is None:
        return Seq2SeqEncoder(tokenizer, SourcePrompt())
    return CausalEncoder(tokenizer, ChatPrompt())
