"""Places that cannot be written to: a file where a folder is meant, names too long, folders that are none."""

from __future__ import annotations

from tests.bad_inputs.row import BadInput, fit

_LONG = "가" * 100

ROWS = [
    BadInput(
        name="runs_dir, a file",
        words=fit("--runs_dir", "train.csv"),
        says=("train.csv", "a file stands where a folder is meant"),
    ),
    BadInput(
        name="runs_dir, below a file",
        words=fit("--runs_dir", "train.csv/runs"),
        says=("train.csv", "a file stands where a folder is meant"),
    ),
    BadInput(name="runs_dir, no disk", words=fit("--runs_dir", "/proc/none"), says=("/proc/none", "--runs_dir")),
    BadInput(name="run_name, too long", words=fit("--run_name", _LONG), says=("write a shorter name",)),
    BadInput(name="run_name, a path", words=fit("--run_name", "a/b"), says=("write a name without slashes",)),
    BadInput(
        name="cache_dir, a file",
        words=fit("--data.cache_dir", "train.csv"),
        says=("train.csv", "set data.cache_dir"),
    ),
    BadInput(
        name="cache_dir, no disk",
        words=fit("--data.cache_dir", "/proc/none"),
        says=("/proc/none", "set data.cache_dir"),
    ),
    BadInput(
        name="json, a folder",
        words=("doctor", *fit("--json", ".")[1:]),
        says=("--json . is a folder; give the name of a file in it",),
    ),
    BadInput(
        name="json, no folder",
        words=("plan", *fit("--json", "none/a.json")[1:]),
        says=("--json none/a.json: there is no folder none; make it first",),
    ),
    BadInput(
        name="export, a file",
        words=("export", *fit("--output", "train.csv")[1:]),
        says=("--output train.csv exists already",),
    ),
    BadInput(
        name="init, a file",
        words=("init", "train.csv"),
        says=("train.csv",),
    ),
    BadInput(
        name="init, below a file",
        words=("init", "train.csv/new"),
        says=("train.csv",),
    ),
    BadInput(
        name="tune, an ending",
        words=("tune", *fit("--ckpt_path", "x.ckpt", "--output", "preset.txt")[1:]),
        says=("tune needs --output FILE.yaml",),
    ),
    BadInput(name="config, a folder", words=("fit", "--config", "."), says=("config '.' is not a file",)),
    BadInput(name="config, too long a name", words=("fit", "--config", _LONG * 30), says=("write a shorter name",)),
    BadInput(
        name="train_file, too long a name",
        words=fit("--data.train_file", f"{_LONG * 30}.csv"),
        says=("write a shorter name",),
    ),
    BadInput(
        name="template, a folder",
        words=fit(
            "--model.class_path=CausalModule",
            "--model.model_name=demo:llama",
            "--model.config_overrides=null",
            "--model.prompt.class_path=ChatPrompt",
            "--model.prompt.template_file=.",
        ),
        says=("model.prompt.template_file '.' cannot be read",),
    ),
]
