"""`kosum.json`: what an exported folder says beside weights and tokenizer.

In: a module, its inference settings and how it was exported. Out: plain values, complete: preset fields instead of
names, literals instead of a default, so that the folder answers the same wherever it is used and whatever the presets
there are called. And the way back: a module without weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from kosum_pl import __version__
from kosum_pl.checkpoints.lineage import EXPORT_RECORD
from kosum_pl.decode import STAGES, ConstraintSettings, DecodingPreset, PresetRouter
from kosum_pl.decode.candidates import MbrSettings
from kosum_pl.decode.constraint.token_bytes import vocabulary_fingerprint
from kosum_pl.decode.regenerate import Regenerator
from kosum_pl.encode import ChatPrompt, SourcePrompt
from kosum_pl.errors import UsageError
from kosum_pl.lookup import resolve_path
from kosum_pl.models.adapters import AdapterSettings, base_fingerprint
from kosum_pl.modules import CausalModule, Seq2SeqModule, SummarizationModule

_FORMAT: Final = 1
_KINDS: Final = {"CausalModule": CausalModule, "Seq2SeqModule": Seq2SeqModule}
_BASE: Final = ("config_overrides", "quantization", "double_quantization", "quantization_compute_dtype")


def module_values(module: SummarizationModule, *, with_adapter: bool) -> dict[str, Any]:
    """What of a module goes into `kosum.json`; with an adapter alone, the folder needs its base."""
    decoding, source = module.decoding, module.source
    constraint, scored_as = decoding.constraint, module.evaluation.settings
    return {
        "format": _FORMAT,
        "version": __version__,
        "module": "CausalModule" if module.is_causal else "Seq2SeqModule",
        "dtype": source.dtype,
        "attn_implementation": source.attn_implementation,
        "prompt": _prompt_values(module),
        **_router_values(decoding.router),
        "constraint": asdict(replace(constraint, literals=constraint.fixed_literals)) if constraint else None,
        "postprocess": list(decoding.postprocess),
        "regenerator": _regenerator_values(decoding.regenerator),
        "mbr": asdict(decoding.mbr) if decoding.mbr else None,
        "rouge_tokenizer": scored_as.rouge_tokenizer,
        "multi_reference": scored_as.multi_reference,
        "base_model": {
            "name": base_name(module),
            "fingerprint": fingerprint(module),
            **({name: getattr(source, name) for name in (*_BASE, "gguf_file")} if with_adapter else {}),
        },
        "adapter": asdict(module.adapter) if with_adapter and module.adapter else None,
        "new_tokens": module.encoder.tokenizer.convert_ids_to_tokens(list(module.new_tokens)),
    }


def base_name(module: SummarizationModule) -> str:
    """The base as any working folder finds it: a folder's absolute path, or the hub id."""
    path = Path(resolve_path(module.source.model_name))
    return str(path.resolve()) if path.is_dir() else module.source.model_name


def fingerprint(module: SummarizationModule) -> str:
    """Hash (hex) of a module's base, as its checkpoints hold it."""
    vocabulary = vocabulary_fingerprint(module.encoder.tokenizer)
    return base_fingerprint(module.language_model.config, vocabulary=vocabulary)


def write_record(values: Mapping[str, Any], folder: Path) -> None:
    """Write `kosum.json`."""
    (folder / EXPORT_RECORD).write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read_record(folder: Path) -> dict[str, Any]:
    """What `kosum.json` says.

    Raises:
        ValueError: There is none, or it is of a later format.
    """
    path = folder / EXPORT_RECORD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); give a folder that `export` has written") from error
    if not isinstance(values, dict) or values.get("format") != _FORMAT:
        written = values.get("version", "an unknown version") if isinstance(values, dict) else "something else"
        raise UsageError(f"{path} was written by {written}, and {__version__} reads format {_FORMAT}; export again")
    return values


def build_module(values: Mapping[str, Any], folder: Path) -> SummarizationModule:
    """A module without weights, that renders, decodes and finishes as the exported one did.

    Raises:
        ValueError: A value was changed to one that is none.
    """
    base, adapter = values["base_model"], values["adapter"]
    kind = _KINDS[values["module"]]
    module: SummarizationModule = kind(
        str(folder),
        prompt=(ChatPrompt if kind.is_causal else SourcePrompt)(**values["prompt"]),
        dtype=values["dtype"],
        attn_implementation=values["attn_implementation"],
        adapter=AdapterSettings(**adapter) if adapter else None,
        new_tokens=values["new_tokens"] if adapter else (),
        **({name: base[name] for name in _BASE} if adapter else {}),
        presets=(),
        fit_preset=None,
        constraint=ConstraintSettings(**values["constraint"]) if values["constraint"] else None,
        postprocess=values["postprocess"],
        regenerator=_regenerator(values["regenerator"]),
        mbr=MbrSettings(**values["mbr"]) if values.get("mbr") else None,  # older folders know nothing of it
        slices=(),
        rouge_tokenizer=values["rouge_tokenizer"],
        multi_reference=values["multi_reference"],
    )
    if adapter:  # the tokenizer, and with it the template, came from the folder; the frozen weights do not
        module.source = replace(module.source, model_name=base["name"], gguf_file=base["gguf_file"])
    router = _router(values)
    stages = STAGES if values["inference"]["is_constrained"] else ()
    module.decoding = replace(module.decoding, router=router, fit_router=router, constrained_stages=stages)
    return module


def _prompt_values(module: SummarizationModule) -> dict[str, Any]:
    """The prompt's settings; a template file's content stands in the exported tokenizer."""
    values = asdict(module.encoder.prompt)
    if "template_file" in values:
        values["template_file"] = None
    return values


def _router_values(router: PresetRouter) -> dict[str, Any]:
    return {
        "preset": asdict(router.forced) if router.forced else None,
        "presets": [asdict(preset) for preset in router.presets],
        "default_preset": asdict(router.default),
    }


def _router(values: Mapping[str, Any]) -> PresetRouter:
    return PresetRouter(
        forced=_preset(values["preset"]) if values["preset"] else None,
        presets=tuple(map(_preset, values["presets"])),
        default=_preset(values["default_preset"]),
    )


def _preset(values: Mapping[str, Any]) -> DecodingPreset:
    # A folder that was written before n-grams had a unit counts tokens, as it always did.
    return DecodingPreset(**{"no_repeat_ngram_unit": "token", **values})


def _regenerator_values(regenerator: Regenerator | None) -> dict[str, Any] | None:
    if regenerator is None:
        return None
    return {
        "max_attempts": regenerator.max_attempts,
        "checks": list(regenerator.checks),
        "min_korean_probability": regenerator.min_korean_probability,
        "presets": [asdict(preset) for preset in regenerator.presets],
    }


def _regenerator(values: Mapping[str, Any] | None) -> Regenerator | None:
    if values is None:
        return None
    regenerator = Regenerator(**{name: value for name, value in values.items() if name != "presets"})
    regenerator.presets = tuple(map(_preset, values["presets"]))
    return regenerator
