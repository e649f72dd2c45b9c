"""Dirty days: which shards a run has to look at, from the marks that came with the data, and how the marks are cleared.

A mark never says that figures are outdated. It selects candidates, and the fingerprint of a candidate decides; so any sequence of
runs ends in the same rows, and a mark too many costs a comparison only. A mark is cleared at the version that the run saw.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Connection, bindparam, delete, select

from footprint.aggregation import METHOD_REVISION, METHOD_VERSION
from footprint.aggregation.device_energy import CPU_QUANTITY, GROUP
from footprint.aggregation.shard_comparison import ShardComparison, StoredShard
from footprint.attribution.idle import LEARNING_DAYS
from footprint.calendar.calendar_ranges import zone_fingerprint
from footprint.config import Config
from footprint.config.certificates import certificates_text
from footprint.core.units import US_PER_DAY
from footprint.impact.factor_book import FactorBook
from footprint.ledger.ledger_view import HOLDING_PREFIX, NEIGHBOURS, fingerprint, last_possible_us
from footprint.ledger.placements import service_of_group
from footprint.storage import schema
from footprint.storage.database import Store, table
from footprint.storage.shard_key import ShardKey

COMPARED = "compared"  # key in Meta: the basis under which all days were last compared
_FAR = 10**9  # days

Mark = tuple[str, int, int]  # kind, name id, UTC day


def comparison_basis(config: Config, book: FactorBook) -> str:
    """Digest of the method, the facts, the factors and the rules of the time zone: where it changes, every day is compared."""
    certificates, zone = certificates_text(config.certificates), zone_fingerprint(config.timezone)
    return fingerprint([METHOD_VERSION, METHOD_REVISION, config.facts_digest(), book.digest(), zone, *certificates])


@dataclass(slots=True)
class DirtyDays:
    """Marks of one snapshot with their versions, and the days to look at: marked ones and provisional ones that have closed."""

    versions: dict[Mark, int] = field(default_factory=dict)
    days: dict[ShardKey, set[int]] = field(default_factory=lambda: defaultdict(set))
    since_us: dict[tuple[ShardKey, int], int] = field(default_factory=dict)  # of marked days


def read_dirty_days(store: Store, connection: Connection, first_open_day: int) -> DirtyDays:
    """Marks of the snapshot of a connection; provisional shards before ``first_open_day`` are due at their close."""
    dirty, target, shard = DirtyDays(), table(schema.DirtyDay), table(schema.Shard)
    rows = connection.execute(select(target).where(target.c.day <= last_possible_us(connection) // US_PER_DAY)).all()
    names = store.texts(connection, {row.name_id for row in rows})
    for row in rows:
        dirty.versions[row.kind, row.name_id, row.day] = row.version
        key = ShardKey(row.kind, names[row.name_id])
        dirty.days[key].add(row.day)
        dirty.since_us[key, row.day] = row.since_us
    closed = select(shard.c.members, shard.c.day).where(shard.c.provisional.is_(True), shard.c.day < first_open_day)
    for row in connection.execute(closed):
        dirty.days[ShardKey.parse(row.members)].add(row.day)
    return dirty


@dataclass(frozen=True, slots=True)
class Selection:
    """Shards to compare, called for by the ledger or stored; the stored ones among them; what all days of their hosts rest on."""

    shards: set[tuple[ShardKey, int]]
    stored: dict[tuple[ShardKey, int], StoredShard]
    states: dict[str, str]


def select_all(comparison: ShardComparison) -> Selection:
    """Every shard."""
    stored = comparison.stored_shards()
    states = {name: comparison.host(name).all_days_state() for name in comparison.view.streams()}
    return Selection(comparison.all_shards() | stored.keys(), stored, states)


def shards_to_compare(comparison: ShardComparison, dirty: DirtyDays) -> Selection:
    """Shards that dirty days may change.

    The view of the comparison is limited to the days that they need, except where all days of a host are to be compared.
    """
    if not dirty.days:
        return Selection(set(), {}, {})
    touched = _touched_hosts(comparison, dirty)
    states = {name: comparison.host(name).all_days_state() for name in touched}
    compared = _compared_states(comparison)
    changed = {name for name, state in states.items() if compared.get(name) != state}
    ranges = _ranges(comparison, touched, {day for days in dirty.days.values() for day in days}, limited=not changed)
    ranges |= {ShardKey("host", name): [(-_FAR, _FAR)] for name in changed}
    _add_shared(comparison, ranges)
    ranges |= {key: [(day, day) for day in days] for key, days in dirty.days.items() if key.kind == "service"}
    if not ranges:
        return Selection(set(), {}, states)
    edges = [edge for parts in ranges.values() for part in parts for edge in part]
    stored = {
        (key, day): shard
        for (key, day), shard in comparison.stored_shards(min(edges), max(edges)).items()
        if any(low <= day <= high for low, high in ranges.get(key, ()))
    }
    shards = set(stored)
    for key, parts in ranges.items():
        days = comparison.host_days(key.name) if key.kind == "host" else dirty.days[key]
        shards |= {(key, day) for day in days if any(low <= day <= high for low, high in parts)}
    return Selection(shards, stored, states)


def _touched_hosts(comparison: ShardComparison, dirty: DirtyDays) -> dict[str, set[int]]:
    """Hosts whose figures dirty days may change, each with the days around which to look.

    The log of a service counts for a host to a day beyond the readings that surround a day.
    """
    hosts_of = _hosts_by_service(comparison)
    touched: dict[str, set[int]] = defaultdict(set)
    streams = comparison.view.streams()
    for key, days in dirty.days.items():
        if key.kind == "host" and key.name in streams:
            touched[key.name] |= days
        for name in hosts_of.get(key.name, ()) if key.kind == "service" else ():
            touched[name].update(near for day in days for near in (day - 1, day, day + 1))
    return touched


def _hosts_by_service(comparison: ShardComparison) -> dict[str, set[str]]:
    """Hosts with readings on which a service may be: placed by the configuration, or by the names of processes seen there."""
    config, hosts_of = comparison.config, defaultdict(set)
    service_of = functools.cache(lambda group: service_of_group(group, config.services))
    streams = comparison.view.streams()
    for placement in config.placements:
        if placement.host in streams:
            hosts_of[placement.service].add(placement.host)
    for name, of_host in streams.items():
        for stream in of_host:
            group = (
                stream.quantity.removeprefix(HOLDING_PREFIX)
                if stream.quantity.startswith(HOLDING_PREFIX)
                else stream.device.removeprefix(GROUP)
                if stream.quantity == CPU_QUANTITY
                else ""
            )
            service = service_of(group) if group else None
            if service is not None:
                hosts_of[service].add(name)
    return hosts_of


def _ranges(
    comparison: ShardComparison, touched: Mapping[str, set[int]], dirty_days: set[int], *, limited: bool
) -> dict[ShardKey, list[tuple[int, int]]]:
    """Ranges of days of each host that rest on its touched days; with ``limited`` the view answers for what they need only."""
    view, all_days = comparison.view, dirty_days.union(*touched.values())
    first, last = min(all_days) - LEARNING_DAYS, max(all_days) + LEARNING_DAYS
    if limited:
        view.limit_days(first, last)
    ranges = {ShardKey("host", name): _ranges_of_host(comparison, name, days) for name, days in touched.items()}
    needed = [(low - LEARNING_DAYS, high) for parts in ranges.values() for low, high in parts]
    if limited and needed and (min(needed)[0] < first or max(high for _, high in needed) > last):
        view.limit_days(min(first, min(needed)[0]), max(last, *(high for _, high in needed)))
    return ranges


def _add_shared(comparison: ShardComparison, ranges: dict[ShardKey, list[tuple[int, int]]]) -> None:
    """Add the ranges of each host to those of the hosts that share a service with it: they are one meter."""
    own = {key.name: list(parts) for key, parts in ranges.items() if key.kind == "host"}
    for names in _hosts_by_service(comparison).values():
        shared = [part for name in sorted(names & own.keys()) for part in own[name]]
        for name in sorted(names) if shared and len(names) > 1 else ():
            ranges[ShardKey("host", name)] = sorted({*ranges.get(ShardKey("host", name), ()), *shared})


def _ranges_of_host(comparison: ShardComparison, name: str, touched: set[int]) -> list[tuple[int, int]]:
    """Ranges of days of a host whose fingerprint contains the state of a touched day, by ``HostAggregator.data``.

    Of each stream that read on a touched day, or before and after it, these are at most the days between the second day with
    readings before it and the second after it. Then come the days that learn from them.
    """
    days = np.array(sorted(touched), dtype=np.int64)
    low, high = days.copy(), days.copy()
    for stream in comparison.view.streams()[name]:
        known = comparison.view.stream_days(stream.id)
        read = known.day[known.last_us >= known.first_us]
        if not len(read):
            continue
        before, after = np.searchsorted(read, days, side="left"), np.searchsorted(read, days, side="right")
        concerned = np.isin(days, known.day) | ((before > 0) & (after < len(read)))
        earliest = np.where(before > 0, read[np.maximum(before - NEIGHBOURS, 0)], days)
        latest = np.where(after < len(read), read[np.minimum(after + NEIGHBOURS - 1, len(read) - 1)], days)
        low, high = np.where(concerned, np.minimum(low, earliest), low), np.where(concerned, np.maximum(high, latest), high)
    high = high + (LEARNING_DAYS - 1 if comparison.host(name).tenures else 0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _compared_states(comparison: ShardComparison) -> dict[str, str]:
    connection = comparison.view.connection
    rows = connection.execute(select(table(schema.ComparedHost))).all()
    names = comparison.store.texts(connection, {row.host_id for row in rows})
    return {names[row.host_id]: row.state for row in rows}


def compared_basis(connection: Connection) -> str:
    """Basis of the last comparison of all days; empty where there is none."""
    meta = table(schema.Meta)
    return str(connection.execute(select(meta.c.value).where(meta.c.key == COMPARED)).scalar() or "")


def forget_comparison(store: Store) -> None:
    """Let the next run compare every day: what follows stores figures of another basis, and may be interrupted."""
    meta = table(schema.Meta)
    with store.begin() as connection:
        connection.execute(delete(meta).where(meta.c.key == COMPARED))


def finish(store: Store, dirty: DirtyDays, states: Mapping[str, str], basis: str) -> None:
    """Clear marks that have not changed since they were read; record the basis and what the days of hosts rest on."""
    if not dirty.versions and not states and not basis:
        return
    target, ids = table(schema.DirtyDay), store.name_ids(states)
    with store.begin() as connection:
        seen = [
            {"seen_kind": kind, "seen_name_id": name_id, "seen_day": day, "seen_version": version}
            for (kind, name_id, day), version in dirty.versions.items()
        ]
        is_seen = [target.c[name] == bindparam(f"seen_{name}") for name in ("kind", "name_id", "day", "version")]
        if seen:
            connection.execute(delete(target).where(*is_seen), seen)
        rows = [{"host_id": ids[name], "state": state} for name, state in sorted(states.items())]
        store.upsert(connection, schema.ComparedHost, rows)
        if basis:
            store.upsert(connection, schema.Meta, [{"key": COMPARED, "value": basis}])
