"""Prometheus import: raw samples of energy and power from Prometheus or VictoriaMetrics.

It reads raw samples, never ``increase()``, which extrapolates and differs between the two servers. A series continues where the
ledger ends, so that a backfill can be stopped and resumed, in any consecutive pieces.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

import numpy as np
from sqlalchemy import select

from footprint.core.counter_registers import CorrectedCounter, CounterCorrection, Register, shows_same_counter
from footprint.core.exposition import plain_name
from footprint.core.limits import Reject, RejectList, instant_fault, name_fault, printable
from footprint.core.prometheus_metrics import (
    ExporterMetric,
    SourceUnavailable,
    check_overlap,
    looks_like_energy,
    metrics_named,
    series_host,
    unnamed_device,
)
from footprint.core.records import grade_of
from footprint.core.series_identity import DeviceSeries, resolve_devices
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_S
from footprint.ledger.energy_file import CONTEXT_GRADE, Readings, StreamKey
from footprint.ledger.importers import ImportResult, import_readings
from footprint.ledger.rejects import file_rejects
from footprint.ledger.stream_ids import StreamIds
from footprint.storage import schema
from footprint.storage.database import Store, table

CHUNK_US = 3600 * US_PER_S
LOOK_BACK_US = 600 * US_PER_S  # covers a sample that both the ledger and the server hold, to join the series
_EPOCH_PREFIX = "prometheus/"
Fetch = Callable[[str, dict[str, str]], bytes]
Points = dict[int, int]  # instant [µs] -> value [µJ or µW]


MAX_REMARKS = 100
MAX_NAMES_TOLD = 10


@dataclass(slots=True)
class Remarks:
    """What an import did not take, or took in a way that a person should know: texts, with how often each was met."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, text: str, count: int = 1) -> None:
        """Count a remark."""
        if count and (text in self.counts or len(self.counts) < MAX_REMARKS):
            self.counts[text] += count

    def __iter__(self) -> Iterator[str]:
        for text, count in sorted(self.counts.items()):
            yield text.replace("{count}", str(count))


@dataclass(slots=True)
class _DeviceSamples:
    """Samples of one device and quantity of a host, in one piece of the time."""

    key: StreamKey
    metric: ExporterMetric
    points: Points


def http_fetcher(url: str) -> Fetch:
    """HTTP client of one server: a function of API path and parameters that returns the body.

    Raises
    ------
    InsecureAddress
        If the address holds a password that would travel in clear.
    SourceUnavailable
        From the returned function, if there is no answer within the limits.
    """
    import httpx  # noqa: PLC0415 - an extra

    from footprint.core.outgoing_http import BoundedClient  # noqa: PLC0415 - needs httpx

    client = BoundedClient(url, is_secret="@" in url)
    address = without_credentials(url)

    def fetch(path: str, parameters: dict[str, str]) -> bytes:
        try:
            answer = client.request("GET", path, parameters=parameters)
        except httpx.HTTPError as error:
            raise SourceUnavailable(f"{address}: {error or type(error).__name__}") from None
        if answer.status != HTTPStatus.OK:
            raise SourceUnavailable(f"{address}: status {answer.status}")
        return answer.content

    return fetch


def without_credentials(url: str) -> str:
    """A URL without the user and the password before its host."""
    return re.sub(r"//[^/]*@", "//", url)


def import_prometheus(
    store: Store,
    url: str,
    from_us: int,
    to_us: int,
    now_us: int,
    *,
    exporter: str = "",
    host_label: str = "",
    fetch: Fetch | None = None,
    remarks: Remarks | None = None,
) -> ImportResult:
    """Import the readings in [from, to) of every supported metric of the server.

    ``remarks`` collects what was left out or recognised as one, for a person to read.

    Raises
    ------
    SourceUnavailable
        If the server does not answer.
    OverlappingExporters
        If two exporters count the same energy of a host; nothing is stored.
    """
    remarks = Remarks() if remarks is None else remarks
    send = fetch or http_fetcher(url)
    names = [name for name in metric_names(send, from_us, to_us, exporter, remarks) if _is_of_devices(name)]
    streams = StreamIds(store)
    check_overlap(_exporters_by_host(send, names, from_us, to_us, exporter, host_label))
    corrections: dict[tuple[str, str, str, str], CounterCorrection] = {}
    same_hosts = _SameHosts(remarks)

    def readings_and_ids() -> Iterator[tuple[Readings, list[int], RejectList]]:
        for start_us in range(from_us - LOOK_BACK_US, to_us, CHUNK_US):
            end_us = min(start_us + CHUNK_US, to_us)
            series_of_host = _series_by_host(send, names, start_us, end_us, exporter, host_label, remarks)
            same_hosts.join(series_of_host)
            for host, series in sorted(series_of_host.items()):
                for device in _devices(host, series, remarks):
                    rejects = _drop_implausible(device, now_us)
                    readings = _readings(store, device, corrections, from_us)
                    if len(readings) or rejects:
                        yield readings, streams.resolve(readings.streams) if len(readings) else [], rejects
        _remark_on_counters(corrections, remarks)

    name = f"{without_credentials(url)} {format_instant(from_us)}/{format_instant(to_us)}"
    return import_readings(store, name, readings_and_ids(), now_us)


