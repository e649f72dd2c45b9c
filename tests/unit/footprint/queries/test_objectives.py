"""Objectives: what may be claimed of a figure and its limit, budgets and targets on a ledger, and configurations that cannot be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.calendar.periods import parse_period
from footprint.config import ConfigError, parse_config
from footprint.core.estimate import Estimate
from footprint.figures import Query, run_query
from footprint.queries.objectives import (
    EXCEEDED,
    KEPT,
    NOT_MEASURABLE,
    RUNNING,
    UNKNOWN,
    allowed_change,
    objective_state,
    objective_statuses,
)
from footprint.storage.database import Store
from tests.support.contract_files import CONFIG, NOW_US, START, compute, config, energy_lines, import_files, request_lines

JULY = parse_period("2026-07")
BUDGET = '[[objective]]\nname = "all"\nmetric = "{metric}"\nat_most = {limit}\nevery = "month"\n'


@given(st.floats(-5, 5), st.floats(0, 3), st.floats(0, 3), st.floats(-9, 9), st.booleans(), st.booleans())
def test_nothing_is_claimed_that_the_interval_does_not_bear(
    value: float, below: float, above: float, limit: float, running: bool, whole: bool
) -> None:
    figure = Estimate(value, value - below, value + above)
    state = objective_state(figure, limit, running=running, is_sum=whole)
    assert (state == EXCEEDED) == (figure.low > limit)
    if state == KEPT:
        assert figure.high <= limit
        assert not (running and whole)
    if state == NOT_MEASURABLE:
        assert figure.low <= limit < figure.high


def test_what_nobody_knows_is_not_kept() -> None:
    assert objective_state(None, 1e9, running=False, is_sum=True) == UNKNOWN


def test_a_target_is_approached_on_a_straight_line() -> None:
    baseline, due = parse_period("2026-Q1"), parse_period("2028-Q1")
    way = [allowed_change(baseline, due, -0.2, baseline.shifted(by)) for by in (-1, 0, 4, 8, 9)]
    assert way == pytest.approx([0, 0, -0.1, -0.2, -0.2])


@pytest.fixture
def walked(store: Store, tmp_path: Path) -> Store:
    import_files(store, config(), tmp_path, energy_lines(START, 7200), request_lines(START, 7200, 40))
    compute(store, config())
    return store


def test_a_budget_is_compared_with_the_figure_of_the_query(walked: Store) -> None:
    start, end = JULY.bounds_us(config().timezone)
    row = run_query(walked, config(), Query(from_us=start, to_us=end), NOW_US).rows[0]
    for metric, limit, state in (
        ("energy_kwh", row["energy_low_kwh"] * 0.99, EXCEEDED),
        ("energy_kwh", row["energy_kwh"], NOT_MEASURABLE),
        ("energy_kwh", row["energy_high_kwh"] * 1.01, KEPT),
        ("requests", 39, EXCEEDED),
        ("requests", 40, KEPT),
        ("co2e_location_g", row["co2e_location_high_g"] * 1.01, KEPT),
        ("wh_per_1000_requests", row["energy_kwh"] / row["requests"] * 1e6, NOT_MEASURABLE),
    ):
        facts = parse_config(CONFIG + BUDGET.format(metric=metric, limit=limit))
        (found,) = objective_statuses(walked, facts, NOW_US, JULY)
        assert (found.state, found.row()["period"]) == (state, "2026-07"), metric


def test_a_budget_that_runs_is_not_kept_yet(walked: Store) -> None:
    facts = parse_config(CONFIG + BUDGET.format(metric="energy_kwh", limit=1e6))
    assert objective_statuses(walked, facts, START * 1_000_000 + 7200_000_000)[0].state == RUNNING


def test_a_target_compares_two_periods_and_common_errors_cancel(store: Store, tmp_path: Path) -> None:
    month = 31 * 86_400
    for place, start in ((tmp_path / "a", START), (tmp_path / "b", START + month)):
        place.mkdir()
        lines = [line.replace(",r", f",{place.name}r") for line in request_lines(start, 3600, 20)]
        import_files(store, config(), place, energy_lines(start, 3600), lines)
    compute(store, config())
    text = '[[objective]]\nname = "half"\nmetric = "{}"\nbaseline = "2026-07"\ntarget = -0.5\ndue = "2026-08"\n'
    for metric in ("energy_kwh", "co2e_location_g", "wh_per_1000_requests"):
        (found,) = objective_statuses(store, parse_config(CONFIG + text.format(metric)), NOW_US, parse_period("2026-08"))
        assert found.state == EXCEEDED
        assert found.figure is not None
        assert found.figure.high - found.figure.low < 0.35  # of two levels it would be twice as wide
        assert abs(found.figure.value) < 0.1
    requests = objective_statuses(store, parse_config(CONFIG + text.format("requests")), NOW_US, parse_period("2026-08"))[0]
    assert requests.figure == Estimate.exactly(0.0)


@pytest.mark.parametrize(
    ("block", "line", "said"),
    [
        ('name = "x"\nmetric = "joy"', 3, "metric is 'joy'"),
        ('metric = "energy_kwh"\nat_most = 1', 1, "without name"),
        ('name = "x"\nmetric = "energy_kwh"\nat_most = -1', 4, "at least 0"),
        ('name = "x"\nmetric = "energy_kwh"\nat_most = 1\nevery = "week"', 5, "every is 'week'"),
        ('name = "x"\nmetric = "energy_kwh"\nat_most = 1\ntarget = -0.1', 4, "not both"),
        ('name = "x"\nmetric = "energy_kwh"\ntarget = -0.1', 2, "baseline, due missing"),
        ('name = "x"\nmetric = "energy_kwh"\nbaseline = "2026-Q1"\ntarget = -2\ndue = "2027-Q1"', 5, "above -1"),
        ('name = "x"\nmetric = "energy_kwh"\nbaseline = "2026-Q9"\ntarget = -0.2\ndue = "2027-Q1"', 4, "2026-Q9"),
        ('name = "x"\nmetric = "energy_kwh"\nbaseline = "2026-Q1"\ntarget = -0.2\ndue = "2027"', 6, "same length"),
        ('name = "x"\nmetric = "energy_kwh"\nlimit = 3', 4, "unknown key 'limit'"),
    ],
)
def test_an_objective_that_cannot_be_right_is_refused_with_its_line(block: str, line: int, said: str) -> None:
    with pytest.raises(ConfigError, match=f"footprint.toml:{line}: .*{said}"):
        parse_config(f"[[objective]]\n{block}\n")
