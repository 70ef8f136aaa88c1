"""Every command and its options: names, types, defaults, help. Declarations alone.

In: a command's name. Out: its parser. Reading a command line is `cli.arguments`' affair. Only the standard library is
imported, so that help and misspelt options are answered at once.
"""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping
from typing import Final

from kosum_pl.cli import option_types as types

COMMANDS: Final[Mapping[str, str]] = {
    "fit": "train, and keep the checkpoint with the best generated ROUGE",
    "validate": "score a checkpoint on data.val_file",
    "test": "score a checkpoint on data.test_file",
    "predict": "write a submission for data.predict_file",
    "charset": "show what may be generated, and what of the references may not",
    "export": "write a checkpoint as a Hugging Face folder",
    "summarize": "summarize dialogues by an exported folder or a checkpoint",
    "doctor": "look for what would spoil a run, before it starts",
    "drift": "hold val, test and predict rows against train",
    "gate": "hold a run's scores against rules, for CI",
    "init": "lay out a working folder: config, preset, callback, data stub",
    "plan": "count the memory of a training step, before anything is downloaded",
    "report": "write one page of a run, or of several side by side",
    "tune": "search the decoding preset of a slice of the val rows",
}
"""What each command does. A new one is a line here, its options below, and `kosum_pl/commands/NAME/command.py`."""

TRAINER_COMMANDS: Final = ("fit", "validate", "test", "predict")
"""Commands of the Trainer; `kosum_pl.cli.run` runs them, and their `--help` shows the config's options too."""

WITHOUT_CONFIG: Final = ("gate", "init", "report")
"""Commands that read no config of a training, and so take no further options than those declared here."""

CONFIG_OPTIONS: Final = ("config", "preset", "runs_dir", "run_name", "ckpt_path", "init_from", "plugins", "slice")
"""What all other commands share, declared in `_add_config_options`."""

_CONFIG_USAGE: Final = "%(prog)s --config NAME [options]"


def option_parser(command: str) -> ArgumentParser:
    """A command's parser."""
    parser = ArgumentParser(
        prog=f"python -m kosum_pl {command}",
        allow_abbrev=False,
        exit_on_error=False,
        # The Trainer's commands show the config's options as well, which only their own parser knows.
        add_help=command not in TRAINER_COMMANDS,
    )
    if command in _DECLARATIONS:
        _DECLARATIONS[command](parser)
    if command not in WITHOUT_CONFIG:
        _add_config_options(parser, has_slice=command != "tune")
    return parser


def _add_config_options(parser: ArgumentParser, *, has_slice: bool) -> None:
    group = parser.add_argument_group("the config")
    group.add_argument(
        "-c",
        "--config",
        type=types.text,
        action="append",
        default=[],
        metavar="NAME",
        help="a config: a path, or a name in ./configs or among the shipped ones; several are laid over each other, "
        "and options win over all of them",
    )
    group.add_argument("--preset", type=types.text, metavar="NAME", help="short for --model.preset NAME")
    group.add_argument("--runs_dir", type=types.text, metavar="DIR", help="where runs go (runs, or $KOSUM_RUNS_DIR)")
    group.add_argument("--run_name", type=types.run_name, metavar="NAME", help="their folder in it (the config's name)")
    group.add_argument(
        "--ckpt_path", type=types.text, metavar="WORD", help="best or last of the config's latest run, or a file"
    )
    group.add_argument(
        "--init_from", type=types.text, metavar="RUN|FILE|EXPORT", help="weights to start a new fit from"
    )
    group.add_argument(
        "--plugins", type=types.text, action="append", default=[], metavar="a.b.c", help="a module with callbacks"
    )
    if has_slice:
        group.add_argument(
            "--slice",
            type=types.text,
            action="append",
            default=[],
            metavar="weekday=7",
            help="of validate, test and predict: only these rows, short for --data.slice (weekday=6,7 either; "
            "length=q4 the longest quarter; given twice: both must hold)",
        )


def _add_json(parser: ArgumentParser, *, what: str) -> None:
    parser.add_argument("--json", type=types.output_file, metavar="FILE", help=f"also write {what} to a file")


def _charset(parser: ArgumentParser) -> None:
    parser.usage = _CONFIG_USAGE
    parser.description = (
        "Show what model.constraint allows, and what of the train and val references falls outside of it, by "
        "frequency. Counted with what each row's own dialogue allows. Also: what the tokenizer cannot write. No "
        "weights are loaded."
    )
    parser.epilog = (
        "Any option of fit is taken too, such as --data.train_file FILE --model.constraint.charset korean+latin."
    )
    _add_json(parser, what="everything, unshortened,")