def _fetch_json(send: Fetch, path: str, parameters: dict[str, str]) -> Any:
    try:
        answer = json.loads(send(path, parameters))
    except (ValueError, RecursionError):
        raise SourceUnavailable(f"{path}: the answer is not JSON") from None
    if not isinstance(answer, dict) or answer.get("status") != "success":
        problem = str(answer.get("error", "no success")) if isinstance(answer, dict) else "no object"
        raise SourceUnavailable(f"{path}: {printable(problem)[:200]}")
    return answer.get("data")


@contextmanager
def _documented_form(path: str) -> Iterator[None]:
    """Turn a value of another type than the API documents into an error that names the path."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
        raise SourceUnavailable(f"{path}: the answer does not have the documented form") from None


def metric_names(send: Fetch, from_us: int, to_us: int, exporter: str, remarks: Remarks | None = None) -> list[str]:
    """Supported metrics that the server has; ``remarks`` names those that look like energy and are not read."""
    window = {"start": repr(from_us / US_PER_S), "end": repr(to_us / US_PER_S)}
    path = "/api/v1/label/__name__/values"
    answer = _fetch_json(send, path, window)
    with _documented_form(path):
        names = sorted(name for name in answer if isinstance(name, str))
    if remarks is not None:
        _remark_on_names(names, exporter, remarks)
    known = ((name, metrics_named(plain_name(name))) for name in names)
    return [name for name, rows in known if any(row.is_read and (not exporter or row.exporter == exporter) for row in rows)]


def _is_of_devices(name: str) -> bool:
    """Whether a metric shows devices or inference servers, and not what a gateway was asked (``prometheus_request_import``)."""
    return any(row.is_read and not row.quantity.startswith("asked_") for row in metrics_named(plain_name(name)))


def _remark_on_names(names: list[str], exporter: str, remarks: Remarks) -> None:
    if not names:
        remarks.add("the server has no metric at all in this period")
    deltas = {row.trap: name for name in names for row in metrics_named(plain_name(name)) if row.kind == "delta"}
    for trap, name in deltas.items():
        remarks.add(f"{name} is known, and not read: {trap}")
    unknown = [name for name in names if looks_like_energy(plain_name(name))]
    listed = printable(", ".join(unknown[:MAX_NAMES_TOLD]))
    if unknown and not exporter:
        more = f" and {len(unknown) - MAX_NAMES_TOLD} more" if len(unknown) > MAX_NAMES_TOLD else ""
        remarks.add(
            f"not read, because the table of exporters does not know them: {listed}{more}; "
            "they look like energy or power; describe those that are in a file with the columns of data/exporters.csv, and give "
            "it with --exporters"
        )


def _exporters_by_host(
    send: Fetch, names: list[str], from_us: int, to_us: int, exporter: str, host_label: str
) -> Mapping[tuple[str, str], set[str]]:
    """Exporters that count energy, by host and group; meters of power beside them are witnesses."""
    exporters: dict[tuple[str, str], set[str]] = defaultdict(set)
    window = {"start": repr(from_us / US_PER_S), "end": repr(to_us / US_PER_S)}
    for name in names:
        series = _fetch_json(send, "/api/v1/series", {"match[]": _selector(name)} | window)
        with _documented_form("/api/v1/series"):
            labels_of_series = [_labels(labels) for labels in series]
        for labels in labels_of_series:
            for metric in metrics_named(plain_name(name)):
                is_counter = metric.quantity == "energy" and metric.device_of(labels, plain_name(name))
                if is_counter and (not exporter or metric.exporter == exporter):
                    exporters[series_host(labels, host_label), metric.group].add(metric.exporter)
    return exporters


def _selector(name: str) -> str:
    """Selector of a metric in PromQL; a name in UTF-8 stands in quotes (Prometheus 3)."""
    if plain_name(name) == name:
        return name
    return "{" + json.dumps(name, ensure_ascii=False) + "}"


def _series_by_host(
    send: Fetch, names: list[str], start_us: int, end_us: int, exporter: str, host_label: str, remarks: Remarks
) -> dict[str, list[DeviceSeries]]:
    """Series in [start, end) by host, with their samples in µJ or µW."""
    series_of_host: dict[str, list[DeviceSeries]] = defaultdict(list)
    for name in names:
        plain = plain_name(name)
        for labels, values in fetch_samples(send, name, start_us, end_us, remarks):
            if missing := unnamed_device(plain, labels):
                remarks.add(f"series of {name} are not read: no label {missing} names their device")
            for metric in metrics_named(plain):
                device = metric.device_of(labels, plain)
                if device is not None and (not exporter or metric.exporter == exporter):
                    points = {at_us: value for at_us, raw in values if (value := metric.to_micro(raw)) is not None}
                    remarks.add(
                        f"{{count}} samples of {name} are no reading: a blank, a negative value, or more than "
                        f"{metric.limit_uw // 10**6} W",
                        len(values) - len(points) if metric.group != "wall" else 0,
                    )
                    series_of_host[series_host(labels, host_label)].append(DeviceSeries(metric, plain, labels, device, points))
    return series_of_host


def _is_same(first: Points, second: Points) -> bool | None:
    return shows_same_counter(first.items(), second.items())


@dataclass(slots=True)
class _SameHosts:
    """Hosts that show the same counters: one exporter that is scraped under several names counts once.

    Of thousands of hosts some have counters of nearly one value by chance. Two are one if all their common counters are the
    same, and are two at least; one is enough where the names may be of one machine. What was found holds for the whole import.
    """

    remarks: Remarks
    name_of: dict[str, str] = field(default_factory=dict)
    is_same: dict[frozenset[str], bool] = field(default_factory=dict)

    def join(self, series_of_host: dict[str, list[DeviceSeries]]) -> None:
        """Give such hosts one name."""
        for first, second in _near_hosts(series_of_host):
            pair = frozenset((first, second))
            if pair not in self.is_same:
                results = _compared(series_of_host[first], series_of_host[second])
                if results:
                    self.is_same[pair] = all(results) and (len(results) > 1 or _may_be_one(first, second))
                    self._tell(first, second, is_alike=all(results), is_same=self.is_same[pair])
        for host in [host for host in series_of_host if host in self.name_of]:
            name = self._name(host)
            series_of_host[name] = [*series_of_host.get(name, []), *series_of_host.pop(host)]

    def _name(self, host: str) -> str:
        while host in self.name_of:
            host = self.name_of[host]
        return host

    def _tell(self, first: str, second: str, *, is_alike: bool, is_same: bool) -> None:
        name, other = sorted((self._name(first), self._name(second)), key=_name_preference)
        if is_same and name != other:
            self.name_of[other] = name
            self.remarks.add(f"{other} and {name} show the same counters: one machine under two names, counted once, as {name}")
        elif is_alike and not is_same:
            self.remarks.add(f"a counter of {other} and one of {name} are alike: are they one machine? Both are counted")


def _compared(first: list[DeviceSeries], second: list[DeviceSeries]) -> list[bool]:
    """For each counter that two hosts have in common, whether it is the same; those that do not tell are left out."""
    by_own = {(one.metric.order, one.own): one.content for one in first if one.metric.quantity == "energy"}
    results = []
    for one in second:
        points = by_own.get((one.metric.order, one.own))
        is_same = None if points is None or one.metric.quantity != "energy" else _is_same(points, one.content)
        # A UUID is one board's wherever it is shown: it tells as much as two counters that are named by their place.
        results += [] if is_same is None else [is_same] if one.metric.is_positional else [is_same, is_same]
    return results


def _may_be_one(first: str, second: str) -> bool:
    """Whether two names may be of one machine: an address and a name, or a short name and a long one."""
    is_address = {_name_preference(host)[0] for host in (first, second)}
    return len(is_address) > 1 or first.partition(".")[0] == second.partition(".")[0]


def _name_preference(host: str) -> tuple[bool, int, str]:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False, len(host), host
    return True, len(host), host


def _near_hosts(series_of_host: dict[str, list[DeviceSeries]]) -> Iterator[tuple[str, str]]:
    """Pairs of hosts with counters of one kind whose values are next to each other, in the order of values."""
    counters: dict[Any, list[tuple[str, Points]]] = defaultdict(list)
    for host, series in series_of_host.items():
        for one in series:
            if one.metric.quantity == "energy" and len(one.content) > 1:
                counters[one.metric.order, one.own].append((host, one.content))
    for alike in counters.values():
        if len(alike) > 1:
            at_us = sorted(min(points) + max(points) for _, points in alike)[len(alike) // 2] // 2
            near = sorted((_value_at(points, at_us), host) for host, points in alike)
            yield from ((first, second) for (_, first), (_, second) in pairwise(near) if first != second)


def _value_at(points: Points, at_us: int) -> int:
    return points[max((t for t in points if t <= at_us), default=min(points))]


def _devices(host: str, series: list[DeviceSeries], remarks: Remarks) -> Iterator[_DeviceSamples]:
    """Samples by device and quantity, with the series that belong together combined."""
    grades = {"energy": "counter", "power": "power"}
    for together in resolve_devices(host, series, _is_same, remarks.add):
        first = together[0]
        grade = grades.get(first.metric.quantity, CONTEXT_GRADE)
        if first.is_witness:
            grade = grade_of(first.source, counter=first.metric.quantity == "energy")
        key = StreamKey(host, first.device, first.metric.quantity, grade, first.metric.component, first.source)
        yield _DeviceSamples(key, first.metric, _combined(together, remarks))


def _combined(together: list[DeviceSeries], remarks: Remarks) -> Points:
    metric = together[0].metric
    points: Points = {}
    parts: Counter[int] = Counter()
    by_own: dict[Any, Points] = defaultdict(dict)  # a part that two jobs show is one part
    for one in together:
        by_own[one.own].update(one.content)
    for content in by_own.values() if metric.duplicates == "sum" else [one.content for one in together]:
        for at_us, value in content.items():
            points[at_us] = metric.combine(points[at_us], value) if at_us in points else value
            parts[at_us] += 1
    if metric.duplicates == "sum" and metric.quantity == "energy":
        missing = [at_us for at_us, count in parts.items() if count < len(by_own)]
        for at_us in missing:  # the sum of the other parts would be taken for the whole
            del points[at_us]
        remarks.add(f"{{count}} samples of {together[0].name} lack one of the series that are summed", len(missing))
    return points


def _labels(value: Any) -> dict[str, str]:
    """Labels of a series, all of them texts."""
    return {plain_name(str(name)): str(text) for name, text in value.items()}


def fetch_samples(
    send: Fetch, name: str, start_us: int, end_us: int, remarks: Remarks | None = None
) -> Iterator[tuple[dict[str, str], list[tuple[int, float]]]]:
    """(labels, raw samples in order) of each series of a metric over [start, end)."""
    samples_of_series: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = defaultdict(list)
    skipped = 0
    for begin_us in range(start_us, end_us, CHUNK_US):
        close_us = min(begin_us + CHUNK_US, end_us)
        seconds = -(-(close_us - begin_us) // US_PER_S)
        query = {"query": f"{_selector(name)}[{seconds}s]", "time": repr((close_us - 1) / US_PER_S)}
        answer = _fetch_json(send, "/api/v1/query", query)
        with _documented_form("/api/v1/query"):
            for series in answer["result"]:
                parsed = [(round(float(at_s) * US_PER_S), float(text)) for at_s, text in series.get("values", ())]
                # A server may treat the window as closed at both ends.
                inside = [sample for sample in parsed if begin_us <= sample[0] < close_us]
                values = [sample for sample in inside if math.isfinite(sample[1])]
                skipped += len(inside) - len(values)
                samples_of_series[tuple(sorted(_labels(series["metric"]).items()))] += values
    if remarks is not None:
        remarks.add(f"{{count}} samples of {name} are no number (markers of stale series), and were skipped", skipped)
    yield from ((dict(labels), values) for labels, values in samples_of_series.items())


def _drop_implausible(device: _DeviceSamples, now_us: int) -> RejectList:
    """Take out samples of impossible times or names, and return why."""
    rejects = file_rejects()
    for column, text in (("host", device.key.host), ("device", device.key.device)):
        if device.points and (fault := name_fault(text) or ("" if text else "empty")):
            rejects.extend([Reject(0, column, fault)] * len(device.points))
            device.points.clear()
    for at_us in [at_us for at_us in device.points if instant_fault(at_us, now_us)]:
        del device.points[at_us]
        rejects.append(Reject(0, "time", instant_fault(at_us, now_us)))
    return rejects


def _readings(
    store: Store, device: _DeviceSamples, corrections: dict[tuple[str, str, str, str], CounterCorrection], from_us: int
) -> Readings:
    """Readings of one device from ``from_us`` on; a counter continues from the last sample that the ledger holds too."""
    key, times = device.key, sorted(device.points)
    rows: list[tuple[int, int, int]] = []
    epochs: dict[str, int] = {"": 0}
    if key.quantity == "power":
        rows = [(at_us, device.points[at_us], 0) for at_us in times if at_us >= from_us]
    else:
        correction = corrections.get(key.identity)
        if correction is None:
            correction = corrections[key.identity] = _begin_correction(store, device, from_us)
        begun_us = correction.state.at_us if correction.state is not None else from_us - 1
        new_times = [at_us for at_us in times if at_us > begun_us]
        for state in correction.correct(new_times, [device.points[at_us] for at_us in new_times]):
            rows.append((state.at_us, state.value_uj, epochs.setdefault(f"{_EPOCH_PREFIX}{state.epoch_us}", len(epochs))))
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    zeros = np.zeros(len(columns), dtype=np.int64)
    return Readings(
        [key], zeros, columns[:, 0], zeros, columns[:, 1], zeros - 1, list(epochs), columns[:, 2], zeros, zeros, zeros
    )


def _begin_correction(store: Store, device: _DeviceSamples, from_us: int) -> CounterCorrection:
    metric = device.metric
    register = Register(metric.wrap_uj, metric.component) if metric.wrap_uj is not None else None
    state = _last_common_state(store, device.key, device.points)
    begun_us = state.at_us if state is not None else from_us - 1
    earlier = [at_us for at_us in sorted(device.points) if at_us <= begun_us]
    correction = CounterCorrection(metric.limit_uw, register)
    correction.correct(earlier, [device.points[at_us] for at_us in earlier])  # the power before bears out what comes next
    correction.state, correction.unseen_wraps, correction.unexplained_falls = state, 0, 0
    return correction


def _remark_on_counters(corrections: Mapping[tuple[str, str, str, str], CounterCorrection], remarks: Remarks) -> None:
    for (host, device, _, _), correction in corrections.items():
        register = correction.register
        if register is None:
            continue
        range_uj = register.range_uj or register.default_uj
        if correction.unseen_wraps:
            remarks.add(
                f"{host} {device}: {correction.unseen_wraps} intervals are so long that its register of "
                f"{range_uj // 10**6} J may have started again unseen: their energy is missing; scrape at least every "
                f"{range_uj // (2 * correction.limit_uw)} s"
            )
        if correction.unexplained_falls:
            remarks.add(
                f"{host} {device}: {correction.unexplained_falls} falls of its counter fit no range of a register: a reset, "
                "whose energy is missing"
            )


def _last_common_state(store: Store, key: StreamKey, points: Points) -> CorrectedCounter | None:
    """Counter state at the last instant that both the server and the ledger hold; None if there is none."""
    stream, name, reading = table(schema.Stream), table(schema.Name), table(schema.Reading)
    with store.read() as connection:
        texts = select(name.c.text, name.c.id).where(name.c.text.in_([key.host, key.device]))
        names: dict[str, int] = {row.text: row.id for row in connection.execute(texts)}
        if not points or not {key.host, key.device} <= set(names):
            return None
        of_stream = (
            (stream.c.host_id == names[key.host])
            & (stream.c.device_id == names[key.device])
            & (stream.c.quantity == key.quantity)
            & (stream.c.grade == key.grade)
        )
        rows = connection.execute(
            select(reading.c.time_us, reading.c.value, name.c.text)
            .join(stream, stream.c.id == reading.c.stream_id)
            .join(name, name.c.id == reading.c.epoch_id)
            .where(of_stream, reading.c.time_us >= min(points), reading.c.time_us <= max(points))
            .order_by(reading.c.time_us.desc())
        )
        for at_us, value_uj, epoch in rows:
            if at_us in points and epoch.startswith(_EPOCH_PREFIX):
                return CorrectedCounter(points[at_us], at_us, value_uj, int(epoch.removeprefix(_EPOCH_PREFIX)))
    return None
