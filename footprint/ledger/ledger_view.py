"""Read view of the ledger: samples by stream, requests by service, and versions by day, from SQL and the archive.

Samples come with two neighbours on either side of the period, so that an interval across midnight is the same interval, with
the same energy, for both days.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, func, select, text

from footprint.attribution.array_types import Ints
from footprint.attribution.energy_intervals import Samples, gap_limit_us
from footprint.core.limits import LAST_INSTANT_US, MAX_AHEAD_US, MAX_WINDOW_US
from footprint.core.request_checks import (
    QUARANTINED,
    TOO_FAST,
    TOO_LONG,
    UNLIKE_SERVICE,
    RequestNumbers,
    credible_end_us,
    examine,
)
from footprint.core.stored_forms import stored_as
from footprint.core.units import US_PER_DAY
from footprint.ledger.archive_reader import ArchiveReader
from footprint.ledger.attempts import superseded_keys
from footprint.storage import schema
from footprint.storage.database import Store, table

NEIGHBOURS = 2
# Which group uses a device: queried over all time and only one sample an hour, so it stays in SQL on retired days.
HOLDING_PREFIX = "holding/"
MAX_CACHED_SPACINGS = 100_000
_MAX_SERVICES = 400  # in one statement
_FAR = 10**9  # days
_STREAM_DAY = "d.stream_id, d.day, d.first_us, d.second_us, d.last_us, d.version, d.head"
_ALL_STREAM_DAYS = f"SELECT {_STREAM_DAY} FROM streamday d WHERE d.day <= {{last_day}} ORDER BY d.stream_id, d.day"
_NEIGHBOUR = (
    "SELECT {edge}(day) FROM (SELECT x.day FROM streamday x WHERE x.stream_id = s.id AND x.day {beyond} "
    f"AND x.day <= {{last_day}} AND x.last_us >= x.first_us ORDER BY x.day {{order}} LIMIT {NEIGHBOURS}) AS near"
)
_STREAM_DAYS_OF_HOST = (
    f"SELECT {_STREAM_DAY} FROM (SELECT s.id, "
    f"COALESCE(({_NEIGHBOUR.format(edge='MIN', beyond='< {first}', order='DESC', last_day='{last_day}')}), {{first}}) AS low, "
    f"COALESCE(({_NEIGHBOUR.format(edge='MAX', beyond='> {last}', order='ASC', last_day='{last_day}')}), {{last}}) AS high "
    "FROM stream s WHERE s.host_id = (SELECT host_id FROM stream WHERE id = {stream})) AS e "
    "JOIN streamday d ON d.stream_id = e.id AND d.day BETWEEN e.low AND e.high ORDER BY d.stream_id, d.day"
)
_SpacingKey = tuple[str, int, int, int, int]  # store, stream, UTC day, version of the day, first instant of the next one
_spacing_cache: OrderedDict[_SpacingKey, int] = OrderedDict()


def _cache_spacing(key: _SpacingKey, limit_us: int) -> None:
    _spacing_cache[key] = limit_us
    while len(_spacing_cache) > MAX_CACHED_SPACINGS:
        _spacing_cache.popitem(last=False)


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """Id and description of a stream."""

    id: int
    host: str
    device: str
    component: str
    quantity: str
    grade: str
    model: str
    source: str = ""


@stored_as("Alias", "place device since_us")
@dataclass(frozen=True, slots=True)
class Alias:
    """From ``since_us`` [µs] on, ``name`` (``gpu:0``) of a host refers to this device identity."""

    name: str
    device: str
    since_us: int


@dataclass(frozen=True, slots=True)
class StreamDays:
    """Days of one stream with readings, in order; shape (n,).

    Day number; first, second (the end of the day if there is none) and last instant [µs]; version; version of the first two.
    """

    day: Ints
    first_us: Ints
    second_us: Ints
    last_us: Ints
    version: Ints
    head: Ints


@dataclass(frozen=True, slots=True)
class RequestColumns:
    """Requests of one service as columns of shape (n,), -1 if unknown; names as ids of the store."""

    start_us: Ints
    end_us: Ints
    first_token_us: Ints
    use_case: Ints
    model: Ints
    requests: Ints
    input_tokens: Ints
    cached_input_tokens: Ints
    output_tokens: Ints
    status: Ints
    replica: Ints
    doubt: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # 0, or the place of a reason in ``DOUBTS``, from 1
    superseded: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # 1 for attempts that another one answered

    def __len__(self) -> int:
        return len(self.start_us)

    def __getitem__(self, chosen: NDArray[np.bool_]) -> RequestColumns:
        return RequestColumns(*(getattr(self, name)[chosen] for name in self.__slots__))

    def numbers(self) -> RequestNumbers:
        """The instants and counts, as the checks take them."""
        return RequestNumbers(
            self.start_us,
            self.end_us,
            self.first_token_us,
            self.requests,
            self.input_tokens,
            self.cached_input_tokens,
            self.output_tokens,
        )


@dataclass(frozen=True, slots=True)
class _ServiceRange:
    """Days of a service between two UTC days, in order, and the state of each: earliest start [µs], version, that of the head."""

    first: int
    last: int
    states: dict[int, tuple[int, int, int]]
    days: list[int]


_SAMPLE = "SELECT time_us, value, covered_us, epoch_id FROM reading WHERE stream_id = {stream:d} AND "
_SAMPLES = (
    f"SELECT * FROM ({_SAMPLE}time_us < {{start:d}} ORDER BY time_us DESC LIMIT {NEIGHBOURS}) AS earlier "
    f"UNION ALL {_SAMPLE}time_us >= {{start:d}} AND time_us < {{end:d}} "
    f"UNION ALL SELECT * FROM ({_SAMPLE}time_us >= {{end:d}} AND time_us <= {{until:d}} "
    f"ORDER BY time_us LIMIT {NEIGHBOURS}) AS later"
)
_REQUEST_COLUMNS = (
    "start_us",
    "end_us",
    "first_token_us",
    "use_case_id",
    "model_id",
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "status_id",
    "replica_id",
)
DOUBTS = (TOO_LONG, TOO_FAST, UNLIKE_SERVICE)  # why a request is in quarantine
_EMPTY = np.zeros(0, dtype=np.int64)
_NO_DAYS = StreamDays(*[_EMPTY] * 6)


class LedgerView:
    """The ledger in the view of one connection; streams, aliases and days are cached.

    Versions of days are read at once for all time, or after ``limit_days`` host by host for some days only.
    """

    def __init__(self, store: Store, connection: Connection) -> None:
        self.store = store
        self.connection = connection
        self._streams: dict[str, list[StreamInfo]] | None = None
        self._aliases: dict[str, list[Alias]] | None = None
        self._days: dict[int, StreamDays] | None = None
        self._limits: tuple[int, int] | None = None
        self._days_by_host: dict[str, dict[int, StreamDays]] = {}
        self._service_days: dict[str, dict[int, tuple[int, int, int]]] | None = None
        self._service_ranges: dict[str, _ServiceRange] = {}
        self._service_ids: dict[str, int] = {}
        self._by_id: dict[int, StreamInfo] | None = None
        self.archive = ArchiveReader(store, connection)
        self.until_us = last_possible_us(connection)

    @property
    def last_day(self) -> int:
        """Last UTC day that this view shows."""
        return self.until_us // US_PER_DAY

    def streams(self) -> dict[str, list[StreamInfo]]:
        """Streams by host."""
        if self._streams is None:
            rows = self.connection.execute(select(table(schema.Stream)).order_by("id")).all()
            names = self.store.texts(self.connection, {name_id for row in rows for name_id in (row.host_id, row.device_id)})
            self._streams = {}
            for row in rows:
                info = StreamInfo(
                    row.id,
                    names[row.host_id],
                    names[row.device_id],
                    row.component,
                    row.quantity,
                    row.grade,
                    row.model,
                    row.source,
                )
                self._streams.setdefault(info.host, []).append(info)
        return self._streams

    def aliases(self, host: str) -> list[Alias]:
        """Aliases of a host's devices, in order of time."""
        if self._aliases is None:
            rows = self.connection.execute(select(table(schema.AliasRow)).order_by("since_us")).all()
            name_ids = {name_id for row in rows for name_id in (row.host_id, row.place_id, row.device_id)}
            names = self.store.texts(self.connection, name_ids)
            self._aliases = {}
            for row in rows:
                alias = Alias(names[row.place_id], names[row.device_id], row.since_us)
                self._aliases.setdefault(names[row.host_id], []).append(alias)
        return self._aliases.get(host, [])

    def limit_days(self, first: int, last: int) -> None:
        """Answer for the UTC days ``first`` to ``last`` only, from what they need, so that the cost does not grow with history.

        Each stream keeps two days with readings on either side. A stream with readings on one side only has no days.
        """
        self._limits = first, last
        self._days_by_host.clear()

    @property
    def limits(self) -> tuple[int, int] | None:
        """First and last UTC day that this view answers for; None for all."""
        return self._limits

    def stream_days(self, stream: int) -> StreamDays:
        """Days of a stream with readings, and emptied ones (``last_us`` before ``first_us``)."""
        if self._limits is None:
            if self._days is None:
                self._days = self._read_stream_days(_ALL_STREAM_DAYS.format(last_day=self.last_day))
            return self._days.get(stream, _NO_DAYS)
        info = self._stream_info(stream)
        if info is None:
            return _NO_DAYS
        if info.host not in self._days_by_host:
            first, last = self._limits
            host_days = self._read_stream_days(
                _STREAM_DAYS_OF_HOST.format(stream=stream, first=first, last=last, last_day=self.last_day)
            )
            self._days_by_host[info.host] = {
                number: days for number, days in host_days.items() if days.day[-1] >= first and days.day[0] <= last
            }
        return self._days_by_host[info.host].get(stream, _NO_DAYS)

    def _read_stream_days(self, statement: str) -> dict[int, StreamDays]:
        rows = self.connection.exec_driver_sql(statement).all()
        columns = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 7)
        starts = np.flatnonzero(np.diff(columns[:, 0], prepend=-1))
        return {
            int(part[0, 0]): StreamDays(*(part[:, column] for column in range(1, 7)))
            for part in np.split(columns, starts[1:])
            if len(part)
        }

    def service_days(self) -> dict[str, dict[int, tuple[int, int, int]]]:
        """Service -> day -> (earliest start of a request in flight on it [µs], version, version of its head)."""
        if self._service_days is None:
            target = table(schema.ServiceDayRow)
            rows = self.connection.execute(select(target).where(target.c.day <= self.last_day)).all()
            names = self.store.texts(self.connection, {row.service_id for row in rows})
            self._service_days = {}
            for row in rows:
                days = self._service_days.setdefault(names[row.service_id], {})
                days[row.day] = (row.first_us, row.version, row.head)
        return self._service_days

    def service_versions(self, service: str, first: int, last: int) -> list[tuple[int, int]]:
        """(Day, version) of the days of a service with requests in flight, from ``first`` to ``last``, in order."""
        known = self._service_range(service, first, last)
        low, high = bisect_left(known.days, first), bisect_right(known.days, last)
        return [(day, known.states[day][1]) for day in known.days[low:high]]

    def service_head(self, service: str, day: int) -> int:
        """Version of the requests of a service that start before the third hour of a day; 0 without any."""
        state = self._service_range(service, day, day).states.get(day)
        return 0 if state is None else state[2]

    def _service_range(self, service: str, first: int, last: int) -> _ServiceRange:
        """States of at least the days ``first`` to ``last`` of a service."""
        known = self._service_ranges.get(service)
        if known is None or first < known.first or last > known.last:
            if self._limits is None:
                states = self.service_days().get(service, {})
                known = _ServiceRange(-_FAR, _FAR, states, sorted(states))
            else:
                first, last = min(first, self._limits[0]), max(last, self._limits[1])
                if known is not None:
                    first, last = min(first, known.first), max(last, known.last)
                target = table(schema.ServiceDayRow)
                of_days = (target.c.service_id == self._service_id(service)) & target.c.day.between(first, last)
                rows = self.connection.execute(
                    select(target.c.day, target.c.first_us, target.c.version, target.c.head).where(of_days)
                )
                states = {row.day: (row.first_us, row.version, row.head) for row in rows}
                known = _ServiceRange(first, last, states, sorted(states))
            self._service_ranges[service] = known
        return known

    def _service_id(self, service: str) -> int:
        """Number of a service's name; -1 if the store has none."""
        if service not in self._service_ids:
            name = table(schema.Name)
            number = self.connection.execute(select(name.c.id).where(name.c.text == service)).scalar()
            self._service_ids[service] = -1 if number is None else int(number)
        return self._service_ids[service]

    def samples(self, stream: int, start_us: int, end_us: int) -> Samples:
        """Samples of a stream in [start, end), with ``NEIGHBOURS`` samples on either side."""
        info = self._stream_info(stream)
        days = self.archive.days(f"host {info.host}") if info is not None else frozenset()
        if info is not None and days and not info.quantity.startswith(HOLDING_PREFIX):
            return self._samples_of_days(info, days, start_us, end_us)
        rows = self.connection.exec_driver_sql(
            _SAMPLES.format(stream=stream, start=start_us, end=end_us, until=self.until_us)
        ).all()
        columns = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 4)
        columns = columns[np.argsort(columns[:, 0], kind="stable")]
        return Samples(*(np.ascontiguousarray(columns[:, index]) for index in range(4)))

    def _stream_info(self, stream: int) -> StreamInfo | None:
        if self._by_id is None:
            self._by_id = {info.id: info for infos in self.streams().values() for info in infos}
        return self._by_id.get(stream)

    def _samples_of_days(self, info: StreamInfo, retired: frozenset[int], start_us: int, end_us: int) -> Samples:
        """Samples that may be in sealed files: whole days, with enough days on either side for the neighbours."""
        stream_days = self.stream_days(info.id)
        days = stream_days.day[stream_days.last_us >= stream_days.first_us].tolist()
        inside = [day for day in days if start_us // US_PER_DAY <= day <= (end_us - 1) // US_PER_DAY]
        parts = [self._day_samples(info, day, day in retired) for day in inside]
        for earlier in (True, False):
            outside = [day for day in days if (day < start_us // US_PER_DAY if earlier else day > (end_us - 1) // US_PER_DAY)]
            needed = NEIGHBOURS - sum(
                int(((part[:, 0] < start_us) if earlier else (part[:, 0] >= end_us)).sum()) for part in parts
            )
            for day in reversed(outside) if earlier else outside:
                if needed <= 0:
                    break
                part = self._day_samples(info, day, day in retired)
                parts = [part, *parts] if earlier else [*parts, part]
                needed -= len(part)
        rows = np.concatenate(parts) if parts else np.zeros((0, 4), dtype=np.int64)
        low, high = np.searchsorted(rows[:, 0], [start_us, end_us]).tolist()
        rows = rows[max(low - NEIGHBOURS, 0) : high + NEIGHBOURS]
        return Samples(*(np.ascontiguousarray(rows[:, column]) for column in range(4)))

    def _day_samples(self, info: StreamInfo, day: int, retired: bool) -> Ints:
        """(time, value, covered, epoch) of a stream on a day, from SQL and, for a retired day, from files; shape (n, 4)."""
        target = table(schema.Reading)
        query = (
            select(target.c.time_us, target.c.value, target.c.covered_us, target.c.epoch_id)
            .where(target.c.stream_id == info.id, target.c.time_us >= day * US_PER_DAY, target.c.time_us < (day + 1) * US_PER_DAY)
            .order_by(target.c.time_us)
        )
        rows = np.array(fetch_tuples(self.connection, query), dtype=np.int64).reshape(-1, 4)
        if not retired:
            return rows
        sealed = self.archive.readings(f"host {info.host}", day, info.device, info.quantity, info.grade)
        rows = np.concatenate([sealed, rows])
        _, first = np.unique(rows[:, 0], return_index=True)
        return rows[first]

    def gap_limits(self, stream: int, samples: Samples, day: int, *, is_whole: bool = True) -> Ints:
        """For each sample, the spacing [µs] above which the interval that it starts is a gap; set by the UTC day of its start.

        ``is_whole``: the samples hold the whole day, so that its limit can be kept.
        """
        days = samples.time_us // US_PER_DAY
        limits = np.zeros(len(samples), dtype=np.int64)
        spacing = np.diff(samples.time_us)
        for sample_day in np.unique(days).tolist():
            on_day = days == sample_day
            if sample_day == day:
                limit = gap_limit_us(spacing[on_day[:-1]])
                limits[on_day] = limit
                if is_whole and day in self.stream_days(stream).day:
                    # The next day asks for it, and would read this one again.
                    _cache_spacing(self._spacing_key(stream, day), limit)
            elif sample_day < day and on_day[:-1].any():
                # Only the neighbours of the previous day are loaded; query its spacing.
                limits[on_day] = self._spacing_limit(stream, sample_day)
        return limits

    def _spacing_limit(self, stream: int, day: int) -> int:
        key = self._spacing_key(stream, day)
        if key not in _spacing_cache:
            _cache_spacing(key, gap_limit_us(np.diff(self._day_times(stream, day))))
        return _spacing_cache[key]

    def _spacing_key(self, stream: int, day: int) -> _SpacingKey:
        stream_days = self.stream_days(stream)
        index = int(np.searchsorted(stream_days.day, day))
        following = int(stream_days.first_us[index + 1]) if index + 1 < len(stream_days.day) else -1
        return self.store.url, stream, day, int(stream_days.version[index]), following

    def _day_times(self, stream: int, day: int) -> Ints:
        """Sample instants [µs] of a day, and the next one."""
        start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
        times = self.samples(stream, start_us, end_us).time_us
        low, high = np.searchsorted(times, [start_us, end_us]).tolist()
        return times[low : high + 1]

    def requests(self, service: str, start_us: int, end_us: int) -> RequestColumns:
        """Requests of a service in flight during [start, end); those without an end by their start.

        A request ends no later than its tokens make credible, whatever its log says.
        """
        first, last = start_us // US_PER_DAY, (end_us - 1) // US_PER_DAY
        states = self._service_range(service, first, last).states
        earliest_us = min((states[day][0] for day in range(first, last + 1) if day in states), default=None)
        rows: list[tuple[Any, ...]] = []
        given_way: set[bytes] = set()
        retired: frozenset[int] = frozenset()
        if earliest_us is not None:
            from_us, number = min(earliest_us, start_us), self._service_id(service)
            retired = self.archive.days(f"service {service}")
            given_way = superseded_keys(self.connection, number, from_us, end_us)
            rows = self._requests_since(number, from_us, start_us, end_us, keyed=bool(given_way or retired))
            sealed = [
                (*row, key)
                for day in range(from_us // US_PER_DAY, (end_us - 1) // US_PER_DAY + 1)
                if day in retired
                for row, key in self.archive.requests(f"service {service}", day)
                if row[0] < end_us and (row[1] == -1 or row[1] >= start_us)
            ]
            if sealed:
                rows = sorted([*rows, *sealed], key=lambda row: (row[0], bytes(row[-1])))
        superseded = np.array([bytes(row[-1]) in given_way for row in rows] if given_way else [False] * len(rows), dtype=np.int64)
        width = len(_REQUEST_COLUMNS)
        columns = np.array([row[:width] for row in rows] if given_way or retired else rows, dtype=np.int64).reshape(-1, width)
        columns[:, 1] = np.minimum(columns[:, 1], self.until_us)
        requests = RequestColumns(*(np.ascontiguousarray(columns[:, index]) for index in range(width)))
        return _judged(replace(requests, superseded=superseded), start_us)

    def units(self, start_us: int, end_us: int) -> list[tuple[str, str, str, str, float, int]]:
        """Service, use case, model, unit, amount and requests of the functional units of requests that end in (start, end]."""
        target = table(schema.RequestRow)
        ends_us = func.coalesce(target.c.end_us, target.c.start_us)
        names = (target.c.service_id, target.c.use_case_id, target.c.model_id, target.c.unit_id)
        sums: dict[tuple[str, str, str, str], list[float]] = {}
        for service in sorted(self.service_days()):
            query = (
                select(*names, func.sum(target.c.units), func.sum(target.c.requests))
                .where(
                    target.c.service_id == self._service_id(service),
                    target.c.start_us >= start_us - MAX_WINDOW_US,
                    target.c.start_us <= end_us,
                    ends_us > start_us,
                    ends_us <= end_us,
                    target.c.units.is_not(None),
                )
                .group_by(*names)
            )
            rows = self.connection.execute(query).all()
            texts = self.store.texts(self.connection, {number for row in rows for number in row[:4]})
            named = [(*(texts[number] for number in row[:4]), float(row[4]), int(row[5])) for row in rows]
            for *key, amount, requests in [*named, *self._archived_units(service, start_us, end_us)]:
                total = sums.setdefault(tuple(key), [0.0, 0])  # type: ignore[arg-type]
                total[0], total[1] = total[0] + amount, total[1] + requests
        return [(*key, total[0], int(total[1])) for key, total in sorted(sums.items())]

    def _archived_units(self, service: str, start_us: int, end_us: int) -> list[tuple[Any, ...]]:
        """As ``units``, one row a request, of the days whose requests left SQL."""
        days = self.archive.days(f"service {service}")
        named: list[tuple[Any, ...]] = []
        for day in sorted(day for day in days if (start_us - MAX_WINDOW_US) // US_PER_DAY <= day <= end_us // US_PER_DAY):
            sealed = self.archive.table(f"service {service}", day)
            for row in sealed.to_pylist() if sealed is not None else ():
                ends_us = row["start_us"] if row["end_us"] is None else row["end_us"]
                if row["units"] is not None and start_us < ends_us <= end_us:
                    named.append((service, row["use_case"], row["model"], row["unit"], row["units"], row["requests"]))
        return named

    def _requests_since(self, service_id: int, from_us: int, start_us: int, end_us: int, *, keyed: bool) -> list[tuple[Any, ...]]:
        """Requests in SQL that may be in flight during [start, end), of those that start at ``from_us`` [µs] or later, in order.

        The few that last for more than a day have an index of their own, so that one of them makes no day read months.
        """
        target = table(schema.RequestRow)
        columns = [func.coalesce(target.c[name], -1) for name in _REQUEST_COLUMNS] + [target.c.key] * keyed
        query = select(*columns).where(target.c.service_id == service_id).order_by(target.c.start_us, target.c.key)
        recent_us = max(from_us, start_us - schema.LONG_US)
        in_flight = (target.c.end_us.is_(None)) | (target.c.end_us >= start_us)
        rows = fetch_tuples(self.connection, query.where(target.c.start_us >= recent_us, target.c.start_us < end_us, in_flight))
        if from_us == recent_us:
            return rows
        is_long = text(f"end_us - start_us > {schema.LONG_US}")
        earlier = (target.c.start_us >= from_us) & (target.c.start_us < recent_us) & (target.c.end_us >= start_us)
        return [*fetch_tuples(self.connection, query.where(is_long, earlier)), *rows]

    def _requests_extent(self, ignored_ids: Collection[int]) -> tuple[int, int] | None:
        """First start and last end [µs] of requests, from the index and the days of services; None if they do not suffice.

        The request that ends last is in flight on the last day of its service, and a service without that day has no
        request that ends later.
        """
        days = self.connection.exec_driver_sql(
            f"SELECT service_id, MAX(day) FROM serviceday WHERE day <= {self.last_day} GROUP BY service_id"
        ).all()
        rows = [row for row in days if row[0] not in ignored_ids]
        if not rows or len(rows) > _MAX_SERVICES:
            return None
        last = max(day for _, day in rows)
        starts = " UNION ALL ".join(f"SELECT MIN(start_us) AS at FROM request WHERE service_id = {number}" for number, _ in rows)
        ends = " UNION ALL ".join(
            f"SELECT MAX(COALESCE(end_us, start_us)) AS at FROM request WHERE service_id = {number} AND start_us >= "
            f"(SELECT first_us FROM serviceday WHERE service_id = {number} AND day = {last})"
            for number, day in rows
            if day == last
        )
        low = self.connection.exec_driver_sql(f"SELECT MIN(at) FROM ({starts}) AS extent").scalar()
        high = self.connection.exec_driver_sql(f"SELECT MAX(at) FROM ({ends}) AS extent").scalar()
        # Withdrawals leave days behind without any request in flight.
        return None if low is None or high is None or high < last * US_PER_DAY else (int(low), int(high))

    def extent_us(self, ignored: Collection[str] = (), until_us: int | None = None) -> tuple[int, int] | None:
        """First and last instant [µs] of any reading or request, but for those of ``ignored`` services; None if there is none.

        It ends at ``until_us`` [µs] at the latest, and where the ledger can end.
        """
        until_us = self.until_us if until_us is None else min(until_us, self.until_us)
        day, request, name = table(schema.StreamDay), table(schema.RequestRow), table(schema.Name)
        ignored_ids = set(self.connection.execute(select(name.c.id).where(name.c.text.in_(sorted(ignored)))).scalars())
        has_readings = (day.c.last_us >= day.c.first_us) & (day.c.first_us <= until_us)
        query = select(day.c.first_us, day.c.last_us).where(has_readings).limit(1)
        first = self.connection.execute(query.order_by(day.c.first_us)).first()
        last = self.connection.execute(query.order_by(day.c.last_us.desc())).first()
        readings = (None, None) if first is None or last is None else (first[0], last[1])
        requests = (
            self._requests_extent(ignored_ids)
            or self.connection.execute(
                select(func.min(request.c.start_us), func.max(func.coalesce(request.c.end_us, request.c.start_us))).where(
                    request.c.service_id.not_in(ignored_ids)
                )
            ).one()
        )
        spans = (readings, requests, self.archive.extent_us(ignored))
        known_spans = [(int(low), int(high)) for low, high in spans if low is not None and high is not None]
        known_spans = [(low, min(high, until_us)) for low, high in known_spans if low <= until_us]
        if not known_spans:
            return None
        return min(low for low, _ in known_spans), max(high for _, high in known_spans)


def _judged(requests: RequestColumns, start_us: int) -> RequestColumns:
    """Requests with credible ends and first tokens, and what is doubted; without those that then end before ``start_us`` [µs]."""
    numbers, findings = examine(requests.numbers())
    doubt = np.zeros(len(requests), dtype=np.int64)
    for finding in findings:
        if finding.outcome == QUARANTINED:
            doubt[finding.rows & (doubt == 0)] = DOUBTS.index(finding.reason) + 1
    end_us = np.asarray(credible_end_us(numbers))
    judged = replace(requests, end_us=end_us, first_token_us=np.asarray(numbers.first_token_us), doubt=doubt)
    return judged[(end_us < 0) | (end_us >= start_us)]


def last_possible_us(connection: Connection) -> int:
    """Last instant [µs] of which the ledger can hold a record: a day ahead of the last import, which may have lasted a day.

    What lies after it came in before there were limits, or was imported against them: it counts nowhere until then.
    """
    imported_us = connection.execute(select(func.max(table(schema.Batch).c.imported_us))).scalar()
    return LAST_INSTANT_US if imported_us is None else min(imported_us + US_PER_DAY + MAX_AHEAD_US, LAST_INSTANT_US)


def fetch_tuples(connection: Connection, query: Select[Any]) -> list[tuple[int, ...]]:
    """Rows of a query of whole numbers as the driver returns them: millions of rows need no named columns."""
    result = connection.execute(query)
    assert result.cursor is not None
    rows = result.cursor.fetchall()
    result.close()
    return rows  # type: ignore[return-value]


def fingerprint(parts: Iterable[object]) -> str:
    """Short digest of texts, numbers and tuples of them; objects go in as ``stored_forms.canonical`` writes them."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=12).hexdigest()
