from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.callbacks.samples import choose_samples, markdown_table, shorten
from kosum_pl.types import Prediction


def prediction(example_id: str, text: str = "") -> Prediction:
    return Prediction(
        example_id=example_id, text=text, raw_text=text, dialogue="", references=(), profile={}, log_prob=0.0,
        num_tokens=1, reached_eos=True, attempts=1, preset="fast",
    )  # fmt: skip


@given(st.sets(st.text(max_size=4), min_size=1, max_size=30), st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_choice_knows_no_order_and_no_text(ids: set[str], seed: int, order: random.Random) -> None:
    rows = [prediction(example_id) for example_id in sorted(ids)]
    chosen = [row.example_id for row in choose_samples(rows, num_samples=4, seed=seed)]
    rows = [prediction(row.example_id, "안녕") for row in rows]
    order.shuffle(rows)
    assert [row.example_id for row in choose_samples(rows, num_samples=4, seed=seed)] == chosen
    assert len(set(chosen)) == min(4, len(ids))


def test_more_rows_leave_most_of_the_choice_in_place() -> None:
    """Rows of a subset that are chosen from the whole are chosen from the subset."""
    rows = [prediction(f"dev_{number}") for number in range(100)]
    whole = {row.example_id for row in choose_samples(rows, num_samples=10, seed=42)}
    half = {row.example_id for row in choose_samples(rows[:50], num_samples=10, seed=42)}
    assert whole & {f"dev_{number}" for number in range(50)} <= half


def test_another_seed_chooses_other_rows() -> None:
    rows = [prediction(f"dev_{number}") for number in range(100)]
    chosen = [[row.example_id for row in choose_samples(rows, num_samples=4, seed=seed)] for seed in (1, 2)]
    assert chosen[0] != chosen[1]


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_cell_stays_in_its_line_and_column(reference: str, said: str) -> None:
    line = {"example_id": "a", "dialogue": "안녕", "reference": reference, "prediction": said}
    row = markdown_table([line], max_characters=50).split("\n")
    assert len(row) == 3
    plain = row[2].replace("\\\\", "").replace("\\|", "")
    assert plain.count("|") == 5
    assert "<" not in plain.replace("<br>", "")


@given(st.text(max_size=30), st.integers(1, 30))
def test_a_short_text_is_a_head_of_the_long_one(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short == text or text.startswith(short.removesuffix("…"))
