"""This file answers a question: energy, requests and impact by period and group, with bounds, coverage and quality."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from footprint import tables
from footprint.aggregation.hostday import grain_us
from footprint.attribution.shard import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.config import Config
from footprint.impact.book import FactorBook
from footprint.impact.uncertainty import Budget
from footprint.instants import format_instant
from footprint.ledger.factors import book_of
from footprint.ledger.reading import LedgerView
from footprint.querying.cells import NAMED, Cells, Place, Source, gather
from footprint.querying.counts import Counts, gather_counts
from footprint.querying.coverage import Watch, watch
from footprint.querying.figures import budgets, energy_figures, flags_of, gap_allowance, requests_figures
from footprint.querying.periods import cut_periods
from footprint.querying.question import COLUMNS, PLACES, Question
from footprint.querying.respread import month_of, month_weights, months_of, respread
from footprint.store import Store, table
from footprint.units import US_PER_DAY

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns in order, rows by column; what nobody knows is None. ``notes`` say what a reader must know of it."""

    columns: list[str]
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    """What goes into one row."""

    cells: list[tuple[Place, list[int]]] = field(default_factory=list)
    counts: list[tuple[str, list[int | None]]] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    use_cases: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Gathered:
    """Everything that the rows of a question are made of; ``groups`` by period and names."""

    source: Source
    question: Question
    periods: list[tuple[int, int]]
    groups: dict[tuple[int, Names], Group]
    watched: Watch

    @property
    def apart(self) -> bool:
        """Whether rows hold some use cases of a service and not others."""
        named = {*self.question.group, *(name for name, _ in self.question.where)}
        return bool(named & {"use_case", "model", "charter"})

    def times(self, period: int, group: Group) -> tuple[int, int, int]:
        """(read, known, expected) device-µs of a row."""
        start_us, end_us = self.periods[period]
        return self.watched.measure(_where(self.question, group, self.watched), start_us, max(end_us, start_us + 1))


@contextmanager
def gathered(
    store: Store, config: Config, question: Question, now_us: int, book: FactorBook | None = None
) -> Iterator[Gathered | None]:
    """What the rows of a question are made of, as the store is at one moment; None where the period holds nothing."""
    with store.read() as connection:
        source = Source(LedgerView(store, connection), config, book or book_of(store))
        extent = source.view.extent_us()
        if extent is None:
            yield None
            return
        start_us = extent[0] if question.from_us is None else question.from_us
        # Half-open, and yet the last instant counts: what ends there belongs to the period that it closes.
        end_us, closing = (extent[1], 1) if question.to_us is None else (question.to_us, 0)
        if start_us >= end_us + closing:
            yield None
            return
        periods = cut_periods(question.every, start_us, max(end_us, start_us + 1), config.timezone)
        summed = _stretched(source, periods, question)
        groups = _groups(source, question, summed)
        yield Gathered(source, question, periods, groups, watch(source, periods[0][0], periods[-1][1], summed, now_us))


@dataclass(frozen=True, slots=True)
class Told:
    """A row with what makes it uncertain: budgets of its energy [kWh] and emissions [g], the allowance for gaps, time known [µs]."""

    period: int
    names: Names
    row: dict[str, Any]
    energy: Budget
    grams: Budget
    gap: float
    known_us: int
    group: Group


def told(found: Gathered) -> list[Told]:
    """The rows of a question by period and names, each with its budgets."""
    open_days = _open_days(found.source)
    rows = []
    for (period, names), group in sorted(found.groups.items(), key=lambda item: item[0]):
        row = _row(found, period, group, open_days)
        if row is not None:
            energy, grams, _ = budgets(group.cells, apart=found.apart)
            _, known, expected = found.times(period, group)
            rows.append(Told(period, names, row, energy, grams, gap_allowance(known, expected), known, group))
    return rows


def query(store: Store, config: Config, question: Question, now_us: int, book: FactorBook | None = None) -> Answer:
    """Rows of the contract's section 6; none where the period holds nothing."""
    columns = [*question.group, *COLUMNS]
    rows = []
    with gathered(store, config, question, now_us, book) as found:
        if found is None:
            return Answer(columns, [])
        open_days = _open_days(found.source)
        for (period, names), group in found.groups.items():
            row = _row(found, period, group, open_days)
            if row is not None:
                named = dict(zip(question.group, names, strict=True))
                rows.append((names, found.periods[period][0], {**named, **row}))
    rows.sort(key=lambda row: row[:2])
    return Answer(columns, [row for _, _, row in rows])


def _stretched(source: Source, periods: Sequence[tuple[int, int]], question: Question) -> list[tuple[int, int]]:
    """Periods to sum over: an end that nobody asked for reaches to the end of its slot, where no data is."""
    grain = grain_us(source.config)
    first, last = periods[0], periods[-1]
    found = list(periods)
    if question.to_us is None:
        found[-1] = last[0], last[1] + grain - last[1] % grain
    if question.from_us is None:
        found[0] = first[0] - first[0] % grain, found[0][1]
    return found


