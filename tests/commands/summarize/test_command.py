from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest
import torch

from kosum_pl.__main__ import main
from kosum_pl.callbacks.constrained_decoding import ConstrainedDecoding
from kosum_pl.checkpoints.weights import load_weights
from kosum_pl.commands.summarize.input import read_input, split_dialogues
from kosum_pl.data import Columns
from kosum_pl.decode import ConstraintSettings
from kosum_pl.decode.regenerate import Regenerator
from kosum_pl.encode import TokenLimits
from kosum_pl.errors import UsageError
from kosum_pl.export.folder import load_folder, write_folder
from kosum_pl.inference import InferenceSettings, find_device, summarize_dialogues
from kosum_pl.modules import CausalModule, Seq2SeqModule
from kosum_pl.types import Dialogue, Prediction
from tests.commands.summarize.untrained_export import SHAPE, inference_settings, make_module, write_export
from tests.error_lines import error_line

TEXT = "A: 안녕?\nB: 응, 안녕.\n\nA: 밥 먹자.\nB: KTX 안에서?\n \n\nA: 가자."
TEXTS = ["A: 안녕?\nB: 응, 안녕.", "A: 밥 먹자.\nB: KTX 안에서?", "A: 가자."]
SETTINGS = inference_settings(cleaning=("spaces",), batch_size=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder of an untrained model."""
    return write_export(tmp_path_factory.mktemp("summarize"), SETTINGS)


@pytest.fixture
def expected(folder: Path) -> list[str]:
    """Each dialogue's summary, generated alone by transformers."""
    module = make_module(folder.parent / "five.yaml")
    model, tokenizer = module.language_model, module.encoder.tokenizer
    summaries = []
    for text in TEXTS:
        inputs = tokenizer(text, return_tensors="pt")
        ids = model.generate(inputs["input_ids"], max_new_tokens=5, do_sample=False, num_beams=1)
        summaries.append(tokenizer.decode(ids[0], skip_special_tokens=True).strip())
    return summaries


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path


def test_a_text_file_becomes_a_summary_a_line(
    folder: Path, work: Path, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["summarize", str(folder), "in.txt", "--device", "cpu"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [" ".join(text.split()) for text in expected]
    assert len(set(expected)) > 1
    assert "3/3" in captured.err


@pytest.mark.parametrize("source", [[], ["-"]])
def test_standard_input_is_read(
    folder: Path,
    work: Path,
    expected: list[str],
    source: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode()), encoding="ascii"))
    assert main(["summarize", str(folder), *source, "--format", "csv", "--batch_size", "1", "--device=cpu"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["", "fname", "summary"]
    assert [row[:2] for row in rows[1:]] == [["0", "dialogue_1"], ["1", "dialogue_2"], ["2", "dialogue_3"]]
    assert [" ".join(row[2].split()) for row in rows[1:]] == [" ".join(text.split()) for text in expected]


@pytest.mark.parametrize("has_ids", [True, False])
def test_json_lines_are_read_and_written(folder: Path, work: Path, expected: list[str], has_ids: bool) -> None:
    ids = [{"fname": f"r{number}"} if has_ids else {} for number in range(len(TEXTS))]
    rows = [{**own, "dialogue": text, "weekday": 7} for own, text in zip(ids, TEXTS, strict=True)]
    (work / "in.data").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["in.data", "--input_format", "jsonl", "--format", "jsonl", "--output", "out.jsonl", "--device", "cpu"]
    assert main(["summarize", str(folder), *arguments]) == 0
    written = [json.loads(line) for line in (work / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    if has_ids:
        assert [row["example_id"] for row in written] == ["r0", "r1", "r2"]
    assert len({row["example_id"] for row in written}) == len(TEXTS)
    assert [row["text"] for row in written] == expected
    assert {(row["preset"], row["profile"]["weekday"]) for row in written} == {("five", "7")}
    assert not (work / "kosum-cache").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "config 'nowhere' is not a file"),
        ([], "summarize needs --config NAME"),
        ([".", "in.txt"], ". has no kosum.json; give a folder"),
        (["{folder}", "in.txt", "more.txt"], "summarize takes one input, and there are 2"),
        (["{folder}", "empty.txt"], "empty.txt holds no dialogue"),
        (["{folder}", "in.txt", "--ckpt_path", "best"], "--ckpt_path belongs to a config"),
        (["{folder}", "in.txt", "--device", "gpu"], "--device is 'gpu'"),
        (["{folder}", "hole.csv"], "error: hole.csv:3 (row 2): column 'dialogue' is empty; fill it\n"),
        (["{folder}", "hole.data", "--input_format", "csv"], "error: hole.data:3 (row 2): column 'dialogue'"),
        (["demo", "in.txt"], "this config's own weights are untrained; add --ckpt_path best"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, work: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (work / "empty.txt").write_text(" \n\n")
    for name in ("hole.csv", "hole.data"):
        (work / name).write_text("fname,dialogue\na,A: 네\nb,\n", encoding="utf-8")
    line = error_line(capsys, "summarize", *(argument.format(folder=folder) for argument in arguments))
    assert message in f"error: {line}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufeffA: 네\r\n\r\nB: 예\r\n", ["A: 네", "B: 예"]),
        ("A:  네\n\t\n\nB: 예", ["A: 네", "B: 예"]),
        ("하나", ["하나"]),
    ],
)
def test_split_dialogues(text: str, expected: list[str]) -> None:
    rows = split_dialogues(text, cleaning=("spaces",), name="x")
    assert [row.text for row in rows] == expected
    assert [row.example_id for row in rows] == [f"dialogue_{number + 1}" for number in range(len(expected))]


def test_a_table_s_own_columns_are_read(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,chat,weekday\nx,A:  네,7\n", encoding="utf-8")
    columns = Columns(example_id="id", dialogue="chat")
    (row,) = read_input(str(tmp_path / "in.csv"), input_format="auto", columns=columns, cleaning=("spaces",))
    assert row == Dialogue(example_id="x", text="A: 네", profile={"weekday": "7"})


def test_settings_of_a_config_survive_a_file() -> None:
    data = {"columns": {"summary": ["a", "b"]}, "cleaning": ["nfc"], "eval_batch_size": 3}
    limits = TokenLimits(max_source_tokens=64, max_summary_tokens=8, truncation="middle")
    config = {"data": data, "trainer": {"precision": "bf16-mixed"}}
    settings = InferenceSettings.from_config(config, limits=limits)
    assert (settings.precision, settings.batch_size) == ("bf16-mixed", 3)
    assert InferenceSettings.from_values(json.loads(json.dumps(settings.values()))) == settings


@pytest.mark.parametrize(("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_the_precision_is_the_trainers(folder: Path, precision: str, dtype: torch.dtype) -> None:
    exported = load_folder(folder)
    seen: list[torch.dtype] = []
    head = exported.module.language_model.get_output_embeddings()
    head.register_forward_hook(lambda layer, inputs, output: seen.append(output.dtype))
    settings = InferenceSettings.from_values({**exported.settings.values(), "precision": precision})
    counted: list[int] = []
    rows = [Dialogue(example_id=str(number), text=text) for number, text in enumerate(TEXTS)]
    predictions = summarize_dialogues(
        exported.module, rows, settings, device=torch.device("cpu"), on_batch=lambda found: counted.append(len(found))
    )
    assert [row.example_id for row in predictions] == ["0", "1", "2"]
    assert counted == [1, 2]
    assert set(seen) == {dtype}


def test_a_switched_off_constraint_stays_off(folder: Path) -> None:
    def raw(is_constrained: bool) -> list[Prediction]:
        torch.manual_seed(1)
        module = CausalModule(
            "demo:llama",
            random_init=True,
            config_overrides={"initializer_range": 0.5, "hidden_size": 32, "intermediate_size": 32},
            presets=[str(folder.parent / "five.yaml")],
            constraint=ConstraintSettings(),
            regenerator=Regenerator(max_attempts=1, presets=[str(folder.parent / "five.yaml")], checks=["empty"]),
        )
        module.configure_model()
        if not is_constrained:
            module.decoding = ConstrainedDecoding(stages=["validation"]).change_decoding(module.decoding)
        values = SETTINGS.values()
        values["limits"]["max_source_tokens"] = 256
        target = folder.parent / f"constrained-{is_constrained}"
        write_folder(module, InferenceSettings.from_values(values), target)
        exported = load_folder(target)
        regenerator = exported.module.decoding.regenerator
        assert regenerator is not None
        assert (regenerator.max_attempts, regenerator.checks) == (1, ("empty",))
        assert [preset.name for preset in regenerator.presets] == ["five"]
        rows = [Dialogue(example_id="a", text="A: 네")]
        found = summarize_dialogues(exported.module, rows, exported.settings, device=torch.device("cpu"))
        assert exported.module.decoding.is_constrained("predict") is is_constrained
        return found

    assert raw(True)[0].log_prob != raw(False)[0].log_prob


def test_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(UsageError, match="--device cuda:99: this machine has"):
        find_device("cuda:99")


def test_weights_of_another_model_are_refused(tmp_path: Path, folder: Path) -> None:
    module = make_module(folder.parent / "five.yaml")
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": module.state_dict()}, path)
    fresh = Seq2SeqModule("demo:bart", random_init=True, config_overrides=SHAPE)
    load_weights(fresh, path)
    assert not fresh.training
    for name, value in module.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value)
    wider = Seq2SeqModule("demo:bart", random_init=True, config_overrides={**SHAPE, "d_model": 64})
    with pytest.raises(UsageError, match=r"last\.ckpt does not fit the model of this config"):
        load_weights(wider, path)
    torch.save({"weights": {}}, path)
    with pytest.raises(UsageError, match="holds no weights of a module"):
        load_weights(fresh, path)
    with pytest.raises(UsageError, match="is a folder of shards"):
        load_weights(fresh, tmp_path)
