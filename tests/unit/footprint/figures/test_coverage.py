"""Coverage of hosts that nobody declared: expected from the first to the last reading, silent days included."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from footprint.core.timestamps import parse_instant
from footprint.figures import Query
from footprint.figures.coverage import device_coverage_seconds
from footprint.figures.engine import open_result, run_query
from footprint.ledger.importers import import_energy
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US, compute, config, query_rows, write

UNDECLARED = '[organisation]\ntimezone = "UTC"\n'
DECLARED = UNDECLARED + '[[host]]\nname = "a"\n'
PLACED = DECLARED + '[[service]]\nname = "chat"\ndevices = ["a/gpu:0"]\n'
DAY_US = 86_400_000_000


def read_days(store: Store, folder: Path, days: Iterable[int], device: str = "gpu:0") -> None:
    """Import a reading of 100 W a minute, from midnight to midnight, on some days after 2026-07-01."""
    lines = ["time,host,device,component,power_w"]
    lines += [f"{DAY_S + day * 86_400 + second},a,{device},gpu,100" for day in days for second in range(0, 86_400, 60)]
    import_energy(store, write(folder / f"{device[-1]}.csv", lines), NOW_US)


def day_us(day: int) -> int:
    return (DAY_S + day * 86_400) * 1_000_000


def missing_days(store: Store, text: str, first: int, last: int) -> float:
    """Device days that are expected and neither read nor bridged in the days [first, last)."""
    with open_result(store, config(text), Query(from_us=day_us(first), to_us=day_us(last)), NOW_US) as result:
        assert result is not None
        rows = list(device_coverage_seconds(result.coverage_index, result.periods))
    return sum(amounts["missing_s"] for _, _, amounts in rows) / 86_400


def test_ten_silent_days_of_an_undeclared_host_are_missing(sqlite: Store, tmp_path: Path) -> None:
    read_days(sqlite, tmp_path, [0, 1, 12])
    compute(sqlite, config(UNDECLARED))
    row = query_rows(sqlite, config(UNDECLARED))[0]
    assert row["coverage"] == pytest.approx(3 / 13, abs=1e-3)
    assert row["energy_high_kwh"] > row["energy_kwh"] * 13 / 3
    days = query_rows(sqlite, config(UNDECLARED), every="day")
    assert [day["coverage"] for day in days] == pytest.approx([1, 1, 1], abs=1e-3)
    assert missing_days(sqlite, UNDECLARED, 0, 13) == pytest.approx(10, abs=0.01)


def test_a_period_that_ends_or_lies_in_the_silence_misses_the_same_time(sqlite: Store, tmp_path: Path) -> None:
    read_days(sqlite, tmp_path, [0, 1, 12])
    compute(sqlite, config(UNDECLARED))
    row = query_rows(sqlite, config(UNDECLARED), to_us=day_us(4))[0]
    assert row["coverage"] == pytest.approx(0.5, abs=1e-3)
    assert missing_days(sqlite, UNDECLARED, 4, 9) == pytest.approx(5)
    by_week = query_rows(sqlite, config(UNDECLARED), every="week")  # 1 July 2026 is a Wednesday
    assert [week["coverage"] for week in by_week] == pytest.approx([2 / 5, 1], abs=1e-3)


def test_nothing_is_expected_before_the_first_or_after_the_last_reading(sqlite: Store, tmp_path: Path) -> None:
    read_days(sqlite, tmp_path, [3])
    read_days(sqlite, tmp_path, [3, 5], device="gpu:1")
    compute(sqlite, config(UNDECLARED))
    assert missing_days(sqlite, UNDECLARED, 0, 3) == 0
    assert missing_days(sqlite, UNDECLARED, 6, 20) == 0
    assert missing_days(sqlite, UNDECLARED, 0, 20) == pytest.approx(1, abs=0.01)  # of gpu:1 alone


def test_silence_of_an_undeclared_host_misses_what_a_placement_would(sqlite: Store, tmp_path: Path) -> None:
    read_days(sqlite, tmp_path, [0, 12])
    compute(sqlite, config(UNDECLARED))
    undeclared = missing_days(sqlite, UNDECLARED, 0, 13)
    assert missing_days(sqlite, DECLARED, 0, 13) == pytest.approx(7, abs=0.01)
    assert undeclared == pytest.approx(missing_days(sqlite, PLACED, 0, 13), abs=0.01)


def test_a_reading_after_the_day_of_a_question_does_not_change_it(sqlite: Store, tmp_path: Path) -> None:
    """An edition asks with the end of its period as the present, so it stays what it was."""
    read_days(sqlite, tmp_path, [0, 1])
    compute(sqlite, config(UNDECLARED))
    end_us = parse_instant("2026-08-01T00:00:00Z")
    july = Query(from_us=day_us(0), to_us=end_us)
    before = run_query(sqlite, config(UNDECLARED), july, end_us).rows
    read_days(sqlite, tmp_path, [31 + 3])
    compute(sqlite, config(UNDECLARED))
    assert run_query(sqlite, config(UNDECLARED), july, end_us).rows == before
    assert before[0]["coverage"] == pytest.approx(1, abs=1e-3)
    later = run_query(sqlite, config(UNDECLARED), july, NOW_US).rows
    assert later[0]["coverage"] == pytest.approx(2 / 31, abs=1e-3)
