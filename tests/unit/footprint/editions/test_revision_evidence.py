"""Causes of a revision: separated by computing with each other's values, and summing to the change."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from footprint.editions.revision_evidence import Evidence, HostEvidence, changes_between

_DAY = st.builds(HostEvidence, st.sampled_from(["x", "y"]), st.integers(0, 10**15), st.integers(0, 10**15), st.floats(0, 1e7))
_SIDE = st.builds(
    Evidence,
    st.sampled_from(["2.0", "2.1"]),
    st.dictionaries(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 3)), _DAY, max_size=6),
)


def whole(side: Evidence) -> tuple[float, float]:
    return sum(e.it_uj + e.facility_uj for e in side.days.values()) / 3.6e12, sum(e.grams or 0.0 for e in side.days.values())


@given(_SIDE, _SIDE)
@example(
    Evidence("2.1", {("a", 0): HostEvidence("x", 1, 29_157_086_120, 0.0)}),
    Evidence("2.0", {("a", 0): HostEvidence("x", 2_129_676_552, 0, 0.0)}),
)
@example(
    Evidence(
        "2.0", {("b", 0): HostEvidence("x", 1, 0, 0.0), ("b", 1): HostEvidence("x", 15_878_608_572, 1_571_982_248_538, 0.0)}
    ),
    Evidence("2.1", {("b", 0): HostEvidence("x", 38_037_325, 0, 0.0)}),
)
def test_causes_sum_to_the_change_of_energy(before: Evidence, after: Evidence) -> None:
    changes = changes_between(before, after)
    was, now = whole(before)[0], whole(after)[0]
    # Parts may be much larger than their sum, where a method moved days by a factor of millions.
    scale = max([was, now, 1.0, *(abs(change.energy_kwh) for change in changes)])
    assert sum(change.energy_kwh for change in changes) == pytest.approx(now - was, abs=1e-9 * scale)


@given(_SIDE)
def test_nothing_changed_has_no_cause(side: Evidence) -> None:
    assert changes_between(side, side) == ()


def day(data: str, it_kwh: float, overhead: float, factor: float | None) -> HostEvidence:
    it, facility = round(it_kwh * 3.6e12), round(it_kwh * (overhead - 1) * 3.6e12)
    return HostEvidence(data, it, facility, None if factor is None else (it + facility) / 3.6e12 * factor)


def test_each_cause_by_hand() -> None:
    """10 kWh of IT at PUE 1.5 and 50 g/kWh; one thing changes at a time, then all of them."""
    before = Evidence("2.0", {("a", 0): day("x", 10, 1.5, 50), ("a", 1): day("x", 10, 1.5, 50)})

    def told(after: Evidence) -> dict[str, tuple[float, float | None]]:
        return {
            each.cause: (round(each.energy_kwh, 6), each.co2e_g and round(each.co2e_g, 6))
            for each in changes_between(before, after)
        }

    same = before.days["a", 1]
    assert told(Evidence("2.0", {("a", 0): day("x", 10, 1.5, 40), ("a", 1): same})) == {"factors": (0.0, -150.0)}
    assert told(Evidence("2.0", {("a", 0): day("x", 10, 1.4, 50), ("a", 1): same})) == {"facts": (-1.0, -50.0)}
    assert told(Evidence("2.0", {("a", 0): day("y", 12, 1.5, 50), ("a", 1): same})) == {"late-data": (3.0, 150.0)}
    assert told(Evidence("2.1", {("a", 0): day("x", 11, 1.5, 50), ("a", 1): same})) == {"method": (1.5, 75.0)}
    # The method adds a tenth to the day whose readings stand; the same tenth of the other day is its, the rest came late.
    both = told(Evidence("2.1", {("a", 0): day("y", 14, 1.5, 50), ("a", 1): day("x", 11, 1.5, 50)}))
    assert both == {"method": (3.0, 150.0), "late-data": (4.5, 225.0)}


def test_without_a_factor_emissions_of_causes_are_unknown() -> None:
    before = Evidence("2.0", {("a", 0): day("x", 10, 1.5, None)})
    after = Evidence("2.0", {("a", 0): day("y", 12, 1.5, None)})
    assert [(change.cause, change.co2e_g) for change in changes_between(before, after)] == [("late-data", None)]
