"""What a server of an exported folder needs beside weights: a template, a way of decoding, and something to check by.

In: a module. Out: the tokenizer with the one template that the encoder renders, a generation config of the preset,
golden prompts (three made-up dialogues with their ids), and a request's `structured_outputs` for vLLM.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kosum_pl.decode import ConstraintSettings
from kosum_pl.encode import ChatPrompt, ChatRenderer, TokenLimits
from kosum_pl.errors import UsageError
from kosum_pl.modules import SummarizationModule
from kosum_pl.types import UNLIMITED, Dialogue

GOLDEN_FILE: Final = "golden_prompts.json"
STRUCTURED_FILE: Final = "structured_outputs.json"
GOLDEN_DIALOGUES: Final = (
    "#Person1#: 안녕하세요? 내일 회의가 몇 시예요?\n#Person2#: 오후 3시예요.",
    "#Person1#: KTX 표를 두 장 사려고요.\n#Person2#: 119,600원입니다. #PhoneNumber#로 문자를 보내 드릴게요.",
    "민수: 오늘 저녁에 뭐 먹을까? ㅋㅋ\nJimmy: café 옆 국숫집은 어때?\n민수: 좋아, 7시에 보자!",
)
_PROMPT_ONLY: Final = TokenLimits(max_source_tokens=UNLIMITED, max_summary_tokens=2)


def save_tokenizer(module: SummarizationModule, folder: Path) -> None:
    """Write the tokenizer, with the template that prompts are rendered by and its arguments as defaults."""
    tokenizer = module.encoder.tokenizer
    if module.is_causal:
        prompt = module.encoder.prompt
        assert isinstance(prompt, ChatPrompt)
        tokenizer.chat_template = with_arguments(_renderer(module).template, prompt.template_args)
    tokenizer.save_pretrained(folder)


def with_arguments(template: str, arguments: Mapping[str, Any]) -> str:
    """A Jinja chat template that knows `model.prompt.template_args`: readers of the folder need not know them.

    What a reader gives itself still wins.

    Example:
        >>> with_arguments("{{ mood }}", {"mood": False})
        '{% set mood = mood if mood is defined and mood is not none else False %}{{ mood }}'
    """
    sets = [f"{{% set {name} = {_given(name)} else {value!r} %}}" for name, value in arguments.items()]
    return "".join([*sets, template])


def golden_prompts(module: SummarizationModule) -> list[dict[str, Any]]:
    """Dialogues with the ids that the encoder makes of them, and the chat that a server is to be sent."""
    return [
        {
            "dialogue": text,
            **({"messages": _messages(module, text)} if module.is_causal else {}),
            "prompt_ids": list(_prompt_ids(module, text)),
        }
        for text in GOLDEN_DIALOGUES
    ]


def write_golden_prompts(module: SummarizationModule, folder: Path) -> None:
    """Write the golden prompts."""
    text = json.dumps(golden_prompts(module), ensure_ascii=False, indent=1)
    (folder / GOLDEN_FILE).write_text(text + "\n", encoding="utf-8")


def check_golden_prompts(module: SummarizationModule, folder: Path) -> None:
    """Refuse a folder whose tokenizer renders other prompts than the model was trained on.

    Raises:
        ValueError: A prompt's ids differ; the message names the dialogue.
    """
    path = folder / GOLDEN_FILE
    try:
        prompts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); export again") from error
    for number, prompt in enumerate(prompts, start=1):
        if list(_prompt_ids(module, prompt["dialogue"])) != prompt["prompt_ids"]:
            raise UsageError(
                f"{path}: the prompt of dialogue {number} has other ids than at export; the tokenizer, its chat "
                "template or the prompt in kosum.json was changed: export again"
            )


def structured_outputs(settings: ConstraintSettings) -> dict[str, Any]:
    """What a request to vLLM carries so that its answer keeps to the charset; row literals are a request's own.

    Example:
        >>> structured_outputs(ConstraintSettings(charset="latin", literals=("#Person1#",)))
        {'structured_outputs': {'regex': '(?:[ A-Za-z]|#Person1#)+'}}
    """
    spans = "".join(_span(first, last) for first, last in settings.character_set.spans)
    literals = sorted(settings.fixed_literals, key=len, reverse=True)
    return {"structured_outputs": {"regex": f"(?:{'|'.join([f'[{spans}]', *map(_quoted, literals)])})+"}}


def _given(name: str) -> str:
    """`tools` and `documents` are always handed to a template, as none."""
    return f"{name} if {name} is defined and {name} is not none"


def _span(first: int, last: int) -> str:
    ends = [_quoted(chr(first)), _quoted(chr(last))]
    return ends[0] if first == last else ends[0] + ends[1] if last == first + 1 else "-".join(ends)


def _quoted(text: str) -> str:
    """A text for any dialect of regular expressions, in a class or out of one: marks alone are escaped."""
    return re.sub(r"([\\\[\](){}.*+?^$|/&~\-])", r"\\\1", text).replace("\n", r"\n")


def _renderer(module: SummarizationModule) -> ChatRenderer:
    prompt = module.encoder.prompt
    assert isinstance(prompt, ChatPrompt)
    return ChatRenderer(module.encoder.tokenizer, prompt)


def _messages(module: SummarizationModule, text: str) -> list[dict[str, str]]:
    """The chat, the system's text at the head of the user's where the template takes no system turn."""
    renderer = _renderer(module)
    turns = renderer.dialogue_turns(text)
    if len(turns) > 1 and not renderer.has_system_role:
        return [{"role": "user", "content": "\n\n".join(turn.content for turn in turns)}]
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _prompt_ids(module: SummarizationModule, text: str) -> list[int]:
    row = Dialogue(example_id="golden", text=text)
    return list(module.encoder.encode(row, limits=_PROMPT_ONLY, with_summary=False).input_ids)
