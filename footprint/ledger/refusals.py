"""Refusals: what the doors did not take or mended, counted by source and reason, and the quota of new names of a day.

A source is the host of a token, or ``import`` for files. Counts are in the store and outlive a restart; reasons are
few and never hold a value, so that the table stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from footprint.core.limits import MAX_REASONS
from footprint.core.units import US_PER_DAY
from footprint.storage import schema
from footprint.storage.database import Store, table

IMPORT_SOURCE = "import"
OTHER_REASONS = "other reasons"
_MENDED = "mended: "  # before the reason of fields that were left out or mended in rows that were taken
_NEW_NAMES = "(new names)"  # a counter of the current day, and no refusal


def count_refusals(store: Store, connection: Connection, source: str, by_reason: Mapping[str, int], now_us: int) -> None:
    """Add refused lines of a source, by reason, in a transaction."""
    target = table(schema.Refusal)
    known = set(connection.execute(select(target.c.reason).where(target.c.source == source)).scalars())
    for reason, count in by_reason.items():
        if reason not in known and len(known) >= MAX_REASONS:
            reason = OTHER_REASONS  # noqa: PLW2901
        known.add(reason)
        row = {"source": source, "reason": reason, "count": count, "first_us": now_us, "last_us": now_us}
        statement = store.insert(schema.Refusal)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["source", "reason"],
                set_={"count": target.c["count"] + statement.excluded["count"], "last_us": statement.excluded["last_us"]},
            ),
            [row],
        )


def count_mended(store: Store, connection: Connection, source: str, by_reason: Mapping[str, int], now_us: int) -> None:
    """Add the fields of taken rows of a source that were left out or mended, by reason, in a transaction."""
    if by_reason:
        count_refusals(store, connection, source, {_MENDED + reason: count for reason, count in by_reason.items()}, now_us)


def mended_rows(store: Store) -> list[dict[str, Any]]:
    """Fields left out or mended by source and reason, with the first and the last time [µs]; the latest first."""
    rows = _rows(store, table(schema.Refusal).c.reason.startswith(_MENDED))
    return [row | {"reason": row["reason"].removeprefix(_MENDED)} for row in rows]


def refusal_rows(store: Store) -> list[dict[str, Any]]:
    """Refused lines by source and reason, with the first and the last time [µs]; the latest first."""
    return _rows(store, _is_refusal())


def _is_refusal() -> ColumnElement[bool]:
    reason = table(schema.Refusal).c.reason
    return (reason != _NEW_NAMES) & ~reason.startswith(_MENDED)


def _rows(store: Store, chosen: ColumnElement[bool]) -> list[dict[str, Any]]:
    target = table(schema.Refusal)
    query = select(target).where(chosen).order_by(target.c.last_us.desc(), target.c.source, target.c.reason)
    with store.read() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


def refusals_by_reason(store: Store) -> dict[str, int]:
    """Number of refused lines by reason."""
    target = table(schema.Refusal)
    query = select(target.c.reason, func.sum(target.c["count"])).where(_is_refusal()).group_by(target.c.reason)
    with store.read() as connection:
        return {row[0]: int(row[1]) for row in connection.execute(query)}


def new_names_today(connection: Connection, source: str, now_us: int) -> int:
    """Number of new names that a source has brought on the UTC day of an instant [µs]."""
    target = table(schema.Refusal)
    query = select(target.c["count"], target.c.first_us).where(target.c.source == source, target.c.reason == _NEW_NAMES)
    row = connection.execute(query).first()
    return int(row[0]) if row is not None and row.first_us // US_PER_DAY == now_us // US_PER_DAY else 0


def set_new_names(store: Store, connection: Connection, source: str, count: int, now_us: int) -> None:
    """Store the number of new names of a source on the UTC day of an instant [µs]."""
    row = {"source": source, "reason": _NEW_NAMES, "count": count, "first_us": now_us, "last_us": now_us}
    store.upsert(connection, schema.Refusal, [row])
