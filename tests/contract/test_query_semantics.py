"""docs/reference/contract.md, section 6, case by case: wall meters, placed CPUs, shares, dates, estimates, several kinds of reading."""

from pathlib import Path

import pytest

from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, compute, config, import_files, query_rows

KWH = 3.6e6
NO_REQUESTS = ["start,end,service,use_case"]


def lines(*devices: tuple[str, str, str, float], length_s: int = 7200, step_s: int = 10) -> list[str]:
    """(device, component, source, watts) as power readings."""
    rows = ["time,host,device,component,power_w,source"]
    for device, component, source, watts in devices:
        rows += [f"{DAY_S + s},a,{device},{component},{watts},{source}" for s in range(0, length_s + 1, step_s)]
    return rows


def facts(text: str, pue: str = "1.5") -> str:
    return f'[[site]]\nname = "s"\npue = {pue}\n[[host]]\nname = "a"\nsite = "s"\nuplift = 1.2\n{text}'


CHAT = '[[service]]\nname = "chat"\ndevices = ["a/gpu:0"]\n'


def test_a_whole_server_reading_is_the_it_energy_and_its_parts_are_not_added(sqlite: Store, tmp_path: Path) -> None:
    given = config(facts(CHAT))
    import_files(
        sqlite,
        given,
        tmp_path,
        lines(("gpu:0", "gpu", "", 100), ("cpu:0", "cpu", "", 50), ("wall", "host", "", 400)),
        NO_REQUESTS,
    )
    compute(sqlite, given)
    row = query_rows(sqlite, given)[0]
    assert row["energy_kwh"] == pytest.approx(400 * 7200 / KWH * 1.5, rel=1e-9)
    assert row["facility_kwh"] == pytest.approx(400 * 7200 / KWH * 0.5, rel=1e-9)
    assert row["host_kwh"] == pytest.approx(300 * 7200 / KWH, rel=1e-9)
    assert row["quality"] == "B"  # the PUE is declared, not measured
    devices = {r["device"]: r["energy_kwh"] for r in query_rows(sqlite, given, group=("device",))}
    assert devices["(host)"] == pytest.approx(250 * 7200 / KWH * 1.5, rel=1e-9)
    assert "wall" not in devices


def test_a_placed_cpu_is_an_accelerator(sqlite: Store, tmp_path: Path) -> None:
    given = config(facts('[[service]]\nname = "small"\ndevices = ["a/cpu:0"]\n'))
    import_files(sqlite, given, tmp_path, lines(("cpu:0", "cpu", "", 50), ("dram:0", "dram", "", 10)), NO_REQUESTS)
    compute(sqlite, given)
    row = query_rows(sqlite, given, group=("service",))[0]
    assert row["service"] == "small"
    assert row["accelerator_active_kwh"] + row["accelerator_idle_kwh"] == pytest.approx(50 * 7200 / KWH, rel=1e-9)
    assert row["host_kwh"] == pytest.approx((60 * 1.2 - 50) * 7200 / KWH, rel=1e-9)


def test_shares_of_a_device_and_what_nobody_holds(sqlite: Store, tmp_path: Path) -> None:
    halves = '[[placement]]\nservice = "x"\ndevices = ["a/gpu:0"]\nshare = 0.5\n[[placement]]\nservice = "y"\ndevices = ["a/gpu:0"]\nshare = 0.25\n'
    given = config(facts(halves))
    import_files(sqlite, given, tmp_path, lines(("gpu:0", "gpu", "", 100)), NO_REQUESTS)
    compute(sqlite, given)
    rows = {
        r["service"]: r["accelerator_active_kwh"] + r["accelerator_idle_kwh"]
        for r in query_rows(sqlite, given, group=("service",))
    }
    whole = 100 * 7200 / KWH
    assert rows == pytest.approx({"x": whole / 2, "y": whole / 4, "(unattributed)": whole / 4}, rel=1e-6)


