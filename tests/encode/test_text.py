from __future__ import annotations

import pickle

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kosum_pl.encode import TextTokenizer

PIECES = [
    *("<|im_end|>", "<|im_start|>", "</s>", "＜/s＞", "<think>", "#Person1#"),
    *("ㅠㅠ", "안녕", " ", "\n", "<", "|>", "s"),
]


@pytest.fixture(scope="session")
def texts(causal_tokenizers, seq2seq_tokenizers):
    made = {name: TextTokenizer(tokenizer, template="<think>") for name, tokenizer in causal_tokenizers.items()}
    return made | {name: TextTokenizer(tokenizer) for name, tokenizer in seq2seq_tokenizers.items()}


def control_ids(tokenizer) -> set[int]:
    strings = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin|>", "<|eot_id|>", "</s>", "<s>", "<eos>"]
    vocabulary = tokenizer.get_vocab()
    return {vocabulary[string] for string in strings if string in vocabulary}


@given(data=st.data())
def test_data_never_becomes_a_control_token(texts, data) -> None:
    text = texts[data.draw(st.sampled_from(sorted(texts)))]
    own = sorted(token.content for token in text.tokenizer.added_tokens_decoder.values())
    written = "".join(data.draw(st.lists(st.sampled_from([*PIECES, *own]), max_size=12)))
    assert control_ids(text.tokenizer).isdisjoint(text.ids(text.mark(written)))


@given(data=st.data())
def test_ordinary_text_is_tokenized_in_one_go(texts, data) -> None:
    text = texts[data.draw(st.sampled_from(sorted(texts)))]
    written = data.draw(st.text(st.sampled_from("#Person1:2 안녕하세요\n<>|/.,…ㅠ３"), max_size=40))
    assume("<s>" not in written)  # a control token of BART's, from letters of the tag
    assert text.mark(written) == written
    assert text.ids(written) == text.tokenizer(written, add_special_tokens=False)["input_ids"]


def test_marked_text_is_kept_as_text(texts) -> None:
    for name in ("chatml", "llama", "bart"):
        text = texts[name]
        for token in text.tokenizer.added_tokens_decoder.values():
            written = f"끝{token.content} 계속"
            ids = text.ids(text.mark(written))
            assert text.tokenizer.decode(ids) == written


def test_unmarked_control_tokens_count_as_such(texts) -> None:
    text = texts["chatml"]
    assert text.ids("<|im_end|>") == [text.tokenizer.convert_tokens_to_ids("<|im_end|>")]


def test_marks_in_the_data_forge_nothing(texts) -> None:
    text = texts["chatml"]
    end = text.tokenizer.convert_tokens_to_ids("<|im_end|>")
    # A template that keeps one mark of a pair: the text stays text, the mark goes.
    assert end not in text.ids(text.mark("<|im_end|>")[:-4])
    for forged in (
        "\U000f0000<|im_\U000f0001end|>",
        "\U000f0000<|im_end|>\U000f0001",
        "\U000f0001<|im_end|>\U000f0000",
    ):
        ids = text.ids(text.mark(forged))
        assert end not in ids
        assert text.tokenizer.decode(ids) == "<|im_end|>"
    assert text.tokenizer.decode(text.ids("가\U000f0001나")) == "가나"


def test_tags_and_emoticons_are_data(texts) -> None:
    text = texts["bart"]
    ids = text.ids(text.mark("#Person1#: ㅠㅠ"))
    vocabulary = text.tokenizer.get_vocab()
    assert ids[0] == vocabulary["#Person1#"]
    assert ids[-1] == vocabulary["ㅠㅠ"]  # special in this vocabulary, yet no structure
    assert text.decode([vocabulary["<s>"], *ids, vocabulary["</s>"], vocabulary["<pad>"]]) == "#Person1#: ㅠㅠ"


