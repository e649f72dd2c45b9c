"""Answers of the store that the cards of all pages share: each question is asked once until the figures change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from footprint.config import Config
from footprint.core.units import US_PER_HOUR
from footprint.editions.edition_data import IndicatorRow
from footprint.figures import Query, QueryResult, run_query
from footprint.figures.engine import budgeted_rows, open_result
from footprint.figures.query import COLUMNS
from footprint.storage.database import Store

CACHE_TTL_S = 60
VERSION_CHECK_S = 1
MAX_CACHED_ANSWERS = 256


@dataclass(frozen=True, slots=True)
class Question:
    """A function of store, configuration, arguments and the current instant [µs]; equal questions have equal answers."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def answer(self, store: Store, config: Config, now_us: int) -> Any:
        """Ask the store."""
        return self.function(store, config, *self.arguments, now_us)


@dataclass(frozen=True, slots=True)
class BudgetedTotal:
    """Answer to a query without groups and steps, and its row with the uncertainty budgets; None without data."""

    answer: QueryResult
    row: IndicatorRow | None


def budgeted_total(store: Store, config: Config, query: Query, now_us: int) -> BudgetedTotal:
    """Row of a query without groups and steps, and its budgets, of one reading of the store."""
    with open_result(store, config, query, now_us) as result:
        rows = budgeted_rows(result) if result is not None else []
    figures = [IndicatorRow(row.row, row.energy, row.grams, row.gap, row.known_us / US_PER_HOUR) for row in rows]
    return BudgetedTotal(QueryResult(list(COLUMNS), [row.row for row in rows]), next(iter(figures), None))


def query_answer(query: Query, answers: Callable[[Question], Any]) -> QueryResult:
    """Answer to a query; the answer to a total also serves those who ask for its budgets."""
    if query.group or query.every != "all":
        rows: QueryResult = answers(Question(run_query, (query,)))
        return rows
    total: BudgetedTotal = answers(Question(budgeted_total, (query,)))
    return total.answer


class DataVersion:
    """Version of the data, read at most once every `VERSION_CHECK_S`; caches that share it expire together."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = read
        self._latest: tuple[float, Any] = (-VERSION_CHECK_S, None)

    def __call__(self) -> Any:
        now = time.monotonic()
        if now - self._latest[0] > VERSION_CHECK_S:
            self._latest = now, self._read()
        return self._latest[1]


Key = TypeVar("Key")
Value = TypeVar("Value")


class TtlCache(Generic[Key, Value]):
    """Thread-safe cache whose entries expire when the version of the data changes, or after `CACHE_TTL_S`.

    Entries expire by time too, since the end of an open period moves with the clock. Values for which ``should_cache`` is
    false are computed again each time.
    """

    def __init__(
        self,
        compute: Callable[[Key], Value],
        read_version: Callable[[], Any],
        max_entries: int = MAX_CACHED_ANSWERS,
        should_cache: Callable[[Value], bool] = lambda value: True,
    ) -> None:
        self._compute, self._read_version = compute, read_version
        self._max_entries, self._should_cache = max_entries, should_cache
        self._entries: dict[Key, tuple[float, Any, Value]] = {}
        self._locks: dict[Key, threading.Lock] = {}

    def __call__(self, key: Key) -> Value:
        # Of concurrent callers with the same key, one computes the value and the others wait for it.
        with self._locks.setdefault(key, threading.Lock()):
            return self._get(key)

    def _get(self, key: Key) -> Value:
        now, version = time.monotonic(), self._read_version()
        entry = self._entries.get(key)
        if entry is not None and entry[1] == version and now - entry[0] <= CACHE_TTL_S:
            return entry[2]
        value = self._compute(key)
        if not self._should_cache(value):
            return value
        if len(self._entries) >= self._max_entries:
            self._entries.clear()
            self._locks.clear()
        self._entries[key] = now, version, value
        return value
