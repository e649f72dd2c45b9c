"""Queries whose results are authorized for the role of the current request: the only way from the store to a reader."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import func, select

from footprint.access.audit_log import describe_cells
from footprint.access.authorization import AccessRefused, CellPolicy, authorize_answer, is_below_service_level
from footprint.access.request_context import current_role, record_access
from footprint.calendar.periods import MONTHS_PER_PERIOD, parse_period, period_at
from footprint.config import Config
from footprint.editions.protected_cells import ProtectedCells, previously_published_cells, protect_period
from footprint.editions.release_context import Key
from footprint.editions.repository import published_editions, release_state
from footprint.figures.engine import QueryResult
from footprint.figures.query import Query
from footprint.storage import schema
from footprint.storage.database import Store, table

STORE_CHECK_INTERVAL_S = 1.0
MAX_DECISION_AGE_S = 600.0  # a quarter may end meanwhile


class AuthorizedQueries:
    """Queries whose results are authorized for the role of the current request."""

    def __init__(self, store: Store, config: Config, clock: Callable[[], int]) -> None:
        self._store, self._config, self._clock = store, config, clock
        self._version: tuple[float, Any] = (-STORE_CHECK_INTERVAL_S, None)
        self._decisions: dict[str, tuple[Any, float, ProtectedCells]] = {}
        self._published_cache: tuple[Any, tuple[Any, Any]] = (None, ((), ()))

    def run(self, query: Query, run_query: Callable[[Query], QueryResult]) -> QueryResult:
        """Result of a query, masked for the current role; unprotected cells below service level enter the audit log.

        Raises
        ------
        AccessRefused
            If the role may not run the query.
        """
        role, zone = current_role(), self._config.timezone
        result = authorize_answer(
            query, role, run_query, self._cell_policy(), zone, period_at(self._clock(), zone, 1).bounds_us(zone)[0]
        )
        if is_below_service_level(query):
            record_access(describe_cells(query, len(result.rows)))
        return result

    def check_table_query(self, query: Query) -> None:
        """Authorize a table that reads the store directly; rows below service level enter the audit log.

        Raises
        ------
        AccessRefused
            If the rows are below service level, and the role sees protected figures only.
        """
        if not is_below_service_level(query):
            return
        if not current_role().sees_uses:
            raise AccessRefused("this table covers services; figures of use cases are at /api/v1/footprint")
        record_access(describe_cells(query, 1))

    def _cell_policy(self) -> CellPolicy:
        """Policy by quarter (by year for a year); it is recomputed when results or user counts change."""
        zone = self._config.timezone

        def is_shown(period: str, service: str, use_case: str) -> bool:
            cell_period = parse_period(period)
            if cell_period.length != MONTHS_PER_PERIOD["year"]:
                cell_period = period_at(cell_period.bounds_us(zone)[0], zone, MONTHS_PER_PERIOD["quarter"])
            return self._protected_cells(str(cell_period)).is_public(period, service, use_case)

        return is_shown

    def _protected_cells(self, period: str) -> ProtectedCells:
        now = time.monotonic()
        if now - self._version[0] > STORE_CHECK_INTERVAL_S:
            self._version = now, _protection_version(self._store)
        version, decided_at, decision = self._decisions.get(period, (None, 0.0, None))
        if decision is None or version != self._version[1] or now - decided_at > MAX_DECISION_AGE_S:
            shown, hidden = self._published_keys()
            decision = protect_period(self._store, self._config, period, self._clock(), published=shown, suppressed=hidden)
            self._decisions[period] = self._version[1], now, decision
        return decision

    def _published_keys(self) -> tuple[Collection[Key], Collection[Key]]:
        """Cells that editions showed, and cells that they hid: pages must not reveal the hidden ones."""
        released = release_state(self._store)
        if released != self._published_cache[0]:
            self._published_cache = released, previously_published_cells(published_editions(self._store))
        return self._published_cache[1]


def _protection_version(store: Store) -> Any:
    """Value that changes whenever a day is recomputed, user counts change, or an edition is published."""
    shard, users = table(schema.Shard), table(schema.Users)
    with store.read() as connection:
        computed = tuple(connection.execute(select(func.max(shard.c.computed_us), func.count())).one())
        user_counts = frozenset(tuple(row) for row in connection.execute(select(users)))
    return computed, user_counts, release_state(store)
