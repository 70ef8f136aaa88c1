"""Chats as ids: the prompt around a dialogue, and rows that are chats themselves.

In: a dialogue's text or a row's messages. Out: prompt ids, and for a chat row the labels of its earlier turns. Every
assistant turn that is learnt follows the very ids that inference would see before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kosum_pl.encode.limits import TokenLimits
from kosum_pl.encode.prompt import ChatPrompt, ChatRenderer
from kosum_pl.encode.text import TextTokenizer
from kosum_pl.types import IGNORE_INDEX, Dialogue, Message


class ChatTokenizer:
    """A template and a tokenizer together."""

    def __init__(self, tokenizer: Any, prompt: ChatPrompt) -> None:
        self.renderer = ChatRenderer(tokenizer, prompt)
        self.text = TextTokenizer(tokenizer, template=self.renderer.template)
        # Rendering once is enough: the template hands the user's text through as it is (`frame` has checked it).
        self.frame = self.renderer.frame()
        self._bos_id: int | None = tokenizer.bos_token_id
        self.terminator_id = self._find_terminator()

    def dialogue_ids(self, dialogue: str) -> list[int]:
        """Prompt ids (P,) that ask for the summary of a dialogue."""
        return self._with_bos(self.text.ids(self.frame[0] + self.text.mark(dialogue) + self.frame[1]))

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Prompt ids (P,) of a chat whose next turn is the assistant's."""
        marked = [Message(role=turn.role, content=self._marked(turn)) for turn in messages]
        return self._with_bos(self.text.ids(self.renderer.render(marked, is_open=True)))

    def answer_ids(self, turn: Message) -> list[int]:
        """Ids (U,) of an assistant's earlier turn, the terminator last."""
        return [*self.text.ids(self._marked(turn)), self.terminator_id]

    def _marked(self, turn: Message) -> str:
        return self.text.mark(turn.content.strip(), is_answer=turn.role == "assistant")

    def _with_bos(self, ids: list[int]) -> list[int]:
        """The ids with what the tokenizer puts in front of a text, unless the template wrote it: at most one BOS."""
        leading = self.text.leading_ids
        if leading and ids[: len(leading)] != leading:
            ids = leading + ids
        while self._bos_id is not None and ids[:2] == [self._bos_id, self._bos_id]:
            ids = ids[1:]
        return ids

    def _find_terminator(self) -> int:
        """The token that ends an assistant turn: what the template writes after any content."""
        closing = self.renderer.closing()
        ids = self.text.ids(closing)
        if not ids or ids[0] not in self.text.added_ids:
            problem = (
                f"ends an assistant turn with {closing!r}, no special token of the tokenizer's vocabulary"
                if self.renderer.writes_answers()
                else "lacks the assistant's turn, with the summary and its end"
            )
            raise ValueError(
                f"{self.renderer.source} {problem}, so that no model learns to stop; {self.renderer.remedy}"
            )
        return ids[0]


def encode_history(
    chat: ChatTokenizer, dialogue: Dialogue, *, limits: TokenLimits, with_summary: bool
) -> tuple[list[int], list[int], int]:
    """The prompt of a row in chat format: all turns but the last, where that is the assistant's.

    Where the prompt is too long, its oldest exchanges go, never the system turn nor the last user turn.

    Returns:
        Prompt ids (P,), their labels (P,), and how many tokens were dropped.

    Raises:
        ValueError: There is nothing to learn from, nothing to answer, or no room.
    """
    has_answer = dialogue.messages[-1].role == "assistant"
    history = dialogue.messages[:-1] if has_answer else dialogue.messages
    if not any(turn.role == "user" for turn in history):
        raise ValueError(f"example '{dialogue.example_id}': no user turn stands before the assistant's; mend the row")
    if with_summary and not has_answer:
        raise ValueError(
            f"example '{dialogue.example_id}': nothing to learn from, the last turn is not the assistant's; mend it"
        )
    turns, prompt, truncated = _fit_history(chat, history, limits, dialogue.example_id)
    if with_summary and limits.supervised_turns == "all":
        return prompt, _history_labels(chat, turns, prompt, dialogue.example_id), truncated
    return prompt, [IGNORE_INDEX] * len(prompt), truncated


def _fit_history(
    chat: ChatTokenizer, history: Sequence[Message], limits: TokenLimits, example_id: str
) -> tuple[list[Message], list[int], int]:
    """The turns that stay, their prompt ids (P,), and how many tokens were dropped."""
    turns = list(history)
    whole = prompt = chat.prompt_ids(turns)
    while len(prompt) > limits.max_source_tokens:
        users = [index for index, turn in enumerate(turns) if turn.role == "user"]
        if len(users) < 2:
            raise ValueError(
                f"example '{example_id}': system and last user turn take {len(prompt)} tokens, more than "
                f"data.max_source_tokens={limits.max_source_tokens}; raise it, shorten the row, or leave such rows out "
                "of train (data.on_long_dialogue=drop)"
            )
        # Everything between the system turn and the second user turn: the oldest exchange.
        turns = [turn for turn in turns[: users[1]] if turn.role == "system"] + turns[users[1] :]
        prompt = chat.prompt_ids(turns)
    return turns, prompt, len(whole) - len(prompt)


def _history_labels(chat: ChatTokenizer, turns: Sequence[Message], prompt: list[int], example_id: str) -> list[int]:
    """Labels (P,) of a prompt, with the assistant's earlier turns and their terminators supervised."""
    labels = [IGNORE_INDEX] * len(prompt)
    first_user = next(index for index, turn in enumerate(turns) if turn.role == "user")
    for index, turn in enumerate(turns):
        if turn.role != "assistant" or index < first_user:
            continue  # an opening line that answers nobody is context
        before = chat.prompt_ids(turns[:index])
        answer = chat.answer_ids(turn)
        end = len(before) + len(answer)
        if prompt[:end] != before + answer:
            raise ValueError(
                f"example '{example_id}': {chat.renderer.source} writes earlier assistant turns otherwise than it "
                "prompts for them; set data.supervised_turns=last"
            )
        labels[len(before) : end] = answer
    return labels
