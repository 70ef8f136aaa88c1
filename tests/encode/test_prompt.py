from __future__ import annotations

import re
from collections import Counter

import pytest

from kosum_pl.encode import ChatPrompt, ChatRenderer
from kosum_pl.types import Message

PROMPT = ChatPrompt(system="요약합니다.", user="대화:\n{dialogue}\n끝 {x}")


def test_default_prompt_is_korean_and_positive() -> None:
    prompt = ChatPrompt()
    for text in (prompt.system, prompt.user):
        assert re.search("[가-힣]", text)
        assert not re.search("마세요|말고|마십시오|않|금지|안 됩니다|없이", text)
    assert prompt.user.count("{dialogue}") == 1


@pytest.mark.parametrize("user", ["요약하세요.", "{dialogue} {dialogue}", "{ dialogue }"])
def test_user_holds_one_dialogue(user: str) -> None:
    with pytest.raises(ValueError, match=r"model\.prompt\.user holds \{dialogue\} \d times; write it exactly once"):
        ChatPrompt(user=user)


def test_reserved_template_argument() -> None:
    with pytest.raises(ValueError, match="template_args sets add_generation_prompt"):
        ChatPrompt(template_args={"add_generation_prompt": False})


@pytest.mark.parametrize(
    ("prompt", "before", "behind"),
    [
        (
            PROMPT,
            "<|im_start|>system\n요약합니다.<|im_end|>\n<|im_start|>user\n대화:\n",
            "\n끝 {x}<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            ChatPrompt(system="", user="{dialogue}", template_args={"enable_thinking": False}),
            "<|im_start|>user\n",
            "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ),
    ],
)
def test_frame_of_chatml(tiny, prompt: ChatPrompt, before: str, behind: str) -> None:
    assert ChatRenderer(tiny.chatml(), prompt).frame() == (before, behind)


@pytest.mark.parametrize("refuses", [True, False])
def test_system_is_folded_where_there_is_no_system_role(tiny, refuses: bool) -> None:
    tokenizer = tiny.gemma() if refuses else tiny.chatml(tiny.template.replace("in messages", "in messages[1:]", 1))
    if not refuses:  # drops the first turn in silence when it is the system's
        tokenizer.chat_template = tiny.template.replace("in messages", "in messages if m['role'] != 'system'", 1)
    renderer = ChatRenderer(tokenizer, PROMPT)
    assert not renderer.has_system_role
    before, _ = renderer.frame()
    start = "<bos><start_of_turn>user\n" if refuses else "<|im_start|>user\n"
    assert before == f"{start}요약합니다.\n\n대화:\n"


def test_closing_is_what_follows_every_answer(tiny) -> None:
    assert ChatRenderer(tiny.chatml(), PROMPT).closing() == "<|im_end|>"
    assert ChatRenderer(tiny.gemma(), PROMPT).closing() == "<end_of_turn>"
    assert ChatRenderer(tiny.llama(), PROMPT).closing() == "<|eot_id|>"


def test_no_template(tiny) -> None:
    tokenizer = tiny.chatml(None)
    tokenizer.name_or_path = "owner/base"
    with pytest.raises(ValueError, match=r"'owner/base' has no chat template; set model\.prompt\.template_file"):
        ChatRenderer(tokenizer, PROMPT)


def test_template_file(tiny, tmp_path) -> None:
    path = tmp_path / "chatml.jinja"
    path.write_text(tiny.template, encoding="utf-8")
    tokenizer = tiny.chatml(None)
    prompt = ChatPrompt(system="요약합니다.", user="대화:\n{dialogue}\n끝 {x}", template_file=str(path))
    assert ChatRenderer(tokenizer, prompt).frame() == ChatRenderer(tiny.chatml(), PROMPT).frame()
    assert tokenizer.chat_template is None
    with pytest.raises(ValueError, match=r"template_file '.*none\.jinja' cannot be read"):
        ChatRenderer(tokenizer, ChatPrompt(template_file=str(tmp_path / "none.jinja")))
    path.write_text("{% for m in messages %}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^model\.prompt\.template_file '.*chatml\.jinja' refuses the turns user: "):
        ChatRenderer(tiny.chatml(), prompt).frame()


def test_template_that_changes_the_text(tiny) -> None:
    for broken in ("m['content'] | upper", "m['content'] | e", "m['content'] + m['content']", "'x'"):
        tokenizer = tiny.chatml(tiny.template.replace("m['content']", broken))
        with pytest.raises(ValueError, match="changes or repeats the user's text"):
            ChatRenderer(tokenizer, PROMPT).frame()


def test_a_prompt_does_not_depend_on_the_day(tiny) -> None:
    template = "{%- if not date is defined %}{%- set date = strftime_now('%d %b %Y') %}{%- endif %}오늘: {{ date }}\n"
    tokenizer = tiny.chatml(template + tiny.template)
    assert ChatRenderer(tokenizer, PROMPT).frame()[0].startswith("오늘: 26 Jul 2024\n<|im_start|>")
    dated = ChatPrompt(template_args={"date": "1 Jan 2026"})
    assert ChatRenderer(tokenizer, dated).frame()[0].startswith("오늘: 1 Jan 2026\n")


def test_refused_chat_is_one_line(tiny) -> None:
    renderer = ChatRenderer(tiny.gemma(), PROMPT)
    renderer.has_system_role = True
    with pytest.raises(ValueError, match="refuses the turns system, user: System role not supported; mend") as caught:
        renderer.render([Message(role="system", content="가"), Message(role="user", content="나")], is_open=True)
    assert Counter(str(caught.value))["\n"] == 0
