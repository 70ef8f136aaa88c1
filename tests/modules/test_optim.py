"""Parameter groups, warm-up and schedules."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from kosum_pl.modules.optim import OptimizerSettings, build_optimizer, parameter_groups


def rates(settings: OptimizerSettings, *, num_steps: int) -> list[float]:
    model = nn.Linear(2, 2)
    optimizer, schedule = build_optimizer(model.named_parameters(), settings=settings, num_training_steps=num_steps)
    found = []
    for _ in range(num_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_norms_and_biases_do_not_decay() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4))
    decayed, kept = parameter_groups(model.named_parameters(), weight_decay=0.1)
    assert [tuple(parameter.shape) for parameter in decayed["params"]] == [(5, 4), (4, 4)]
    assert [tuple(parameter.shape) for parameter in kept["params"]] == [(4,), (4,), (4,)]
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)


def test_frozen_parameters_are_left_out() -> None:
    model = nn.Linear(3, 3)
    model.bias.requires_grad_(False)
    groups = parameter_groups(model.named_parameters(), weight_decay=0.1)
    assert [parameter for group in groups for parameter in group["params"]] == [model.weight]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"learning_rate": 1.0, "warmup_steps": 4, "schedule": "linear"}, [0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25]),
        ({"learning_rate": 2.0, "schedule": "cosine"}, [1 + math.cos(math.pi * step / 6) for step in range(6)]),
        ({"learning_rate": 0.5, "warmup_ratio": 0.25, "schedule": "constant"}, [0, 0.25] + [0.5] * 6),
    ],
)
def test_schedules_warm_up_and_fall(fields: dict[str, Any], expected: list[float]) -> None:
    assert rates(OptimizerSettings(**fields), num_steps=len(expected)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"learning_rate": 0.0}, "model.learning_rate is 0.0"),
        ({"weight_decay": -1.0}, "model.weight_decay is -1.0"),
        ({"warmup_steps": -1}, "model.warmup_steps is -1"),
        ({"warmup_ratio": 1.0}, "model.warmup_ratio is 1.0"),
    ],
)
def test_a_value_out_of_range_is_named(fields: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OptimizerSettings(**fields)  # type: ignore[arg-type]


def test_a_step_is_adamws() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 3, dtype=torch.float64)
    weight = model.weight.detach().clone()
    model(torch.ones(1, 3, dtype=torch.float64)).sum().backward()
    optimizer, _ = build_optimizer(
        model.named_parameters(), settings=OptimizerSettings(learning_rate=0.1, weight_decay=0.2), num_training_steps=10
    )
    optimizer.step()
    # The first step of Adam moves every entry by the rate against the gradient's sign, beside the decay.
    torch.testing.assert_close(
        model.weight, weight * (1 - 0.1 * 0.2) - 0.1 * model.weight.grad.sign(), rtol=0, atol=1e-7
    )
