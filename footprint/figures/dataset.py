"""Dataset of figures: packed blocks of one snapshot of the store as Arrow tables, and sums over them in DuckDB.

Sums are exact: DuckDB adds 64-bit integers in 128 bits. Ranges of time are read from the coarsest rows that fit: sums of months
and days of the organisation's zone where the store holds them, rows by slot elsewhere.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from footprint.attribution.array_types import Ints
from footprint.calendar import calendar_ranges
from footprint.figures.version_cache import cached_value
from footprint.storage import schema
from footprint.storage.database import Store, table
from footprint.storage.figure_blocks import COVERAGE, DAYS, LAYOUTS, MONTHS, PROFILE, SLOTS, from_arrow, part_name, unpack
from footprint.storage.figure_writer import MONTH, S_PER_DAY, month_end_s, month_start_s, without_dead

MAX_CACHED_BYTES = 256 * 2**20  # of decoded parts, in a process
MAX_QUERY_MEMORY = "512MB"
MAX_THREADS = 2
ENERGY_SQL = "active_uj + idle_uj + host_uj + facility_uj"
_LAYOUTS = {**LAYOUTS, "profile": PROFILE}
_BLOCKS_A_STATEMENT = 500
SHORTEST_SLOT_S = 900  # days whose requests are erased keep their slots when the organisation moves to another zone


class _Source(NamedTuple):
    """Kind of rows: of months or of shards and days, at a level."""

    is_month: bool
    level: str


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the manifest; [first_s, last_s) are its slots [s]."""

    id: int
    tier: int
    first_s: int
    last_s: int
    zone: str
    digest: str
    dead: str


class _PartCache:
    """Decoded parts by digest of their block, the latest ones; shared by all stores of the process."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._parts: OrderedDict[tuple[str, str, str], pa.Table | None] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str, str]) -> tuple[bool, pa.Table | None]:
        with self._lock:
            if key not in self._parts:
                return False, None
            self._parts.move_to_end(key)
            return True, self._parts[key]

    def put(self, key: tuple[str, str, str], part: pa.Table | None) -> None:
        with self._lock:
            if key in self._parts:
                return
            self._parts[key] = part
            self._bytes += part.nbytes if part is not None else 0
            while self._bytes > self._max_bytes and len(self._parts) > 1:
                _, dropped = self._parts.popitem(last=False)
                self._bytes -= dropped.nbytes if dropped is not None else 0


_parts = _PartCache(MAX_CACHED_BYTES)
_engine_lock = threading.Lock()
_engine: list[duckdb.DuckDBPyConnection] = []


def _connect() -> duckdb.DuckDBPyConnection:
    """A connection of this process's DuckDB, which holds nothing but views of Arrow tables."""
    with _engine_lock:
        if not _engine:
            config: dict[str, str | bool | int | float | list[str]] = {
                "memory_limit": MAX_QUERY_MEMORY,
                "threads": MAX_THREADS,
                "autoinstall_known_extensions": False,
            }
            _engine.append(duckdb.connect(":memory:", config=config))
        return _engine[0].cursor()


Ranges = Sequence[tuple[int, int, int]]  # (period, first slot, slot after the last) [s]


@dataclass(frozen=True, slots=True)
class _Manifest:
    """Blocks of a snapshot, in order of time: sums of months of a zone by their start [s], and those of shards and days."""

    months: dict[int, Block]
    daily: list[Block]
    extent_s: tuple[int, int] | None


def _read_manifest(connection: Connection, zone: ZoneInfo) -> _Manifest:
    target = table(schema.FigureBlock)
    columns = (target.c[name] for name in ("id", "tier", "first_s", "last_s", "zone", "digest", "dead"))
    blocks = [Block(*row) for row in connection.execute(select(*columns).order_by(target.c.first_s, target.c.id))]
    wanted = calendar_ranges.zone_fingerprint(zone)
    months = {block.first_s: block for block in blocks if block.tier == MONTH and block.zone == wanted}
    daily = [block for block in blocks if block.tier != MONTH]
    extent = (min(block.first_s for block in daily), max(block.last_s for block in daily)) if daily else None
    return _Manifest(months, daily, extent)


