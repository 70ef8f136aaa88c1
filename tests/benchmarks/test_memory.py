"""The benchmark of a step's memory on tiny shapes: its batches are full, and its steps are real."""

from __future__ import annotations

import re

import pytest
import torch

from benchmarks import memory
from kosum_pl.cli.arguments import read_arguments
from kosum_pl.cli.parts import load_parts
from kosum_pl.commands.plan.settings import plan_settings
from kosum_pl.types import IGNORE_INDEX
from tests.benchmarks.test_traced_memory import CASES as TINY_CASES


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lora", "bart"])
def test_a_full_batch_trains_for_real_steps(name: str) -> None:
    case = TINY_CASES[name]
    parts = load_parts(read_arguments("fit", case.arguments()))
    settings = plan_settings(parts)
    batch = memory.full_batch(settings, vocab_size=2600)
    assert batch.labels is not None
    assert (batch.labels != IGNORE_INDEX).sum() == batch.num_supervised_tokens == settings.batch.num_supervised
    width = settings.batch.source_length or settings.batch.target_length
    assert batch.input_ids.shape == (2, width)
    torch.manual_seed(0)
    parts.module.configure_model()
    before = {name: weight.detach().clone() for name, weight in parts.module.named_parameters() if weight.requires_grad}
    memory.train(parts, [batch], num_steps=2)
    assert any(not weight.equal(before[name]) for name, weight in parts.module.named_parameters() if name in before)


def test_the_prediction_for_all_weights_is_near_a_traced_step_of_the_true_shape(
    capsys: pytest.CaptureFixture[str],
) -> None:
    memory.main(["kobart"])
    found = re.match(r"kobart     predicted +([\d.]+) GB, traced +([\d.]+) GB, ratio ", capsys.readouterr().out)
    assert found is not None
    assert float(found[1]) == pytest.approx(float(found[2]), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["3b_lora", "3b_qlora", "8b_qlora"])
def test_the_prediction_is_near_a_traced_step_of_the_true_shape(name: str) -> None:
    predicted, traced, _ = memory.measure(memory.CASES[name], num_steps=1)
    assert predicted == pytest.approx(traced, rel=0.15)


@pytest.mark.gpu
@pytest.mark.parametrize("name", memory.CASES)
def test_the_prediction_is_near_what_a_gpu_says(name: str) -> None:
    predicted, measured, _ = memory.measure(memory.CASES[name], num_steps=2)
    assert abs(predicted / measured - 1) < 0.15
