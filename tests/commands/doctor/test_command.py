from __future__ import annotations

import csv
import importlib.metadata
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kosum_pl.__main__ import main
from kosum_pl.commands.doctor.command import EXIT_BROKEN
from kosum_pl.encode import CausalEncoder, load_tokenizer
from kosum_pl.lookup import resolve_path
from kosum_pl.types import IGNORE_INDEX, EncodedExample

CAUSAL: dict[str, Any] = {
    "model": {"class_path": "CausalModule", "init_args": {"model_name": "demo:llama", "random_init": True}},
    "data": {"train_file": "train.csv", "val_file": "dev.csv", "batch_size": 2},
}


pytestmark = pytest.mark.usefixtures("no_weights")


@pytest.fixture
def causal(work: Path) -> Path:
    (work / "causal.yaml").write_text(yaml.safe_dump(CAUSAL), encoding="utf-8")
    return work


@pytest.fixture
def copy_model(work: Path) -> Callable[..., Path]:
    """Copies a demo model's folder and changes fields of one of its files."""

    def copy(name: str, file: str, **fields: object) -> Path:
        folder = work / f"my-{name}"
        shutil.copytree(resolve_path(f"demo:{name}"), folder)
        values = json.loads((folder / file).read_text(encoding="utf-8"))
        (folder / file).write_text(json.dumps({**values, **fields}), encoding="utf-8")
        return folder

    return copy


def doctor(*arguments: str, config: str = "tiny") -> tuple[int, dict[str, Any]]:
    status = main(["doctor", "--config", f"{config}.yaml", "--json", "out.json", *arguments])
    values: dict[str, Any] = json.loads(Path("out.json").read_text(encoding="utf-8"))
    return status, values


def lines(values: dict[str, Any], level: str, *, area: str = "") -> list[str]:
    found = [each for each in values["findings"] if each["level"] == level and each["area"].startswith(area)]
    return [finding["text"] for finding in found]


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_healthy_config_gets_its_page_and_exit_code_zero(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, values = doctor("--model.random_init=true")
    assert (status, lines(values, "broken")) == (0, [])
    areas = list(dict.fromkeys(finding["area"] for finding in values["findings"]))
    assert areas == [
        "versions",
        "machine",
        "special tokens",
        "language fit",
        "mask",
        "data",
        "constraint",
        "reachability",
    ]
    counts = values["mask"]["counts"]
    assert (counts["num_rows"], counts["unended"], counts["doubled"]) == (4, [], [])
    assert counts["num_supervised"] == num_trained_on(work)
    out = capsys.readouterr().out
    assert "BROKEN" not in out
    assert "warning" in out  # two of the four training references fall outside of the charset
    assert not (work / "runs").exists()


def num_trained_on(work: Path) -> int:
    """Ids of all training summaries as the bare tokenizer writes them, and a terminator each."""
    tokenizer, _ = load_tokenizer("demo:bart")
    with (work / "train.csv").open(encoding="utf-8", newline="") as file:
        summaries = [row["summary"] for row in csv.DictReader(file)]
    return sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1 for text in summaries)


def test_the_mask_view_shows_what_is_learnt(causal: Path) -> None:
    status, values = doctor(config="causal")
    assert status == 0
    rows = values["mask"]["rows"]
    # The shortest, the one in the middle, the longest.
    assert [row["example_id"] for row in rows] == ["train_3", "train_1", "train_2"]
    prompt, summary, terminator = rows[0]["pieces"]
    assert [piece["kind"] for piece in rows[0]["pieces"]] == ["prompt", "supervised", "terminator"]
    assert prompt["text"].endswith("#Person1#: 밥 먹자.<|end|><|assistant|>")
    assert (summary["text"], terminator["text"], terminator["num_tokens"]) == ("뷁을 먹는다.", "<|end|>", 1)


LACKS_THE_ANSWER = (
    "{% for m in messages %}{% if m.role != 'assistant' %}<|user|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "area", "reason"),
    [
        (LACKS_THE_ANSWER, "template", "lacks the summary turn: what the assistant says is not in the rendered chat"),
        (None, "config", "cannot be read: "),
        ("{% for m in messages %}", "config", "refuses the turns user: "),
    ],
)
def test_fault_a_template_that_is_incomplete_missing_or_does_not_parse(
    causal: Path, capsys: pytest.CaptureFixture[str], template: str | None, area: str, reason: str
) -> None:
    if template is not None:
        (causal / "mine.jinja").write_text(template, encoding="utf-8")
    status, values = doctor("--model.prompt.template_file=mine.jinja", config="causal")
    assert status == EXIT_BROKEN
    (line,) = lines(values, "broken", area=area)
    assert reason in line
    page = shown(capsys)
    assert "BROKEN model.prompt.template_file" in page
    assert "1 broken" in page
    assert lines(values, "ok", area="versions") + lines(values, "note", area="versions")  # the rest was looked at


