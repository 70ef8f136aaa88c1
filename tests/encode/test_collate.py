from __future__ import annotations

import pickle
from dataclasses import fields

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.encode import Batch, CollateItem, Collator
from kosum_pl.types import IGNORE_INDEX, Dialogue, EncodedExample

PAD = 2  # EOS, too


def item(prompt: list[int], completion: list[int], *, row: int = 0, is_counted: bool = True) -> CollateItem:
    labels = [IGNORE_INDEX] * len(prompt) + completion if completion else []
    return made(prompt + completion, labels, len(prompt), row=row, is_counted=is_counted)


def source(ids: list[int], labels: list[int], row: int = 0) -> CollateItem:
    return made(ids, labels, len(ids), row=row)


def made(ids: list[int], labels: list[int], prompt_length: int, *, row: int, is_counted: bool = True) -> CollateItem:
    example = EncodedExample(example_id=f"r{row}", input_ids=ids, labels=labels, prompt_length=prompt_length)
    dialogue = Dialogue(example_id=f"r{row}", text="가")
    return CollateItem(example=example, row=row, dialogue=dialogue, is_counted=is_counted)


def collate(items: list[CollateItem], *, is_causal: bool = True, for_generation: bool = True, **options: int) -> Batch:
    return Collator(pad_token_id=PAD, is_causal=is_causal, for_generation=for_generation, **options)(items)


def test_causal_training() -> None:
    batch = collate([item([5, 6, 7], [8, 2], row=4), item([5], [9, 2], row=1)], for_generation=False)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 2], [5, 9, 2, PAD, PAD]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert batch.labels.tolist() == [[-100, -100, -100, 8, 2], [-100, 9, 2, -100, -100]]
    assert (batch.prompt_ids, batch.prompt_mask, batch.dialogues) == (None, None, ())
    assert (batch.example_ids, batch.rows, batch.is_counted) == (("r4", "r1"), (4, 1), True)
    assert (batch.num_supervised_tokens, batch.num_real_tokens) == (4, 8)


def test_causal_generation_pads_on_the_left() -> None:
    batch = collate([item([5, 6, 7], [8, 2]), item([5], [9])])
    assert batch.prompt_ids.tolist() == [[5, 6, 7], [PAD, PAD, 5]]
    assert batch.prompt_mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 2], [5, 9, PAD, PAD, PAD]]
    assert [dialogue.example_id for dialogue in batch.dialogues] == ["r0", "r0"]


def test_seq2seq() -> None:
    items = [source([4, 5, 6], [7, 2]), source([4, 2], [7, 8, 9, 2], row=1)]
    batch = collate(items, is_causal=False)
    assert batch.input_ids.tolist() == [[4, 5, 6], [4, 2, PAD]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.labels.tolist() == [[7, 2, -100, -100], [7, 8, 9, 2]]
    assert batch.prompt_ids is batch.input_ids
    assert batch.prompt_mask is batch.attention_mask
    assert (batch.num_supervised_tokens, batch.num_real_tokens) == (6, 11)
    assert collate(items, is_causal=False, for_generation=False).prompt_ids is None


@pytest.mark.parametrize("is_causal", [True, False])
def test_rows_without_summary(is_causal: bool) -> None:
    batch = collate([source([4, 5], []), source([4], [])], is_causal=is_causal)
    assert batch.labels is None
    assert (batch.num_supervised_tokens, batch.num_real_tokens) == (0, 3)


def test_lengths_are_rounded_up() -> None:
    batch = collate([item([5] * 7, [8, 2])], pad_to_multiple_of=8)
    assert (batch.input_ids.shape, batch.labels.shape, batch.prompt_ids.shape) == ((1, 16), (1, 16), (1, 8))
    assert collate([item([5] * 8, [])], pad_to_multiple_of=8).prompt_ids.shape == (1, 8)


def test_rows_that_fill_up() -> None:
    assert not collate([item([5], [2], is_counted=False)]).is_counted
    with pytest.raises(ValueError, match="mixes rows that count"):
        collate([item([5], [2]), item([5], [2], is_counted=False)])
    with pytest.raises(ValueError, match="a batch of no rows"):
        collate([])


def test_moving_a_batch() -> None:
    batch = collate([source([4, 5], [7, 2])], is_causal=False)
    moved = batch.to("meta")
    assert {moved.input_ids.device.type, moved.attention_mask.device.type, moved.labels.device.type} == {"meta"}
    assert moved.prompt_ids is moved.input_ids
    assert (moved.rows, moved.num_real_tokens) == (batch.rows, batch.num_real_tokens)
    assert batch.input_ids.device.type == "cpu"
    assert batch.to("cpu", non_blocking=True).input_ids.tolist() == [[4, 5]]


def test_pinning_a_batch(monkeypatch) -> None:
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor.clone())
    batch = collate([item([4, 5], [7, 2])])
    assert batch.pin_memory().prompt_ids.tolist() == [[4, 5]]
    assert len(pinned) == 5


