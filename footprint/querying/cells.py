"""This file gathers energy: cells by period, group and basis, summed in SQL from the stored rows.

A slot that an edge of a period cuts is computed anew from the ledger, cut there. Sums are taken as
quotient and remainder by 10^6, for 2^63 µJ is no more than 2.56 GWh, and put together as Python integers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from footprint import tables
from footprint.aggregation.basis import Basis
from footprint.aggregation.hostday import Host, HostDay, grain_us
from footprint.aggregation.logs import ServiceLogs
from footprint.aggregation.storing import charter_of
from footprint.attribution.shard import ENERGY_COLUMNS, OTHER_COLUMNS
from footprint.config import Config
from footprint.impact.book import FactorBook
from footprint.ledger.reading import LedgerView
from footprint.store import table
from footprint.units import US_PER_DAY, US_PER_S

NAMED = ("service", "use_case", "model", "device", "charter")  # columns of a row that are numbers of names
AMOUNTS = (*ENERGY_COLUMNS, *OTHER_COLUMNS)
_MILLION = 10**6


@dataclass(frozen=True, slots=True)
class Place:
    """What the energy of a cell belongs to; names that were not asked for are empty."""

    period: int
    service: str
    use_case: str
    model: str
    device: str
    charter: str
    basis: Basis


Cells = dict[Place, list[int]]  # AMOUNTS in µJ, Python integers


@dataclass(slots=True)
class Source:
    """Where cells come from: the store at one moment, and what is needed to compute a slot anew."""

    view: LedgerView
    config: Config
    book: FactorBook
    _days: dict[tuple[str, int, tuple[int, ...]], HostDay] = field(default_factory=dict)
    _logs: ServiceLogs | None = None
    _hosts: dict[str, Host] = field(default_factory=dict)

    def hosts(self) -> dict[str, Host]:
        """Hosts of the ledger."""
        if self._logs is None:
            self._logs = ServiceLogs(self.view, self.config)
            names = sorted(self.view.streams())
            self._hosts = {
                name: Host(self.view, self.config, self.book, self._logs, name) for name in names
            }
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


def gather(source: Source, periods: Sequence[tuple[int, int]], columns: Iterable[str]) -> Cells:
    """Energy of periods [start, end) in µs, which are disjoint and sorted; ``columns`` of NAMED are told apart."""
    kept = [name for name in NAMED if name in {"service", *columns}]
    grain = grain_us(source.config)
    cells: Cells = defaultdict(lambda: [0] * len(AMOUNTS))
    for place, amounts in _stored(source, periods, kept, grain):
        _add(cells, place, amounts)
    for place, amounts in _computed(source, periods, kept, grain):
        _add(cells, place, amounts)
    # One order, whatever database: sums of floats over cells are then the same to the last bit.
    order = {id(place.basis): place.basis.to_json() for place in cells}
    return dict(sorted(cells.items(), key=lambda item: (*_names(item[0]), order[id(item[0].basis)])))


def _names(place: Place) -> tuple[int | str, ...]:
    return place.period, place.service, place.use_case, place.model, place.device, place.charter


def _add(cells: Cells, place: Place, amounts: Sequence[int]) -> None:
    mine = cells[place]
    for index, amount in enumerate(amounts):
        mine[index] += amount


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


def _stored(
    source: Source, periods: Sequence[tuple[int, int]], kept: Sequence[str], grain: int
) -> Iterator[tuple[Place, list[int]]]:
    whole = whole_slots(periods, grain)
    if not whole:
        return
    keys = ", ".join(["period.number", *(f"r.{name}_id" for name in kept), "r.basis_id"])
    sums = ", ".join(sum_sql(f"r.{name}") for name in AMOUNTS)
    rows = source.view.connection.exec_driver_sql(
        f"{periods_sql(whole)} SELECT {keys}, {sums} FROM period "
        "JOIN footprint_row r ON r.slot >= period.first AND r.slot < period.last "
        f"GROUP BY {keys}"
    ).all()
    width = 2 + len(kept)
    texts = source.view.store.texts(source.view.connection, {x for row in rows for x in row[1 : width - 1]})
    bases = load_bases(source.view, {row[width - 1] for row in rows})
    for row in rows:
        named: dict[str, Any] = dict.fromkeys(NAMED, "")
        named |= {name: texts[number] for name, number in zip(kept, row[1 : width - 1], strict=True)}
        parts = [int(part) for part in row[width:]]
        amounts = [high * _MILLION + low for high, low in zip(parts[::2], parts[1::2], strict=True)]
        yield Place(period=int(row[0]), basis=bases[row[width - 1]], **named), amounts


def load_bases(view: LedgerView, numbers: Iterable[int]) -> dict[int, Basis]:
    """Bases by their number."""
    target = table(tables.Basis)
    wanted = sorted(set(numbers))
    found: dict[int, Basis] = {}
    for start in range(0, len(wanted), 10_000):
        chosen = target.c.id.in_(wanted[start : start + 10_000])
        for row in view.connection.execute(select(target.c.id, target.c.content).where(chosen)):
            found[row.id] = Basis.from_json(row.content)
    return found


def _computed(
    source: Source, periods: Sequence[tuple[int, int]], kept: Sequence[str], grain: int
) -> Iterator[tuple[Place, list[int]]]:
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


def _place(
    config: Config, done: HostDay, row: dict[Any, Any], begin_us: int, period: int, kept: Sequence[str]
) -> Place:
    device, service, segment = row["device"], row["service"], row["segment"]
    known = service if (device, service, segment) in done.bases else ""
    values = {**row, "charter": charter_of(config, row["use_case"], begin_us)}
    named: dict[str, Any] = {name: values[name] if name in kept else "" for name in NAMED}
    return Place(period=period, basis=done.bases[device, known, segment], **named)
