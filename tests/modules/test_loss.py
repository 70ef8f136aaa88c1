"""Logits at supervised positions against the models' own full computation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from kosum_pl.modules.loss import (
    cross_entropy_sum,
    head_at_positions,
    next_token_targets,
    row_log_probs,
    shift_right,
    supervised_logits,
    supervised_positions,
)
from kosum_pl.types import IGNORE_INDEX

SMALL = {"vocab_size": 61, "num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
CAUSAL = {
    "llama": SMALL,
    "qwen3": {**SMALL, "num_key_value_heads": 1, "head_dim": 8},
    "gemma2": {**SMALL, "num_key_value_heads": 1, "head_dim": 8, "final_logit_softcapping": 2.0},
    "cohere": {**SMALL, "logit_scale": 0.25},
    "gpt2": {"vocab_size": 61, "n_layer": 2, "n_embd": 16, "n_head": 2},
}
SEQ2SEQ = {
    "bart": {
        "vocab_size": 61, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        "max_position_embeddings": 64,
    },
    "t5": {
        "vocab_size": 61, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2,
        "decoder_start_token_id": 0,
    },
}  # fmt: skip


def build(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    factory = AutoModelForCausalLM if kind in CAUSAL else AutoModelForSeq2SeqLM
    fields = (CAUSAL | SEQ2SEQ)[kind]
    model = factory.from_config(AutoConfig.for_model(kind, **fields, pad_token_id=0, eos_token_id=1, bos_token_id=2))
    # BART's bias is a buffer of zeros: make it count.
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias.normal_()
    return model.eval()


def labels_of(rows: list[list[int]]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(row) for row in rows], batch_first=True, padding_value=IGNORE_INDEX
    )


@pytest.mark.parametrize("kind", [*CAUSAL, *SEQ2SEQ])
def test_the_loss_equals_the_models_own(kind: str) -> None:
    model = build(kind)
    if kind in CAUSAL:
        labels = labels_of([[-100, -100, -100, 5, 6, 1], [-100, 9, 8, 7, 1]])
        inputs, mask = torch.randint(3, 60, labels.shape), torch.tensor([[1] * 6, [1] * 5 + [0]])
        targets, decoder = next_token_targets(labels), {}
    else:
        labels = labels_of([[5, 6, 1], [9, 8, 7, 4, 1]])
        inputs, mask = torch.randint(3, 60, (2, 9)), torch.ones(2, 9, dtype=torch.int64)
        start = 2 if kind == "bart" else 0
        targets, decoder = labels, {"decoder_input_ids": shift_right(labels, start_token_id=start, pad_token_id=0)}
    number = int((labels != IGNORE_INDEX).sum())
    logits, kept = supervised_logits(
        model, targets, num_supervised=number, input_ids=inputs, attention_mask=mask, **decoder
    )
    assert logits.shape == (number, 61)
    own = model(input_ids=inputs, attention_mask=mask, labels=labels).loss
    torch.testing.assert_close(cross_entropy_sum(logits, kept) / number, own, rtol=2e-6, atol=1e-6)


def test_gradients_equal_those_of_the_full_computation() -> None:
    model = build("llama").double()
    labels = labels_of([[-100, -100, 5, 6, 1], [-100, 9, 8, 1]])
    inputs = torch.randint(3, 60, labels.shape)
    model(input_ids=inputs, labels=labels).loss.backward()
    expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    logits, targets = supervised_logits(model, next_token_targets(labels), num_supervised=6, input_ids=inputs)
    (cross_entropy_sum(logits, targets) / 6).backward()
    for name, parameter in model.named_parameters():
        # The model's own loss is computed in fp32 whatever its weights are.
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-5, atol=1e-8)


def test_the_head_is_whole_again_afterwards() -> None:
    head = torch.nn.Linear(4, 7)
    hidden = torch.randn(2, 3, 4)
    with head_at_positions(head, torch.tensor([1, 5])):
        assert torch.equal(
            head(hidden), torch.nn.functional.linear(hidden.flatten(0, 1)[[1, 5]], head.weight, head.bias)
        )
    assert head(hidden).shape == (2, 3, 7)


@given(st.lists(st.lists(st.sampled_from([IGNORE_INDEX, 3, 4]), min_size=4, max_size=4), min_size=1, max_size=5))
def test_supervised_positions_are_those_with_a_label(rows: list[list[int]]) -> None:
    targets = torch.tensor(rows)
    flat = [place for place, label in enumerate(label for row in rows for label in row) if label != IGNORE_INDEX]
    assert supervised_positions(targets, num_supervised=len(flat)).tolist() == flat


def test_label_smoothing_is_torchs() -> None:
    logits, targets = torch.randn(5, 9), torch.randint(0, 9, (5,))
    log_probs = logits.log_softmax(dim=1)
    expected = -(0.9 * log_probs[range(5), targets] + 0.1 * log_probs.mean(dim=1)).sum()
    torch.testing.assert_close(cross_entropy_sum(logits, targets, label_smoothing=0.1), expected)


def test_row_log_probs_sum_by_row() -> None:
    logits, targets = torch.randn(4, 6), torch.tensor([1, 2, 3, 4])
    log_probs = logits.log_softmax(dim=1)[range(4), targets]
    found = row_log_probs(logits, targets, rows=torch.tensor([0, 2, 2, 0]), num_rows=3)
    torch.testing.assert_close(
        found, torch.stack([log_probs[0] + log_probs[3], torch.tensor(0.0), log_probs[1:3].sum()])
    )


def test_bf16_logits_are_summed_in_fp32() -> None:
    logits, targets = torch.randn(64, 31).bfloat16(), torch.randint(0, 31, (64,))
    found = cross_entropy_sum(logits, targets)
    assert found.dtype == torch.float32
    expected = torch.nn.functional.cross_entropy(logits.double(), targets, reduction="sum")
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


def test_log_probs_do_not_depend_on_the_default_dtype() -> None:
    """`bf16-true` sets it while a batch is scored."""
    logits, targets, rows = torch.randn(3, 5), torch.tensor([1, 2, 4]), torch.tensor([0, 0, 1])
    expected = row_log_probs(logits, targets, rows=rows, num_rows=2)
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = row_log_probs(logits, targets, rows=rows, num_rows=2)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
