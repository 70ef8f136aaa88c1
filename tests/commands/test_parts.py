from __future__ import annotations

from pathlib import Path

import pytest

from kosum_pl.cli.arguments import read_arguments
from kosum_pl.cli.parts import Parts, load_parts
from kosum_pl.modules import Seq2SeqModule


def load(*arguments: str) -> Parts:
    return load_parts(read_arguments("doctor", ["--config", "tiny.yaml", *arguments]))


def test_module_and_data_are_those_of_fit(work: Path) -> None:
    parts = load("--model.learning_rate=0.5", "--data.batch_size=7")
    assert isinstance(parts.module, Seq2SeqModule)
    assert parts.module.model is None
    assert parts.module.optimizer_settings.learning_rate == 0.5
    parts.datamodule.setup("fit")
    assert [len(parts.datamodule.tables[split]) for split in ("train", "val")] == [4, 2]
    assert parts.config["data"]["batch_size"] == 7
    assert [callback["class_path"] for callback in parts.config["trainer"]["callbacks"]] == [
        "kosum_pl.callbacks.rouge_sum_checkpoint.RougeSumCheckpoint"
    ]
    assert not (work / "runs").exists()


def test_nothing_of_the_trainer_is_built(work: Path) -> None:
    (work / "callbacks").mkdir()
    (work / "callbacks" / "loud.py").write_text(
        "from lightning.pytorch import Callback\n\n\nclass Loud(Callback):\n"
        "    def __init__(self) -> None:\n        raise ValueError('built')\n"
    )
    assert load("--trainer.callbacks+=Loud", "--trainer.accelerator=gpu").module.model is None


@pytest.mark.parametrize(
    ("callbacks", "is_constrained"),
    [
        ("null", True),
        ("[{class_path: callbacks.constrained_decoding.ConstrainedDecoding}]", True),
        ("[{class_path: ConstrainedDecoding, init_args: {stages: [validation]}}]", False),
        ("{class_path: ConstrainedDecoding, init_args: {stages: [validation, predict]}}", True),
        ("[{class_path: RichProgressBar}]", True),
    ],
)
def test_the_constraint_is_on_where_predict_would_have_it(work: Path, callbacks: str, is_constrained: bool) -> None:
    decoding = load("--model.constraint.kind=automaton", f"--trainer.callbacks={callbacks}").module.decoding
    assert decoding.is_constrained("predict") is is_constrained
    assert decoding.is_constrained("validation"), "in all cases"
