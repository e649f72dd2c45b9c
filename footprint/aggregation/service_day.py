"""Requests and tokens of one service on one UTC day, by slot, use case and model.

A request counts where it ends. A window of several requests is divided by time over the slots that it crosses.
"""

from __future__ import annotations

import numpy as np

from footprint.aggregation import METHOD_REVISION, METHOD_VERSION
from footprint.aggregation.log_quality import log_quality_of_day
from footprint.aggregation.request_logs import request_keys
from footprint.aggregation.result_tables import charter_of
from footprint.attribution.array_types import Ints
from footprint.attribution.window_counts import divide_windows
from footprint.calendar.slots import slot_length_us
from footprint.config import Config
from footprint.core.records import COUNT_COLUMNS
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.ledger.ledger_view import LedgerView, RequestColumns, fingerprint
from footprint.storage.figure_blocks import ShardTables, build_shard_tables


def service_days(view: LedgerView, service: str) -> list[int]:
    """UTC days on which a request of a service was in flight."""
    return sorted(view.service_days().get(service, {}))


def service_fingerprint(view: LedgerView, facts: str, service: str, day: int) -> str:
    """Fingerprint of everything that the counts of a day are computed from; ``facts`` is the digest of the facts."""
    versions = view.service_versions(service, day, day)
    if not versions:
        return ""
    return fingerprint([METHOD_VERSION, METHOD_REVISION, facts, service, day, versions[0][1]])


def counting_instant(requests: RequestColumns) -> Ints:
    """Instant [µs] at which each request counts: just before its end; for an arrival of unknown duration, its start."""
    return np.maximum(requests.end_us - 1, requests.start_us)


def count_service_day(
    view: LedgerView, config: Config, service: str, day: int, since_us: int | None = None
) -> tuple[ShardTables, str]:
    """Requests of a service that count on a UTC day (of slots from ``since_us`` on), by slot, and the quality of its log."""
    start_us, end_us = day * US_PER_DAY if since_us is None else since_us, (day + 1) * US_PER_DAY
    requests = view.requests(service, start_us, end_us)
    keys, key = request_keys(view, config, service, requests)
    at = counting_instant(requests)
    slot_us = slot_length_us(config.timezone)
    counts = np.stack([getattr(requests, name) for name in COUNT_COLUMNS], axis=1)
    counts[requests.superseded > 0] = 0  # an attempt is no request
    is_window = (requests.requests > 1) & (requests.end_us >= 0) & (requests.start_us // slot_us != at // slot_us)
    window, window_slot_us, window_counts = divide_windows(
        requests.start_us[is_window], requests.end_us[is_window], counts[is_window], slot_us
    )
    slots_us = np.concatenate([at[~is_window] // slot_us * slot_us, window_slot_us])
    key = np.concatenate([key[~is_window], key[is_window][window]])
    counts = np.concatenate([counts[~is_window], window_counts])
    counted = (slots_us >= start_us) & (slots_us < end_us) & (counts > 0).any(axis=1)
    slots_us, key, counts = slots_us[counted], key[counted], counts[counted]
    use_cases, models = ([keys[number][index] for number in key.tolist()] for index in (0, 1))
    charters = [charter_of(config, use_case, slot) for use_case, slot in zip(use_cases, slots_us.tolist(), strict=True)]
    columns = {"service": [service] * len(key), "use_case": use_cases, "model": models, "charter": charters}
    amounts = dict(zip(COUNT_COLUMNS, counts.T, strict=True))
    on_day = (at >= start_us) & (at < end_us)
    quality = log_quality_of_day(view, requests, on_day)
    tables = build_shard_tables({"counts": {"start_s": slots_us // US_PER_S, **columns, **amounts}})
    return tables, quality
