"""Comparison of stored shards with the ledger, the facts, the factors and the method as they are now."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from footprint.aggregation import METHOD_REVISION, METHOD_VERSION
from footprint.aggregation.host_day import HostAggregator
from footprint.aggregation.request_logs import ServiceLogs
from footprint.aggregation.service_day import service_fingerprint
from footprint.attribution.idle import LEARNING_DAYS
from footprint.config import Config
from footprint.core.units import US_PER_DAY
from footprint.impact.factor_book import FactorBook
from footprint.ledger.certificates import with_certificates
from footprint.ledger.ledger_view import LedgerView, fingerprint
from footprint.storage import schema
from footprint.storage.database import Store, table
from footprint.storage.shard_key import ShardKey

Verdict = Literal["current", "kept", "outdated"]


@dataclass(frozen=True, slots=True)
class StoredShard:
    """What a stored shard was computed from: fingerprint of all inputs; ledger and dated facts alone; whether more may arrive."""

    fingerprint: str
    provisional: bool
    facts: str


class ShardComparison:
    """Current fingerprints of shards in one snapshot of the store, and verdicts on the stored ones."""

    def __init__(self, store: Store, connection: Connection, config: Config, book: FactorBook) -> None:
        config = with_certificates(config, connection)
        self.store, self.config, self.book = store, config, book
        self.view = LedgerView(store, connection)
        self.logs = ServiceLogs(self.view, config)
        self._facts = config.facts_digest()
        self._hosts: dict[str, HostAggregator] = {}
        self._host_days: dict[str, set[int]] = {}
        self._sealed: dict[ShardKey, set[int]] = {}

    def host(self, name: str) -> HostAggregator:
        """Aggregator of a host, created on first use."""
        if name not in self._hosts:
            self._hosts[name] = HostAggregator(self.view, self.config, self.book, self.logs, name)
        return self._hosts[name]

    def host_days(self, name: str) -> set[int]:
        """UTC days of a host with readings, or bridged by a counter."""
        if name not in self._host_days:
            self._host_days[name] = set(self.host(name).days())
        return self._host_days[name]

    def all_shards(self) -> set[tuple[ShardKey, int]]:
        """Every shard that the ledger calls for."""
        shards = {(ShardKey("host", name), day) for name in self.view.streams() for day in self.host_days(name)}
        return shards | {(ShardKey("service", name), day) for name, days in self.view.service_days().items() for day in days}

    def is_called_for(self, key: ShardKey, day: int) -> bool:
        """Whether the ledger has readings of the host on a day, or requests of the service."""
        if key.kind == "host":
            return day in self.host_days(key.name)
        return bool(self.view.service_versions(key.name, day, day))

    def stored_shards(self, first: int | None = None, last: int | None = None) -> dict[tuple[ShardKey, int], StoredShard]:
        """Stored shards of the UTC days ``first`` to ``last``, or all."""
        shard = table(schema.Shard)
        statement = select(shard.c.members, shard.c.day, shard.c.fingerprint, shard.c.provisional, shard.c.facts)
        if first is not None and last is not None:
            statement = statement.where(shard.c.day.between(first, last))
        return {
            (ShardKey.parse(row.members), row.day): StoredShard(row.fingerprint, bool(row.provisional), row.facts)
            for row in self.view.connection.execute(statement)
        }

    def fingerprint(self, key: ShardKey, day: int) -> str:
        """Fingerprint of everything that a shard is computed from; empty where the ledger has nothing of it."""
        if key.kind == "host":
            return self.host(key.name).fingerprint(day)
        return service_fingerprint(self.view, self._facts, key.name, day)

    def verdict(self, key: ShardKey, day: int, current: str, stored: StoredShard | None) -> Verdict:
        """``current``: computed from what there is now. ``kept``: sealed, and only an edit without a date would change it."""
        if stored is not None and stored.fingerprint == current:
            return "current"
        if stored is not None and stored.facts and day in self._sealed_days(key) and self._keeps_facts(key, day, stored.facts):
            return "kept"
        return "outdated"

    def outdated_days(self, hosts: Iterable[str], first: int, last: int) -> dict[str, list[int]]:
        """UTC days from ``first`` to ``last`` of each host whose figures are missing or rest on other inputs than those of now.

        Sealed days that keep their facts are not among them. The view is limited to what these days need.
        """
        self.view.limit_days(first - LEARNING_DAYS, last)
        stored = self.stored_shards(first, last)
        outdated = {}
        for name in hosts:
            key = ShardKey("host", name)
            outdated[name] = [
                day
                for day in sorted(self.host_days(name))
                if first <= day <= last
                and self.verdict(key, day, self.fingerprint(key, day), stored.get((key, day))) == "outdated"
            ]
        return {name: days for name, days in outdated.items() if days}

    def _sealed_days(self, key: ShardKey) -> set[int]:
        if key not in self._sealed:
            sealed = table(schema.Sealed)
            statement = select(sealed.c.day).where(sealed.c.source == key.text).distinct()
            if self.view.limits is not None:
                statement = statement.where(sealed.c.day.between(*self.view.limits))
            self._sealed[key] = set(self.view.connection.execute(statement).scalars())
        return self._sealed[key]

    def _keeps_facts(self, key: ShardKey, day: int, stored_facts: str) -> bool:
        """Whether a sealed day still rests on the readings, requests, factors, method and dated facts that it was computed from.

        Any other difference is an edit without a date, which changes no sealed day.
        """
        stored = json.loads(stored_facts)
        return self.facts_print(key, day, stored["services"], learns=stored.get("learns", False)) == stored_facts

    def facts_print(self, key: ShardKey, day: int, services: list[str] | None = None, *, learns: bool | None = None) -> str:
        """Ledger, factors, method and dated facts of a shard; default services and learning: those of now."""
        dated = self.config.dated_digest(day * US_PER_DAY, (day + 1) * US_PER_DAY)
        if key.kind == "host":
            host = self.host(key.name)
            services = host.services if services is None else services
            learns = bool(host.tenures) if learns is None else learns
            ledger = host.ledger(day, tuple(services), learns=learns)
            certificates = host.certificates_text(day)
            state = fingerprint([METHOD_VERSION, METHOD_REVISION, self.book.digest(), dated, ledger, *certificates])
        else:
            services, learns = [], False
            state = fingerprint([METHOD_VERSION, METHOD_REVISION, dated, *self.view.service_versions(key.name, day, day)])
        return json.dumps({"services": services, "learns": learns, "state": state}, sort_keys=True)
