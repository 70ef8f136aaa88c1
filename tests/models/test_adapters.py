"""Adapters and quantized bases: what is trained, what a checkpoint holds, and a resume that is exact."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.models.adapters import AdapterSettings
from kosum_pl.modules import CausalModule, Seq2SeqModule, SummarizationModule

SHAPES = {
    "seq2seq": {"d_model": 64, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64},
    "causal": {"hidden_size": 64, "num_hidden_layers": 1, "intermediate_size": 64},
}
ADAPTER = AdapterSettings(rank=4, alpha=8.0, dropout=0.1)


class Losses(Callback):
    """Keeps every step's loss."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.values.append(float(trainer.callback_metrics["train/loss"]))


def make_module(kind: str, **settings: Any) -> SummarizationModule:
    module_class, name = {"seq2seq": (Seq2SeqModule, "demo:bart"), "causal": (CausalModule, "demo:llama")}[kind]
    defaults = {"rouge_tokenizer": "char", "learning_rate": 1e-2, "generate_during_fit": False, "adapter": ADAPTER}
    defaults["config_overrides"] = SHAPES[kind]
    torch.manual_seed(7)
    module = module_class(name, random_init=True, **(defaults | settings))
    module.configure_model()
    return module


def fit(module: SummarizationModule, files: dict[str, str], **settings: Any) -> list[float]:
    losses, ckpt_path = Losses(), settings.pop("ckpt_path", None)
    defaults = {"max_steps": 8, "enable_checkpointing": False, "num_sanity_val_steps": 0, "limit_val_batches": 0}
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, callbacks=[losses, *settings.pop("callbacks", [])], **(defaults | settings),
    )  # fmt: skip
    trainer.fit(module, datamodule=SummarizationDataModule(**files, batch_size=8), ckpt_path=ckpt_path)
    return losses.values


