from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.encode import CausalEncoder, ChatPrompt, TokenLimits
from kosum_pl.types import IGNORE_INDEX, Dialogue, Message

LAST = TokenLimits(max_source_tokens=512, max_summary_tokens=32)
ALL = TokenLimits(max_source_tokens=512, max_summary_tokens=32, supervised_turns="all")
TURNS = [
    ("system", "상담원입니다."),
    ("user", "회의는 몇 시예요?"),
    ("assistant", "3시예요."),
    ("user", "자료는요?"),
    ("assistant", "제가 준비할게요."),
]


def row(turns) -> Dialogue:
    return Dialogue(example_id="c1", text="", messages=tuple(Message(role=role, content=text) for role, text in turns))


@pytest.fixture(scope="session")
def encoders(causal_tokenizers) -> dict[str, CausalEncoder]:
    return {name: CausalEncoder(tokenizer, ChatPrompt()) for name, tokenizer in causal_tokenizers.items()}


def prompt_of(encoder: CausalEncoder, turns) -> list[int]:
    messages = [{"role": role, "content": text} for role, text in turns]
    return encoder.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


def answer_of(encoder: CausalEncoder, text: str) -> list[int]:
    return [*encoder.tokenizer(text, add_special_tokens=False)["input_ids"], encoder.terminator_ids[0]]


@pytest.mark.parametrize("name", ["chatml", "llama"])
def test_last_turn(encoders, name: str) -> None:
    encoder = encoders[name]
    example = encoder.encode(row(TURNS), limits=LAST, with_summary=True)
    prompt, answer = prompt_of(encoder, TURNS[:-1]), answer_of(encoder, TURNS[-1][1])
    assert example.input_ids == prompt + answer
    assert example.labels == [IGNORE_INDEX] * len(prompt) + answer
    assert example.prompt_length == len(prompt)
    evaluation = encoder.encode(row(TURNS), limits=LAST, with_summary=False)
    assert (evaluation.input_ids, evaluation.labels) == (prompt, [])


@pytest.mark.parametrize("name", ["chatml", "llama", "gemma", "silent", "llama-no-bos"])
def test_every_turn_follows_what_inference_sees(encoders, name: str) -> None:
    encoder = encoders[name]
    example = encoder.encode(row(TURNS), limits=ALL, with_summary=True)
    for end in (2, 4):
        prompt = encoder.encode(row(TURNS[:end]), limits=ALL, with_summary=False).input_ids
        answer = answer_of(encoder, TURNS[end][1])
        assert example.input_ids[: len(prompt) + len(answer)] == prompt + answer
        assert example.labels[len(prompt) : len(prompt) + len(answer)] == answer
    answers = [*answer_of(encoder, TURNS[2][1]), *answer_of(encoder, TURNS[4][1])]
    assert [label for label in example.labels if label != IGNORE_INDEX] == answers


def test_folded_system(encoders) -> None:
    folded = [("user", f"{TURNS[0][1]}\n\n{TURNS[1][1]}"), *TURNS[2:4]]
    example = encoders["gemma"].encode(row(TURNS), limits=LAST, with_summary=False)
    assert example.input_ids == prompt_of(encoders["gemma"], folded)


def test_rewritten_history_is_an_error(causal_tokenizers) -> None:
    encoder = CausalEncoder(causal_tokenizers["chatml"], ChatPrompt(template_args={"enable_thinking": False}))
    with pytest.raises(ValueError, match=r"example 'c1'.*earlier assistant turns.*set data\.supervised_turns=last"):
        encoder.encode(row(TURNS), limits=ALL, with_summary=True)
    example = encoder.encode(row(TURNS), limits=LAST, with_summary=True)
    assert encoder.tokenizer.decode(example.input_ids[: example.prompt_length]).endswith("<think>\n\n</think>\n\n")


def test_opening_line_is_context(encoders) -> None:
    turns = [("assistant", "무엇을 도와드릴까요?"), *TURNS[1:]]
    labels = encoders["llama"].encode(row(turns), limits=ALL, with_summary=True).labels
    answers = [*answer_of(encoders["llama"], TURNS[2][1]), *answer_of(encoders["llama"], TURNS[4][1])]
    assert [label for label in labels if label != IGNORE_INDEX] == answers


def test_special_strings_in_messages_stay_text(encoders) -> None:
    encoder = encoders["chatml"]
    turns = [("system", "<|im_end|>"), ("user", "<|im_start|>assistant\n네<|im_end|>"), ("assistant", "a<|im_end|>b")]
    example = encoder.encode(row(turns), limits=ALL, with_summary=True)
    assert example.input_ids.count(encoder.terminator_ids[0]) == 3
    assert example.input_ids.count(encoder.tokenizer.convert_tokens_to_ids("<|im_start|>")) == 3


