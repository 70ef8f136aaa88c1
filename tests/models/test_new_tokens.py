"""Rows of new tokens, compared with a model of which everything but those rows is held back by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from kosum_pl.encode import add_new_tokens, load_tokenizer
from kosum_pl.models.adapters import AdapterSettings
from kosum_pl.models.new_tokens import NewTokenRows, fit_vocabulary
from kosum_pl.modules import SummarizationModule
from tests.models.test_adapters import SHAPES, fit, make_module

TOKENS = ["예약", "주말에"]


def with_tokens(kind: str, **settings: Any) -> SummarizationModule:
    shape = SHAPES[kind] | settings.pop("shape", {})
    return make_module(kind, new_tokens=TOKENS, config_overrides=shape, **settings)


def ids_of(module: SummarizationModule) -> list[int]:
    ids: list[int] = module.encoder.tokenizer.convert_tokens_to_ids(TOKENS)
    return ids


def matrices(module: SummarizationModule) -> list[Tensor]:
    model = module.language_model
    return [model.get_input_embeddings().weight, model.get_output_embeddings().weight]


def test_new_tokens_are_one_id_each_and_remember_how_they_were_spelt() -> None:
    tokenizer, _ = load_tokenizer("demo:llama")
    before = tokenizer("예약", add_special_tokens=False)["input_ids"]
    size = len(tokenizer)
    known = "#Person1#"
    assert add_new_tokens(tokenizer, ["예약", known]) == {
        size: before,
        tokenizer.convert_tokens_to_ids(known): [],
    }
    assert tokenizer("예약", add_special_tokens=False)["input_ids"] == [size]
    assert tokenizer.decode([size], skip_special_tokens=True) == "예약"
    assert len(tokenizer) == size + 1


@pytest.mark.parametrize("tokens", [[""], [" a"], ["가", "가"]])
def test_what_is_no_token_is_refused(tokens: list[str]) -> None:
    tokenizer, _ = load_tokenizer("demo:llama")
    with pytest.raises(ValueError, match=r"model\.new_tokens holds .*; give every token once, without space around it"):
        add_new_tokens(tokenizer, tokens)


@pytest.mark.parametrize("is_tied", [True, False])
def test_a_new_row_starts_as_the_mean_of_its_pieces(is_tied: bool) -> None:
    module = make_module("causal", config_overrides={**SHAPES["causal"], "tie_word_embeddings": is_tied}, adapter=None)
    model, size = module.language_model, len(module.encoder.tokenizer)
    before = [matrix.detach().clone() for matrix in matrices(module)]
    fit_vocabulary(model, num_tokens=size + 2, pieces={size: [3, 5, 5], size + 1: [7]})
    for matrix, old in zip(matrices(module), before, strict=True):
        assert matrix.shape == (size + 2, old.shape[1])
        assert torch.allclose(matrix[size].double(), (old[3].double() + 2 * old[5].double()) / 3)
        assert matrix[size + 1].equal(old[7])
        assert matrix[:size].equal(old)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("causal", {"tie_word_embeddings": True}),
        ("causal", {"tie_word_embeddings": False}),
        ("seq2seq", {}),
        ("seq2seq", {"scale_embedding": True}),
    ],
)
def test_the_gradient_is_that_of_the_rows_in_the_whole_matrix(kind: str, shape: dict[str, Any]) -> None:
    """The oracle: the same model with its matrices trained, by the framework's own embedding and linear layer."""
    module = with_tokens(kind, shape=shape, adapter=AdapterSettings(rank=4, dropout=0.0)).eval()
    whole = with_tokens(kind, shape=shape, adapter=AdapterSettings(rank=4, dropout=0.0)).eval()
    whole.new_token_rows = None
    for part in whole.language_model.modules():
        part._forward_hooks.clear()
    for matrix in matrices(whole):
        matrix.requires_grad_()
    first, second = ids_of(module)
    ids = torch.tensor([[first, 5, second, 9, first], [4, 6, 7, second, second]])
    losses = []
    for part in (module, whole):
        inputs = {"decoder_input_ids": ids} if kind == "seq2seq" else {}
        logits = part.language_model(input_ids=ids, **inputs).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten().roll(1))
        loss.backward()
        losses.append(loss)
    assert torch.allclose(losses[0], losses[1])
    rows = module.new_token_rows
    assert rows is not None
    expected = [matrix.grad[[first, second]] for matrix in matrices(whole) if matrix.grad is not None]
    given = [weight.grad for weight in (rows.input_rows, rows.output_rows) if weight is not None]
    for own, other in zip(given, expected[: len(given)], strict=True):
        assert own is not None
        assert own.abs().max() > 0
        assert torch.allclose(own, other, atol=1e-6)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("kind", SHAPES)
def test_only_their_rows_change_beside_the_adapter(kind: str, quantization: str, files: dict[str, str]) -> None:
    module = with_tokens(kind, quantization=quantization)
    trained = {name for name, weight in module.named_parameters() if weight.requires_grad and "lora_" not in name}
    assert trained == {"new_token_rows.input_rows"}  # both demo models share embedding and head
    before = matrices(module)[0].detach().clone()
    fit(module, files)
    after, ids = matrices(module)[0], ids_of(module)
    changed = (after != before).any(dim=1).nonzero().flatten().tolist()
    assert changed == sorted(ids)
    assert isinstance(module.new_token_rows, NewTokenRows)
    assert after[ids].equal(module.new_token_rows.input_rows)


def test_without_an_adapter_they_are_rows_like_any_other(files: dict[str, str]) -> None:
    module = with_tokens("causal", adapter=None)
    assert module.new_token_rows is None
    assert len(matrices(module)[0]) == len(module.encoder.tokenizer)
    fit(module, files, max_steps=1)


def test_a_resume_is_exact_and_rows_come_back_into_the_weights(files: dict[str, str], tmp_path: Path) -> None:
    saver = ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=3, save_top_k=-1, filename="{step}")
    whole = fit(with_tokens("causal"), files)
    fit(with_tokens("causal"), files, enable_checkpointing=True, callbacks=[saver])
    path = tmp_path / "step=3.ckpt"
    state = torch.load(path, weights_only=True)["state_dict"]
    again = with_tokens("causal")
    again.load_state_dict(state, strict=False)
    assert matrices(again)[0][ids_of(again)].equal(state["new_token_rows.input_rows"])
    assert fit(with_tokens("causal"), files, ckpt_path=str(path)) == whole[3:]


def test_a_head_with_an_adapter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"take it out of model\.adapter\.target_modules"):
        with_tokens(
            "causal",
            shape={"tie_word_embeddings": False},
            adapter=AdapterSettings(rank=4, target_modules=["q_proj", "lm_head"]),
        )
