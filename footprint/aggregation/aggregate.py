"""Selection of the days to compute: missing, provisional, or computed from inputs that have changed since.

The selection comes from the store, never from memory: the scheduler and `footprint aggregate` call the same function.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field

from sqlalchemy import select

from footprint.aggregation import METHOD_VERSION
from footprint.aggregation.executors import ComputedDay, compute_days, compute_in_workers, open_executor
from footprint.aggregation.host_day import HostAggregator
from footprint.aggregation.request_logs import ServiceLogs
from footprint.aggregation.result_writer import ShardStamp, remove_shard, store_host_day, store_service_day
from footprint.aggregation.rollups import rebuild
from footprint.aggregation.service_day import ServiceDay, service_days, service_fingerprint
from footprint.config import Config
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.impact.factor_book import FactorBook
from footprint.ledger.ingest import AGENT_KIND
from footprint.ledger.ledger_view import LedgerView, fingerprint
from footprint.storage import schema
from footprint.storage.database import Store, table

CLOSING_DELAY_US = 120 * US_PER_S

Progress = Callable[[str, int], None]


@dataclass(slots=True)
class AggregationSummary:
    """Result of a run: shards computed, unchanged and removed, and notes for the user."""

    computed: int = 0
    unchanged: int = 0
    removed: int = 0
    provisional: int = 0
    kept_facts: int = 0  # of those unchanged: sealed days that an edit without a date does not change
    notes: list[str] = field(default_factory=list)


def aggregate(
    store: Store,
    config: Config,
    book: FactorBook,
    now_us: int,
    from_us: int | None = None,
    to_us: int | None = None,
    *,
    again: bool = False,
    progress: Progress | None = None,
) -> AggregationSummary:
    """Compute every day that is missing or outdated; with ``again`` also the up-to-date days of [from, to).

    Raises
    ------
    ClosureError
        If rows do not sum to the readings; nothing of that day is stored.
    """
    summary = AggregationSummary()
    rebuild(store, config.timezone)
    run = _AggregationRun(store, config, book, now_us, summary, progress)
    with store.read() as connection:
        run.read(connection)
        stamps = {}
        for members, day in run.wanted():
            if day < run.erased_until:
                continue  # its inputs are erased: its figures stay
            in_range = (from_us is None or (day + 1) * US_PER_DAY > from_us) and (to_us is None or day * US_PER_DAY < to_us)
            stamp = run.stale(members, day, again=again) if in_range else None
            if stamp is not None:
                stamps[members, day] = stamp
        run.compute(stamps)
        if summary.kept_facts:
            summary.notes.append(
                f"{summary.kept_facts} sealed days of hosts and services keep the facts under which they were computed: "
                "an edit without a date changes no sealed day; give it its date (since = …) where it is to reach them"
            )
        if from_us is None and to_us is None:
            run.clear_away()
    return summary


class _AggregationRun:
    def __init__(
        self, store: Store, config: Config, book: FactorBook, now_us: int, summary: AggregationSummary, progress: Progress | None
    ) -> None:
        self.store, self.config, self.book, self.now_us = store, config, book, now_us
        self.summary, self.progress = summary, progress

    def read(self, connection) -> None:  # type: ignore[no-untyped-def]
        self.view = LedgerView(self.store, connection)
        self.logs = ServiceLogs(self.view, self.config)
        shard, batch = table(schema.Shard), table(schema.Batch)
        self.known = {
            (row.members, row.day): (row.fingerprint, bool(row.provisional), row.facts)
            for row in connection.execute(
                select(shard.c.members, shard.c.day, shard.c.fingerprint, shard.c.provisional, shard.c.facts)
            )
        }
        self.erased_until = int(self.store.meta(connection).get("erased_until", -(2**31)))
        sealed = table(schema.Sealed)
        self.sealed = {(row.source, row.day) for row in connection.execute(select(sealed.c.source, sealed.c.day).distinct())}
        self.live = {row.name for row in connection.execute(select(batch.c.name).where(batch.c.kind == AGENT_KIND).distinct())}
        self.hosts = {
            name: HostAggregator(self.view, self.config, self.book, self.logs, name) for name in sorted(self.view.streams())
        }

    def wanted(self) -> Iterator[tuple[str, int]]:
        """Every shard that the ledger calls for, in order of time, so that each day finds its past learnt."""
        shards = [(day, f"host {name}") for name, host in self.hosts.items() for day in host.days()]
        shards += [(day, f"service {name}") for name in self.view.service_days() for day in service_days(self.view, name)]
        return ((members, day) for day, members in sorted(shards))

    def stale(self, members: str, day: int, *, again: bool) -> ShardStamp | None:
        """Stamp under which a shard is to be computed; None where it is up to date."""
        kind, _, name = members.partition(" ")
        current = self.hosts[name].fingerprint(day) if kind == "host" else service_fingerprint(self.view, self.config, name, day)
        if not current:
            return None
        provisional = self._is_live(kind, name, day) and self.now_us < (day + 1) * US_PER_DAY + CLOSING_DELAY_US
        self.summary.provisional += provisional
        stored = self.known.get((members, day))
        if not again and stored is not None and stored[:2] == (current, provisional):
            self.summary.unchanged += 1
            return None
        edited = stored is not None and stored[0] != current and (members, day) in self.sealed
        if stored is not None and edited and stored[2] and self._keeps_facts(members, day, stored[2]):
            self.summary.kept_facts += 1
            self.summary.unchanged += 1
            return None
        return ShardStamp(members, day, current, self.now_us, provisional, self._facts_print(members, day))

    def _keeps_facts(self, members: str, day: int, stored_facts: str) -> bool:
        """Whether a sealed day still rests on the readings, requests, factors, method and dated facts that it was computed from.

        Any other difference is an edit without a date, which changes no sealed day.
        """
        services = json.loads(stored_facts)["services"]
        return self._facts_print(members, day, services) == stored_facts

    def _facts_print(self, members: str, day: int, services: list[str] | None = None) -> str:
        kind, _, name = members.partition(" ")
        dated = self.config.dated_digest(day * US_PER_DAY, (day + 1) * US_PER_DAY)
        if kind == "host":
            host = self.hosts[name]
            service_names = host.services if services is None else services
            ledger_states = [host.data(near_day, tuple(service_names)) for near_day in (day - 1, day, day + 1)]
            state = fingerprint([METHOD_VERSION, self.book.digest(), dated, *ledger_states])
        else:
            service_names = []
            state = fingerprint([METHOD_VERSION, dated, self.view.service_days()[name][day]])
        return json.dumps({"services": service_names, "state": state}, sort_keys=True)

    def compute(self, stamps: dict[tuple[str, int], ShardStamp]) -> None:
        """Compute shards, here or in workers, and store each as it comes."""
        with open_executor(self.config) as workers:
            for computed in self._computed(stamps, workers):
                stamp = stamps[computed.members, computed.day]
                if self.progress is not None:
                    self.progress(computed.members, computed.day)
                name = computed.members.partition(" ")[2]
                if isinstance(computed.result, ServiceDay):
                    store_service_day(self.store, self.config, name, computed.result, stamp)
                else:
                    store_host_day(self.store, self.config, name, computed.result, computed.statistics, stamp)
                self.summary.computed += 1

    def _computed(self, stamps: dict[tuple[str, int], ShardStamp], workers: tuple[Executor, int] | None) -> Iterator[ComputedDay]:
        if workers is None:
            for members, day in sorted(stamps, key=lambda shard: (shard[1], shard[0])):
                yield from compute_days(self.view, self.config, self.hosts.get(_host_of(members)), members, [day])
            return
        days_by_member: dict[str, list[int]] = {}
        for members, day in sorted(stamps):
            days_by_member.setdefault(members, []).append(day)
        yield from compute_in_workers(*workers, self.store, self.config, self.book, days_by_member)

    def _is_live(self, kind: str, name: str, day: int) -> bool:
        """Whether more data may still arrive: an agent or a gateway shipped for that day; imports are closed at once."""
        return f"{kind} {name} {day}" in self.live

    def clear_away(self) -> None:
        """Remove shards that the ledger no longer calls for after a withdrawal."""
        wanted = set(self.wanted())
        for members, day in sorted(self.known.keys() - wanted):
            remove_shard(self.store, self.config, members, day)
            self.summary.removed += 1


def _host_of(members: str) -> str:
    kind, _, name = members.partition(" ")
    return name if kind == "host" else ""
