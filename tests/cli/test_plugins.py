from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lightning.pytorch import Callback

from kosum_pl.cli.plugins import PluginFailure, load_plugins

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = "kosum_pl.callbacks.rouge_sum_checkpoint"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder; whatever is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    modules, path = dict(sys.modules), list(sys.path)
    yield tmp_path
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.modules.update(modules)
    sys.path[:] = path
    load_plugins(working_dir=tmp_path.parent)  # forgets the user's folder again
    gc.collect()  # two classes of one name are ambiguous in a config


def write_callback(path: Path, name: str, body: str = "pass") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"from lightning.pytorch import Callback\n\n\nclass {name}(Callback):\n    {body}\n", encoding="utf-8"
    )


def register(work: Path, name: str, value: str) -> None:
    """An installed distribution with one entry point, as an installer would leave it."""
    info = work / "site" / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[kosum_pl.callbacks]\n{name} = {value}\n", encoding="utf-8")
    sys.path.insert(0, str(work / "site"))


def callback_named(name: str) -> type[Callback]:
    kinds, queue = [], [Callback]
    while queue:
        subclasses = queue.pop().__subclasses__()
        kinds += subclasses
        queue += subclasses
    # The newest: classes of earlier tests may not have been collected yet.
    return [kind for kind in kinds if kind.__name__ == name][-1]


def test_shipped_callbacks_are_always_there(work: Path) -> None:
    loaded = load_plugins()
    assert SHIPPED in loaded.modules
    assert loaded.failures == ()
    assert loaded.lines() == []


@pytest.mark.parametrize(
    ("file", "loaded", "plugins"),
    [
        ("callbacks/mine.py", "callbacks.mine", []),
        ("my_package/plugin.py", "my_package.plugin", ["my_package.plugin"]),
        ("site/installed_plugin.py", "installed_plugin:Mine", []),
    ],
)
def test_a_file_a_dotted_module_and_an_entry_point_are_loaded(
    work: Path, file: str, loaded: str, plugins: list[str]
) -> None:
    write_callback(work / file, "Mine")
    if ":" in loaded:
        register(work, "installed", loaded)
    assert {SHIPPED, loaded} <= set(load_plugins(plugins).modules)
    assert callback_named("Mine").__module__ == loaded.partition(":")[0]


def test_the_users_folder_first_on_the_path_does_not_hide_the_shipped_one(work: Path) -> None:
    write_callback(work / "callbacks" / "__init__.py", "NeverLoaded")
    write_callback(work / "callbacks" / "mine.py", "Mine")
    sys.path.insert(0, str(work))  # as under `python -m`
    for name in [name for name in sys.modules if name.partition(".")[0] == "callbacks"]:
        del sys.modules[name]
    import callbacks as users

    assert users.__file__ == str(work / "callbacks" / "__init__.py")
    loaded = load_plugins()
    assert {SHIPPED, "callbacks.mine"} <= set(loaded.modules)
    assert "NeverLoaded" not in dir(sys.modules["callbacks"])


def test_the_old_name_of_a_shipped_callback_is_the_same_class(work: Path) -> None:
    load_plugins()
    old = importlib.import_module("callbacks.rouge_sum_checkpoint")
    assert old.RougeSumCheckpoint is importlib.import_module(SHIPPED).RougeSumCheckpoint


def test_a_file_named_like_a_shipped_one_replaces_it_and_says_so(work: Path) -> None:
    sys.modules.pop(SHIPPED, None)
    write_callback(work / "callbacks" / "rouge_sum_checkpoint.py", "RougeSumCheckpoint", "is_mine = True")
    loaded = load_plugins()
    assert loaded.lines() == [
        "callbacks/rouge_sum_checkpoint.py of the working folder is used instead of the shipped one"
    ]
    assert sys.modules["callbacks.rouge_sum_checkpoint"].RougeSumCheckpoint.is_mine
    assert SHIPPED not in loaded.modules


