"""`python -m kosum_pl.demo [--output DIR]`: make the demo's files again from their seed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kosum_pl.demo.corpus import make_corpus, write_corpus

FILES: Final = Path(__file__).resolve().parent / "files"


def write_demo(folder: Path) -> None:
    """Write all files of the demo, replacing those that exist: three CSV files, `bart/` and `llama/`."""
    from kosum_pl.demo.models import write_models
    from kosum_pl.demo.tokenizer import train_tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    corpus, clean = make_corpus(), make_corpus(foreign_share=0)["train"]
    write_corpus(folder, corpus)
    # Clean rows as a whole and the foreign words besides: no Korean word is to lose its merges.
    texts = [text for row in clean for text in (row.dialogue, *row.summaries)]
    texts += [text for old, row in zip(clean, corpus["train"], strict=True) if row != old for text in row.summaries]
    write_models(folder, train_tokenizer(texts))


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m kosum_pl.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=FILES, help="folder to write into (default: the package's)")
    folder = parser.parse_args(arguments).output
    write_demo(folder)
    print(f"demo files written to {folder}")


if __name__ == "__main__":
    main()
