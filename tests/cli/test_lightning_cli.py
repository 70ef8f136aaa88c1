from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Callback

from kosum_pl.__main__ import main
from kosum_pl.cli.plugins import load_plugins
from tests.error_lines import error_line
from tests.tiny_config import tiny_config

CONFIG = tiny_config(
    trainer={
        "max_steps": 4,
        "val_check_interval": 2,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "use_distributed_sampler": False,
    },
    model={"rouge_tokenizer": "space"},
    data={"test_file": "dev.csv", "predict_file": "test.csv"},
)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with tiny data and a tiny config."""
    monkeypatch.chdir(tmp_path)
    for name, number in (("train", 12), ("dev", 4), ("test", 3)):
        with (tmp_path / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["fname", "dialogue", "summary", "topic"])
            for row in range(number):
                dialogue = f"#Person1#: {row}시에 만나요.\n#Person2#: 네, {name} 좋아요."
                writer.writerow([f"{name}_{row}", dialogue, f"두 사람은 {row}시에 만난다.", "약속"])
    (tmp_path / "tiny_preset.yaml").write_text("max_new_tokens: 4\n", encoding="utf-8")
    (tmp_path / "other_preset.yaml").write_text("max_new_tokens: 3\nnum_beams: 2\n", encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    modules, path = dict(sys.modules), list(sys.path)
    yield tmp_path
    for name in set(sys.modules) - set(modules):
        if name.startswith("callbacks."):
            del sys.modules[name]
    sys.path[:] = path
    load_plugins(working_dir=tmp_path.parent)


FIT = ("fit", "--config", "tiny.yaml")


def run(command: str, *arguments: str) -> int:
    return main([command, "--config", "tiny.yaml", *arguments])


def latest(work: Path) -> Path:
    return (work / "runs" / "tiny" / "latest").resolve()


def read_json(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class TestRuns:
    def test_fit_then_validate_test_and_predict(self, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("fit") == 0
        run_dir = latest(work)
        files = {"config.yaml", "metrics.jsonl", "metrics.json", "predictions.csv", "predictions.jsonl"}
        assert {path.name for path in run_dir.iterdir()} > files | {"checkpoints"}
        assert list(run_dir.glob("events.out.tfevents.*"))
        assert not (work / "lightning_logs").exists()
        assert [line["step"] for line in read_lines(run_dir / "metrics.jsonl")] == [2, 4]
        assert "train/loss" in (run_dir / "metrics.csv").read_text()
        out = capsys.readouterr().out
        assert f"run directory: {run_dir}" in out
        assert "lead-1" in out
        said = "val: 0.0 % of 4 references can be said (4 longer than max_new_tokens: dev_0, dev_1, dev_2, …)"
        assert f"warning: {said}; max_new_tokens: 64 in preset 'tiny_preset': then 100 % can be said" in out
        assert read_json(run_dir / "run.json")["reachability"]["val"]["share"] == 0
        assert "why: step " in out

        for command in ("validate", "test", "predict"):
            assert run(command, "--ckpt_path", "best") == 0
        assert latest(work) == run_dir
        assert {path.name.split("-")[0] for path in (run_dir / "eval").iterdir()} == {"validate", "test", "predict"}
        rows = list(csv.reader((run_dir / "predictions.csv").open(encoding="utf-8", newline="")))
        assert rows[0] == ["", "fname", "summary"]
        assert [row[:2] for row in rows[1:]] == [["0", "test_0"], ["1", "test_1"], ["2", "test_2"]]
        assert all(row[2].strip() for row in rows[1:])

    def test_a_saved_config_runs_again_to_the_same_scores(self, work: Path) -> None:
        assert run("fit", "--model.learning_rate", "0.02") == 0
        first = latest(work)
        assert main(["fit", "--config", str(first / "config.yaml")]) == 0
        second = latest(work)
        assert second != first
        assert second.parent == first.parent
        assert read_lines(second / "metrics.jsonl") == read_lines(first / "metrics.jsonl")
        values = yaml.safe_load((second / "config.yaml").read_text())
        assert values == yaml.safe_load((first / "config.yaml").read_text())
        assert values["model"]["init_args"]["learning_rate"] == 0.02
        assert values["seed_everything"] == 42
        assert read_json(first / "metrics.json")["config_hash"] == read_json(second / "metrics.json")["config_hash"]

    def test_flags_win_over_what_a_checkpoint_remembers(self, work: Path) -> None:
        assert run("fit", "--preset", "tiny_preset.yaml") == 0
        path = latest(work) / read_json(latest(work) / "metrics.json")["best_checkpoint"]
        checkpoint = torch.load(path, weights_only=True)
        checkpoint["hyper_parameters"] = {**CONFIG["model"]["init_args"], "preset": "tiny_preset.yaml"}
        torch.save(checkpoint, path)
        assert run("validate", "--ckpt_path", "best", "--preset", "other_preset.yaml") == 0
        (folder,) = (latest(work) / "eval").iterdir()
        assert folder.name.startswith("validate-other_preset-")
        metrics = read_json(folder / "metrics.json")
        assert metrics["preset"] == "other_preset"
        assert (folder / metrics["best_checkpoint"]).resolve() == path
        rows = read_lines(folder / "predictions.jsonl")
        assert {row["preset"] for row in rows} == {"other_preset"}
        assert max(row["num_tokens"] for row in rows) <= 3

    def test_a_choice_put_off_to_the_end_generates_once(self, work: Path) -> None:
        callback = "{class_path: RougeSumCheckpoint, init_args: {strategy: at_end, save_top_k: 2}}"
        overlay = (
            f"model: {{generate_during_fit: false}}\ntrainer: {{callbacks: [{callback}], val_check_interval: 1}}\n"
        )
        (work / "at_end.yaml").write_text(overlay, encoding="utf-8")
        assert run("fit", "--config", "at_end.yaml") == 0
        lines = read_lines(latest(work) / "metrics.jsonl")
        ranked = {line["step"]: line["val/rouge_sum"] for line in lines if "val/rouge_sum" in line}
        by_loss = sorted(lines, key=lambda line: line["val/loss"])
        assert sorted(ranked) == sorted(line["step"] for line in by_loss[:2])
        metrics = read_json(latest(work) / "metrics.json")
        assert metrics["val/rouge_sum"] == max(ranked.values())
        assert metrics["best_step"] == max(sorted(ranked), key=ranked.__getitem__)
        assert f"step={metrics['best_step']:06d}-loss=" in metrics["best_checkpoint"]
        assert metrics["num_rows"] == 4

    def test_resuming_goes_on_in_the_same_run(self, work: Path) -> None:
        assert run("fit", "--trainer.max_steps", "2") == 0
        run_dir = latest(work)
        assert run("fit", "--ckpt_path", "last") == 0
        assert latest(work) == run_dir
        assert [line["step"] for line in read_lines(run_dir / "metrics.jsonl")] == [2, 4]
        assert [path.name for path in run_dir.parent.iterdir() if path.name != "latest"] == [run_dir.name]

    def test_an_evaluation_without_a_checkpoint_has_a_run_of_its_own(self, work: Path) -> None:
        assert run("fit") == 0
        before = latest(work)
        assert run("validate") == 0
        assert latest(work) == before
        (own,) = [path for path in before.parent.iterdir() if path.name not in ("latest", before.name)]
        assert read_json(own / "metrics.json")["best_checkpoint"] is None
        assert (own / "predictions.csv").exists()

    def test_overlays_stack_and_flags_win(self, work: Path) -> None:
        (work / "more.yaml").write_text("trainer: {max_steps: 2}\nmodel: {init_args: {learning_rate: 0.5}}\n")
        assert main(["fit", "--trainer.max_steps=1", "-c", "tiny.yaml", "-c", "more.yaml", "--data.batch_size=3"]) == 0
        values = yaml.safe_load((latest(work) / "config.yaml").read_text())
        assert values["trainer"]["max_steps"] == 1
        assert values["model"]["init_args"]["learning_rate"] == 0.5
        assert values["model"]["init_args"]["rouge_tokenizer"] == "space"
        assert values["data"]["batch_size"] == 3

    def test_configured_loggers_are_left_alone(self, work: Path) -> None:
        logger = '{class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: mine, name: "", version: ""}}'
        assert run("fit", "--trainer.max_steps=1", "--trainer.val_check_interval=1", f"--trainer.logger={logger}") == 0
        assert (work / "mine" / "metrics.csv").exists()
        assert not list(latest(work).glob("events*"))
        assert list((latest(work) / "checkpoints").iterdir())

    def test_runs_dir_moves_all_runs(self, work: Path) -> None:
        assert run("fit", "--runs_dir", "elsewhere", "--trainer.max_steps=2") == 0
        assert run("validate", "--runs_dir", "elsewhere", "--ckpt_path", "last") == 0
        assert not (work / "runs").exists()


class TestPlugins:
    def test_a_short_name_is_enough(self, work: Path) -> None:
        (work / "callbacks").mkdir()
        (work / "callbacks" / "marker.py").write_text(
            "from pathlib import Path\nfrom lightning.pytorch import Callback\n\n\n"
            "class Marker(Callback):\n"
            "    def __init__(self, text: str) -> None:\n        self.text = text\n\n"
            "    def on_train_start(self, trainer, pl_module) -> None:\n        Path('mark').write_text(self.text)\n"
        )
        (work / "plug.yaml").write_text(
            "trainer: {callbacks: [{class_path: Marker, init_args: {text: 가}}], max_steps: 1}\n", encoding="utf-8"
        )
        assert main(["fit", "--config", "tiny.yaml", "--config", "plug.yaml"]) == 0
        assert (work / "mark").read_text() == "가"

    def test_a_broken_plugin_is_named_and_fatal_only_when_asked_for(
        self, work: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (work / "callbacks").mkdir()
        (work / "callbacks" / "broken.py").write_text("import no_such_module\n\n\nclass Broken:\n    pass\n")
        reason = "plug-in callbacks/broken.py does not load: ModuleNotFoundError: No module named 'no_such_module'"
        assert run("fit", "--trainer.max_steps=1") == 0
        assert f"kosum_pl: warning: {reason}\n" in capsys.readouterr().err
        line = error_line(capsys, *FIT, "--trainer.callbacks+=Broken", has_output=True)
        assert line == f"the config asks for it, but {reason}"


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            (["--trainer.max_epoch=1"], "unknown key 'trainer.max_epoch'; did you mean 'trainer.max_epochs'?"),
            (["--trainr.max_steps=1"], "unknown key 'trainr.max_steps'; did you mean 'trainer.max_steps'?"),
            (["--data.batchsize", "3"], "unknown key 'data.batchsize'; did you mean 'data.batch_size'?"),
            (["--model.learning_rat=1"], "unknown key 'model.learning_rat'; did you mean 'model.learning_rate'?"),
            (["--model.prompt.prefx=a"], "unknown key 'model.prompt.prefx'; did you mean 'model.prompt.prefix'?"),
            (["--trainer.max_steps=abc"], "trainer.max_steps is abc; expected int"),
            (["--model.learning_rate=abc"], "model.learning_rate is abc; expected float"),
            (["--model.schedule=foo"], "model.schedule is foo; expected linear, cosine, constant"),
            (["--model=Seq2SekModule"], "model: there is no class 'Seq2SekModule'; did you mean 'Seq2SeqModule'?"),
            (
                ["--trainer.callbacks+=RougeSumChekpoint"],
                "trainer.callbacks: there is no class 'RougeSumChekpoint'; did you mean 'RougeSumCheckpoint'?",
            ),
            (
                ["--trainer.callbacks+=no.such.Callback"],
                "trainer.callbacks: class no.such.Callback cannot be used: No module named 'no'",
            ),
            (
                ["--trainer.callbacks+=EarlyStopping"],
                "trainer.callbacks: monitor of lightning.pytorch.callbacks.EarlyStopping must be given",
            ),
            (
                ["--trainer.default_root_dir=x"],
                "trainer.default_root_dir is the run directory, and set for you; use --runs_dir",
            ),
            (["--data.train_file=nope.csv"], "nope.csv"),
        ],
        ids=lambda value: value[0] if isinstance(value, list) else "",
    )
    def test_a_mistake_is_one_line_and_leaves_no_run(
        self, work: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
    ) -> None:
        assert line in error_line(capsys, *FIT, *arguments, has_output=True)
        assert not (work / "runs").exists()

    @pytest.mark.parametrize(
        ("overlay", "line"),
        [
            ("trainer: {max_epoch: 1}", "unknown key 'trainer.max_epoch'; did you mean 'trainer.max_epochs'?"),
            ("trainr: {a: 1}", "unknown key 'trainr.a'; did you mean 'trainer'?"),
            ("model: {init_args: {learning_rat: 1}}", "did you mean 'model.learning_rate'?"),
            ("model: {init_args: {learning_rate: a}}", "model.learning_rate is a; expected float"),
            ("data: {batch_size: a}", "data.batch_size is a; expected int or null"),
            ("model: 3", "model is 3; expected a class, one of CausalModule, Seq2SeqModule"),
            (
                "trainer: {callbacks: [{class_path: RougeSumCheckpoint, init_args: {save_topk: 3}}]}",
                "unknown key 'trainer.callbacks.save_topk'; did you mean 'trainer.callbacks.save_top_k'?",
            ),
            (
                "trainer: {callbacks: [{class_path: RougeSumCheckpoint, init_args: {monitor: val/bleu}}]}",
                "RougeSumCheckpoint monitors 'val/bleu', which no validation logs; logged are val/loss, val/rouge1",
            ),
            ("model: {init_args: {prompt: {user: no field}}}", "model.prompt.user holds {dialogue} 0 times"),
        ],
    )
    def test_a_mistake_in_a_config_is_one_line(
        self, work: Path, capsys: pytest.CaptureFixture[str], overlay: str, line: str
    ) -> None:
        (work / "bad.yaml").write_text(overlay + "\n", encoding="utf-8")
        assert line in error_line(capsys, *FIT, "--config", "bad.yaml", has_output=True)
        assert not (work / "runs").exists()

    def test_a_checkpoint_of_another_shape_is_one_line(self, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("fit", "--trainer.max_steps=2") == 0
        options = ("--ckpt_path=last", "--model.config_overrides.d_model=32")
        line = error_line(capsys, "validate", *FIT[1:], *options, has_output=True)
        assert line.startswith("checkpoint ")
        assert "does not fit the model of this config" in line

    def test_a_file_that_is_no_checkpoint_is_one_line(self, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (work / "x.ckpt").write_text("not a checkpoint")
        assert "x.ckpt is no checkpoint" in error_line(capsys, *FIT, "--ckpt_path", "x.ckpt", has_output=True)

    def test_a_defect_keeps_its_traceback_and_says_where_it_stands(
        self, work: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*arguments: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("kosum_pl.runs.recorder.RunRecorder.on_train_batch_start", fail)
        with pytest.raises(ZeroDivisionError) as error:
            run("fit")
        crash = latest(work) / "crash.txt"
        assert error.value.__notes__ == [f"kosum_pl: this is a defect; please report it with {crash}"]
        text = crash.read_text(encoding="utf-8")
        assert text.startswith("Traceback (most recent call last):")
        assert text.endswith("ZeroDivisionError\n")

    def test_an_interruption_says_where_the_run_lies(
        self, work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(self: Callback, trainer: Any, *arguments: Any) -> None:
            if trainer.global_step == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr("kosum_pl.runs.recorder.RunRecorder.on_train_batch_end", interrupt)
        assert run("fit") == 130
        assert f"kosum_pl: interrupted; run directory: {latest(work)}\n" in capsys.readouterr().err
        assert read_json(latest(work) / "metrics.json")["best_step"] == 2
        assert (latest(work) / "predictions.csv").exists()


@pytest.mark.slow
def test_two_ranks_share_one_run(work: Path) -> None:
    arguments = ["--trainer.devices=2", "--trainer.strategy=ddp", "--data.num_workers=0"]
    result = subprocess.run(
        [sys.executable, "-m", "kosum_pl", "fit", "--config", "tiny.yaml", *arguments],
        cwd=work,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert [path.name for path in (work / "runs" / "tiny").iterdir() if path.name != "latest"] == [latest(work).name]
    rows = list(csv.reader((latest(work) / "predictions.csv").open(encoding="utf-8", newline="")))
    assert [row[:2] for row in rows[1:]] == [[str(row), f"dev_{row}"] for row in range(4)]
    assert read_json(latest(work) / "metrics.json")["num_rows"] == 4
    assert result.stdout.count("run directory: ") == 1


def test_what_a_config_leaves_out_has_our_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(
        "model: {class_path: Seq2SeqModule, init_args: {model_name: 'demo:bart'}}\ndata: {batch_size: 4}\n",
        encoding="utf-8",
    )
    with pytest.raises(SystemExit) as end:
        main(["fit", "--config", "mine.yaml", "--print_config"])
    assert end.value.code == 0
    trainer = yaml.safe_load(capsys.readouterr().out)["trainer"]
    assert (trainer["num_sanity_val_steps"], trainer["use_distributed_sampler"]) == (0, False)


@pytest.mark.parametrize("runs_dir", ["runs", "deep/runs", "."])
def test_a_fit_that_fails_leaves_the_empty_folder_it_was_started_in(
    runs_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "empty"
    work.mkdir()
    monkeypatch.chdir(work)
    assert main(["fit", "--config", "demo", "--data.train_file", "nofile.csv", "--runs_dir", runs_dir]) == 2
    assert "nofile.csv" in capsys.readouterr().err
    assert work.is_dir()
    assert list(work.iterdir()) == []


@pytest.mark.slow
def test_predictions_without_text_formulas_and_plugins(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "callbacks").mkdir()
    (work / "callbacks" / "mine.py").write_text("open('ran', 'a').write('x')\n", encoding="utf-8")
    assert run("fit", "--no_plugins") == 0
    captured = capsys.readouterr()
    assert "plug-in callbacks/mine.py does not load: --no_plugins leaves it out" in captured.err
    assert not (work / "ran").exists()
    text = (work / "test.csv").read_text(encoding="utf-8").replace("test_0", "=test_0")
    (work / "test.csv").write_text(text, encoding="utf-8")
    assert run("predict", "--ckpt_path", "best") == 0
    captured = capsys.readouterr()
    assert "kosum_pl: plug-ins imported: callbacks/mine.py (--no_plugins leaves them out)\n" in captured.err
    assert (work / "ran").exists()
    assert "warning: cells that begin as a spreadsheet's formula (=, +, -, @): 1 in predictions.csv" in captured.out
    assert run("predict", "--ckpt_path", "best", "--no_text", "--safe_csv") == 0
    out = capsys.readouterr().out
    assert "report: none, and no dialogues or references in any file (--no_text)" in out
    assert "1 in predictions.csv; each got an apostrophe" in out
    assert "만나요" not in out  # what all dialogues say, and the untrained model never does
    folder = max((latest(work) / "eval").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert "report.html" not in {path.name for path in folder.iterdir()}
    for path in folder.rglob("*"):
        assert path.is_dir() or "만나요".encode() not in path.read_bytes(), path.name
    rows = list(csv.reader((folder / "predictions.csv").open(encoding="utf-8", newline="")))
    assert rows[1][1] == "'=test_0"
    assert "--no_text" in error_line(capsys, "report", str(folder))
