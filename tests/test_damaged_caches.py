"""Every kind of file in the cache, damaged in every place: the values of a fresh build, and one line that says so."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from kosum_pl.__main__ import main
from kosum_pl.cache import read_sealed
from kosum_pl.data import TopicSettings, find_clusters
from kosum_pl.data.stored import ROWS_FILE, SUMMARY_FILE
from kosum_pl.data.table import REJECTED_FILE
from kosum_pl.decode import ConstraintSettings, DecodingPreset, DecodingSettings, PresetRouter
from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint.table_cache import load_tables
from kosum_pl.decode.reachability.split import measure_split
from kosum_pl.encode.table import encode_table
from tests.damage import damages, overwrite
from tests.data.tables import read_table
from tests.modules_fixtures import LIMITS, small_module
from tests.tiny_config import tiny_config

WORDS = ["비행기", "공항", "여권", "병원", "의사", "기침"]
FREE = PresetRouter(forced=DecodingPreset(name="free"))
DECODING = DecodingSettings(router=FREE, fit_router=FREE, constraint=ConstraintSettings())
Load = Callable[[Path], Any]


def plain(value: Any) -> Any:
    """Arrays and what holds them as values that compare."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tolist()
    return {name: plain(each) for name, each in vars(value).items()} if hasattr(value, "__dict__") else value


@pytest.fixture
def loads(tmp_path: Path) -> Mapping[str, Load]:
    """For each kind of file a function that loads it from a cache folder."""
    path = tmp_path / "train.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [(f"row_{n}", f"#Person1#: {word} {WORDS[n % 3]}에 가요.", f"{word}에 간다.") for n, word in
                enumerate(WORDS * 3)]  # fmt: skip
        csv.writer(file).writerows([("fname", "dialogue", "summary"), *rows, ("row_x", "", "없다.")])
    encoder = small_module("seq2seq").encoder
    table = read_table(path, tmp_path / "other cache", on_bad_rows="drop")

    def load_rows(folder: Path) -> Any:
        found = read_table(path, folder, on_bad_rows="drop")
        return list(found), found.rejected, found.num_rejected, found.profile_columns

    def load_encoded(folder: Path) -> Any:
        found = encode_table(table, encoder=encoder, limits=LIMITS, with_summary=True, cache_dir=folder)
        return [found[index] for index in range(len(found))], found.counts

    def load_reachability(folder: Path) -> Any:
        return measure_split(table, encoder=encoder, limits=LIMITS, decoding=DECODING, max_rows=9, cache_dir=folder)

    topics = TopicSettings(num_clusters=2, max_share=0.9)
    return {
        "rows": load_rows,
        "encoded": load_encoded,
        "constraint": lambda folder: plain(load_tables(encoder.tokenizer, charset=Charset(), cache_dir=folder)),
        "reachability": load_reachability,
        "topics": lambda folder: plain(
            find_clusters(topics, output_dir=None, read_train=lambda: table, cache_dir=folder)
        ),
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("rows", name) for name in (ROWS_FILE, SUMMARY_FILE, REJECTED_FILE)),
        *(("encoded", name) for name in (ROWS_FILE, SUMMARY_FILE)),
        *((kind, "*") for kind in ("constraint", "reachability", "topics")),
    ],
)
def test_a_damaged_file_is_built_again_and_said(
    loads: Mapping[str, Load], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, name: str
) -> None:
    load, folder = loads[kind], tmp_path / "cache"
    expected = load(folder)
    assert expected == load(tmp_path / "another cache")
    path = next(path for path in folder.rglob(name) if path.is_file())
    entry = path.parent if kind in ("rows", "encoded") else path
    sound, names = path.read_bytes(), sorted(folder.rglob("*"))
    capsys.readouterr()
    for damaged in damages(sound, num_flips=14, num_cuts=5):
        overwrite(path, damaged)
        assert load(folder) == expected
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"kosum_pl: warning: {entry} ")
        assert line.endswith("; it is built again")
        if entry != path:
            assert path.name in line
        # Nothing but the same files, whole: it is not said twice.
        assert load(folder) == expected
        assert capsys.readouterr().err == ""
        assert sorted(folder.rglob("*")) == names


@pytest.mark.parametrize("kind", ["rows", "encoded"])
def test_a_table_of_an_older_version_is_built_once_and_said(
    loads: Mapping[str, Load], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    load, folder = loads[kind], tmp_path / "cache"
    expected = load(folder)
    (path,) = folder.rglob(SUMMARY_FILE)
    values = json.loads(read_sealed(path))
    del values["files"]
    values["num_bytes"] = (path.parent / ROWS_FILE).stat().st_size
    overwrite(path, json.dumps(values).encode())
    assert load(folder) == expected
    (line,) = capsys.readouterr().err.splitlines()
    reason = f"{SUMMARY_FILE} has no seal: its beginning is damaged, or an older version wrote it; it is built again"
    assert line == f"kosum_pl: warning: {path.parent} is damaged: {reason}"
    assert load(folder) == expected
    assert capsys.readouterr().err == ""


def test_a_file_where_a_table_belongs_is_named(loads: Mapping[str, Load], tmp_path: Path) -> None:
    loads["rows"](tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    shutil.rmtree(folder)
    folder.touch()
    with pytest.raises(ValueError, match=r"is a file where the cache has a folder; take it away$"):
        loads["rows"](tmp_path / "cache")


CONFIG = tiny_config(
    trainer={"max_steps": 2, "val_check_interval": 2, "log_every_n_steps": 1},
    model={"rouge_tokenizer": "space", "constraint": {}},
    data={"topics": {"num_clusters": 2, "max_share": 0.9}},
)


@pytest.mark.slow
def test_fit_trains_the_same_on_a_damaged_cache(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cut_demo: Callable[[int, int], dict[str, str]],
) -> None:
    monkeypatch.chdir(tmp_path)
    cut_demo(12, 4)
    Path("tiny_preset.yaml").write_text("max_new_tokens: 4\n", encoding="utf-8")
    Path("tiny.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    cache = tmp_path / "kosum-cache"
    assert main(["fit", "--config", "tiny.yaml"]) == 0
    first = Path("runs/tiny/latest").resolve()
    assert "is built again" not in capsys.readouterr().err
    files = [path for path in sorted(cache.rglob("*")) if path.is_file()]
    kinds = {path.relative_to(cache).parts[0].partition("-")[0] for path in files}
    assert kinds == {"rows", "encoded", "constraint", "reachability", "topics"}
    entries = {path.parent if path.name in (ROWS_FILE, SUMMARY_FILE, REJECTED_FILE) else path for path in files}
    for path in files:
        content = path.read_bytes()
        if content:
            overwrite(path, list(damages(content, num_flips=3, num_cuts=0))[1])
    assert main(["fit", "--config", "tiny.yaml"]) == 0
    second = Path("runs/tiny/latest").resolve()
    said = [line for line in capsys.readouterr().err.splitlines() if line.endswith("; it is built again")]
    assert sorted(line.split()[2] for line in said) == sorted(map(str, entries))
    assert second != first
    for name in ("predictions.jsonl", "topics.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    weights = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (first, second)
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
