"""Places that cannot be written to: a file where a folder is meant, names too long, folders that are none."""

from __future__ import annotations

from tests.bad_inputs.row import BadInput, fit, fit_with_template, refused

_LONG = "가" * 100

ROWS = [
    *(
        BadInput(name=f"runs_dir={name}", words=fit("--runs_dir", name), says=(said, remedy))
        for name, said, remedy in (
            ("train.csv", "train.csv", "a file stands where a folder is meant"),
            ("train.csv/runs", "train.csv", "a file stands where a folder is meant"),
            ("/proc/none", "/proc/none", "--runs_dir"),
        )
    ),
    BadInput(name="run_name, too long", words=fit("--run_name", _LONG), says=("write a shorter name",)),
    BadInput(name="run_name, a path", words=fit("--run_name", "a/b"), says=("write a name without slashes",)),
    refused("data.cache_dir", "train.csv", "train.csv", "set data.cache_dir"),
    refused("data.cache_dir", "/proc/none", "/proc/none", "set data.cache_dir"),
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
        words=fit_with_template("."),
        says=("model.prompt.template_file '.' cannot be read",),
    ),
]
