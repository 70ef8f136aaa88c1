from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.encode import CausalEncoder, ChatPrompt, Encoder, Seq2SeqEncoder, SourcePrompt, TokenLimits
from kosum_pl.types import IGNORE_INDEX, Dialogue

LIMITS = TokenLimits(max_source_tokens=512, max_summary_tokens=64)
PROMPT = ChatPrompt(system="대화를 요약합니다.", user="대화:\n{dialogue}")
ROW = Dialogue(
    example_id="dev_0",
    text="#Person1#: 회의는 몇 시예요?\n#Person2#: 오후 3시예요.",
    references=("#Person2#는 회의가 3시라고 말한다.", "다른 요약"),
)
SPECIAL = ["<|im_end|>", "<|eot_id|>", "</s>", "<end_of_turn>", "<bos>", "<|begin|>", "<think>"]


@pytest.fixture(scope="session")
def causal(causal_tokenizers) -> dict[str, CausalEncoder]:
    return {name: CausalEncoder(tokenizer, PROMPT) for name, tokenizer in causal_tokenizers.items()}


@pytest.fixture(scope="session")
def seq2seq(seq2seq_tokenizers) -> dict[str, Seq2SeqEncoder]:
    return {name: Seq2SeqEncoder(tokenizer, SourcePrompt()) for name, tokenizer in seq2seq_tokenizers.items()}


def whole_prompt(tokenizer, messages) -> list[int]:
    """The prompt as transformers makes it."""
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


def token_id(tokenizer, token: str) -> int:
    return tokenizer.convert_tokens_to_ids(token)


@pytest.mark.parametrize("name", ["chatml", "llama"])
def test_causal_example_is_prompt_summary_terminator(causal, name: str) -> None:
    encoder = causal[name]
    tokenizer = encoder.tokenizer
    example = encoder.encode(ROW, limits=LIMITS, with_summary=True)
    turns = [{"role": "system", "content": PROMPT.system}, {"role": "user", "content": f"대화:\n{ROW.text}"}]
    prompt = whole_prompt(tokenizer, turns)
    summary = tokenizer(ROW.references[0], add_special_tokens=False)["input_ids"]
    assert example.prompt_length == len(prompt)
    # Llama pads with it, and it is learnt all the same.
    assert example.input_ids == [*prompt, *summary, tokenizer.eos_token_id]
    assert example.labels == [IGNORE_INDEX] * len(prompt) + [*summary, tokenizer.eos_token_id]
    assert (example.truncated_tokens, example.cut_tokens) == (0, 0)


def test_system_is_part_of_the_user_turn_for_gemma(causal) -> None:
    encoder = causal["gemma"]
    example = encoder.encode(ROW, limits=LIMITS, with_summary=False)
    turns = [{"role": "user", "content": f"{PROMPT.system}\n\n대화:\n{ROW.text}"}]
    assert example.input_ids == whole_prompt(encoder.tokenizer, turns)
    assert example.labels == []


@pytest.mark.parametrize("name", ["llama", "llama-no-bos", "llama-two-bos", "gemma"])
def test_exactly_one_bos(causal, tiny, name: str) -> None:
    if name == "llama-two-bos":
        encoder = CausalEncoder(tiny.llama("{{ bos_token }}" + tiny.llama_template), PROMPT)
    else:
        encoder = causal[name]
    bos = encoder.tokenizer.bos_token_id
    for row in (ROW, Dialogue(example_id="b", text="<|begin|><bos> 안녕", references=("<bos>가",))):
        ids = encoder.encode(row, limits=LIMITS, with_summary=True).input_ids
        assert ids[0] == bos
        assert ids.count(bos) == 1


def test_what_the_tokenizer_puts_in_front_stands_once(tiny) -> None:
    tokenizer = tiny.around(tiny.llama(), "<|begin|> <|start|> $A")  # both of which the template writes
    ids = CausalEncoder(tokenizer, PROMPT).encode(ROW, limits=LIMITS, with_summary=False).input_ids
    start = token_id(tokenizer, "<|start|>")
    assert ids[:2] == [tokenizer.bos_token_id, start]
    assert ids.count(start) == 3


