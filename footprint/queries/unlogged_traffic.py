"""This file compares what inference servers counted with what gateways logged: traffic that no log tells, and its size.

Its energy is not lost: it stands with the requests that ran beside it, or in ``(unattributed)``. How much it is, only the
servers' own counters say.
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
    """What servers counted over [from, to) by service and measure; a model that no service declares bears its own name."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    window = np.array([from_us], dtype=np.int64), np.array([to_us], dtype=np.int64)
    for streams in view.streams().values():
        for stream in streams:
            if not stream.device.startswith(SERVER_DEVICE_PREFIX) or stream.quantity not in _MEASURE_BY_QUANTITY:
                continue
            model = stream.device.removeprefix(SERVER_DEVICE_PREFIX).partition("|")[0]
            serving = config.services_of_model(model)
            service = next(iter(serving)) if len(serving) == 1 else model
            spans = clip_to_windows(intervals_from_counter(view.samples(stream.id, from_us, to_us), MIN_GAP_US), *window)
            measure = _MEASURE_BY_QUANTITY[stream.quantity]
            found[service][measure] = found[service].get(measure, 0) + int(spans.energy_uj.sum())
    return dict(found)


def unlogged_traffic(store: Store, config: Config, from_us: int, to_us: int, now_us: int) -> list[dict[str, Any]]:
    """Rows by service: served, logged and unlogged of each measure; a measure that nobody told is None."""
    with store.read() as connection:
        counted = served_counts(LedgerView(store, connection), config, from_us, to_us)
    question = Query(group=("service",), from_us=from_us, to_us=to_us)
    logged = {row["service"]: row for row in run_query(store, config, question, now_us).rows}
    return [_row(service, counted[service], logged.get(service, {})) for service in sorted(counted)]


def _row(service: str, counted: Mapping[str, int], logged: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"service": service}
    for measure in MEASURES:
        told, known = counted.get(measure), logged.get(measure)
        row[f"served_{measure}"], row[f"logged_{measure}"] = told, known or 0
        row[f"unlogged_{measure}"] = None if told is None else told - (known or 0)
    return row
