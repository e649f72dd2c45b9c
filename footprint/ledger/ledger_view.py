"""Read view of the ledger: samples by stream, requests by service, and versions by day, from SQL and the archive.

Samples come with two neighbours on either side of the period, so that an interval across midnight is the same interval, with
the same energy, for both days.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, func, select

from footprint.attribution.array_types import Ints
from footprint.attribution.energy_intervals import Samples, gap_limit_us
from footprint.core.stored_forms import stored_as
from footprint.core.units import US_PER_DAY
from footprint.ledger.archive_reader import ArchiveReader
from footprint.storage import schema
from footprint.storage.database import Store, table

NEIGHBOURS = 2
# Which group uses a device: queried over all time and only one sample an hour, so it stays in SQL on retired days.
HOLDING_PREFIX = "holding/"
MAX_CACHED_SPACINGS = 100_000
_MAX_SERVICES = 400  # in one statement
_spacing_cache: OrderedDict[tuple[str, int, int, int, int], int] = OrderedDict()


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


@stored_as("Alias", "place device since_us")
@dataclass(frozen=True, slots=True)
class Alias:
    """From ``since_us`` [µs] on, ``name`` (``gpu:0``) of a host refers to this device identity."""

    name: str
    device: str
    since_us: int


@dataclass(frozen=True, slots=True)
class StreamDays:
    """Days of one stream with readings, in order: day number, first and last instant [µs], version; shape (n,)."""

    day: Ints
    first_us: Ints
    last_us: Ints
    version: Ints


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

    def __len__(self) -> int:
        return len(self.start_us)


class LedgerView:
    """The ledger in the view of one connection; streams, aliases and days are cached."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self.store = store
        self.connection = connection
        self._streams: dict[str, list[StreamInfo]] | None = None
        self._aliases: dict[str, list[Alias]] | None = None
        self._days: dict[int, StreamDays] | None = None
        self._service_days: dict[str, dict[int, tuple[int, int]]] | None = None
        self._service_ids: dict[str, int] = {}
        self._by_id: dict[int, StreamInfo] | None = None
        self.archive = ArchiveReader(store, connection)

    def streams(self) -> dict[str, list[StreamInfo]]:
        """Streams by host."""
        if self._streams is None:
            rows = self.connection.execute(select(table(schema.Stream)).order_by("id")).all()
            names = self.store.texts(self.connection, {name_id for row in rows for name_id in (row.host_id, row.device_id)})
            self._streams = {}
            for row in rows:
                info = StreamInfo(
                    row.id, names[row.host_id], names[row.device_id], row.component, row.quantity, row.grade, row.model
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

    def stream_days(self, stream: int) -> StreamDays:
        """Days of a stream with readings, and emptied ones (``last_us`` before ``first_us``)."""
        if self._days is None:
            target = table(schema.StreamDay)
            rows = self.connection.execute(
                select(target.c.stream_id, target.c.day, target.c.first_us, target.c.last_us, target.c.version).order_by(
                    target.c.stream_id, target.c.day
                )
            ).all()
            columns = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 5)
            starts = np.flatnonzero(np.diff(columns[:, 0], prepend=-1))
            self._days = {
                int(part[0, 0]): StreamDays(part[:, 1], part[:, 2], part[:, 3], part[:, 4])
                for part in np.split(columns, starts[1:])
                if len(part)
            }
        empty = np.zeros(0, dtype=np.int64)
        return self._days.get(stream, StreamDays(empty, empty, empty, empty))

    def service_days(self) -> dict[str, dict[int, tuple[int, int]]]:
        """Service -> day -> (earliest start of a request in flight on it [µs], version)."""
        if self._service_days is None:
            rows = self.connection.execute(select(table(schema.ServiceDayRow))).all()
            names = self.store.texts(self.connection, {row.service_id for row in rows})
            self._service_days = {}
            self._service_ids = {name: number for number, name in names.items()}
            for row in rows:
                days = self._service_days.setdefault(names[row.service_id], {})
                days[row.day] = (row.first_us, row.version)
        return self._service_days

    def samples(self, stream: int, start_us: int, end_us: int) -> Samples:
        """Samples of a stream in [start, end), with ``NEIGHBOURS`` samples on either side."""
        info = self._stream_info(stream)
        days = self.archive.days(f"host {info.host}") if info is not None else frozenset()
        if info is not None and days and not info.quantity.startswith(HOLDING_PREFIX):
            return self._samples_of_days(info, days, start_us, end_us)
        target = table(schema.Reading)
        base = select(target.c.time_us, target.c.value, target.c.covered_us, target.c.epoch_id).where(
            target.c.stream_id == stream
        )
        before = base.where(target.c.time_us < start_us).order_by(target.c.time_us.desc()).limit(NEIGHBOURS)
        inside = base.where(target.c.time_us >= start_us, target.c.time_us < end_us).order_by(target.c.time_us)
        after = base.where(target.c.time_us >= end_us).order_by(target.c.time_us).limit(NEIGHBOURS)
        rows = [tuple(row) for row in self.connection.execute(before)][::-1]
        for part in (inside, after):
            rows += [tuple(row) for row in self.connection.execute(part)]
        columns = np.array(rows, dtype=np.int64).reshape(-1, 4)
        return Samples(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3])

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
        result = self.connection.execute(
            select(target.c.time_us, target.c.value, target.c.covered_us, target.c.epoch_id)
            .where(target.c.stream_id == info.id, target.c.time_us >= day * US_PER_DAY, target.c.time_us < (day + 1) * US_PER_DAY)
            .order_by(target.c.time_us)
        )
        rows = np.array([tuple(row) for row in result], dtype=np.int64).reshape(-1, 4)
        if not retired:
            return rows
        sealed = self.archive.readings(f"host {info.host}", day, info.device, info.quantity, info.grade)
        rows = np.concatenate([sealed, rows])
        _, first = np.unique(rows[:, 0], return_index=True)
        return rows[first]

    def gap_limits(self, stream: int, samples: Samples, day: int) -> Ints:
        """For each sample, the spacing [µs] above which the interval that it starts is a gap; set by the UTC day of its start."""
        days = samples.time_us // US_PER_DAY
        limits = np.zeros(len(samples), dtype=np.int64)
        spacing = np.diff(samples.time_us)
        for sample_day in np.unique(days).tolist():
            on_day = days == sample_day
            if sample_day == day:
                limits[on_day] = gap_limit_us(spacing[on_day[:-1]])
            elif sample_day < day and on_day[:-1].any():
                # Only the neighbours of the previous day are loaded; query its spacing.
                limits[on_day] = self._spacing_limit(stream, sample_day)
        return limits

    def _spacing_limit(self, stream: int, day: int) -> int:
        stream_days = self.stream_days(stream)
        index = int(np.searchsorted(stream_days.day, day))
        following = int(stream_days.first_us[index + 1]) if index + 1 < len(stream_days.day) else -1
        key = (self.store.url, stream, day, int(stream_days.version[index]), following)
        if key not in _spacing_cache:
            times = self._day_times(stream, day)
            _spacing_cache[key] = gap_limit_us(np.diff(times))
            while len(_spacing_cache) > MAX_CACHED_SPACINGS:
                _spacing_cache.popitem(last=False)
        return _spacing_cache[key]

    def _day_times(self, stream: int, day: int) -> Ints:
        """Sample instants [µs] of a day, and the next one."""
        start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
        times = self.samples(stream, start_us, end_us).time_us
        low, high = np.searchsorted(times, [start_us, end_us]).tolist()
        return times[low : high + 1]

    def requests(self, service: str, start_us: int, end_us: int) -> RequestColumns:
        """Requests of a service in flight during [start, end); those without an end by their start."""
        days = self.service_days().get(service, {})
        earliest_us = [
            days[day_number][0]
            for day_number in range(start_us // US_PER_DAY, (end_us - 1) // US_PER_DAY + 1)
            if day_number in days
        ]
        rows: list[tuple[int, ...]] = []
        if earliest_us:
            target = table(schema.RequestRow)
            names = (
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
            )
            columns = [func.coalesce(target.c[name], -1) for name in names]
            result = self.connection.execute(
                select(*columns)
                .where(
                    target.c.service_id == self._service_ids[service],
                    target.c.start_us >= min(*earliest_us, start_us),
                    target.c.start_us < end_us,
                    (target.c.end_us.is_(None)) | (target.c.end_us >= start_us),
                )
                .order_by(target.c.start_us, target.c.key)
            )
            rows = [tuple(row) for row in result]
            retired = self.archive.days(f"service {service}")
            first_day = min(*earliest_us, start_us) // US_PER_DAY
            sealed = [
                row
                for day in range(first_day, (end_us - 1) // US_PER_DAY + 1)
                if day in retired
                for row in self.archive.requests(f"service {service}", day)
                if row[0][0] < end_us and (row[0][1] == -1 or row[0][1] >= start_us)
            ]
            if sealed:
                keyed = self.connection.execute(
                    select(*columns, target.c.key).where(
                        target.c.service_id == self._service_ids[service],
                        target.c.start_us >= min(*earliest_us, start_us),
                        target.c.start_us < end_us,
                        (target.c.end_us.is_(None)) | (target.c.end_us >= start_us),
                    )
                )
                keyed_rows = [(tuple(row)[:-1], bytes(row[-1])) for row in keyed] + sealed
                rows = [row for row, _ in sorted(keyed_rows, key=lambda item: (item[0][0], item[1]))]
        columns_of_rows = np.array(rows, dtype=np.int64).reshape(-1, 10)
        return RequestColumns(*(np.ascontiguousarray(columns_of_rows[:, index]) for index in range(10)))

    def _requests_extent(self) -> tuple[int, int] | None:
        """First start and last end [µs] of requests, from the index and the days of services; None if they do not suffice.

        The request that ends last is in flight on the last day of its service, and a service without that day has no
        request that ends later.
        """
        rows = self.connection.exec_driver_sql("SELECT service_id, MAX(day) FROM serviceday GROUP BY service_id").all()
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

    def extent_us(self) -> tuple[int, int] | None:
        """First and last instant [µs] of any reading or request, or None for an empty ledger."""
        day, request = table(schema.StreamDay), table(schema.RequestRow)
        query = select(day.c.first_us, day.c.last_us).where(day.c.last_us >= day.c.first_us).limit(1)
        first = self.connection.execute(query.order_by(day.c.first_us)).first()
        last = self.connection.execute(query.order_by(day.c.last_us.desc())).first()
        readings = (None, None) if first is None or last is None else (first[0], last[1])
        requests = (
            self._requests_extent()
            or self.connection.execute(
                select(func.min(request.c.start_us), func.max(func.coalesce(request.c.end_us, request.c.start_us)))
            ).one()
        )
        spans = (readings, requests, self.archive.extent_us())
        known_spans = [(int(low), int(high)) for low, high in spans if low is not None and high is not None]
        if not known_spans:
            return None
        return min(low for low, _ in known_spans), max(high for _, high in known_spans)


def fingerprint(parts: Iterable[object]) -> str:
    """Short digest of texts, numbers and tuples of them; objects go in as ``stored_forms.canonical`` writes them."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=12).hexdigest()
