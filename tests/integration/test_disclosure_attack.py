"""Attack on the publications of a thousand simulated organisations: quarters, revisions and years, all known at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from footprint.disclosure.audit import PublishedTable, attack
from footprint.disclosure.primary_suppression import Cell, Key, Status, SuppressionRules
from footprint.disclosure.secondary_suppression import protect
from tests.simulation.cells import MONTHS, organisation

RULES = SuppressionRules()
ORGANISATIONS, YEAR = 1000, "2026"


def editions(seed: int) -> Iterator[tuple[list[Cell], PublishedTable, frozenset[Key]]]:
    """(cells, published table, cells reported as exposed) of a quarter with its months, of its revision after late data, and
    for every tenth organisation of the year.
    """
    first = organisation(seed, months={month: (*periods, YEAR) for month, periods in MONTHS.items()})
    second = late(first, seed)
    published: set[Key] = set()
    suppressed: set[Key] = set()
    quarters = [[c for c in cells if c.period != YEAR] for cells in (first, second)]
    for cells in (*quarters, second) if seed % 10 == 0 else quarters:
        protected = protect(cells, RULES, published, suppressed)
        hidden = protected.hidden()
        assert suppressed <= hidden
        assert not {key for key in hidden & published if protected.statuses[key] is Status.SECONDARY}
        published |= protected.statuses.keys() - hidden
        suppressed |= hidden - published
        yield (
            cells,
            PublishedTable({c.key: c.amounts for c in cells if c.key not in hidden}, hidden, RULES.linked),
            protected.exposed,
        )


def late(cells: list[Cell], seed: int) -> list[Cell]:
    """Cells after late data: a few per cent more in the last month of a service and in all totals that include it."""
    rng = np.random.default_rng([seed, 1])
    month, service = max(MONTHS), f"service-{rng.integers(6)}"
    more: dict[Key, dict[str, float]] = {}
    for cell in cells:
        if cell.period == month and cell.service == service and cell.use_case and not cell.by_nature:
            added = {measure: amount * 0.04 * rng.random() for measure, amount in cell.amounts.items()}
            added["co2e_location_g"] = added["energy_kwh"] * cell.amounts["co2e_location_g"] / cell.amounts["energy_kwh"]
            for key in [(p, s, u) for p in (*MONTHS[month], YEAR) for s in (service, "") for u in (cell.use_case, "")]:
                own = more.setdefault(key, {})
                for measure, amount in added.items():
                    own[measure] = own.get(measure, 0.0) + amount
    return [replace(c, amounts={m: a + more.get(c.key, {}).get(m, 0.0) for m, a in c.amounts.items()}) for c in cells]


def recovered(seed: int) -> list[tuple[int, Key, str]]:
    """Hidden cells that a reader of all editions can recover within the protection interval."""
    published_editions = list(editions(seed))
    truth = {(number, cell.key): cell.amounts for number, (cells, _, _) in enumerate(published_editions) for cell in cells}
    exposed = {key for _, _, keys in published_editions for key in keys}
    recovered_cells = []
    for (number, key), bounds in attack([published for _, published, _ in published_editions], truth, RULES.protection).items():
        if key not in exposed:
            recovered_cells += [
                (number, key, m) for m, known in bounds.items() if known.recovers(truth[number, key][m], RULES.protection)
            ]
    return recovered_cells


def test_hidden_cells_of_ten_organisations_cannot_be_recovered() -> None:
    assert [recovered(seed) for seed in range(10)] == [[]] * 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "hundred", [0, *(pytest.param(number, marks=pytest.mark.long) for number in range(1, ORGANISATIONS // 100))]
)
def test_hidden_cells_of_a_thousand_organisations_cannot_be_recovered(hundred: int) -> None:
    seeds = range(100 * hundred, 100 * (hundred + 1))
    assert {seed: cells for seed in seeds if (cells := recovered(seed))} == {}
