"""Batch efficiency: energy per token by tokens per decode step, and joules of a request by phase.

Both use the windows that the fit of attribution stores (footprint/attribution/step), so no request is read again. Tokens per
step is the mean number of sequences that advance together, B of E/token = a + b/B (measured by ML.ENERGY: arXiv 2601.22076).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
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
MIN_WINDOW_TOKENS = 200  # output tokens; shorter windows are dominated by their edges
MIN_BIN_WINDOWS = 8
BIN_RATIO = 1.25  # upper over lower edge of a bin
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
    """Accelerator energy per output token by tokens per decode step, while requests run.

    Idle power of time in which nothing ran is subtracted. Days without an accepted fit are left out.

    Parameters
    ----------
    from_us, to_us : int or None
        Period [from, to) [µs, UTC]; None means from the first or to the last reading.

    Returns
    -------
    list of dict
        Rows by service, host and bin with the columns ``STEP_COLUMNS``: median and quartiles [J/token], tokens per step [1],
        number of windows.
    """
    samples: dict[tuple[str, str], list[tuple[Any, Any]]] = defaultdict(list)
    for day in _fitted_days(store, from_us, to_us):
        if IDLE not in day.coefficients:
            continue
        tokens, steps = day.column("out"), day.column("step")
        enough = (tokens >= MIN_WINDOW_TOKENS) & (steps > 0)
        inactive_s = np.maximum(day.windows.length_s - day.windows.awake_s[:, 0], 0.0)
        energy_j = day.windows.energy_j - day.coefficients[IDLE] * inactive_s
        samples[day.service, day.host].append((tokens[enough] / steps[enough], energy_j[enough] / tokens[enough]))
    rows = []
    for (service, host), chunks in sorted(samples.items()):
        step_sizes, energies = (np.concatenate(arrays).tolist() for arrays in zip(*chunks, strict=True))
        edges = geometric_edges(1.0, max(step_sizes, default=1.0), BIN_RATIO)
        for bin_ in bin_quartiles(step_sizes, energies, edges, MIN_BIN_WINDOWS):
            values = (service, host, bin_.low, bin_.high, bin_.x, bin_.count, bin_.lower, bin_.median, bin_.upper)
            rows.append(dict(zip(STEP_COLUMNS, values, strict=True)))
    return rows


def energy_by_phase(store: Store, config: Config, query: Query, now_us: int) -> list[dict[str, Any]]:
    """Energy of a mean request by phase and service, and the idle energy of the service over the same requests.

    Energy above idle is divided between prefill and decode by the fits; without a fit it is ``undivided_j``. ``awake_j`` is the
    idle energy of the service in hours without requests; it is not part of ``energy_j``.

    Parameters
    ----------
    query : Query
        Groups, periods and filters.
    now_us : int
        The current instant [µs, UTC].

    Returns
    -------
    list of dict
        Rows by service with the columns ``PHASE_COLUMNS`` [J/request]; the phases sum to ``energy_j``.
    """
    shares = _prefill_shares(store, query.from_us, query.to_us)
    base = replace(query, every="all", view="active")
    totals = {row["service"]: row for row in run_query(store, config, replace(base, group=("service",)), now_us).rows}
    rows: dict[str, dict[str, Any]] = {}
    for use_case in run_query(store, config, replace(base, group=("service", "use_case")), now_us).rows:
        service, energy_kwh = use_case["service"], use_case["energy_kwh"]
        if energy_kwh is None or not totals[service]["requests"]:
            continue
        row = rows.setdefault(service, dict.fromkeys(PHASE_COLUMNS, 0.0) | {"service": service})
        j_per_kwh_request = J_PER_KWH / totals[service]["requests"]
        if use_case["use_case"] in _NOT_USE_CASES:
            row["awake_j"] += j_per_kwh_request * energy_kwh if use_case["use_case"] == IDLE_NAME else 0.0
            continue
        _add_use_case(row, use_case, j_per_kwh_request, shares.get(service))
    for service, row in rows.items():
        row["requests"] = totals[service]["requests"]
    return [row for _, row in sorted(rows.items()) if row["energy_j"]]


def _add_use_case(row: dict[str, Any], use_case: dict[str, Any], j_per_kwh_request: float, prefill_share: float | None) -> None:
    active_j = j_per_kwh_request * use_case["accelerator_active_kwh"]
    row["prefill_j"] += active_j * (prefill_share or 0.0)
    row["decode_j"] += active_j * (1 - prefill_share) if prefill_share is not None else 0.0
    row["undivided_j"] += active_j if prefill_share is None else 0.0
    for name, column in (("idle_j", "accelerator_idle_kwh"), ("host_j", "host_kwh"), ("facility_j", "facility_kwh")):
        row[name] += j_per_kwh_request * use_case[column]
    for name in ("energy", "energy_low", "energy_high"):
        # Errors of the use cases of one service are mostly common, so the sum of their bounds is a bound.
        row[f"{name}_j"] += j_per_kwh_request * use_case[f"{name}_kwh"]


def _prefill_shares(store: Store, from_us: int | None, to_us: int | None) -> dict[str, float]:
    """Service -> share of prefill in the energy above idle that the fits explain by tokens."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for day in _fitted_days(store, from_us, to_us):
        for name, coefficient in day.coefficients.items():
            if name in ALL_FEATURES:
                is_prefill = ALL_FEATURES.index(name) < PREFILL_FEATURES
                sums[day.service][is_prefill] += coefficient * float(day.column(name).sum())
            elif name.startswith(PREFILL_PREFIX) and name.removeprefix(PREFILL_PREFIX) in day.windows.keys:
                column = day.windows.reading[:, day.windows.keys.index(name.removeprefix(PREFILL_PREFIX))]
                sums[day.service][1] += coefficient * float(column.sum())
    return {service: prefill / (decode + prefill) for service, (decode, prefill) in sums.items() if decode + prefill > 0}


def _fitted_days(store: Store, from_us: int | None, to_us: int | None) -> Iterator[_FittedDay]:
    """Days with a fit, and the windows that the fit uses."""
    fits: dict[tuple[str, int], dict[str, dict[str, Any]]] = defaultdict(dict)
    for service, host, day, content in stored_splits(store, from_us, to_us):
        if content.get("coefficients") and not any(name.startswith(UNTOKENED_PREFIX) for name in content["coefficients"]):
            fits[service, day][host] = content
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
    for key, day, text in rows:
        # Key "service/step layout", or "service/step layout at host" where requests name their hosts.
        service, _, layout = key.partition("/step ")
        contents = fits.get((service, day), {})
        named = layout.partition(" at ")[2]
        is_one_meter = len(contents) == 1 or any(content["replicas"] for content in contents.values())
        hosts = sorted(contents) if not named else [named] if named in contents else []
        if not hosts or (len(contents) > 1 and bool(named) == is_one_meter):
            continue
        statistics = load_statistics(text)
        if statistics is not None and len(statistics.windows):
            coefficients = dict(contents[hosts[0]]["coefficients"])
            if IDLE in coefficients:
                coefficients[IDLE] = sum(contents[host]["coefficients"].get(IDLE, 0.0) for host in hosts)
            yield _FittedDay(service, ", ".join(hosts), statistics.windows, coefficients)
