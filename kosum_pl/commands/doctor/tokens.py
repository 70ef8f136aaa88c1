"""PAD, BOS, EOS and decoding settings of a checkpoint, against its tokenizer and the presets.

In: the model folder's `config.json` and `generation_config.json` as plain values, the encoder, the presets. Out:
findings. No weights are needed: these two files are where checkpoints disagree with themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kosum_pl.commands.doctor.finding import Finding, broken, note, ok, warning
from kosum_pl.decode import DecodingPreset
from kosum_pl.encode import Encoder
from kosum_pl.files import read_json
from kosum_pl.lookup import resolve_path
from kosum_pl.models.special_tokens import NOT_DECODING

_FORCED: Final = ("forced_bos_token_id", "forced_eos_token_id")
_NO_SETTINGS: Final = NOT_DECODING | set(_FORCED)
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
        is_found: Whether its files are on this machine.
        config: `config.json`; empty for none, as `generation` of `generation_config.json`.
    """

    name: str
    is_found: bool = True
    has_weights: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)


def read_model_files(model_name: str) -> ModelFiles:
    """A checkpoint's settings, from its folder or the hub's cache; nothing is downloaded.

    Raises:
        ValueError: One of the files is no JSON.
    """
    folder = local_folder(model_name)
    if folder is None:
        return ModelFiles(name=model_name, is_found=False)
    weights = [path for pattern in ("*.safetensors", "*.bin", "*.gguf") for path in folder.glob(pattern)]
    return ModelFiles(
        name=model_name,
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
) -> Iterator[Finding]:
    """What a checkpoint says otherwise than its tokenizer and the presets that may serve a row."""
    tokenizer = encoder.tokenizer
    ends, pads = _named(tokenizer, *encoder.terminator_ids), _named(tokenizer, tokenizer.pad_token_id)
    yield ok(f"a summary ends with {ends}, {pads} pads, BOS is {_named(tokenizer, tokenizer.bos_token_id)}")
    if tokenizer.pad_token_id in encoder.terminator_ids:
        yield note("PAD is a terminator too; harmless here, as masks go by length: see the rows below")
    yield from _missing_findings(files, is_random=is_random)
    yield from _difference_findings(files, encoder=encoder)
    yield from _forced_findings(files, encoder=encoder)
    yield from _setting_findings(files, presets)
    size = files.config.get("vocab_size")
    if not is_random and isinstance(size, int) and size < len(tokenizer):
        text = f"the model has {size:,} embeddings, and the tokenizer {len(tokenizer):,} tokens"
        yield broken(text, "use the tokenizer that belongs to the model")


def _missing_findings(files: ModelFiles, *, is_random: bool) -> Iterator[Finding]:
    if not files.is_found:
        yield note(
            f"'{files.name}' is not on this machine: fit would download it; only its tokenizer could be looked at"
        )
        return
    if not files.config:
        text = f"{files.name} holds no {_CONFIG}: fit cannot load such a model; only its tokenizer was looked at"
        yield note(text, "give the whole model's folder, or model_type and shape in model.config_overrides")
    elif not files.has_weights and not is_random:
        text = f"{files.name} holds no weights (*.safetensors, *.bin, *.gguf)"
        yield note(text, "give the whole model's folder, or --model.random_init true")
    if files.config and not files.generation:
        yield note(f"{files.name} holds no {_GENERATION}; nothing in it to disagree with")


def _difference_findings(files: ModelFiles, *, encoder: Encoder) -> Iterator[Finding]:
    tokenizer = encoder.tokenizer
    wanted: dict[str, Sequence[int]] = {
        "pad_token_id": [tokenizer.pad_token_id],
        "bos_token_id": [tokenizer.bos_token_id],
        "eos_token_id": encoder.terminator_ids,
    }
    for name, values in ((_CONFIG, files.config), (_GENERATION, files.generation)):
        for field_name, ids in wanted.items():
            stored = _as_list(values.get(field_name))
            if stored and ids[0] not in stored:
                yield note(
                    f"{name} says {field_name}={_named(tokenizer, *stored)}, the tokenizer and its template "
                    f"{_named(tokenizer, *ids)}, which counts"
                )
    start = files.generation.get("decoder_start_token_id", files.config.get("decoder_start_token_id"))
    known = (tokenizer.bos_token_id, *encoder.terminator_ids)
    if not encoder.is_causal and isinstance(start, int) and start not in known:
        named = _named(tokenizer, start)
        yield note(f"the decoder starts with {named}, neither BOS nor EOS; kept, as it was pretrained so")


def _forced_findings(files: ModelFiles, *, encoder: Encoder) -> Iterator[Finding]:
    for field_name in _FORCED:
        name = _GENERATION if field_name in files.generation else _CONFIG
        forced = _as_list(files.generation.get(field_name, files.config.get(field_name)))
        token = _named(encoder.tokenizer, *forced)
        if field_name == "forced_eos_token_id" and forced and not set(forced) & set(encoder.terminator_ids):
            ends = _named(encoder.tokenizer, encoder.terminator_ids[0])
            text = (
                f"forced EOS conflict: {name} forces {token} as the last token, and summaries end with {ends}; "
                "it is not used here, but other programs that load this folder would cut summaries with it"
            )
            yield warning(text, f"set {field_name} to null in {files.name}/{name}")
        elif forced:
            yield note(f"the checkpoint's {field_name} {token} is not used, the preset decides")


def _setting_findings(files: ModelFiles, presets: Sequence[DecodingPreset]) -> Iterator[Finding]:
    """Decoding settings of the checkpoint that a preset replaces."""
    legacy = {name: files.config[name] for name in _LEGACY_SETTINGS if name in files.config}
    for name, value in sorted({**legacy, **files.generation}.items()):
        if name in _NO_SETTINGS or name.startswith("_") or value in (None, False):
            continue
        chosen = ", ".join(f"{preset.name}: {_setting(preset, name)}" for preset in presets)
        yield note(f"the checkpoint's {name}={value} is not used, the preset decides ({chosen})")


def _setting(preset: DecodingPreset, name: str) -> Any:
    if hasattr(preset, name):
        value = getattr(preset, name)
    else:
        value = preset.generation_kwargs().get(name) if not preset.bad_words else None
    return "none" if value is None else value


def _as_list(ids: int | list[int] | None) -> list[int]:
    return ids if isinstance(ids, list) else [] if ids is None else [ids]


def _named(tokenizer: Any, *ids: int | None) -> str:
    """Ids with their tokens.

    Example:
        >>> _named(None, None)
        'none'
    """
    return " or ".join(_named_one(tokenizer, token_id) for token_id in ids)


def _named_one(tokenizer: Any, token_id: int | None) -> str:
    if token_id is None:
        return "none"
    token = tokenizer.convert_ids_to_tokens(token_id) if 0 <= token_id < len(tokenizer) else None
    return f"{token_id} ('{token}')" if token is not None else f"{token_id} (no token of the tokenizer)"


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = read_json(path)
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}; download it again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: a config is a mapping, this is {type(values).__name__}; download it again")
    return values
