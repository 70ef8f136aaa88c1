from __future__ import annotations

from pathlib import Path

import pytest

from kosum_pl.commands.doctor.template import template_findings
from kosum_pl.encode import CausalEncoder, ChatPrompt, Seq2SeqEncoder, SourcePrompt, load_tokenizer

TURN = "<|{{ m.role }}|>{{ m.content }}<|end|>"
OPEN = "{% if add_generation_prompt %}<|assistant|>{% endif %}"


def findings(tmp_path: Path, template: str) -> list[tuple[str, str]]:
    path = tmp_path / "mine.jinja"
    path.write_text(template, encoding="utf-8")
    prompt = ChatPrompt(user="{dialogue}", template_file=str(path))
    encoder = CausalEncoder(load_tokenizer("demo:llama")[0], prompt)
    return [(f.level, f.text.partition("' ")[2] or f.text) for f in template_findings(encoder)]


def test_a_sound_template(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, f"{{% for m in messages %}}{TURN}{{% endfor %}}{OPEN}")
    assert found[0] == "ok"


@pytest.mark.parametrize(
    ("template", "level", "start"),
    [
        (
            f"{{% for m in messages if m.role != 'assistant' %}}{TURN}{{% endfor %}}{OPEN}",
            "broken",
            "lacks the summary turn",
        ),
        (
            "{% for m in messages %}"
            + TURN
            + "{% if m.role == 'assistant' %}"
            + TURN
            + "{% endif %}{% endfor %}"
            + OPEN,
            "broken",
            "writes the summary turn 2 times",
        ),
        (f"{{% for m in messages %}}{TURN}{{% endfor %}}", "warning", "has no generation prompt"),
        (
            f"{{% for m in messages if m.role != 'system' %}}{TURN}{{% endfor %}}{OPEN}",
            "note",
            "takes no system turn",
        ),
    ],
)
def test_faults(tmp_path: Path, template: str, level: str, start: str) -> None:
    found = findings(tmp_path, template)
    assert any(each_level == level and text.startswith(start) for each_level, text in found), found


def test_an_encoder_decoder_has_no_template() -> None:
    assert template_findings(Seq2SeqEncoder(load_tokenizer("demo:bart")[0], SourcePrompt())) == []
