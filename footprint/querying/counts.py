"""This file gathers requests and tokens by period and group; windows of several requests are divided by time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from sqlalchemy import select

from footprint import tables
from footprint.aggregation.hostday import grain_us
from footprint.aggregation.serviceday import COUNTED, count_service_day
from footprint.aggregation.storing import charter_of
from footprint.attribution.rounding import split_integer
from footprint.querying.cells import Source, cut_slots, periods_sql, whole_slots
from footprint.store import table
from footprint.units import US_PER_DAY

NAMED = ("service", "use_case", "model", "charter")
Key = tuple[int, str, str, str, str]  # period, then NAMED
Counts = dict[Key, list[int | None]]  # COUNTED; None where nobody told
_Found = tuple[Key, Sequence[int | None]]


def gather_counts(source: Source, periods: Sequence[tuple[int, int]], columns: Iterable[str]) -> Counts:
    """Counts of periods [start, end) in µs, which are disjoint and sorted; ``columns`` of NAMED are told apart."""
    kept = {"service", *columns}
    counts: Counts = defaultdict(lambda: [None] * len(COUNTED))
    for parts in (_stored(source, periods), _cut(source, periods), _straddling(source, periods)):
        for (period, *names), amounts in parts:
            service, use_case, model, charter = (
                name if column in kept else "" for name, column in zip(names, NAMED, strict=True)
            )
            mine = counts[period, service, use_case, model, charter]
            for index, amount in enumerate(amounts):
                if amount is not None:
                    mine[index] = (mine[index] or 0) + amount
    return dict(counts)


def _stored(source: Source, periods: Sequence[tuple[int, int]]) -> Iterator[_Found]:
    whole = whole_slots(periods, grain_us(source.config))
    if not whole:
        return
    keys = "period.number, c.service_id, c.use_case_id, c.model_id, c.charter_id"
    sums = ", ".join(f"SUM(c.{name})" for name in COUNTED)
    rows = source.view.connection.exec_driver_sql(
        f"{periods_sql(whole)} SELECT {keys}, {sums} FROM period "
        "JOIN footprint_count c ON c.slot >= period.first AND c.slot < period.last "
        f"GROUP BY {keys}"
    ).all()
    texts = source.view.store.texts(source.view.connection, {x for row in rows for x in row[1:5]})
    for row in rows:
        service, use_case, model, charter = (texts[number] for number in row[1:5])
        yield (row[0], service, use_case, model, charter), [None if x is None else int(x) for x in row[5:]]


def _cut(source: Source, periods: Sequence[tuple[int, int]]) -> Iterator[_Found]:
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
                    yield (period, service, row["use_case"], row["model"], charter), [_told(row[n]) for n in COUNTED]
            for row in found.straddles.to_dict("records"):
                if row["start_us"] >= slot:  # one that began before is stored as crossing slots already
                    charter = charter_of(source.config, row["use_case"], row["at_us"])
                    names = service, row["use_case"], row["model"], charter
                    yield from _divide(periods, row["start_us"], row["end_us"], names, [_told(row[n]) for n in COUNTED])


def _told(value: int) -> int | None:
    return None if value < 0 else value


def _period_of(periods: Sequence[tuple[int, int]], instant_us: int) -> int | None:
    place = bisect_right([start for start, _ in periods], instant_us) - 1
    return place if place >= 0 and instant_us < periods[place][1] else None


def _straddling(source: Source, periods: Sequence[tuple[int, int]]) -> Iterator[_Found]:
    target = table(tables.Straddle)
    rows = source.view.connection.execute(
        select(target).where(target.c.end_us > periods[0][0], target.c.start_us < periods[-1][1])
    ).all()
    wanted = {x for r in rows for x in (r.service_id, r.use_case_id, r.model_id, r.charter_id)}
    texts = source.view.store.texts(source.view.connection, wanted)
    for row in rows:
        names = texts[row.service_id], texts[row.use_case_id], texts[row.model_id], texts[row.charter_id]
        yield from _divide(periods, row.start_us, row.end_us, names, [getattr(row, name) for name in COUNTED])


def _divide(
    periods: Sequence[tuple[int, int]], start_us: int, end_us: int, names: tuple[str, str, str, str],
    amounts: Sequence[int | None],
) -> Iterator[_Found]:  # fmt: skip
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
