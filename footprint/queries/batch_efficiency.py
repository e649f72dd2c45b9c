"""This file reads what days of a service say of decode steps: energy per token by tokens a step, joules of a request by phase.

Both rest on the windows that the fit of attribution keeps (footprint/attribution/step): no request is read again. Tokens a step
is the mean number of sequences that advance together, B of E/token = a + b/B (measured by ML.ENERGY: arXiv 2601.22076).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from footprint.attribution.shard import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.attribution.step.features import PREFILL_FEATURES
from footprint.attribution.step.regression import ALL_FEATURES, IDLE, PREFILL_PREFIX, UNTOKENED_PREFIX, FitWindows
from footprint.attribution.step.serialization import load_statistics
from footprint.config import Config
from footprint.core.units import J_PER_KWH
from footprint.figures.engine import run_query
from footprint.figures.query import Query
from footprint.queries.pareto import bin_quartiles, geometric_edges
from footprint.queries.split_diagnostics import stored_splits
from footprint.storage import schema
from footprint.storage.database import Store, table

STEP_COLUMNS = (
    "service",
    "host",
    "tokens_per_step_low",
    "tokens_per_step_high",
    "tokens_per_step",
    "windows",
    "j_per_output_token_q1",
    "j_per_output_token",
    "j_per_output_token_q3",
)
PHASE_COLUMNS = (
    "service",
    "requests",
    "prefill_j",
    "decode_j",
    "undivided_j",
    "idle_j",
    "host_j",
    "facility_j",
    "energy_j",
    "energy_low_j",
    "energy_high_j",
    "awake_j",
)
MIN_WINDOW_TOKENS = 200  # of a window: fewer say more of its edges than of its steps
MIN_BIN_WINDOWS = 8  # of a bin
BIN_RATIO = 1.25  # of a bin, high over low
_NOT_USE_CASES = (IDLE_NAME, UNATTRIBUTED_NAME)


@dataclass(frozen=True, slots=True)
class _FittedDay:
    service: str
    host: str
    windows: FitWindows
    coefficients: dict[str, float]

    def column(self, name: str) -> NDArray[np.float64]:
        return self.windows.features[:, ALL_FEATURES.index(name)]


def energy_by_step_size(store: Store, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """Rows by service, host and bin: joules of its accelerators per output token, while requests run, by tokens a step.

    Idle power of time in which nothing ran is taken off; a day without a fit that stands says nothing.
    """
    seen: dict[tuple[str, str], list[tuple[Any, Any]]] = defaultdict(list)
    for day in _fitted_days(store, from_us, to_us):
        if IDLE not in day.coefficients:
            continue
        out, steps = day.column("out"), day.column("step")
        told = (out >= MIN_WINDOW_TOKENS) & (steps > 0)
        asleep = np.maximum(day.windows.length_s - day.windows.awake_s[:, 0], 0.0)
        energy = day.windows.energy_j - day.coefficients[IDLE] * asleep
        seen[day.service, day.host].append((out[told] / steps[told], energy[told] / out[told]))
    rows = []
    for (service, host), parts in sorted(seen.items()):
        x, y = (np.concatenate(each).tolist() for each in zip(*parts, strict=True))
        for found in bin_quartiles(x, y, geometric_edges(1.0, max(x, default=1.0), BIN_RATIO), MIN_BIN_WINDOWS):
            values = (service, host, found.low, found.high, found.x, found.count, found.lower, found.median, found.upper)
            rows.append(dict(zip(STEP_COLUMNS, values, strict=True)))
    return rows


def energy_by_phase(store: Store, config: Config, question: Query, now_us: int) -> list[dict[str, Any]]:
    """Rows by service: joules of a mean request by phase, which sum to its energy; and what hours awake for nobody add.

    Energy above idle is divided between reading (prefill) and writing (decode) as the fits say; where none stands it is
    ``undivided_j``. ``awake_j`` is the service's (idle) energy over the same requests; it is not in ``energy_j``.
    """
    shares = _prefill_shares(store, question.from_us, question.to_us)
    asked = replace(question, every="all", view="active")
    whole = {row["service"]: row for row in run_query(store, config, replace(asked, group=("service",)), now_us).rows}
    rows: dict[str, dict[str, Any]] = {}
    for each in run_query(store, config, replace(asked, group=("service", "use_case")), now_us).rows:
        service, energy = each["service"], each["energy_kwh"]
        if energy is None or not whole[service]["requests"]:
            continue
        row = rows.setdefault(service, dict.fromkeys(PHASE_COLUMNS, 0.0) | {"service": service})
        joules = J_PER_KWH / whole[service]["requests"]
        if each["use_case"] in _NOT_USE_CASES:
            row["awake_j"] += joules * energy if each["use_case"] == IDLE_NAME else 0.0
            continue
        _add_use_case(row, each, joules, shares.get(service))
    for service, row in rows.items():
        row["requests"] = whole[service]["requests"]
    return [row for _, row in sorted(rows.items()) if row["energy_j"]]


def _add_use_case(row: dict[str, Any], of: dict[str, Any], joules: float, share: float | None) -> None:
    active = joules * of["accelerator_active_kwh"]
    row["prefill_j"] += active * (share or 0.0)
    row["decode_j"] += active * (1 - share) if share is not None else 0.0
    row["undivided_j"] += active if share is None else 0.0
    for name, column in (("idle_j", "accelerator_idle_kwh"), ("host_j", "host_kwh"), ("facility_j", "facility_kwh")):
        row[name] += joules * of[column]
    for name in ("energy", "energy_low", "energy_high"):
        # Errors of use cases of one service are mostly common: their sum is a bound.
        row[f"{name}_j"] += joules * of[f"{name}_kwh"]


def _prefill_shares(store: Store, from_us: int | None, to_us: int | None) -> dict[str, float]:
    """Service -> share of reading in the energy above idle that the fits explain by tokens."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for day in _fitted_days(store, from_us, to_us):
        for name, coefficient in day.coefficients.items():
            if name in ALL_FEATURES:
                reads = ALL_FEATURES.index(name) < PREFILL_FEATURES
                sums[day.service][reads] += coefficient * float(day.column(name).sum())
            elif name.startswith(PREFILL_PREFIX) and name.removeprefix(PREFILL_PREFIX) in day.windows.keys:
                column = day.windows.reading[:, day.windows.keys.index(name.removeprefix(PREFILL_PREFIX))]
                sums[day.service][1] += coefficient * float(column.sum())
    return {service: reads / (writes + reads) for service, (writes, reads) in sums.items() if writes + reads > 0}


def _fitted_days(store: Store, from_us: int | None, to_us: int | None) -> Iterator[_FittedDay]:
    """Days with a fit, and the windows that it was made from."""
    fits = {
        (f"{host}/step {service} ", day): (service, host, content["coefficients"])
        for service, host, day, content in stored_splits(store, from_us, to_us)
        if content.get("coefficients") and not any(name.startswith(UNTOKENED_PREFIX) for name in content["coefficients"])
    }
    if not fits:
        return
    days = [day for _, day in fits]
    target = table(schema.Statistics)
    with store.read() as connection:
        rows = connection.execute(
            select(target.c.stream_key, target.c.day, target.c.content)
            .where(target.c.day >= min(days), target.c.day <= max(days), target.c.stream_key.contains("/step ", autoescape=True))
            .order_by(target.c.stream_key, target.c.day)
        ).all()
    for key, day, content in rows:
        # "host/step service device*share device*share": names may hold spaces, what follows them holds an asterisk.
        place = key[: key.index("*")].rpartition(" ")[0] + " " if "*" in key else ""
        found = fits.get((place, day))
        statistics = load_statistics(content) if found else None
        if found and statistics is not None and len(statistics.windows):
            yield _FittedDay(found[0], found[1], statistics.windows, found[2])
