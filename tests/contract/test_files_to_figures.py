"""From files to figures: energy closes for every grouping and period, and any order of runs ends in the same rows."""

from pathlib import Path

import pytest

from footprint.core.timestamps import format_instant
from footprint.figures import BadQuery
from footprint.ledger.import_batches import list_batches, withdraw_batch
from footprint.ledger.importers import import_energy, import_requests
from footprint.storage.database import Store
from tests.support import contract_files as walk
from tests.support.contract_files import (
    DAY_S,
    NOW_US,
    compute,
    config,
    energy_lines,
    import_files,
    query_rows,
    request_lines,
    write,
)

LENGTH_S = 4 * 3600
START_S = DAY_S + 22 * 3600 + 7  # across midnight in UTC


def expected_kwh(lines: list[str], uplift: float = 1.2, pue: float = 1.35) -> float:
    """Readings x uplift x PUE, by hand."""
    before: dict[str, tuple[float, float]] = {}
    joules = 0.0
    for line in lines[1:]:
        time, _, device, _, counter, power = line.split(",")
        at, value = float(time), float(counter or power)
        if device in before:
            last_at, last = before[device]
            joules += value - last if counter else (value + last) / 2 * (at - last_at)
        before[device] = at, value
    return joules * uplift * pue / 3.6e6


@pytest.fixture
def walked(store: Store, tmp_path: Path) -> tuple[Store, list[str]]:
    lines = energy_lines(START_S, LENGTH_S)
    import_files(store, config(), tmp_path, lines, request_lines(START_S, LENGTH_S, 300))
    compute(store, config())
    return store, lines


def test_energy_is_readings_times_uplift_times_pue_for_every_grouping_and_period(walked: tuple[Store, list[str]]) -> None:
    store, lines = walked
    wanted = expected_kwh(lines)
    groups: list[tuple[str, ...]] = [
        (),
        ("service",),
        ("use_case",),
        ("model",),
        ("device",),
        ("host",),
        ("site",),
        ("charter",),
        ("service", "use_case", "device"),
    ]
    for group in groups:
        for every in ("all", "hour", "day", "month"):
            for view in ("active", "full"):
                rows = query_rows(store, config(), group=group, every=every, view=view)
                total = sum(row["energy_kwh"] or 0 for row in rows)
                assert total == pytest.approx(wanted, rel=1e-9), (group, every, view)


def test_the_four_parts_sum_to_the_energy_and_bounds_hold_it(walked: tuple[Store, list[str]]) -> None:
    for row in query_rows(walked[0], config(), group=("service", "use_case")):
        parts = ("accelerator_active_kwh", "accelerator_idle_kwh", "host_kwh", "facility_kwh")
        assert sum(row[name] for name in parts) == pytest.approx(row["energy_kwh"], rel=1e-12)
        assert row["energy_low_kwh"] < row["energy_kwh"] < row["energy_high_kwh"]
        assert row["co2e_location_low_g"] < row["co2e_location_g"] < row["co2e_location_high_g"]
        assert row["quality"] in {"A", "B", "C"}


