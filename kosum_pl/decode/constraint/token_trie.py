"""A vocabulary as a trie, run from every state of an automaton at once.

In: the bytes of every token, and transitions. Out: which token leads where from which state. The many states in which
a text may go on with anything (behind the first half of a word that is a literal, for one) agree on nearly all tokens:
each is run beside one like it, the *base*, and only where the two part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.decode.constraint.minimal import DEAD

NO_BASE: Final = DEAD
"""Base of a state that is run alone."""
_ROOT: Final = 0
_MAX_BASES: Final = 32
# From so many transitions on a state wants a base, and in so many at most it may differ from it.
_MANY: Final = 32
_FEW: Final = 16
_PAIRS_AT_ONCE: Final = 1 << 21

Steps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""State, token, and the state behind it, `DEAD` for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTrie:
    """N nodes, the root first, the children of a node side by side.

    Attributes:
        labels: Last byte of each node, (N,); of the root, none.
        first_child: Its first child, (N,).
        num_children: How many, (N,).
        tokens: Ids of all tokens that write something, in order of their nodes, (V,).
        first_token: Where those of each node begin in `tokens`, (N + 1,).
    """

    labels: NDArray[np.int64]
    first_child: NDArray[np.int64]
    num_children: NDArray[np.int64]
    tokens: NDArray[np.int64]
    first_token: NDArray[np.int64]

    def run(self, transitions: NDArray[np.int32], states: NDArray[np.int64], bases: NDArray[np.int64]) -> Steps:
        """Steps of tokens from some states, each where it differs from that of its base.

        Args:
            transitions: Next state by state and byte, (Q, 256).
            states: Of which to run, (S,).
            bases: Base of each, or `NO_BASE`, (S,).
        """
        # The last row is that of `DEAD`, which Python counts from the end.
        table = np.vstack([transitions, np.full((1, transitions.shape[1]), DEAD, dtype=transitions.dtype)])
        found = [*self._walk(table, states, bases)]
        if not found:
            return (np.zeros(0, dtype=np.int64),) * 3
        sources, nodes, ends = (np.concatenate(parts) for parts in zip(*found, strict=True))
        places, sizes = _spread(self.first_token[nodes], np.diff(self.first_token)[nodes])
        return np.repeat(sources, sizes), self.tokens[places], np.repeat(ends, sizes)

    def _walk(self, table: NDArray[np.int32], states: NDArray[np.int64], bases: NDArray[np.int64]) -> Iterator[Steps]:
        """(state, node, state behind it) of all nodes to which a state and its base lead differently."""
        pending = [(states, np.full(len(states), _ROOT), states, bases)]
        while pending:
            sources, nodes, ends, others = pending.pop()
            if len(nodes) > 1 and self.num_children[nodes].sum() > _PAIRS_AT_ONCE:
                half = len(nodes) // 2
                for cut in (slice(half, None), slice(half)):
                    pending.append((sources[cut], nodes[cut], ends[cut], others[cut]))
                continue
            children, sizes = _spread(self.first_child[nodes], self.num_children[nodes])
            labels = self.labels[children]
            ends = table[np.repeat(ends, sizes), labels].astype(np.int64)
            others = table[np.repeat(others, sizes), labels].astype(np.int64)
            parted = np.flatnonzero(ends != others)
            if len(parted):
                sources = np.repeat(sources, sizes)[parted]
                children, ends, others = children[parted], ends[parted], others[parted]
                yield sources, children, ends
                pending.append((sources, children, ends, others))


def build_trie(written: Sequence[bytes]) -> TokenTrie:
    """The trie of all tokens that write something.

    Example:
        >>> trie = build_trie([b"ab", b"", b"b", b"a", b"b"])
        >>> bytes(trie.labels[1:].tolist()), trie.num_children.tolist(), trie.tokens.tolist()
        (b'abb', [2, 1, 0, 0], [3, 2, 4, 0])
    """
    order = np.array(sorted((token for token, piece in enumerate(written) if piece), key=written.__getitem__), np.int64)
    lengths = np.array([len(written[token]) for token in order], dtype=np.int64)
    begins = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    blob = np.frombuffer(b"".join(written[token] for token in order), dtype=np.uint8)
    labels, parents = [np.zeros(1, np.int64)], [np.zeros(0, np.int64)]
    num_nodes, depth = 1, 0
    node_of = np.full(len(order), _ROOT)
    rows = np.arange(len(order))
    while len(rows):
        bytes_here, above = blob[begins[rows] + depth].astype(np.int64), node_of[rows]
        # In order of their bytes, tokens of one node stand side by side.
        is_new = np.append(True, (bytes_here[1:] != bytes_here[:-1]) | (above[1:] != above[:-1]))
        node_of[rows] = num_nodes - 1 + np.cumsum(is_new)
        labels.append(bytes_here[is_new])
        parents.append(above[is_new])
        num_nodes += int(is_new.sum())
        depth += 1
        rows = rows[lengths[rows] > depth]
    parent_of = np.concatenate(parents)
    num_children = np.bincount(parent_of, minlength=num_nodes)
    return TokenTrie(
        labels=np.concatenate(labels),
        # Nodes are numbered by depth and then as their parents are, which leaves no gap between siblings and cousins.
        first_child=1 + np.cumsum(num_children) - num_children,
        num_children=num_children,
        tokens=order[np.argsort(node_of, kind="stable")],
        first_token=np.concatenate([[0], np.cumsum(np.bincount(node_of, minlength=num_nodes))]),
    )


def find_bases(transitions: NDArray[np.int32], is_wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each state another one with nearly the same transitions, which has no base itself; else `NO_BASE`, (Q,)."""
    bases = np.full(len(transitions), NO_BASE)
    waiting = np.flatnonzero(is_wanted & ((transitions != DEAD).sum(axis=1) >= _MANY))
    for _ in range(_MAX_BASES):
        if len(waiting) < 2:
            break
        base, others = waiting[0], waiting[1:]
        is_near = (transitions[others] != transitions[base]).sum(axis=1) <= _FEW
        bases[others[is_near]] = base
        waiting = others[~is_near]
    return bases


def _spread(first: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`first[0]`, `first[0] + 1`, … so many as `sizes[0]`, then the same of the next; and the sizes."""
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(first, sizes) + within, sizes
