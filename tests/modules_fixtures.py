"""Tiny modules of both kinds on the embedded tokenizers, and a few rows to feed them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from kosum_pl.encode import Batch, CollateItem, Collator, TokenLimits
from kosum_pl.modules import CausalModule, Seq2SeqModule, SummarizationModule
from kosum_pl.types import Dialogue

LIMITS = TokenLimits(max_source_tokens=200, max_summary_tokens=60)
# Wide random weights: with the usual narrow ones every row of an untrained model says the same.
TINY = {
    "seq2seq": {
        "init_std": 0.3,
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
    },
    "causal": {"initializer_range": 0.3, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48},
}
MakeModule = Callable[..., SummarizationModule]


@pytest.fixture(params=["seq2seq", "causal"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both kinds of model."""
    return str(request.param)


@pytest.fixture
def make_module() -> MakeModule:
    """Builds a seeded tiny module of one kind; keyword arguments go to its constructor."""

    def make(kind: str, *, seed: int = 0, dropout: float = 0.0, **settings: Any) -> SummarizationModule:
        module_class = {"seq2seq": Seq2SeqModule, "causal": CausalModule}[kind]
        rates = {"seq2seq": {"dropout": dropout}, "causal": {"attention_dropout": dropout}}[kind]
        name = {"seq2seq": "demo:bart", "causal": "demo:llama"}[kind]
        shape = TINY[kind] | rates
        defaults = {
            "random_init": True, "rouge_tokenizer": "char", "learning_rate": 1e-3, "config_overrides": shape
        }  # fmt: skip
        torch.manual_seed(seed)
        module = module_class(name, **(defaults | settings))
        module.configure_model()
        return module

    return make


@pytest.fixture(scope="session")
def dialogues() -> list[Dialogue]:
    """Eight rows whose dialogues and summaries differ in length."""
    return [
        Dialogue(
            example_id=f"row_{number}",
            text="\n".join(
                f"#Person{turn % 2 + 1}#: {number}번 손님, {'오늘 ' * (turn + 1)}예약하셨어요?"
                for turn in range(number)
            ),
            references=("#Person1#은 " + "예약을 확인한다. " * (1 + number % 4),),
            profile={"weekday": str(number % 7 + 1)},
        )
        for number in range(1, 9)
    ]


@pytest.fixture
def collate() -> Callable[..., Batch]:
    """Encodes and collates rows for a module."""

    def make(module: SummarizationModule, rows: Sequence[Dialogue], *, for_generation: bool = False) -> Batch:
        encoder = module.encoder
        collator = Collator(
            pad_token_id=int(encoder.tokenizer.pad_token_id), is_causal=module.is_causal, for_generation=for_generation
        )
        return collator(
            [
                CollateItem(
                    example=encoder.encode(row, limits=LIMITS, with_summary=True),
                    row=place,
                    dialogue=row if for_generation else None,
                    is_counted=True,
                )
                for place, row in enumerate(rows)
            ]
        )

    return make
