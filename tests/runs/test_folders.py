from __future__ import annotations

import json
import os
import re
import threading
import zipfile
from pathlib import Path

import pytest

from kosum_pl.runs.folders import (
    RunFolders,
    config_name_of,
    find_checkpoint,
    is_rank_zero,
    make_time_folder,
    open_folders,
    point_latest_at,
    run_of,
)

BEST = "step=000400-rouge_sum=83.12.ckpt"


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "demo" / "2026-11-22_19-40-05"
    (folder / "checkpoints").mkdir(parents=True)
    for name in (BEST, "last.ckpt"):
        with zipfile.ZipFile(folder / "checkpoints" / name, "w") as archive:
            archive.writestr("data.pkl", b"weights")
    best = str(folder / "checkpoints" / BEST)
    (folder / "metrics.json").write_text(json.dumps({"best_checkpoint": best}), encoding="utf-8")
    point_latest_at(folder)
    return folder


def find(name: str, run_dir: Path) -> Path:
    return find_checkpoint(name, runs_dir=run_dir.parents[1], config_name="demo")


class TestFindCheckpoint:
    @pytest.mark.parametrize(
        ("name", "expected"), [("best", BEST), ("last", "last.ckpt"), ("latest/checkpoints/last.ckpt", "last.ckpt")]
    )
    def test_a_word_or_a_path_also_through_latest(self, run_dir: Path, name: str, expected: str) -> None:
        name = str(run_dir.parent / name) if "/" in name else name
        assert find(name, run_dir) == run_dir / "checkpoints" / expected

    def test_best_of_a_moved_run_is_found_beside_its_metrics(self, run_dir: Path, tmp_path: Path) -> None:
        moved = tmp_path / "elsewhere"
        run_dir.parents[1].rename(moved)
        found = find_checkpoint("best", runs_dir=moved, config_name="demo")
        assert found == moved / "demo" / run_dir.name / "checkpoints" / BEST

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{}", "names no best checkpoint"),
            ('{"best_checkpoint": null}', "names no best checkpoint"),
            ("", r"cannot be read \(JSONDecodeError\)"),
            ("no json", r"cannot be read \(JSONDecodeError\)"),
        ],
    )
    def test_a_run_without_a_best_says_so_and_lists_what_there_is(self, run_dir: Path, text: str, said: str) -> None:
        (run_dir / "metrics.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=rf"{said} \(there: last.ckpt, step=000400"):
            find("best", run_dir)

    def test_what_is_not_there_or_something_else_is_named(self, run_dir: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"--ckpt_path best: there is no run of 'demo' .*; run fit first"):
            find_checkpoint("best", runs_dir=tmp_path / "none", config_name="demo")
        with pytest.raises(ValueError, match=r"checkpoint 'x.ckpt' does not exist \(there: last.ckpt, "):
            find("x.ckpt", run_dir)
        (tmp_path / "notes.ckpt").write_text("not a checkpoint")
        with pytest.raises(ValueError, match=r"notes.ckpt is no checkpoint, or half of one"):
            find(str(tmp_path / "notes.ckpt"), run_dir)
        (run_dir / "checkpoints" / BEST).unlink()
        with pytest.raises(ValueError, match=rf"{BEST} does not exist \(there: last.ckpt\)"):
            find("best", run_dir)


def open_new(runs_dir: Path, command: str = "fit", checkpoint: Path | None = None, preset: str = "p") -> RunFolders:
    return open_folders(command, runs_dir=runs_dir, config_name="demo", checkpoint=checkpoint, preset=preset)


class TestFolders:
    def test_fit_opens_a_new_run_named_after_its_start(self, tmp_path: Path) -> None:
        folders = open_new(tmp_path)
        assert folders.run_dir == folders.output_dir
        assert folders.is_new
        assert folders.run_dir.parent == (tmp_path / "demo").resolve()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", folders.run_dir.name)

    def test_a_resumed_fit_stays_in_the_run_of_its_checkpoint(self, run_dir: Path) -> None:
        checkpoint = run_dir / "checkpoints" / "last.ckpt"
        folders = open_new(run_dir, "fit", checkpoint)
        assert folders == RunFolders(run_dir=run_dir, output_dir=run_dir, is_new=False)

    def test_an_evaluation_writes_under_eval_of_the_run(self, run_dir: Path) -> None:
        checkpoint = run_dir / "checkpoints" / "last.ckpt"
        folders = open_new(run_dir, "validate", checkpoint, "a/b+default")
        assert folders.run_dir == run_dir
        assert folders.output_dir.parent == run_dir / "eval"
        assert folders.output_dir.name.startswith("validate-a-b+default-2")

    def test_a_checkpoint_outside_of_any_run_opens_a_new_one(self, tmp_path: Path) -> None:
        stray = tmp_path / "weights.ckpt"
        stray.touch()
        folders = open_new(tmp_path / "runs", "test", stray)
        assert folders.run_dir == folders.output_dir
        assert folders.run_dir.parent.name == "demo"

    def test_simultaneous_starts_get_different_folders(self, tmp_path: Path) -> None:
        made: list[Path] = []
        threads = [threading.Thread(target=lambda: made.append(make_time_folder(tmp_path))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(made)) == 16

    def test_removing_a_new_run_leaves_nothing_and_spares_others(self, tmp_path: Path) -> None:
        first = open_new(tmp_path / "runs")
        (first.run_dir / "events").touch()
        first.remove()
        assert not (tmp_path / "runs").exists()
        second = open_new(tmp_path / "runs")
        third = open_new(tmp_path / "runs")
        third.remove()
        assert list((tmp_path / "runs" / "demo").iterdir()) == [second.run_dir]

    @pytest.mark.parametrize("made_before", [".", "runs", "runs/demo"])
    def test_folders_that_were_there_before_stay_also_when_they_are_empty(
        self, made_before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also where the command was started in an empty folder, and the runs' folder is a relative path."""
        work = tmp_path / "empty"
        (work / made_before).mkdir(parents=True)
        monkeypatch.chdir(work)
        folders = open_new(Path("runs"))
        monkeypatch.chdir(tmp_path)
        folders.remove()
        left = sorted(path.relative_to(work).as_posix() for path in work.rglob("*"))
        assert left == {".": [], "runs": ["runs"], "runs/demo": ["runs", "runs/demo"]}[made_before]

    def test_what_others_put_into_a_made_folder_stays(self, tmp_path: Path) -> None:
        folders = open_new(tmp_path / "runs")
        (tmp_path / "runs" / "notes.txt").touch()
        folders.remove()
        assert [path.name for path in (tmp_path / "runs").iterdir()] == ["notes.txt"]

    @pytest.mark.parametrize("had_eval", [False, True])
    def test_removing_an_evaluation_leaves_its_run_as_it_was(self, had_eval: bool, run_dir: Path) -> None:
        if had_eval:
            (run_dir / "eval").mkdir()
        before = sorted(run_dir.rglob("*"))
        checkpoint = run_dir / "checkpoints" / "last.ckpt"
        folders = open_new(run_dir, "test", checkpoint)
        assert sorted(run_dir.rglob("*")) != before
        folders.remove()
        assert sorted(run_dir.rglob("*")) == before

    def test_a_resumed_run_is_never_removed(self, run_dir: Path) -> None:
        RunFolders(run_dir=run_dir, output_dir=run_dir, is_new=False).remove()
        assert (run_dir / "checkpoints" / "last.ckpt").exists()

    def test_latest_moves_in_one_step_and_is_relative(self, run_dir: Path) -> None:
        other = run_dir.parent / "2026-11-23_00-00-00"
        other.mkdir()
        point_latest_at(other)
        latest = run_dir.parent / "latest"
        assert os.readlink(latest) == other.name
        assert sorted(path.name for path in run_dir.parent.iterdir()) == [run_dir.name, other.name, "latest"]

    def test_moving_latest_leaves_what_lies_beside_it(self, run_dir: Path) -> None:
        own = run_dir.parent / f".latest-{os.getpid()}"
        own.write_text("the user's", encoding="utf-8")
        point_latest_at(run_dir)
        assert own.read_text(encoding="utf-8") == "the user's"

    def test_run_of_a_checkpoint(self, run_dir: Path, tmp_path: Path) -> None:
        assert run_of(run_dir / "checkpoints" / "last.ckpt") == run_dir
        assert run_of(tmp_path / "x.ckpt") is None

    def test_config_name_of_a_runs_own_config(self, run_dir: Path) -> None:
        assert config_name_of(run_dir / "config.yaml") == "demo"
        assert config_name_of(run_dir.parent / "latest" / "config.yaml") == "demo"
        assert config_name_of(run_dir / "eval" / "test-default-2026-11-22_19-40-05" / "config.yaml") == "demo"
        assert config_name_of(Path("config.yaml")) == "config"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"RANK": "0", "LOCAL_RANK": "1"}, True),
        ({"SLURM_PROCID": "3"}, False),
    ],
)
def test_rank_zero_is_told_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: bool
) -> None:
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_rank_zero() is expected
