"""The command line before anything heavy loads: names become paths, words become options.

In: the words after a command's name. Out: its options, and of a command with a config the `Invocation` for the config's
parser; or a `ValueError` of one line that names an option, config, preset, checkpoint or YAML line. Only PyYAML is
imported, so that these mistakes are answered at once.
"""

from __future__ import annotations

import difflib
import json
import os
from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kosum_pl.checkpoints.lineage import lineage_from
from kosum_pl.cli.option_bounds import check_option_bounds
from kosum_pl.cli.options import WITHOUT_CONFIG, option_parser
from kosum_pl.errors import UsageError
from kosum_pl.lookup import find_config, list_configs
from kosum_pl.plain_yaml import load_plain, read_plain
from kosum_pl.runs.folders import config_name_of, find_checkpoint

_HELP = ("-h", "--help")
_EVALUATIONS = ("validate", "test", "predict")
# Below this likeness an option is not a misspelt one of ours but one of the config's.
_LIKENESS = 0.8


class Options(Namespace):
    """What a command line gives: a value for every option of `cli.options`, under its name.

    Attributes:
        words: The command line after it, as it was typed.
        rest: What no option of ours is; the config's own parser reads it.
        checkpoint: What `--ckpt_path` means, of a command that does nothing without one.
    """

    command: str
    words: tuple[str, ...]
    rest: tuple[str, ...]
    checkpoint: Path


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A checked command line.

    Attributes:
        arguments: Options for the parser: configs first, as absolute paths, so that every flag wins over them.
        config_name: Folder name of the config's runs, `--run_name` or the config's own.
        checkpoint: What `--ckpt_path` means; None without it.
        plugins: Modules to import for their callbacks before the config is parsed.
        is_safe_csv: Whether cells of CSV files that a spreadsheet would compute get an apostrophe.
        is_without_text: Whether files are written without dialogues and references.
        is_without_plugins: Whether nothing but shipped callbacks is imported.
        given: The command line after the command, as it was typed.
    """

    command: str
    arguments: tuple[str, ...]
    config_name: str
    runs_dir: Path
    checkpoint: Path | None = None
    plugins: tuple[str, ...] = ()
    is_safe_csv: bool = False
    is_without_text: bool = False
    is_without_plugins: bool = False
    given: tuple[str, ...] = ()

    @property
    def needed_checkpoint(self) -> Path:
        """The checkpoint of a command that does nothing without one."""
        if self.checkpoint is None:
            raise UsageError(f"{self.command} needs --ckpt_path best|last|FILE")
        return self.checkpoint

    @property
    def asks_for_help(self) -> bool:
        """Whether options shall be shown instead of a run."""
        return any(argument in _HELP or ".help" in argument for argument in self.arguments)


def parse_options(command: str, words: Sequence[str]) -> Options:
    """Read a command line.

    Raises:
        ValueError: An option is unknown, or its value is missing or wrong.
    """
    parser = option_parser(command)
    # Options may stand between folders, but not between the config's own options, whose values they would take away.
    parse = parser.parse_known_intermixed_args if command in WITHOUT_CONFIG else parser.parse_known_args
    try:
        options, rest = parse(words, Options(command=command, words=tuple(words)))
    except ArgumentError as error:
        name = (error.argument_name or "").rpartition("/")[2]
        problem = "needs a value" if error.message.startswith("expected ") else error.message
        raise UsageError(f"{name} {problem}") from error
    _check_unknown(command, rest, parser)
    options.rest = tuple(rest)
    return options


def without_options(words: Sequence[str], names: Sequence[str]) -> list[str]:
    """A command line without some options and their values.

    Example:
        >>> without_options(["--config", "demo", "--ckpt_path=best", "--preset", "fast"], ["--ckpt_path", "--preset"])
        ['--config', 'demo']
    """
    kept: list[str] = []
    is_value = False
    for word in words:
        if not is_value and word.partition("=")[0] not in names:
            kept.append(word)
        is_value = word in names
    return kept


def words_for(command: str, words: Sequence[str], *, given_to: str) -> list[str]:
    """A command line for another command: without what only the first takes, nor a checkpoint to begin with.

    Example:
        >>> words_for("plan", ["--config", "demo", "--safe_csv", "--ckpt_path", "last"], given_to="fit")
        ['--config', 'demo']
    """
    taken = {name for action in option_parser(command)._actions for name in action.option_strings}
    own = [action for action in option_parser(given_to)._actions if not taken.intersection(action.option_strings)]
    flags = {name for action in own if action.nargs == 0 for name in action.option_strings}
    valued = [name for action in own if action.nargs != 0 for name in action.option_strings]
    return without_options([word for word in words if word not in flags], [*valued, "--ckpt_path", "--init_from"])


def own_options_help(command: str) -> str:
    """A command's own options in one paragraph, for the help of a parser that knows the config's alone."""
    actions = option_parser(command)._actions
    named = (" ".join(filter(None, [action.option_strings[-1], str(action.metavar or "")])) for action in actions)
    return "Also: " + "; ".join(f"{name}, {action.help}" for name, action in zip(named, actions, strict=True))


def read_arguments(command: str, words: Sequence[str]) -> Invocation:
    """Check and rewrite the command line of a command that reads a config."""
    return find_invocation(parse_options(command, words))


def find_invocation(options: Options) -> Invocation:
    """What the options of a config mean: names become paths, and short options those of the config's parser.

    Raises:
        ValueError: A config, preset, checkpoint or run is unknown, or a config is no YAML.
    """
    command = options.command
    configs = [find_config(name) for name in options.config]
    config_name = options.run_name or (config_name_of(configs[0]) if configs else "")
    runs_dir = Path(options.runs_dir or os.environ.get("KOSUM_RUNS_DIR") or "runs")
    plugins = []
    for config in configs:
        plugins += _plugin_names(read_yaml(config).get("plugins"), f"{config}: plugins")
    for value in options.plugins:
        plugins += _plugin_names(load_plain(value, where="--plugins"), "--plugins")
    check_option_bounds(options.rest)
    rewritten = [f"--config={path.resolve()}" for path in configs]
    if plugins:
        rewritten.append(f"--plugins={json.dumps(plugins)}")
    if options.preset:
        find_config(options.preset, "presets")
        rewritten.append(f"--model.preset={options.preset}")
    checkpoint = None
    if options.ckpt_path:
        if not configs:
            raise UsageError(_no_config(command))
        checkpoint = find_checkpoint(options.ckpt_path, runs_dir=runs_dir, config_name=config_name)
        rewritten.append(f"--ckpt_path={checkpoint}")
    if options.init_from:
        rewritten.append(
            _lineage(options.init_from, command=command, configs=configs, is_resumed=checkpoint is not None)
        )
    if options.slice:
        rewritten.append(_slice(options.slice, command=command))
    invocation = Invocation(
        command=command,
        arguments=(*rewritten, *options.rest),
        config_name=config_name,
        runs_dir=runs_dir,
        checkpoint=checkpoint,
        plugins=tuple(plugins),
        is_safe_csv=getattr(options, "safe_csv", False),
        is_without_text=getattr(options, "no_text", False),
        is_without_plugins=options.no_plugins,
        given=options.words,
    )
    if not configs and not invocation.asks_for_help:
        raise UsageError(_no_config(command))
    return invocation


def read_yaml(path: Path) -> dict[str, Any]:
    """A config as plain values.

    Raises:
        ValueError: It is no YAML mapping, or says a key twice; the message names file and line.
    """
    try:
        values = read_plain(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: a config is a mapping such as 'model: …', this is {type(values).__name__}")
    return values


def _check_unknown(command: str, rest: Sequence[str], parser: ArgumentParser) -> None:
    """Refuse options that are unknown, or that only look like one of ours; others are the config's."""
    known = [name for action in parser._actions for name in action.option_strings[-1:] if name not in _HELP]
    for name in (word.partition("=")[0] for word in rest if word.startswith("-")):
        if command in WITHOUT_CONFIG:
            raise UsageError(f"unknown option '{name}' of {command}; options: {', '.join(known)}, --help")
        nearest = difflib.get_close_matches(name.lstrip("-"), [each[2:] for each in known], n=1, cutoff=_LIKENESS)
        if name.startswith("--") and nearest and f"--{nearest[0]}" != name:
            raise UsageError(f"unknown option '{name}' of {command}; did you mean '--{nearest[0]}'?")


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


def _no_config(command: str) -> str:
    return f"{command} needs --config NAME; known: {', '.join(list_configs()) or 'none'}"


def _plugin_names(value: object, where: str) -> list[str]:
    names = [value] if isinstance(value, str) else value if value is not None else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{where} is {value!r}; give a module such as my_package.my_callback, or a list of them")
    return names
