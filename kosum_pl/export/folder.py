"""An exported folder: written from a module with weights, and read back into one.

In: a module, or a folder. Out: a folder that transformers, peft and vLLM open, or a module that summarizes as the
exported one did.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from kosum_pl.checkpoints.lineage import ADAPTER_FILE, EXPORT_RECORD
from kosum_pl.checkpoints.weights import load_export
from kosum_pl.errors import UsageError
from kosum_pl.export.record import (
    base_name,
    build_module,
    module_values,
    read_record,
    write_record,
)
from kosum_pl.export.serving import (
    STRUCTURED_FILE,
    check_golden_prompts,
    save_tokenizer,
    structured_outputs,
    write_golden_prompts,
)
from kosum_pl.inference import InferenceSettings
from kosum_pl.models.adapters import PEFT_PREFIX
from kosum_pl.models.new_tokens import ROWS_FILE
from kosum_pl.modules import SummarizationModule
from kosum_pl.modules.generation import generation_config


@dataclass(frozen=True, eq=False, kw_only=True)
class Exported:
    """What an exported folder holds.

    Attributes:
        module: On the CPU; of `load_folder` with weights, in evaluation mode.
    """

    module: SummarizationModule
    settings: InferenceSettings
    record: dict[str, Any]


def write_folder(module: SummarizationModule, settings: InferenceSettings, folder: Path, **noted: Any) -> None:
    """Write everything that a folder holds, and make it; of a module with an adapter, the adapter alone.

    `noted` are further values of `kosum.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = module.language_model
    # Taken before the generation config is replaced: it names the special tokens.
    preset = module.decoding.router.preset_for({})  # of rows without a profile
    generation = generation_config(model, preset, tokenizer=module.encoder.tokenizer)
    values = module_values(module, with_adapter=module.adapter is not None)
    if module.adapter is not None:
        _save_adapter(module, folder)
    else:
        model.generation_config = generation
        model.save_pretrained(folder)
    generation.save_pretrained(folder)
    save_tokenizer(module, folder)
    write_golden_prompts(module, folder)
    constraint = module.decoding.constraint
    if constraint is not None:
        text = json.dumps(structured_outputs(constraint), ensure_ascii=False, indent=1)
        (folder / STRUCTURED_FILE).write_text(text + "\n", encoding="utf-8")
    is_constrained = "predict" in module.decoding.constrained_stages
    write_record({**values, "inference": {**settings.values(), "is_constrained": is_constrained}, **noted}, folder)


def open_folder(folder: Path) -> Exported:
    """Read everything but the weights, and check that prompts are still rendered as they were at the export.

    Raises:
        ValueError: It is no such folder, or its tokenizer was changed.
    """
    record = read_record(folder)
    try:
        module = build_module(record, folder)
        inference = {name: value for name, value in record["inference"].items() if name != "is_constrained"}
        settings = InferenceSettings.from_values(inference)
    except (KeyError, TypeError) as error:
        raise UsageError(f"{folder / EXPORT_RECORD}: {error} is missing or unknown; export again") from error
    check_golden_prompts(module, folder)
    return Exported(module=module, settings=settings, record=record)


def load_exported_weights(exported: Exported, folder: Path) -> None:
    """Load the weights of an opened folder.

    Raises:
        ValueError: The base is another one, or a file is missing.
    """
    module = exported.module
    module.configure_model()
    if module.adapter is not None:
        try:
            load_export(module, folder)
        except ValueError as error:
            raise UsageError(f"{folder}: {error}") from error
    module.eval()


def load_folder(folder: Path) -> Exported:
    """Read a folder back, weights and all."""
    exported = open_folder(folder)
    load_exported_weights(exported, folder)
    return exported


def _save_adapter(module: SummarizationModule, folder: Path) -> None:
    """Write the adapter as PEFT does, and rows of new tokens beside it instead of whole embeddings."""
    from peft import get_peft_model_state_dict

    ((name, config),) = module.language_model.peft_config.items()
    config.base_model_name_or_path = base_name(module)
    config.inference_mode = True
    config.save_pretrained(folder)
    state = get_peft_model_state_dict(module.language_model, adapter_name=name, save_embedding_layers=False)
    prefixed = {f"{PEFT_PREFIX}{key}": value.contiguous() for key, value in state.items()}
    save_file(prefixed, folder / ADAPTER_FILE, metadata={"format": "pt"})
    if module.new_token_rows is not None:
        save_file(module.new_token_rows.state_dict(), folder / ROWS_FILE)
