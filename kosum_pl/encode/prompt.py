"""What stands around a dialogue, and the one renderer of chats.

In: prompt texts from the config and a tokenizer's chat template. Out: rendered text; `kosum_pl.encode.text` makes it
ids. The template is rendered here alone, for training and inference alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from kosum_pl.encode.render_limits import TookTooLongError, memory_limit, time_limit
from kosum_pl.errors import one_line
from kosum_pl.lookup import resolve_path
from kosum_pl.types import Message

DIALOGUE_FIELD: Final = "{dialogue}"
MAX_RENDER_SECONDS: Final = 10.0
MAX_RENDER_BYTES: Final = 1 << 30
_FILE_OPTION: Final = "model.prompt.template_file"

_DEFAULT_SYSTEM: Final = (
    "당신은 한국어 대화를 요약하는 전문가입니다. 누가 무엇을 왜 하는지 핵심만 간결한 한국어 문장으로 정리하고, "
    "이름, 시간, 금액은 대화에 적힌 그대로 옮깁니다."
)
_DEFAULT_USER: Final = (
    "다음 대화를 한두 문장으로 요약해 주세요. #Person1# 같은 표시는 그대로 씁니다.\n\n대화:\n{dialogue}"
)
_RENDER_ARGUMENTS: Final = frozenset(
    {"conversation", "messages", "chat_template", "add_generation_prompt", "continue_final_message", "tokenize"}
)

# Some templates write today's date (Llama 3.2). A prompt must be the same on the day of training and on the day of
# use, so a fixed one takes its place: the one Llama's own templates fall back to.
_FIXED_DATE: Final = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"
_PROBES: Final = ("#Person1#: 안녕하세요?\n#Person2#: 네, 반갑습니다.", "A: hello 1 <b>'&'</b> {{ x }}")
_ANSWERS: Final = ("가나다", "one two")


@dataclass(frozen=True, kw_only=True)
class ChatPrompt:
    """Instructions of a causal model, rendered by its chat template.

    Attributes:
        system: System turn; folded into the user turn where the template takes none. Empty: no system turn.
        user: User turn with exactly one `{dialogue}`; other braces stand for themselves.
        template_file: File with a chat template, for a tokenizer that has none (or instead of its own).
        template_args: Arguments of the template, such as `enable_thinking: false`.

    Raises:
        ValueError: `user` has no `{dialogue}` or several; a template argument that the encoder sets itself.

    Example:
        >>> ChatPrompt(user="요약: {dialogue}").user.count("{dialogue}")
        1
    """

    system: str = _DEFAULT_SYSTEM
    user: str = _DEFAULT_USER
    template_file: str | None = None
    template_args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = self.user.count(DIALOGUE_FIELD)
        if count != 1:
            raise ValueError(f"model.prompt.user holds {DIALOGUE_FIELD} {count} times; write it exactly once")
        reserved = sorted(_RENDER_ARGUMENTS & set(self.template_args))
        if reserved:
            raise ValueError(f"model.prompt.template_args sets {', '.join(reserved)}, as the encoder does; remove it")

    @property
    def files(self) -> tuple[Path, ...]:
        """What the prompt is read from beside the config."""
        return () if self.template_file is None else (Path(resolve_path(self.template_file)),)


@dataclass(frozen=True, kw_only=True)
class SourcePrompt:
    """What stands around the dialogue in an encoder-decoder's source.

    Attributes:
        prefix: Text in front, such as `summarize: `.
        suffix: Text behind.
        add_bos: Whether the source begins with BOS; None: as the tokenizer does by itself.
        add_eos: Whether the source ends with EOS; None: as the tokenizer does by itself.

    Example:
        >>> SourcePrompt(prefix="요약: ").add_eos is None
        True
    """

    prefix: str = ""
    suffix: str = ""
    add_bos: bool | None = None
    add_eos: bool | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """None: all of it stands in the config."""
        return ()


_MISTAKES: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a template may raise beside Jinja's own errors."""


class _RefusalError(Exception):
    """A template does not render a chat."""


