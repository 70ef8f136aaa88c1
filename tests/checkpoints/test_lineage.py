from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import yaml

from kosum_pl.__main__ import main
from kosum_pl.checkpoints.lineage import find_weights, lineage_from, lineage_of, start_of
from kosum_pl.cli.arguments import read_arguments


def checkpoint(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"")
    return path


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with two checkpoints, of which `metrics.json` calls none the best yet."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "a" / "2026-01-01_00-00-00"
    for name in ("step=1", "last"):
        checkpoint(folder / "checkpoints" / f"{name}.ckpt")
    (folder.parent / "latest").symlink_to(folder.name)
    (tmp_path / "a.yaml").write_text("model: {}\n", encoding="utf-8")
    return folder


def write_metrics(run_dir: Path, **values: object) -> None:
    (run_dir / "metrics.json").write_text(json.dumps(values), encoding="utf-8")


def test_a_run_means_its_best_checkpoint_and_without_one_its_last(run_dir: Path) -> None:
    assert find_weights("runs/a/latest") == run_dir / "checkpoints" / "last.ckpt"
    write_metrics(run_dir, best_checkpoint="/moved/since/checkpoints/step=1.ckpt")
    assert find_weights("runs/a/latest") == run_dir / "checkpoints" / "step=1.ckpt"
    write_metrics(run_dir, best_checkpoint="/moved/since/checkpoints/deleted.ckpt")
    assert find_weights(str(run_dir)) == run_dir / "checkpoints" / "last.ckpt"
    assert find_weights("runs/a/latest/checkpoints/step=1.ckpt") == run_dir / "checkpoints" / "step=1.ckpt"


@pytest.mark.parametrize("name", ["model.safetensors", "adapter_model.safetensors", "model.safetensors.index.json"])
def test_an_exported_folder_means_itself(run_dir: Path, name: str) -> None:
    (run_dir.parents[2] / "out").mkdir()
    Path("out", name).touch()
    assert find_weights("out") == Path("out").resolve()
    assert lineage_from("out") == [{"weights": str(Path("out").resolve())}]
    Path("out/kosum.json").write_text(json.dumps({"lineage": [{"weights": "/old.ckpt"}]}), encoding="utf-8")
    assert [each["weights"] for each in lineage_from("out")] == ["/old.ckpt", str(Path("out").resolve())]


def test_a_generation_has_the_scores_of_its_best_checkpoint_alone(run_dir: Path) -> None:
    best = run_dir / "checkpoints" / "step=1.ckpt"
    write_metrics(run_dir, **{"best_checkpoint": str(best), "config_hash": "abc", "val/rouge_sum": 97.25})
    assert lineage_from(str(run_dir)) == [{"weights": str(best), "config_hash": "sha256:abc", "rouge_sum": "97.2500"}]
    last = run_dir / "checkpoints" / "last.ckpt"
    assert lineage_from(str(last)) == [{"weights": str(last), "config_hash": "sha256:abc"}]


def test_ancestors_come_first(run_dir: Path) -> None:
    assert lineage_of(run_dir / "checkpoints" / "last.ckpt") is None
    (run_dir / "config.yaml").write_text("lineage:\n- weights: /first.ckpt\n  rouge_sum: '1.0'\n", encoding="utf-8")
    assert lineage_of(run_dir / "checkpoints" / "last.ckpt") == [{"weights": "/first.ckpt", "rouge_sum": "1.0"}]
    read = read_arguments("fit", ["-c", "a.yaml", "--init_from", "runs/a/latest"])
    (option,) = [each for each in read.arguments if each.startswith("--lineage=")]
    given = yaml.safe_load(option.removeprefix("--lineage="))
    assert [each["weights"] for each in given] == ["/first.ckpt", str(run_dir / "checkpoints" / "last.ckpt")]
    assert start_of(given) == run_dir / "checkpoints" / "last.ckpt"
    assert read.given == ("-c", "a.yaml", "--init_from", "runs/a/latest")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--init_from", "runs/b"], "--init_from runs/b: there is no such run, checkpoint or folder; give a run"),
        (["--init_from", "runs/a"], "--init_from runs/a: no checkpoint and no model.safetensors in "),
        (["--init_from", "a.yaml"], "--init_from a.yaml: a.yaml is no checkpoint, or half of one; give a run"),
        (["--init_from", "sharded.ckpt"], "sharded.ckpt is a sharded checkpoint; make one file of it first: python -m"),
        (["--init_from"], "--init_from needs a value"),
        (
            ["--init_from", "runs/a/latest", "--ckpt_path", "last"],
            "--init_from starts a new run and --ckpt_path goes on with one; give one of the two",
        ),
        (
            ["--init_from", "runs/a/latest", "--config", "resume.yaml"],
            "--init_from starts a new run and --ckpt_path goes on with one; give one of the two",
        ),
    ],
)
def test_a_mistake_is_one_line(
    run_dir: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    Path("sharded.ckpt").mkdir()
    Path("sharded.ckpt/.metadata").touch()
    Path("resume.yaml").write_text("ckpt_path: last\n", encoding="utf-8")
    assert main(["fit", "--config", "a.yaml", *arguments]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert line in error


def test_an_evaluation_has_no_start(run_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"^--init_from is for fit; give validate the checkpoint with --ckpt_path$"):
        read_arguments("validate", ["-c", "a.yaml", "--init_from", "runs/a/latest"])


@pytest.mark.parametrize("lineage", [3, ["a.ckpt"], [{"run": "a"}]])
def test_what_is_no_lineage_is_refused(lineage: object) -> None:
    with pytest.raises(ValueError, match=r"^lineage is .*; give a list of \{weights: PATH\}, or use --init_from$"):
        start_of(lineage)
    assert start_of([]) is None
