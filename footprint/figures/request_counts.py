"""This file gathers requests and tokens by period and group; windows of several requests are divided by time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from footprint.aggregation.host_day import grain_us
from footprint.aggregation.result_writer import charter_of
from footprint.aggregation.rollups import DAY, DAY_USES, MONTH, MONTH_USES
from footprint.aggregation.service_day import COUNT_COLUMNS, count_service_day
from footprint.attribution.largest_remainder import split_integer
from footprint.calendar.rollup_ranges import DAYS, MONTHS, SLOTS
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.figures.energy_cells import CellSource, chosen_sql, cut_slots, periods_sql, stretches_of, whole_slots

NAMED = ("service", "use_case", "model", "charter")
Key = tuple[int, str, str, str, str]  # period, then NAMED
Counts = dict[Key, list[int | None]]  # COUNTED; None where nobody told
_Found = tuple[Key, Sequence[int | None]]


def gather_counts(
    source: CellSource, periods: Sequence[tuple[int, int]], columns: Iterable[str], where: Iterable[tuple[str, str]] = ()
) -> Counts:
    """Counts of periods [start, end) in µs, which are disjoint and sorted; ``columns`` of NAMED are told apart.

    ``where`` may be used to read less; who asks chooses all the same.
    """
    kept = [name for name in NAMED if name in {"service", *columns}]
    conditions = chosen_sql(source, where, NAMED)
    stretches = stretches_of(source, whole_slots(periods, grain_us(source.config)))
    counts: Counts = defaultdict(lambda: [None] * len(COUNT_COLUMNS))
    stored = _stored(source, stretches, kept, conditions)
    for parts in (stored, _cut(source, periods), _straddling(source, periods, stretches, conditions)):
        for (period, *names), amounts in parts:
            service, use_case, model, charter = (
                name if column in kept else "" for name, column in zip(names, NAMED, strict=True)
            )
            mine = counts[period, service, use_case, model, charter]
            for index, amount in enumerate(amounts):
                if amount is not None:
                    mine[index] = (mine[index] or 0) + amount
    return dict(counts)


def _stored(
    source: CellSource, stretches: dict[int, list[tuple[int, int, int]]], kept: Sequence[str], conditions: str
) -> Iterator[_Found]:
    together = not {"use_case", "model", "charter"} & set(kept)
    levels = {DAYS: DAY, MONTHS: MONTH} if together else {DAYS: DAY_USES, MONTHS: MONTH_USES}
    for kind, ranges in stretches.items():
        keys = ", ".join(["period.number", *(f"c.{name}_id" for name in kept)])
        sums = ", ".join(f"SUM(c.{name})" for name in COUNT_COLUMNS)
        of, at = ("footprint_count", "slot") if kind == SLOTS else ("footprint_count_sum", "start")
        level = "" if kind == SLOTS else f"c.level = {levels[kind]} AND "
        rows = source.view.connection.exec_driver_sql(
            f"{periods_sql(ranges)} SELECT {keys}, {sums} FROM period CROSS JOIN {of} c "
            f"WHERE {level}c.{at} >= period.first AND c.{at} < period.last{conditions} GROUP BY {keys}"
        ).all()
        width = 1 + len(kept)
        texts = source.view.store.texts(source.view.connection, {x for row in rows for x in row[1:width]})
        for row in rows:
            named = dict(zip(kept, (texts[number] for number in row[1:width]), strict=True))
            service, use_case, model, charter = (named.get(name, "") for name in NAMED)
            yield (row[0], service, use_case, model, charter), [None if x is None else int(x) for x in row[width:]]


def _cut(source: CellSource, periods: Sequence[tuple[int, int]]) -> Iterator[_Found]:
    """Requests that count in the slots that an edge cuts, counted anew."""
    grain = grain_us(source.config)
    for slot, edges in cut_slots(periods, grain).items():
        cuts = np.array([slot, *edges, slot + grain], dtype=np.int64)
        for service, days in source.view.service_days().items():
            if slot // US_PER_DAY not in days:
                continue
            found = count_service_day(source.view, source.config, service, slot, slot + grain, cuts)
            for row in found.counts.to_dict("records"):
                period = _period_of(periods, row["slot_us"])
                if period is not None:
                    charter = charter_of(source.config, row["use_case"], row["slot_us"])
                    yield (period, service, row["use_case"], row["model"], charter), [_told(row[n]) for n in COUNT_COLUMNS]
            for row in found.straddles.to_dict("records"):
                if row["start_us"] >= slot:  # one that began before is stored as crossing slots already
                    charter = charter_of(source.config, row["use_case"], row["at_us"])
                    names = service, row["use_case"], row["model"], charter
                    yield from _divide(periods, row["start_us"], row["end_us"], names, [_told(row[n]) for n in COUNT_COLUMNS])


def _told(value: int) -> int | None:
    return None if value < 0 else value


def _period_of(periods: Sequence[tuple[int, int]], instant_us: int) -> int | None:
    place = bisect_right([start for start, _ in periods], instant_us) - 1
    return place if place >= 0 and instant_us < periods[place][1] else None


def _straddling(
    source: CellSource, periods: Sequence[tuple[int, int]], stretches: dict[int, list[tuple[int, int, int]]], conditions: str
) -> Iterator[_Found]:
    """Windows that no sum holds: of slots those that cross slots, of days those that cross midnights, of months their ends."""
    found: dict[int, Sequence[Any]] = {}
    for least, start_us, end_us in _looked_at(source, periods, stretches):
        columns = ", ".join(("id", "start_us", "end_us", *(f"{name}_id" for name in NAMED), *COUNT_COLUMNS))
        rows = source.view.connection.exec_driver_sql(
            f"SELECT {columns} FROM footprint_straddle WHERE crosses IN ({', '.join(map(str, range(least, 3)))}) "
            f"AND end_us > {start_us} AND start_us < {end_us}{conditions}"
        )
        found |= {row[0]: row for row in rows}
    texts = source.view.store.texts(source.view.connection, {x for row in found.values() for x in row[3:7]})
    for number in sorted(found):
        row = found[number]
        service, use_case, model, charter = (texts[x] for x in row[3:7])
        yield from _divide(periods, row[1], row[2], (service, use_case, model, charter), row[7:])


def _looked_at(
    source: CellSource, periods: Sequence[tuple[int, int]], stretches: dict[int, list[tuple[int, int, int]]]
) -> Iterator[tuple[int, int, int]]:
    """(least that is crossed, start, end) [µs] of where to look for windows."""
    least = {SLOTS: 0, DAYS: 1, MONTHS: 2}
    for kind, ranges in stretches.items():
        merged: list[list[int]] = []
        for _, first, last in sorted(ranges, key=lambda each: each[1]):
            if merged and merged[-1][1] == first:
                merged[-1][1] = last
            else:
                merged.append([first, last])
        yield from ((least[kind], first * US_PER_S, last * US_PER_S) for first, last in merged)
    grain = grain_us(source.config)
    for slot in cut_slots(periods, grain):
        yield 0, max(slot, periods[0][0]), min(slot + grain, periods[-1][1])


def _divide(
    periods: Sequence[tuple[int, int]],
    start_us: int,
    end_us: int,
    names: tuple[str, str, str, str],
    amounts: Sequence[int | None],
) -> Iterator[_Found]:
    """A window over the periods, and over what lies before and after them, by time and in integers."""
    first = max(bisect_right([end for _, end in periods], start_us), 0)
    inside = []
    for index in range(first, len(periods)):
        begin, finish = max(periods[index][0], start_us), min(periods[index][1], end_us)
        if begin >= finish:
            break
        inside.append((index, finish - begin))
    before = max(min(end_us, periods[0][0]) - start_us, 0)
    after = max(end_us - max(start_us, periods[-1][1]), 0)
    weights = np.array([before, *(length for _, length in inside), after], dtype=np.float64)
    parts = [None if amount is None else split_integer(amount, weights) for amount in amounts]
    for place, (index, _) in enumerate(inside, 1):
        yield (index, *names), [None if part is None else int(part[place]) for part in parts]
