from __future__ import annotations

from pathlib import Path

import pytest

from kosum_pl.commands.doctor.template import template_findings
from kosum_pl.encode import CausalEncoder, ChatPrompt, Seq2SeqEncoder, SourcePrompt, load_tokenizer
from tests.commands.doctor.levels import pairs

TURN = "<|{{ m.role }}|>{{ m.content }}<|end|>"
TURNS = f"{{% for m in messages %}}{TURN}{{% endfor %}}"
OPEN = "{% if add_generation_prompt %}<|assistant|>{% endif %}"


def findings(tmp_path: Path, template: str) -> list[tuple[str, str]]:
    path = tmp_path / "mine.jinja"
    path.write_text(template, encoding="utf-8")
    prompt = ChatPrompt(user="{dialogue}", template_file=str(path))
    encoder = CausalEncoder(load_tokenizer("demo:llama")[0], prompt)
    return [
        (level, text.replace(f"model.prompt.template_file '{path}' ", ""))
        for level, text in pairs(template_findings(encoder))
    ]


@pytest.mark.parametrize(
    ("template", "level", "start"),
    [
        (TURNS + OPEN, "ok", "the summary follows the prompt"),
        (TURNS.replace("messages", "messages if m.role != 'assistant'") + OPEN, "broken", "lacks the summary turn"),
        (
            TURNS.replace(TURN, f"{TURN}{{% if m.role == 'assistant' %}}{TURN}{{% endif %}}") + OPEN,
            "broken",
            "writes the summary turn 2 times",
        ),
        (TURNS, "warning", "has no generation prompt"),
        (TURNS.replace("messages", "messages if m.role != 'system'") + OPEN, "note", "takes no system turn"),
    ],
)
def test_what_a_template_writes(tmp_path: Path, template: str, level: str, start: str) -> None:
    found = findings(tmp_path, template)
    assert any(each_level == level and text.startswith(start) for each_level, text in found), found


def test_an_encoder_decoder_has_no_template() -> None:
    assert list(template_findings(Seq2SeqEncoder(load_tokenizer("demo:bart")[0], SourcePrompt()))) == []
