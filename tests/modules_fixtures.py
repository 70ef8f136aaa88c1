"""Tiny modules of both kinds on the embedded tokenizers, a few rows to feed them, and a Trainer that says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.encode import Batch, CollateItem, Collator, TokenLimits
from kosum_pl.modules import CausalModule, Seq2SeqModule, SummarizationModule
from kosum_pl.types import Dialogue

LIMITS = TokenLimits(max_source_tokens=200, max_summary_tokens=60)
SMALL: dict[str, dict[str, Any]] = {
    "seq2seq": {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48},
    "causal": {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 48},
}
# Wide random weights: with the usual narrow ones every row of an untrained model says the same.
WIDE: dict[str, dict[str, Any]] = {
    "seq2seq": {**SMALL["seq2seq"], "init_std": 0.3},
    "causal": {**SMALL["causal"], "initializer_range": 0.3, "num_hidden_layers": 2},
}
DIALOGUES = [
    Dialogue(
        example_id=f"row_{number}",
        text="\n".join(
            f"#Person{turn % 2 + 1}#: {number}번 손님, {'오늘 ' * (turn + 1)}예약하셨어요?" for turn in range(number)
        ),
        references=("#Person1#은 " + "예약을 확인한다. " * (1 + number % 4),),
        profile={"weekday": str(number % 7 + 1)},
    )
    for number in range(1, 9)
]
"""Eight rows whose dialogues and summaries differ in length."""


def small_module(
    kind: str, *, dropout: float = 0.0, shape: dict[str, Any] | None = None, **settings: Any
) -> SummarizationModule:
    """A module without weights yet; `settings` go to its constructor."""
    module_class, name, rate = {
        "seq2seq": (Seq2SeqModule, "demo:bart", "dropout"),
        "causal": (CausalModule, "demo:llama", "attention_dropout"),
    }[kind]
    defaults = {"rouge_tokenizer": "char", "config_overrides": (shape or SMALL[kind]) | {rate: dropout}}
    return module_class(name, random_init=True, **(defaults | settings))


def wide_module(kind: str, *, seed: int = 0, **settings: Any) -> SummarizationModule:
    """A seeded module with weights whose rows say different things."""
    torch.manual_seed(seed)
    module = small_module(kind, shape=WIDE[kind], **({"learning_rate": 1e-3} | settings))
    module.configure_model()
    return module


def collate_rows(module: SummarizationModule, rows: Sequence[Dialogue], *, for_generation: bool = False) -> Batch:
    """Rows encoded and collated for a module."""
    encoder = module.encoder
    collate = Collator(
        pad_token_id=int(encoder.tokenizer.pad_token_id), is_causal=module.is_causal, for_generation=for_generation
    )
    return collate(
        [
            CollateItem(
                example=encoder.encode(row, limits=LIMITS, with_summary=True),
                row=i,
                dialogue=row if for_generation else None,
                is_counted=True,
            )
            for i, row in enumerate(rows)
        ]
    )


def quiet_trainer(**settings: Any) -> Trainer:
    """A Trainer on the CPU that writes and shows nothing."""
    switches = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    defaults = {**dict.fromkeys(switches, False), "num_sanity_val_steps": 0, "use_distributed_sampler": False}
    return Trainer(**{"accelerator": "cpu", **defaults, **settings})


def attached(
    stage: str, module: SummarizationModule, data: SummarizationDataModule, **settings: Any
) -> SummarizationDataModule:
    """A data module set up for a stage, as a Trainer would."""
    trainer = quiet_trainer(max_epochs=1, **settings)
    trainer.state.fn = TrainerFn(stage)
    trainer.strategy.connect(module)
    module.trainer = data.trainer = trainer
    data.prepare_data()
    data.setup(stage)
    return data


@pytest.fixture(params=["seq2seq", "causal"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both kinds of model."""
    return str(request.param)
