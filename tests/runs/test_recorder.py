from __future__ import annotations

import json
import os
import signal
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor
from torch.utils.data import DataLoader

from kosum_pl.files import read_json, read_json_lines
from kosum_pl.report.finish import finish_report
from kosum_pl.runs.folders import RunFolders, make_time_folder, open_folders
from kosum_pl.runs.recorder import RunRecorder
from kosum_pl.runs.reproduce import Reproduction
from kosum_pl.signals import Stopped
from kosum_pl.types import Prediction
from tests.metrics import rows
from tests.modules_fixtures import quiet_trainer

DIALOGUE = "#Person1#: 내일 세 시에 만나요.\n#Person2#: 좋아요."
REFERENCE = "#Person1#과 #Person2#는 내일 세 시에 만난다."


def prediction(row: int, text: str) -> Prediction:
    return rows.prediction(
        text, [REFERENCE], example_id=f"dev_{row}", dialogue=DIALOGUE, profile={"weekday": "7"}, num_tokens=3
    )


class Scored(LightningModule):
    """Counts optimizer steps; an evaluation has the scripted score of that step, and says its step in its texts."""

    def __init__(
        self, rouge: dict[int, float], *, empty_rows: tuple[int, ...] = (), cut_rows: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.cut_rows = cut_rows
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.rouge, self.empty_rows = rouge, empty_rows
        self.scores: dict[str, float] = {}
        self.start_scores: dict[str, float] = {}
        self.predictions: list[Prediction] = []
        self.notes = ["pad token set"]

    def score_record(self) -> dict[str, Any]:
        return {"rouge_tokenizer": "space 1", "multi_reference": "mean", "preset": "fast", "num_rows": 3}

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return -self.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        pass

    test_step = predict_step = validation_step

    def finish(self, stage: str) -> None:
        step = round(self.weight.item())
        texts = ["" if row in self.empty_rows else f"요약 {step}" for row in range(3)]
        self.predictions = [
            replace(prediction(row, text), reached_eos=row not in self.cut_rows) for row, text in enumerate(texts)
        ]
        self.scores = {f"{stage}/rouge_sum": self.rouge[step], f"{stage}/loss": 1.0}
        if self.trainer.sanity_checking:
            self.start_scores = self.scores
        elif stage != "predict":
            self.log_dict(self.scores)
            self.log("rouge_sum", self.rouge[step])

    def on_validation_epoch_end(self) -> None:
        self.finish("val")

    def on_test_epoch_end(self) -> None:
        self.finish("test")

    def on_predict_epoch_end(self) -> None:
        self.finish("predict")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


class Rows(LightningDataModule):
    def __init__(self, rejected: list[dict[str, Any]] | None = None) -> None:
        super().__init__()
        self.tables = {"train": SimpleNamespace(rejected=rejected or []), "val": SimpleNamespace(rejected=[])}
        self.report_lines = ["train: 4 rows"]

    def loader(self) -> DataLoader[Tensor]:
        return DataLoader(torch.zeros(4, 1), batch_size=1)  # type: ignore[arg-type]

    train_dataloader = val_dataloader = test_dataloader = predict_dataloader = loader


def new_run(folder: Path) -> RunFolders:
    return open_folders("fit", runs_dir=folder, config_name="demo", checkpoint=None, preset="fast")


def make_trainer(recorder: RunRecorder, *callbacks: Callback, **options: Any) -> Trainer:
    checkpoint = ModelCheckpoint(
        dirpath=recorder.folders.run_dir / "checkpoints", monitor="val/rouge_sum", mode="max", filename="{step}",
        save_last=True, save_on_train_epoch_end=False,
    )  # fmt: skip
    settings = {"max_steps": 4, "val_check_interval": 1, "enable_checkpointing": True, **options}
    folder = recorder.folders.output_dir
    return quiet_trainer(callbacks=[recorder, checkpoint, *callbacks], default_root_dir=folder, **settings)


def fit(
    folder: Path,
    rouge: dict[int, float],
    *,
    empty_rows: tuple[int, ...] = (),
    cut_rows: tuple[int, ...] = (),
    **options: Any,
) -> RunRecorder:
    recorder = RunRecorder(new_run(folder), config_text="model: {}\n", write_pages=finish_report)
    module = Scored(rouge, empty_rows=empty_rows, cut_rows=cut_rows)
    make_trainer(recorder, **options).fit(module, datamodule=Rows())
    return recorder


ROUGE = {0: 5.0, 1: 50.0, 2: 80.0, 3: 60.0, 4: 80.0}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunRecorder:
    """A fit that was scored before its first step, and was best at its second."""
    return fit(tmp_path_factory.mktemp("finished"), ROUGE, num_sanity_val_steps=-1)


def test_scores_of_a_fit_stand_under_full_names(finished: RunRecorder) -> None:
    run_dir = finished.folders.run_dir
    assert read_json_lines(run_dir / "metrics.jsonl") == [
        {"step": step, "epoch": 0, "val/loss": 1.0, "val/rouge_sum": ROUGE[step]} for step in (1, 2, 3, 4)
    ]
    metrics = read_json(run_dir / "metrics.json")
    lead = {name: metrics.pop(name) for name in list(metrics) if name.startswith("lead/")}
    assert lead["lead/rouge_sum"] > 0
    assert len(metrics.pop("config_hash")) == 12
    assert metrics == {
        "val/rouge_sum": 80.0,
        "val/loss": 1.0,
        "start/rouge_sum": 5.0,
        "start/loss": 1.0,
        "rouge_tokenizer": "space 1",
        "multi_reference": "mean",
        "preset": "fast",
        "num_rows": 3,
        "best_step": 2,
        "best_epoch": 0,
        "num_empty_predictions": 0,
        "stage": "fit",
        "best_checkpoint": "checkpoints/step=2.ckpt",
    }


def test_predictions_are_those_of_the_best_validation_in_the_submission_format(finished: RunRecorder) -> None:
    run_dir = finished.folders.run_dir
    assert (run_dir / "predictions.csv").read_text(encoding="utf-8") == (
        ",fname,summary\n0,dev_0,요약 2\n1,dev_1,요약 2\n2,dev_2,요약 2\n"
    )
    expected = json.loads(json.dumps(asdict(prediction(0, "요약 2"))))
    assert read_json_lines(run_dir / "predictions.jsonl")[0] == {**expected, "summary": "요약 2"}


def test_the_report_sets_the_best_beside_untrained_and_lead(finished: RunRecorder) -> None:
    report, run_dir = finished.report, finished.folders.run_dir
    assert report is not None
    assert list(report.columns) == ["before training", "lead-1", "best (step 2)"]
    assert report.columns["before training"]["rouge_sum"] == 5.0
    assert report.columns["best (step 2)"]["rouge_sum"] == 80.0
    assert read_json(run_dir / "metrics.json")["lead/rouge_sum"] == report.columns["lead-1"]["rouge_sum"]
    assert {row.text for row in report.predictions} == {"요약 2"}
    assert f"run directory: {run_dir}" in report.lines
    assert report.lines[-1] == f"report: {run_dir / 'report.html'}"
    assert "요약 2" in (run_dir / "report.html").read_text(encoding="utf-8")
    assert (run_dir / "report.md").is_file()


def test_an_empty_prediction_is_filled_and_a_partial_sanity_check_is_no_score(tmp_path: Path) -> None:
    recorder = fit(tmp_path, ROUGE, empty_rows=(1,), num_sanity_val_steps=1)
    run_dir = recorder.folders.run_dir
    assert (run_dir / "predictions.csv").read_text(encoding="utf-8").splitlines()[2] == "1,dev_1,내일 세 시에 만나요."
    assert read_json_lines(run_dir / "predictions.jsonl")[1]["text"] == ""
    assert read_json(run_dir / "metrics.json")["num_empty_predictions"] == 1
    assert recorder.report is not None
    assert any(line.startswith("1 empty summaries were filled") for line in recorder.report.lines)
    assert recorder.report.columns["before training"] == {}


CUT = "2 of 3 summaries were cut at max_new_tokens (dev_0, dev_2)"


def test_a_fit_ends_with_the_rows_that_the_model_did_not_end(tmp_path: Path, finished: RunRecorder) -> None:
    report = fit(tmp_path, ROUGE, cut_rows=(0, 2)).report
    assert report is not None
    assert CUT in report.lines
    assert finished.report is not None
    assert not any("max_new_tokens" in line for line in finished.report.lines)


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_an_evaluation_says_which_rows_the_model_did_not_end(tmp_path: Path, command: str) -> None:
    recorder = RunRecorder(new_run(tmp_path), config_text="")
    options = {"return_predictions": False} if command == "predict" else {}
    getattr(make_trainer(recorder), command)(Scored(ROUGE, cut_rows=(0, 2)), datamodule=Rows(), **options)
    assert recorder.report is not None
    assert CUT in recorder.report.lines


def test_only_fit_moves_latest_and_not_before_the_first_step(tmp_path: Path) -> None:
    first = fit(tmp_path, ROUGE).folders.run_dir
    latest = tmp_path / "demo" / "latest"
    assert os.readlink(latest) == first.name
    recorder = RunRecorder(new_run(tmp_path), config_text="")
    make_trainer(recorder).validate(Scored(ROUGE), datamodule=Rows())
    assert os.readlink(latest) == first.name
    fit(tmp_path, ROUGE, fast_dev_run=True)
    assert os.readlink(latest) == first.name


def test_config_and_rejected_rows_are_written_before_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stop(Callback):
        def on_train_start(self, *arguments: Any) -> None:
            raise RuntimeError("stop")

    recorder = RunRecorder(new_run(tmp_path), config_text="model: {}\n")
    rejected = [{"file": "train.csv", "row": 3, "reason": "column 'summary' is empty"}]
    with pytest.raises(RuntimeError, match="stop"):
        make_trainer(recorder, Stop()).fit(Scored(ROUGE), datamodule=Rows(rejected))
    run_dir = recorder.folders.run_dir
    assert (run_dir / "config.yaml").read_text() == ("# python -m kosum_pl fit --config config.yaml\nmodel: {}\n")
    assert read_json_lines(run_dir / "rejected.jsonl") == [{"split": "train", **rejected[0]}]
    assert capsys.readouterr().out.splitlines()[:2] == ["pad token set", "train: 4 rows"]


def test_an_evaluation_of_a_run_writes_beneath_it_and_its_predictions_on_top(tmp_path: Path) -> None:
    rouge = {**ROUGE, 4: 90.0}
    run_dir = fit(tmp_path, rouge).folders.run_dir
    before = (run_dir / "metrics.json").read_text()
    output_dir = make_time_folder(run_dir / "eval", prefix="test-fast-")
    recorder = RunRecorder(RunFolders(run_dir=run_dir, output_dir=output_dir, is_new=True), config_text="")
    checkpoint = run_dir / "checkpoints" / "last.ckpt"
    make_trainer(recorder).test(
        Scored(rouge, empty_rows=(2,)), datamodule=Rows(), ckpt_path=checkpoint, weights_only=True
    )
    metrics = read_json(output_dir / "metrics.json")
    assert metrics["test/rouge_sum"] == 90.0
    assert metrics["best_checkpoint"] == "../../checkpoints/last.ckpt"
    assert (run_dir / "metrics.json").read_text() == before
    assert "2,dev_2,내일 세 시에 만나요." in (run_dir / "predictions.csv").read_text()
    for name in ("predictions.csv", "predictions.jsonl"):
        assert (run_dir / name).read_bytes() == (output_dir / name).read_bytes()


def test_predict_writes_the_submission_and_only_scores_of_its_own(tmp_path: Path) -> None:
    recorder = RunRecorder(new_run(tmp_path), config_text="")
    make_trainer(recorder).predict(Scored(ROUGE), datamodule=Rows(), return_predictions=False)
    run_dir = recorder.folders.run_dir
    assert (run_dir / "predictions.csv").read_text().splitlines()[1] == "0,dev_0,요약 0"
    names = [name for name in read_json(run_dir / "metrics.json") if "/" in name]
    assert names == ["predict/rouge_sum", "predict/loss"]
    assert recorder.report is not None
    assert f"3 summaries: {run_dir / 'predictions.csv'}" in recorder.report.lines


def test_a_resumed_fit_forgets_lines_after_its_checkpoint_and_remembers_the_best(tmp_path: Path) -> None:
    first = fit(tmp_path, {**ROUGE, 4: 10.0}, num_sanity_val_steps=-1)
    run_dir = first.folders.run_dir
    lines = read_json_lines(run_dir / "metrics.jsonl")
    lines.append({"step": 9, "epoch": 0, "val/rouge_sum": 99.0})
    (run_dir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    recorder = RunRecorder(RunFolders(run_dir=run_dir, output_dir=run_dir, is_new=False), config_text="")
    rouge = {**ROUGE, 5: 70.0, 6: 20.0}
    make_trainer(recorder, max_steps=6).fit(
        Scored(rouge), datamodule=Rows(), ckpt_path=run_dir / "checkpoints" / "last.ckpt", weights_only=True
    )
    assert [line["step"] for line in read_json_lines(run_dir / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]
    metrics = read_json(run_dir / "metrics.json")
    assert metrics["val/rouge_sum"] == 80.0
    assert metrics["best_step"] == 2
    assert metrics["start/rouge_sum"] == 5.0
    assert "요약 2" in (run_dir / "predictions.csv").read_text()


class Watch(Callback):
    """Reads the run's files in the middle of a fit, which may then end by an exception."""

    def __init__(self, exception: BaseException | None) -> None:
        self.exception = exception
        self.record: dict[str, Any] = {}
        self.best: list[str] = []

    def on_train_batch_start(self, trainer: Trainer, *arguments: Any) -> None:
        if trainer.global_step:
            self.best.append(Path(read_json(Path(trainer.default_root_dir) / "metrics.json")["best_checkpoint"]).name)
        if trainer.global_step == 3:
            self.record = read_json(Path(trainer.default_root_dir) / "run.json")
            if self.exception is not None:
                raise self.exception


@pytest.mark.parametrize(
    ("exception", "state"),
    [
        (None, "done"),
        (RuntimeError("power cut"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (SIGTERMException(), "interrupted"),
        (Stopped(signal.SIGTERM), "interrupted"),
    ],
)
def test_run_json_says_how_a_run_ended_and_the_best_so_far_is_left(
    tmp_path: Path, exception: BaseException | None, state: str
) -> None:
    reproduction = Reproduction(
        command="fit", arguments=("--config", "demo"), runs_dir=tmp_path, config_name="demo", data={}
    )
    recorder = RunRecorder(new_run(tmp_path), config_text="model: {}\n", reproduction=reproduction)
    watch = Watch(exception)
    with nullcontext() if exception is None else pytest.raises((RuntimeError, SystemExit, Stopped)):
        make_trainer(recorder, watch).fit(Scored(ROUGE), datamodule=Rows())
    record = read_json(recorder.folders.run_dir / "run.json")
    metrics = read_json(recorder.folders.run_dir / "metrics.json")
    assert (watch.record["state"], watch.record["ended"]) == ("running", None)  # as of a run that is killed
    assert (record["state"], record["command"], record["arguments"]) == (state, "fit", ["--config", "demo"])
    assert record["started"] == watch.record["started"] <= record["ended"]
    assert record["config_hash"] == metrics["config_hash"]
    assert recorder.was_interrupted is isinstance(exception, KeyboardInterrupt)
    assert watch.best == ["step=1.ckpt", "step=2.ckpt", "step=2.ckpt"]
    assert Path(metrics["best_checkpoint"]).name == "step=2.ckpt"
