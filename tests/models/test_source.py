"""Configs with overrides, models from folders, and special tokens that agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartModel,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    T5Config,
)

from kosum_pl.lookup import resolve_path
from kosum_pl.models.source import ModelSource, load_config, load_model, num_positions
from kosum_pl.models.special_tokens import align_special_tokens

LLAMA = "demo:llama"
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 24, "num_attention_heads": 2}


def config_of(model_name: str | Path, *, num_tokens: int = 50, **overrides: Any) -> PretrainedConfig:
    source = ModelSource(model_name=str(model_name), random_init=True, config_overrides=overrides)
    return load_config(source, num_tokens=num_tokens)


def loaded(source: ModelSource, *, num_tokens: int = 32, is_causal: bool = True) -> PreTrainedModel:
    return load_model(source, config=load_config(source, num_tokens=num_tokens), is_causal=is_causal)


def test_overrides_win_and_the_rest_stays() -> None:
    stored = load_config(ModelSource(model_name=LLAMA), num_tokens=10)
    config = load_config(ModelSource(model_name=LLAMA, config_overrides={"hidden_size": 16}), num_tokens=10)
    assert config.hidden_size == 16
    assert config.num_hidden_layers == stored.num_hidden_layers
    assert config.vocab_size == stored.vocab_size


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"model_type": "bart", "max_position_embeddings": 1026}, 1026),
        ({"model_type": "llama", "max_position_embeddings": 8192}, 8192),
        ({"model_type": "gpt2", "n_positions": 96}, 96),
        ({"model_type": "led", "max_encoder_position_embeddings": 640}, 640),
        # A model of text and images keeps the text's number one level below.
        ({"model_type": "gemma3", "text_config": {"max_position_embeddings": 777}}, 777),
        ({"model_type": "mt5"}, None),
        ({"model_type": "bloom"}, None),
    ],
)
def test_positions_of_a_model(tmp_path: Path, values: dict[str, Any], expected: int | None) -> None:
    assert num_positions(config_of(tmp_path, **values)) == expected


def test_relative_positions_have_no_end() -> None:
    config = T5Config(n_positions=512)  # as KoT5's file says it
    assert config.n_positions == 512
    assert num_positions(config) is None


def test_an_unknown_override_lists_the_fields() -> None:
    with pytest.raises(ValueError, match=r"no field hiden_size; it has: .*hidden_size"):
        config_of(LLAMA, hiden_size=16)


def test_a_folder_without_a_config_needs_a_model_type(tmp_path: Path) -> None:
    config = config_of(tmp_path, num_tokens=123, model_type="qwen3", **TINY)
    assert (config.model_type, config.vocab_size, config.num_hidden_layers) == ("qwen3", 123, 1)
    with pytest.raises(ValueError, match="no usable config"):
        config_of(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds an adapter alone; give its base, and the adapter to fit --init_from"):
        config_of(tmp_path)


def test_lists_by_layer_follow_the_number_of_layers(tmp_path: Path) -> None:
    config_of(tmp_path, model_type="qwen3", **TINY).save_pretrained(tmp_path)
    config = config_of(tmp_path, num_hidden_layers=3)
    assert len(config.layer_types) == config.num_hidden_layers == 3


def write_llama(folder: Path, *, without: str = "nothing") -> ModelSource:
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    state = {name: weight for name, weight in model.state_dict().items() if without not in name}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return ModelSource(model_name=str(folder))


def half_a_file(folder: Path) -> ModelSource:
    source = write_llama(folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    return source


def no_weights(folder: Path) -> ModelSource:
    LlamaConfig(vocab_size=50, **TINY).save_pretrained(folder)
    return ModelSource(model_name=str(folder))


@pytest.mark.parametrize(
    ("write", "changes", "message"),
    [
        (no_weights, {}, r"no weights loaded .*model\.random_init=true"),
        (half_a_file, {}, "no weights loaded"),
        (partial(write_llama, without="layers.1.mlp"), {}, r"'model.layers.1.mlp.*' is not among them"),
        (partial(write_llama, without="layers.1.mlp"), {"quantization": "nf4"}, r"'model.layers.1.*is not among them"),
        (write_llama, {"config_overrides": {"intermediate_size": 8}}, r"has the shape \(16, 16\) instead of"),
    ],
)
def test_weights_that_a_folder_lacks_are_named_in_one_line(
    tmp_path: Path, write: Callable[[Path], ModelSource], changes: dict[str, Any], message: str
) -> None:
    source = replace(write(tmp_path), **changes)
    with pytest.raises(ValueError, match=message) as caught:
        loaded(source)
    assert "\n" not in str(caught.value)


def test_a_body_without_its_tied_head_is_whole(tmp_path: Path) -> None:
    config = BartConfig(
        vocab_size=32, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=16,
    )  # fmt: skip
    body = BartModel(config)
    body.save_pretrained(tmp_path)
    model = loaded(ModelSource(model_name=str(tmp_path)), is_causal=False)
    assert torch.equal(model.get_output_embeddings().weight, body.shared.weight)


def test_an_unknown_dtype_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"model\.dtype is 'fp8'; known: auto, float32"):
        ModelSource(model_name="x", dtype="fp8")


def test_saved_weights_come_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    saved = LlamaForCausalLM(LlamaConfig(vocab_size=50, **TINY))
    saved.save_pretrained(tmp_path)
    model = loaded(ModelSource(model_name=str(tmp_path)))
    assert model.training
    assert all(model.state_dict()[name].equal(weight) for name, weight in saved.state_dict().items())


def test_bfloat16_weights_when_asked_for() -> None:
    model = loaded(ModelSource(model_name=LLAMA, random_init=True, dtype="bfloat16", config_overrides=TINY))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_decoding_settings_of_a_checkpoint_are_dropped_aloud() -> None:
    tokenizer = AutoTokenizer.from_pretrained(resolve_path("demo:bart"))
    source = ModelSource(model_name="demo:bart", random_init=True)
    model = loaded(source, num_tokens=len(tokenizer), is_causal=False)
    tag = tokenizer.convert_tokens_to_ids("#Person1#")
    model.generation_config = GenerationConfig(forced_eos_token_id=tag, num_beams=5, decoder_start_token_id=0)
    model.config.eos_token_id = tag
    (line,) = align_special_tokens(model, tokenizer, terminator_ids=[tokenizer.eos_token_id])
    assert f"forced_eos_token_id={tag} ('#Person1#') is not used" in line
    assert "num_beams=5 is not used" in line
    assert f"eos_token_id: {tag} -> {tokenizer.eos_token_id}" in line
    generation = model.generation_config
    assert (generation.forced_eos_token_id, generation.eos_token_id) == (None, [tokenizer.eos_token_id])
    assert generation.decoder_start_token_id == 0
    assert generation.pad_token_id == model.config.pad_token_id == tokenizer.pad_token_id


def test_what_agrees_already_is_not_mentioned() -> None:
    tokenizer = AutoTokenizer.from_pretrained(resolve_path(LLAMA))
    source = ModelSource(model_name=LLAMA, random_init=True, config_overrides=TINY)
    model = loaded(source, num_tokens=len(tokenizer))
    ends = [tokenizer.eos_token_id]
    align_special_tokens(model, tokenizer, terminator_ids=ends)
    assert align_special_tokens(model, tokenizer, terminator_ids=ends) == []


def test_a_tokenizer_larger_than_the_model_is_an_error() -> None:
    tokenizer = AutoTokenizer.from_pretrained(resolve_path(LLAMA))
    model = LlamaForCausalLM(LlamaConfig(vocab_size=50, **TINY))
    with pytest.raises(ValueError, match=f"the model has 50 embeddings but the tokenizer {len(tokenizer)} tokens"):
        align_special_tokens(model, tokenizer, terminator_ids=[1])


@pytest.mark.shared
def test_kobarts_forced_tag_is_not_trusted(shared_dir: Path) -> None:
    folder = str(shared_dir / "tokenizers" / "kobart")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    shape = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 32, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    source = ModelSource(model_name=folder, random_init=True, config_overrides=shape)
    model = loaded(source, num_tokens=len(tokenizer), is_causal=False)
    model.generation_config = GenerationConfig.from_pretrained(folder)
    (line,) = align_special_tokens(model, tokenizer, terminator_ids=[tokenizer.eos_token_id])
    assert "forced_eos_token_id=2 ('<usr>') is not used" in line
    assert model.generation_config.forced_eos_token_id is None
    assert model.generation_config.eos_token_id == [1]


def test_a_rank_that_is_not_the_first_quantizes_random_weights_too(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ModelSource(model_name=LLAMA, random_init=True, config_overrides=TINY, quantization="nf4")
    torch.manual_seed(1)
    first = loaded(source)
    # What `save_pretrained` asks when processes train together.
    monkeypatch.setattr("transformers.distributed.mixin._is_torch_distributed_initialized", lambda: True)
    monkeypatch.setattr("transformers.distributed.mixin._get_torch_distributed_rank", lambda: 1)
    torch.manual_seed(1)
    second = loaded(source).state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.state_dict().items())