def test_fault_pad_is_eos_and_masked_with_it(
    causal: Path, copy_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_model("llama", "tokenizer_config.json", pad_token="<|end|>")
    healthy, values = doctor(f"--model.model_name={folder}", config="causal")
    assert (healthy, lines(values, "broken")) == (0, [])  # PAD may be EOS: masks go by length
    encode = CausalEncoder.encode

    def encode_by_pad_id(self: CausalEncoder, *args: Any, **kwargs: Any) -> EncodedExample:
        example, pad = encode(self, *args, **kwargs), self.tokenizer.pad_token_id
        return replace(example, labels=[IGNORE_INDEX if label == pad else label for label in example.labels])

    monkeypatch.setattr(CausalEncoder, "encode", encode_by_pad_id)
    monkeypatch.setenv("KOSUM_CACHE", str(causal / "other-cache"))
    status, values = doctor(f"--model.model_name={folder}", config="causal")
    assert status == EXIT_BROKEN
    assert lines(values, "broken") == [
        "4 of 4 rows do not learn to stop, the last label is no terminator: PAD is EOS ('<|end|>'), and EOS is masked "
        "with it (train_0, train_1, train_2, …)"
    ]
    assert values["mask"]["counts"]["unended"] == ["train_0", "train_1", "train_2", "train_3"]
    last = values["mask"]["rows"][0]["pieces"][-1]
    assert (last["kind"], last["text"], last["num_tokens"]) == ("masked", "<|end|>", 1)
    assert "BROKEN 4 of 4 rows do not learn to stop" in shown(capsys)


def test_fault_a_forced_eos_that_ends_no_summary(
    copy_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_model("bart", "generation_config.json", forced_eos_token_id=0, length_penalty=2.0)
    status, values = doctor(f"--model.model_name={folder}", "--model.random_init=true")
    assert status == 0  # a warning, as it is not used
    (line,) = lines(values, "warning", area="special tokens")
    assert line.startswith(
        "forced EOS conflict: generation_config.json forces 0 ('<s>') as the last token, and summaries end with "
        "2 ('</s>')"
    )
    assert "the checkpoint's length_penalty=2.0 is not used, the preset decides (default: 1.0)" in lines(values, "note")
    assert "warning forced EOS conflict" in shown(capsys)


@pytest.mark.parametrize(
    ("name", "version", "status", "level", "start"),
    [
        ("torchmetrics", "1.8.0", 0, "warning", "torchmetrics is 1.8.0, and {} is pinned"),
        ("lightning", "2.6.3", EXIT_BROKEN, "broken", "lightning 2.6.3: this release on the registry was malicious"),
    ],
)
def test_fault_a_version_off(
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    version: str,
    status: int,
    level: str,
    start: str,
) -> None:
    installed = importlib.metadata.version
    text = start.format(installed(name))
    monkeypatch.setattr(importlib.metadata, "version", lambda asked: version if asked == name else installed(asked))
    found, values = doctor()
    assert found == status
    (line,) = [line for line in lines(values, level, area="versions") if line.startswith(name) and "needs" not in line]
    assert line.startswith(text)
    assert f"{level.replace('broken', 'BROKEN')} {text}" in shown(capsys)


def test_data_that_cannot_be_read_is_a_finding(work: Path) -> None:
    status, values = doctor("--data.train_file=nowhere.csv")
    assert status == EXIT_BROKEN
    (line,) = lines(values, "broken", area="data")
    assert line.startswith("nowhere.csv: no such file or folder")
    assert lines(values, "ok", area="constraint")  # the rest was looked at
    assert values["mask"]["counts"] is None


def test_a_config_that_cannot_be_parsed_is_the_users_error(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--config", "tiny.yaml", "--trainer.max_epoch=1"]) == 2
    assert "did you mean 'trainer.max_epochs'?" in capsys.readouterr().err


def test_bitsandbytes_that_does_not_load_is_found(causal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("--model.quantization=nf4", "--model.adapter.rank=4")
    assert doctor(*asked, config="causal")[0] == 0
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # an import that raises
    status, values = doctor(*asked, config="causal")
    assert status == EXIT_BROKEN
    (line,) = lines(values, "broken")
    assert line.startswith("model.quantization=nf4 needs bitsandbytes, which cannot be loaded")


def test_presets_that_serve_no_row_and_slices_of_no_column_are_found(work: Path) -> None:
    (work / "sunday.yaml").write_text("when: {weekday: 1}\nmax_new_tokens: 48\n", encoding="utf-8")
    (work / "trip.yaml").write_text("when: {topic: [없는 주제, 여기 없음]}\nmax_new_tokens: 48\n", encoding="utf-8")
    presets = "--model.presets=[sunday.yaml, trip.yaml, default]"
    status, values = doctor("--model.random_init=true", presets)
    idle = [line for line in lines(values, "warning", area="data") if "serves no row" in line]
    assert (status, idle) == (
        0,
        [
            "preset 'sunday' serves no row of val: none has the column 'weekday' of its when",
            "preset 'trip' serves no row of val: none has topic=없는 주제 or 여기 없음",
        ],
    )
    status, values = doctor("--model.random_init=true", "--model.slices=[weekday]")
    (line,) = lines(values, "broken", area="data")
    assert status == EXIT_BROKEN
    assert line.startswith("model.slices names 'weekday', a column that no row of val has")
