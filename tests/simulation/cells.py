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
    """Cells of months and of what holds them; ``filled`` of the pairs of service and use case exist.

    ``intensity`` is the mean [g/kWh] and the relative spread over services and months.
    """
    luck = np.random.default_rng(seed)
    amounts: dict[Key, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    people: dict[Key, set[int]] = defaultdict(set)
    for service in range(services):
        fate = luck.random(uses) < filled
        fate[luck.integers(uses)] |= not fate.any()
        for periods in months.values():
            g_per_kwh = intensity[0] * (1 + intensity[1] * luck.standard_normal())
            rows = [(IDLE, 0, luck.lognormal(1, 0.5), set())]
            for use in np.flatnonzero(fate).tolist():
                stable = np.random.default_rng([seed, service, use])
                known = sorted(set(stable.integers(0, 200, int(np.ceil(stable.lognormal(2.3, 1)))).tolist()))
                here = {user for user in known if luck.random() < 0.85} if luck.random() > 0.06 else set()
                requests = round(stable.lognormal(5.3, 1.3) * luck.lognormal(0, 0.3)) + 1
                rows.append((f"use-{use}", requests if here else 0, requests * luck.lognormal(-5, 0.3) if here else 0.0, here))
            for use_case, requests, energy_kwh, here in rows:
                if energy_kwh > 0:
                    told = {"requests": requests, "energy_kwh": energy_kwh, "co2e_location_g": energy_kwh * g_per_kwh}
                    for key in [(p, s, u) for p in periods for s in (f"service-{service}", "") for u in (use_case, "")]:
                        people[key] |= here
                        for measure, amount in told.items():
                            amounts[key][measure] += amount
    return [_cell(key, dict(amounts[key]), people[key], luck) for key in sorted(amounts)]


def _cell(key: Key, amounts: dict[str, float], people: set[int], luck: np.random.Generator) -> Cell:
    """Now and then nobody counted, or one user has nearly all."""
    chance = luck.random() if key[1] and key[2] else 1.0
    nature = key[2].startswith("(")
    users = 0 if nature else None if chance < 0.02 else len(people)
    return Cell(*key, users, 0.9 if 0.02 < chance < 0.06 and not nature else None, None, amounts)
