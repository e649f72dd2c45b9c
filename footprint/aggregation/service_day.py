"""Requests and tokens of one service on one UTC day, by slot, use case and model.

A request counts where it ends. A window of several requests that crosses slots is stored uncut; each query divides it by time
over its periods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from footprint.aggregation import METHOD_REVISION, METHOD_VERSION
from footprint.aggregation.request_logs import request_keys
from footprint.attribution.array_types import Ints
from footprint.config import Config
from footprint.core.records import COUNT_COLUMNS
from footprint.core.units import US_PER_DAY
from footprint.ledger.ledger_view import LedgerView, RequestColumns, fingerprint


@dataclass(frozen=True, slots=True)
class ServiceDay:
    """Counts by (slot_us, use_case, model), and the windows that cross slots; unknown tokens are missing."""

    counts: pd.DataFrame
    straddles: pd.DataFrame


def service_days(view: LedgerView, service: str) -> list[int]:
    """UTC days on which a request of a service was in flight."""
    return sorted(view.service_days().get(service, {}))


def service_fingerprint(view: LedgerView, config: Config, service: str, day: int) -> str:
    """Fingerprint of everything that the counts of a day are computed from."""
    versions = view.service_versions(service, day, day)
    if not versions:
        return ""
    return fingerprint([METHOD_VERSION, METHOD_REVISION, config.facts_digest(), service, day, versions[0][1]])


def counting_instant(requests: RequestColumns) -> Ints:
    """Instant [µs] at which each request counts: just before its end; for an arrival of unknown duration, its start."""
    return np.maximum(requests.end_us - 1, requests.start_us)


def count_service_day(view: LedgerView, config: Config, service: str, start_us: int, end_us: int, edges_us: Ints) -> ServiceDay:
    """Requests that count in [start, end), by the slots between ``edges_us``."""
    requests = view.requests(service, start_us, end_us)
    keys, key = request_keys(view, config, service, requests)
    at = counting_instant(requests)
    names = np.array(keys, dtype=object).reshape(-1, 2)[key] if keys else np.zeros((0, 2), dtype=object)
    frame = pd.DataFrame(
        {
            "start_us": requests.start_us,
            "end_us": requests.end_us,
            "at_us": at,
            "use_case": names[:, 0],
            "model": names[:, 1],
            **{name: getattr(requests, name) for name in COUNT_COLUMNS},
        }
    )
    frame = frame[(at >= start_us) & (at < end_us)]
    begins = np.searchsorted(edges_us, frame["start_us"].to_numpy(), side="right")
    counts = np.searchsorted(edges_us, frame["at_us"].to_numpy(), side="right")
    crosses = (frame["requests"].to_numpy() > 1) & (frame["end_us"].to_numpy() >= 0) & (begins != counts)
    within_slots = frame[~crosses].assign(slot_us=edges_us[np.maximum(counts[~crosses] - 1, 0)])
    return ServiceDay(sum_counts(within_slots, ["slot_us", "use_case", "model"]), frame[crosses])


def sum_counts(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Sums of counts without unknown tokens (-1); -1 where all are unknown."""
    known_counts = frame.assign(**{name: frame[name].clip(lower=0) for name in COUNT_COLUMNS})
    is_known = frame.assign(**{name: (frame[name] >= 0).astype(np.int64) for name in COUNT_COLUMNS})
    sums = known_counts.groupby(by, sort=True)[list(COUNT_COLUMNS)].sum()
    known_rows = is_known.groupby(by, sort=True)[list(COUNT_COLUMNS)].sum()
    return sums.where(known_rows > 0, -1).reset_index()


def day_edges(day: int, grain: int) -> Ints:
    """Edges of the slots of a day [µs]."""
    start_us = day * US_PER_DAY
    return np.arange(start_us, start_us + US_PER_DAY + 1, grain, dtype=np.int64)
