"""Whether a chat template writes what training needs: the prompt, then the summary, then its end.

In: an encoder. Out: findings. A template without an assistant turn renders a fine prompt and trains on nothing that
ends, and no error tells so.
"""

from __future__ import annotations

from typing import Final

from kosum_pl.commands.doctor.finding import Finding
from kosum_pl.encode import CausalEncoder, ChatRenderer, Encoder
from kosum_pl.types import Message

_AREA: Final = "template"
_DIALOGUE: Final = "#Person1#: 안녕하세요?"
_ANSWER: Final = "두 사람이 인사한다"


def template_findings(encoder: Encoder) -> list[Finding]:
    """What is wrong with the template of a causal model; nothing for an encoder-decoder, which has none.

    Args:
        encoder: Its prompt names the template.
    """
    if not isinstance(encoder, CausalEncoder):
        return []
    renderer = ChatRenderer(encoder.tokenizer, encoder.prompt)
    turns = renderer.dialogue_turns(_DIALOGUE)
    prompt = renderer.render(turns, is_open=True)
    whole = renderer.render([*turns, Message(role="assistant", content=_ANSWER)], is_open=False)
    name = renderer.source
    remedy = "write the turns with {% for message in messages %}…{{ message.content }}, the assistant's too"
    if _ANSWER not in whole:
        text = f"{name} lacks the summary turn: what the assistant says is not in the rendered chat"
        return [_broken(text, remedy)]
    if whole.count(_ANSWER) > 1:
        return [_broken(f"{name} writes the summary turn {whole.count(_ANSWER)} times", remedy)]
    findings = []
    behind = whole.partition(_ANSWER)[2].strip()
    terminator = encoder.tokenizer.convert_ids_to_tokens(encoder.terminator_ids[0])
    if not behind.startswith(terminator):
        text = f"{name} goes on with {behind[:20]!r} behind the summary, and training ends it with '{terminator}'"
        findings.append(_broken(text, "let the template close the assistant's turn with the terminator alone"))
    if prompt == renderer.render(turns, is_open=False):
        text = f"{name} has no generation prompt: the model must open its own turn before it can answer"
        remedy = "write the assistant's opening where add_generation_prompt is set"
        findings.append(Finding(area=_AREA, level="warning", text=text, remedy=remedy))
    if not renderer.has_system_role and encoder.prompt.system.strip():
        text = f"{name} takes no system turn; the instructions stand at the head of the user's"
        findings.append(Finding(area=_AREA, level="note", text=text))
    if not any(finding.level == "broken" for finding in findings):
        text = f"the summary follows the prompt, and '{terminator}' follows the summary"
        findings.insert(0, Finding(area=_AREA, level="ok", text=text))
    return findings


def _broken(text: str, remedy: str) -> Finding:
    return Finding(area=_AREA, level="broken", text=text, remedy=remedy)