def _export(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s --config NAME --ckpt_path best --output DIR [options]"
    parser.description = (
        "Write a checkpoint as a Hugging Face folder: safetensors, tokenizer with the chat template, generation config "
        "of the preset; kosum.json, from which `summarize DIR` works as `predict` does; golden prompts and, of a "
        "constraint, the regex for vLLM's structured outputs. A sample of data.val_file is scored before, and after "
        "from the folder."
    )
    parser.epilog = "Any option of fit is taken too, such as --model.presets."
    parser.add_argument("--output", type=types.new_folder, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--merge",
        action="store_true",
        help="of an adapter: add it to its base's weights, which stand in 16 bit where they were quantized; without it "
        "the folder holds the adapter alone, as peft reads it",
    )
    parser.add_argument(
        "--merge_base",
        type=types.one_of("quantized", "original"),
        default="quantized",
        metavar="WORD",
        help="of a quantized base: quantized (the values that the adapter was trained on, in 16 bit; the default) or "
        "original (those that its folder holds)",
    )
    parser.add_argument(
        "--sample",
        type=types.whole_number(least=0),
        default=50,
        metavar="NUMBER",
        help="rows of data.val_file that are scored (50); 0 for none",
    )
    parser.add_argument(
        "--allow_difference",
        action="store_true",
        help="keep the folder also where rouge_mean differs by more than 0.5 points",
    )
    _add_device(parser, what="where the sample is summarized")


def _summarize(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s DIR [FILE | -] [options]\n       %(prog)s NAME --ckpt_path best [FILE | -] [options]"
    parser.description = (
        "Summarize dialogues by an exported folder, or by a config and a checkpoint: the same prompt, preset, "
        "constraint and post-processing as in `predict`. Without a FILE, or with -, dialogues come from standard "
        "input. Interrupted (Ctrl-C), it writes the rows that are done, in their order and under their own numbers; as "
        "text, the others are empty lines. How many dialogues were truncated to the model's limit stands on standard "
        "error."
    )
    parser.epilog = "Of a config, any option of fit is taken too, such as --model.presets."
    parser.add_argument(
        "--input_format",
        type=types.one_of("auto", "text", "csv", "jsonl"),
        default="auto",
        metavar="WORD",
        help="text (dialogues divided by blank lines), csv or jsonl (the usual columns); by default the file's ending "
        "decides, and standard input is text",
    )
    parser.add_argument(
        "--format",
        type=types.one_of("text", "csv", "jsonl"),
        default="text",
        metavar="WORD",
        help="text (a summary a line), csv or jsonl, as predict writes them",
    )
    parser.add_argument("--output", type=types.output_file, metavar="FILE", help="instead of standard output")
    parser.add_argument("--batch_size", type=types.whole_number(least=1), metavar="NUMBER", help="dialogues at once")
    _add_device(parser)


def _doctor(parser: ArgumentParser) -> None:
    parser.usage = _CONFIG_USAGE
    parser.description = (
        "Look for what would spoil a run: versions, machine, special tokens, template, mask, data, constraint. Nothing "
        "is trained, downloaded or loaded but the tokenizer. Exit code 1 when something is broken; warnings alone give "
        "0."
    )
    parser.epilog = "Any option of fit is taken too, such as --data.train_file FILE --model.model_name FOLDER."
    _add_json(parser, what="everything")


def _drift(parser: ArgumentParser) -> None:
    parser.usage = _CONFIG_USAGE
    parser.description = (
        "Compare train with val, test and the rows to be predicted, as far as the config names them: every profile "
        "column, lengths, turns, speakers and wording. Says in plain words what chance does not explain. With "
        "data.topics also the topic clusters of train, and how each split is spread over them. No weights are loaded."
    )
    parser.epilog = "Any option of fit is taken too, such as --data.predict_file FILE --data.topics.num_clusters 8."
    _add_json(parser, what="everything")
    parser.add_argument(
        "--plot", type=types.plot_file, metavar="FILE", help="also draw it (.svg, .png or .pdf; needs matplotlib)"
    )


def _gate(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s RUN --rules FILE.yaml [options]"
    parser.description = (
        "Hold a run's scores against rules.\nExit status: 0 all rules hold, 1 some rule does not, 2 nothing could be "
        "judged."
    )
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.epilog = """\
rules (scores are named as in metrics.json; >= > <= < == !=, + - * / and brackets, min(...), max(...)):
  - val/contamination_rate == 0
  - val/rouge_sum >= 0.98 * baseline              the same score of the baseline
  - val/rouge_sum >= lead/rouge_sum + 20          another score of the run
  - slice weekday=7 val/rouge_sum >= baseline - 5   scores of one slice
  - slice weekday=* val/contamination_rate == 0   of each slice of a column; the worst one is shown
  - {rule: '"lr-AdamW/pg1" < 0.001', name: rate, why: odd names stand in quotes}
A score that is missing or no number fails its rule."""
    parser.add_argument(
        "runs",
        nargs="*",
        type=types.path,
        metavar="RUN",
        help="a run directory, such as runs/demo/latest, a folder under its eval/, or a metrics.json",
    )
    parser.add_argument("--rules", type=types.path, metavar="FILE", help="a YAML list of rules")
    parser.add_argument(
        "--baseline",
        type=types.path,
        metavar="RUN",
        help="what 'baseline' in a rule means: a run as above; wins over 'baseline:' of the rules file",
    )
    parser.add_argument(
        "--junit", type=types.output_file, metavar="FILE", help="write the verdicts as JUnit XML, one test case a rule"
    )
    parser.add_argument("--json", type=types.output_file, metavar="FILE", help="write them as JSON")


def _init(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s DIR [options]"
    parser.description = (
        "Lay out a working folder: a config to fill in, a preset, callbacks/ with an example, a data stub and a "
        "README. DIR must not exist, or be empty."
    )
    parser.add_argument("folders", nargs="*", type=types.path, metavar="DIR", help="the folder")
    parser.add_argument(
        "--config",
        type=types.text,
        default="kobart",
        metavar="NAME",
        help="the shipped config to begin with (kobart); see python -m kosum_pl fit",
    )


def _plan(parser: ArgumentParser) -> None:
    parser.usage = _CONFIG_USAGE
    parser.description = (
        "Count the memory of a training step: weights, adapter, optimizer, gradients, activations and logits of this "
        "config's largest batch, and whether they fit. Where they do not: the fewest changes that make them fit, as "
        "options to paste. Batches are those of data.train_file, where it lies here, and one of rows at the limits. "
        "Nothing is downloaded but a hub model's config and tokenizer, and no weights are loaded. Exit status: 0 it "
        "fits, 1 it does not."
    )
    parser.epilog = "Any option of fit is taken too, such as --model.gradient_checkpointing true --data.batch_size 4."
    parser.add_argument(
        "--memory",
        type=types.memory_size,
        metavar="24GB",
        help="of the device (MB, GB: powers of ten; MiB, GiB); default: this machine's GPU, else 24GB",
    )
    _add_json(parser, what="everything, in bytes,")


def _report(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s RUN [RUN ...] [options]"
    parser.description = (
        "Write what a run has left behind as one HTML page that needs no network: scores with intervals, curves, "
        "slices, drift, foreign characters, tags, best and worst rows, all predictions, config and versions. Of "
        "several runs, the first is held against each other one on the rows that both have. Beside the page lies a "
        "Markdown summary for a pull request."
    )
    parser.add_argument(
        "runs",
        nargs="*",
        type=types.path,
        metavar="RUN",
        help="a run directory, such as runs/demo/latest, or a folder under its eval/",
    )
    parser.add_argument(
        "--output",
        type=types.output_file,
        metavar="FILE",
        help="the page; default: report.html in the first run, of several runs report-compare.html there",
    )
    parser.add_argument(
        "--markdown", type=types.output_file, metavar="FILE", help="the summary; default: beside the page"
    )


def _tune(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s --config NAME --ckpt_path best --output FILE.yaml [options]"
    parser.description = (
        "Search a decoding preset for some rows of data.val_file by mean rouge_sum, summarized as validate does. The "
        "rows are split: one part is searched on, the other says what was won, against the preset that serves these "
        "rows today (or the one that stands in the output file and serves them). In the end fields of the best trial "
        "are put back where the rows cannot tell. Rows of test are never read. Trials are kept: the same call goes on "
        "where it was stopped."
    )
    parser.epilog = "Any option of fit is taken too, such as --model.presets."
    parser.set_defaults(slice=[])
    parser.add_argument(
        "--slice",
        dest="slices",
        type=types.text,
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="rows of a profile column; 6,7 is either; given again, rows must match all (default: all rows)",
    )
    parser.add_argument(
        "--trials", type=types.whole_number(least=1), default=40, metavar="NUMBER", help="presets to try in all (40)"
    )
    parser.add_argument(
        "--output",
        type=types.output_file,
        metavar="FILE.yaml",
        help="the preset; an existing file is replaced only by a better one",
    )
    parser.add_argument("--force", action="store_true", help="write the preset also where it does not win")
    parser.add_argument(
        "--held_out",
        type=types.share,
        default=0.5,
        metavar="SHARE",
        help="part of the rows that is not searched on (0.5)",
    )
    parser.add_argument(
        "--seed",
        type=types.whole_number(least=0),
        default=42,
        metavar="NUMBER",
        help="of the split and the search (42)",
    )
    parser.add_argument(
        "--study", type=types.output_file, metavar="FILE.db", help="where trials are kept (RUN/tune/SLICE.db)"
    )
    _add_device(parser)


def _add_device(parser: ArgumentParser, *, what: str = "where to compute") -> None:
    parser.add_argument("--device", type=types.text, default="auto", metavar="WORD", help=f"{what}: auto, cpu, cuda")


_DECLARATIONS: Final[Mapping[str, Callable[[ArgumentParser], None]]] = {
    "charset": _charset,
    "doctor": _doctor,
    "drift": _drift,
    "export": _export,
    "gate": _gate,
    "init": _init,
    "plan": _plan,
    "report": _report,
    "summarize": _summarize,
    "tune": _tune,
}
