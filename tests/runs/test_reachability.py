"""What `fit` says of reachability before it trains."""

from __future__ import annotations

from types import SimpleNamespace

from kosum_pl.decode.reachability.report import Reachability
from kosum_pl.runs.reachability import measure_fit, reachability_lines

ALL = Reachability(num_rows=10, num_all=10)
FEW = Reachability(
    num_rows=10,
    num_all=10,
    forbidden={"max_new_tokens": ["a"]},
    unreachable=["a"],
    remedy="max_new_tokens: 192 in preset 'fast'",
)


class Measured(SimpleNamespace):
    """A data module whose splits have these numbers, under the presets of a submission and of `fit`."""

    def measure_reachability(self, split: str, *, decoding: object, max_rows: int) -> tuple[Reachability, Reachability]:
        assert (decoding, max_rows) == ("decoding", 500)
        found: tuple[Reachability, Reachability] = self.tables[split]
        return found


MODULE = SimpleNamespace(decoding="decoding")


def test_val_is_measured_and_train_where_there_is_no_val() -> None:
    assert measure_fit(Measured(tables={"train": (FEW, FEW), "val": (ALL, ALL)}), MODULE) == {"val": ALL}
    assert measure_fit(Measured(tables={"train": (FEW, FEW)}), MODULE) == {"train": FEW}
    assert measure_fit(SimpleNamespace(tables={}), MODULE) == {}


def test_the_presets_of_fit_are_named_where_they_forbid_more() -> None:
    assert measure_fit(Measured(tables={"val": (ALL, FEW)}), MODULE) == {"val": ALL, "val inside fit": FEW}
    assert measure_fit(Measured(tables={"val": (FEW, ALL)}), MODULE) == {"val": FEW}


def test_few_are_a_warning_with_what_to_change() -> None:
    assert list(reachability_lines({"val": ALL, "val inside fit": FEW})) == [
        "val: 100 % of 10 references can be said",
        "warning: val inside fit: 90.0 % of 10 references can be said (1 longer than max_new_tokens: a); "
        "max_new_tokens: 192 in preset 'fast': then 100 % can be said",
    ]
