from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.encode import Seq2SeqEncoder, SourcePrompt, TokenLimits
from kosum_pl.types import Dialogue

LIMITS = TokenLimits(max_source_tokens=512, max_summary_tokens=64)
ROW = Dialogue(
    example_id="dev_0",
    text="#Person1#: 회의는 몇 시예요?\n#Person2#: 오후 3시예요.",
    references=("#Person2#는 회의가 3시라고 말한다.", "다른 요약"),
)
TURNS = st.lists(
    st.builds("{}: {}".format, st.sampled_from(["#Person1#", "민수"]), st.text("가나 .!?:뷁{}\t", max_size=30)),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="session")
def seq2seq(seq2seq_tokenizers) -> dict[str, Seq2SeqEncoder]:
    return {name: Seq2SeqEncoder(tokenizer, SourcePrompt()) for name, tokenizer in seq2seq_tokenizers.items()}


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
    assert list(example.labels).count(eos) == 1
    assert example.labels[-1] == eos
