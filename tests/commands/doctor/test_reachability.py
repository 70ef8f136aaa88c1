from __future__ import annotations

import json
from pathlib import Path

import pytest

from kosum_pl.__main__ import main
from kosum_pl.commands.doctor.command import EXIT_BROKEN
from kosum_pl.commands.doctor.reachability import reachability_findings
from kosum_pl.decode.reachability.report import Reachability
from tests.commands.doctor.levels import levels

pytestmark = pytest.mark.usefixtures("no_weights")


@pytest.mark.parametrize(("num_lost", "level"), [(0, "ok"), (5, "ok"), (6, "warning"), (20, "warning"), (21, "broken")])
def test_levels_begin_below_95_and_below_80_percent(num_lost: int, level: str) -> None:
    ids = [f"dev_{number}" for number in range(num_lost)]
    found = Reachability(num_rows=100, num_all=100, unreachable=ids, remedy="max_new_tokens: 64 in preset 'a'")
    (finding,) = reachability_findings({"val": found})
    assert finding.level == level
    assert finding.text == found.line("val")
    assert finding.remedy == ("" if level == "ok" else found.remedy_line())


def test_a_remedy_is_named_where_no_one_change_helps() -> None:
    (finding,) = reachability_findings({"val": Reachability(num_rows=2, num_all=2, unreachable=["a", "b"])})
    assert (levels([finding]), finding.remedy) == (
        ["broken"],
        "no one field of a preset helps: several rules forbid the same references",
    )


@pytest.mark.parametrize(("most", "status"), [(128, 0), (2, EXIT_BROKEN)])
def test_a_preset_too_short_for_all_is_broken(work: Path, most: int, status: int) -> None:
    (work / "mine.yaml").write_text(f"max_new_tokens: {most}\n", encoding="utf-8")
    call = ["doctor", "--config", "tiny.yaml", "--model.preset=mine.yaml", "--model.random_init=true"]
    assert main([*call, "--json", "out.json"]) == status
    values = json.loads((work / "out.json").read_text(encoding="utf-8"))
    found = [each for each in values["findings"] if each["area"] == "reachability"]
    assert [each["level"] for each in found] == ["broken" if status else "ok"]
    assert values["reachability"]["val"]["num_rows"] == 2
    if status:
        assert found[0]["remedy"].startswith("max_new_tokens: 64 in preset")