@pytest.mark.parametrize(
    ("text", "reason", "name"),
    [
        (
            "import no_such_module\nclass Broken: pass\n",
            "ModuleNotFoundError: No module named 'no_such_module'",
            "Broken",
        ),
        ("class Broken(:\n", "SyntaxError: invalid syntax (broken.py, line 1)", "Broken"),
        ("class Broken: pass\nraise SystemExit(3)\n", "SystemExit: 3", "Broken"),
        ("class Broken: pass\n1 / 0\n", "ZeroDivisionError: division by zero", "Broken"),
    ],
)
def test_a_file_that_does_not_import_is_named_and_the_rest_is_loaded(
    work: Path, text: str, reason: str, name: str
) -> None:
    write_callback(work / "callbacks" / "good.py", "Good")
    (work / "callbacks" / "broken.py").write_text(text, encoding="utf-8")
    loaded = load_plugins()
    assert {SHIPPED, "callbacks.good"} <= set(loaded.modules)
    assert loaded.lines() == [f"plug-in callbacks/broken.py does not load: {reason}"]
    assert loaded.failures[0].names == ("callbacks.broken", name)


def test_a_broken_entry_point_names_its_distribution(work: Path) -> None:
    register(work, "broken", "no_such_module:Mine")
    (failure,) = load_plugins().failures
    assert failure.line() == (
        "plug-in no_such_module:Mine (entry point 'broken' of broken) does not load: "
        "ModuleNotFoundError: No module named 'no_such_module'"
    )
    assert failure.names == ("no_such_module", "Mine")


def test_a_broken_dotted_module_is_a_failure(work: Path) -> None:
    (failure,) = load_plugins(["no.such.module"]).failures
    assert failure.line() == "plug-in no.such.module does not load: ModuleNotFoundError: No module named 'no'"


def test_files_that_are_no_plugins_are_left_alone(work: Path) -> None:
    (work / "callbacks").mkdir()
    for name in ("_private.py", "not-a-name.py", "notes.txt"):
        (work / "callbacks" / name).write_text("raise RuntimeError\n", encoding="utf-8")
    assert load_plugins().failures == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("there is no class 'Mine'", True),
        ("class_path: callbacks.mine.Mine", True),
        ("class_path: other.Mine", False),
        ("there is no class 'MineToo'", False),
    ],
)
def test_a_failure_matters_when_the_config_names_it(text: str, expected: bool) -> None:
    failure = PluginFailure(source="callbacks/mine.py", reason="…", names=("callbacks.mine", "Mine"))
    assert failure.is_asked_for(text) is expected


MARKER = """
from pathlib import Path

from lightning.pytorch import Callback


class {name}(Callback):
    def on_train_start(self, trainer, pl_module) -> None:
        Path("{name}.mark").touch()
"""
PARTS = """
import re


def drop_urls(text):
    return re.sub(r"https?://\\S+", "", text)


def piped(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        dialogue, summary = line.split("|")
        yield {"fname": dialogue, "dialogue": dialogue, "summary": summary}


greek = "αβγ"


def end_plainly(text, row):
    return text.replace("합니다.", "한다.")


class QuestionRate:
    names = ("question_rate",)

    def row_values(self, prediction):
        return [("?" in prediction.text, 1)]
"""
PARTS_CONFIG = """
model:
  init_args:
    constraint: {kind: automaton, charset: korean+greek}
    postprocess: [nfc, end_plainly]
    metrics: [QuestionRate]
data:
  train_file: [{path: chats.txt, format: piped}]
  cleaning: [line_ends, drop_urls, spaces]
"""
TINY_RUN = [
    "--model.config_overrides={d_model: 16, encoder_layers: 1, decoder_layers: 1, encoder_attention_heads: 2, "
    "decoder_attention_heads: 2, encoder_ffn_dim: 16, decoder_ffn_dim: 16}",
    "--model.rouge_tokenizer=space",
    "--trainer.accelerator=cpu",
    "--trainer.max_steps=1",
    "--trainer.limit_train_batches=1",
    "--trainer.limit_val_batches=1",
    "--trainer.num_sanity_val_steps=0",
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel of this checkout is installed, without its dependencies."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in ("kosum_pl", "callbacks", "configs"):
        shutil.copytree(REPOSITORY / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(REPOSITORY / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(source / "dist"), str(source)], check=True
    )
    (wheel,) = (source / "dist").glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True)
    return site


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["module", "script"])
def test_a_wheel_takes_callbacks_all_three_ways_and_a_plug_in_of_each_kind(
    installed: Path, tmp_path: Path, entry: str
) -> None:
    work, site = tmp_path / "work", tmp_path / "site"
    for path, name in (
        (work / "callbacks" / "mine.py", "FromAFile"),
        (work / "my_package" / "plugin.py", "FromAModule"),
        (site / "installed_plugin.py", "FromAnEntryPoint"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MARKER.format(name=name), encoding="utf-8")
    info = site / "installed_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-plugin\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[kosum_pl.callbacks]\nx = installed_plugin:FromAnEntryPoint\n", encoding="utf-8"
    )
    (work / "plug.yaml").write_text(
        "plugins: [my_package.plugin]\n"
        "trainer:\n"
        "  callbacks:\n"
        "    - class_path: RougeSumCheckpoint\n"
        "    - class_path: FromAFile\n"
        "    - class_path: FromAModule\n"
        "    - class_path: FromAnEntryPoint\n" + PARTS_CONFIG,
        encoding="utf-8",
    )
    (work / "callbacks" / "parts.py").write_text(PARTS, encoding="utf-8")
    (work / "chats.txt").write_text(
        "#Person1#: 비가 와 https://a.kr|비가 온다.\n#Person1#: 눈이 와|눈이 온다.\n", encoding="utf-8"
    )
    program = (
        [sys.executable, "-m", "kosum_pl"]
        if entry == "module"
        else [sys.executable, str(installed / "bin" / "kosum_pl")]
    )
    environment = {**os.environ, "PYTHONPATH": f"{installed}:{site}", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*program, "fit", "--config", "demo.yaml", "--config", "plug.yaml", *TINY_RUN],
        cwd=work, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "does not load" not in result.stderr
    assert sorted(path.stem for path in work.glob("*.mark")) == ["FromAFile", "FromAModule", "FromAnEntryPoint"]
    run_dir = (work / "runs" / "demo" / "latest").resolve()
    assert (run_dir / "predictions.csv").exists()
    assert (run_dir / "report.html").exists()
    assert "val/question_rate" in json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    config = (run_dir / "config.yaml").read_text(encoding="utf-8")
    assert "kosum_pl.callbacks.rouge_sum_checkpoint.RougeSumCheckpoint" in config


