"""Memory of real training steps on a GPU, beside what `plan` counts for them.

Run: python -m benchmarks.memory [3b_lora 3b_qlora 8b_qlora kobart] [--memory 24GB] [--steps 3]
In: configs of the repository, with random weights of the true shapes and batches of the longest rows. Out: a line a
shape: what `plan` predicts, what `torch.cuda.max_memory_allocated` says after real optimizer steps, and their ratio.
`--memory` caps the process's share of a larger card, so that whoever needs more runs out of it as on a small one.
Without a GPU the same step is traced: with tensors that have a size and no content.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from torch.utils.data import DataLoader

from benchmarks.timing import machine_facts
from benchmarks.traced_memory import traced_peak
from kosum_pl.cli.arguments import read_arguments
from kosum_pl.cli.option_types import memory_size
from kosum_pl.cli.parts import Parts, load_parts
from kosum_pl.commands.plan.count import ShapeCache
from kosum_pl.commands.plan.settings import PlanSettings, plan_settings
from kosum_pl.encode import Batch
from kosum_pl.types import IGNORE_INDEX

_LLAMA = {"model_type": "llama", "vocab_size": 128256, "num_key_value_heads": 8, "head_dim": 128}
_LLAMA_3B = {
    **_LLAMA,
    **{"hidden_size": 3072, "num_hidden_layers": 28, "intermediate_size": 8192, "num_attention_heads": 24},
    "tie_word_embeddings": True,
}
_LLAMA_8B = {
    **_LLAMA,
    **{"hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14336, "num_attention_heads": 32},
    "tie_word_embeddings": False,
}
_KOBART = {
    **{"model_type": "bart", "vocab_size": 30000, "d_model": 768, "max_position_embeddings": 1026},
    **{"encoder_layers": 6, "encoder_attention_heads": 16, "encoder_ffn_dim": 3072},
    **{"decoder_layers": 6, "decoder_attention_heads": 16, "decoder_ffn_dim": 3072},
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is trained: a config of the repository, its model's true shape and more options of `fit`.

    The tokenizer is the demo's: ids are drawn at random, so that any will do.
    """

    config: str
    tokenizer: str
    shape: dict[str, Any]
    options: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """The command line of `fit`."""
        overrides = json.dumps(self.shape)
        return [
            *("--config", self.config, "--model.model_name", self.tokenizer, "--model.random_init", "true"),
            *("--model.config_overrides", overrides, "--model.generate_during_fit", "false", *self.options),
        ]


CASES = {
    "3b_lora": Case(config="llama3b", tokenizer="demo:llama", shape=_LLAMA_3B),
    "3b_qlora": Case(
        config="llama3b", tokenizer="demo:llama", shape=_LLAMA_3B, options=("--model.quantization", "nf4")
    ),
    "8b_qlora": Case(
        config="llama8b_qlora",
        tokenizer="demo:llama",
        shape=_LLAMA_8B,
        options=(
            *("--data.max_batch_tokens", "null", "--data.batch_size", "4"),
            *("--data.max_source_tokens", "832", "--data.max_summary_tokens", "192"),
        ),
    ),
    "kobart": Case(config="kobart", tokenizer="demo:bart", shape=_KOBART),
}


def full_batch(settings: PlanSettings, *, vocab_size: int) -> Batch:
    """A batch of longest rows with random ids, as the collator makes them, on the CPU."""
    batch = settings.batch
    source = batch.source_length or batch.target_length
    ids = torch.randint(10, vocab_size, (batch.num_rows, source))
    labels = torch.full((batch.num_rows, batch.target_length), IGNORE_INDEX)
    summary = settings.max_summary_tokens
    labels[:, -summary:] = torch.randint(10, vocab_size, (batch.num_rows, summary))
    return Batch(
        example_ids=tuple(map(str, range(batch.num_rows))),
        rows=tuple(range(batch.num_rows)),
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        labels=labels,
        prompt_ids=None,
        prompt_mask=None,
        dialogues=(),
        num_supervised_tokens=batch.num_rows * summary,
        num_real_tokens=ids.numel(),
    )


def train(parts: Parts, batches: Sequence[Batch], *, num_steps: int) -> None:
    """Optimizer steps as `fit` makes them: precision, accumulation and clipping are the config's."""
    values = parts.config["trainer"]
    trainer = Trainer(
        accelerator="auto", devices=1, precision=values["precision"], max_steps=num_steps,
        accumulate_grad_batches=values["accumulate_grad_batches"], gradient_clip_val=values["gradient_clip_val"],
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    repeated = list(batches) * (num_steps * values["accumulate_grad_batches"])
    trainer.fit(parts.module, train_dataloaders=DataLoader(repeated, batch_size=None))  # type: ignore[arg-type]


def measure(case: Case, *, num_steps: int) -> tuple[int, int, int | None]:
    """Predicted and measured (or traced) peak in bytes, without the CUDA context, and bytes reserved on a GPU."""
    parts = load_parts(read_arguments("fit", case.arguments()))
    settings = plan_settings(parts)
    predicted = ShapeCache().largest(settings)[1].peak
    batch = full_batch(settings, vocab_size=case.shape["vocab_size"])
    if not torch.cuda.is_available():
        traced = traced_peak(
            parts.module,
            batch,
            num_micro_batches=settings.accumulate_grad_batches,
            is_autocast=settings.precision.endswith("-mixed"),
        )
        return predicted, traced, None
    seed_everything(42, verbose=False)
    torch.cuda.empty_cache()
    # Loading is not what is measured: a base is quantized piece by piece from 16-bit weights on the CPU.
    parts.module.configure_model()
    parts.module.to("cuda")
    torch.cuda.reset_peak_memory_stats()
    train(parts, [batch], num_steps=num_steps)
    return predicted, torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(CASES)}; none for all")
    parser.add_argument("--steps", type=int, default=3, help="optimizer steps of each")
    parser.add_argument("--memory", type=memory_size, help="most that the process may take, such as 24GB")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in CASES:
            raise SystemExit(f"no case is named {name}; there are {', '.join(CASES)}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if options.memory and device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(options.memory / torch.cuda.get_device_properties(0).total_memory)
    for name in options.names or CASES:
        predicted, measured, reserved = measure(CASES[name], num_steps=options.steps)
        line = f"{name:10} predicted {predicted / 1e9:6.2f} GB, {'traced' if reserved is None else 'measured'} "
        line += f"{measured / 1e9:6.2f} GB, ratio {predicted / measured:.3f}"
        if reserved is not None:
            line += f", reserved {reserved / 1e9:6.2f} GB"
        print(line, flush=True)
        gc.collect()
    print(", ".join(f"{name}: {value}" for name, value in machine_facts(device).items()))


if __name__ == "__main__":
    main()
