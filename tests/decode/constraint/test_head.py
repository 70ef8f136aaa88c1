"""The small head says, token for token and score for score, what a full head with minus infinity elsewhere says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from kosum_pl.decode.constraint.head import check_small_head, compact_head, constrained_head
from kosum_pl.decode.constraint.kinds import AutomatonConstraint
from kosum_pl.decode.constraint.processors import AllowedColumns, GenerationShape
from kosum_pl.decode.constraint.tables import TokenTables

TablesOf = Callable[[str], TokenTables]
Tiny = Callable[..., PreTrainedModel]
WORDS = (("KTX", "Jimmy"), (), ("5km", "café", "大會"), ())
MODES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampling": {"do_sample": True},
    "beams": {"num_beams": 4},
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama_tied": ("llama", {"tied": True}),
    "llama_untied": ("llama", {}),
    "bart": ("bart", {}),
    "bart_tied": ("bart", {"tied": True}),
    "t5": ("t5", {}),
    "t5_tied": ("t5", {"tied": True}),
    "soft_cap": ("gemma2", {}),
}
PROMPT = 6


@pytest.fixture
def columns(tables_of: TablesOf) -> AllowedColumns:
    return batch(tables_of("byte_level")).columns


def batch(tables: TokenTables, *, words: Any = WORDS, num_beams: int = 1, prompt_length: int = PROMPT) -> Any:
    shape = GenerationShape(prompt_length=prompt_length, max_new_tokens=14, num_beams=num_beams)
    return AutomatonConstraint(tables, eos_token_ids=[2]).for_rows(words, shape)


@contextmanager
def minus_infinity(model: Any, tables: TokenTables, num_beams: int) -> Iterator[None]:
    """The oracle, from the definition: a vector added to a row's logits, and none of our code around the model.

    What a row may ever be allowed: what the tables allow in some state, the end, and the tokens that touch its words.
    """
    allowed = torch.full((len(WORDS), 440), -torch.inf)
    allowed[:, [*tables.columns.tolist(), 2]] = 0
    for row, words in enumerate(WORDS):
        tracked = batch(tables, words=[words]).tracker.rows[0]
        if tracked is not None:
            allowed[row, sorted({token for _, token in tracked.following})] = 0

    def add(_: Any, __: Any, output: Any) -> Any:
        beams = len(output.logits) // len(WORDS)
        output.logits = output.logits + allowed.repeat_interleave(beams, dim=0)[:, None]
        return output

    handle = model.register_forward_hook(add)
    yield
    handle.remove()


def generated(model: Any, tables: TokenTables, head: Any, mode: dict[str, Any]) -> Any:
    """Ids and scores of one call; the seed is always the same."""
    torch.manual_seed(3)
    beams = mode.get("num_beams", 1)
    is_encoder_decoder = model.config.is_encoder_decoder
    held = batch(tables, num_beams=beams, prompt_length=1 if is_encoder_decoder else PROMPT)
    ids = torch.randint(4, 400, (len(WORDS), PROMPT), generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), head(held, beams):
        return model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=14,
            logits_processor=[held.processor],
            output_scores=True,
            return_dict_in_generate=True,
            **mode,
        )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MODELS)
def test_small_head_equals_minus_infinity(tables_of: TablesOf, tiny: Tiny, name: str, mode: str) -> None:
    kind, changes = MODELS[name]
    tables, model = tables_of("byte_level"), tiny(kind, width=440, **changes)
    small, full, oracle = (
        generated(model, tables, head, MODES[mode])
        for head in (
            lambda held, _: constrained_head(model, held.columns),
            lambda held, _: constrained_head(model, held.columns, is_small=False),
            lambda _, beams: minus_infinity(model, tables, beams),
        )
    )
    for other in (full, oracle):
        assert torch.equal(small.sequences, other.sequences)
        for one, two in zip(small.scores, other.scores, strict=True):
            assert torch.equal(one.isfinite(), two.isfinite())
            torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
        transitions = [
            model.compute_transition_scores(
                out.sequences, out.scores, getattr(out, "beam_indices", None), normalize_logits=mode != "beams"
            )
            for out in (small, other)
        ]
        torch.testing.assert_close(*transitions, rtol=0, atol=1e-5)
    if mode == "beams":
        torch.testing.assert_close(small.sequences_scores, oracle.sequences_scores, rtol=0, atol=1e-5)
    assert small.sequences.shape[1] > 5


def test_beams_without_a_head_have_the_same_scores(tables_of: TablesOf, tiny: Tiny) -> None:
    """The processor renormalises by itself: the block around the model changes the time, not the scores."""
    tables, model = tables_of("byte_level"), tiny("llama", width=440)
    small = generated(model, tables, lambda held, _: constrained_head(model, held.columns), MODES["beams"])
    none = generated(model, tables, lambda *_: nullcontext(), MODES["beams"])
    assert torch.equal(small.sequences, none.sequences)
    torch.testing.assert_close(small.sequences_scores, none.sequences_scores, rtol=0, atol=1e-4)


@pytest.mark.parametrize("is_small", [True, False])
def test_logits_in_the_block(tables_of: TablesOf, tiny: Tiny, columns: AllowedColumns, is_small: bool) -> None:
    """Every position, every row: the model's own logits where the row may say it, minus infinity elsewhere."""
    model = tiny("llama", width=440)
    ids = torch.randint(4, 400, (len(WORDS), 5))
    with torch.no_grad():
        expected = model(ids).logits
        with constrained_head(model, columns, is_small=is_small):
            actual = model(ids).logits
    assert columns.is_denied is not None
    is_allowed = torch.zeros(len(WORDS), 440, dtype=torch.bool)
    is_allowed[:, columns.ids] = ~columns.is_denied
    torch.testing.assert_close(actual, expected.masked_fill(~is_allowed[:, None], -torch.inf))
    assert is_allowed.sum(dim=1).tolist() != [int(is_allowed[0].sum())] * len(WORDS)


