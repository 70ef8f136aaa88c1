"""The command line before anything heavy loads: names become paths, words become options.

In: what follows the command's name. Out: an `Invocation` for the real parser, or a `ValueError` of one line that
names a config, preset, checkpoint or YAML line. Only PyYAML is imported, so these mistakes are answered at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kosum_pl.checkpoints.lineage import lineage_from
from kosum_pl.errors import UsageError, one_line
from kosum_pl.lookup import find_config, list_configs
from kosum_pl.runs.folders import config_name_of, find_checkpoint

_WHERE_OPTIONS = ("--runs_dir", "--run_name")
_OWN_OPTIONS = ("--config", "--preset", *_WHERE_OPTIONS, "--ckpt_path", "--init_from", "--slice", "--plugins")
_EVALUATIONS = ("validate", "test", "predict")
OWN_OPTIONS_HELP = (
    "Also: --preset NAME, short for --model.preset NAME; --runs_dir DIR, where runs go (runs, or $KOSUM_RUNS_DIR); "
    "--run_name NAME, their folder in it (the config's name); "
    "--ckpt_path best|last|FILE, of the config's latest run or a file; --init_from RUN|FILE|EXPORT, "
    "weights to start a new fit from; --slice weekday=7, evaluate only these rows, short for --data.slice "
    "(weekday=6,7 either; length=q4 the longest quarter; given twice: both must hold); "
    "--plugins a.b.c, a module with callbacks. "
    "A --config is looked up as a path, in ./configs and among the shipped ones; several are laid over each other "
    "and options win over all of them."
)


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A checked command line.

    Attributes:
        command: `fit`, `validate`, `test` or `predict`.
        arguments: Options for the parser: configs first, as absolute paths, so that every flag wins over them.
        config_name: Folder name of the config's runs, `--run_name` or the config's own.
        runs_dir: Folder of all runs.
        checkpoint: What `--ckpt_path` means; None without it.
        plugins: Modules to import for their callbacks before the config is parsed.
        given: What followed the command, as it was typed.
    """

    command: str
    arguments: tuple[str, ...]
    config_name: str
    runs_dir: Path
    checkpoint: Path | None = None
    plugins: tuple[str, ...] = ()
    given: tuple[str, ...] = ()

    @property
    def asks_for_help(self) -> bool:
        """Whether options shall be shown instead of a run."""
        return any(argument in ("-h", "--help") or ".help" in argument for argument in self.arguments)


def run(command: str, arguments: Sequence[str]) -> int:
    """Check the command line of `fit`, `validate`, `test` or `predict`, and only then load what runs it.

    Args:
        command: One of the four.
        arguments: What follows it.

    Returns:
        The exit status.
    """
    invocation = read_arguments(command, arguments)
    from kosum_pl.cli.lightning_cli import (
        run_command,  # seconds of imports, after everything that can be checked without them
    )

    return run_command(invocation)


def read_arguments(command: str, arguments: Sequence[str]) -> Invocation:
    """Check and rewrite what follows a command's name.

    Args:
        command: The command.
        arguments: The rest of the command line.

    Raises:
        ValueError: A config, preset, checkpoint or run is unknown, or a config is no YAML.
    """
    options: dict[str, list[str]] = {name: [] for name in _OWN_OPTIONS}
    rest = []
    for name, value in _split_options(arguments):
        if name in options:
            options[name].append(value)
        else:
            rest.append(value)
    configs = [find_config(name) for name in options["--config"]]
    invocation = Invocation(
        command=command,
        arguments=(),
        config_name=_run_name(_last(options["--run_name"])) or (config_name_of(configs[0]) if configs else ""),
        runs_dir=Path(_last(options["--runs_dir"]) or os.environ.get("KOSUM_RUNS_DIR") or "runs"),
    )
    plugins = [name for config in configs for name in _plugins_of(read_yaml(config), config)]
    for value in options["--plugins"]:
        plugins += _plugin_names(yaml.safe_load(value), "--plugins")
    rewritten = [f"--config={path.resolve()}" for path in configs]
    if plugins:
        rewritten.append(f"--plugins={json.dumps(plugins)}")
    if preset := _last(options["--preset"]):
        find_config(preset, "presets")
        rewritten.append(f"--model.preset={preset}")
    checkpoint = None
    if word := _last(options["--ckpt_path"]):
        if not configs:
            raise UsageError(_no_config(command))
        checkpoint = find_checkpoint(word, runs_dir=invocation.runs_dir, config_name=invocation.config_name)
        rewritten.append(f"--ckpt_path={checkpoint}")
    if start := _last(options["--init_from"]):
        rewritten.append(_lineage(start, command=command, configs=configs, is_resumed=checkpoint is not None))
    if options["--slice"]:
        rewritten.append(_slice(options["--slice"], command=command))
    invocation = Invocation(
        command=command,
        arguments=(*rewritten, *rest),
        config_name=invocation.config_name,
        runs_dir=invocation.runs_dir,
        checkpoint=checkpoint,
        plugins=tuple(plugins),
        given=tuple(arguments),
    )
    if not configs and not invocation.asks_for_help:
        raise UsageError(_no_config(command))
    return invocation


