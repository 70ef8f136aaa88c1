"""An exported folder of an untrained model, for both files of tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from kosum_pl.data import Columns
from kosum_pl.encode import TokenLimits
from kosum_pl.export.folder import write_folder
from kosum_pl.inference import InferenceSettings
from kosum_pl.modules import Seq2SeqModule

SHAPE = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}


def inference_settings(**values: Any) -> InferenceSettings:
    limits = TokenLimits(max_source_tokens=64, max_summary_tokens=8)
    return InferenceSettings(limits=limits, columns=Columns(), **values)


def make_module(presets: Path) -> Seq2SeqModule:
    torch.manual_seed(1)
    module = Seq2SeqModule(
        "demo:bart",
        random_init=True,
        config_overrides={"init_std": 0.5, **SHAPE},
        presets=[str(presets)],
        postprocess=["nfc"],
        rouge_tokenizer="char",
    )
    module.configure_model()
    return module.eval()


def write_export(root: Path, settings: InferenceSettings) -> Path:
    (root / "five.yaml").write_text("max_new_tokens: 5\n")
    write_folder(make_module(root / "five.yaml"), settings, root / "exported")
    return root / "exported"
