from __future__ import annotations

from typing import Any

import pytest
import torch

from kosum_pl.errors import UsageError
from kosum_pl.export.merge import merge_adapter
from kosum_pl.models.adapters import AdapterSettings
from kosum_pl.modules import CausalModule, Seq2SeqModule, SummarizationModule

SHAPES: dict[str, dict[str, Any]] = {
    "causal": {"hidden_size": 32, "intermediate_size": 32},
    "seq2seq": {"d_model": 32, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32},
}


def make_module(kind: str, **adapter: Any) -> SummarizationModule:
    module_class, name = {"causal": (CausalModule, "demo:llama"), "seq2seq": (Seq2SeqModule, "demo:bart")}[kind]
    torch.manual_seed(3)
    settings = AdapterSettings(rank=2, dropout=0.0, **adapter)
    module = module_class(name, random_init=True, config_overrides=SHAPES[kind], adapter=settings)
    module.configure_model()
    for parameter in module.parameters():
        if parameter.requires_grad:  # fresh adapters add nothing
            parameter.data += 0.1 * torch.randn_like(parameter)
    return module.eval()


def logits(module: SummarizationModule) -> torch.Tensor:
    ids = torch.arange(5, 25)[None]
    inputs = {} if module.is_causal else {"decoder_input_ids": ids[:, :7]}
    with torch.no_grad():
        found: torch.Tensor = module.language_model(ids, **inputs).logits
    return found


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"use_dora": True}])
def test_merging_leaves_a_plain_model_that_says_the_same(kind: str, settings: dict[str, Any]) -> None:
    module = make_module(kind, **settings)
    expected = logits(module)
    num_layers = merge_adapter(module)
    assert num_layers == {"causal": 14, "seq2seq": 2 * 6 + 2 * 10}[kind]
    assert torch.allclose(logits(module), expected, atol=1e-4)
    assert not [name for name, _ in module.named_parameters() if "lora" in name or "base_layer" in name]
    assert not hasattr(module.language_model, "peft_config")
    assert module.adapter is None


def test_a_shared_weight_is_not_merged() -> None:
    module = make_module("causal", target_modules=["lm_head"])
    with pytest.raises(UsageError, match=r"changes a weight that 'model\.embed_tokens' shares; export without --merge"):
        merge_adapter(module)


def test_numbers_that_are_none_are_not_merged() -> None:
    module = make_module("causal", target_modules=["q_proj"])
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            parameter.data[0, 0] = torch.nan
    with pytest.raises(
        UsageError, match=r"--merge: the adapter of 'model\.layers\.0\.self_attn\.q_proj' cannot be merged"
    ):
        merge_adapter(module)