@pytest.mark.slow
def test_a_wheel_in_an_empty_folder_knows_the_shipped_configs(installed: Path, tmp_path: Path) -> None:
    code = (
        "import kosum_pl, sys; print(kosum_pl.__file__); from kosum_pl.__main__ import main; main(['fit', '-c', 'x'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.stdout.startswith(str(installed))
    pins = installed / "kosum_pl" / "constraints.txt"  # what `doctor` holds versions against
    assert pins.read_text(encoding="utf-8") == (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    assert "known: demo, demo_causal, kobart, kot5, llama3b, llama8b_qlora, qwen4b, qwen7b_qlora" in result.stderr


def test_what_was_imported_is_one_line(work: Path) -> None:
    write_callback(work / "callbacks" / "mine.py", "Mine")
    write_callback(work / "callbacks" / "other.py", "Other")
    write_callback(work / "site" / "installed_plugin.py", "Installed")
    register(work, "installed", "installed_plugin:Installed")
    (line,) = load_plugins().news()
    assert line == (
        "plug-ins imported: callbacks/mine.py, callbacks/other.py, installed_plugin:Installed of installed "
        "(--no_plugins leaves them out)"
    )
    assert load_plugins(working_dir=work / "elsewhere").news() == [
        "plug-ins imported: installed_plugin:Installed of installed (--no_plugins leaves them out)"
    ]


def test_without_plugins_nothing_of_a_folder_runs(work: Path) -> None:
    for path in ("callbacks/mine.py", "my_plugin.py", "site/installed_plugin.py", "callbacks/sample_table.py"):
        write_callback(work / path, "Mine", body="open('ran', 'w').close()")
    register(work, "installed", "installed_plugin:Mine")
    loaded = load_plugins(["my_plugin"], is_off=True)
    assert not (work / "ran").exists()
    assert loaded.news() == []
    assert all(name.startswith("kosum_pl.callbacks.") for name in loaded.modules)
    assert SHIPPED in loaded.modules
    assert loaded.lines() == [
        f"plug-in {source} does not load: --no_plugins leaves it out"
        for source in ("callbacks/mine.py", "callbacks/sample_table.py", "my_plugin", "installed_plugin:Mine")
    ]
    shipped = importlib.import_module("kosum_pl.callbacks.sample_table")
    assert importlib.import_module("callbacks.sample_table") is shipped
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("callbacks.mine")
    assert load_plugins(["my_plugin"]).failures == ()
    assert (work / "ran").exists()
