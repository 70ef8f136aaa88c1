"""Whether a chat template writes what training needs: the prompt, then the summary, then its end.

In: an encoder. Out: findings. A template without an assistant turn renders a fine prompt and trains on nothing that
ends, and no error shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kosum_pl.commands.doctor.finding import Finding, broken, note, ok, warning
from kosum_pl.encode import CausalEncoder, ChatRenderer, Encoder
from kosum_pl.types import Message

_DIALOGUE: Final = "#Person1#: 안녕하세요?"
_ANSWER: Final = "두 사람이 인사한다"
_WRITE_TURNS: Final = "write the turns with {% for message in messages %}…{{ message.content }}, the assistant's too"


def template_findings(encoder: Encoder) -> Iterator[Finding]:
    """What is wrong with the template of a causal model; nothing for an encoder-decoder, which has none."""
    if not isinstance(encoder, CausalEncoder):
        return
    renderer = ChatRenderer(encoder.tokenizer, encoder.prompt)
    turns, name = renderer.dialogue_turns(_DIALOGUE), renderer.source
    whole = renderer.render([*turns, Message(role="assistant", content=_ANSWER)], is_open=False)
    num_answers = whole.count(_ANSWER)
    if not num_answers:
        yield broken(
            f"{name} lacks the summary turn: what the assistant says is not in the rendered chat", _WRITE_TURNS
        )
        return
    if num_answers > 1:
        yield broken(f"{name} writes the summary turn {num_answers} times", _WRITE_TURNS)
        return
    behind = whole.partition(_ANSWER)[2].strip()
    terminator = encoder.tokenizer.convert_ids_to_tokens(encoder.terminator_ids[0])
    if behind.startswith(terminator):
        yield ok(f"the summary follows the prompt, and '{terminator}' follows the summary")
    else:
        text = f"{name} goes on with {behind[:20]!r} behind the summary, and training ends it with '{terminator}'"
        yield broken(text, "let the template close the assistant's turn with the terminator alone")
    if renderer.render(turns, is_open=True) == renderer.render(turns, is_open=False):
        text = f"{name} has no generation prompt: the model must open its own turn before it can answer"
        yield warning(text, "write the assistant's opening where add_generation_prompt is set")
    if not renderer.has_system_role and encoder.prompt.system.strip():
        yield note(f"{name} takes no system turn; the instructions stand at the head of the user's")
