"""Result writer: replaces the stored figures of one host or service and day."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, delete, insert, select, text

from footprint.aggregation.executors import ComputedDay
from footprint.attribution.shard import ClosureError
from footprint.config import Config
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.storage import schema
from footprint.storage.database import Store, table
from footprint.storage.figure_blocks import ShardTables
from footprint.storage.figure_writer import commit_tables, remove_figures
from footprint.storage.shard_key import ShardKey


@dataclass(frozen=True, slots=True)
class ShardStamp:
    """When a shard was computed, and from which inputs."""

    key: ShardKey
    day: int
    fingerprint: str
    computed_us: int
    provisional: bool
    facts: str = ""  # facts of a sealed day that an edit without a date does not change


def store_days(store: Store, config: Config, days: Sequence[tuple[ComputedDay, ShardStamp]]) -> None:
    """Store the figures, the splits and the new statistics of shards, in one transaction.

    Raises
    ------
    ClosureError
        If the energy of a device's rows is not that of its coverage; nothing is stored.
    """
    texts: set[str] = set()
    for computed, stamp in days:
        _check_closure(stamp, computed.tables)
        texts.update((stamp.key.name, *computed.tables.names, *(split.service for split in computed.splits)))
    names = store.name_ids(texts)
    with store.begin() as connection:
        for computed, stamp in days:
            _store_day(store, connection, config, computed, stamp, names)


def _store_day(
    store: Store, connection: Connection, config: Config, computed: ComputedDay, stamp: ShardStamp, names: dict[str, int]
) -> None:
    bases = _basis_ids(store, connection, computed.tables.bases)
    shard_id = _register_shard(store, connection, stamp, "" if stamp.provisional else computed.tables.digest())
    member = stamp.key.kind, names[stamp.key.name]
    start_us = stamp.day * US_PER_DAY
    since_us = start_us if computed.since_us is None else computed.since_us
    open_since_s = since_us // US_PER_S if stamp.provisional else None
    commit_tables(
        connection, shard_id, member, stamp.day, computed.tables, names, bases, config.timezone, open_since_s=open_since_s
    )
    if since_us == start_us:  # splits are those of whole days
        _replace_splits(store, connection, shard_id, names, computed)
    statistics = [
        {"stream_key": key, "day": day, "inputs": inputs, "content": content} for key, day, inputs, content in computed.statistics
    ]
    store.upsert(connection, schema.Statistics, statistics)


def _replace_splits(store: Store, connection: Connection, shard_id: int, names: dict[str, int], computed: ComputedDay) -> None:
    target, host_id = table(schema.SplitRow), names[computed.key.name]
    connection.execute(delete(target).where(target.c.shard_id == shard_id))
    columns = ("day", "host_id", "service_id", "status", "content", "shard_id")
    splits = [(computed.day, host_id, names[split.service], split.status, split.content, shard_id) for split in computed.splits]
    store.insert_many(connection, target, columns, splits)


def _check_closure(stamp: ShardStamp, tables: ShardTables) -> None:
    if "energy" not in tables.tables:
        return
    energy, coverage = tables.tables["energy"], tables.tables["coverage"]
    rows_uj = energy["active_uj"] + energy["idle_uj"] + energy["host_uj"]
    for device in np.unique(energy["device"]).tolist():
        covered = coverage["device"] == device
        read_uj, stored_uj = int(coverage["energy_uj"][covered].sum()), int(rows_uj[energy["device"] == device].sum())
        # The difference of a whole-server meter stands in rows of (host), which nothing covers.
        if covered.any() and read_uj != stored_uj:
            raise ClosureError(
                f"{stamp.key.text}, UTC day {stamp.day}, {tables.names[device]}: rows of {stored_uj} µJ, "
                f"readings of {read_uj} µJ; nothing of this day was stored"
            )


def remove_shard(store: Store, key: ShardKey, day: int) -> None:
    """Remove a shard that the ledger no longer calls for."""
    shard = table(schema.Shard)
    number = store.name_ids([key.name])[key.name]
    with store.begin() as connection:
        shard_id = _register_shard(store, connection, ShardStamp(key, day, "", 0, False), "")
        remove_figures(connection, shard_id, (key.kind, number), day)
        connection.execute(delete(table(schema.SplitRow)).where(table(schema.SplitRow).c.shard_id == shard_id))
        connection.execute(delete(shard).where(shard.c.id == shard_id))


def _register_shard(store: Store, connection: Connection, stamp: ShardStamp, digest: str) -> int:
    """Record a shard as computed; return its number."""
    shard = table(schema.Shard)
    if store.dialect == "postgresql":  # SQLite has one writer at a time already
        connection.execute(text("LOCK TABLE shard IN EXCLUSIVE MODE"))
    same = (shard.c.day == stamp.day) & (shard.c.members == stamp.key.text)
    shard_id = connection.execute(select(shard.c.id).where(same)).scalar()
    values = {
        "day": stamp.day,
        "members": stamp.key.text,
        "fingerprint": stamp.fingerprint,
        "computed_us": stamp.computed_us,
        "provisional": stamp.provisional,
        "facts": stamp.facts,
        "digest": digest,
    }
    if shard_id is None:
        return int(connection.execute(insert(shard).values(**values).returning(shard.c.id)).scalar_one())
    connection.execute(shard.update().where(shard.c.id == shard_id).values(**values))
    return int(shard_id)


def _basis_ids(store: Store, connection: Connection, lines: Sequence[str]) -> dict[str, int]:
    basis = table(schema.BasisRow)
    digests = {hashlib.blake2b(line.encode(), digest_size=16).hexdigest(): line for line in lines}
    store.insert_new(
        connection, schema.BasisRow, [{"digest": digest, "content": line} for digest, line in sorted(digests.items())]
    )
    stored = connection.execute(select(basis.c.id, basis.c.digest).where(basis.c.digest.in_(sorted(digests))))
    return {digests[row.digest]: row.id for row in stored}
