"""What README and docs/ show is true: code runs, commands and options exist, YAML is what the parser takes."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from kosum_pl.__main__ import COMMANDS
from kosum_pl.cli.arguments import read_arguments
from kosum_pl.cli.options import option_parser
from kosum_pl.cli.parts import load_parts
from kosum_pl.commands.gate.rules import read_rules
from kosum_pl.decode import DEFAULT_LITERALS, Charset, foreign_places, load_preset, row_literals
from kosum_pl.lookup import find_shipped_config, resolve_path

DIALOGUE = "#Person1#: KTX 타고 Jimmy 만나러 가자.\n#Person2#: 그래."
SHAPES = {
    "llama": {"initializer_range": 0.5, "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 48},
    "bart": {"init_std": 0.8, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1},
}


REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
MAX_WORDS_OF_README = 900
# What a reader has at hand there: a model, a server.
NEEDS_MORE = ("from openai import", "constrained_head")


def blocks(language: str) -> list[Any]:
    """Code blocks of all pages, as pytest parameters that name page and line."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text[: match.start()].count("\n") + 1
            found.append(pytest.param(match[1], id=f"{page.relative_to(REPOSITORY)}:{line}"))
    return found


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    compile(code, "<page>", "exec")
    if not any(word in code for word in NEEDS_MORE):
        exec(code, {"__name__": "page"})


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_is_what_the_parser_takes(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = yaml.safe_load(text)
    monkeypatch.chdir(tmp_path)
    Path("overlay.yaml").write_text(text, encoding="utf-8")
    if "rules" in values:
        assert read_rules(Path("overlay.yaml"))
    elif "num_beams" in values:
        load_preset("overlay.yaml")
    elif values.keys() & {"trainer", "model", "data"}:
        for block in blocks("python"):  # plug-ins that the pages show, under the file name in their first line
            if name := re.match(r"# (callbacks/\w+\.py)\n", block.values[0]):
                Path("callbacks").mkdir(exist_ok=True)
                Path(name[1]).write_text(block.values[0], encoding="utf-8")
        base = "demo_causal" if "adapter" in text else "demo"
        load_parts(read_arguments("fit", ["--config", base, "--config", "overlay.yaml"]))


def commands() -> list[Any]:
    """Every line `python -m kosum_pl …` of the pages."""
    lines = []
    for block in blocks("bash"):
        for line in block.values[0].replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:3] == ["python", "-m", "kosum_pl"]:
                lines.append(pytest.param(words[3:], id=f"{block.id} {' '.join(words[3:5])}"))
    return lines


@pytest.mark.parametrize("words", commands())
def test_commands_and_options_exist(words: list[str]) -> None:
    command, *rest = words
    assert command in COMMANDS
    options = {word.partition("=")[0] for word in rest if word.startswith("--")}
    if command in ("fit", "validate", "test", "predict"):
        known = _help("fit") + option_parser(command).format_help()
    else:
        known = _help(command) + (_help("fit") if "--config" in options else "")
    assert {option for option in options if not re.search(rf"{re.escape(option)}(?![\w.])", known)} == set()
    for config in re.findall(r"--config (\S+)", " ".join(rest)):
        assert config in ("mine.yaml", "summarizer.yaml") or find_shipped_config(config)


@functools.cache
def _help(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "kosum_pl", command, "--help"], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert len(PAGES[0].read_text(encoding="utf-8").split()) <= MAX_WORDS_OF_README
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_walks_lead_through_files_and_functions_that_exist() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    steps = re.findall(r"`([\w/]+\.py)` `([\w.]+)`", text)
    assert len(steps) >= 20
    for file, name in steps:
        path = REPOSITORY / "kosum_pl" / file
        assert path.is_file(), file
        for part in name.split("."):
            assert re.search(rf"(?:def|class) {part}\b", path.read_text(encoding="utf-8")), f"{file} has no {name}"


def snippet(holding: str) -> str:
    (found,) = [block.values[0] for block in blocks("python") if holding in block.values[0]]
    return str(found)


@pytest.mark.parametrize("kind", SHAPES)
def test_six_lines_constrain_a_plain_generate(kind: str) -> None:
    folder = resolve_path(f"demo:{kind}")
    torch.manual_seed(0)
    factory = AutoModelForCausalLM if kind == "llama" else AutoModelForSeq2SeqLM
    model = factory.from_config(AutoConfig.from_pretrained(folder, **SHAPES[kind])).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    values: dict[str, Any] = {
        "model": model,
        "tokenizer": tokenizer,
        "dialogue": DIALOGUE,
        "inputs": tokenizer(DIALOGUE, return_tensors="pt", return_token_type_ids=False),
    }
    code = snippet("constrained_head")
    assert len([line for line in code.split("\n\n", 1)[1].splitlines() if line.strip()]) == 6
    if kind == "bart":
        code = code.replace('inputs["input_ids"].shape[1]', "1")  # as its comment says
    exec(code, values)
    prompt_length = values["shape"].prompt_length
    text = tokenizer.decode(values["ids"][0, prompt_length:], skip_special_tokens=True)
    free = model.generate(**values["inputs"], max_new_tokens=48)[0, prompt_length:]
    rules = {"charset": Charset(), "literals": DEFAULT_LITERALS, "row_words": row_literals(DIALOGUE, Charset())}
    assert len(text) > 10
    assert not foreign_places(text, **rules)
    assert foreign_places(tokenizer.decode(free, skip_special_tokens=True), **rules)