def test_batches_travel_between_processes() -> None:
    collator = pickle.loads(pickle.dumps(Collator(pad_token_id=PAD, is_causal=True, for_generation=True)))
    batch = pickle.loads(pickle.dumps(collator([item([4, 5], [7, 2])])))
    assert batch.input_ids.tolist() == [[4, 5, 7, 2]]


IDS = st.lists(st.integers(0, 4), min_size=1, max_size=6)


@given(rows=st.lists(st.tuples(IDS, IDS), min_size=1, max_size=5), multiple=st.sampled_from([None, 4]))
def test_masks_go_by_length(rows, multiple) -> None:
    """Ids may equal the pad id anywhere: what comes back under the masks is what went in."""
    items = [item(prompt, completion, row=index) for index, (prompt, completion) in enumerate(rows)]
    batch = collate(items, pad_to_multiple_of=multiple)
    for index, (prompt, completion) in enumerate(rows):
        assert batch.input_ids[index][batch.attention_mask[index].bool()].tolist() == prompt + completion
        assert batch.prompt_ids[index][batch.prompt_mask[index].bool()].tolist() == prompt
        assert batch.labels[index][batch.labels[index] != IGNORE_INDEX].tolist() == completion
        assert batch.prompt_mask[index, -1] == 1
        assert batch.attention_mask[index, 0] == 1
    assert batch.num_supervised_tokens == sum(len(completion) for _, completion in rows)
    assert batch.num_real_tokens == int(batch.attention_mask.sum())


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("chosen", [[0], [1, 2], [2, 3], [3, 1], [0, 1, 2, 3]])
def test_some_rows_of_a_batch_are_the_batch_of_these_rows(is_causal: bool, chosen: list[int]) -> None:
    if is_causal:
        items = [item([5] * 6, [8, 2], row=0), item([6, 7], [9] * 7, row=1), item([4], [], row=2), item([3] * 4, [2])]
    else:
        items = [source([5] * 6, [8, 2]), source([6, 7], [9] * 7, row=1), source([4], [], row=2), source([3] * 4, [2])]
    part = collate(items, is_causal=is_causal).select(chosen)
    alone = collate([items[place] for place in chosen], is_causal=is_causal)
    for field in fields(Batch):
        found, wanted = getattr(part, field.name), getattr(alone, field.name)
        if isinstance(wanted, torch.Tensor):
            found, wanted = found.tolist(), wanted.tolist()
        assert found == wanted, field.name
    assert (part.prompt_ids is part.input_ids) is not is_causal


def test_some_rows_of_prompts_alone_lose_the_columns_that_pad_all_of_them() -> None:
    batch = collate([item([5] * 6, [8]), item([6, 7], [9], row=1), item([4], [9], row=2)]).select_prompts([0, 1, 2])
    part = batch.select([1, 2])
    assert part.prompt_ids.tolist() == [[6, 7], [PAD, 4]]
    assert part.prompt_mask.tolist() == [[1, 1], [0, 1]]
    assert (part.labels, part.rows, part.is_counted) == (None, (1, 2), True)


def test_rows_without_prompts_cannot_be_chosen() -> None:
    with pytest.raises(ValueError, match="has no prompts"):
        collate([item([5], [8])], for_generation=False).select([0])
