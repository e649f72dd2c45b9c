"""Quality of the logs of requests: what is in quarantine, worked on by no model, mended and refused, and why."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from sqlalchemy import select

from footprint.core.request_checks import LOG_STREAM
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY
from footprint.ledger.refusals import mended_rows, refusal_rows
from footprint.storage import schema
from footprint.storage.database import Store, table

COLUMNS = ("outcome", "source", "reason", "records", "requests", "first", "last")
QUARANTINED, WITHOUT_WORK, ATTEMPT, MENDED, REFUSED = "quarantined", "without work", "attempt", "mended", "refused"
_ORDER = (QUARANTINED, WITHOUT_WORK, ATTEMPT, MENDED, REFUSED)


def log_quality(store: Store, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """What was found in the logs of requests, by outcome, source and reason.

    Parameters
    ----------
    from_us, to_us : int or None
        Period [from, to) [µs, UTC], whole days; None means from the first or to the last. Mended and refused records are those
        since the store exists: nobody knows of which time they are.

    Returns
    -------
    list of dict
        ``COLUMNS``: the source is a service, or for mended and refused records the host of the token or ``import``;
        ``requests`` is None where it is not known.
    """
    rows = [
        _row(outcome, service, reason, records, requests, first_day * US_PER_DAY, last_day * US_PER_DAY)
        for (outcome, service, reason), (records, requests, first_day, last_day) in _findings(store, from_us, to_us).items()
    ]
    for outcome, refusals in ((MENDED, mended_rows(store)), (REFUSED, refusal_rows(store))):
        rows += [
            _row(outcome, row["source"], row["reason"], int(row["count"]), None, row["first_us"], row["last_us"])
            for row in refusals
        ]
    return sorted(rows, key=lambda row: (_ORDER.index(row["outcome"]), -row["records"], row["source"], row["reason"]))


def stored_log_quality(store: Store, from_us: int | None, to_us: int | None) -> list[tuple[str, int, dict[str, Any]]]:
    """(service, UTC day, content) of the days that [from, to) touches."""
    target = table(schema.Statistics)
    low = -(2**40) if from_us is None else from_us // US_PER_DAY
    high = 2**40 if to_us is None else -(-to_us // US_PER_DAY)
    query = select(target.c.stream_key, target.c.day, target.c.content).where(
        target.c.stream_key.startswith(LOG_STREAM), target.c.day >= low, target.c.day < high
    )
    with store.read() as connection:
        rows = connection.execute(query).all()
    return sorted((row.stream_key.removeprefix(LOG_STREAM), int(row.day), json.loads(row.content)) for row in rows)


def _row(
    outcome: str, source: str, reason: str, records: int, requests: int | None, first_us: int, last_us: int
) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "source": source,
        "reason": reason,
        "records": records,
        "requests": requests,
        "first": format_instant(first_us),
        "last": format_instant(last_us),
    }


def _findings(store: Store, from_us: int | None, to_us: int | None) -> dict[tuple[str, str, str], list[int]]:
    """Records, requests, first and last day by outcome, service and reason."""
    sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 2**40, -(2**40)])
    for service, day, content in stored_log_quality(store, from_us, to_us):
        for name, (records, requests) in content["findings"].items():
            outcome, _, reason = name.partition(": ")
            total = sums[outcome, service, reason or "another attempt answered, or followed"]
            total[:] = total[0] + records, total[1] + requests, min(total[2], day), max(total[3], day)
    return sums