class ChatRenderer:
    """Renders chats by one template, a file's or the tokenizer's own.

    Raises:
        ValueError: There is no template, it refuses a user turn, or it changes the user's text.
    """

    def __init__(self, tokenizer: Any, prompt: ChatPrompt) -> None:
        self._tokenizer = tokenizer
        self._prompt = prompt
        self.name = tokenizer.name_or_path or type(tokenizer).__name__
        template = _find_template(tokenizer, prompt, self.name)
        self.template = _FIXED_DATE + template if "strftime_now" in template else template
        self.has_system_role = self._takes_system()

    @property
    def source(self) -> str:
        """Where the template comes from, as messages name it."""
        file = self._prompt.template_file
        return f"the chat template of tokenizer '{self.name}'" if file is None else f"{_FILE_OPTION} '{file}'"

    @property
    def remedy(self) -> str:
        """What to do about a template that does not serve."""
        return f"set {_FILE_OPTION}" if self._prompt.template_file is None else "mend that template"

    def render(self, messages: Sequence[Message], *, is_open: bool) -> str:
        """Text of a chat; where it `is_open`, the assistant's next turn is opened at the end (a prompt).

        Raises:
            ValueError: The template refuses the chat.
        """
        turns = list(messages) if self.has_system_role else _fold_system(messages)
        try:
            return self._apply(turns, is_open)
        except _RefusalError as error:
            roles = ", ".join(message.role for message in turns)
            raise ValueError(
                f"{self.source} refuses the turns {roles}: {error}; mend the row or {self.remedy}"
            ) from error

    def frame(self) -> tuple[str, str]:
        """Text in front of the dialogue, and text behind it up to where the summary begins."""
        frames = {tuple(self.render(self.dialogue_turns(probe), is_open=True).split(probe)) for probe in _PROBES}
        parts = frames.pop()
        if frames or len(parts) != 2:
            raise ValueError(
                f"{self.source} changes or repeats the user's text; {self.remedy}: it must write it once, as it is"
            )
        return parts[0], parts[1]

    def closing(self) -> str:
        """What the template writes after every assistant turn: the terminator and what follows it, stripped."""
        chats = self._answered()
        pairs = zip(reversed(chats[0]), reversed(chats[1]), strict=False)
        length = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        return chats[0][len(chats[0]) - length :].strip()

    def writes_answers(self) -> bool:
        """Whether what the assistant says stands in the rendered chat."""
        return all(answer in chat for answer, chat in zip(_ANSWERS, self._answered(), strict=True))

    def _answered(self) -> list[str]:
        turns = self.dialogue_turns(_PROBES[0])
        answers = (Message(role="assistant", content=answer) for answer in _ANSWERS)
        return [self.render([*turns, answer], is_open=False) for answer in answers]

    def dialogue_turns(self, dialogue: str) -> list[Message]:
        """The turns that ask for a summary of a dialogue."""
        # `replace`, because a dialogue or an instruction may hold braces of its own.
        user = Message(role="user", content=self._prompt.user.replace(DIALOGUE_FIELD, dialogue))
        if not self._prompt.system.strip():
            return [user]
        return [Message(role="system", content=self._prompt.system), user]

    def _apply(self, messages: Sequence[Message], is_open: bool) -> str:
        from jinja2 import TemplateError  # comes with transformers' templates; light configs do without

        try:
            with time_limit(MAX_RENDER_SECONDS), memory_limit(MAX_RENDER_BYTES):
                text: str = self._tokenizer.apply_chat_template(
                    [asdict(message) for message in messages],
                    chat_template=self.template,
                    tokenize=False,
                    add_generation_prompt=is_open,
                    **self._prompt.template_args,
                )
        except TookTooLongError:
            raise ValueError(
                f"{self.source} takes more than {MAX_RENDER_SECONDS:g} seconds for one chat; {self.remedy}"
            ) from None
        except MemoryError:
            raise ValueError(
                f"{self.source} takes more than {MAX_RENDER_BYTES >> 30} GiB of memory for one chat; {self.remedy}"
            ) from None
        # Whatever a template does wrong: a name that is none, a division by zero, a range that the sandbox bounds.
        except (TemplateError, *_MISTAKES) as error:
            raise _RefusalError(one_line(str(error)) or type(error).__name__) from error
        return text

    def _takes_system(self) -> bool:
        """Whether a system turn is rendered; Gemma's template raises on one, others drop it in silence."""
        system = "대화를 요약합니다"
        chat = [Message(role="system", content=system), Message(role="user", content=_PROBES[0])]
        try:
            return system in self._apply(chat, is_open=True)
        except _RefusalError:
            return False


def _find_template(tokenizer: Any, prompt: ChatPrompt, name: str) -> str:
    if prompt.template_file is not None:
        try:
            return prompt.files[0].read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{_FILE_OPTION} '{prompt.template_file}' cannot be read: {error}; give a UTF-8 text file"
            ) from error
    templates = tokenizer.chat_template
    if isinstance(templates, Mapping):
        templates = templates.get("default")
    if not templates:
        raise ValueError(f"tokenizer '{name}' has no chat template; set {_FILE_OPTION} to a file with one (Jinja)")
    return str(templates)


def _fold_system(messages: Sequence[Message]) -> list[Message]:
    """The chat with each system text at the head of the user turn that follows it."""
    folded: list[Message] = []
    waiting: list[str] = []
    for message in messages:
        if message.role == "system":
            waiting.append(message.content)
        elif message.role == "user" and waiting:
            folded.append(Message(role="user", content="\n\n".join([*waiting, message.content])))
            waiting = []
        else:
            folded.append(message)
    return folded
