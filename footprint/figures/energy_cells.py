"""This file gathers energy: cells by period, group and basis, added up in SQL from sums by month and day, and from rows.

A slot that an edge of a period cuts is computed anew from the ledger, cut there. Sums are taken of what lies above and
below 20 bits, for 2^63 µJ is no more than 2.56 GWh, and put together where there is room.
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
from footprint.aggregation.rollups import DAY, DAY_USES, DIVIDED, MONTH, MONTH_USES, kept_numbers, kind_of_use, rollup_zone
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
from footprint.figures.cell_table import AMOUNTS, BITS, NAMED, CellChunk, CellKey, CellTable, Ints, part_of, table_of
from footprint.impact.factor_book import FactorBook
from footprint.ledger.ledger_view import LedgerView
from footprint.storage import schema
from footprint.storage.database import Store, table

_MILLION = 10**6
_bases: WeakKeyDictionary[Store, dict[int, CalculationBasis]] = WeakKeyDictionary()


@dataclass(slots=True)
class CellSource:
    """Where cells come from: the store at one moment, and what is needed to compute a slot anew."""

    view: LedgerView
    config: Config
    book: FactorBook
    _days: dict[tuple[str, int, tuple[int, ...]], HostDay] = field(default_factory=dict)
    _stamp: str | None = None
    _logs: ServiceLogs | None = None
    _hosts: dict[str, HostAggregator] = field(default_factory=dict)

    def summed_in(self) -> ZoneInfo | None:
        """The organisation's zone, where the store keeps sums by its days; else None."""
        if self._stamp is None:
            self._stamp = rollup_zone(self.view.store, self.view.connection)
        zone = self.config.timezone
        return zone if self._stamp and self._stamp == zone_fingerprint(zone) else None

    def numbers(self, texts: set[str]) -> dict[str, int]:
        """The number of each text that the store knows."""
        if not texts:
            return {}
        name = table(schema.Name)
        rows = self.view.connection.execute(select(name.c.id, name.c.text).where(name.c.text.in_(sorted(texts))))
        return {row.text: row.id for row in rows}

    def hosts(self) -> dict[str, HostAggregator]:
        """Hosts of the ledger."""
        if self._logs is None:
            self._logs = ServiceLogs(self.view, self.config)
            names = sorted(self.view.streams())
            self._hosts = {name: HostAggregator(self.view, self.config, self.book, self._logs, name) for name in names}
        return self._hosts

    def cut_day(self, host: str, day: int, edges: tuple[int, ...]) -> HostDay:
        """Rows of a host's day with further edges."""
        place = host, day, edges
        if place not in self._days:
            self._days[place] = self.hosts()[host].compute(day, edges)
        return self._days[place]


def cut_slots(periods: Sequence[tuple[int, int]], grain: int) -> dict[int, list[int]]:
    """Slots [µs] that an edge of a period falls into, and the edges in each."""
    found: dict[int, list[int]] = defaultdict(list)
    for edge in {edge for period in periods for edge in period}:
        if edge % grain:
            found[edge - edge % grain].append(edge)
    return {slot: sorted(edges) for slot, edges in sorted(found.items())}


def gather(
    source: CellSource,
    periods: Sequence[tuple[int, int]],
    columns: Iterable[str],
    where: Iterable[tuple[str, str]] = (),
    *,
    together: bool = False,
) -> CellTable:
    """Energy of periods [start, end) in µs, which are disjoint and sorted; ``columns`` of NAMED are told apart.

    ``where`` may be used to read less; who asks chooses all the same. ``together``: of the use cases only idle and
    unattributed energy are told apart, and model and charter status are not.
    """
    kept = [name for name in NAMED if name in {"service", *columns}]
    grain = grain_us(source.config)
    parts = list(_stored(source, whole_slots(periods, grain), kept, tuple(where), together=together))
    anew = list(_computed(source, periods, kept, grain))
    if anew:
        parts.append(part_of([(_joined(place, together=together), amounts) for place, amounts in anew]))
    return table_of(parts)


def _joined(place: CellKey, *, together: bool) -> CellKey:
    if not together or place.use_case in RESERVED_USE_CASES:
        return place
    return replace(place, use_case="", model="", charter="")


