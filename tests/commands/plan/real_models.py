"""Small real models, and the bytes that they really store and save: what the arithmetic of `plan` is compared with."""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from kosum_pl.commands.plan.shapes import BatchShape, StepSettings
from kosum_pl.models.quantization import Quantization
from kosum_pl.modules.loss import supervised_logits

SIZES: dict[str, dict[str, int]] = {
    "llama": {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": 2}
    | {"intermediate_size": 320, "vocab_size": 300},
    "bart": {"d_model": 128, "encoder_layers": 2, "decoder_layers": 2, "vocab_size": 300}
    | {"encoder_attention_heads": 8, "decoder_attention_heads": 8, "encoder_ffn_dim": 320, "decoder_ffn_dim": 320},
    "t5": {"d_model": 128, "num_layers": 2, "num_heads": 8, "d_kv": 16, "d_ff": 320, "vocab_size": 300},
}
SIZES["qwen3"] = {**SIZES["llama"], "head_dim": 16}
NUM_ROWS, LENGTH, SUMMARY_LENGTH, NUM_SUPERVISED = 4, 96, 24, 60


def make(
    kind: str, *, dtype: torch.dtype = torch.float32, attention: str = "sdpa", device: str = "cpu", **fields: Any
) -> PreTrainedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**SIZES[kind], **fields})
    factory = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with torch.device(device):
        model: PreTrainedModel = factory.from_config(config, dtype=dtype, attn_implementation=attention).train()
    return model


def quantized(model: PreTrainedModel, quantization: Quantization) -> PreTrainedModel:
    """The model, saved and loaded as `fit` would load it."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = quantization.config(dtype=torch.bfloat16)
        loaded: PreTrainedModel = type(model).from_pretrained(folder, dtype=torch.bfloat16, quantization_config=config)
    return loaded.train()


def step(*, weight_bytes: int = 4, compute_bytes: int | None = None, **changes: Any) -> StepSettings:
    # A CPU's dropout masks are as wide as the tensor.
    fields = {"weight_bytes": weight_bytes, "compute_bytes": compute_bytes or weight_bytes, "mask_bytes": weight_bytes}
    return StepSettings(**{**fields, "adapter_bytes": weight_bytes, **changes})


def batch_of(model: PreTrainedModel) -> BatchShape:
    is_seq2seq = model.config.is_encoder_decoder
    return BatchShape(
        num_rows=NUM_ROWS,
        source_length=LENGTH if is_seq2seq else 0,
        target_length=SUMMARY_LENGTH if is_seq2seq else LENGTH,
        num_supervised=NUM_SUPERVISED,
    )


def forward(model: PreTrainedModel, *, has_padding: bool = True) -> Tensor:
    batch = batch_of(model)
    inputs = {"input_ids": torch.randint(3, 300, (NUM_ROWS, LENGTH))}
    inputs["attention_mask"] = torch.ones(NUM_ROWS, LENGTH, dtype=torch.long)
    if has_padding:
        inputs["attention_mask"][0, -8:] = 0
    if batch.source_length:
        inputs["decoder_input_ids"] = torch.randint(3, 300, (NUM_ROWS, SUMMARY_LENGTH))
    targets = torch.full((NUM_ROWS * batch.target_length,), -100)
    targets[torch.randperm(len(targets))[:NUM_SUPERVISED]] = 5
    targets = targets.view(NUM_ROWS, batch.target_length)
    return supervised_logits(model, targets, num_supervised=NUM_SUPERVISED, **inputs)[0]


def saved_bytes(model: PreTrainedModel, *, is_autocast: bool = False, has_padding: bool = True) -> int:
    """Storages that autograd keeps of a forward pass, each once, the model's own not counted."""
    own = {weight.untyped_storage().data_ptr() for weight in (*model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with torch.autocast("cpu", torch.bfloat16, enabled=is_autocast):
            logits = forward(model, has_padding=has_padding)
        assert logits.requires_grad
        return sum(map(storage_bytes, kept.values()))


def storage_bytes(tensor: Tensor) -> int:
    return int(tensor.untyped_storage().nbytes())
