"""The tracer of memory: it counts storages once, and a step without content peaks where the real one does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import nn

from benchmarks import memory, traced_memory
from benchmarks.traced_memory import LiveStorages, traced_peak
from kosum_pl.cli.arguments import read_arguments
from kosum_pl.cli.parts import Parts, load_parts
from kosum_pl.commands.plan.settings import plan_settings
from kosum_pl.encode import Batch

LLAMA = memory._LLAMA | {
    **{"vocab_size": 2600, "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 160, "head_dim": 16},
    **{"num_attention_heads": 4, "num_key_value_heads": 2},
}
BART = memory._KOBART | {
    **{"vocab_size": 2600, "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 160},
    **{"decoder_ffn_dim": 160, "encoder_attention_heads": 4, "decoder_attention_heads": 4},
}
ROWS = ("--data.max_batch_tokens", "null", "--data.batch_size", "2", "--data.max_source_tokens", "128")
LORA = memory.Case(config="llama3b", tokenizer="demo:llama", shape=LLAMA, options=ROWS)
CASES = {
    "bart": memory.Case(config="kobart", tokenizer="demo:bart", shape=BART, options=ROWS),
    "lora": LORA,
    "whole activations": replace(LORA, options=(*ROWS, "--model.gradient_checkpointing", "false")),
}


def test_a_storage_is_counted_once_and_as_long_as_it_lives() -> None:
    start = torch.zeros(100)
    with LiveStorages([start, start.view(10, 10)]) as storages:
        assert storages.now == 400
        double = start + start
        view = double.view(10, 10)[2:]
        assert storages.now == 800
        del double
        assert storages.now == 800
        del view
        assert (storages.now, storages.peak) == (400, 800)


def parts_and_batch(case: memory.Case) -> tuple[Parts, Batch, int]:
    parts = load_parts(read_arguments("fit", case.arguments()))
    settings = plan_settings(parts)
    return parts, memory.full_batch(settings, vocab_size=2600), settings.accumulate_grad_batches


def real_peak(module: Any, batch: Batch, *, num_micro_batches: int) -> int:
    """The same step, written once more, on tensors with content; with padding, as nobody can tell that none is there.

    A CPU has no kernel for the GPU's attention; its own keeps tensors of the same sizes.
    """
    assert batch.attention_mask is not None
    batch.attention_mask[0, :3] = 0
    module.configure_model()
    module.log = module.log_dict = lambda *_, **__: None
    trained = [weight for weight in module.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, foreach=True)
    peak = 0
    attention = nn.functional.scaled_dot_product_attention
    with traced_memory._as_on_a_gpu(), patch.object(nn.functional, "scaled_dot_product_attention", attention):
        for number in (1, min(2, num_micro_batches)):
            moments = [value for state in optimizer.state.values() for value in state.values()]
            with LiveStorages([*module.model.parameters(), *module.model.buffers(), *moments]) as storages:
                for index in range(number):
                    with torch.autocast("cpu", torch.bfloat16):
                        loss = module.training_step(batch, index)
                    loss.backward()
                    del loss
                nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                optimizer.zero_grad()
            peak = storages.peak
    return peak


@pytest.mark.parametrize("name", CASES)
def test_a_traced_step_peaks_where_the_real_one_does(name: str) -> None:
    parts, batch, num_micro_batches = parts_and_batch(CASES[name])
    real = real_peak(parts.module, batch, num_micro_batches=num_micro_batches)
    parts, batch, _ = parts_and_batch(CASES[name])
    traced = traced_peak(parts.module, batch, num_micro_batches=num_micro_batches, is_autocast=True)
    assert traced == pytest.approx(real, rel=0.01)


def test_packed_weights_take_less_and_int8_is_refused() -> None:
    def peak(quantization: str) -> int:
        case = replace(LORA, options=(*ROWS, "--model.quantization", quantization))
        parts, batch, number = parts_and_batch(case)
        return traced_peak(parts.module, batch, num_micro_batches=number, is_autocast=True)

    assert peak("nf4") < peak("none")
    with pytest.raises(ValueError, match="a step on such weights cannot be traced"):
        peak("int8")
