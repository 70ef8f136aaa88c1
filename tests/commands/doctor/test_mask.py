from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kosum_pl.commands.doctor.mask import (
    batch_findings,
    count_mask,
    dropped_findings,
    mask_findings,
    pieces,
    prompt_findings,
)
from kosum_pl.encode import (
    CausalEncoder,
    ChatPrompt,
    Collator,
    Encoder,
    Seq2SeqEncoder,
    SourcePrompt,
    TokenLimits,
    load_tokenizer,
)
from kosum_pl.encode.long_rows import LongRows
from kosum_pl.types import IGNORE_INDEX, Dialogue, EncodedExample
from tests.commands.doctor.levels import levels, pairs, texts

LIMITS = TokenLimits(max_source_tokens=200, max_summary_tokens=40)
ROWS = [
    Dialogue(example_id="a", text="#Person1#: 안녕하세요?", references=("#Person1#이 인사한다.",)),
    Dialogue(example_id="b", text="#Person1#: 밥 먹자.\n#Person2#: 그래.", references=("밥을 먹기로 한다.",)),
]


@pytest.fixture(scope="module", params=["causal", "seq2seq"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    if request.param == "causal":
        return CausalEncoder(load_tokenizer("demo:llama")[0], ChatPrompt(user="{dialogue}"))
    return Seq2SeqEncoder(load_tokenizer("demo:bart")[0], SourcePrompt())


def encode(encoder: Encoder) -> list[EncodedExample]:
    return [encoder.encode(row, limits=LIMITS, with_summary=True) for row in ROWS]


def broken(encoder: Encoder, *examples: EncodedExample, **options: Any) -> list[str]:
    counts = count_mask(examples, encoder=encoder, **options)
    return texts(mask_findings(counts, encoder=encoder), "broken")


def test_sound_rows_have_no_fault(encoder: Encoder) -> None:
    examples = encode(encoder)
    counts = count_mask(examples, encoder=encoder)
    summaries = [encoder.tokenizer(row.references[0], add_special_tokens=False)["input_ids"] for row in ROWS]
    assert counts.num_supervised == sum(len(ids) + 1 for ids in summaries)
    assert (counts.num_rows, counts.num_truncated, counts.num_cut) == (2, 0, 0)
    assert set(levels(mask_findings(counts, encoder=encoder))) == {"ok"}
    assert levels(batch_findings(examples, encoder=encoder)) == []


def test_rows_without_a_learnt_terminator(encoder: Encoder) -> None:
    first, second = encode(encoder)
    masked = replace(first, labels=[*first.labels[:-1], IGNORE_INDEX])
    cut = (
        replace(first, input_ids=first.input_ids[:-1], labels=first.labels[:-1])
        if encoder.is_causal
        else replace(first, labels=first.labels[:-1])
    )
    for fault in (masked, cut):
        (line,) = broken(encoder, fault, second)
        assert line == "1 of 2 rows do not learn to stop, the last label is no terminator (a)"


def test_a_cut_summary_has_no_end(encoder: Encoder) -> None:
    limits = replace(LIMITS, max_summary_tokens=4)
    cut, whole = encoder.encode(ROWS[0], limits=limits, with_summary=True), encode(encoder)[1]
    counts = count_mask([cut, whole], encoder=encoder)
    assert (counts.num_cut, counts.unended, counts.misended) == (1, [], [])
    end = encoder.tokenizer.convert_ids_to_tokens(encoder.terminator_ids[0])
    line = f"every whole summary ends with a terminator, '{end}'; nothing follows the 1 cut ones"
    assert any(
        text.startswith(line[:40]) and text.endswith(line[-36:])
        for text in texts(mask_findings(counts, encoder=encoder), "ok")
    )
    stop = encoder.terminator_ids[0]
    ids = [*cut.input_ids[:-1], stop] if encoder.is_causal else cut.input_ids
    faulty = replace(cut, input_ids=ids, labels=[*cut.labels[:-1], stop])
    assert broken(encoder, faulty, whole) == ["1 of 2 rows learn to stop where their summary was cut (a)"]


def test_a_row_without_anything_to_learn(encoder: Encoder) -> None:
    first, second = encode(encoder)
    empty = replace(first, labels=[IGNORE_INDEX] * len(first.labels))
    assert broken(encoder, empty, second) == ["1 of 2 rows have nothing to learn (a)"]


def test_double_bos(encoder: Encoder) -> None:
    first, second = encode(encoder)
    bos = encoder.tokenizer.bos_token_id
    labels = [IGNORE_INDEX, *first.labels] if encoder.is_causal else first.labels
    assert first.input_ids[0] == bos
    doubled = replace(first, input_ids=[bos, *first.input_ids], labels=labels, prompt_length=first.prompt_length + 1)
    assert broken(encoder, doubled, second) == ["1 of 2 rows begin with two BOS (a)"]
    if not encoder.is_causal:
        assert broken(encoder, replace(first, labels=[bos, *first.labels])) == ["1 of 1 rows begin with two BOS (a)"]


def test_a_learnt_prompt_and_shifted_labels() -> None:
    encoder = CausalEncoder(load_tokenizer("demo:llama")[0], ChatPrompt(user="{dialogue}"))
    first, _ = encode(encoder)
    learnt = replace(first, labels=list(first.input_ids))
    assert broken(encoder, learnt) == ["1 of 1 rows learn their prompt (a)"]
    assert broken(encoder, learnt, learns_history=True) == []
    shifted = replace(first, labels=[IGNORE_INDEX, *first.labels[:-2], first.labels[-1]])
    assert "1 of 1 rows have labels that are not the ids beside them (a)" in broken(encoder, shifted)


def test_a_collator_that_masks_by_pad_id(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    collate = Collator.__call__

    def by_pad_id(self: Collator, items: Any) -> Any:
        batch = collate(self, items)
        assert batch.labels is not None
        batch.labels[batch.labels == encoder.terminator_ids[0]] = IGNORE_INDEX
        return batch

    monkeypatch.setattr(Collator, "__call__", by_pad_id)
    total = count_mask(encode(encoder), encoder=encoder).num_supervised
    assert pairs(batch_findings(encode(encoder), encoder=encoder)) == [
        ("broken", f"padding a batch leaves {total - 2} of {total} labels")
    ]


def test_prompts_of_training_and_inference(encoder: Encoder) -> None:
    first, second = encode(encoder)
    rows = [(ROWS[0], first), (ROWS[1], second)]
    assert levels(prompt_findings(rows, encoder=encoder, limits=LIMITS)) == ["ok"]
    rows[1] = (ROWS[1], replace(second, prompt_length=second.prompt_length - 1))
    (text,) = texts(prompt_findings(rows, encoder=encoder, limits=LIMITS), "broken")
    assert text.startswith("1 of 2 prompts differ: training ")
    assert text.endswith("(b)")


def test_pieces_join_to_what_the_model_reads(encoder: Encoder) -> None:
    first, _ = encode(encoder)
    found = pieces(first, encoder=encoder)
    assert [piece.kind for piece in found] == ["prompt", "supervised", "terminator"]
    assert found[0].num_tokens == first.prompt_length
    assert found[1].text == ROWS[0].references[0]
    masked = pieces(replace(first, labels=[*first.labels[:-1], IGNORE_INDEX]), encoder=encoder)
    assert masked[-1].kind == "masked"


@pytest.mark.parametrize(("number", "level"), [(0, "ok"), (1, "ok"), (2, "warning")])
def test_many_truncated_dialogues_are_a_warning(encoder: Encoder, number: int, level: str) -> None:
    counts = count_mask(encode(encoder), encoder=encoder)
    counts.num_rows, counts.num_truncated = 200, number
    counts.source_lengths, counts.summary_lengths = [100] * 198 + [500, 700], [30] * 200
    (found,) = (each for each in mask_findings(counts, encoder=encoder) if "dialogues truncated" in each.text)
    assert (found.level, found.text) == (level, f"{number} of 200 dialogues truncated ({number / 2:.1f}%)")
    # 199 of 200 rows are 99.5 %.
    assert found.remedy == ("--data.max_source_tokens 512 holds 99.5 %" if level == "warning" else "")


def test_a_limit_beyond_the_models_positions_is_no_remedy(encoder: Encoder) -> None:
    counts = count_mask(encode(encoder), encoder=encoder)
    counts.num_rows, counts.num_truncated = 200, 2
    counts.source_lengths, counts.summary_lengths = [100] * 198 + [500, 700], [30] * 200
    remedies = [found.remedy for found in mask_findings(counts, encoder=encoder, max_positions=448)]
    problem = "99.5 % take 512 tokens, and the model has 448 positions"
    assert f"{problem}: --data.on_long_dialogue drop, or another model" in remedies


@pytest.mark.parametrize(("number", "level"), [(1, "note"), (2, "warning")])
def test_rows_that_train_lost(number: int, level: str) -> None:
    lengths = np.array([30] * (200 - number) + [90] * number)
    dropped = LongRows(
        split="train",
        part="summary",
        limit=64,
        option="data.max_summary_tokens",
        rows=tuple(range(200 - number, 200)),
        ids=("b",),
        lengths=lengths,
    )
    (found,) = dropped_findings([dropped], max_positions=None)
    assert found.level == level
    assert found.text.startswith(f"train: {number} row")
    assert found.text.endswith(f"dropped: summary longer than data.max_summary_tokens=64 {dropped.named}, of 200")
    needed = {1: 64, 2: 128}[number]
    assert found.remedy == ("" if level == "note" else f"--data.max_summary_tokens {needed} holds 99.5 %")
    (found,) = dropped_findings([dropped], max_positions=100 if number == 2 else None)
    assert ("--data.on_long_summary cut, or another model" in found.remedy) == (number == 2)
