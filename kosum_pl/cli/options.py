"""Every command and its options: names, types, defaults, help. Declarations alone.

In: a command's name. Out: its parser. Reading a command line is `cli.arguments`' affair. Only the standard library is
imported, so that help and misspelt options are answered at once.
"""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter, _ActionsContainer
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
    "mbr": "choose among the summaries of several runs by minimum Bayes risk",
    "plan": "count the memory of a training step, before anything is downloaded",
    "report": "write one page of a run, or of several side by side",
    "tune": "search the decoding preset of a slice of the val rows",
}
"""What each command does. A new one is a line here, its options below, and `kosum_pl/commands/NAME/command.py`."""

TRAINER_COMMANDS: Final = ("fit", "validate", "test", "predict")
"""Commands of the Trainer; `kosum_pl.cli.run` runs them, and their `--help` shows the config's options too."""

WITHOUT_CONFIG: Final = ("gate", "init", "mbr", "report")
"""Commands that read no config of a training, and so take no further options than those declared here."""

CONFIG_OPTIONS: Final = (
    "config",
    "preset",
    "runs_dir",
    "run_name",
    "ckpt_path",
    "init_from",
    "plugins",
    "no_plugins",
    "slice",
)
"""What all other commands share, declared in `_add_config_options`."""

_CONFIG_USAGE: Final = "%(prog)s --config NAME [options]"
_ANY_OPTION: Final = "Any option of fit is taken too,"


def option_parser(command: str) -> ArgumentParser:
    """The parser of one of `COMMANDS`."""
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


def _add(
    parser: _ActionsContainer,
    name: str,
    metavar: str,
    what: str,
    read: Callable[[str], object] = types.text,
    default: object = None,
) -> None:
    """Declare an option with a value; given twice, the later one counts."""
    parser.add_argument(name, type=read, default=default, metavar=metavar, help=what)


def _add_repeated(parser: _ActionsContainer, *names: str, metavar: str, what: str, dest: str | None = None) -> None:
    """Declare an option whose values are gathered in a list."""
    more = {} if dest is None else {"dest": dest}
    parser.add_argument(*names, type=types.text, action="append", default=[], metavar=metavar, help=what, **more)  # type: ignore[arg-type]


def _add_config_options(parser: ArgumentParser, *, has_slice: bool) -> None:
    group = parser.add_argument_group("the config")
    what = "a config: a path, or a name in ./configs or among the shipped ones; several are laid over each other, and "
    _add_repeated(group, "-c", "--config", metavar="NAME", what=what + "options win over all of them")
    _add(group, "--preset", "NAME", "short for --model.preset NAME")
    _add(group, "--runs_dir", "DIR", "where runs go (runs, or $KOSUM_RUNS_DIR)")
    _add(group, "--run_name", "NAME", "their folder in it (the config's name)", types.run_name)
    _add(group, "--ckpt_path", "WORD", "best or last of the config's latest run, or a file")
    _add(group, "--init_from", "RUN|FILE|EXPORT", "weights to start a new fit from")
    _add_repeated(group, "--plugins", metavar="a.b.c", what="a module with callbacks")
    what = "import no plug-in: no file of ./callbacks, no module under plugins, no entry point"
    group.add_argument("--no_plugins", action="store_true", help=what)
    if has_slice:
        what = "of validate, test and predict: only these rows, short for --data.slice (weekday=6,7 either; length=q4 "
        _add_repeated(
            group, "--slice", metavar="weekday=7", what=what + "the longest quarter; given twice: both must hold)"
        )


def _fit(parser: ArgumentParser) -> None:
    what = "put an apostrophe before cells of CSV files that a spreadsheet would compute (=, +, -, @)"
    parser.add_argument("--safe_csv", action="store_true", help=what)


def _predict(parser: ArgumentParser) -> None:
    _fit(parser)
    what = "leave dialogues and references out of every file, and write no report"
    parser.add_argument("--no_text", action="store_true", help=what)


def _charset(parser: ArgumentParser) -> None:
    parser.usage = _CONFIG_USAGE
    parser.description = (
        "Show what model.constraint allows, and what of the train and val references falls outside of it, by "
        "frequency. Counted with what each row's own dialogue allows. Also: what the tokenizer cannot write. No "
        "weights are loaded."
    )
    parser.epilog = f"{_ANY_OPTION} such as --data.train_file FILE --model.constraint.charset korean+latin."
    _add(parser, "--json", "FILE", "also write everything, unshortened, to a file", types.output_file)


