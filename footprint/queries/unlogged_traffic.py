"""Unlogged traffic: requests and tokens that inference servers counted but gateways did not log.

Its energy is not lost: it is attributed to the requests that ran at the same time, or to ``(unattributed)``. Only the counters
of the servers reveal its size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from footprint.attribution.energy_intervals import MIN_GAP_US, clip_to_windows, intervals_from_counter
from footprint.config import Config
from footprint.core.prometheus_metrics import SERVER_DEVICE_PREFIX
from footprint.figures.engine import run_query
from footprint.figures.query import Query
from footprint.ledger.ledger_view import LedgerView
from footprint.storage.database import Store

MEASURES = ("requests", "input_tokens", "cached_input_tokens", "output_tokens")
_MEASURE_BY_QUANTITY = {
    "served_requests": "requests",
    "served_input_tokens": "input_tokens",
    "served_cached_tokens": "cached_input_tokens",
    "served_output_tokens": "output_tokens",
}


def served_counts(view: LedgerView, config: Config, from_us: int, to_us: int) -> dict[str, dict[str, int]]:
    """Counts of the inference servers over [from, to) [µs, UTC], by service and measure.

    A model that no service declares, or that several declare, appears under its own name. Counters without a model are those of
    the only service that is placed on their host then, else they appear under the name of the instance.
    """
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    bounds = np.array([from_us], dtype=np.int64), np.array([to_us], dtype=np.int64)
    for streams in view.streams().values():
        for stream in streams:
            if not stream.device.startswith(SERVER_DEVICE_PREFIX) or stream.quantity not in _MEASURE_BY_QUANTITY:
                continue
            model, _, instance = stream.device.removeprefix(SERVER_DEVICE_PREFIX).partition("|")
            services = config.services_of_model(model) if model else _services_on(config, stream.host, from_us, to_us)
            service = next(iter(services)) if len(services) == 1 else model or instance.strip("|") or stream.host
            spans = clip_to_windows(intervals_from_counter(view.samples(stream.id, from_us, to_us), MIN_GAP_US), *bounds)
            measure = _MEASURE_BY_QUANTITY[stream.quantity]
            counts[service][measure] = counts[service].get(measure, 0) + int(spans.energy_uj.sum())
    return dict(counts)


def _services_on(config: Config, host: str, from_us: int, to_us: int) -> set[str]:
    """Services placed on a host within [from, to)."""
    placed = (place for place in config.placements if place.since_us < to_us and place.until_us > from_us)
    return {place.service for place in placed if place.host == host}


def unlogged_traffic(store: Store, config: Config, from_us: int, to_us: int, now_us: int) -> list[dict[str, Any]]:
    """Served, logged and unlogged counts by service.

    Parameters
    ----------
    from_us, to_us : int
        Period [from, to) [µs, UTC].
    now_us : int
        The current instant [µs, UTC].

    Returns
    -------
    list of dict
        Rows with ``served_…``, ``logged_…`` and ``unlogged_…`` of each of ``MEASURES`` [1]; None if the server does not count it.
    """
    with store.read() as connection:
        served = served_counts(LedgerView(store, connection), config, from_us, to_us)
    query = Query(group=("service",), from_us=from_us, to_us=to_us)
    logged = {row["service"]: row for row in run_query(store, config, query, now_us).rows}
    return [_row(service, served[service], logged.get(service, {})) for service in sorted(served)]


def _row(service: str, served: Mapping[str, int], logged: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"service": service}
    for measure in MEASURES:
        served_count, logged_count = served.get(measure), logged.get(measure)
        row[f"served_{measure}"], row[f"logged_{measure}"] = served_count, logged_count or 0
        row[f"unlogged_{measure}"] = None if served_count is None else served_count - (logged_count or 0)
    return row