@pytest.mark.parametrize("quantization", ["none", "nf4", "int8"])
@pytest.mark.parametrize("kind", SHAPES)
def test_only_the_adapter_is_trained_and_the_base_stays_to_the_bit(
    kind: str, quantization: str, files: dict[str, str]
) -> None:
    module = make_module(kind, quantization=quantization)
    trained = {name for name, weight in module.named_parameters() if weight.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    losses = fit(module, files)
    changed = {name for name, weight in module.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == trained
    assert losses[-1] < losses[0]


def test_quantized_layers_are_quantized_and_the_head_is_not() -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    model = make_module("causal", quantization="nf4").language_model
    layer = model.model.layers[0].self_attn.q_proj.base_layer
    assert type(layer) is bitsandbytes.nn.Linear4bit
    assert layer.weight.quant_state.quant_type == "nf4"
    assert layer.weight.quant_state.nested, "scales are quantized too"
    assert type(model.get_output_embeddings()) is torch.nn.Linear


def test_an_adapter_that_has_learnt_nothing_changes_nothing(files: dict[str, str]) -> None:
    """B starts at zero: the loss before the first step is the base's own."""
    first = fit(make_module("causal", adapter=AdapterSettings(rank=4, dropout=0.0)), files, max_steps=1)
    assert first == fit(make_module("causal", adapter=None), files, max_steps=1)


@pytest.mark.parametrize(("use_rslora", "scaling"), [(False, 2.0), (True, 8.0)])
def test_rslora_scales_by_the_root_of_the_rank(use_rslora: bool, scaling: float) -> None:
    settings = AdapterSettings(rank=16, alpha=32.0, use_rslora=use_rslora)
    layer = make_module("causal", adapter=settings).language_model.model.layers[0].self_attn.q_proj
    assert layer.scaling == {"default": scaling}


def test_dora_learns_lengths_too_beside_any_base(files: dict[str, str]) -> None:
    adapter = AdapterSettings(rank=4, dropout=0.0, use_dora=True)
    losses = {}
    for name in ("none", "nf4", "int8"):
        module = make_module("causal", quantization=name, adapter=adapter)
        assert any(
            "lora_magnitude_vector" in part for part, weight in module.named_parameters() if weight.requires_grad
        )
        losses[name] = fit(module, files, max_steps=4)
        assert losses[name][-1] < losses[name][0]
    assert losses["int8"] == pytest.approx(losses["none"], abs=0.02)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_an_adapter_is_trained_in_fp32_beside_a_16_bit_base(quantization: str) -> None:
    module = make_module("causal", dtype="bfloat16", quantization=quantization)
    assert {weight.dtype for weight in module.parameters() if weight.requires_grad} == {torch.float32}
    assert module.language_model.get_input_embeddings().weight.dtype == torch.bfloat16


def test_target_modules_by_name() -> None:
    module = make_module("causal", adapter=AdapterSettings(rank=4, target_modules=["q_proj", "v_proj"]))
    listed = make_module("causal", adapter=AdapterSettings(rank=4, target_modules=["all-linear"]))
    assert listed.notes == make_module("causal", adapter=AdapterSettings(rank=4)).notes
    owners = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name, w in module.named_parameters() if w.requires_grad}
    assert owners == {"q_proj", "v_proj"}


@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("kind", SHAPES)
def test_a_resume_is_exact(kind: str, quantization: str, files: dict[str, str], tmp_path: Path) -> None:
    """The loss curve after a resume equals the uninterrupted one to the bit, adapter dropout on."""
    saver = ModelCheckpoint(dirpath=tmp_path / "saved", every_n_train_steps=3, save_top_k=-1, filename="{step}")
    whole = fit(make_module(kind, quantization=quantization), files)
    fit(make_module(kind, quantization=quantization), files, enable_checkpointing=True, callbacks=[saver])
    torch.rand(100)
    resumed = fit(
        make_module(kind, quantization=quantization), files, ckpt_path=str(tmp_path / "saved" / "step=3.ckpt")
    )
    assert len(set(whole)) == 8
    assert resumed == whole[3:]


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
@pytest.mark.parametrize("kind", SHAPES)
def test_an_evaluation_changes_no_later_step(kind: str, quantization: str, files: dict[str, str]) -> None:
    """On CPUs with bf16 instructions bitsandbytes packs 4-bit weights while it evaluates: without a gradient."""
    settings = {"quantization": quantization, "adapter": AdapterSettings(rank=4, dropout=0.0), "dtype": "bfloat16"}
    alone = fit(make_module(kind, **settings), files, max_steps=4)
    module = make_module(kind, **settings)
    beside = fit(module, files, max_steps=4, limit_val_batches=1, num_sanity_val_steps=1)
    assert beside == alone
    assert not any(getattr(layer, "support_avx512bf16_for_cpu", False) for layer in module.modules())


def saved(module: SummarizationModule, files: dict[str, str], folder: Path) -> Path:
    saver = ModelCheckpoint(dirpath=folder, every_n_train_steps=2, save_top_k=-1, filename="{step}")
    fit(module, files, enable_checkpointing=True, callbacks=[saver], max_steps=2)
    return folder / "step=2.ckpt"


def test_a_checkpoint_holds_the_adapter_and_not_the_base(files: dict[str, str], tmp_path: Path) -> None:
    module = make_module("causal", quantization="nf4")
    checkpoint = torch.load(saved(module, files, tmp_path), weights_only=True)
    expected = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    assert checkpoint["state_dict"].keys() == expected.keys()
    assert all(torch.equal(checkpoint["state_dict"][name], weight) for name, weight in expected.items())
    assert checkpoint["kosum_pl"]["model_name"] == "demo:llama"
    num_moments = sum(len(state) for state in checkpoint["optimizer_states"][0]["state"].values())
    assert num_moments == 3 * len(expected), "step and two moments of each trained weight"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"config_overrides": SHAPES["causal"] | {"rms_norm_eps": 1e-4}}, "belongs to 'demo:llama'.*is another base"),
        ({"adapter": AdapterSettings(rank=8)}, r"lora_A.default.weight' has the shape \(4, 64\) instead of \(8, 64\)"),
        ({"adapter": AdapterSettings(rank=4, target_modules=["q_proj"])}, "holds '.*', which this one does not train"),
        ({"adapter": AdapterSettings(rank=4, use_dora=True)}, "lacks '.*magnitude.*', which this config trains"),
    ],
)
def test_an_adapter_of_something_else_is_refused(
    settings: dict[str, Any], message: str, files: dict[str, str], tmp_path: Path
) -> None:
    path = saved(make_module("causal"), files, tmp_path)
    defaults = {"config_overrides": SHAPES["causal"], "adapter": ADAPTER, "generate_during_fit": False}
    other = CausalModule("demo:llama", random_init=True, rouge_tokenizer="char", **(defaults | settings))
    with pytest.raises(ValueError, match=message) as caught:
        fit(other, files, ckpt_path=str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quantization": "nf4", "adapter": None}, "quantized weights cannot be trained; set model.adapter.rank=16"),
        ({"quantization": "nf3"}, "model.quantization is 'nf3'; known: none, nf4, int8"),
        ({"quantization": "nf4", "quantization_compute_dtype": "fp8"}, "compute_dtype is 'fp8'; known: auto, float32"),
        ({"optimizer": "lion"}, "model.optimizer is 'lion'; known: adamw, adamw_8bit, paged_adamw, paged_adamw_8bit"),
        (
            {"adapter": AdapterSettings(target_modules=["q_proj", "wq"])},
            r"'wq' is no module of the model; write all-linear, or some of: .*q_proj",
        ),
        (
            {"adapter": AdapterSettings(target_modules=["q_proj", "all-linear"])},
            "'all-linear' stands alone, without other names",
        ),
        ({"adapter": AdapterSettings(target_modules="input_layernorm")}, "Target module .* write all-linear, or some"),
        ({"dtype": "float64", "quantization": "nf4"}, "set model.dtype=bfloat16, or model.quantization=none"),
    ],
)
def test_what_cannot_work_is_refused_with_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make_module("causal", **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("rank", 0), ("alpha", 0.0), ("dropout", 1.0), ("target_modules", [])])
def test_settings_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"model.adapter.{name} is"):
        AdapterSettings(**{name: value})


@pytest.mark.parametrize("optimizer", ["adamw_8bit", "paged_adamw", "paged_adamw_8bit"])
@pytest.mark.filterwarnings("ignore:Paged optimizers")
def test_bitsandbytes_optimizers_train(optimizer: str, files: dict[str, str]) -> None:
    losses = fit(make_module("causal", optimizer=optimizer), files)
    assert losses[-1] < losses[0]


def test_a_peft_that_cannot_be_loaded_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"model.adapter needs peft.*: pip install peft$"):
        make_module("causal")