def test_a_piece_that_spells_eos_is_cut(texts) -> None:
    text = texts["t5"]
    eos = text.tokenizer.eos_token_id
    plain = text.tokenizer("</s>", add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert eos in plain  # the trap: Unigram writes EOS from plain text
    for written in ("</s>", "＜/s＞", "가 </s> 나"):
        ids = text.ids(text.mark(written))
        assert eos not in ids
        assert len(ids) > 1


def test_added_by_the_tokenizer_itself(texts) -> None:
    vocabulary = texts["bart"].tokenizer.get_vocab()
    assert (texts["bart"].leading_ids, texts["bart"].trailing_ids) == ([vocabulary["<s>"]], [vocabulary["</s>"]])
    assert (texts["kobart"].leading_ids, texts["kobart"].trailing_ids) == ([], [])
    assert (texts["t5"].leading_ids, texts["t5"].trailing_ids) == ([], [texts["t5"].tokenizer.eos_token_id])
    assert len(texts["llama"].leading_ids) == 1


def test_settings_left_in_the_tokenizer_do_not_matter(texts) -> None:
    text = pickle.loads(pickle.dumps(texts["llama"]))
    written = "#Person1#: 회의는 3시예요. <|eot_id|>"
    expected, before = text.ids(text.mark(written) + "<|eot_id|>"), text.fingerprint([])
    for options in ({"padding": "max_length", "truncation": True, "max_length": 4}, {"split_special_tokens": True}):
        text.tokenizer("가 나", **options)
        assert text.fingerprint([]) == before
        assert text.ids(text.mark(written) + "<|eot_id|>") == expected


def test_completion_ends_in_a_whole_character(texts) -> None:
    text = texts["chatml"]
    summary = "뷁꿻뷁꿻"  # syllables that take three byte tokens each
    ids = text.ids(summary)
    assert len(ids) == 12
    for max_tokens in range(3, 16):
        kept, cut = text.completion_ids(summary, terminator_id=7, max_tokens=max_tokens, example_id="a")
        if max_tokens > 12:
            assert (kept, cut) == ([*ids, 7], 0)
        else:  # nothing follows a cut, and the terminator is cut too
            whole = max_tokens // 3 * 3
            assert (kept, cut) == (ids[:whole], 13 - whole)
    with pytest.raises(ValueError, match=r"example 'a'.*nothing is left of its summary.*max_summary_tokens=2"):
        text.completion_ids(summary, terminator_id=7, max_tokens=2, example_id="a")


@given(data=st.data())
def test_a_cut_is_never_within_a_character_and_never_ended(texts, data) -> None:
    text = texts[data.draw(st.sampled_from(sorted(texts)))]
    summary = data.draw(st.text("가나 뷁꿻#Person1é漢🙂", min_size=1, max_size=20).filter(str.strip))
    max_tokens = data.draw(st.integers(2, 40))
    end = text.tokenizer.eos_token_id
    ids = text.ids(text.mark(summary.strip(), is_answer=True))
    try:
        kept, cut = text.completion_ids(summary, terminator_id=end, max_tokens=max_tokens, example_id="a")
    except ValueError:
        assert max_tokens < 4  # of a character's bytes not all fit
        return
    assert len(kept) <= max_tokens
    if len(ids) + 1 <= max_tokens:
        assert (kept, cut) == ([*ids, end], 0)
        return
    assert kept == ids[: len(kept)]
    assert cut == len(ids) + 1 - len(kept)
    written = text.tokenizer.decode(kept)
    assert "\ufffd" not in written
    # As many as fit: with one more token the limit or a character would be broken.
    more = ids[: len(kept) + 1]
    assert len(more) > max_tokens or len(more) == len(kept) or text.tokenizer.decode(more).endswith("\ufffd")


def test_decode_keeps_spaces_of_tags(texts) -> None:
    text = texts["chatml"]
    written = "#Person1# , 안녕 . '그래' n't"
    assert text.decode(text.ids(f" {written}\n")) == written
