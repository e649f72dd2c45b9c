"""Request counts: requests and tokens by period and group; windows of several requests are divided by time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from footprint.aggregation.host_day import grain_us
from footprint.aggregation.result_writer import charter_of
from footprint.aggregation.rollups import DAY, DAY_USES, MONTH, MONTH_USES
from footprint.aggregation.service_day import count_service_day
from footprint.attribution.largest_remainder import split_integer
from footprint.calendar.rollup_ranges import DAYS, MONTHS, SLOTS
from footprint.core.records import COUNT_COLUMNS
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.figures.energy_cells import CellSource, filter_sql, periods_sql, slots_cut_by, source_ranges, whole_slot_ranges_s

NAME_COLUMNS = ("service", "use_case", "model", "charter")
Key = tuple[int, str, str, str, str]  # period, then NAME_COLUMNS
Counts = dict[Key, list[int | None]]  # COUNT_COLUMNS; None if unknown
_PartialCount = tuple[Key, Sequence[int | None]]


def count_requests(
    source: CellSource, periods: Sequence[tuple[int, int]], columns: Iterable[str], where: Iterable[tuple[str, str]] = ()
) -> Counts:
    """Counts of periods [start, end) in µs, disjoint and sorted, by ``columns`` of NAME_COLUMNS.

    ``where`` is a push-down hint; callers must still filter.
    """
    kept_columns = [name for name in NAME_COLUMNS if name in {"service", *columns}]
    conditions = filter_sql(source, where, NAME_COLUMNS)
    stretches = source_ranges(source, whole_slot_ranges_s(periods, grain_us(source.config)))
    counts: Counts = defaultdict(lambda: [None] * len(COUNT_COLUMNS))
    stored = _stored_counts(source, stretches, kept_columns, conditions)
    for parts in (stored, _recount_cut_slots(source, periods), _straddling_windows(source, periods, stretches, conditions)):
        for (period, *names), amounts in parts:
            service, use_case, model, charter = (
                name if column in kept_columns else "" for name, column in zip(names, NAME_COLUMNS, strict=True)
            )
            total = counts[period, service, use_case, model, charter]
            for index, amount in enumerate(amounts):
                if amount is not None:
                    total[index] = (total[index] or 0) + amount
    return dict(counts)


def _stored_counts(
    source: CellSource, stretches: dict[int, list[tuple[int, int, int]]], kept_columns: Sequence[str], conditions: str
) -> Iterator[_PartialCount]:
    together = not {"use_case", "model", "charter"} & set(kept_columns)
    levels = {DAYS: DAY, MONTHS: MONTH} if together else {DAYS: DAY_USES, MONTHS: MONTH_USES}
    for kind, ranges in stretches.items():
        keys = ", ".join(["period.number", *(f"c.{name}_id" for name in kept_columns)])
        sums = ", ".join(f"SUM(c.{name})" for name in COUNT_COLUMNS)
        table_name, at = ("footprint_count", "slot") if kind == SLOTS else ("footprint_count_sum", "start")
        level = "" if kind == SLOTS else f"c.level = {levels[kind]} AND "
        rows = source.view.connection.exec_driver_sql(
            f"{periods_sql(ranges)} SELECT {keys}, {sums} FROM period CROSS JOIN {table_name} c "
            f"WHERE {level}c.{at} >= period.first AND c.{at} < period.last{conditions} GROUP BY {keys}"
        ).all()
        width = 1 + len(kept_columns)
        names = source.view.store.texts(source.view.connection, {value for row in rows for value in row[1:width]})
        for row in rows:
            named = dict(zip(kept_columns, (names[number] for number in row[1:width]), strict=True))
            service, use_case, model, charter = (named.get(name, "") for name in NAME_COLUMNS)
            yield (row[0], service, use_case, model, charter), [None if value is None else int(value) for value in row[width:]]


def _recount_cut_slots(source: CellSource, periods: Sequence[tuple[int, int]]) -> Iterator[_PartialCount]:
    """Requests of the slots that an edge cuts, recounted from the log."""
    grain = grain_us(source.config)
    for slot, edges in slots_cut_by(periods, grain).items():
        cuts = np.array([slot, *edges, slot + grain], dtype=np.int64)
        for service, days in source.view.service_days().items():
            if slot // US_PER_DAY not in days:
                continue
            service_day = count_service_day(source.view, source.config, service, slot, slot + grain, cuts)
            for row in service_day.counts.to_dict("records"):
                period = _period_index(periods, row["slot_us"])
                if period is not None:
                    charter = charter_of(source.config, row["use_case"], row["slot_us"])
                    yield (
                        (period, service, row["use_case"], row["model"], charter),
                        [_known_or_none(row[column]) for column in COUNT_COLUMNS],
                    )
            for row in service_day.straddles.to_dict("records"):
                if row["start_us"] >= slot:  # an earlier one is already stored as crossing slots
                    charter = charter_of(source.config, row["use_case"], row["at_us"])
                    names = service, row["use_case"], row["model"], charter
                    yield from _divide_window(
                        periods, row["start_us"], row["end_us"], names, [_known_or_none(row[column]) for column in COUNT_COLUMNS]
                    )


def _known_or_none(value: int) -> int | None:
    return None if value < 0 else value


def _period_index(periods: Sequence[tuple[int, int]], instant_us: int) -> int | None:
    index = bisect_right([start for start, _ in periods], instant_us) - 1
    return index if index >= 0 and instant_us < periods[index][1] else None


def _straddling_windows(
    source: CellSource, periods: Sequence[tuple[int, int]], stretches: dict[int, list[tuple[int, int, int]]], conditions: str
) -> Iterator[_PartialCount]:
    """Windows that no rollup holds: those that cross slots, midnights, or month ends."""
    windows: dict[int, Sequence[Any]] = {}
    for min_crossing, start_us, end_us in _window_searches(source, periods, stretches):
        columns = ", ".join(("id", "start_us", "end_us", *(f"{name}_id" for name in NAME_COLUMNS), *COUNT_COLUMNS))
        rows = source.view.connection.exec_driver_sql(
            f"SELECT {columns} FROM footprint_straddle WHERE crosses IN ({', '.join(map(str, range(min_crossing, 3)))}) "
            f"AND end_us > {start_us} AND start_us < {end_us}{conditions}"
        )
        windows |= {row[0]: row for row in rows}
    names = source.view.store.texts(source.view.connection, {name_id for row in windows.values() for name_id in row[3:7]})
    for number in sorted(windows):
        row = windows[number]
        service, use_case, model, charter = (names[name_id] for name_id in row[3:7])
        yield from _divide_window(periods, row[1], row[2], (service, use_case, model, charter), row[7:])


def _window_searches(
    source: CellSource, periods: Sequence[tuple[int, int]], stretches: dict[int, list[tuple[int, int, int]]]
) -> Iterator[tuple[int, int, int]]:
    """(minimal crossing, start, end) [µs] of the ranges to search for windows."""
    min_crossing = {SLOTS: 0, DAYS: 1, MONTHS: 2}
    for kind, ranges in stretches.items():
        merged: list[list[int]] = []
        for _, first, last in sorted(ranges, key=lambda item: item[1]):
            if merged and merged[-1][1] == first:
                merged[-1][1] = last
            else:
                merged.append([first, last])
        yield from ((min_crossing[kind], first * US_PER_S, last * US_PER_S) for first, last in merged)
    grain = grain_us(source.config)
    for slot in slots_cut_by(periods, grain):
        yield 0, max(slot, periods[0][0]), min(slot + grain, periods[-1][1])


def _divide_window(
    periods: Sequence[tuple[int, int]],
    start_us: int,
    end_us: int,
    names: tuple[str, str, str, str],
    amounts: Sequence[int | None],
) -> Iterator[_PartialCount]:
    """Divide a window over the periods, and the time before and after them, in proportion to time and in integers."""
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
    for position, (index, _) in enumerate(inside, 1):
        yield (index, *names), [None if part is None else int(part[position]) for part in parts]
