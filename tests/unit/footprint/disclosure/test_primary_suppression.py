"""Rules at their bounds, and the first reason that holds."""

from __future__ import annotations

import pytest

from footprint.disclosure.primary_suppression import (
    HIDING_REASONS,
    BadSuppressionRules,
    Cell,
    SuppressionReason,
    SuppressionRules,
    primary_reason,
)

P = "2026-Q3"
BUSY = {"requests": 9.0, "energy_kwh": 1.0}


@pytest.mark.parametrize("given", [
    {"min_users": 3}, {"dominance": 0.5}, {"dominance": 0.999}, {"min_teams": 1}, {"min_teams": None}, {"protection": 1.0}, {"protection": 1e-9},
])  # fmt: skip
def test_rules_at_their_floor_stand(given: dict[str, float]) -> None:
    assert all(getattr(SuppressionRules(**given), name) == value for name, value in given.items())  # type: ignore[arg-type]


@pytest.mark.parametrize(("given", "message"), [
    ({"min_users": 2}, "min_users is 2"), ({"dominance": 0.499}, "dominance is 0.499"), ({"dominance": 1.0}, "dominance is 1"),
    ({"min_teams": 0}, "min_teams is 0"), ({"protection": 0.0}, "protection is 0"), ({"protection": 1.001}, "protection is 1.001"),
])  # fmt: skip
def test_rules_below_their_floor_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(BadSuppressionRules, match=message):
        SuppressionRules(**given)  # type: ignore[arg-type]


def test_what_stands_where_nothing_is_declared() -> None:
    rules = SuppressionRules()
    assert (rules.min_users, rules.dominance, rules.min_teams, rules.protection, rules.ratio_known) == (5, 0.85, None, 0.15, 0.01)


def cell(
    users: int | None, share: float | None = None, teams: int | None = None, service: str = "a", use: str = "x", **amounts: float
) -> Cell:
    return Cell(P, service, use, users, share, teams, amounts or BUSY)


@pytest.mark.parametrize(("given", "rules", "reason"), [
    (cell(5), SuppressionRules(), SuppressionReason.SAFE),
    (cell(4), SuppressionRules(), SuppressionReason.FEW_USERS),
    (cell(None), SuppressionRules(), SuppressionReason.UNKNOWN_USERS),
    (cell(5, 0.85), SuppressionRules(), SuppressionReason.SAFE),
    (cell(5, 0.8501), SuppressionRules(), SuppressionReason.DOMINATED),
    (cell(5, teams=2), SuppressionRules(min_teams=2), SuppressionReason.SAFE),
    (cell(5, teams=1), SuppressionRules(min_teams=2), SuppressionReason.FEW_TEAMS),
    (cell(5), SuppressionRules(min_teams=1), SuppressionReason.FEW_TEAMS),
    (cell(4, 0.9, 1), SuppressionRules(min_teams=2), SuppressionReason.FEW_USERS),
    (cell(5, 0.9, 1), SuppressionRules(min_teams=2), SuppressionReason.FEW_TEAMS),
    (cell(0, requests=0.0, energy_kwh=3.0), SuppressionRules(), SuppressionReason.NOBODY),
    (cell(None, energy_kwh=0.0), SuppressionRules(), SuppressionReason.NOBODY),
    (cell(0, energy_kwh=0.5), SuppressionRules(), SuppressionReason.FEW_USERS),
    (cell(2, requests=0.0), SuppressionRules(), SuppressionReason.FEW_USERS),
    (cell(None, requests=1.0), SuppressionRules(), SuppressionReason.UNKNOWN_USERS),
    (cell(0, service="", use=""), SuppressionRules(), SuppressionReason.TOTAL),
    (cell(4, service="", use="x"), SuppressionRules(), SuppressionReason.FEW_USERS),
    (cell(4, service="a", use=""), SuppressionRules(), SuppressionReason.FEW_USERS),
    (cell(None, use="(idle)"), SuppressionRules(), SuppressionReason.NO_USERS_BY_NATURE),
    (cell(None, service="(unattributed)", use="x"), SuppressionRules(), SuppressionReason.NO_USERS_BY_NATURE),
])  # fmt: skip
def test_the_first_reason_that_holds(given: Cell, rules: SuppressionRules, reason: SuppressionReason) -> None:
    assert primary_reason(given, rules) is reason


def test_reasons_that_hide_by_themselves() -> None:
    assert (
        frozenset(
            {
                SuppressionReason.UNKNOWN_USERS,
                SuppressionReason.FEW_USERS,
                SuppressionReason.FEW_TEAMS,
                SuppressionReason.DOMINATED,
            }
        )
        == HIDING_REASONS
    )
    assert cell(5).key == (P, "a", "x")
