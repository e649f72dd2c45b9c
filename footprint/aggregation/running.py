"""This file decides what is to be computed: days not done, done provisionally, or done from something that changed since.

What to do comes from the store, never from memory: the scheduler and ``footprint aggregate`` are this one function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import select

from footprint import tables
from footprint.aggregation import AGENT_KIND
from footprint.aggregation.hostday import Host, grain_us
from footprint.aggregation.logs import ServiceLogs
from footprint.aggregation.serviceday import count_service_day, day_edges, service_days, service_fingerprint
from footprint.aggregation.storing import Mark, remove, store_host_day, store_service_day
from footprint.config import Config
from footprint.impact.book import FactorBook
from footprint.ledger.reading import LedgerView
from footprint.store import Store, table
from footprint.units import US_PER_DAY, US_PER_S

CLOSED_AFTER_US = 120 * US_PER_S

Progress = Callable[[str, int], None]


@dataclass(slots=True)
class Done:
    """What a run did: shards computed, those already as they should be, those removed, and what to say of it."""

    computed: int = 0
    unchanged: int = 0
    removed: int = 0
    provisional: int = 0
    notes: list[str] = field(default_factory=list)


def aggregate(
    store: Store, config: Config, book: FactorBook, now_us: int,
    from_us: int | None = None, to_us: int | None = None, *, again: bool = False, progress: Progress | None = None,
) -> Done:  # fmt: skip
    """Compute every day that is not done; with ``again`` also those of [from, to) that are.

    Raises
    ------
    ClosureError
        If rows would not sum to the readings: nothing of that day is stored.
    """
    done = Done()
    run = _Run(store, config, book, now_us, done, progress)
    with store.read() as connection:
        run.read(connection)
        for members, day in run.wanted():
            chosen = (from_us is None or (day + 1) * US_PER_DAY > from_us) and (to_us is None or day * US_PER_DAY < to_us)
            if chosen:
                run.bring_up_to_date(members, day, again=again)
        if from_us is None and to_us is None:
            run.clear_away()
    return done


class _Run:
    def __init__(
        self, store: Store, config: Config, book: FactorBook, now_us: int, done: Done, progress: Progress | None
    ) -> None:
        self.store, self.config, self.book, self.now_us = store, config, book, now_us
        self.done, self.progress = done, progress

    def read(self, connection) -> None:  # type: ignore[no-untyped-def]
        self.view = LedgerView(self.store, connection)
        self.logs = ServiceLogs(self.view, self.config)
        shard, batch = table(tables.Shard), table(tables.Batch)
        self.known = {
            (row.members, row.day): (row.fingerprint, bool(row.provisional))
            for row in connection.execute(select(shard.c.members, shard.c.day, shard.c.fingerprint, shard.c.provisional))
        }
        self.live = {row.name for row in connection.execute(select(batch.c.name).where(batch.c.kind == AGENT_KIND).distinct())}
        self.hosts = {name: Host(self.view, self.config, self.book, self.logs, name) for name in sorted(self.view.streams())}

    def wanted(self) -> Iterator[tuple[str, int]]:
        """Every shard that the ledger calls for, in order of time, so that each day finds its past learnt."""
        found = [(day, f"host {name}") for name, host in self.hosts.items() for day in host.days()]
        found += [(day, f"service {name}") for name in self.view.service_days() for day in service_days(self.view, name)]
        return ((members, day) for day, members in sorted(found))

    def bring_up_to_date(self, members: str, day: int, *, again: bool) -> None:
        """Compute one shard, unless it stands as it should."""
        kind, _, name = members.partition(" ")
        print_ = (
            self.hosts[name].fingerprint(day) if kind == "host"
            else service_fingerprint(self.view, self.config, name, day)
        )  # fmt: skip
        if not print_:
            return
        provisional = self._is_live(kind, name, day) and self.now_us < (day + 1) * US_PER_DAY + CLOSED_AFTER_US
        self.done.provisional += provisional
        if not again and self.known.get((members, day)) == (print_, provisional):
            self.done.unchanged += 1
            return
        if self.progress is not None:
            self.progress(members, day)
        mark = Mark(members, day, print_, self.now_us, provisional)
        if kind == "host":
            host = self.hosts[name]
            result = host.compute(day)
            store_host_day(self.store, self.config, name, result, host.learnt(), mark)
        else:
            edges = day_edges(day, grain_us(self.config))
            counted = count_service_day(self.view, self.config, name, int(edges[0]), int(edges[-1]), edges)
            store_service_day(self.store, self.config, name, counted, mark)
        self.done.computed += 1

    def _is_live(self, kind: str, name: str, day: int) -> bool:
        """Whether more may still come by itself: an agent or a gateway shipped for that day; imports are closed at once."""
        return f"{kind} {name} {day}" in self.live

    def clear_away(self) -> None:
        """Remove shards of which the ledger, after a withdrawal, no longer says anything."""
        wanted = set(self.wanted())
        for members, day in sorted(self.known.keys() - wanted):
            remove(self.store, members, day)
            self.done.removed += 1
