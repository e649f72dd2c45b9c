"""Functional units: amounts by service and model, Wh per unit where the unit is theirs alone, and comparisons per unit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from footprint.cli.app import status_of
from footprint.figures.query import BadQuery, Query
from footprint.ledger.importers import import_energy, import_requests
from footprint.queries.comparison import compare, queries_by_name
from footprint.queries.functional_units import functional_units
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US, compute, config, energy_lines, query_rows, write

FACTS = """
[[host]]
name = "a"
[[service]]
name = "draw"
model = "painter"
devices = ["a/gpu:0"]
[[service]]
name = "scan"
model = "reader"
devices = ["a/gpu:1"]
"""
HEADER = "start,end,service,use_case,output_tokens,units,unit"


def lines(service: str, unit: str, units: float, count: int = 60) -> list[str]:
    return [f"{DAY_S + 50 * n},{DAY_S + 50 * n + 20},{service},u,,{units},{unit}" for n in range(count)]


@pytest.fixture
def store(sqlite: Store, tmp_path: Path) -> Store:
    import_energy(sqlite, write(tmp_path / "e.csv", energy_lines(DAY_S, 3600)), NOW_US)
    import_requests(
        sqlite,
        config(FACTS),
        write(tmp_path / "r.csv", [HEADER, *lines("draw", "images", 2), *lines("scan", "pages", 5)]),
        NOW_US,
    )
    compute(sqlite, config(FACTS))
    return sqlite


def test_energy_per_unit_is_that_of_its_service(store: Store) -> None:
    facts = config(FACTS)
    rows = {row["unit"]: row for row in functional_units(store, facts, None, None, NOW_US)}
    energy = {
        row["service"]: row["energy_kwh"] for row in query_rows(store, facts, group=("service", "model")) if row["requests"]
    }
    assert (rows["images"]["units"], rows["images"]["requests"], rows["pages"]["units"]) == (120, 60, 300)
    assert rows["images"]["wh_per_unit"] == pytest.approx(1000 * energy["draw"] / 120)
    assert rows["pages"]["wh_per_unit_low"] < rows["pages"]["wh_per_unit"] < rows["pages"]["wh_per_unit_high"]


def test_a_unit_that_others_share_has_no_value(store: Store, tmp_path: Path) -> None:
    facts = config(FACTS)
    import_requests(store, facts, write(tmp_path / "more.csv", [HEADER, *lines("draw", "videos", 1, 30)]), NOW_US)
    compute(store, facts)
    rows = {row["unit"]: row for row in functional_units(store, facts, None, None, NOW_US)}
    assert (rows["videos"]["units"], rows["videos"]["wh_per_unit"], rows["images"]["wh_per_unit"]) == (30, None, None)
    assert rows["pages"]["wh_per_unit"] > 0


def test_two_services_are_compared_per_unit(store: Store, tmp_path: Path) -> None:
    facts = config(FACTS)
    import_requests(store, facts, write(tmp_path / "s.csv", [HEADER, *lines("scan", "images", 1)]), NOW_US)
    compute(store, facts)
    queries = queries_by_name("service", "draw", "scan", Query())
    with pytest.raises(BadQuery, match="bear images"):
        compare(store, facts, queries, ("draw", "scan"), NOW_US, per="images", anyway=True)
    with pytest.raises(BadQuery, match=r"no songs in the period.*images"):
        compare(store, facts, queries, ("draw", "scan"), NOW_US, per="songs", anyway=True)
    query = Query(where=(("service", "draw"),), from_us=DAY_S * 1_000_000)
    same = compare(store, facts, (query, query), ("x", "y"), NOW_US, per="images", anyway=True)
    energy = query_rows(store, facts, where=(("service", "draw"),))[0]["energy_kwh"]
    assert same.ratio.value == pytest.approx(1)
    assert same.a_wh.value == pytest.approx(1000 * energy / 120)


def test_units_by_place_are_refused(store: Store) -> None:
    query = Query(where=(("host", "a"),))
    with pytest.raises(BadQuery, match="known by service"):
        compare(store, config(FACTS), (query, query), ("x", "y"), NOW_US, per="images", anyway=True)


def test_the_command_prints_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "footprint.toml", [FACTS])
    assert status_of(["import", "requests", write(tmp_path / "r.csv", [HEADER, *lines("draw", "images", 2)])]) == 0
    assert status_of(["import", "energy", write(tmp_path / "e.csv", energy_lines(DAY_S, 3600))]) == 0
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    assert status_of(["units", "--format", "json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["rows"]
    assert (row["service"], row["unit"], row["units"]) == ("draw", "images", 120)
