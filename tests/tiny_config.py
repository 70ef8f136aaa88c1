"""A config whose model trains in a second, for tests of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

BART = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
}


def tiny_config(
    *, preset: str = "tiny_preset.yaml", trainer: Mapping[str, Any], model: Mapping[str, Any], data: Mapping[str, Any]
) -> dict[str, Any]:
    """Plain values of a whole config.

    Args:
        preset: File of the only preset.
        trainer: Beside, or instead of, the usual ones.
        model: The same.
        data: The same.
    """
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    usual = {"model_name": "demo:bart", "random_init": True, "config_overrides": BART, "learning_rate": 0.01}
    limits = {"max_source_tokens": 96, "max_summary_tokens": 32, "batch_size": 2, "num_workers": 0}
    return {
        "trainer": {"accelerator": "cpu", **quiet, "callbacks": [{"class_path": "RougeSumCheckpoint"}], **trainer},
        "model": {
            "class_path": "Seq2SeqModule",
            "init_args": {**usual, "fit_preset": preset, "presets": [preset], **model},
        },
        "data": {"train_file": "train.csv", "val_file": "dev.csv", **limits, **data},
    }


def write_tiny(config: Mapping[str, Any]) -> None:
    """Write a config as `tiny.yaml`, and its preset, into the working folder."""
    Path("tiny_preset.yaml").write_text("max_new_tokens: 4\n", encoding="utf-8")
    Path("tiny.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