def test_a_bias_of_the_head_is_cut_with_it(tiny: Tiny, columns: AllowedColumns) -> None:
    model = tiny("llama", width=440)
    model.lm_head.bias = nn.Parameter(torch.randn(440))
    ids = torch.randint(4, 400, (len(WORDS), 5))
    with torch.no_grad():
        expected = model(ids).logits[..., columns.ids]
        with compact_head(model, columns.ids):
            torch.testing.assert_close(model(ids).logits, expected)


def test_scores_of_a_row_do_not_depend_on_its_mates(tables_of: TablesOf, tiny: Tiny) -> None:
    """The words of others widen the head, and change nothing: log-probabilities are over what this row may say."""
    tables, model = tables_of("byte_level"), tiny("llama", width=440)
    ids = torch.randint(4, 400, (2, 5))
    results = []
    for mates in ((), ("Jimmy", "大會", "café")):
        with torch.no_grad(), constrained_head(model, batch(tables, words=[("KTX",), mates]).columns):
            results.append(model(ids).logits[0].log_softmax(dim=-1))
    torch.testing.assert_close(*results, rtol=0, atol=1e-6)


@pytest.mark.parametrize("is_small", [True, False])
@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_the_model_is_as_before(tiny: Tiny, columns: AllowedColumns, kind: str, is_small: bool) -> None:
    """Also behind an exception, and again behind a second block."""
    model = tiny(kind, width=440)
    ids = torch.randint(4, 400, (len(WORDS), 5))
    with torch.no_grad():
        before, state = model(ids).logits, {name: id(value) for name, value in model.state_dict(keep_vars=True).items()}
    for _ in range(2):
        with pytest.raises(RuntimeError, match="inside"), constrained_head(model, columns, is_small=is_small):
            raise RuntimeError("inside")
        with constrained_head(model, columns, is_small=is_small):
            pass
    with torch.no_grad():
        assert torch.equal(model(ids).logits, before)
    assert {name: id(value) for name, value in model.state_dict(keep_vars=True).items()} == state
    assert not model._forward_hooks
    assert "forward" not in vars(model.get_output_embeddings())


class OtherLinear(nn.Linear):
    """As a quantised layer: a head that is no plain linear layer."""


@pytest.mark.parametrize("spoil", ["other_class", "integers"])
def test_a_head_that_cannot_be_cut_is_refused(tiny: Tiny, columns: AllowedColumns, spoil: str) -> None:
    model = tiny("llama", width=440)
    if spoil == "other_class":
        model.lm_head.__class__ = OtherLinear
    else:
        model.lm_head.weight = nn.Parameter(torch.zeros(440, 16, dtype=torch.int8), requires_grad=False)
    for attempt in (
        lambda: check_small_head(model),
        lambda: compact_head(model, columns.ids).__enter__(),
        lambda: constrained_head(model, columns).__enter__(),
    ):
        with pytest.raises(
            ValueError, match=r"only plain linear layers can be cut; set model\.constraint\.small_head=false"
        ):
            attempt()
    assert not model._forward_hooks


@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_lora_on_the_head_is_refused_and_elsewhere_works(tables_of: TablesOf, tiny: Tiny, kind: str) -> None:
    peft = pytest.importorskip("peft")
    tables = tables_of("byte_level")
    on_head = peft.get_peft_model(tiny(kind, width=440), peft.LoraConfig(target_modules=["lm_head"]))
    with pytest.raises(ValueError, match="the output head carries an adapter") as caught:
        check_small_head(on_head)
    assert "\n" not in str(caught.value)
    adapted = peft.get_peft_model(
        tiny(kind, width=440), peft.LoraConfig(target_modules=["v_proj"], init_lora_weights=False)
    )
    check_small_head(adapted)
    small, full = (
        generated(adapted, tables, lambda held, _, s=is_small: constrained_head(adapted, held.columns, is_small=s), {})
        for is_small in (True, False)
    )
    oracle = generated(adapted, tables, lambda _, beams: minus_infinity(adapted.get_base_model(), tables, beams), {})
    assert torch.equal(small.sequences, full.sequences)
    assert torch.equal(small.sequences, oracle.sequences)
    plain = generated(
        tiny(kind, width=440), tables, lambda *_: constrained_head(tiny(kind, width=440), _[0].columns), {}
    )
    assert not torch.equal(small.sequences, plain.sequences), "the adapter is in the scores"
    # Without the small head an adapter on it is as good as any other.
    wide = generated(on_head, tables, lambda held, _: constrained_head(on_head, held.columns, is_small=False), {})
    assert wide.sequences.shape[1] > 5


def test_columns_are_shared_by_the_sequences_of_a_row() -> None:
    is_denied = torch.tensor([[True, False], [False, True]])
    columns = AllowedColumns(ids=torch.tensor([1, 3]), is_denied=is_denied)
    shared: Tensor | None = columns.denied(4)
    assert shared is not None
    assert shared.tolist() == [[True, False], [True, False], [False, True], [False, True]]
    assert AllowedColumns(ids=torch.tensor([1]), is_denied=None).denied(4) is None
    spread = columns.spread(torch.tensor([[5.0, 6.0]]), like=torch.zeros(1, 5))
    assert spread.tolist() == [[-torch.inf, 5.0, -torch.inf, 6.0, -torch.inf]]