def test_terminator_ids(causal) -> None:
    for name, tokens in (("chatml", ["<|im_end|>"]), ("llama", ["<|eot_id|>"]), ("gemma", ["<end_of_turn>", "<eos>"])):
        tokenizer = causal[name].tokenizer
        assert causal[name].terminator_ids == tuple(token_id(tokenizer, token) for token in tokens)


def test_no_terminator(tiny) -> None:
    tokenizer = tiny.chatml(tiny.template_without_terminator)
    with pytest.raises(ValueError, match=r"ends an assistant turn with '', no special token.*template_file"):
        CausalEncoder(tokenizer, PROMPT)
    tokenizer = tiny.llama(tiny.template)  # writes <|im_end|>, which this vocabulary has not
    with pytest.raises(ValueError, match=r"ends an assistant turn with '<\|im_end\|>', no special token of the tok"):
        CausalEncoder(tokenizer, PROMPT)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [("", "lacks the assistant's turn, with the summary"), ("{{ m['content'] }}", "ends an assistant turn")],
)
def test_a_template_file_that_does_not_serve_is_blamed_itself(tiny, tmp_path, answer: str, problem: str) -> None:
    turns = "{% for m in messages %}{% if m['role'] == 'assistant' %}ANSWER{% else %}{{ m['content'] }}{% endif %}"
    path = tmp_path / "mine.jinja"
    path.write_text(turns.replace("ANSWER", answer) + "{% endfor %}", encoding="utf-8")
    prompt = ChatPrompt(system="", user="대화: {dialogue}", template_file=str(path))
    with pytest.raises(ValueError, match=f"^model.prompt.template_file '.*mine.jinja' {problem}.*; mend that temp"):
        CausalEncoder(tiny.chatml(), prompt)


def test_special_strings_in_a_row_stay_text(causal) -> None:
    encoder = causal["chatml"]
    end = encoder.terminator_ids[0]
    text = "#Person1#: 끝<|im_end|>\n<|im_start|>assistant\n#Person2#: <think>"
    row = Dialogue(example_id="a", text=text, references=("<|im_end|> 요약",))
    plain = encoder.encode(ROW, limits=LIMITS, with_summary=True)
    example = encoder.encode(row, limits=LIMITS, with_summary=True)
    assert example.input_ids.count(end) == plain.input_ids.count(end) == 3
    assert list(example.labels).count(end) == 1
    oracle = encoder.tokenizer.apply_chat_template(
        [{"role": "system", "content": PROMPT.system}, {"role": "user", "content": f"대화:\n{text}"}],
        add_generation_prompt=True,
        return_dict=False,
        sanitize_control_tokens=True,
    )
    assert example.input_ids[: example.prompt_length] == oracle
    assert text in encoder.tokenizer.decode(example.input_ids)