@dataclass(slots=True)
class Dataset:
    """Figures of one snapshot of a store."""

    store: Store
    connection: Connection
    zone: ZoneInfo
    _known: _Manifest | None = None
    _cursor: duckdb.DuckDBPyConnection | None = None

    @property
    def _manifest(self) -> _Manifest:
        if self._known is None:
            key = "manifest", self.zone
            self._known = cached_value(self.store, self.connection, key, lambda: _read_manifest(self.connection, self.zone))
        return self._known

    def blocks(self) -> list[Block]:
        """Blocks of the snapshot: those of months, then the others in order of time."""
        return [*self._manifest.months.values(), *self._manifest.daily]

    def extent_s(self) -> tuple[int, int] | None:
        """First and last instant [s] of the blocks; None if there is none."""
        return self._manifest.extent_s

    def sums(
        self,
        layout: str,
        ranges: Ranges,
        keys: Sequence[str],
        measures: Mapping[str, str],
        condition: str = "",
        *,
        slots_only: bool = False,
    ) -> pa.Table:
        """Sums by period and keys.

        Parameters
        ----------
        layout
            ``energy``, ``coverage``, ``counts`` or ``profile``.
        ranges
            Disjoint ranges of whole slots with the number of their period.
        keys
            Key columns, or SQL expressions over them.
        measures
            SQL aggregate by name, e.g. ``{"active_uj": "SUM(active_uj)"}``.
        condition
            SQL condition on the key columns.
        slots_only
            Read rows by slot, for aggregates that sums of days do not give.

        Returns
        -------
        pyarrow.Table
            Columns ``period``, ``key0``, ``key1``, … and those of the measures; sums of integers as decimals of 128 bits.
        """
        needed = _needed_columns(layout, (*keys, *measures.values(), condition))
        sources = self.sources(layout, ranges, slots_only=slots_only)
        cursor = self._duckdb()
        unions = []
        for number, (rows, starts) in enumerate(sources):
            cursor.register(f"rows{number}", rows.select(needed))
            cursor.register(f"periods{number}", starts)
            unions.append(f"SELECT p.period, r.* FROM rows{number} r JOIN periods{number} p USING (start_s)")
        if not unions:
            empty = _LAYOUTS[layout].schema.empty_table().select(needed)
            cursor.register("rows0", empty)
            unions = ["SELECT CAST(0 AS BIGINT) AS period, r.* FROM rows0 r"]
        names = [f"{key} AS key{number}" for number, key in enumerate(keys)]
        columns = ", ".join(["period", *names, *(f"{sql} AS {name}" for name, sql in measures.items())])
        where = f" WHERE {condition}" if condition else ""
        by = ", ".join(["period", *(f"key{number}" for number in range(len(keys)))])
        statement = f"SELECT {columns} FROM ({' UNION ALL '.join(unions)}) AS rows{where} GROUP BY {by}"
        return cursor.sql(statement).to_arrow_table()

    def rows(self, layout: str, first_s: int, last_s: int, statement: str) -> list[tuple[Any, ...]]:
        """Result of a statement over the table ``rows``, the rows by slot in [first, last)."""
        cursor = self._duckdb()
        sources = self.sources(layout, [(0, first_s, last_s)], slots_only=True)
        tables = [rows.filter((pc.field("start_s") >= first_s) & (pc.field("start_s") < last_s)) for rows, _ in sources]
        cursor.register("rows", pa.concat_tables(tables) if tables else _LAYOUTS[layout].schema.empty_table())
        result: list[tuple[Any, ...]] = cursor.sql(statement).fetchall()
        return result

    def stretches(self, ranges: Ranges, hosts: Sequence[int] | None, *, slots_only: bool = False) -> dict[str, Ints]:
        """Coverage of each slot or day of the ranges as columns of arrays; ``hosts`` are numbers of names."""
        tables = []
        for rows, starts in self.sources("coverage", ranges, slots_only=slots_only, months=False):
            counted = np.isin(rows["start_s"].to_numpy(), starts["start_s"].to_numpy())
            if hosts is not None:
                counted &= np.isin(rows["host"].to_numpy(), hosts)
            tables.append(rows.filter(pa.array(counted)))
        return from_arrow(pa.concat_tables([COVERAGE.schema.empty_table(), *tables]), COVERAGE)

    def sources(
        self, layout: str, ranges: Ranges, *, slots_only: bool = False, months: bool = True
    ) -> list[tuple[pa.Table, pa.Table]]:
        """Tables that hold all rows of the ranges once, each with the period of every start (columns start_s, period)."""
        extent = self.extent_s()
        if extent is None:
            return []
        earliest, latest = month_start_s(self.zone, extent[0]), month_end_s(self.zone, extent[1])
        starts: dict[_Source, list[NDArray[np.int64]]] = defaultdict(list)  # rows of start and period
        blocks: dict[_Source, dict[int, Block]] = defaultdict(dict)
        for run in _contiguous_runs(ranges, earliest, latest):
            firsts, periods = (np.array([item[column] for item in run], dtype=np.int64) for column in (1, 0))
            edges = sorted(item[1] for item in run[1:])
            for source, chosen, instants in self._plan(
                layout, run[0][1], run[-1][2], edges, slots_only=slots_only, months=months
            ):
                blocks[source].update((block.id, block) for block in chosen)
                begins = np.array(instants, dtype=np.int64)
                starts[source].append(np.stack([begins, periods[np.searchsorted(firsts, begins, side="right") - 1]]))
        tables = []
        for source in sorted(blocks):
            parts = self._parts_of(list(blocks[source].values()), layout, source.level)
            if parts:
                columns = np.concatenate(starts[source], axis=1)
                tables.append((pa.concat_tables(parts), pa.table([columns[0], columns[1]], names=["start_s", "period"])))
        return tables

    def summed_months(self) -> list[tuple[int, int]]:
        """Months [first, last) [s] whose sums the store holds, in order."""
        return [(block.first_s, block.last_s) for block in self._manifest.months.values()]

    def _plan(
        self, layout: str, first: int, last: int, edges: Sequence[int], *, slots_only: bool, months: bool
    ) -> Iterator[tuple[_Source, list[Block], Sequence[int]]]:
        """What to read of a range: source, blocks, and the starts of the rows that count [s]; ``edges`` of periods cut it."""
        if layout == "profile":
            inside = [block for block in self._manifest.months.values() if block.first_s < last and block.last_s > first]
            yield _Source(is_month=True, level=SLOTS), inside, range(first, last, SHORTEST_SLOT_S)
            return
        if slots_only:
            yield self._slots(first, last)
            return
        for piece in calendar_ranges.split_range(self.zone, first, last):
            if piece.kind == calendar_ranges.SLOTS:
                yield self._slots(piece.first, piece.last)
                continue
            for low, high in self._by_month(piece.first, piece.last):
                inner = edges[bisect_right(edges, low) : bisect_left(edges, high)]
                midnights = self._midnights(low, high)
                if set(inner) <= set(midnights):
                    is_month = months and piece.kind == calendar_ranges.MONTHS and not inner
                    yield self._whole_days(midnights, high, whole=is_month)
                    continue
                for start, end in pairwise([low, *inner, high]):
                    yield from self._plan(layout, start, end, (), slots_only=False, months=months)

    def _midnights(self, first: int, last: int) -> list[int]:
        days = range(calendar_ranges.local_day(self.zone, first), calendar_ranges.local_day(self.zone, last - 1) + 1)
        return [calendar_ranges.midnight_s(self.zone, day) for day in days]

    def _slots(self, first: int, last: int) -> tuple[_Source, list[Block], Sequence[int]]:
        return _Source(is_month=False, level=SLOTS), self._blocks_between(first, last), range(first, last, SHORTEST_SLOT_S)

    def _whole_days(self, midnights: Sequence[int], last: int, *, whole: bool) -> tuple[_Source, list[Block], Sequence[int]]:
        """What to read of whole days within one month; ``whole``: the month itself."""
        first = midnights[0]
        month = self._manifest.months.get(month_start_s(self.zone, first))
        if month is not None:
            return _Source(is_month=True, level=MONTHS if whole else DAYS), [month], [first] if whole else midnights
        blocks, zone = self._blocks_between(first, last), calendar_ranges.zone_fingerprint(self.zone)
        if all(block.zone == zone for block in blocks):
            return _Source(is_month=False, level=DAYS), blocks, midnights
        return self._slots(first, last)

    def _by_month(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        while first < last:
            end = min(month_end_s(self.zone, first), last)
            yield first, end
            first = end

    def _blocks_between(self, first: int, last: int) -> list[Block]:
        """Blocks of shards and days that overlap a range."""
        daily = self._manifest.daily
        low = bisect_left(daily, first - S_PER_DAY + 1, key=lambda block: block.first_s)
        high = bisect_left(daily, last, key=lambda block: block.first_s)
        return [block for block in daily[low:high] if block.last_s > first]

    def _parts_of(self, blocks: Sequence[Block], layout: str, level: str) -> list[pa.Table]:
        """Decoded parts of blocks, without rows that another block replaces; blocks without this part are left out."""
        part = part_name(layout, level)
        decoded: dict[int, pa.Table | None] = {}
        missing: list[Block] = []
        for block in blocks:
            known, rows = _parts.get((block.digest, part, block.dead))
            if known:
                decoded[block.id] = rows
            else:
                missing.append(block)
        target = table(schema.FigurePart)
        for start in range(0, len(missing), _BLOCKS_A_STATEMENT):
            batch = {block.id: block for block in missing[start : start + _BLOCKS_A_STATEMENT]}
            statement = select(target.c.block_id, target.c.content).where(
                target.c.part == part, target.c.block_id.in_(list(batch))
            )
            contents = {row.block_id: row.content for row in self.connection.execute(statement)}
            for block in batch.values():
                rows = unpack(contents[block.id], _LAYOUTS[layout]) if block.id in contents else None
                decoded[block.id] = without_dead(rows, layout, block.dead) if rows is not None else None
                _parts.put((block.digest, part, block.dead), decoded[block.id])
        return [rows for block in blocks if (rows := decoded[block.id]) is not None]

    def _duckdb(self) -> duckdb.DuckDBPyConnection:
        if self._cursor is None:
            self._cursor = _connect()
        return self._cursor


def _contiguous_runs(ranges: Ranges, earliest: int, latest: int) -> Iterator[list[tuple[int, int, int]]]:
    """Ranges within [earliest, latest) in order of time, those that follow each other together."""
    run: list[tuple[int, int, int]] = []
    for period, first, last in sorted(ranges, key=lambda item: item[1]):
        clipped = period, max(first, earliest), min(last, latest)
        if clipped[1] >= clipped[2]:
            continue
        if run and run[-1][2] != clipped[1]:
            yield run
            run = []
        run.append(clipped)
    if run:
        yield run


def _needed_columns(layout: str, texts: Iterable[str]) -> list[str]:
    """Columns of a layout that SQL texts name, and ``start_s``."""
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    return [name for name in _LAYOUTS[layout].schema.names if name == "start_s" or name in words]


def integers(column: pa.ChunkedArray) -> Ints:
    """Integers of 64 bits of a column: keys, periods, instants."""
    values: Ints = column.to_numpy().astype(np.int64, copy=False)
    return values


def sums_of(column: pa.ChunkedArray) -> Ints | NDArray[np.object_]:
    """Sums of a column: int64, or Python integers where a decimal of 128 bits exceeds them."""
    values = column.combine_chunks()
    chunk = values.chunk(0) if isinstance(values, pa.ChunkedArray) else values
    words = np.frombuffer(chunk.buffers()[1], dtype="<i8").reshape(-1, 2)[chunk.offset : chunk.offset + len(chunk)]
    if (words[:, 1] == words[:, 0] >> 63).all():
        return words[:, 0].copy()
    return np.array([int(value) for value in chunk.to_pylist()], dtype=object)
