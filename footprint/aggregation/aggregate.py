"""Aggregation run: selects outdated days, computes and stores them.

A day is outdated if it is missing, provisional, or computed from inputs that have changed since.

The selection comes from the store, never from memory: the scheduler and `footprint aggregate` call the same function.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from footprint.aggregation import METHOD_VERSION
from footprint.aggregation.executors import (
    ComputedDay,
    compute_host_days,
    compute_in_workers,
    compute_service_days,
    open_executor,
)
from footprint.aggregation.host_day import HostAggregator
from footprint.aggregation.request_logs import ServiceLogs
from footprint.aggregation.result_writer import ShardStamp, remove_shard, store_day
from footprint.aggregation.service_day import service_days, service_fingerprint
from footprint.aggregation.shard_key import ShardKey
from footprint.config import Config
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.impact.factor_book import FactorBook
from footprint.ledger.ingest import AGENT_KIND
from footprint.ledger.ledger_view import LedgerView, fingerprint
from footprint.storage import schema
from footprint.storage.database import Store, table
from footprint.storage.figure_writer import compact

# After midnight: agents send batches seconds after they read, so the last readings of a day are there within two minutes.
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
    force: bool = False,
    progress: Progress | None = None,
) -> AggregationSummary:
    """Compute every day that is missing or outdated; with ``force`` also the up-to-date days of [from, to).

    Raises
    ------
    ClosureError
        If rows do not sum to the readings; nothing of that day is stored.
    """
    summary = AggregationSummary()
    run = _AggregationRun(store, config, book, now_us, summary, progress)
    with store.read() as connection:
        run.read(connection)
        stamps = {}
        for key, day in run.shards_in_ledger():
            if day < run.erased_until:
                continue  # its inputs are erased: its figures stay
            in_range = (from_us is None or (day + 1) * US_PER_DAY > from_us) and (to_us is None or day * US_PER_DAY < to_us)
            stamp = run.stamp_if_stale(key, day, force=force) if in_range else None
            if stamp is not None:
                stamps[key, day] = stamp
        run.compute(stamps)
        if summary.kept_facts:
            summary.notes.append(
                f"{summary.kept_facts} sealed days of hosts and services keep the facts under which they were computed: "
                "an edit without a date changes no sealed day; give it its date (since = …) where it is to reach them"
            )
        if from_us is None and to_us is None:
            run.remove_withdrawn_shards()
    compact(store, config.timezone, now_us)
    return summary


class _AggregationRun:
    def __init__(
        self, store: Store, config: Config, book: FactorBook, now_us: int, summary: AggregationSummary, progress: Progress | None
    ) -> None:
        self.store, self.config, self.book, self.now_us = store, config, book, now_us
        self.summary, self.progress = summary, progress

    def read(self, connection: Connection) -> None:
        """Read the state of the ledger and of the stored shards."""
        self.view = LedgerView(self.store, connection)
        self.logs = ServiceLogs(self.view, self.config)
        shard, batch = table(schema.Shard), table(schema.Batch)
        self.known = {
            (ShardKey.parse(row.members), row.day): (row.fingerprint, bool(row.provisional), row.facts)
            for row in connection.execute(
                select(shard.c.members, shard.c.day, shard.c.fingerprint, shard.c.provisional, shard.c.facts)
            )
        }
        self.erased_until = int(self.store.meta(connection).get("erased_until", -(2**31)))
        sealed = table(schema.Sealed)
        self.sealed = {
            (ShardKey.parse(row.source), row.day) for row in connection.execute(select(sealed.c.source, sealed.c.day).distinct())
        }
        self.live_batch_names = {
            row.name for row in connection.execute(select(batch.c.name).where(batch.c.kind == AGENT_KIND).distinct())
        }
        self.hosts = {
            name: HostAggregator(self.view, self.config, self.book, self.logs, name) for name in sorted(self.view.streams())
        }

    def shards_in_ledger(self) -> Iterator[tuple[ShardKey, int]]:
        """Every shard that the ledger calls for, in order of time: a day may rest on statistics of the days before."""
        shards = [(day, ShardKey("host", name)) for name, host in self.hosts.items() for day in host.days()]
        shards += [(day, ShardKey("service", name)) for name in self.view.service_days() for day in service_days(self.view, name)]
        return ((key, day) for day, key in sorted(shards))

    def stamp_if_stale(self, key: ShardKey, day: int, *, force: bool) -> ShardStamp | None:
        """Stamp under which a shard is to be computed; None where it is up to date."""
        if key.kind == "host":
            current = self.hosts[key.name].fingerprint(day)
        else:
            current = service_fingerprint(self.view, self.config, key.name, day)
        if not current:
            return None
        provisional = self._is_live(key, day) and self.now_us < (day + 1) * US_PER_DAY + CLOSING_DELAY_US
        self.summary.provisional += provisional
        stored = self.known.get((key, day))
        if not force and stored is not None and stored[:2] == (current, provisional):
            self.summary.unchanged += 1
            return None
        edited = stored is not None and stored[0] != current and (key, day) in self.sealed
        if stored is not None and edited and stored[2] and self._keeps_facts(key, day, stored[2]):
            self.summary.kept_facts += 1
            self.summary.unchanged += 1
            return None
        return ShardStamp(key, day, current, self.now_us, provisional, self._facts_print(key, day))

    def _keeps_facts(self, key: ShardKey, day: int, stored_facts: str) -> bool:
        """Whether a sealed day still rests on the readings, requests, factors, method and dated facts that it was computed from.

        Any other difference is an edit without a date, which changes no sealed day.
        """
        services = json.loads(stored_facts)["services"]
        return self._facts_print(key, day, services) == stored_facts

    def _facts_print(self, key: ShardKey, day: int, services: list[str] | None = None) -> str:
        dated = self.config.dated_digest(day * US_PER_DAY, (day + 1) * US_PER_DAY)
        if key.kind == "host":
            host = self.hosts[key.name]
            service_names = host.services if services is None else services
            ledger_states = [host.data(near_day, tuple(service_names)) for near_day in (day - 1, day, day + 1)]
            state = fingerprint([METHOD_VERSION, self.book.digest(), dated, *ledger_states])
        else:
            service_names = []
            state = fingerprint([METHOD_VERSION, dated, self.view.service_days()[key.name][day]])
        return json.dumps({"services": service_names, "state": state}, sort_keys=True)

    def compute(self, stamps: dict[tuple[ShardKey, int], ShardStamp]) -> None:
        """Compute shards, here or in workers, and store each as it comes."""
        with open_executor(self.config) as workers:
            for computed in self._computed(stamps, workers):
                stamp = stamps[computed.key, computed.day]
                if self.progress is not None:
                    self.progress(computed.key.text, computed.day)
                store_day(self.store, self.config, computed, stamp)
                self.summary.computed += 1

    def _computed(
        self, stamps: dict[tuple[ShardKey, int], ShardStamp], workers: tuple[Executor, int] | None
    ) -> Iterator[ComputedDay]:
        if workers is None:
            for key, day in sorted(stamps, key=lambda shard: (shard[1], shard[0])):
                if key.kind == "host":
                    yield from compute_host_days(self.hosts[key.name], key, [day])
                else:
                    yield from compute_service_days(self.view, self.config, key, [day])
            return
        days_by_key: dict[ShardKey, list[int]] = {}
        for key, day in sorted(stamps):
            days_by_key.setdefault(key, []).append(day)
        yield from compute_in_workers(*workers, self.store, self.config, self.book, days_by_key)

    def _is_live(self, key: ShardKey, day: int) -> bool:
        """Whether more data may still arrive: an agent or a gateway shipped for that day; imports are closed at once."""
        return f"{key.text} {day}" in self.live_batch_names

    def remove_withdrawn_shards(self) -> None:
        """Remove shards that the ledger no longer calls for after a withdrawal."""
        for key, day in sorted(self.known.keys() - set(self.shards_in_ledger())):
            remove_shard(self.store, key, day)
            self.summary.removed += 1
