"""Contenders of one decoding step: ours, what users write by hand, and the libraries for grammars.

In: ids so far (N, T) and scores (N, V). Out: scores of the step. Each does the whole job: it learns the new tokens,
computes what is allowed and returns masked scores. The libraries are used as their own pages recommend for batches: one
bitmask that is filled row by row and applied in place.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.constraint_vocabularies import PROMPT_LENGTH, Vocabulary, row_words
from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint.kinds import PrefixFunctionConstraint, StaticMaskConstraint
from kosum_pl.decode.constraint.processors import GenerationShape
from kosum_pl.decode.literals import DEFAULT_LITERALS

Step = Callable[[Tensor, Tensor], Tensor]
EXACT = ("automaton", "automaton, in place", "prefix function", "xgrammar", "llguidance")
"""Contenders that allow the same tokens at every step."""
IN_PLACE = frozenset({"automaton, in place", "xgrammar", "llguidance"})
PACKAGES = ("xgrammar", "llguidance")
_MAX_NEW_TOKENS = 4096


@dataclass(frozen=True, kw_only=True)
class Peers:
    """Compiled grammars of a vocabulary, which serve every batch; None for a package that is not installed."""

    xgrammar: Any
    llguidance: Any


def contenders(vocabulary: Vocabulary, peers: Peers, *, num_rows: int, device: torch.device) -> dict[str, Step]:
    """Fresh contenders for one batch, in the order in which they are shown; those in `IN_PLACE` overwrite scores."""
    no_words: list[list[str]] = [[]] * num_rows
    shape = GenerationShape(prompt_length=PROMPT_LENGTH, max_new_tokens=_MAX_NEW_TOKENS)
    in_place = GenerationShape(prompt_length=PROMPT_LENGTH, max_new_tokens=_MAX_NEW_TOKENS, overwrites_scores=True)
    constraint = vocabulary.constraint
    ends = constraint.eos_token_ids
    prefix = PrefixFunctionConstraint(constraint.tables, eos_token_ids=ends)
    is_denied = torch.ones(vocabulary.size, dtype=torch.bool)
    is_denied[torch.from_numpy(StaticMaskConstraint(constraint.tables, eos_token_ids=ends).columns)] = False
    is_denied = is_denied.to(device)
    mask = torch.zeros(vocabulary.size, device=device).masked_fill(is_denied, -math.inf)
    found: dict[str, Step] = {
        "no constraint (log_softmax)": lambda _, scores: scores.log_softmax(dim=-1),
        "static mask, scores + mask": lambda _, scores: scores + mask,
        "static mask, masked_fill": lambda _, scores: scores.masked_fill(is_denied, -math.inf),
        "automaton": constraint.for_rows(no_words, shape).processor,
        "automaton, in place": constraint.for_rows(no_words, in_place).processor,
        "automaton, row literals": constraint.for_rows(row_words(num_rows), shape).processor,
        "prefix function": prefix.for_rows(no_words, shape).processor,
    }
    if peers.xgrammar is not None:
        found["xgrammar"] = _xgrammar_step(peers.xgrammar, num_rows, vocabulary.size)
    if peers.llguidance is not None:
        found["llguidance"] = _llguidance_step(peers.llguidance, num_rows, vocabulary.size)
    return found


def compile_peers(vocabulary: Vocabulary) -> Peers:
    """The same language as a grammar of each library that is installed."""
    return Peers(
        xgrammar=_xgrammar_grammar(vocabulary) if importlib.util.find_spec("xgrammar") else None,
        llguidance=_llguidance_grammar(vocabulary) if importlib.util.find_spec("llguidance") else None,
    )


def assert_same_masks(vocabulary: Vocabulary, peers: Peers, *, num_rows: int, num_steps: int) -> dict[str, bool | None]:
    """Hold every exact contender's masks against the automaton's along a walk.

    Args:
        vocabulary: Of the walk.
        peers: Compiled grammars.
        num_rows: Rows.
        num_steps: Steps.

    Returns:
        By contender, True; None for one that is not installed.

    Raises:
        AssertionError: A mask differs.
    """
    device = torch.device("cpu")
    steps = contenders(vocabulary, peers, num_rows=num_rows, device=device)
    ids, _ = vocabulary.walks(num_rows, num_steps)
    for step in range(num_steps):
        seen = ids[:, : PROMPT_LENGTH + step]
        ours = steps["automaton"](seen, torch.zeros(num_rows, vocabulary.size)).isneginf()
        for name in [name for name in EXACT[1:] if name in steps]:
            theirs = steps[name](seen, torch.zeros(num_rows, vocabulary.size)).isneginf()
            assert torch.equal(ours, theirs), f"{vocabulary.name}: masks of {name} differ at step {step}"
    return {name: True if name in steps else None for name in EXACT[1:]}


def _new_tokens(input_ids: Tensor) -> Sequence[int]:
    """Tokens of the last step; none at the first."""
    return input_ids[:, -1].tolist() if input_ids.shape[1] > PROMPT_LENGTH else []


def _xgrammar_grammar(vocabulary: Vocabulary) -> Any:
    import xgrammar

    def escaped(point: int) -> str:
        return f"\\u{point:04X}" if point < 0x10000 else f"\\U{point:08X}"

    spans = "".join(f"{escaped(first)}-{escaped(last)}" for first, last in Charset().spans)
    literals = " | ".join(json.dumps(literal) for literal in DEFAULT_LITERALS)
    # Of six ways to write this language the fastest by far: `(character | literal)*` takes four times as long.
    grammar = f'root ::= "" | [{spans}] root | literal root\nliteral ::= {literals}\n'
    info = xgrammar.TokenizerInfo.from_huggingface(
        vocabulary.tokenizer, vocab_size=vocabulary.size, stop_token_ids=list(vocabulary.constraint.eos_token_ids)
    )
    return xgrammar.GrammarCompiler(info, max_threads=torch.get_num_threads()).compile_grammar(grammar)


def _xgrammar_step(grammar: Any, num_rows: int, size: int) -> Step:
    import xgrammar

    matchers = [xgrammar.GrammarMatcher(grammar) for _ in range(num_rows)]
    bitmask = xgrammar.allocate_token_bitmask(num_rows, size)

    def step(input_ids: Tensor, scores: Tensor) -> Tensor:
        for matcher, token in zip(matchers, _new_tokens(input_ids), strict=False):
            matcher.accept_token(token)
        for row, matcher in enumerate(matchers):
            matcher.fill_next_token_bitmask(bitmask, row)
        xgrammar.apply_token_bitmask_inplace(scores, bitmask.to(scores.device, non_blocking=True))
        return scores

    return step


def _llguidance_grammar(vocabulary: Vocabulary) -> Any:
    import llguidance
    import llguidance.hf

    spans = "".join(f"\\x{{{first:X}}}-\\x{{{last:X}}}" for first, last in Charset().spans)
    literals = "|".join(re.escape(literal) for literal in DEFAULT_LITERALS)
    grammar = llguidance.LLMatcher.grammar_from_regex(f"([{spans}]|{literals})*")
    tokenizer = llguidance.hf.from_tokenizer(vocabulary.tokenizer, n_vocab=vocabulary.size)
    return llguidance.LLMatcher(tokenizer, grammar)


def _llguidance_step(grammar: Any, num_rows: int, size: int) -> Step:
    import llguidance
    import llguidance.torch as api

    matchers = [grammar.deep_copy() for _ in range(num_rows)]
    executor = llguidance.LLExecutor(num_threads=torch.get_num_threads())
    bitmask = api.allocate_token_bitmask(num_rows, size)

    def step(input_ids: Tensor, scores: Tensor) -> Tensor:
        for matcher, token in zip(matchers, _new_tokens(input_ids), strict=False):
            matcher.consume_token(token)
        api.fill_next_token_bitmask_par(executor, [(matcher, row) for row, matcher in enumerate(matchers)], bitmask)
        api.apply_token_bitmask_inplace(scores, bitmask.to(scores.device, non_blocking=True))
        return scores

    return step
