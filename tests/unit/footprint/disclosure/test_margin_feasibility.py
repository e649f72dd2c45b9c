"""Hidden margins that give way among hidden cells: seen without a program, and nothing else is decided than with one."""

from __future__ import annotations

import numpy as np
import pytest

from footprint.disclosure import optimal_suppression
from footprint.disclosure.hypercube import SuppressionProblem
from footprint.disclosure.primary_suppression import Cell, SuppressionRules
from footprint.disclosure.secondary_suppression import Protection, protect
from footprint.disclosure.table import Index

MONTHS = ("2026-07", "2026-08", "2026-09")
RULES = SuppressionRules()


def cells(seed: int, services: int, uses: int, unknown: float) -> list[Cell]:
    """A quarter of services and uses, and idle rows; of a part of the cells nobody knows the users."""
    luck = np.random.default_rng(seed)
    amounts: dict[tuple[str, str, str], np.ndarray] = {}
    for month in MONTHS:
        for s in range(services):
            factor = 50.0 + s
            for u in [*range(uses), -1]:
                energy = float(luck.uniform(50, 150))
                own = np.array([0 if u < 0 else luck.integers(500, 2000), energy, energy * factor * luck.uniform(0.999, 1.001)])
                use = "(idle)" if u < 0 else f"use-{u}"
                for key in ((p, a, b) for p in (month, "2026-Q3") for a in (f"service-{s}", "") for b in (use, "")):
                    amounts[key] = amounts.get(key, 0) + own
    return [
        Cell(
            *key,
            users=None if luck.random() < unknown else 100,
            amounts=dict(zip(("requests", "energy_kwh", "co2e_location_g"), map(float, own), strict=True)),
        )
        for key, own in sorted(amounts.items())
    ]


def protected(monkeypatch: pytest.MonkeyPatch, given: list[Cell], *, by_programs: bool) -> tuple[Protection, int]:
    """What is decided, and how many programs were solved for it."""
    solved: list[Index] = []
    real = optimal_suppression._solve

    def counted(board: SuppressionProblem, price: object, measure: str, links: object, target: Index, way: int) -> object:
        solved.append(target)
        return real(board, price, measure, links, target, way)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(optimal_suppression, "_solve", counted)
        if by_programs:
            patch.setattr(optimal_suppression, "is_feasible_with_hidden_cells", lambda *_: False)
        return protect(given, RULES), len(solved)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "services", "uses", "unknown"),
    [
        (1, 9, 8, 1.0),
        (2, 12, 8, 0.9),
        (3, 8, 9, 0.7),
        (4, 9, 9, 0.5),
        (5, 4, 3, 1.0),
        (6, 10, 2, 0.8),
        (7, 2, 9, 0.9),
        (8, 9, 8, 0.3),
    ],
)
def test_nothing_else_is_decided_than_by_programs(
    monkeypatch: pytest.MonkeyPatch, seed: int, services: int, uses: int, unknown: float
) -> None:
    given = cells(seed, services, uses, unknown)
    found, few = protected(monkeypatch, given, by_programs=False)
    wanted, many = protected(monkeypatch, given, by_programs=True)
    assert (found.statuses, found.reasons, found.exposed) == (wanted.statuses, wanted.reasons, wanted.exposed)
    assert few <= many


def test_an_organisation_that_nobody_told_users_of_needs_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    given = cells(1, 8, 7, 1.0)
    found, few = protected(monkeypatch, given, by_programs=False)
    _, many = protected(monkeypatch, given, by_programs=True)
    assert (few, many > 20) == (0, True)
    assert not found.exposed
    assert not any(status == "public" for key, status in found.statuses.items() if key[2].startswith("use"))
