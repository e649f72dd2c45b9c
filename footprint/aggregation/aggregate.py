"""Aggregation run: selects outdated days, computes and stores them.

A day is outdated if it is missing, provisional, or computed from inputs that have changed since. A run looks at dirty days and at
those that rest on them. It looks at every day where the facts, the factors or the method changed since all were last compared.

The selection comes from the store, never from memory: the scheduler and `footprint aggregate` call the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from footprint.aggregation.dirty_days import (
    compared_basis,
    comparison_basis,
    finish,
    forget_comparison,
    read_dirty_days,
    select_all,
    shards_to_compare,
)
from footprint.aggregation.executors import (
    ComputedDay,
    Workers,
    compute_host_days,
    compute_in_workers,
    compute_service_days,
    open_executor,
)
from footprint.aggregation.open_day import OpenPart, changed_since_us
from footprint.aggregation.result_writer import ShardStamp, remove_shard, store_days
from footprint.aggregation.shard_comparison import ShardComparison, StoredShard
from footprint.calendar.slots import slot_length_us
from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.impact.factor_book import FactorBook
from footprint.ledger.certificates import certified_config
from footprint.ledger.ingest import AGENT_KIND
from footprint.ledger.retention import ERASED_UNTIL
from footprint.storage import schema
from footprint.storage.database import Store, table
from footprint.storage.figure_writer import compact
from footprint.storage.shard_key import ShardKey

# After midnight: agents send batches seconds after they read, so the last readings of a day are there within two minutes.
CLOSING_DELAY_US = 120 * US_PER_S

OPEN_DAYS_PER_COMMIT = 25
Progress = Callable[[str, int], None]


@dataclass(slots=True)
class AggregationSummary:
    """Result of a run: shards computed, unchanged and removed, and notes for the user."""

    computed: int = 0
    unchanged: int = 0
    removed: int = 0
    provisional: int = 0  # of all stored shards, after the run
    kept_facts: int = 0  # of those unchanged: sealed days that an edit without a date does not change
    unmarked: int = 0  # outdated although nothing marked them: a defect, or a store changed from outside
    worker_peak_bytes: int = 0  # memory of the largest worker process; 0 without one
    faults: list[str] = field(default_factory=list)  # figures that are lost: nothing can compute them
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
    verify: bool = False,
    progress: Progress | None = None,
) -> AggregationSummary:
    """Compute every day that is missing or outdated; with ``force`` also the up-to-date days of [from, to).

    Dirty days select what is compared. With ``force``, ``verify`` or a range, and where the basis of all days changed, every day
    is compared (every day of the range).

    Raises
    ------
    ClosureError
        If rows do not sum to the readings; nothing of that day is stored.
    """
    summary = AggregationSummary()
    with store.exclusive_lock("figures", wait=True):
        config = certified_config(store, config)
        run = _AggregationRun(store, config, book, now_us, summary, progress)
        with store.read() as connection:
            run.read(connection, everything=force or verify or from_us is not None or to_us is not None)
            run.compute(run.outdated_shards(from_us, to_us, force=force))
            if from_us is None and to_us is None:
                run.remove_withdrawn_shards()
                run.finish()
    if run.closed_days or run.compares_all:
        compact(store, config.timezone, now_us, None if run.compares_all else run.closed_days)
    if summary.kept_facts:
        summary.notes.append(
            f"{summary.kept_facts} sealed days of hosts and services keep the facts under which they were computed: "
            "an edit without a date changes no sealed day; give it its date (since = …) where it is to reach them"
        )
    if summary.unmarked:
        summary.notes.append(f"{summary.unmarked} days of hosts and services were outdated although nothing marked them as dirty")
    summary.notes += summary.faults
    return summary


class _AggregationRun:
    def __init__(
        self, store: Store, config: Config, book: FactorBook, now_us: int, summary: AggregationSummary, progress: Progress | None
    ) -> None:
        self.store, self.config, self.book, self.now_us = store, config, book, now_us
        self.summary, self.progress = summary, progress
        self.basis = comparison_basis(config, book)
        self.parts: dict[tuple[ShardKey, int], OpenPart] = {}  # of open days
        self.closed_days: set[int] = set()  # days whose figures changed for good
        self.marked: set[tuple[ShardKey, int]] | None = None  # of a run that compares all days under the basis of the last one

    def read(self, connection: Connection, *, everything: bool) -> None:
        """Read the dirty days and select what to compare: all days with ``everything`` or where the basis changed."""
        self.connection = connection
        self.erased_until = int(self.store.meta(connection).get(ERASED_UNTIL, -(2**31)))
        self.dirty = read_dirty_days(self.store, connection, (self.now_us - CLOSING_DELAY_US) // US_PER_DAY)
        self.comparison = ShardComparison(self.store, connection, self.config, self.book)
        compared = compared_basis(connection)
        marked = shards_to_compare(self.comparison, self.dirty) if compared == self.basis else None
        self.compares_all = everything or marked is None
        if marked is not None and not everything:
            self.selection = marked
            return
        if marked is None:
            forget_comparison(self.store)
        else:
            self.marked = marked.shards
            self.comparison = ShardComparison(self.store, connection, self.config, self.book)
        self.selection = select_all(self.comparison)

    def outdated_shards(self, from_us: int | None, to_us: int | None, *, force: bool) -> dict[tuple[ShardKey, int], ShardStamp]:
        """Stamps of the shards to be computed, in order of time: a day may rest on statistics of the days before."""
        stamps = {}
        for key, day in sorted(self.selection.shards, key=lambda shard: (shard[1], shard[0])):
            if (from_us is not None and (day + 1) * US_PER_DAY <= from_us) or (to_us is not None and day * US_PER_DAY >= to_us):
                continue
            if not self.comparison.is_called_for(key, day):
                continue
            if day < self.erased_until:  # its requests are erased: its figures stay
                if (key, day) not in self.selection.stored:
                    date = format_instant(day * US_PER_DAY)[:10]
                    self.summary.faults.append(
                        f"the figures of {key.text} of {date} are missing, and the requests that they rest on are erased: "
                        "restore them from a backup (footprint restore)"
                    )
                continue
            stamp = self._stamp_if_outdated(key, day, force=force)
            if stamp is not None:
                stamps[key, day] = stamp
        return stamps

    def _stamp_if_outdated(self, key: ShardKey, day: int, *, force: bool) -> ShardStamp | None:
        """Stamp under which a shard is to be computed; None where it is up to date."""
        current = self.comparison.fingerprint(key, day)
        if not current:
            return None
        provisional = self.now_us < (day + 1) * US_PER_DAY + CLOSING_DELAY_US and self._is_live(key, day)
        stored = self.selection.stored.get((key, day))
        verdict = self.comparison.verdict(key, day, current, stored)
        is_current = verdict == "current" and stored is not None and stored.provisional == provisional
        if verdict == "kept" or (is_current and not force):
            self.summary.kept_facts += verdict == "kept"
            self.summary.unchanged += 1
            return None
        if not is_current and self.compares_all and self.marked is not None and (key, day) not in self.marked:
            self.summary.unmarked += 1
        if provisional:
            self.parts[key, day] = self._open_part(key, day, stored)
        facts = "" if provisional else self.comparison.facts_print(key, day)  # an open day is not sealed
        return ShardStamp(key, day, current, self.now_us, provisional, facts)

    def _open_part(self, key: ShardKey, day: int, stored: StoredShard | None) -> OpenPart:
        """Part of an open day to compute: from what changed on, where the days before are as they were for the rest of it."""
        since_us, closed_day = day * US_PER_DAY, min(day, (self.now_us - CLOSING_DELAY_US) // US_PER_DAY) - 1
        services = self.comparison.host(key.name).services if key.kind == "host" else []
        near = {key, *(ShardKey("service", service) for service in services)}
        sharing = {ShardKey("host", name) for service in services for name in self.comparison.logs.fleet.members(service)}
        days_before = any(dirty_day < day for other in near | sharing for dirty_day in self.dirty.days.get(other, ()))
        if not self.compares_all and stored is not None and stored.provisional and not days_before:
            marks = [self.dirty.since_us[other, day] for other in near if (other, day) in self.dirty.since_us]
            changed_us = min(marks, default=(day + 1) * US_PER_DAY - 1)
            if key.kind == "host" and (key, day) in self.dirty.since_us:
                read_us = changed_since_us(self.connection, key.name, self.dirty.since_us[key, day])
                changed_us = changed_us if read_us is None else min(changed_us, read_us)
            since_us = max(since_us, changed_us - changed_us % slot_length_us(self.config.timezone))
        if key.kind == "host":
            closed_day = max((read for read in self.comparison.host_days(key.name) if read <= closed_day), default=closed_day)
        return OpenPart(since_us, closed_day)

    def compute(self, stamps: dict[tuple[ShardKey, int], ShardStamp]) -> None:
        """Compute shards, here or in workers, and store each as it comes; small parts of open days together."""
        waiting: list[tuple[ComputedDay, ShardStamp]] = []
        with open_executor(self.config) as workers:
            for computed in self._computed(stamps, workers):
                stamp = stamps[computed.key, computed.day]
                if self.progress is not None:
                    self.progress(computed.key.text, computed.day)
                waiting.append((computed, stamp))
                if not stamp.provisional or len(waiting) == OPEN_DAYS_PER_COMMIT:
                    store_days(self.store, self.config, waiting)
                    waiting = []
                if not stamp.provisional:
                    self.closed_days.add(computed.day)
                self.summary.computed += 1
            if waiting:
                store_days(self.store, self.config, waiting)
        self.summary.worker_peak_bytes = workers.peak_bytes if workers is not None else 0

    def _computed(self, stamps: dict[tuple[ShardKey, int], ShardStamp], workers: Workers | None) -> Iterator[ComputedDay]:
        if workers is None:
            for key, day in sorted(stamps, key=lambda shard: (shard[1], shard[0])):
                yield from self._compute_here(key, day)
            return
        days_by_key: dict[ShardKey, list[int]] = {}
        for key, day in sorted(stamps):
            if (key, day) in self.parts:  # it takes less time than a worker needs to begin
                yield from self._compute_here(key, day)
            else:
                days_by_key.setdefault(key, []).append(day)
        yield from compute_in_workers(workers, self.store, self.config, self.book, days_by_key)

    def _compute_here(self, key: ShardKey, day: int) -> Iterator[ComputedDay]:
        part = self.parts.get((key, day))
        if key.kind == "host":
            return compute_host_days(self.comparison.host(key.name), key, [day], part)
        return compute_service_days(self.comparison.view, self.config, key, [day], part)

    def _is_live(self, key: ShardKey, day: int) -> bool:
        """Whether more data may still arrive: an agent or a gateway shipped for that day; imports are closed at once."""
        batch = table(schema.Batch)
        of_day = (batch.c.kind == AGENT_KIND) & (batch.c.name == f"{key.text} {day}")
        return self.connection.execute(select(batch.c.id).where(of_day).limit(1)).first() is not None

    def remove_withdrawn_shards(self) -> None:
        """Remove shards that the ledger no longer calls for after a withdrawal."""
        for key, day in sorted(self.selection.shards & self.selection.stored.keys()):
            if not self.comparison.is_called_for(key, day):
                remove_shard(self.store, key, day)
                self.summary.removed += 1
                self.closed_days.add(day)

    def finish(self) -> None:
        """Clear the marks that the run saw, and record that all days were compared."""
        finish(self.store, self.dirty, self.selection.states, self.basis if self.compares_all else "")
        shard = table(schema.Shard)
        with self.store.read() as connection:
            provisional = select(func.count()).select_from(shard).where(shard.c.provisional.is_(True))
            self.summary.provisional = int(connection.execute(provisional).scalar_one())