def _export(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s --config NAME --ckpt_path best --output DIR [options]"
    parser.description = (
        "Write a checkpoint as a Hugging Face folder: safetensors, tokenizer with the chat template, generation config "
        "of the preset; kosum.json, from which `summarize DIR` works as `predict` does; golden prompts and, of a "
        "constraint, the regex for vLLM's structured outputs. A sample of data.val_file is scored before, and after "
        "from the folder."
    )
    parser.epilog = f"{_ANY_OPTION} such as --model.presets."
    _add(parser, "--output", "DIR", "a new folder", types.new_folder)
    what = "of an adapter: add it to its base's weights, which stand in 16 bit where they were quantized; without it "
    what += "the folder holds the adapter alone, as peft reads it"
    parser.add_argument("--merge", action="store_true", help=what)
    what = "of a quantized base: quantized (the values that the adapter was trained on, in 16 bit; the default) or "
    kinds = types.one_of("quantized", "original")
    _add(parser, "--merge_base", "WORD", what + "original (those that its folder holds)", kinds, "quantized")
    what = "rows of data.val_file that are scored (50); 0 for none"
    _add(parser, "--sample", "NUMBER", what, types.whole_number(least=0), 50)
    what = "keep the folder also where rouge_mean differs by more than 0.5 points"
    parser.add_argument("--allow_difference", action="store_true", help=what)
    _add(parser, "--device", "WORD", "where the sample is summarized: auto, cpu, cuda", default="auto")


def _summarize(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s DIR [FILE | -] [options]\n       %(prog)s NAME --ckpt_path best [FILE | -] [options]"
    parser.description = (
        "Summarize dialogues by an exported folder, or by a config and a checkpoint: the same prompt, preset, "
        "constraint and post-processing as in `predict`. Without a FILE, or with -, dialogues come from standard "
        "input. Interrupted (Ctrl-C), it writes the rows that are done, in their order and under their own numbers; as "
        "text, the others are empty lines. How many dialogues were truncated to the model's limit stands on standard "
        "error."
    )
    parser.epilog = f"Of a config: {_ANY_OPTION.lower()} such as --model.presets."
    what = "text (dialogues divided by blank lines), csv or jsonl (the usual columns); by default the file's ending "
    kinds = types.one_of("auto", "text", "csv", "jsonl")
    _add(parser, "--input_format", "WORD", what + "decides, and standard input is text", kinds, "auto")
    what = "text (a summary a line), csv or jsonl, as predict writes them"
    _add(parser, "--format", "WORD", what, types.one_of("text", "csv", "jsonl"), "text")
    _add(parser, "--output", "FILE", "instead of standard output", types.output_file)
    _fit(parser)
    _add(parser, "--batch_size", "NUMBER", "dialogues at once", types.whole_number(least=1))
    _add(parser, "--device", "WORD", "auto, cpu, cuda", default="auto")


def _doctor(parser: ArgumentParser) -> None:
    parser.usage = _CONFIG_USAGE
    parser.description = (
        "Look for what would spoil a run: versions, machine, special tokens, template, mask, data, constraint. Nothing "
        "is trained, downloaded or loaded but the tokenizer. Exit code 1 when something is broken; warnings alone give "
        "0."
    )
    parser.epilog = f"{_ANY_OPTION} such as --data.train_file FILE --model.model_name FOLDER."
    _add(parser, "--json", "FILE", "also write everything to a file", types.output_file)


def _drift(parser: ArgumentParser) -> None:
    parser.usage = _CONFIG_USAGE
    parser.description = (
        "Compare train with val, test and the rows to be predicted, as far as the config names them: every profile "
        "column, lengths, turns, speakers and wording. Says in plain words what chance does not explain. With "
        "data.topics also the topic clusters of train, and how each split is spread over them. No weights are loaded."
    )
    parser.epilog = f"{_ANY_OPTION} such as --data.predict_file FILE --data.topics.num_clusters 8."
    _add(parser, "--json", "FILE", "also write everything to a file", types.output_file)
    _add(parser, "--plot", "FILE", "also draw it (.svg, .png or .pdf; needs matplotlib)", types.plot_file)


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
    what = "a run directory, such as runs/demo/latest, a folder under its eval/, or a metrics.json"
    parser.add_argument("runs", nargs="*", type=types.path, metavar="RUN", help=what)
    _add(parser, "--rules", "FILE", "a YAML list of rules", types.path)
    what = "what 'baseline' in a rule means: a run as above; wins over 'baseline:' of the rules file"
    _add(parser, "--baseline", "RUN", what, types.path)
    _add(parser, "--junit", "FILE", "write the verdicts as JUnit XML, one test case a rule", types.output_file)
    _add(parser, "--json", "FILE", "write them as JSON", types.output_file)


def _init(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s DIR [options]"
    parser.description = (
        "Lay out a working folder: a config to fill in, a preset, callbacks/ with an example, a data stub and a "
        "README. DIR must not exist, or be empty."
    )
    parser.add_argument("folders", nargs="*", type=types.path, metavar="DIR", help="the folder")
    what = "the shipped config to begin with (kobart); see python -m kosum_pl fit"
    _add(parser, "--config", "NAME", what, default="kobart")


def _mbr(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s RUN RUN RUN [RUN ...] [options]"
    parser.description = (
        "Choose for each row, among the summaries that several runs gave of it, the one with the highest expected "
        "ROUGE if one of the others were the reference: an ensemble of models that need not share a tokenizer. Runs "
        "must hold the same rows. What comes of it is a folder like an evaluation's, which report and gate read."
    )
    what = "a run directory, such as runs/demo/latest, or a folder under its eval/"
    parser.add_argument("runs", nargs="*", type=types.path, metavar="RUN", help=what)
    weights = {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0}
    what = "what counts how much (rouge1=1,rouge2=1,rougeL=1)"
    _add(parser, "--weights", "NAME=NUMBER,…", what, types.weights_of(*weights), weights)
    _add(parser, "--output", "DIR", "the folder; default: eval/mbr-TIME in the first run", types.path)
    _fit(parser)


def _plan(parser: ArgumentParser) -> None:
    parser.usage = _CONFIG_USAGE
    parser.description = (
        "Count the memory of a training step: weights, adapter, optimizer, gradients, activations and logits of this "
        "config's largest batch, and whether they fit. Where they do not: the fewest changes that make them fit, as "
        "options to paste. Batches are those of data.train_file, where it lies here, and one of rows at the limits. "
        "Nothing is downloaded but a hub model's config and tokenizer, and no weights are loaded. Exit status: 0 it "
        "fits, 1 it does not."
    )
    parser.epilog = f"{_ANY_OPTION} such as --model.gradient_checkpointing true --data.batch_size 4."
    what = "of the device (MB, GB: powers of ten; MiB, GiB); default: this machine's GPU, else 24GB"
    _add(parser, "--memory", "24GB", what, types.memory_size)
    _add(parser, "--json", "FILE", "also write everything, in bytes, to a file", types.output_file)


def _report(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s RUN [RUN ...] [options]"
    parser.description = (
        "Write what a run has left behind as one HTML page that needs no network: scores with intervals, curves, "
        "slices, drift, foreign characters, tags, best and worst rows, all predictions, config and versions. Of "
        "several runs, the first is compared with each other one on the rows that both have. Beside the page lies a "
        "Markdown summary for a pull request."
    )
    what = "a run directory, such as runs/demo/latest, or a folder under its eval/"
    parser.add_argument("runs", nargs="*", type=types.path, metavar="RUN", help=what)
    what = "the page; default: report.html in the first run, of several runs report-compare.html there"
    _add(parser, "--output", "FILE", what, types.output_file)
    _add(parser, "--markdown", "FILE", "the summary; default: beside the page", types.output_file)
    what = "tags such as #PhoneNumber# in place of phone, resident and card numbers and e-mail addresses, by pattern"
    parser.add_argument("--redact", action="store_true", help=what)


def _tune(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s --config NAME --ckpt_path best --output FILE.yaml [options]"
    parser.description = (
        "Search a decoding preset for some rows of data.val_file by mean rouge_sum, summarized as validate does. The "
        "rows are split: one part is searched on, the other says what was won, against the preset that serves these "
        "rows today (or the one that stands in the output file and serves them). In the end fields of the best trial "
        "are put back where the rows cannot tell. Rows of test are never read. Trials are kept: the same call goes on "
        "where it was stopped."
    )
    parser.epilog = f"{_ANY_OPTION} such as --model.presets."
    parser.set_defaults(slice=[])
    what = "rows of a profile column; 6,7 is either; given again, rows must match all (default: all rows)"
    _add_repeated(parser, "--slice", dest="slices", metavar="COLUMN=VALUE", what=what)
    _add(parser, "--trials", "NUMBER", "presets to try in all (40)", types.whole_number(least=1), 40)
    what = "the preset; an existing file is replaced only by a better one"
    _add(parser, "--output", "FILE.yaml", what, types.output_file)
    parser.add_argument("--force", action="store_true", help="write the preset also where it does not win")
    _add(parser, "--held_out", "SHARE", "part of the rows that is not searched on (0.5)", types.share, 0.5)
    _add(parser, "--seed", "NUMBER", "of the split and the search (42)", types.whole_number(least=0), 42)
    _add(parser, "--study", "FILE.db", "where trials are kept (RUN/tune/SLICE.db)", types.output_file)
    _add(parser, "--device", "WORD", "auto, cpu, cuda", default="auto")


_DECLARATIONS: Final[Mapping[str, Callable[[ArgumentParser], None]]] = {
    "charset": _charset,
    "doctor": _doctor,
    "drift": _drift,
    "export": _export,
    "fit": _fit,
    "gate": _gate,
    "init": _init,
    "mbr": _mbr,
    "plan": _plan,
    "predict": _predict,
    "report": _report,
    "summarize": _summarize,
    "test": _fit,
    "tune": _tune,
    "validate": _fit,
}
