"""Energy cells: energy by period, group and basis, summed in SQL from monthly and daily rollups and from rows.

A slot that the edge of a period cuts is recomputed from the ledger. Sums are taken separately above and below 20 bits, because
2^63 µJ is only 2.56 GWh, and joined where they fit.
"""

from __future__ import annotations

import contextlib
import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import select

from footprint.aggregation.calculation_basis import CalculationBasis
from footprint.aggregation.host_day import HostAggregator, HostDay, grain_us
from footprint.aggregation.request_logs import ServiceLogs
from footprint.aggregation.result_writer import RESERVED_USE_CASES, charter_of
from footprint.aggregation.rollups import DAY, DAY_USES, DIVIDED, MONTH, MONTH_USES, kind_of_use, reserved_name_ids, rollup_zone
from footprint.attribution.array_types import Ints
from footprint.calendar.rollup_ranges import (
    DAYS,
    MONTHS,
    SLOTS,
    local_day,
    midnight_s,
    month_bounds,
    split_range,
    zone_fingerprint,
)
from footprint.config import Config
from footprint.core.units import S_PER_HOUR, US_PER_DAY, US_PER_S
from footprint.figures.cell_table import (
    AMOUNTS,
    LOW_BITS,
    NAME_COLUMNS,
    CellChunk,
    CellKey,
    CellTable,
    chunk_from_cells,
    merge_chunks,
)
from footprint.impact.factor_book import FactorBook
from footprint.ledger.ledger_view import LedgerView
from footprint.storage import schema
from footprint.storage.database import Store, table

_MILLION = 10**6
_basis_cache: WeakKeyDictionary[Store, dict[int, CalculationBasis]] = WeakKeyDictionary()


@dataclass(slots=True)
class CellSource:
    """Source of cells: a snapshot of the store, and everything needed to recompute a slot."""

    view: LedgerView
    config: Config
    book: FactorBook
    _days: dict[tuple[str, int, tuple[int, ...]], HostDay] = field(default_factory=dict)
    _stamp: str | None = None
    _logs: ServiceLogs | None = None
    _hosts: dict[str, HostAggregator] = field(default_factory=dict)

    def rollup_timezone(self) -> ZoneInfo | None:
        """The organisation's time zone if the store keeps rollups by its days, else None."""
        if self._stamp is None:
            self._stamp = rollup_zone(self.view.connection)
        zone = self.config.timezone
        return zone if self._stamp and self._stamp == zone_fingerprint(zone) else None

    def numbers(self, texts: set[str]) -> dict[str, int]:
        """Number of each text that the store knows."""
        if not texts:
            return {}
        name = table(schema.Name)
        rows = self.view.connection.execute(select(name.c.id, name.c.text).where(name.c.text.in_(sorted(texts))))
        return {row.text: row.id for row in rows}

    def hosts(self) -> dict[str, HostAggregator]:
        """Aggregators of the hosts in the ledger."""
        if self._logs is None:
            self._logs = ServiceLogs(self.view, self.config)
            names = sorted(self.view.streams())
            self._hosts = {name: HostAggregator(self.view, self.config, self.book, self._logs, name) for name in names}
        return self._hosts

    def cut_day(self, host: str, day: int, edges: tuple[int, ...]) -> HostDay:
        """Rows of a host's day, cut at further edges [µs]."""
        key = host, day, edges
        if key not in self._days:
            self._days[key] = self.hosts()[host].compute(day, edges)
        return self._days[key]


def slots_cut_by(periods: Sequence[tuple[int, int]], grain: int) -> dict[int, list[int]]:
    """Slots [µs] that contain an edge of a period, with these edges."""
    edges_by_slot: dict[int, list[int]] = defaultdict(list)
    for edge in {edge for period in periods for edge in period}:
        if edge % grain:
            edges_by_slot[edge - edge % grain].append(edge)
    return {slot: sorted(edges) for slot, edges in sorted(edges_by_slot.items())}


def gather_cells(
    source: CellSource,
    periods: Sequence[tuple[int, int]],
    columns: Iterable[str],
    where: Iterable[tuple[str, str]] = (),
    *,
    together: bool = False,
) -> CellTable:
    """Energy of periods [start, end) in µs, disjoint and sorted, by ``columns`` of NAME_COLUMNS.

    ``where`` is a push-down hint; callers must still filter. With ``together``, use cases are summed except idle and
    unattributed, and model and charter status are dropped.
    """
    names = [name for name in NAME_COLUMNS if name in {"service", *columns}]
    grain = grain_us(source.config)
    chunks = list(_stored_chunks(source, whole_slot_ranges_s(periods, grain), names, tuple(where), together=together))
    recomputed = list(_cut_cells(source, periods, names, grain))
    if recomputed:
        chunks.append(chunk_from_cells([(_without_use_case(key, together=together), amounts) for key, amounts in recomputed]))
    return merge_chunks(chunks)


