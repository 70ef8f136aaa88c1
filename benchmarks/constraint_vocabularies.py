"""Vocabularies for the benchmark of constraints, and the texts that are walked through them.

In: a folder of tokenizers, or none. Out: tokenizers with their tables and what it took to get these; random texts of
allowed tokens; words for rows. Without a folder a byte-level vocabulary of 128,000 tokens is made here: syllables,
words and pieces of characters among other scripts, in about the shares of a large multilingual vocabulary.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from benchmarks.timing import grown_mib, resident_mib, seconds_of
from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint.kinds import AutomatonConstraint
from kosum_pl.decode.constraint.minimal import DEAD
from kosum_pl.decode.constraint.row_tables import RowTables
from kosum_pl.decode.constraint.table_cache import load_tables
from kosum_pl.decode.literals import DEFAULT_LITERALS

PROMPT_LENGTH = 8
NUM_ROW_WORDS = 5
_SIZE = 128_000


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """A tokenizer and the constraint of Korean text on it."""

    name: str
    tokenizer: Any
    constraint: AutomatonConstraint

    @cached_property
    def size(self) -> int:
        """Tokens."""
        return len(self.tokenizer)

    def walks(self, num_rows: int, num_tokens: int) -> tuple[Tensor, float]:
        """Prompts and random allowed tokens behind them, (N, P + T), and the share of steps within a character."""
        draw = np.random.default_rng(num_rows)
        tables = self.constraint.tables
        tracker = self.constraint.tracker([[]] * num_rows, prompt_length=PROMPT_LENGTH)
        # An end would leave nothing to walk on.
        is_open = ~np.isin(tables.columns, self.constraint.eos_token_ids)
        ids = np.zeros((num_rows, PROMPT_LENGTH + num_tokens), dtype=np.int64)
        within = []
        for row in range(num_rows):
            state = tables.automaton.start
            for place in range(PROMPT_LENGTH, ids.shape[1]):
                allowed = tables.columns[(tables.following[state] != DEAD) & is_open]
                ids[row, place] = draw.choice(allowed)
                state = tracker.step(state, int(ids[row, place]), row=row)
                within.append(not tables.automaton.is_accepting[state])
        return torch.from_numpy(ids), float(np.mean(within))


def row_words(num_rows: int) -> list[list[str]]:
    """Five words a row, other ones in each: like KTX, Jimmy, 5km, Wi-Fi and PPT."""
    draw = random.Random(0)

    def letters(count: int) -> str:
        return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=count))

    return [
        [
            letters(3).upper(),
            letters(5).capitalize(),
            f"{draw.randint(1, 999)}km",
            f"{letters(2).capitalize()}-{letters(2).capitalize()}",
            f"PP{letters(1).upper()}",
        ]
        for _ in range(num_rows)
    ]


def load_vocabularies(folder: Path | None, *, num_loads: int) -> tuple[dict[str, Vocabulary], dict[str, Any]]:
    """Llama 3.1's and Qwen3's vocabularies, or the one made here; and what their tables took.

    Args:
        folder: Has `llama3_1` and `qwen3`; None for the one made here.
        num_loads: How often tables are read from the cache for a median.
    """
    if folder is not None:
        found = {name: AutoTokenizer.from_pretrained(folder / name) for name in ("llama3_1", "qwen3")}
    else:
        found = {"made_here": byte_level_tokenizer(_SIZE)}
    vocabularies, costs = {}, {}
    for name, tokenizer in found.items():
        vocabularies[name], costs[name] = measured_vocabulary(name, tokenizer, num_loads=num_loads)
    return vocabularies, costs


def measured_vocabulary(name: str, tokenizer: Any, *, num_loads: int) -> tuple[Vocabulary, dict[str, Any]]:
    """A vocabulary, and seconds and memory of its tables."""
    rss = resident_mib()
    with tempfile.TemporaryDirectory() as folder:

        def load() -> Any:
            return load_tables(tokenizer, charset=Charset(), literals=DEFAULT_LITERALS, cache_dir=Path(folder))

        build_s, tables = seconds_of(load)
        load_s = statistics.median(seconds_of(load)[0] for _ in range(num_loads))
    grown = grown_mib(rss)
    constraint = AutomatonConstraint(tables, eos_token_ids=[tokenizer.eos_token_id])
    index_s, _ = seconds_of(lambda: constraint.vocabulary.heads)
    rss = resident_mib()
    rows_s, rows = seconds_of(lambda: [constraint.row_tables(words) for words in row_words(32)])
    costs = {
        "num_tokens": len(tokenizer),
        "num_states": len(tables.distance),
        "num_columns": len(tables.columns),
        "build_s": build_s,
        "load_s": load_s,
        "vocabulary_index_s": index_s,
        "row_tables_32x5_s": rows_s,
        "memory_mib": {
            "tables": round((tables.following.nbytes + tables.cost.nbytes + tables.columns.nbytes) / 2**20, 2),
            "token_bytes": round(sum(map(sys.getsizeof, tables.written)) / 2**20, 2),
            "row_tables_32x5": round(sum(map(_bytes_of, rows)) / 2**20, 2),
            "process_growth_build_and_load": grown,
            "process_growth_row_tables_32x5": grown_mib(rss),
        },
    }
    return Vocabulary(name=name, tokenizer=tokenizer, constraint=constraint), costs


def _bytes_of(row: RowTables | None) -> int:
    if row is None:
        return 0
    entries = sum(map(sys.getsizeof, row.following))
    arrays = sum(array.nbytes for kind in (row.tokens, row.cost) for array in kind.values())
    return sys.getsizeof(row.following) + entries + sys.getsizeof(row.common) + arrays


def byte_level_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """A byte-level vocabulary of `size` tokens: all bytes, pieces and runs of syllables, then other scripts."""
    draw = random.Random(0)
    table = _byte_table()
    syllables = [chr(point) for point in range(0xAC00, 0xD7A4)]
    written = [bytes([byte]) for byte in range(256)]
    written += sorted({char.encode()[:2] for char in syllables})
    written += [f" {char}".encode()[:3] for char in draw.sample(syllables, min(size // 1000, 100))]
    common = draw.sample(syllables, min(2_350, size // 40))
    written += [text.encode() for char in common[: size // 100] for text in (char, f" {char}")]
    written += ["".join(draw.choices(common, k=2)).encode() for _ in range(size // 50)]
    alphabets = ["abcdefghijklmnopqrstuvwxyz", "абвгдежзиклмнопрстуфхцчшыэюя", "あいうえおかきくけこさしすせそ"]
    alphabets.append("".join(map(chr, range(0x4E00, 0x5600))))
    seen = dict.fromkeys(written)
    while len(seen) < size - 1:
        alphabet = draw.choice(alphabets)
        seen[(draw.choice(["", " "]) + "".join(draw.choices(alphabet, k=draw.randint(1, 6)))).encode()] = None
    names = ["".join(table[byte] for byte in piece) for piece in list(seen)[: size - 1]]
    vocabulary = {name: place for place, name in enumerate([*names, "<|end|>"])}
    backend = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|end|>"])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>")


def _byte_table() -> Sequence[str]:
    """GPT-2's character of each byte."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(hidden)) for byte in range(256)]
