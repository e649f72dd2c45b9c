"""From a question down to the readings: each level sums to the one above, and names where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from footprint.core.units import US_PER_DAY
from footprint.figures import Query, run_query
from footprint.ledger.archive_writer import seal
from footprint.ledger.object_store import ObjectStore
from footprint.queries import lineage
from footprint.storage.database import Store
from tests.support.contract_files import CONFIG, DAY_S, NOW_US, START, compute, config, energy_lines, import_files, request_lines

DAY = DAY_S // 86_400


@pytest.fixture
def walked(store: Store, tmp_path: Path) -> Store:
    import_files(store, config(), tmp_path, energy_lines(START, 7200), request_lines(START, 7200, 40))
    compute(store, config())
    return store


def test_levels_sum_to_the_figure(walked: Store) -> None:
    for where in ((), (("use_case", "drafting"),), (("service", "chat"),)):
        question = Query(where=where)
        whole = run_query(walked, config(), question, NOW_US).rows[0]["energy_kwh"]
        days = lineage.day_level(walked, config(), question, NOW_US)
        assert sum(row["energy_kwh"] for row in days.rows) == pytest.approx(whole, abs=1e-12)
        hours = lineage.hour_level(walked, config(), question, NOW_US, host="a", utc_day=DAY)
        assert sum(row["energy_kwh"] for row in hours.rows) == pytest.approx(whole, abs=1e-12)
        if where and where[0][0] == "use_case":
            assert {row["use_case"] for row in hours.rows} == {"drafting"}


def test_readings_are_those_of_the_file(walked: Store) -> None:
    found = lineage.reading_level(walked, host="a", device="gpu:2", utc_day=DAY).rows
    told = [line.split(",") for line in energy_lines(START, 7200) if ",gpu:2," in line]
    assert [row["value"] for row in found] == [round(float(line[4]) * 1e6) for line in told]


def test_the_same_rows_have_the_same_digest_and_others_another(walked: Store) -> None:
    one, same = (lineage.reading_level(walked, host="a", device="gpu:2", utc_day=DAY) for _ in range(2))
    assert one.sha256 == same.sha256
    assert one.sha256 != lineage.reading_level(walked, host="a", device="cpu:0", utc_day=DAY).sha256


def test_facts_say_what_turned_readings_into_figures(walked: Store) -> None:
    (row,) = lineage.fact_level(walked, config(), Query(), NOW_US).rows
    assert (row["host"], row["site"], row["pue"], row["uplift"]) == ("a", "paris-1", 1.35, 1.2)
    assert row["g_per_kwh_low"] < row["g_per_kwh"] < row["g_per_kwh_high"]
    assert row["factor"]


def test_origins_name_the_import_and_then_the_sealed_file(walked: Store, tmp_path: Path) -> None:
    (one,) = lineage.origin_level(walked, config(), host="a", utc_day=DAY).rows
    assert (one["kind"], one["rows"], one["date"]) == ("energy", 721 * 4, "2026-07-01")
    from footprint.config import parse_config

    facts = parse_config(f'[store]\nsealed = "{tmp_path / "sealed"}"\n' + CONFIG)
    seal(walked, ObjectStore(facts.sealed_url()), NOW_US, after_days=2, keep_days=3)
    kinds = [(row["kind"], bool(row["chain_link"])) for row in lineage.origin_level(walked, facts, host="a", utc_day=DAY).rows]
    assert kinds == [("energy", False), ("sealed file", True)]
    assert len(lineage.reading_level(walked, host="a", device="gpu:2", utc_day=DAY).rows) == 721  # out of the file now


def test_a_day_without_anything_has_no_rows(walked: Store) -> None:
    later = Query(from_us=(DAY + 9) * US_PER_DAY, to_us=(DAY + 10) * US_PER_DAY)
    assert not lineage.day_level(walked, config(), later, NOW_US).rows
    assert not lineage.origin_level(walked, config(), host="a", utc_day=DAY + 9).rows
