"""Prompts of the embedded tokenizers, id by id: other ids mean that the embedded tokenizer was made anew."""

from __future__ import annotations

from kosum_pl.encode import CausalEncoder, ChatPrompt, Seq2SeqEncoder, SourcePrompt, TokenLimits, load_tokenizer
from kosum_pl.types import IGNORE_INDEX, Dialogue

LIMITS = TokenLimits(max_source_tokens=256, max_summary_tokens=64)
ROW = Dialogue(
    example_id="golden",
    text="#Person1#: KTX 표 예매했어?\n#Person2#: 응, 7시 30분 표야.",
    references=("#Person2#는 7시 30분 KTX 표를 예매했다.",),
)
# fmt: off
LLAMA_PROMPT = [
    0, 4, 382, 1811, 1379, 489, 408, 1327, 447, 1153, 20, 3, 5, 314, 447, 427, 1152, 20, 205, 2485, 32, 1667,
    1290, 1849, 511, 386, 37, 205, 2486, 32, 1556, 18, 1106, 368, 1099, 440, 1290, 465, 20, 3, 6,
]
LLAMA_SUMMARY = [
    2486, 372, 1106, 368, 1099, 440, 1667, 1532, 1849, 511, 329, 20, 3,
]
BART_SOURCE = [
    0, 2485, 32, 1667, 1290, 1849, 511, 386, 37, 205, 2486, 32, 1556, 18, 1106, 368, 1099, 440, 1290, 465, 20,
    2,
]
BART_LABELS = [
    2486, 372, 1106, 368, 1099, 440, 1667, 1532, 1849, 511, 329, 20, 2,
]
# fmt: on


def test_llama() -> None:
    tokenizer, notes = load_tokenizer("demo:llama")
    encoder = CausalEncoder(
        tokenizer, ChatPrompt(system="한국어 대화를 요약합니다.", user="요약해 주세요.\n{dialogue}")
    )
    example = encoder.encode(ROW, limits=LIMITS, with_summary=True)
    assert notes == []
    assert example.input_ids == LLAMA_PROMPT + LLAMA_SUMMARY
    assert example.labels == [IGNORE_INDEX] * len(LLAMA_PROMPT) + LLAMA_SUMMARY
    assert encoder.terminator_ids == (tokenizer.convert_tokens_to_ids("<|end|>"),)
    assert encoder.decode(LLAMA_SUMMARY) == ROW.references[0]


def test_bart() -> None:
    tokenizer, notes = load_tokenizer("demo:bart")
    encoder = Seq2SeqEncoder(tokenizer, SourcePrompt())
    example = encoder.encode(ROW, limits=LIMITS, with_summary=True)
    assert notes == []
    assert (example.input_ids, example.labels) == (BART_SOURCE, BART_LABELS)
    assert encoder.decode(BART_LABELS) == ROW.references[0]