def test_a_placement_ends_at_its_instant(sqlite: Store, tmp_path: Path) -> None:
    text = '[[placement]]\nservice = "x"\ndevices = ["a/gpu:0"]\nuntil = "2026-07-01T00:40:05Z"\n'
    given = config(facts(text))
    import_files(sqlite, given, tmp_path, lines(("gpu:0", "gpu", "", 100)), NO_REQUESTS)
    compute(sqlite, given)
    rows = {
        r["service"]: r["accelerator_active_kwh"] + r["accelerator_idle_kwh"]
        for r in query_rows(sqlite, given, group=("service",))
    }
    assert rows["x"] == pytest.approx(100 * 2405 / KWH, rel=1e-9)
    assert rows["(unattributed)"] == pytest.approx(100 * (7200 - 2405) / KWH, rel=1e-9)


def test_an_estimate_counts_only_where_nothing_was_measured_and_is_of_quality_c(sqlite: Store, tmp_path: Path) -> None:
    given = config(facts(""))
    measured = lines(("cpu:0", "cpu", "ipmi", 50), length_s=3600)
    import_files(sqlite, given, tmp_path, measured + lines(("cpu:0", "cpu", "estimate", 80))[1:], NO_REQUESTS)
    compute(sqlite, given)
    first, second = query_rows(sqlite, given, every="hour")
    assert first["host_kwh"] == pytest.approx(50 * 1.2 * 3600 / KWH, rel=1e-9)
    assert second["host_kwh"] == pytest.approx(80 * 1.2 * 3600 / KWH, rel=1e-9)
    assert second["quality"] == "C"


def test_a_fact_that_changes_at_a_date_holds_from_there(sqlite: Store, tmp_path: Path) -> None:
    text = facts(CHAT) + '[[site]]\nname = "s"\npue = 1.1\nsince = "2026-07-01T01:00:00Z"\n'
    import_files(sqlite, config(text), tmp_path, lines(("gpu:0", "gpu", "", 100)), NO_REQUESTS)
    compute(sqlite, config(text))
    first, second = query_rows(sqlite, config(text), every="hour")
    assert first["facility_kwh"] == pytest.approx(120 * 3600 / KWH * 0.5, rel=1e-9)
    assert second["facility_kwh"] == pytest.approx(120 * 3600 / KWH * 0.1, rel=1e-9)


def test_what_nobody_declared_is_shown_assumed_and_flagged(sqlite: Store, tmp_path: Path) -> None:
    given = config("")
    import_files(sqlite, given, tmp_path, lines(("gpu:0", "gpu", "", 100)), [*NO_REQUESTS, f"{DAY_S},{DAY_S + 60},mystery,u"])
    compute(sqlite, given)
    rows = {r["service"]: r for r in query_rows(sqlite, given, group=("service",))}
    assert rows["(unattributed)"]["energy_kwh"] == pytest.approx(100 * 7200 / KWH * 1.2 * 1.5, rel=1e-9)
    assert rows["(unattributed)"]["quality"] == "C"
    assert set(rows["(unattributed)"]["flags"].split("+")) == {"assumed-pue", "assumed-uplift", "assumed-wue", "undeclared-host"}
    assert rows["mystery"]["requests"] == 1
    assert rows["mystery"]["energy_kwh"] is None
    assert "undeclared-service" in rows["mystery"]["flags"]


def test_days_of_the_organisation_follow_its_clock(sqlite: Store, tmp_path: Path) -> None:
    given = config(facts(CHAT))
    import_files(sqlite, given, tmp_path, lines(("gpu:0", "gpu", "", 100), length_s=86_400, step_s=60), NO_REQUESTS)
    compute(sqlite, given)
    rows = query_rows(sqlite, given, every="day")
    assert [row["period_start"] for row in rows] == ["2026-07-01T00:00:00Z", "2026-07-01T22:00:00Z"]
    assert [row["period_end"] for row in rows] == ["2026-07-01T22:00:00Z", "2026-07-02T00:00:00Z"]
    assert rows[1]["energy_kwh"] == pytest.approx(100 * 1.2 * 1.5 * 7200 / KWH, rel=1e-9)
