"""This file reads back how the energy of each service was divided on each day: by which fit, and how sure it is."""

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
    """(service, host, UTC day, content) of the days that [from, to) touches, in order."""
    low = -(2**40) if from_us is None else from_us // US_PER_DAY
    high = 2**40 if to_us is None else -(-to_us // US_PER_DAY)
    with store.read() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT service_id, host_id, day, status, content FROM footprint_split WHERE day >= {low} AND day < {high}"
        ).all()
        texts = store.texts(connection, {x for row in rows for x in row[:2]})
    for service, host, day, status, content in sorted(rows, key=lambda row: (texts[row[0]], texts[row[1]], row[2])):
        yield texts[service], texts[host], int(day), {**json.loads(content), "status": status}


def split_diagnostics(store: Store, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """One row a service, host and day: status of the fit, why, and its diagnostics."""
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
    """One row a service, host, day, use case and model: share of the model in the energy above idle, with 95 % bounds."""
    return [
        {
            "service": service,
            "host": host,
            "date": _date(day),
            "use_case": use_case,
            "model": model,
            "share": share,
            "share_low": max(share - half, 0.0),
            "share_high": min(share + half, 1.0),
        }
        for service, host, day, content in stored_splits(store, from_us, to_us)
        for use_case, model, share, half in content["shares"]
    ]


def _date(day: int) -> str:
    return datetime.datetime.fromtimestamp(day * US_PER_DAY // US_PER_S, datetime.UTC).date().isoformat()
