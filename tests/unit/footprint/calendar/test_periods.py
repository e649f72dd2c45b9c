"""Named periods: bounds in the calendar of a time zone, and names that parse back to the same period."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.calendar.periods import BadPeriod, parse_period, period_at
from footprint.core.timestamps import format_instant

PARIS = ZoneInfo("Europe/Paris")
NAMES = st.one_of(
    st.integers(1971, 2200).map(str),
    st.tuples(st.integers(1971, 2200), st.integers(1, 4)).map(lambda two: f"{two[0]}-Q{two[1]}"),
    st.tuples(st.integers(1971, 2200), st.integers(1, 12)).map(lambda two: f"{two[0]}-{two[1]:02}"),
)


def test_a_quarter_is_cut_at_midnights_of_the_zone() -> None:
    start, end = parse_period("2026-Q1").bounds_us(PARIS)
    assert format_instant(start) == "2025-12-31T23:00:00Z"
    assert format_instant(end) == "2026-03-31T22:00:00Z"
    assert [str(part) for part in parse_period("2026-Q4").split(1)] == ["2026-10", "2026-11", "2026-12"]
    assert str(parse_period("2026-Q1").shifted(-1)) == "2025-Q4"
    assert str(parse_period("2026-Q1").year_before()) == "2025-Q1"


@given(NAMES, st.integers(-40, 40))
def test_periods_tile_time_and_keep_their_names(name: str, by: int) -> None:
    period = parse_period(name)
    assert str(period) == name
    assert period.shifted(by).shifted(-by) == period
    start, end = period.bounds_us(PARIS)
    assert period.shifted(1).bounds_us(PARIS)[0] == end
    assert period_at(start, PARIS, period.length) == period == period_at(end - 1, PARIS, period.length)
    parts = period.split(1)
    assert parts[0].bounds_us(PARIS)[0] == start
    assert parts[-1].bounds_us(PARIS)[1] == end


@pytest.mark.parametrize("name", ["2026-Q5", "2026-13", "26", "2026-7", "2026-Q3 to", "0000", "2026/07"])
def test_what_is_no_period_is_said(name: str) -> None:
    with pytest.raises(BadPeriod, match="must be written 2026, 2026-Q3 or 2026-07"):
        parse_period(name)
