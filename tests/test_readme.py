"""README's code runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from kosum_pl.decode import DEFAULT_LITERALS, Charset, foreign_places, row_literals
from kosum_pl.lookup import resolve_path

DIALOGUE = "#Person1#: KTX 타고 Jimmy 만나러 가자.\n#Person2#: 그래."
SHAPES = {
    "llama": {"initializer_range": 0.5, "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 48},
    "bart": {"init_std": 0.8, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1},
}


def snippet(repository: Path, holding: str) -> str:
    blocks = re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if holding in block]
    return found


@pytest.mark.parametrize("kind", SHAPES)
def test_six_lines_constrain_a_plain_generate(kind: str, repository: Path) -> None:
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
    code = snippet(repository, "constrained_head")
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
