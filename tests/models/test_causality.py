"""A model that sees the answer is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    Qwen3Config,
    RobertaConfig,
)

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.errors import UsageError
from kosum_pl.models.causality import check_causality
from kosum_pl.modules import CausalModule, Seq2SeqModule
from tests.modules_fixtures import quiet_trainer

SMALL = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
CAUSAL: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(**SMALL),
    "qwen3": Qwen3Config(**SMALL, num_key_value_heads=1, head_dim=8),
    "gpt2": GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2),
    "bert as decoder": BertConfig(**SMALL, is_decoder=True),
}
SEEING: dict[str, PretrainedConfig] = {"bert": BertConfig(**SMALL), "roberta": RobertaConfig(**SMALL)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", CAUSAL)
def test_a_causal_model_passes(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CAUSAL[kind], dtype=dtype).train()
    check_causality(model, name="x")
    assert model.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", SEEING)
def test_one_that_sees_what_follows_is_refused(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    config = type(SEEING[kind])(**{**SEEING[kind].to_dict(), "initializer_range": 0.3})
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    with pytest.raises(UsageError, match=r"'my/bert' is no causal model: a later token changes what \w+ predicts"):
        check_causality(model, name="my/bert")


def test_fit_refuses_an_encoder_before_its_first_step(cut_demo: Callable[[int, int], dict[str, str]]) -> None:
    shape = {**SMALL, "model_type": "bert", "initializer_range": 0.3, "max_position_embeddings": 512}
    shape.pop("vocab_size")
    module = CausalModule("demo:llama", random_init=True, config_overrides=shape, rouge_tokenizer="char")
    with pytest.raises(UsageError, match="'demo:llama' is no causal model"):
        quiet_trainer(max_steps=1).fit(
            module,
            datamodule=SummarizationDataModule(**cut_demo(4, 2), batch_size=2),  # type: ignore[arg-type]
        )


def test_another_task_is_named() -> None:
    module = Seq2SeqModule("demo:bart", random_init=True, config_overrides={"model_type": "bert"})
    with pytest.raises(ValueError, match=r"is of type bert, which has no encoder-decoder model; give another, or"):
        module.configure_model()
