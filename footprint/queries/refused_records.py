"""Refused records: what the doors did not take, by source and reason."""

from __future__ import annotations

from typing import Any

from footprint.core.timestamps import format_instant
from footprint.ledger.refusals import refusal_rows
from footprint.storage.database import Store

COLUMNS = ("source", "reason", "records", "first", "last")


def refused_records(store: Store) -> list[dict[str, Any]]:
    """Records that were not taken since the store exists; the latest first.

    Returns
    -------
    list of dict
        ``COLUMNS``: the host of the token or ``import``, the reason, the number of records, the first and the last time.
    """
    return [
        {
            "source": row["source"],
            "reason": row["reason"],
            "records": int(row["count"]),
            "first": format_instant(row["first_us"]),
            "last": format_instant(row["last_us"]),
        }
        for row in refusal_rows(store)
    ]
