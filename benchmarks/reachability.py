"""How many real references each rule on repetition leaves sayable, by tokenizer.

Run: python -m benchmarks.reachability TRAIN.csv DEV.csv --tokenizers DIR [--gguf FILE]

In: rows with references, and a folder with a tokenizer in each of its folders; those without a chat template are taken
for an encoder-decoder's. Out: a table of percentages, counted by the rules' own logits processors.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from kosum_pl.data import DEFAULT_CLEANING, Columns, read_dialogues
from kosum_pl.decode import DecodingPreset
from kosum_pl.decode.constraint.table_cache import default_cache_dir
from kosum_pl.decode.reachability.references import References
from kosum_pl.encode import (
    CausalEncoder,
    ChatPrompt,
    Encoder,
    Seq2SeqEncoder,
    SourcePrompt,
    TokenLimits,
    load_tokenizer,
)
from kosum_pl.types import Dialogue

LIMITS = TokenLimits(max_source_tokens=1536, max_summary_tokens=192)
RULES = {
    f"{unit} {size}": DecodingPreset(
        name=f"{unit}{size}", no_repeat_ngram_size=size, no_repeat_ngram_unit=unit, max_new_tokens=1_000_000
    )
    for unit, sizes in (("token", (3, 4, 6)), ("word", (2, 3)))
    for size in sizes
}


def encoders(tokenizers: Path, gguf: Path | None) -> Iterator[tuple[str, Encoder]]:
    """An encoder for each tokenizer."""
    for folder in sorted(path.parent for path in tokenizers.glob("*/tokenizer.json")):
        tokenizer, _ = load_tokenizer(str(folder))
        is_causal = tokenizer.chat_template is not None
        yield (
            folder.name,
            CausalEncoder(tokenizer, ChatPrompt()) if is_causal else Seq2SeqEncoder(tokenizer, SourcePrompt()),
        )
    if gguf is not None:
        tokenizer, _ = load_tokenizer(str(gguf.parent), gguf_file=gguf.name)
        template = Path(__file__).with_name("gemma.jinja")
        yield gguf.stem, CausalEncoder(tokenizer, ChatPrompt(template_file=str(template)))


def read_rows(files: Sequence[Path]) -> list[Dialogue]:
    """Rows of several files."""
    read = partial(read_dialogues, columns=Columns(), cleaning=DEFAULT_CLEANING, on_bad_rows="error")
    dialogues: list[Dialogue] = []
    for path in files:
        table = read(str(path), needs_summary=True, split=path.stem, cache_dir=default_cache_dir())
        dialogues += (table[index] for index in range(len(table)))
    return dialogues


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path, nargs="+")
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--gguf", type=Path)
    options = parser.parse_args(arguments)
    dialogues = read_rows(options.rows)
    print(f"{len(dialogues):,} references", f"| tokenizer | {' | '.join(RULES)} |", sep="\n\n")
    print("| --- " * (len(RULES) + 1) + "|")
    for name, encoder in encoders(options.tokenizers, options.gguf):
        references = References(dialogues, encoder=encoder, constraint=None, limits=LIMITS)
        shares = (f"{references.share(preset):.1%}" for preset in RULES.values())
        print(f"| {name} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