def whole_slots(periods: Sequence[tuple[int, int]], grain: int) -> list[tuple[int, int, int]]:
    """(period, first slot, slot after the last) in seconds, for the periods that hold a whole slot."""
    found = []
    for index, (start_us, end_us) in enumerate(periods):
        first, last = -(-start_us // grain) * grain, end_us // grain * grain
        if first < last:
            found.append((index, first // US_PER_S, last // US_PER_S))
    return found


def periods_sql(whole: Sequence[tuple[int, int, int]]) -> str:
    """A table of periods to join: integers of our own, written out."""
    values = ", ".join(f"({index}, {first}, {last})" for index, first, last in whole)
    return f"WITH period(number, first, last) AS (VALUES {values}) "


def sum_sql(column: str) -> str:
    """SQL for a sum that cannot overflow, in two columns."""
    return f"SUM({column} / {_MILLION}), SUM({column} - {column} / {_MILLION} * {_MILLION})"


def stretches_of(source: CellSource, whole: Sequence[tuple[int, int, int]]) -> dict[int, list[tuple[int, int, int]]]:
    """(period, first, last) [s] by the kind of what to read there: the coarsest sums that fit, rows at the ends."""
    found: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for index, first, last in whole:
        for each in split_range(source.summed_in(), first, last):
            found[each.kind].append((index, each.first, each.last))
    return dict(sorted(found.items()))


def chosen_sql(source: CellSource, where: Iterable[tuple[str, str]], columns: Collection[str]) -> str:
    """SQL for those conditions that name a column of the table: same name, or; different names, and."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for name, value in where:
        if name in columns:
            wanted[name].append(value)
    numbers = source.numbers({value for values in wanted.values() for value in values})
    return "".join(
        f" AND {name}_id IN ({', '.join(str(numbers.get(value, -1)) for value in values)})"
        for name, values in sorted(wanted.items())
    )


def _stored(
    source: CellSource,
    whole: Sequence[tuple[int, int, int]],
    kept: Sequence[str],
    where: tuple[tuple[str, str], ...],
    *,
    together: bool,
) -> Iterator[CellChunk]:
    conditions = chosen_sql(source, where, {"service", "device", "host"} if together else {*NAMED, "host"})
    levels = {DAYS: DAY, MONTHS: MONTH} if together else {DAYS: DAY_USES, MONTHS: MONTH_USES}
    for kind, ranges in stretches_of(source, whole).items():
        columns = [f"{name}_id" for name in kept]
        keys = ", ".join(["number", *columns, "basis_id"])
        if kind == SLOTS and together:
            use_case = kind_of_use(kept_numbers(source.view.store, source.view.connection))
            keys = keys.replace("use_case_id", use_case)
        divided = DIVIDED if kind == SLOTS else "divided"
        level = "" if kind == SLOTS else f"level = {levels[kind]} AND "
        name, at = ("footprint_row", "slot") if kind == SLOTS else ("footprint_row_sum", "start")
        statement = (
            f"{periods_sql(ranges)} SELECT {keys}, {_sum(divided)}, {{sums}} FROM period CROSS JOIN {name} r "
            f"WHERE {level}r.{at} >= period.first AND r.{at} < period.last{conditions} GROUP BY {keys}"
        )
        rows = _summed(source, statement, 2 + len(kept) + 1)
        if len(rows):
            yield _part(source, rows, kept)


def _summed(source: CellSource, statement: str, keys: int) -> Ints:
    """Rows of keys and sums of AMOUNTS, above and below BITS.

    SQLite says where a sum has no room in 64 bits, which is next to never: only then are the two halves summed apart.
    """
    if source.view.store.dialect == "sqlite":
        with contextlib.suppress(sqlite3.OperationalError):
            sums = ", ".join(f"SUM({name})" for name in AMOUNTS)
            rows = numbers_of(source, statement.format(sums=sums), keys + len(AMOUNTS))
            whole = rows[:, keys:]
            halves = np.stack([whole >> BITS, whole & (2**BITS - 1)], axis=2).reshape(len(rows), 2 * len(AMOUNTS))
            return np.concatenate([rows[:, :keys], halves], axis=1)
    sums = ", ".join(f"{_sum(f'{name} >> {BITS}')}, {_sum(f'{name} & {2**BITS - 1}')}" for name in AMOUNTS)
    return numbers_of(source, statement.format(sums=sums), keys + 2 * len(AMOUNTS))


def _sum(expression: str) -> str:
    return f"CAST(SUM({expression}) AS BIGINT)"


def undeclared_uses(source: CellSource, periods: Sequence[tuple[int, int]]) -> list[str]:
    """Use cases of rows about these periods that nobody declared; where there are no sums, of all rows in them."""
    zone = source.summed_in()
    low, high = periods[0][0] // US_PER_S, -(-periods[-1][1] // US_PER_S)
    of = f"footprint_row WHERE slot >= {low - S_PER_HOUR} AND slot < {high}"
    if zone is not None:
        first, last = (midnight_s(zone, month_bounds(local_day(zone, at))[0]) for at in (low, high))
        of = f"footprint_row_sum WHERE level = {MONTH_USES} AND start >= {first} AND start <= {last}"
    rows = source.view.connection.exec_driver_sql(f"SELECT DISTINCT use_case_id FROM {of}").all()
    texts = source.view.store.texts(source.view.connection, {row[0] for row in rows})
    declared = {use_case.name for use_case in source.config.use_cases}
    return sorted(set(texts.values()) - declared - {*RESERVED_USE_CASES, ""})


def numbers_of(source: CellSource, statement: str, width: int) -> Ints:
    """Rows of integers as an array of so many columns."""
    cursor = source.view.connection.connection.cursor()
    try:
        cursor.execute(statement)
        rows = cursor.fetchall()
    finally:
        cursor.close()
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=len(rows) * width).reshape(-1, width)


def _part(source: CellSource, rows: Ints, kept: Sequence[str]) -> CellChunk:
    view, width = source.view, 1 + len(kept)
    names = {}
    for place, name in enumerate(kept, 1):
        found, codes = np.unique(rows[:, place], return_inverse=True)
        texts = view.store.texts(view.connection, [number for number in found.tolist() if number])
        names[name] = codes, [texts.get(number, "") for number in found.tolist()]
    found, codes = np.unique(rows[:, width], return_inverse=True)
    bases = load_bases(view, found.tolist())
    amounts = rows[:, width + 2 :]
    return CellChunk(
        rows[:, 0],
        names,
        (codes, [bases[number] for number in found.tolist()]),
        amounts[:, ::2],
        amounts[:, 1::2],
        rows[:, width + 1],
    )


def load_bases(view: LedgerView, numbers: Iterable[int]) -> dict[int, CalculationBasis]:
    """Bases by their number; one that was read is kept, for it never changes."""
    target = table(schema.BasisRow)
    known = _bases.setdefault(view.store, {})
    wanted = set(numbers)
    missing = sorted(wanted - known.keys())
    for start in range(0, len(missing), 10_000):
        chosen = target.c.id.in_(missing[start : start + 10_000])
        for row in view.connection.execute(select(target.c.id, target.c.content).where(chosen)):
            known[row.id] = CalculationBasis.from_json(row.content)
    return {number: known[number] for number in wanted}


def _computed(
    source: CellSource, periods: Sequence[tuple[int, int]], kept: Sequence[str], grain: int
) -> Iterator[tuple[CellKey, list[int]]]:
    """Cells of the slots that an edge cuts."""
    starts = [start for start, _ in periods]
    by_day: dict[int, dict[int, list[int]]] = defaultdict(dict)
    for slot, edges in cut_slots(periods, grain).items():
        by_day[slot // US_PER_DAY][slot] = edges
    for day, slots in by_day.items():
        extra = tuple(edge for edges in slots.values() for edge in edges)
        for name, host in source.hosts().items():
            if day not in host.days():
                continue
            done = source.cut_day(name, day, extra)
            for row in done.result.rows.to_dict("records"):
                begin = int(done.slots_us[row["slot"]])
                period = bisect_right(starts, begin) - 1
                inside = period >= 0 and begin < periods[period][1]
                if not inside or begin - begin % grain not in slots:
                    continue
                yield _place(source.config, done, row, begin, period, kept), [int(row[name]) for name in AMOUNTS]


def _place(config: Config, done: HostDay, row: dict[Any, Any], begin_us: int, period: int, kept: Sequence[str]) -> CellKey:
    device, service, segment = row["device"], row["service"], row["segment"]
    known = service if (device, service, segment) in done.bases else ""
    values = {**row, "charter": charter_of(config, row["use_case"], begin_us)}
    named: dict[str, Any] = {name: values[name] if name in kept else "" for name in NAMED}
    return CellKey(period=period, basis=done.bases[device, known, segment], **named)
