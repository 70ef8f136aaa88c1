"""Weights of a checkpoint or an exported folder, put into a module: the one place where they are read.

In: a module, and a checkpoint file or an exported folder. Out: the same module with those weights, or with that
adapter; the checks of the checkpoint itself run too, so that an adapter never lands on a base that it was not trained
on. `fit --init_from`, `export`, `summarize` and `tune` load here; a Trainer loads `--ckpt_path` by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from lightning.pytorch import seed_everything
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kosum_pl.checkpoints.content import read_checkpoint, read_content
from kosum_pl.checkpoints.lineage import (
    ADAPTER_CONFIG,
    ADAPTER_FILE,
    EXPORT_RECORD,
    INDEX_FILE,
    MODEL_FILE,
    OPTION,
)
from kosum_pl.checkpoints.record import RECORD_KEY, RecordedModule
from kosum_pl.errors import UsageError, checkpoint_misfit, one_line
from kosum_pl.files import read_json, read_mapping
from kosum_pl.lookup import resolve_path
from kosum_pl.models.adapters import PEFT_PREFIX, check_trained_state
from kosum_pl.models.new_tokens import ROWS_FILE, NewTokenRows
from kosum_pl.plain_yaml import load_plain
from kosum_pl.runs.files import CONFIG_KEY

_PREFIX: Final = "model."
# Settings of an adapter by PEFT's name; alpha and rsLoRA scale it without showing in any shape.
_SETTINGS: Final = {"r": "rank", "lora_alpha": "alpha", "use_rslora": "use_rslora", "use_dora": "use_dora"}


class LoadableModule(RecordedModule, Protocol):
    """The part of the module that takes weights."""

    new_token_rows: NewTokenRows | None

    @property
    def strict_loading(self) -> bool:
        """Whether a checkpoint holds every weight."""

    def configure_model(self) -> None:
        """Make the model with the weights of its base."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any], /) -> None:
        """Check what the checkpoint belongs to."""

    def state_dict(self) -> dict[str, Any]:
        """All weights by name."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Take weights by name."""

    def named_parameters(self) -> Iterable[tuple[str, nn.Parameter]]:
        """Parameters by name."""

    def eval(self) -> Any:
        """Switch dropout off."""


def load_weights(module: LoadableModule, checkpoint: Path, *, seed: int | None = None) -> None:
    """Give a module its base's weights and, over them, a checkpoint's; then put it into evaluation mode.

    `seed` is the run's, for random weights that the checkpoint leaves out: those under an adapter.

    Raises:
        ValueError: The file is no checkpoint, or of another model or base.
    """
    content = read_checkpoint(checkpoint)
    if module.source.random_init and seed is not None:
        seed_everything(seed, verbose=False)
    module.configure_model()
    module.on_load_checkpoint(content)
    try:
        module.load_state_dict(content["state_dict"], strict=module.strict_loading)
    except RuntimeError as error:
        misfit = checkpoint_misfit(error, str(checkpoint))
        if misfit is None:
            raise
        raise misfit from error
    module.eval()


def seed_of(config: Mapping[str, Any]) -> int | None:
    """The seed that a config's run began with; None where it was drawn."""
    seed = config.get("seed_everything")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def load_start_weights(module: LoadableModule, weights: Path) -> None:
    """Replace a module's weights, or those of its adapter, by those of a checkpoint file or an exported folder.

    Raises:
        ValueError: They are of another base, of other shapes, or are not weights at all.
    """
    try:
        if weights.is_dir():
            load_export(module, weights)
        else:
            _load_checkpoint(module, weights)
    except ValueError as error:
        raise UsageError(f"{OPTION} {weights}: {error}") from error


def _load_checkpoint(module: LoadableModule, path: Path) -> None:
    checkpoint = read_content(path)
    state = checkpoint["state_dict"]
    record = {name: value for name, value in checkpoint.get(RECORD_KEY, {}).items() if name != "random_states"}
    _check_kind(module, state)
    _check_settings(module, _adapter_of(checkpoint.get(CONFIG_KEY, "")))
    module.on_load_checkpoint({RECORD_KEY: record, "state_dict": state})
    _copy(module, state)


def load_export(module: LoadableModule, folder: Path) -> None:
    """Replace a module's weights by those of an exported folder (transformers or PEFT), or its adapter by that one.

    Raises:
        ValueError: They are of another base or of other shapes, or cannot be read.
    """
    is_adapter = not any((folder / name).is_file() for name in (MODEL_FILE, INDEX_FILE))
    files = [ADAPTER_FILE] if is_adapter else _shards(folder)
    stored: dict[str, Tensor] = {}
    for name in files:
        try:
            stored |= load_file(folder / name)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{name} cannot be read ({one_line(str(error))}); export once more") from error
    if not is_adapter:
        state = {f"{_PREFIX}{name}": weight for name, weight in stored.items()}
        _check_kind(module, state, is_export=True)
        _copy(module, state)
        return
    if module.adapter is None:
        raise ValueError("it holds an adapter, and model.adapter is null; set model.adapter as it was trained")
    # Under their own names what this module does not train, so that the check can name them.
    state = {_adapter_name(name, module): weight for name, weight in stored.items()}
    if (folder / ROWS_FILE).is_file():
        state |= {f"new_token_rows.{name}": rows for name, rows in load_file(folder / ROWS_FILE).items()}
    _check_export_base(module, folder, state)
    _copy(module, state)