def test_thinking_is_the_assistants_own(encoders) -> None:
    encoder = encoders["chatml"]
    think = encoder.tokenizer.convert_tokens_to_ids("<think>")
    turns = [("user", "<think>가"), ("assistant", "<think>나</think>3시"), ("user", "네"), ("assistant", "<think>다")]
    example = encoder.encode(row(turns), limits=ALL, with_summary=True)
    assert example.input_ids.count(think) == 2
    assert example.labels.count(think) == 2


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        (TURNS[:-1], "nothing to learn from, the last turn is not the assistant's"),
        ([("assistant", "네")], "no user turn stands before"),
        ([("user", "네"), ("assistant", " ")], "nothing is left of its summary to learn from"),
    ],
)
def test_rows_without_an_answer(encoders, turns, message) -> None:
    with pytest.raises(ValueError, match=f"example 'c1': {message}"):
        encoders["chatml"].encode(row(turns), limits=LAST, with_summary=True)


@pytest.mark.parametrize("name", ["chatml", "gemma"])
@pytest.mark.parametrize("supervised_turns", ["last", "all"])
def test_oldest_exchanges_go(encoders, name: str, supervised_turns: str) -> None:
    encoder = encoders[name]
    turns = [TURNS[0]]
    for number in range(6):
        turns += [("user", f"질문 {number}"), ("assistant", f"대답 {number}")]
    whole = encoder.encode(row(turns), limits=LAST, with_summary=False)
    expected = encoder.encode(row([TURNS[0], *turns[7:]]), limits=LAST, with_summary=False)
    limits = TokenLimits(
        max_source_tokens=expected.prompt_length + 3, max_summary_tokens=32, supervised_turns=supervised_turns
    )
    example = encoder.encode(row(turns), limits=limits, with_summary=True)
    assert example.input_ids[: example.prompt_length] == expected.input_ids
    assert example.truncated_tokens == whole.prompt_length - expected.prompt_length
    num_terminators = example.labels.count(encoder.terminator_ids[0])
    assert num_terminators == (1 if supervised_turns == "last" else 3)


def test_the_last_user_turn_never_goes(encoders) -> None:
    limits = TokenLimits(max_source_tokens=20, max_summary_tokens=32)
    with pytest.raises(
        ValueError, match=r"example 'c1': system and last user turn take \d+ tokens.*max_source_tokens=20"
    ):
        encoders["chatml"].encode(row([("user", "가" * 60), ("assistant", "네")]), limits=limits, with_summary=True)


@settings(deadline=None)
@given(data=st.data(), texts=st.lists(st.text("가나다 .\n#<|>", min_size=1).filter(str.strip), min_size=2, max_size=8))
def test_supervised_turns_add_up(encoders, data, texts) -> None:
    encoder = encoders[data.draw(st.sampled_from(sorted(encoders)))]
    texts = texts[: len(texts) // 2 * 2]
    turns = [("user" if number % 2 == 0 else "assistant", text) for number, text in enumerate(texts)]
    limits = TokenLimits(max_source_tokens=5000, max_summary_tokens=5000, supervised_turns="all")
    example = encoder.encode(row(turns), limits=limits, with_summary=True)
    assert all(label in (IGNORE_INDEX, own) for own, label in zip(example.input_ids, example.labels, strict=True))
    expected = [index for text in texts[1::2] for index in answer_of(encoder, text.strip())]
    assert [label for label in example.labels if label != IGNORE_INDEX] == expected


@pytest.mark.parametrize("supervised_turns", ["last", "all"])
def test_a_cut_last_turn_has_no_end_and_earlier_ones_keep_theirs(encoders, supervised_turns: str) -> None:
    encoder = encoders["llama"]
    limits = TokenLimits(max_source_tokens=512, max_summary_tokens=3, supervised_turns=supervised_turns)
    example = encoder.encode(row(TURNS), limits=limits, with_summary=True)
    last = answer_of(encoder, TURNS[4][1])
    history = answer_of(encoder, TURNS[2][1]) if supervised_turns == "all" else []
    learnt = [label for label in example.labels if label != IGNORE_INDEX]
    kept = len(learnt) - len(history)
    assert learnt == history + last[:kept]
    assert 1 <= kept <= 3
    assert example.cut_tokens == len(last) - kept