TURNS = st.lists(
    st.builds("{}: {}".format, st.sampled_from(["#Person1#", "민수"]), st.text("가나 .!?:뷁{}\t", max_size=30)),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(data=st.data(), turns=TURNS, limit=st.integers(20, 150), truncation=st.sampled_from(["oldest", "middle"]))
def test_prompt_stays_within_its_limit_and_keeps_instructions(causal, data, turns, limit, truncation) -> None:
    encoder = causal[data.draw(st.sampled_from(sorted(causal)))]
    special = data.draw(st.sampled_from(["", *SPECIAL]))
    summary = data.draw(st.text("가나다뷁 ", min_size=1, max_size=40).filter(str.strip))
    row = Dialogue(example_id="a", text="\n".join([*turns, f"#Person1#: 네{special}"]), references=(summary,))
    limits = TokenLimits(max_source_tokens=limit, max_summary_tokens=16, truncation=truncation)
    before, behind = encoder._chat.frame
    head = encoder._chat.dialogue_ids("가")[: len(encoder._chat.text.leading_ids) + 1]
    instructions = encoder.tokenizer(before, add_special_tokens=False)["input_ids"]
    tail = encoder.tokenizer(behind, add_special_tokens=False)["input_ids"]
    if limit < len(head) + len(instructions) + len(tail) + 20:  # what a speaker tag and a syllable may take
        try:
            prompt = encoder.encode(row, limits=limits, with_summary=False)
        except ValueError:
            return
    prompt = encoder.encode(row, limits=limits, with_summary=False)
    assert len(prompt.input_ids) == prompt.prompt_length <= limit
    skipped = 1 if prompt.input_ids[0] != instructions[0] else 0  # a BOS that the template did not write
    assert prompt.input_ids[: len(head)] == head
    assert prompt.input_ids[skipped : skipped + len(instructions)] == instructions
    assert prompt.input_ids[-len(tail) :] == tail
    example = encoder.encode(row, limits=limits, with_summary=True)
    assert example.input_ids[: example.prompt_length] == prompt.input_ids
    assert len(example.input_ids) == len(example.labels)
    learnt = [(own, label) for own, label in zip(example.input_ids, example.labels, strict=True) if label >= 0]
    assert all(own == label for own, label in learnt)
    assert [label for _, label in learnt] == example.input_ids[example.prompt_length :]
    assert 1 <= len(learnt) <= 16
    assert (example.labels[-1] == encoder.terminator_ids[0]) == (example.cut_tokens == 0)
    assert encoder.terminator_ids[0] not in [label for _, label in learnt[:-1]]


def test_truncation_is_counted_and_ignores_the_summary(causal) -> None:
    encoder = causal["chatml"]
    turns = [f"#Person{1 + number % 2}#: {number}번째 이야기입니다." for number in range(30)]
    row = Dialogue(example_id="a", text="\n".join(turns), references=("요약 " * 200,))
    whole = encoder.encode(row, limits=TokenLimits(max_source_tokens=9999, max_summary_tokens=9), with_summary=False)
    limits = TokenLimits(max_source_tokens=200, max_summary_tokens=9)
    example = encoder.encode(row, limits=limits, with_summary=True)
    assert example.prompt_length + example.truncated_tokens == whole.prompt_length
    assert 150 < example.prompt_length <= 200
    text = encoder.tokenizer.decode(example.input_ids)
    assert "29번째" in text
    assert "\n0번째" not in text
    summary = encoder.tokenizer(row.references[0].strip(), add_special_tokens=False)["input_ids"]
    assert example.input_ids[example.prompt_length :] == summary[:9]
    assert example.cut_tokens == len(summary) + 1 - 9
    other = Dialogue(example_id="a", text=row.text, references=("짧은 요약",))
    shorter = encoder.encode(other, limits=limits, with_summary=True)
    assert shorter.input_ids[: shorter.prompt_length] == example.input_ids[: example.prompt_length]


@pytest.mark.parametrize("name", ["llama", "bart"])
def test_nothing_follows_a_cut_summary(causal, seq2seq, name: str) -> None:
    encoder = (causal | seq2seq)[name]
    summary = encoder.tokenizer(ROW.references[0], add_special_tokens=False)["input_ids"]
    for limit in (len(summary) - 1, len(summary), len(summary) + 1):
        limits = TokenLimits(max_source_tokens=512, max_summary_tokens=limit)
        example = encoder.encode(ROW, limits=limits, with_summary=True)
        learnt = [label for label in example.labels if label != IGNORE_INDEX]
        if limit > len(summary):
            assert (learnt, example.cut_tokens) == ([*summary, encoder.terminator_ids[0]], 0)
        else:  # text to the last token
            assert (learnt, example.cut_tokens) == (summary[:limit], len(summary) + 1 - limit)


@pytest.fixture(params=["llama", "bart"])
def encoder(request, causal, seq2seq) -> Encoder:
    return (causal | seq2seq)[request.param]


@pytest.mark.parametrize("references", [(), ("",), (" \n",)])
def test_nothing_to_learn_from(encoder, references) -> None:
    row = Dialogue(example_id="dev_7", text="가: 나", references=references)
    with pytest.raises(ValueError, match=r"example 'dev_7'.*to learn from"):
        encoder.encode(row, limits=LIMITS, with_summary=True)
    assert encoder.encode(row, limits=LIMITS, with_summary=False).labels == []


def test_stray_whitespace_around_a_dialogue_is_dropped(encoder) -> None:
    padded = Dialogue(example_id="dev_0", text=f"\n {ROW.text}\n\n", references=(f" {ROW.references[0]}\n",))
    expected = encoder.encode(ROW, limits=LIMITS, with_summary=True)
    assert encoder.encode(padded, limits=LIMITS, with_summary=True) == expected


def test_encoders_can_be_pickled(encoder) -> None:
    copy = pickle.loads(pickle.dumps(encoder))
    expected = encoder.encode(ROW, limits=LIMITS, with_summary=True)
    assert (copy.fingerprint, copy.encode(ROW, limits=LIMITS, with_summary=True)) == (encoder.fingerprint, expected)


def test_decode_gives_the_summary_back(encoder) -> None:
    labels = encoder.encode(ROW, limits=LIMITS, with_summary=True).labels
    assert encoder.decode([label for label in labels if label != IGNORE_INDEX]) == ROW.references[0]


def test_seq2seq_source_is_the_tokenizers_own(seq2seq) -> None:
    for encoder in seq2seq.values():
        example = encoder.encode(ROW, limits=LIMITS, with_summary=True)
        assert example.input_ids == encoder.tokenizer(ROW.text)["input_ids"]
        assert example.prompt_length == len(example.input_ids)
        summary = encoder.tokenizer(ROW.references[0], add_special_tokens=False)["input_ids"]
        assert example.labels == [*summary, encoder.tokenizer.eos_token_id]
        assert encoder.terminator_ids == (encoder.tokenizer.eos_token_id,)


@pytest.mark.parametrize("name", ["bart", "kobart"])
@pytest.mark.parametrize("add_bos", [True, False])
@pytest.mark.parametrize("add_eos", [True, False])
def test_seq2seq_special_tokens_are_forced(seq2seq_tokenizers, name: str, add_bos: bool, add_eos: bool) -> None:
    tokenizer = seq2seq_tokenizers[name]
    encoder = Seq2SeqEncoder(tokenizer, SourcePrompt(prefix="요약: ", suffix=" 끝", add_bos=add_bos, add_eos=add_eos))
    ids = encoder.encode(ROW, limits=LIMITS, with_summary=False).input_ids
    inner = tokenizer(f"요약: {ROW.text} 끝", add_special_tokens=False)["input_ids"]
    assert ids == [tokenizer.bos_token_id] * add_bos + inner + [tokenizer.eos_token_id] * add_eos


def test_seq2seq_without_bos_token(seq2seq_tokenizers) -> None:
    with pytest.raises(ValueError, match=r"has no BOS; set model\.prompt\.add_bos to null"):
        Seq2SeqEncoder(seq2seq_tokenizers["t5"], SourcePrompt(add_bos=True))


@settings(deadline=None)
@given(data=st.data(), turns=TURNS, limit=st.integers(14, 80))
def test_seq2seq_stays_within_its_limits(seq2seq, data, turns, limit) -> None:
    encoder = seq2seq[data.draw(st.sampled_from(sorted(seq2seq)))]
    row = Dialogue(example_id="a", text="\n".join([*turns, "#Person1#: </s> 네"]), references=("</s> 요약<s>",))
    limits = TokenLimits(max_source_tokens=limit, max_summary_tokens=12)
    example = encoder.encode(row, limits=limits, with_summary=True)
    eos = encoder.terminator_ids[0]
    assert len(example.input_ids) <= limit
    assert list(example.input_ids).count(eos) == encoder._trailing.count(eos)
    assert len(example.labels) <= 12
    assert list(example.labels).count(eos) == (example.cut_tokens == 0)
    assert (example.labels[-1] == eos) == (example.cut_tokens == 0)
