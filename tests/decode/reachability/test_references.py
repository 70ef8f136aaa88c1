"""What forbids a reference: planted ones, naive definitions, and `generate` itself as oracles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.decode import ConstraintSettings, DecodingPreset, PresetRouter, RowLength
from kosum_pl.decode.reachability.references import References, own_processors, reference_text
from kosum_pl.decode.reachability.report import Reachability
from kosum_pl.decode.rules import DecodingRules
from kosum_pl.encode import Encoder, Seq2SeqEncoder, SourcePrompt, summary_ids
from kosum_pl.modules.generation import generate, generation_config
from kosum_pl.types import Dialogue, Message
from tests.modules_fixtures import LIMITS, collate_rows, small_module, wide_module

TEXT = "#Person1#: 내일 Jimmy랑 부산에 가요.\n#Person2#: 표를 예매했어요?"
BY_TOKEN: dict[str, Any] = {"no_repeat_ngram_unit": "token"}
PLANTED = {
    "plain": "#Person1#은 부산에 간다.",
    "short": "간다.",
    "phrase": "부산에 간다. 부산에 간다. 부산에 간다.",
    "long": "부산에 가려고 표를 예매했고 내일 아침에 일찍 일어나서 역으로 나가기로 했다고 말한 뒤 "
    "서둘러 짐을 꾸리고 친구에게 연락한다고 말한다.",
    "bad": "그런데 부산에 갔다.",
    "bad_short": "그런데",
    "own word": "Jimmy와 부산에 간다.",
    "foreign": "Jessica와 부산에 간다.",
    "foreign phrase": "Jessica와 간다. Jessica와 간다. Jessica와 간다.",
}
PRESET = DecodingPreset(
    name="strict", no_repeat_ngram_size=4, min_new_tokens=4, max_new_tokens=40, bad_words=("그런데",), **BY_TOKEN
)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return small_module("seq2seq").encoder


def rows_of(texts: dict[str, str]) -> list[Dialogue]:
    return [Dialogue(example_id=name, text=TEXT, references=(text,)) for name, text in texts.items()]


def ids_of(row: Dialogue, encoder: Encoder) -> list[int]:
    return summary_ids(reference_text(row), encoder=encoder, example_id=row.example_id)


def measure(
    rows: list[Dialogue], encoder: Encoder, preset: DecodingPreset, constraint: ConstraintSettings | None = None
) -> Reachability:
    return References(rows, encoder=encoder, constraint=constraint, limits=LIMITS).measure(lambda _: preset)


def test_each_reason_is_found_and_the_charset_is_counted_apart(encoder: Encoder) -> None:
    rows = rows_of(PLANTED)
    lengths = {row.example_id: len(ids_of(row, encoder)) for row in rows}
    assert lengths["short"] <= 4 < lengths["plain"], "the planted rows do not show what they should"
    assert max(length for name, length in lengths.items() if name != "long") <= 40 < lengths["long"]
    found = measure(rows, encoder, PRESET, ConstraintSettings())
    assert found.forbidden == {
        "no_repeat_ngram_size": ["phrase", "foreign phrase"],
        "max_new_tokens": ["long"],
        "min_new_tokens": [name for name, length in lengths.items() if length <= 4],
        "bad_words": ["bad", "bad_short"],
    }
    assert found.unreachable == ["short", "phrase", "long", "bad", "bad_short", "foreign phrase"]
    assert found.charset == ["foreign"]
    assert found.share == pytest.approx(3 / 9)
    assert (found.num_rows, found.num_all, found.presets) == (9, 9, ["strict"])


def test_without_rules_and_constraint_all_can_be_said(encoder: Encoder) -> None:
    found = measure(rows_of(PLANTED), encoder, DecodingPreset(name="free", repetition_penalty=1.3))
    assert (found.share, found.forbidden, found.charset, found.remedy) == (1.0, {}, [], "")


def test_the_constraint_allows_what_a_limit_cuts(encoder: Encoder) -> None:
    """Tokens that are left are a matter of the limit alone."""
    rows = rows_of({"long": PLANTED["long"]})
    found = measure(rows, encoder, DecodingPreset(name="short", max_new_tokens=3), ConstraintSettings())
    assert (found.forbidden, found.charset) == ({"max_new_tokens": ["long"]}, [])


def test_a_router_decides_by_the_rows_profile(encoder: Encoder) -> None:
    text = PLANTED["long"]
    rows = [Dialogue(example_id=day, text=TEXT, references=(text,), profile={"weekday": day}) for day in "1767"]
    router = PresetRouter(
        presets=(DecodingPreset(name="long", when={"weekday": 7}),),
        default=DecodingPreset(name="short", max_new_tokens=24),
    )
    found = References(rows, encoder=encoder, constraint=None, limits=LIMITS).measure(router.preset_for, num_all=40)
    assert found.unreachable == ["1", "6"]
    assert found.presets == ["short", "long"]
    assert found.num_all == 40
    assert found.remedy == "max_new_tokens: 64 in preset 'short'"


def test_a_limit_by_row_is_that_of_the_rows_own_prompt(encoder: Encoder) -> None:
    texts = [TEXT, "\n".join([TEXT] * 3)]
    rows = [Dialogue(example_id=str(len(text)), text=text, references=(PLANTED["long"],)) for text in texts]
    length = len(ids_of(rows[0], encoder))
    sources = [encoder.encode(row, limits=LIMITS, with_summary=False).prompt_length for row in rows]
    assert sources[0] < length < sources[1]
    enough_for_the_long_row = -(-20 * length // sources[1]) / 20
    both = [row.example_id for row in rows]
    for share, expected in ((enough_for_the_long_row, both[:1]), (0.05, both)):
        limit = RowLength(per_source_token=share, min=4, max=400)
        by_hand = [row.example_id for row, source in zip(rows, sources, strict=True) if length > limit.tokens(source)]
        assert by_hand == expected
        router = PresetRouter(forced=DecodingPreset(name="rows", max_new_tokens=limit))
        found = References(rows, encoder=encoder, constraint=None, limits=LIMITS).measure(router.preset_for)
        assert found.unreachable == expected
        assert found.remedy_share == 1.0
        needed = -(-20 * length // sources[0]) / 20
        assert found.remedy == f"max_new_tokens: {{per_source_token: {needed:g}, min: 4, max: 400}} in preset 'rows'"


@pytest.mark.parametrize(
    ("texts", "preset", "remedy", "share"),
    [
        (["phrase", "phrase", "long", "plain"], {"no_repeat_ngram_size": 4}, "no_repeat_ngram_size: ", 0.75),
        (["phrase", "long", "long", "plain"], {}, "max_new_tokens: 64 in preset 'strict'", 0.75),
        (["short", "plain"], {"min_new_tokens": 6}, "min_new_tokens: ", 1.0),
        (["bad", "plain"], {}, "bad_words: [] in preset 'strict'", 1.0),
    ],
)
def test_the_one_change_that_helps_most_is_tried_and_not_guessed(
    encoder: Encoder, texts: list[str], preset: dict[str, int], remedy: str, share: float
) -> None:
    rows = [
        Dialogue(example_id=f"{number}", text=TEXT, references=(PLANTED[name],)) for number, name in enumerate(texts)
    ]
    strict = {"no_repeat_ngram_size": 4, "max_new_tokens": 24, "bad_words": ("그런데",), **BY_TOKEN}
    found = measure(rows, encoder, DecodingPreset(name="strict", **{**strict, **preset}))
    assert found.remedy.startswith(remedy)
    assert found.remedy_share == share > found.share


def test_share_of_one_preset_is_that_of_its_report(encoder: Encoder) -> None:
    references = References(rows_of(PLANTED), encoder=encoder, constraint=ConstraintSettings(), limits=LIMITS)
    assert references.share(PRESET) == references.measure(lambda _: PRESET).share == pytest.approx(3 / 9)
    assert references.share(DecodingPreset(name="free")) == 1.0


WORDS = st.lists(st.sampled_from(["부산에", "간다.", "#Person1#은", "표를", "KTX", "간다"]), min_size=1, max_size=12)


@settings(max_examples=30, deadline=None)
@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=6), st.integers(1, 5), st.integers(2, 20))
def test_rules_are_their_naive_definitions(encoder: Encoder, texts: list[str], size: int, shortest: int) -> None:
    rows = [Dialogue(example_id=f"{number}", text=TEXT, references=(text,)) for number, text in enumerate(texts)]
    preset = DecodingPreset(
        name="drawn", no_repeat_ngram_size=size, min_new_tokens=shortest, max_new_tokens=shortest + 10, **BY_TOKEN
    )
    ids = [encoder.tokenizer.encode(text, add_special_tokens=False) for text in texts]
    grams = [[tuple(row[at : at + size]) for at in range(len(row) - size + 1)] for row in ids]
    expected = {
        "no_repeat_ngram_size": [len(set(row)) < len(row) for row in grams],
        "min_new_tokens": [len(row) < shortest for row in ids],
        "max_new_tokens": [len(row) + 1 > shortest + 10 for row in ids],
    }
    found = measure(rows, encoder, preset)
    for name, is_forbidden in expected.items():
        assert found.forbidden.get(name, []) == [str(row) for row, is_so in enumerate(is_forbidden) if is_so], name


def test_generate_says_exactly_what_can_be_said(kind: str) -> None:
    """A model that insists on each reference under the preset ends with it, or was kept from it."""
    module = wide_module(kind).eval()
    rows = rows_of(PLANTED)
    references = References(rows, encoder=module.encoder, constraint=ConstraintSettings(), limits=LIMITS)
    found = references.measure(lambda _: PRESET)
    rules = DecodingRules(module.encoder, ConstraintSettings(small_head=False))
    said = []
    for row, ids in zip(rows, references.ids, strict=True):
        handle = module.language_model.register_forward_hook(_insists_on(ids))
        batch = collate_rows(module, [row], for_generation=True)
        with torch.inference_mode():
            completion = generate(module.language_model, batch, preset=PRESET, rules=rules)[0]
        handle.remove()
        said += [row.example_id] if list(completion.ids) == ids else []
    assert said == [name for name in PLANTED if name not in {*found.unreachable, *found.charset}]
    assert said


def _insists_on(ids: list[int]) -> Callable[..., object]:
    """A hook that makes a model want these ids, one a step, whatever it reads."""
    step = iter(ids)

    def hook(_: object, __: object, output: Any) -> object:
        token = next(step, ids[-1])
        if output.logits.dim() == 3:  # two in the pass that scores what was said
            output.logits[:, -1, token] += 1000.0
        return output

    return hook


def test_own_processors_are_those_that_generate_makes(kind: str) -> None:
    module = wide_module(kind).eval()
    model, encoder = module.language_model, module.encoder
    preset = DecodingPreset(name="all", min_new_tokens=3, bad_words=("그런데", "부산에 간다"), num_beams=4)
    config = generation_config(model, preset, tokenizer=encoder.tokenizer)
    model._prepare_special_tokens(config, device="cpu")
    theirs = model._get_logits_processor(config, input_ids_seq_length=1, device="cpu")
    ours = list(own_processors(preset, encoder))
    assert [type(each) for each in ours] == [type(each) for each in theirs]
    text = encoder.tokenizer.encode("부산에 간다. 그런데", add_special_tokens=False)
    for length in range(len(text) + 1):
        ids = torch.tensor([[0, *text[:length]]])
        for mine, other in zip(ours, theirs, strict=True):
            scores = torch.zeros(1, len(encoder.tokenizer))
            assert torch.equal(mine(ids, scores), other(ids, scores))


def test_what_the_tokenizer_cannot_write_is_no_matter_of_the_charset(
    tokenizer_of: Callable[[str], Any],
) -> None:
    encoder = Seq2SeqEncoder(tokenizer_of("metaspace_bpe"), SourcePrompt())
    texts = {"known": "그래서 병원에 간다.", "unknown": "그래서 뷁에 간다.", "foreign": "漢 그래서 간다."}
    found = measure(rows_of(texts), encoder, DecodingPreset(name="free"), ConstraintSettings())
    assert (found.unreachable, found.unwritable, found.charset) == ([], ["unknown"], ["foreign"])


def test_a_chats_reference_is_its_last_turn_and_a_rows_the_first_one(encoder: Encoder) -> None:
    chat = Dialogue(
        example_id="chat",
        text=TEXT,
        messages=(Message(role="user", content=TEXT), Message(role="assistant", content=" 간다. ")),
    )
    two = Dialogue(example_id="two", text=TEXT, references=("간다.", "가지 않는다."))
    assert ids_of(chat, encoder) == ids_of(two, encoder)
    assert encoder.decode(ids_of(two, encoder)[:-1]) == "간다."