def _shards(folder: Path) -> list[str]:
    if (folder / MODEL_FILE).is_file():
        return [MODEL_FILE]
    index = read_json(folder / INDEX_FILE)
    return sorted(set(index["weight_map"].values()))


def _adapter_name(stored: str, module: LoadableModule) -> str:
    """A weight's name in the module, of its name in a PEFT folder, which leaves the adapter's own name out."""
    name = _PREFIX + stored.removeprefix(PEFT_PREFIX)
    stem, dot, last = name.rpartition(".")
    # DoRA's lengths are stored without the `.weight` that they have in the model.
    given = f"{stem}.default.{last}" if last == "weight" else f"{stem}{dot}{last}.default.weight"
    return given if given in dict(module.named_parameters()) else name


def _check_export_base(module: LoadableModule, folder: Path, state: Mapping[str, Tensor]) -> None:
    base = read_mapping(folder / EXPORT_RECORD).get("base_model", {})
    settings = read_mapping(folder / ADAPTER_CONFIG)
    _check_settings(module, {ours: settings[theirs] for theirs, ours in _SETTINGS.items() if theirs in settings})
    if "fingerprint" in base:
        record = {"base": base["fingerprint"], "model_name": base.get("name")}
        module.on_load_checkpoint({RECORD_KEY: record, "state_dict": dict(state)})
    else:  # a folder of PEFT's own says a name, and no more
        base_name, name = settings.get("base_model_name_or_path"), module.source.model_name
        if base_name not in (name, resolve_path(name), str(Path(resolve_path(name)).resolve())):
            raise ValueError(
                f"its adapter belongs to '{base_name}', and model.model_name is '{name}'; set it to that base"
            )
        assert isinstance(module, nn.Module)
        check_trained_state(module, state)


def _check_settings(module: LoadableModule, trained: Mapping[str, Any]) -> None:
    """Refuse an adapter of other settings than the config's, by the setting's name instead of a weight's."""
    for name in _SETTINGS.values():
        ours = getattr(module.adapter, name, None)
        if module.adapter is not None and name in trained and trained[name] != ours:
            raise ValueError(
                f"its adapter has {name} {trained[name]}, and model.adapter.{name} is {ours}; set it to that"
            )


def _adapter_of(config_text: str) -> Mapping[str, Any]:
    """`model.adapter` of a checkpoint's own config; empty where it has none."""
    values = load_plain(config_text, where="its config") or {}
    adapter = values.get("model", {}).get("init_args", {}).get("adapter") or {}
    # A class of settings may stand there with its name.
    found: Mapping[str, Any] = adapter.get("init_args", adapter)
    return found


def _check_kind(module: LoadableModule, state: Mapping[str, Tensor], *, is_export: bool = False) -> None:
    """Refuse an adapter where weights are wanted, and the other way round, before single names do not match."""
    has_adapter = any(".lora_" in name for name in state)
    if has_adapter and module.adapter is None:
        raise ValueError("it holds an adapter, and model.adapter is null; set model.adapter as it was trained")
    if not has_adapter and module.adapter is not None:
        start = "drop --init_from" if is_export else "export it"
        raise ValueError(
            f"it holds all weights of a model, and model.adapter trains beside frozen ones; {start} and set "
            "model.model_name to that folder, or set model.adapter=null"
        )


def _copy(module: LoadableModule, state: Mapping[str, Tensor]) -> None:
    """Copy weights in place, all or none, and see that nothing trained is left out."""
    own = module.state_dict()
    remedy = "give the config of its run"
    for name in sorted(state.keys() - own.keys()):
        raise ValueError(f"it holds '{name}', which the model of this config has not; {remedy}")
    for name, weight in state.items():
        if weight.shape != own[name].shape:
            shapes = f"{tuple(weight.shape)} instead of {tuple(own[name].shape)}"
            raise ValueError(f"its '{name}' has the shape {shapes}; {remedy}")
    if module.adapter is None:
        # Tied weights are stored once, under either name.
        given = {own[name].data_ptr() for name in state}
        for name in sorted(name for name in own.keys() - state.keys() if own[name].data_ptr() not in given):
            raise ValueError(f"it lacks '{name}', which the model of this config has; {remedy}")
    with torch.no_grad():
        for name, weight in state.items():
            own[name].copy_(weight)
    if module.new_token_rows is not None:
        module.new_token_rows.write_back()