def _without_use_case(key: CellKey, *, together: bool) -> CellKey:
    if not together or key.use_case in RESERVED_USE_CASES:
        return key
    return replace(key, use_case="", model="", charter="")


def whole_slot_ranges_s(periods: Sequence[tuple[int, int]], grain_us: int) -> list[tuple[int, int, int]]:
    """(period, first slot, slot after the last) [s] of the periods that contain a whole slot."""
    ranges = []
    for index, (start_us, end_us) in enumerate(periods):
        first, last = -(-start_us // grain_us) * grain_us, end_us // grain_us * grain_us
        if first < last:
            ranges.append((index, first // US_PER_S, last // US_PER_S))
    return ranges


def periods_sql(ranges: Sequence[tuple[int, int, int]]) -> str:
    """SQL table of periods to join; values are our own integers."""
    values = ", ".join(f"({index}, {first}, {last})" for index, first, last in ranges)
    return f"WITH period(number, first, last) AS (VALUES {values}) "


def sum_sql(column: str) -> str:
    """SQL for a sum without overflow, in two columns."""
    return f"SUM({column} / {_MILLION}), SUM({column} - {column} / {_MILLION} * {_MILLION})"


def source_ranges(source: CellSource, slot_ranges: Sequence[tuple[int, int, int]]) -> dict[int, list[tuple[int, int, int]]]:
    """(period, first, last) [s] by kind of source: the coarsest rollups that fit, rows at the ends."""
    ranges: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for index, first, last in slot_ranges:
        for stretch in split_range(source.rollup_timezone(), first, last):
            ranges[stretch.kind].append((index, stretch.first, stretch.last))
    return dict(sorted(ranges.items()))


def filter_sql(source: CellSource, where: Iterable[tuple[str, str]], columns: Collection[str]) -> str:
    """SQL for the conditions on ``columns``: values of one name are alternatives, names combine."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for name, value in where:
        if name in columns:
            wanted[name].append(value)
    numbers = source.numbers({value for values in wanted.values() for value in values})
    return "".join(
        f" AND {name}_id IN ({', '.join(str(numbers.get(value, -1)) for value in values)})"
        for name, values in sorted(wanted.items())
    )


def _stored_chunks(
    source: CellSource,
    slot_ranges: Sequence[tuple[int, int, int]],
    columns_kept: Sequence[str],
    where: tuple[tuple[str, str], ...],
    *,
    together: bool,
) -> Iterator[CellChunk]:
    conditions = filter_sql(source, where, {"service", "device", "host"} if together else {*NAME_COLUMNS, "host"})
    levels = {DAYS: DAY, MONTHS: MONTH} if together else {DAYS: DAY_USES, MONTHS: MONTH_USES}
    for kind, ranges in source_ranges(source, slot_ranges).items():
        columns = [f"{name}_id" for name in columns_kept]
        keys = ", ".join(["number", *columns, "basis_id"])
        if kind == SLOTS and together:
            use_case = kind_of_use(reserved_name_ids(source.view.connection))
            keys = keys.replace("use_case_id", use_case)
        divided = DIVIDED if kind == SLOTS else "divided"
        level = "" if kind == SLOTS else f"level = {levels[kind]} AND "
        name, at = ("footprint_row", "slot") if kind == SLOTS else ("footprint_row_sum", "start")
        statement = (
            f"{periods_sql(ranges)} SELECT {keys}, {_sum(divided)}, {{sums}} FROM period CROSS JOIN {name} r "
            f"WHERE {level}r.{at} >= period.first AND r.{at} < period.last{conditions} GROUP BY {keys}"
        )
        rows = _read_sums(source, statement, 2 + len(columns_kept) + 1)
        if len(rows):
            yield _chunk_from_rows(source, rows, columns_kept)


def _read_sums(source: CellSource, statement: str, keys: int) -> Ints:
    """Rows of keys and sums of AMOUNTS, above and below LOW_BITS.

    SQLite reports an overflow of 64 bits, which almost never happens: only then are the two parts summed separately.
    """
    if source.view.store.dialect == "sqlite":
        with contextlib.suppress(sqlite3.OperationalError):
            sums = ", ".join(f"SUM({name})" for name in AMOUNTS)
            rows = query_integers(source, statement.format(sums=sums), keys + len(AMOUNTS))
            sums_read = rows[:, keys:]
            halves = np.stack([sums_read >> LOW_BITS, sums_read & (2**LOW_BITS - 1)], axis=2).reshape(len(rows), 2 * len(AMOUNTS))
            return np.concatenate([rows[:, :keys], halves], axis=1)
    sums = ", ".join(f"{_sum(f'{name} >> {LOW_BITS}')}, {_sum(f'{name} & {2**LOW_BITS - 1}')}" for name in AMOUNTS)
    return query_integers(source, statement.format(sums=sums), keys + 2 * len(AMOUNTS))


def _sum(expression: str) -> str:
    return f"CAST(SUM({expression}) AS BIGINT)"


def undeclared_use_cases(source: CellSource, periods: Sequence[tuple[int, int]]) -> list[str]:
    """Undeclared use cases in the rows of these periods, or of whole months if rollups exist."""
    zone = source.rollup_timezone()
    low, high = periods[0][0] // US_PER_S, -(-periods[-1][1] // US_PER_S)
    source_sql = f"footprint_row WHERE slot >= {low - S_PER_HOUR} AND slot < {high}"
    if zone is not None:
        first, last = (midnight_s(zone, month_bounds(local_day(zone, at))[0]) for at in (low, high))
        source_sql = f"footprint_row_sum WHERE level = {MONTH_USES} AND start >= {first} AND start <= {last}"
    rows = source.view.connection.exec_driver_sql(f"SELECT DISTINCT use_case_id FROM {source_sql}").all()
    texts = source.view.store.texts(source.view.connection, {row[0] for row in rows})
    declared = {use_case.name for use_case in source.config.use_cases}
    return sorted(set(texts.values()) - declared - {*RESERVED_USE_CASES, ""})


def query_integers(source: CellSource, statement: str, width: int) -> Ints:
    """Rows of integers as an array with ``width`` columns."""
    cursor = source.view.connection.connection.cursor()
    try:
        cursor.execute(statement)
        rows = cursor.fetchall()
    finally:
        cursor.close()
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=len(rows) * width).reshape(-1, width)


def _chunk_from_rows(source: CellSource, rows: Ints, columns: Sequence[str]) -> CellChunk:
    view, width = source.view, 1 + len(columns)
    names = {}
    for column, name in enumerate(columns, 1):
        distinct, codes = np.unique(rows[:, column], return_inverse=True)
        texts = view.store.texts(view.connection, [number for number in distinct.tolist() if number])
        names[name] = codes, [texts.get(number, "") for number in distinct.tolist()]
    distinct, codes = np.unique(rows[:, width], return_inverse=True)
    bases = load_bases(view, distinct.tolist())
    amounts = rows[:, width + 2 :]
    return CellChunk(
        rows[:, 0],
        names,
        (codes, [bases[number] for number in distinct.tolist()]),
        amounts[:, ::2],
        amounts[:, 1::2],
        rows[:, width + 1],
    )


def load_bases(view: LedgerView, basis_ids: Iterable[int]) -> dict[int, CalculationBasis]:
    """Bases by number; cached, because a basis never changes."""
    target = table(schema.BasisRow)
    cached = _basis_cache.setdefault(view.store, {})
    distinct_ids = set(basis_ids)
    missing = sorted(distinct_ids - cached.keys())
    for start in range(0, len(missing), 10_000):
        condition = target.c.id.in_(missing[start : start + 10_000])
        for row in view.connection.execute(select(target.c.id, target.c.content).where(condition)):
            cached[row.id] = CalculationBasis.from_json(row.content)
    return {basis_id: cached[basis_id] for basis_id in distinct_ids}


def _cut_cells(
    source: CellSource, periods: Sequence[tuple[int, int]], columns: Sequence[str], grain: int
) -> Iterator[tuple[CellKey, list[int]]]:
    """Cells of the slots that an edge cuts."""
    starts = [start for start, _ in periods]
    by_day: dict[int, dict[int, list[int]]] = defaultdict(dict)
    for slot, edges in slots_cut_by(periods, grain).items():
        by_day[slot // US_PER_DAY][slot] = edges
    for day, slots in by_day.items():
        edges_in_day = tuple(edge for edges in slots.values() for edge in edges)
        for name, host in source.hosts().items():
            if day not in host.days():
                continue
            host_day = source.cut_day(name, day, edges_in_day)
            for row in host_day.result.rows.to_dict("records"):
                begin = int(host_day.slots_us[row["slot"]])
                period = bisect_right(starts, begin) - 1
                inside = period >= 0 and begin < periods[period][1]
                if not inside or begin - begin % grain not in slots:
                    continue
                yield _cell_key(source.config, host_day, row, begin, period, columns), [int(row[name]) for name in AMOUNTS]


def _cell_key(
    config: Config, host_day: HostDay, row: dict[Any, Any], begin_us: int, period: int, columns: Sequence[str]
) -> CellKey:
    device, service, segment = row["device"], row["service"], row["segment"]
    known = service if (device, service, segment) in host_day.bases else ""
    values = {**row, "charter": charter_of(config, row["use_case"], begin_us)}
    named: dict[str, Any] = {name: values[name] if name in columns else "" for name in NAME_COLUMNS}
    return CellKey(period=period, basis=host_day.bases[device, known, segment], **named)
