"""PAD, BOS, EOS and decoding settings of a checkpoint, against its tokenizer and the presets.

In: the model folder's `config.json` and `generation_config.json` as plain values, the encoder, the presets. Out:
findings. No weights are needed: these two files are where checkpoints disagree with themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kosum_pl.commands.doctor.finding import Finding
from kosum_pl.decode import DecodingPreset
from kosum_pl.encode import Encoder
from kosum_pl.lookup import resolve_path

_AREA: Final = "special tokens"
_SPECIAL: Final = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
_FORCED: Final = ("forced_bos_token_id", "forced_eos_token_id")
_NO_SETTINGS: Final = frozenset({*_SPECIAL, *_FORCED, "transformers_version", "use_cache"})
_CONFIG, _GENERATION = "config.json", "generation_config.json"
# What older checkpoints keep in config.json instead of the generation config.
_LEGACY_SETTINGS: Final = (
    *("length_penalty", "no_repeat_ngram_size", "num_beams", "min_length", "max_length", "early_stopping"),
    *("repetition_penalty", "do_sample", "temperature", "top_k", "top_p"),
)


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """A checkpoint's own settings.

    Attributes:
        place: Folder or hub id, as the user knows it.
        is_found: Whether its files are on this machine.
        has_weights: Whether weights lie there.
        config: `config.json`; empty for none.
        generation: `generation_config.json`; empty for none.
    """

    place: str
    is_found: bool = True
    has_weights: bool = False
    config: Mapping[str, Any]
    generation: Mapping[str, Any]


def read_model_files(model_name: str) -> ModelFiles:
    """A checkpoint's settings, from its folder or the hub's cache; nothing is downloaded.

    Args:
        model_name: `model.model_name`.

    Raises:
        ValueError: One of the files is no JSON.
    """
    folder = local_folder(model_name)
    if folder is None:
        return ModelFiles(place=model_name, is_found=False, config={}, generation={})
    weights = [path for pattern in ("*.safetensors", "*.bin", "*.gguf") for path in folder.glob(pattern)]
    return ModelFiles(
        place=model_name,
        has_weights=bool(weights),
        config=_read_json(folder / _CONFIG),
        generation=_read_json(folder / _GENERATION),
    )


def local_folder(model_name: str) -> Path | None:
    """Where a model's files lie on this machine: its folder, or its snapshot in the hub's cache; None for neither."""
    folder = Path(resolve_path(model_name))
    if folder.is_dir():
        return folder
    if model_name.count("/") != 1 or model_name.startswith(("/", ".", "~")):
        return None
    from huggingface_hub import try_to_load_from_cache

    cached = (try_to_load_from_cache(model_name, name) for name in ("tokenizer_config.json", _CONFIG))
    return next((Path(path).parent for path in cached if isinstance(path, str)), None)


def token_findings(
    files: ModelFiles, *, encoder: Encoder, presets: Sequence[DecodingPreset], is_random: bool = False
) -> list[Finding]:
    """What a checkpoint says otherwise than its tokenizer and the presets.

    Args:
        files: From `read_model_files`.
        encoder: Its tokenizer and terminators are what a run goes by.
        presets: Those that may serve a row.
        is_random: Whether the weights are random ones.
    """
    tokenizer = encoder.tokenizer
    ends = " or ".join(_named(tokenizer, token) for token in encoder.terminator_ids)
    pads = _named(tokenizer, tokenizer.pad_token_id)
    findings = [
        _note("ok", f"a summary ends with {ends}, {pads} pads, BOS is {_named(tokenizer, tokenizer.bos_token_id)}")
    ]
    if tokenizer.pad_token_id in encoder.terminator_ids:
        text = "PAD is a terminator too; harmless here, as masks go by length: see the rows below"
        findings.append(_note("note", text))
    findings += _missing_findings(files, is_random=is_random)
    findings += _difference_findings(files, encoder=encoder)
    findings += _forced_findings(files, encoder=encoder)
    return [*findings, *_setting_findings(files, presets), *_size_findings(files, encoder, is_random=is_random)]


def _missing_findings(files: ModelFiles, *, is_random: bool) -> list[Finding]:
    if not files.is_found:
        text = f"'{files.place}' is not on this machine: fit would download it; only its tokenizer could be looked at"
        return [_note("note", text)]
    findings = []
    if not files.config:
        text = f"{files.place} holds no {_CONFIG}: fit cannot load such a model; only its tokenizer was looked at"
        remedy = "give the whole model's folder, or model_type and shape in model.config_overrides"
        findings.append(Finding(area=_AREA, level="note", text=text, remedy=remedy))
    elif not files.has_weights and not is_random:
        text = f"{files.place} holds no weights (*.safetensors, *.bin, *.gguf)"
        remedy = "give the whole model's folder, or --model.random_init true"
        findings.append(Finding(area=_AREA, level="note", text=text, remedy=remedy))
    if files.config and not files.generation:
        findings.append(_note("note", f"{files.place} holds no {_GENERATION}; nothing in it to disagree with"))
    return findings


def _difference_findings(files: ModelFiles, *, encoder: Encoder) -> list[Finding]:
    tokenizer = encoder.tokenizer
    wanted: dict[str, Sequence[int]] = {
        "pad_token_id": [tokenizer.pad_token_id],
        "bos_token_id": [tokenizer.bos_token_id],
        "eos_token_id": encoder.terminator_ids,
    }
    findings = []
    for name, values in ((_CONFIG, files.config), (_GENERATION, files.generation)):
        for field, ids in wanted.items():
            stored = values.get(field)
            if stored is not None and ids[0] not in (stored if isinstance(stored, list) else [stored]):
                told = f"{name} says {field}={_all_named(tokenizer, stored)}, the tokenizer and its template "
                findings.append(_note("note", f"{told}{_all_named(tokenizer, list(ids))}, which counts"))
    start = files.generation.get("decoder_start_token_id", files.config.get("decoder_start_token_id"))
    if (
        not encoder.is_causal
        and isinstance(start, int)
        and start not in (tokenizer.bos_token_id, *encoder.terminator_ids)
    ):
        text = f"the decoder starts with {_named(tokenizer, start)}, neither BOS nor EOS; kept, as it was pretrained so"
        findings.append(_note("note", text))
    return findings


def _forced_findings(files: ModelFiles, *, encoder: Encoder) -> list[Finding]:
    findings = []
    for field in _FORCED:
        name = _GENERATION if field in files.generation else _CONFIG
        forced = files.generation.get(field, files.config.get(field))
        if forced is None:
            continue
        token = _all_named(encoder.tokenizer, forced)
        ids = forced if isinstance(forced, list) else [forced]
        if field == "forced_eos_token_id" and not set(ids) & set(encoder.terminator_ids):
            ends = _named(encoder.tokenizer, encoder.terminator_ids[0])
            text = (
                f"forced EOS conflict: {name} forces {token} as the last token, and summaries end with {ends}; "
                "it is not used here, but other programs that load this folder would cut summaries with it"
            )
            remedy = f"set {field} to null in {files.place}/{name}"
            findings.append(Finding(area=_AREA, level="warning", text=text, remedy=remedy))
        else:
            findings.append(_note("note", f"the checkpoint's {field} {token} is not used, the preset decides"))
    return findings


def _setting_findings(files: ModelFiles, presets: Sequence[DecodingPreset]) -> list[Finding]:
    """Decoding settings of the checkpoint that a preset replaces."""
    legacy = {name: files.config[name] for name in _LEGACY_SETTINGS if name in files.config}
    stored = {**legacy, **files.generation}
    findings = []
    for name, value in sorted(stored.items()):
        if name in _NO_SETTINGS or name.startswith("_") or value in (None, False):
            continue
        told = ", ".join(f"{preset.name}: {_setting(preset, name)}" for preset in presets)
        text = f"the checkpoint's {name}={value} is not used, the preset decides ({told})"
        findings.append(_note("note", text))
    return findings


def _setting(preset: DecodingPreset, name: str) -> Any:
    if hasattr(preset, name):
        value = getattr(preset, name)
    else:
        value = preset.generation_kwargs(True).get(name) if not preset.bad_words else None
    return "none" if value is None else value


def _size_findings(files: ModelFiles, encoder: Encoder, *, is_random: bool) -> list[Finding]:
    size, num_tokens = files.config.get("vocab_size"), len(encoder.tokenizer)
    if is_random or not isinstance(size, int) or size >= num_tokens:
        return []
    text = f"the model has {size:,} embeddings, and the tokenizer {num_tokens:,} tokens"
    return [Finding(area=_AREA, level="broken", text=text, remedy="use the tokenizer that belongs to the model")]


def _all_named(tokenizer: Any, ids: int | list[int]) -> str:
    return " or ".join(_named(tokenizer, token) for token in (ids if isinstance(ids, list) else [ids]))


def _named(tokenizer: Any, token_id: int | None) -> str:
    """An id with its token.

    Example:
        >>> _named(None, None)
        'none'
    """
    if token_id is None:
        return "none"
    token = tokenizer.convert_ids_to_tokens(token_id) if 0 <= token_id < len(tokenizer) else None
    return f"{token_id} ('{token}')" if token is not None else f"{token_id} (no token of the tokenizer)"


def _note(level: Any, text: str) -> Finding:
    return Finding(area=_AREA, level=level, text=text)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not JSON: {error}; download it again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: a config is a mapping, this is {type(values).__name__}; download it again")
    return values