def test_cutting_at_any_slot_keeps_the_sum(walked: tuple[Store, list[str]]) -> None:
    store, lines = walked
    for hours in (1, 2):
        cut_us = (START_S // 3600 + hours) * 3_600_000_000
        before, after = query_rows(store, config(), to_us=cut_us), query_rows(store, config(), from_us=cut_us)
        assert before[0]["energy_kwh"] + after[0]["energy_kwh"] == pytest.approx(expected_kwh(lines), rel=1e-9)
        assert before[0]["requests"] + after[0]["requests"] == 300
        assert before[0]["coverage"] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", ["from_us", "to_us"])
def test_a_bound_inside_a_slot_is_refused_with_the_nearest_edges(walked: tuple[Store, list[str]], name: str) -> None:
    hour_us = START_S // 3600 * 3_600_000_000
    edges = f"{format_instant(hour_us)} and {format_instant(hour_us + 3_600_000_000)}"
    with pytest.raises(BadQuery, match=edges):
        query_rows(walked[0], config(), **{name: hour_us + 123_457})


def test_requests_are_counted_once_and_not_in_rows_of_nobody(walked: tuple[Store, list[str]]) -> None:
    rows = query_rows(walked[0], config(), group=("service", "use_case"), every="hour")
    assert sum(row["requests"] for row in rows) == 300
    assert {row["requests"] for row in rows if row["use_case"].startswith("(")} <= {0}
    assert all(row["requests"] is None for row in query_rows(walked[0], config(), group=("device",)))


def test_an_unplaced_gpu_is_unattributed_and_never_spread(walked: tuple[Store, list[str]]) -> None:
    for view in ("active", "full"):
        rows = query_rows(walked[0], config(), group=("service", "device"), view=view)
        assert {row["service"] for row in rows if row["device"] == "gpu:2"} == {"(unattributed)"}


def test_filters_apply_after_attribution(walked: tuple[Store, list[str]]) -> None:
    store = walked[0]
    all_rows = {row["use_case"]: row["energy_kwh"] for row in query_rows(store, config(), group=("use_case",))}
    some = query_rows(store, config(), where=(("use_case", "drafting"), ("use_case", "coding")))
    assert some[0]["energy_kwh"] == pytest.approx(all_rows["drafting"] + all_rows["coding"], rel=1e-12)
    assert query_rows(store, config(), where=(("use_case", "drafting"), ("service", "other"))) == []


def test_any_sequence_of_runs_ends_in_the_same_rows(sqlite: Store, tmp_path: Path) -> None:
    energy, requests = energy_lines(START_S, LENGTH_S), request_lines(START_S, LENGTH_S, 100)
    import_files(sqlite, config(), tmp_path, energy, requests)
    compute(sqlite, config())
    once = query_rows(sqlite, config(), group=("service", "use_case", "device"), every="hour")

    other = Store(f"sqlite:///{tmp_path / 'other.db'}")
    half = len(energy) // 2
    import_energy(other, write(tmp_path / "second.csv", [energy[0], *energy[half:]]), NOW_US)
    compute(other, config())
    import_requests(other, config(), write(tmp_path / "r.csv", requests), NOW_US)
    compute(other, config(), to_us=(START_S + 3600) * 1_000_000, force=True)
    import_energy(other, write(tmp_path / "first.csv", energy[:half]), NOW_US)
    compute(other, config())
    compute(other, config(), force=True)
    assert compute(other, config()).computed == 0
    assert query_rows(other, config(), group=("service", "use_case", "device"), every="hour") == once


def test_a_second_import_changes_nothing(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", energy_lines(START_S, 600))
    first = import_energy(store, path, NOW_US)
    again = import_energy(store, path, NOW_US)
    assert (again.accepted, again.duplicates, len(again.rejects)) == (0, first.accepted, 0)
    asked = write(tmp_path / "r.csv", [line.rpartition(",")[0] for line in request_lines(START_S, 600, 50)])
    first = import_requests(store, config(), asked, NOW_US)
    again = import_requests(store, config(), asked, NOW_US)
    assert (first.accepted, again.accepted, again.duplicates) == (50, 0, 50)


def test_withdrawing_a_batch_takes_its_energy_back(store: Store, tmp_path: Path) -> None:
    import_files(store, config(), tmp_path, energy_lines(START_S, LENGTH_S), request_lines(START_S, LENGTH_S, 20))
    compute(store, config())
    batch = next(row["id"] for row in list_batches(store) if row["kind"] == "energy")
    withdraw_batch(store, batch, "wrong host", NOW_US)
    compute(store, config())
    rows = query_rows(store, config())
    assert rows[0]["energy_kwh"] is None
    assert rows[0]["requests"] == 20


def test_idle_is_learnt_and_stands_with_requests_while_one_runs(sqlite: Store, tmp_path: Path) -> None:
    lines = ["time,host,device,component,power_w"]
    busy = range(3600, 5400)
    lines += [f"{DAY_S + s},a,gpu:0,gpu,{250 if s in busy else 80}" for s in range(0, 7201, 5)]
    import_files(
        sqlite,
        config(),
        tmp_path,
        lines,
        ["start,end,service,use_case,requests", f"{DAY_S + 3600},{DAY_S + 5400},chat,drafting,1"],
    )
    compute(sqlite, config())
    rows = {row["use_case"]: row for row in query_rows(sqlite, config(), group=("use_case",))}
    assert rows["(idle)"]["accelerator_idle_kwh"] == pytest.approx(80 * 5400 / 3.6e6, rel=0.01)
    assert rows["drafting"]["accelerator_idle_kwh"] == pytest.approx(80 * 1800 / 3.6e6, rel=0.01)
    assert rows["drafting"]["accelerator_active_kwh"] == pytest.approx(170 * 1800 / 3.6e6, rel=0.01)
    full = {row["use_case"]: row for row in query_rows(sqlite, config(), group=("use_case",), view="full")}
    assert "(idle)" not in full


def test_a_window_of_several_requests_is_divided_by_time(sqlite: Store, tmp_path: Path) -> None:
    import_files(
        sqlite,
        config(),
        tmp_path,
        energy_lines(DAY_S, 7200),
        ["start,end,service,use_case,requests,output_tokens", f"{DAY_S + 1800},{DAY_S + 5400},chat,drafting,101,7"],
    )
    compute(sqlite, config())
    rows = [row for row in query_rows(sqlite, config(), group=("use_case",), every="hour") if row["use_case"] == "drafting"]
    assert [row["requests"] for row in rows] == [51, 50]
    assert sum(row["output_tokens"] for row in rows) == 7


def test_a_gap_lowers_coverage_and_raises_the_upper_bound_only(sqlite: Store, tmp_path: Path) -> None:
    whole = ["time,host,device,component,power_w", *(f"{DAY_S + s},a,gpu:0,gpu,100" for s in range(0, 3601, 5))]
    holed = [line for line in whole if not line[:10].isdigit() or not DAY_S + 900 < int(line[:10]) < DAY_S + 1800]
    text = walk.CONFIG.replace(', "a/gpu:1"', "")
    import_files(sqlite, config(text), tmp_path, holed, ["start,use_case,service"])
    compute(sqlite, config(text))
    row = query_rows(sqlite, config(text))[0]
    assert row["coverage"] == pytest.approx(0.75, abs=1e-6)
    assert row["accelerator_active_kwh"] + row["accelerator_idle_kwh"] == pytest.approx(0.1 * 0.75, rel=1e-9)
    assert row["energy_high_kwh"] > row["energy_kwh"] / 0.75
