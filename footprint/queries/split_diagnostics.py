"""Split diagnostics: how the energy of each service was divided on each day, by which fit, and with what uncertainty."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.storage.database import Store

COLUMNS = (
    "service",
    "host",
    "date",
    "status",
    "reason",
    "requests",
    "windows",
    "days",
    "residual",
    "quiet",
    "condition",
    "lag_s",
    "late_s",
    "prefill_s_per_token",
    "slots",
    "first_token_logged",
    "coefficients",
)
SHARE_COLUMNS = ("service", "host", "date", "use_case", "model", "share", "share_low", "share_high")


def stored_splits(store: Store, from_us: int | None, to_us: int | None) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """(service, host, UTC day, content) of the days that [from, to) touches, in order; from and to in µs."""
    low = -(2**40) if from_us is None else from_us // US_PER_DAY
    high = 2**40 if to_us is None else -(-to_us // US_PER_DAY)
    with store.read() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT service_id, host_id, day, status, content FROM footprint_split WHERE day >= {low} AND day < {high}"
        ).all()
        names = store.texts(connection, {name_id for row in rows for name_id in row[:2]})
    for service, host, day, status, content in sorted(rows, key=lambda row: (names[row[0]], names[row[1]], row[2])):
        yield names[service], names[host], int(day), {**json.loads(content), "status": status}


def split_diagnostics(store: Store, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """Status, reason and diagnostics of the fit, by service, host and day.

    Parameters
    ----------
    from_us, to_us : int or None
        Period [from, to) [µs, UTC]; None means from the first or to the last reading.

    Returns
    -------
    list of dict
        Rows with the columns ``COLUMNS``: ``lag_s`` and ``late_s`` [s], ``prefill_s_per_token`` [s/token], ``residual`` [1].
    """
    rows = []
    for service, host, day, content in stored_splits(store, from_us, to_us):
        if not content["status"]:
            continue
        row: dict[str, Any] = {name: content.get(name) for name in COLUMNS}
        row |= {"service": service, "host": host, "date": _date(day), "prefill_s_per_token": content.get("prefill_s")}
        row["coefficients"] = " ".join(f"{name}={value:.4g}" for name, value in content.get("coefficients", {}).items())
        rows.append(row)
    return rows


def model_shares(store: Store, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """Share of each model in the energy above idle of a use case, by service, host and day.

    Parameters
    ----------
    from_us, to_us : int or None
        Period [from, to) [µs, UTC]; None means from the first or to the last reading.

    Returns
    -------
    list of dict
        Rows with the columns ``SHARE_COLUMNS``: shares [1] with 95 % bounds.
    """
    return [
        {
            "service": service,
            "host": host,
            "date": _date(day),
            "use_case": use_case,
            "model": model,
            "share": share,
            "share_low": max(share - half_width, 0.0),
            "share_high": min(share + half_width, 1.0),
        }
        for service, host, day, content in stored_splits(store, from_us, to_us)
        for use_case, model, share, half_width in content["shares"]
    ]


def _date(day: int) -> str:
    return datetime.datetime.fromtimestamp(day * US_PER_DAY // US_PER_S, datetime.UTC).date().isoformat()
