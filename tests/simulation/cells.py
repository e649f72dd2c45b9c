"""Simulated publication cells of an organisation: requests, energy and users of services and use cases, with all margins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from footprint.disclosure.primary_suppression import Cell, Key

MONTHS = {"2026-07": ("2026-07", "2026-Q3"), "2026-08": ("2026-08", "2026-Q3"), "2026-09": ("2026-09", "2026-Q3")}
G_PER_KWH = 52.0
IDLE = "(idle)"


def organisation(
    seed: int,
    services: int = 6,
    uses: int = 4,
    months: Mapping[str, tuple[str, ...]] = MONTHS,
    *,
    filled: float = 0.5,
    intensity: tuple[float, float] = (G_PER_KWH, 0.0),
) -> list[Cell]:
    """Cells of months and of the periods that contain them; a share ``filled`` of the pairs of service and use case exists.

    ``intensity`` is the mean [g/kWh] and the relative spread over services and months.
    """
    rng = np.random.default_rng(seed)
    amounts: dict[Key, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    people: dict[Key, set[int]] = defaultdict(set)
    for service in range(services):
        exists = rng.random(uses) < filled
        exists[rng.integers(uses)] |= not exists.any()
        for periods in months.values():
            g_per_kwh = intensity[0] * (1 + intensity[1] * rng.standard_normal())
            rows = [(IDLE, 0, rng.lognormal(1, 0.5), set())]
            for use in np.flatnonzero(exists).tolist():
                stable = np.random.default_rng([seed, service, use])
                users = sorted(set(stable.integers(0, 200, int(np.ceil(stable.lognormal(2.3, 1)))).tolist()))
                active_users = {user for user in users if rng.random() < 0.85} if rng.random() > 0.06 else set()
                requests = round(stable.lognormal(5.3, 1.3) * rng.lognormal(0, 0.3)) + 1
                rows.append(
                    (
                        f"use-{use}",
                        requests if active_users else 0,
                        requests * rng.lognormal(-5, 0.3) if active_users else 0.0,
                        active_users,
                    )
                )
            for use_case, requests, energy_kwh, active_users in rows:
                if energy_kwh > 0:
                    measures = {"requests": requests, "energy_kwh": energy_kwh, "co2e_location_g": energy_kwh * g_per_kwh}
                    for key in [(p, s, u) for p in periods for s in (f"service-{service}", "") for u in (use_case, "")]:
                        people[key] |= active_users
                        for measure, amount in measures.items():
                            amounts[key][measure] += amount
    return [_cell(key, dict(amounts[key]), people[key], rng) for key in sorted(amounts)]


def _cell(key: Key, amounts: dict[str, float], people: set[int], rng: np.random.Generator) -> Cell:
    """A cell; a few have an unknown number of users, a few one user with 90 % of the requests."""
    chance = rng.random() if key[1] and key[2] else 1.0
    reserved = key[2].startswith("(")
    users = 0 if reserved else None if chance < 0.02 else len(people)
    return Cell(*key, users, 0.9 if 0.02 < chance < 0.06 and not reserved else None, None, amounts)