def _groups(
    source: Source, question: Question, periods: list[tuple[int, int]]
) -> dict[tuple[int, Names], Group]:
    wanted = {*question.group, *(name for name, _ in question.where)}
    cells, owner = _energy(source, question, periods, wanted)
    groups: dict[tuple[int, Names], Group] = defaultdict(Group)
    for place, amounts in cells.items():
        values = _values(place)
        if _chosen(question, values):
            group = groups[owner[place.period], tuple(values[name] for name in question.group)]
            group.cells.append((place, amounts))
            group.services.add(place.service)
            group.use_cases.add(place.use_case)
            group.hosts.add(place.basis.host)
    if not wanted & PLACES:
        _add_counts(groups, question, gather_counts(source, periods, wanted))
    return groups


def _energy(
    source: Source, question: Question, periods: list[tuple[int, int]], wanted: set[str]
) -> tuple[Cells, list[int]]:
    """Cells, and the period asked for of each period of theirs."""
    columns = {name for name in wanted if name in NAMED}
    if question.view == "active":
        return gather(source, periods, {*columns, "use_case"}), list(range(len(periods)))
    months = months_of(source, periods[0][0], periods[-1][1])
    pieces, owner = [], []
    for index, (start, end) in enumerate(periods):
        for part in cut_periods("month", start, end, source.config.timezone):
            pieces.append(part)
            owner.append(index)
    cells = gather(source, pieces, {*columns, "use_case", "model", "charter"})
    month = [month_of(months, start) for start, _ in pieces]
    return respread(cells, month, month_weights(source, months)), owner


def _values(place: Place) -> dict[str, str]:
    return {
        "service": place.service, "use_case": place.use_case, "model": place.model, "device": place.device,
        "charter": place.charter, "host": place.basis.host, "site": place.basis.site,
    }  # fmt: skip


def _chosen(question: Question, values: dict[str, str]) -> bool:
    """Same name: or; different names: and."""
    allowed: dict[str, set[str]] = defaultdict(set)
    for name, value in question.where:
        allowed[name].add(value)
    return all(values[name] in wanted for name, wanted in allowed.items())


def _add_counts(groups: dict[tuple[int, Names], Group], question: Question, counts: Counts) -> None:
    for (period, service, use_case, model, charter), amounts in counts.items():
        values = {"service": service, "use_case": use_case, "model": model, "charter": charter}
        if _chosen(question, values):
            group = groups[period, tuple(values[name] for name in question.group)]
            group.counts.append((service, amounts))
            group.services.add(service)
            group.use_cases.add(use_case)


def _open_days(source: Source) -> set[tuple[str, int]]:
    """(host, day) that were computed provisionally."""
    target = table(tables.Shard)
    rows = source.view.connection.execute(select(target.c.members, target.c.day).where(target.c.provisional))
    return {(row.members.removeprefix("host "), row.day) for row in rows if row.members.startswith("host ")}


def _row(found: Gathered, period: int, group: Group, open_days: set[tuple[str, int]]) -> dict[str, Any] | None:
    source, question = found.source, found.question
    start_us, end_us = found.periods[period]
    read, known, expected = found.times(period, group)
    counted = requests_figures([amounts for _, amounts in group.counts])
    if not any(any(amounts) for _, amounts in group.cells) and not counted["requests"]:
        return None
    split = not ({*question.group, *(name for name, _ in question.where)} & PLACES)
    figures = energy_figures(
        group.cells, source.config, known=known, expected=expected, read=read, apart=found.apart
    )
    days = range(start_us // US_PER_DAY, (max(end_us, start_us + 1) - 1) // US_PER_DAY + 1)
    provisional = any((host, day) in open_days for host in group.hosts for day in days)
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"period_start": format_instant(start_us), "period_end": format_instant(end_us)}
    row |= counted if split else {}
    row |= figures
    kept = group.use_cases <= {IDLE_NAME, UNATTRIBUTED_NAME}
    # SCI = (O + M) / R: without embodied emissions it would not be one, and is left empty.
    parts = (row["co2e_location_g"], row["embodied_g"])
    if split and counted["requests"] and None not in parts and not kept:
        row["sci_g_per_request"] = sum(parts) / counted["requests"]
    row["coverage"] = min(read / expected, 1.0) if expected else None
    row["status"] = "provisional" if provisional else "final"
    row["flags"] = "+".join(flags_of(source.config, group.cells, group.services, group.use_cases, group.hosts))
    return row


def _where(question: Question, group: Group, watched: Watch) -> list[tuple[tuple[str, str], int, int]]:
    """The devices whose coverage is the row's."""
    wanted = {*question.group, *(name for name, _ in question.where)}
    if wanted & {"service", "use_case", "model", "charter"}:
        found = watched.of_services(sorted(group.services), group.hosts)
    else:
        found = [(device, 0, 2**62) for device in sorted(watched.devices)]
    if wanted & {"host", "site"}:
        found = [item for item in found if item[0][0] in group.hosts]
    if "device" in wanted:
        devices = {place.device for place, _ in group.cells}
        named = [item for item in found if item[0][1] in devices]
        found = named or [item for item in found if item[0][0] in group.hosts]
    return found
