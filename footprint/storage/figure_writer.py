"""Figure writer: commits the figures of a shard, and compacts blocks into those of days and months.

A shard's block and its row in ``shard`` change in one transaction. Every change deletes the sums of the months that it touches,
so a stored month is always true. Compaction moves rows between blocks and changes no figure.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select

from footprint.attribution.array_types import Ints
from footprint.calendar.calendar_ranges import local_day, midnight_s, month_bounds, zone_fingerprint
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.storage import schema
from footprint.storage.figure_blocks import (
    DAYS,
    LAYOUTS,
    MONTHS,
    PROFILE,
    SLOTS,
    Layout,
    ShardTables,
    add_up,
    from_arrow,
    pack,
    part_name,
    to_arrow,
    unpack,
)

if TYPE_CHECKING:
    from footprint.storage.database import Store

SHARD, DAY, MONTH = 0, 1, 2  # tiers of blocks
WITHOUT_SUMS = "-"  # in place of a zone: amounts too large to be summed in 64 bits
LARGEST = 10**15  # of one row: a month of quarter hours of it is less than 2^63
S_PER_DAY = US_PER_DAY // US_PER_S
DAYS_PER_TRANSACTION = 4
CHANGES = "changes"  # key in Meta: version of the figures
_BLOCK, _PART = schema.FigureBlock.__table__, schema.FigurePart.__table__  # type: ignore[attr-defined]
Tables = Mapping[str, dict[str, Ints]]  # columns of numbers by layout


def data_version(connection: Connection) -> str:
    """Version of the figures: a different text after every change."""
    meta = schema.Meta.__table__  # type: ignore[attr-defined]
    return str(connection.execute(select(meta.c.value).where(meta.c.key == CHANGES)).scalar() or "")


def count_change(connection: Connection) -> None:
    """Give the figures another version, which no store had before: a restored one is never taken for the one that it replaces."""
    version = f"'{uuid.uuid4().hex}'"
    connection.exec_driver_sql(
        f"INSERT INTO meta (key, value) VALUES ('{CHANGES}', {version}) ON CONFLICT (key) DO UPDATE SET value = {version}"
    )


def commit_tables(
    connection: Connection,
    shard_id: int,
    member: tuple[str, int],
    day: int,
    tables: ShardTables,
    name_ids: Mapping[str, int],
    basis_ids: Mapping[str, int],
    zone: ZoneInfo,
    *,
    open_since_s: int | None = None,
) -> None:
    """Replace the figures of a shard.

    With ``open_since_s`` those of an open day from an edge of slots on, in two blocks: the last slot has its own, because the
    next run replaces it.

    Parameters
    ----------
    member
        Kind (host, service) and name number of the shard.
    day
        UTC day, counted from 1970-01-01.
    name_ids, basis_ids
        Numbers of the store for the names and the bases of the tables.
    """
    remove_figures(connection, shard_id, member, day, zone, open_since_s)
    of_name = np.array([name_ids[text] for text in tables.names], dtype=np.int64)
    of_basis = np.array([basis_ids[line] for line in tables.bases], dtype=np.int64)
    numbered = {
        name: {
            column: of_name[values] if column in LAYOUTS[name].names else of_basis[values] if column == "basis" else values
            for column, values in columns.items()
        }
        for name, columns in tables.tables.items()
    }
    first_s, last_s = day_extent(day)
    edges = [first_s, last_s]
    if open_since_s is not None:
        cut_s = max((int(columns["start_s"].max()) for columns in numbered.values() if len(columns["start_s"])), default=last_s)
        edges = sorted({open_since_s, max(open_since_s, cut_s), last_s})
    for extent in itertools.pairwise(edges):
        part = _slots_between(numbered, *extent)
        if any(len(columns["start_s"]) for columns in part.values()):
            insert_block(connection, tier=SHARD, shard_id=shard_id, extent=extent, tables=part, zone=zone)


def _slots_between(tables: Tables, first_s: int, last_s: int) -> Tables:
    inside = {name: (columns["start_s"] >= first_s) & (columns["start_s"] < last_s) for name, columns in tables.items()}
    return {name: {column: values[inside[name]] for column, values in columns.items()} for name, columns in tables.items()}


def day_extent(day: int) -> tuple[int, int]:
    """First instant of a UTC day, and of the next [s]."""
    return day * S_PER_DAY, (day + 1) * S_PER_DAY


def remove_figures(
    connection: Connection,
    shard_id: int,
    member: tuple[str, int],
    day: int,
    zone: ZoneInfo | None = None,
    open_since_s: int | None = None,
) -> None:
    """Remove the figures of a shard: its own blocks at once, its rows in the block of a day by a mark.

    With ``open_since_s``, slots before it stay.
    """
    count_change(connection)
    own = connection.execute(select(_BLOCK.c.id, _BLOCK.c.first_s, _BLOCK.c.last_s).where(_BLOCK.c.shard_id == shard_id)).all()
    for block in own:
        if open_since_s is not None and block.last_s <= open_since_s:
            continue
        if open_since_s is not None and block.first_s < open_since_s:
            tables = {name: from_arrow(rows, LAYOUTS[name]) for name, rows in read_block(connection, block.id, "").items()}
            extent = block.first_s, open_since_s
            earlier = _slots_between(tables, *extent)
            insert_block(connection, tier=SHARD, shard_id=shard_id, extent=extent, tables=earlier, zone=zone)
        delete_blocks(connection, [block.id])
    first_s, last_s = day_extent(day)
    kind, number = member
    overlaps = _overlapping(first_s, last_s)
    for block_id, tier, dead in connection.execute(select(_BLOCK.c.id, _BLOCK.c.tier, _BLOCK.c.dead).where(overlaps)).all():
        if tier == MONTH:
            delete_blocks(connection, [block_id])
        elif tier == DAY:
            marks = dead_members(dead)
            marks.setdefault(kind, set()).add(number)
            text = json.dumps({name: sorted(numbers) for name, numbers in sorted(marks.items())})
            connection.execute(_BLOCK.update().where(_BLOCK.c.id == block_id).values(dead=text))


def _overlapping(first_s: int, last_s: int) -> ColumnElement[bool]:
    """Condition on blocks that overlap a range; no block is longer than a month, so later ones need not be looked at."""
    longest_s = 32 * S_PER_DAY
    return (_BLOCK.c.last_s > first_s) & (_BLOCK.c.last_s < last_s + longest_s) & (_BLOCK.c.first_s < last_s)


def dead_members(dead: str) -> dict[str, set[int]]:
    """Name numbers of the shards whose rows in a block are replaced, by kind."""
    return {kind: set(numbers) for kind, numbers in json.loads(dead or "{}").items()}


def delete_blocks(connection: Connection, block_ids: Iterable[int]) -> None:
    """Delete blocks with their parts."""
    for block_id in list(block_ids):
        count_change(connection)
        connection.execute(delete(_PART).where(_PART.c.block_id == block_id))
        connection.execute(delete(_BLOCK).where(_BLOCK.c.id == block_id))


def insert_block(
    connection: Connection, *, tier: int, shard_id: int, extent: tuple[int, int], tables: Tables, zone: ZoneInfo | None
) -> int:
    """Insert a block of rows by slot, with their sums by day of a zone; return its number."""
    parts = {(name, SLOTS): columns for name, columns in tables.items() if len(columns["start_s"])}
    zone_text = ""
    if zone is not None:
        zone_text = zone_fingerprint(zone) if _is_summable(tables) else WITHOUT_SUMS
    if zone is not None and zone_text != WITHOUT_SUMS:
        parts |= {(name, DAYS): sum_by_day(columns, LAYOUTS[name], zone) for (name, _), columns in parts.items()}
    packed = {part_name(*key): pack(to_arrow(columns, LAYOUTS[key[0]]), LAYOUTS[key[0]]) for key, columns in parts.items()}
    return _insert(connection, tier, shard_id, extent, zone_text, packed)


def _insert(
    connection: Connection, tier: int, shard_id: int, extent: tuple[int, int], zone: str, packed: Mapping[str, bytes]
) -> int:
    values = {
        "tier": tier,
        "shard_id": shard_id,
        "first_s": extent[0],
        "last_s": extent[1],
        "zone": zone,
        "digest": digest_of_parts(packed),
        "dead": "",
    }
    count_change(connection)
    block_id = int(connection.execute(insert(_BLOCK).values(**values).returning(_BLOCK.c.id)).scalar_one())
    rows = [{"block_id": block_id, "part": name, "content": content} for name, content in sorted(packed.items())]
    if rows:
        connection.execute(insert(_PART), rows)
    return block_id


def digest_of_parts(packed: Mapping[str, bytes]) -> str:
    """Digest of a block: of the names and the bytes of its parts."""
    digest = hashlib.blake2b(digest_size=16)
    for name, content in sorted(packed.items()):
        digest.update(name.encode() + len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def _is_summable(tables: Tables) -> bool:
    return all(
        int(np.abs(columns[name]).max()) <= LARGEST
        for layout, columns in tables.items()
        if len(columns["start_s"])
        for name in LAYOUTS[layout].amounts
        if not name.endswith("t_us")  # instants
    )


def sum_by_day(columns: dict[str, Ints], layout: Layout, zone: ZoneInfo) -> dict[str, Ints]:
    """Rows summed by day of a zone; ``start_s`` is the midnight at which the day starts [s]."""
    return add_up(columns | {"start_s": _starts(columns["start_s"], zone, _midnight_before)}, layout)


def sum_by_month(columns: dict[str, Ints], layout: Layout, zone: ZoneInfo) -> dict[str, Ints]:
    """Rows summed by month of a zone; ``start_s`` is the midnight at which the month starts [s]."""
    return add_up(columns | {"start_s": _starts(columns["start_s"], zone, month_start_s)}, layout)


def _midnight_before(zone: ZoneInfo, instant_s: int) -> int:
    return midnight_s(zone, local_day(zone, instant_s))


def month_start_s(zone: ZoneInfo, instant_s: int) -> int:
    """Start [s] of the month of a zone that contains an instant [s]."""
    return midnight_s(zone, month_bounds(local_day(zone, instant_s))[0])


def month_end_s(zone: ZoneInfo, instant_s: int) -> int:
    """End [s] of the month of a zone that contains an instant [s]."""
    return midnight_s(zone, month_bounds(local_day(zone, instant_s))[1])


def _starts(slots_s: Ints, zone: ZoneInfo, start_of: object) -> Ints:
    distinct, position = np.unique(slots_s, return_inverse=True)
    return np.array([start_of(zone, slot) for slot in distinct.tolist()], dtype=np.int64)[position]  # type: ignore[operator]


def read_block(connection: Connection, block_id: int, dead: str, level: str = SLOTS) -> dict[str, pa.Table]:
    """Tables of a block at one level, by layout, without the rows that another block replaces."""
    names = {part_name(layout, level): layout for layout in LAYOUTS}
    rows = connection.execute(
        select(_PART.c.part, _PART.c.content).where(_PART.c.block_id == block_id, _PART.c.part.in_(sorted(names)))
    )
    return {names[row.part]: without_dead(unpack(row.content, LAYOUTS[names[row.part]]), names[row.part], dead) for row in rows}


def without_dead(table: pa.Table, layout: str, dead: str) -> pa.Table:
    """Rows of a table that no other block replaces."""
    column = "service" if layout == "counts" else "host"
    numbers = dead_members(dead).get(column)
    if not numbers:
        return table
    return table.filter(~np.isin(table[column].to_numpy(), sorted(numbers)))


def compact(store: Store, zone: ZoneInfo, now_us: int, days: Iterable[int] | None = None) -> int:
    """Pack closed UTC days into one block each, and sum the months that are over; return the number of blocks made.

    ``days`` are UTC days whose figures changed; None looks at all. A transaction packs a few days, so that it neither holds up
    writers nor grows the log of the database with the month; the last one also sums the month.
    """
    extent = select(_BLOCK.c.first_s, _BLOCK.c.last_s)
    with store.read() as connection:
        extents = {(block.first_s, block.last_s) for block in _closed_blocks(connection)}
        if days is None:
            extents |= {(first, last) for first, last in connection.execute(extent)}
    extents |= {day_extent(day) for day in days or ()}
    made = 0
    months = sorted({month_start_s(zone, instant) for first, last in extents for instant in (first, last - 1)})
    for start in months:
        is_done = False
        while not is_done:
            with store.begin() as connection:
                packed, is_done = _compact_month(connection, zone, start, month_end_s(zone, start), now_us)
            made += packed
    return made


def _closed_blocks(connection: Connection, *conditions: ColumnElement[bool]) -> list[Row[tuple[int, int, int]]]:
    """Number and extent of the blocks of single shards whose day is over for good."""
    shard = schema.Shard.__table__  # type: ignore[attr-defined]
    provisional = select(shard.c.day).where(shard.c.provisional)
    joined = select(_BLOCK.c.id, _BLOCK.c.first_s, _BLOCK.c.last_s).join(shard, shard.c.id == _BLOCK.c.shard_id)
    is_closed = (_BLOCK.c.shard_id > 0) & shard.c.day.not_in(provisional)
    return list(connection.execute(joined.where(is_closed, *conditions)).all())


def _compact_month(connection: Connection, zone: ZoneInfo, start_s: int, end_s: int, now_us: int) -> tuple[int, bool]:
    """Pack a few closed days of a month, or sum the month if none is left and it is over.

    Return the number of blocks made, and whether all is done.
    """
    overlaps = _overlapping(start_s, end_s)
    columns = (_BLOCK.c.id, _BLOCK.c.tier, _BLOCK.c.first_s, _BLOCK.c.last_s, _BLOCK.c.zone, _BLOCK.c.dead)
    blocks = connection.execute(select(*columns).where(overlaps, _BLOCK.c.tier != MONTH).order_by(_BLOCK.c.first_s)).all()
    closed, wanted, made = {block.id for block in _closed_blocks(connection, overlaps)}, zone_fingerprint(zone), 0
    by_day: dict[tuple[int, int], list[tuple[int, str]]] = {}
    stale_days: set[tuple[int, int]] = set()
    open_blocks = False
    for block in blocks:
        extent = block.first_s, block.last_s
        if block.tier == SHARD and block.id not in closed:
            open_blocks = True
            continue
        by_day.setdefault(extent, []).append((block.id, block.dead))
        if block.tier == SHARD or block.dead or block.zone not in (wanted, WITHOUT_SUMS):
            stale_days.add(extent)
    for extent in sorted(stale_days)[:DAYS_PER_TRANSACTION]:
        tables = _joined([read_block(connection, *block) for block in by_day[extent]])
        delete_blocks(connection, [block_id for block_id, _ in by_day[extent]])
        if tables:
            insert_block(connection, tier=DAY, shard_id=0, extent=extent, tables=tables, zone=zone)
        made += 1
    if len(stale_days) > DAYS_PER_TRANSACTION:
        return made, False
    outdated = connection.execute(select(_BLOCK.c.id).where(overlaps, _BLOCK.c.tier == MONTH, _BLOCK.c.zone != wanted)).scalars()
    delete_blocks(connection, list(outdated))
    exists = connection.execute(select(_BLOCK.c.id).where(overlaps, _BLOCK.c.tier == MONTH, _BLOCK.c.first_s == start_s)).first()
    if open_blocks or end_s * US_PER_S > now_us or exists is not None:
        return made, True
    return made + _sum_month(connection, zone, start_s, end_s), True


def _joined(blocks: Iterable[Mapping[str, pa.Table]]) -> dict[str, dict[str, Ints]]:
    by_layout: dict[str, list[pa.Table]] = {}
    for tables in blocks:
        for layout, table in tables.items():
            by_layout.setdefault(layout, []).append(table)
    joined = {layout: from_arrow(pa.concat_tables(tables), LAYOUTS[layout]) for layout, tables in by_layout.items()}
    return {layout: add_up(columns, LAYOUTS[layout]) for layout, columns in joined.items() if len(columns["start_s"])}


def _sum_month(connection: Connection, zone: ZoneInfo, start_s: int, end_s: int) -> int:
    """Store the sums of a month by day and in all; none if some rows are too large to be summed."""
    overlaps = _overlapping(start_s, end_s) & (_BLOCK.c.tier != MONTH)
    blocks = connection.execute(select(_BLOCK.c.id, _BLOCK.c.zone, _BLOCK.c.dead).where(overlaps)).all()
    if not blocks or any(block.zone != zone_fingerprint(zone) for block in blocks):
        return 0
    packed: dict[str, bytes] = {}
    days = _joined([read_block(connection, block.id, block.dead, DAYS) for block in blocks])
    for layout, columns in days.items():
        inside = (columns["start_s"] >= start_s) & (columns["start_s"] < end_s)
        within = {name: column[inside] for name, column in columns.items()}
        packed[part_name(layout, DAYS)] = pack(to_arrow(within, LAYOUTS[layout]), LAYOUTS[layout])
        months = sum_by_month(within, LAYOUTS[layout], zone)
        packed[part_name(layout, MONTHS)] = pack(to_arrow(months, LAYOUTS[layout]), LAYOUTS[layout])
    profile = [_profile(connection, block.id, block.dead, start_s, end_s) for block in blocks]
    joined = {name: np.concatenate([columns[name] for columns in profile]) for name in PROFILE.schema.names}
    packed[part_name("profile", SLOTS)] = pack(to_arrow(add_up(joined, PROFILE), PROFILE), PROFILE)
    _insert(connection, MONTH, 0, (start_s, end_s), zone_fingerprint(zone), packed)
    return 1


def _profile(connection: Connection, block_id: int, dead: str, start_s: int, end_s: int) -> dict[str, Ints]:
    """Energy of each slot of a block by host and service, without use cases."""
    tables = read_block(connection, block_id, dead)
    if "energy" not in tables:
        return {name: np.zeros(0, dtype=np.int64) for name in PROFILE.schema.names}
    table = tables["energy"]
    columns = {name: table[name].to_numpy().astype(np.int64) for name in ("start_s", "host", "service")}
    columns["energy_uj"] = sum(  # type: ignore[assignment]
        table[name].to_numpy() for name in ("active_uj", "idle_uj", "host_uj", "facility_uj")
    )
    inside = (columns["start_s"] >= start_s) & (columns["start_s"] < end_s)
    return add_up({name: column[inside] for name, column in columns.items()}, PROFILE)
