"""Tables on disk: the same as built, never another's, and no file is worse than none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint import table_cache
from kosum_pl.decode.constraint.table_cache import default_cache_dir, load_tables
from kosum_pl.decode.constraint.tables import TokenTables
from kosum_pl.decode.literals import DEFAULT_LITERALS

TokenizerOf = Callable[[str], PreTrainedTokenizerFast]


def content(tables: TokenTables) -> dict[str, object]:
    values = {**vars(tables.automaton), **vars(tables), "written": list(tables.written)}
    del values["automaton"]
    return {
        name: (value.dtype.str, value.tolist()) if isinstance(value, np.ndarray) else value
        for name, value in values.items()
    }


def load(tokenizer: PreTrainedTokenizerFast, folder: Path) -> TokenTables:
    return load_tables(tokenizer, charset=Charset(), literals=DEFAULT_LITERALS, cache_dir=folder)


@pytest.fixture
def forbid_building(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forbid() -> None:
        def fail(*_: object) -> None:
            raise AssertionError("built again")

        monkeypatch.setattr(table_cache, "build_tables", fail)

    return forbid


@pytest.mark.parametrize("kind", ["byte_level", "metaspace_unigram"])
def test_the_second_load_reads_the_same(
    tokenizer_of: TokenizerOf, tmp_path: Path, forbid_building: Callable[[], None], kind: str
) -> None:
    folder = tmp_path / "deep" / "cache"
    first = content(load(tokenizer_of(kind), folder))
    assert [path.suffix for path in folder.iterdir()] == [".npz"], "one file, and nothing half written"
    forbid_building()
    assert content(load(tokenizer_of(kind), folder)) == first
    with pytest.raises(AssertionError, match="built again"):
        load_tables(tokenizer_of(kind), charset=Charset(), cache_dir=folder)


def test_what_decides_the_content_decides_the_file(tokenizer_of: TokenizerOf, tmp_path: Path) -> None:
    tokenizer, other = tokenizer_of("byte_level"), tokenizer_of("fallback_bpe")
    for charset, literals in ((Charset(), ()), (Charset(characters="é"), ()), (Charset(), ("#K#",))):
        load_tables(tokenizer, charset=charset, literals=literals, cache_dir=tmp_path)
    load_tables(other, charset=Charset(), cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    # The same set, the same literals, written in another way.
    load_tables(tokenizer, charset=Charset(ranges=("가-힣",)), literals=(), cache_dir=tmp_path)
    load_tables(tokenizer, charset=Charset(), literals=("#K#", "#K#"), cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_broken_file_is_built_again(tokenizer_of: TokenizerOf, tmp_path: Path) -> None:
    tokenizer, random = tokenizer_of("byte_level"), Random(0)
    first = content(load(tokenizer, tmp_path))
    (path,) = tmp_path.iterdir()
    sound = path.read_bytes()
    broken = [b"", b"no archive", sound[: len(sound) // 2], sound[:-1], sound[1:], b"PK\x03\x04" * 9]
    for _ in range(10):
        place = random.randrange(len(sound))
        broken.append(sound[: random.randrange(len(sound))])
        broken.append(sound[:place] + bytes([sound[place] ^ (1 << random.randrange(8))]) + sound[place + 1 :])
    for data in broken:
        path.write_bytes(data)
        assert content(load(tokenizer, tmp_path)) == first
    np.savez(path.with_suffix(""), start=np.array(0))
    assert content(load(tokenizer, tmp_path)) == first
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_costs_nothing_else(tokenizer_of: TokenizerOf, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    first = content(load(tokenizer_of("byte_level"), in_the_way / "cache"))
    assert first == content(load(tokenizer_of("byte_level"), tmp_path))


def test_the_default_folder(tokenizer_of: TokenizerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOSUM_CACHE", str(tmp_path / "own"))
    assert default_cache_dir() == tmp_path / "own"
    load_tables(tokenizer_of("byte_level"), charset=Charset())
    assert len(list((tmp_path / "own").iterdir())) == 1
    monkeypatch.delenv("KOSUM_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "kosum_pl"
