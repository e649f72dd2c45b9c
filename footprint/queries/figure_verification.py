"""Verification of figures: blocks against their digests, and the figures of each host, service and day against theirs.

One UTC day at a time is in memory, each read in a snapshot of its own, so that a long verification delays nobody.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, select

from footprint.attribution.array_types import Ints
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.storage import schema
from footprint.storage.canonical_figures import StoredTexts, rows_by_shard
from footprint.storage.database import Store, table
from footprint.storage.figure_blocks import DAYS, LAYOUTS, MONTHS, SLOTS, from_arrow, part_name, unpack
from footprint.storage.figure_writer import MONTH, S_PER_DAY, SHARD, WITHOUT_SUMS, day_extent, digest_of_parts, without_dead
from footprint.storage.shard_key import ShardKey

# Ends of names of amounts that add up.
_TIMES = ("measured_us", "bridged_us", "modelled_us", "standing_us", "implausible_us")
_ADDED = ("_uj", "_ug", "divided", "requests", "tokens", *_TIMES)
_NO_ROWS = StoredTexts({}, {}).tables({})


@dataclass(slots=True)
class FigureVerification:
    """Faults, and numbers of days of hosts and services: verified, and without a digest, of which ``open`` are still open."""

    faults: list[str] = field(default_factory=list)
    verified: int = 0
    without_digest: int = 0
    open: int = 0

    @property
    def note(self) -> str:
        """What was not verified; empty if everything was."""
        if not self.without_digest:
            return ""
        text = f"figures of {self.without_digest} days of hosts and services have no digest and are not verified"
        return f"{text}, {self.open} of them because the day is open" if self.open else text


def verify_figures(store: Store) -> FigureVerification:
    """Verify all figures.

    A block must have the digest of its parts, the rows of a host or service on a day the digest under which they were computed,
    and sums by day and month the totals of their rows.
    """
    block, shard = table(schema.FigureBlock), table(schema.Shard)
    with store.read() as connection:
        days = set(connection.execute(select(shard.c.day).distinct()).scalars())
        days |= {
            first_s // S_PER_DAY
            for first_s in connection.execute(select(block.c.first_s).where(block.c.tier != MONTH).distinct()).scalars()
        }
        months = list(connection.execute(select(block.c.id).where(block.c.tier == MONTH).order_by(block.c.first_s)).scalars())
    verification = FigureVerification()
    for day in sorted(days):
        with store.read() as connection:
            _verify_day(store, connection, day, verification)
    for block_id in months:
        with store.read() as connection:
            for month in connection.execute(select(block).where(block.c.id == block_id)).all():
                verification.faults += _verify_month(connection, month)
    return verification


def _verify_month(connection: Connection, month: Any) -> Iterator[str]:
    """Faults of the sums of a month, whose rows are read block by block."""
    block = table(schema.FigureBlock)
    parts, sums = _parts(connection, month.id), f"the sums of the month from {format_instant(month.first_s * US_PER_S)[:10]} on"
    if digest_of_parts(parts) != month.digest:
        yield f"{sums} differ from their digest"
    totals: dict[str, Counter[str]] = {layout: Counter() for layout in LAYOUTS}
    overlaps = (block.c.last_s > month.first_s) & (block.c.first_s < month.last_s) & (block.c.tier != MONTH)
    try:
        for row in connection.execute(select(block).where(overlaps).order_by(block.c.id)).all():
            contents = _parts(connection, row.id)
            for layout in LAYOUTS:
                rows = _unpacked(contents, layout, SLOTS, row.dead)
                inside = (pc.field("start_s") >= month.first_s) & (pc.field("start_s") < month.last_s)
                totals[layout].update(_totals(rows.filter(inside)))
        for layout, level in itertools.product(LAYOUTS, (DAYS, MONTHS)):
            difference = _difference(_totals(_unpacked(parts, layout, level)), totals[layout])
            if difference:
                yield f"{sums} are not those of their rows: {layout} by {level}, {difference}"
    except ValueError as bad:
        yield f"{sums} cannot be verified: {bad}"


def _unpacked(parts: Mapping[str, bytes], layout: str, level: str, dead: str = "") -> pa.Table:
    """Rows of a part, none if it does not exist, without those that another block replaces."""
    content = parts.get(part_name(layout, level))
    if content is None:
        return LAYOUTS[layout].schema.empty_table()
    return without_dead(unpack(content, LAYOUTS[layout]), layout, dead)


def _totals(rows: pa.Table) -> Counter[str]:
    """Sums of the amounts of rows, without those of 0; unknown counts add nothing."""
    amounts = [name for name in rows.schema.names if name.endswith(_ADDED)]
    totals = {name: int(pc.sum(rows[name].cast(pa.decimal128(38, 0))).as_py() or 0) for name in amounts}
    return Counter({name: total for name, total in totals.items() if total})


def _difference(sums: Counter[str], rows: Counter[str]) -> str:
    """The first amount whose sums differ, and by how much; empty if all are equal."""
    differing = (name for name in sorted(sums.keys() | rows.keys()) if sums[name] != rows[name])
    return next((f"{name} {sums[name] - rows[name]:+d}" for name in differing), "")


def _verify_day(store: Store, connection: Connection, day: int, verification: FigureVerification) -> None:
    block, shard = table(schema.FigureBlock), table(schema.Shard)
    first_s, last_s = day_extent(day)
    overlaps = (block.c.last_s > first_s) & (block.c.first_s < last_s) & (block.c.tier != MONTH)
    blocks = connection.execute(select(block).where(overlaps).order_by(block.c.id)).all()
    shards = connection.execute(select(shard).where(shard.c.day == day).order_by(shard.c.members)).all()
    date, members_by_id = format_instant(day * US_PER_DAY)[:10], {row.id: row.members for row in shards}
    by_layout: dict[str, list[pa.Table]] = {}
    is_readable = True
    for row in blocks:
        parts = _parts(connection, row.id)
        members = members_by_id.get(row.shard_id, "one that was removed") if row.tier == SHARD else "all hosts and services"
        if digest_of_parts(parts) != row.digest:
            verification.faults.append(f"the block of figures of {date} of {members} differs from its digest")
        try:
            for layout in LAYOUTS:
                rows = _unpacked(parts, layout, SLOTS, row.dead)
                by_layout.setdefault(layout, []).append(rows)
                difference = _difference(_totals(_unpacked(parts, layout, DAYS, row.dead)), _totals(rows))
                if difference and row.zone not in ("", WITHOUT_SUMS):
                    verification.faults.append(f"sums of {date} of {members} are not those of their rows: {layout}, {difference}")
        except ValueError as bad:
            verification.faults.append(f"figures of {date} of {members} cannot be read: {bad}")
            is_readable = False
    if is_readable:
        tables = {layout: from_arrow(pa.concat_tables(rows), LAYOUTS[layout]) for layout, rows in by_layout.items()}
        verification.faults += _verify_shards(store, connection, date, shards, tables)
    verification.without_digest += sum(not row.digest for row in shards)
    verification.open += sum(not row.digest and row.provisional for row in shards)
    verification.verified += sum(bool(row.digest) for row in shards) if is_readable else 0


def _verify_shards(
    store: Store, connection: Connection, date: str, shards: Sequence[Any], tables: dict[str, dict[str, Ints]]
) -> Iterator[str]:
    """Faults of the hosts and services of one day."""
    texts = StoredTexts.of(store, connection, tables)
    rows = {ShardKey(kind, texts.names[number]).text: own for (kind, number), own in rows_by_shard(tables).items()}  # type: ignore[arg-type]
    for row in shards:
        own = rows.pop(row.members, None)
        if row.digest and (texts.tables(own) if own else _NO_ROWS).digest() != row.digest:
            yield f"figures of {row.members} of {date} are not those that were computed"
    for members in sorted(rows):
        yield f"figures of {members} of {date} belong to no computed day"


def _parts(connection: Connection, block_id: int) -> dict[str, bytes]:
    part = table(schema.FigurePart)
    rows = connection.execute(select(part.c.part, part.c.content).where(part.c.block_id == block_id))
    return {row.part: bytes(row.content) for row in rows}