def read_yaml(path: Path) -> dict[str, Any]:
    """A config as plain values.

    Args:
        path: The file.

    Raises:
        ValueError: It is no YAML mapping, or says a key twice; the message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}; save the config as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise UsageError(f"{place}: not YAML: {one_line(error.problem or str(error))}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {one_line(str(error))}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: a config is a mapping such as 'model: …', this is {type(values).__name__}")
    for key, line in _repeated_keys(node):
        raise UsageError(f"{path}:{line}: key '{key}' stands twice in one mapping; the first would be lost")
    return values


def _split_options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(option, value) of our own options, ("", argument) of everything else, in order."""
    pending = iter(arguments)
    for argument in pending:
        name, has_value, value = argument.partition("=")
        name = "--config" if name == "-c" else name
        if name not in _OWN_OPTIONS:
            yield "", argument
            continue
        if not has_value:
            value = next(pending, "")
        if not value or (not has_value and value.startswith("--")):
            raise UsageError(f"{name} needs a value")
        yield name, value


def _lineage(start: str, *, command: str, configs: Sequence[Path], is_resumed: bool) -> str:
    """The option that tells the parser of a new run's ancestors."""
    if command in _EVALUATIONS:
        raise UsageError(f"--init_from is for fit; give {command} the checkpoint with --ckpt_path")
    if is_resumed or any(read_yaml(config).get("ckpt_path") for config in configs):
        raise UsageError("--init_from starts a new run and --ckpt_path goes on with one; give one of the two")
    return f"--lineage={json.dumps(lineage_from(start), ensure_ascii=False)}"


def _slice(conditions: Sequence[str], *, command: str) -> str:
    """The option that tells the data module which rows to evaluate."""
    if command not in _EVALUATIONS:
        raise UsageError(
            f"--slice is for {', '.join(_EVALUATIONS)}; for fit, name files of the wanted rows in data.train_file and "
            "data.val_file, or give a preset a 'when'"
        )
    for condition in conditions:
        column, _, values = condition.partition("=")
        if not column.strip() or not values.strip(", "):
            raise UsageError(f"--slice {condition}: write column=value or column=value,value, such as weekday=7")
    return f"--data.slice={json.dumps(list(conditions), ensure_ascii=False)}"


def _last(values: Sequence[str]) -> str | None:
    return values[-1] if values else None


def _run_name(name: str | None) -> str:
    """A given name, checked; empty without one."""
    if name is not None and (name in (".", "..") or Path(name).name != name):
        raise UsageError(f"--run_name is '{name}'; write a name without slashes, and where it lies into --runs_dir")
    return name or ""


def _no_config(command: str) -> str:
    return f"{command} needs --config NAME; known: {', '.join(list_configs()) or 'none'}"


def _plugins_of(values: dict[str, Any], config: Path) -> list[str]:
    return _plugin_names(values.get("plugins"), f"{config}: plugins")


def _plugin_names(value: object, where: str) -> list[str]:
    names = [value] if isinstance(value, str) else value if value is not None else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{where} is {value!r}; give a module such as my_package.my_callback, or a list of them")
    return names


def _repeated_keys(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """Keys that stand twice in one mapping, with their line counted from 1."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen and name != "<<":
                yield name, key.start_mark.line + 1
            seen.add(name)
            yield from _repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated_keys(item)
