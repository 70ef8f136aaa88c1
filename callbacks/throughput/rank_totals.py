"""One rank's interval as a row of numbers, and the rows of all ranks as one.

In: an `Interval` and memory by name. Out: a vector that any collective can carry, and totals. How numbers of several
ranks become one is decided here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .batch_counts import BatchCounts
from .meter import Interval, step_percentiles


@dataclass(frozen=True, slots=True, kw_only=True)
class RankTotals:
    """Measured steps of all ranks.

    Attributes:
        num_steps: Optimizer steps, the same on every rank.
        counts: Summed over ranks.
        wall_seconds: The slowest rank's: the others wait for it.
        wait_seconds: Mean over ranks.
        memory: In GB, by name: the largest of any rank.
    """

    num_steps: int = 0
    counts: BatchCounts = field(default_factory=BatchCounts)
    wall_seconds: float = 0.0
    wait_seconds: float = 0.0
    memory: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, later: RankTotals) -> RankTotals:
        """Both, with the memory of the later one."""
        return RankTotals(
            num_steps=self.num_steps + later.num_steps,
            counts=self.counts + later.counts,
            wall_seconds=self.wall_seconds + later.wall_seconds,
            wait_seconds=self.wait_seconds + later.wait_seconds,
            memory=later.memory,
        )

    def values(self, step_seconds: Sequence[float]) -> dict[str, float]:
        """What can be said of them, by name; rates are per second of wall time.

        Args:
            step_seconds: Of each step.
        """
        median, high = step_percentiles(step_seconds)
        return {
            "padded_tokens_per_s": self.counts.padded_tokens / self.wall_seconds,
            "supervised_tokens_per_s": self.counts.supervised_tokens / self.wall_seconds,
            "padding_ratio": self.counts.padding_ratio,
            "step_ms_p50": median,
            "step_ms_p95": high,
            "data_wait_share": self.wait_seconds / self.wall_seconds,
            **self.memory,
        }


def rank_vector(interval: Interval, memory: Mapping[str, float]) -> list[float]:
    """One rank's numbers, in the order that `total_over_ranks` reads."""
    counts = interval.counts
    return [
        interval.num_steps,
        counts.rows,
        counts.real_tokens,
        counts.padded_tokens,
        counts.supervised_tokens,
        counts.flops,
        interval.wall_seconds,
        interval.wait_seconds,
        *memory.values(),
    ]


def total_over_ranks(vectors: Sequence[Sequence[float]], *, memory_names: Sequence[str]) -> RankTotals:
    """All ranks' numbers as one.

    Args:
        vectors: One of `rank_vector` for each rank.
        memory_names: Names of the numbers at the end, the same on every rank.

    Example:
        >>> ours, theirs = [2, 4, 90, 100, 9, 0, 2.0, 0.5, 3.0], [2, 4, 70, 100, 9, 0, 2.5, 1.5, 5.0]
        >>> total = total_over_ranks([ours, theirs], memory_names=["memory_peak_gb"])
        >>> total.counts.real_tokens, total.wall_seconds, total.wait_seconds, total.memory
        (160, 2.5, 1.0, {'memory_peak_gb': 5.0})
    """
    steps, rows, real, padded, supervised, flops, wall, wait, *memory = zip(*vectors, strict=True)
    assert len(memory) == len(memory_names), "ranks differ in what they know of memory"
    return RankTotals(
        num_steps=int(max(steps)),
        counts=BatchCounts(
            rows=int(sum(rows)),
            real_tokens=int(sum(real)),
            padded_tokens=int(sum(padded)),
            supervised_tokens=int(sum(supervised)),
            flops=int(sum(flops)),
        ),
        wall_seconds=max(wall),
        wait_seconds=sum(wait) / len(vectors),
        memory=dict(zip(memory_names, map(max, memory), strict=True)),
    )


def speed_in_words(summary: Mapping[str, float]) -> str:
    """A run's speed in one line.

    Args:
        summary: Values of `RankTotals` and `tokens_per_s`, by name.

    Example:
        >>> speed_in_words({"tokens_per_s": 1234.4, "padding_ratio": 0.081, "step_ms_p50": 45.2, "step_ms_p95": 60.0,
        ...                 "data_wait_share": 0.012, "memory_peak_gb": 1.23})
        'throughput: 1,234 tokens/s (real), padding 8%, step 45 ms (p95 60), waiting for data 1%, memory peak 1.2 GB'
    """
    parts = [
        f"throughput: {summary['tokens_per_s']:,.0f} tokens/s (real)",
        f"padding {summary['padding_ratio']:.0%}",
        f"step {summary['step_ms_p50']:,.0f} ms (p95 {summary['step_ms_p95']:,.0f})",
        f"waiting for data {summary['data_wait_share']:.0%}",
    ]
    if "memory_peak_gb" in summary:
        parts.append(f"memory peak {summary['memory_peak_gb']:.1f} GB")
    if "device_peak_share" in summary:
        parts.append(f"{summary['device_peak_share']:.0%} of the device's peak")
    return ", ".join(parts)
