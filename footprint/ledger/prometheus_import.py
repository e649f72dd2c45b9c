"""Prometheus import: raw samples of energy and power from Prometheus or VictoriaMetrics.

It reads raw samples, never ``increase()``, which extrapolates and differs between the two servers. A series continues where the
ledger ends, so that a backfill can be stopped and resumed, in any consecutive pieces.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import numpy as np
from sqlalchemy import select

from footprint.core.limits import Reject, RejectList, instant_fault, name_fault, printable
from footprint.core.prometheus_metrics import (
    CorrectedCounter,
    ExporterMetric,
    SourceUnavailable,
    check_overlap,
    metrics_named,
    series_host,
    start_counter,
    update_counter,
)
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


@dataclass(slots=True)
class _DeviceSamples:
    metric: ExporterMetric
    points: Points = field(default_factory=dict)


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
) -> ImportResult:
    """Import the readings in [from, to) of every supported metric of the server.

    Raises
    ------
    SourceUnavailable
        If the server does not answer.
    Overlap
        If two exporters report the same energy of a host; nothing is stored.
    """
    send = fetch or http_fetcher(url)
    names = metric_names(send, from_us, to_us, exporter)
    streams = StreamIds(store)
    check_overlap(_exporters_by_host(send, names, from_us, to_us, exporter, host_label))
    known: dict[tuple[str, str, str], CorrectedCounter] = {}

    def readings_and_ids() -> Iterator[tuple[Readings, list[int], RejectList]]:
        for start_us in range(from_us - LOOK_BACK_US, to_us, CHUNK_US):
            end_us = min(start_us + CHUNK_US, to_us)
            devices = _devices(send, names, start_us, end_us, exporter, host_label)
            for identity, device in sorted(devices.items(), key=lambda item: item[0]):
                rejects = _drop_implausible(identity, device, now_us)
                readings = _readings(store, identity, device, known, from_us)
                if len(readings) or rejects:
                    yield readings, streams.resolve(readings.streams) if len(readings) else [], rejects

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


def metric_names(send: Fetch, from_us: int, to_us: int, exporter: str) -> list[str]:
    """Supported metrics that the server has."""
    window = {"start": repr(from_us / US_PER_S), "end": repr(to_us / US_PER_S)}
    path = "/api/v1/label/__name__/values"
    names = _fetch_json(send, path, window)
    with _documented_form(path):
        names = sorted(name for name in names if isinstance(name, str))
    return [name for name in names if any(not exporter or metric.exporter == exporter for metric in metrics_named(name))]


def _exporters_by_host(
    send: Fetch, names: list[str], from_us: int, to_us: int, exporter: str, host_label: str
) -> Mapping[tuple[str, str], set[str]]:
    exporters: dict[tuple[str, str], set[str]] = defaultdict(set)
    window = {"start": repr(from_us / US_PER_S), "end": repr(to_us / US_PER_S)}
    for name in names:
        series = _fetch_json(send, "/api/v1/series", {"match[]": name} | window)
        with _documented_form("/api/v1/series"):
            labels_of_series = [_labels(labels) for labels in series]
        for labels in labels_of_series:
            for metric in metrics_named(name):
                if metric.device_of(labels) and (not exporter or metric.exporter == exporter):
                    exporters[series_host(labels, host_label), metric.group].add(metric.exporter)
    return exporters


def _devices(
    send: Fetch, names: list[str], start_us: int, end_us: int, exporter: str, host_label: str
) -> dict[tuple[str, str, str], _DeviceSamples]:
    """Samples in [start, end) by (host, device, quantity), with duplicate series resolved by rank."""
    devices: dict[tuple[str, str, str], _DeviceSamples] = {}
    best_rank: dict[tuple[str, str, str], int] = {}
    for name in names:
        for labels, values in fetch_samples(send, name, start_us, end_us):
            for metric in metrics_named(name):
                device = metric.device_of(labels)
                if device is None or (exporter and metric.exporter != exporter):
                    continue
                identity = series_host(labels, host_label), device, metric.quantity
                rank = metric.rank(labels)
                if rank > best_rank.get(identity, rank):
                    continue
                if rank < best_rank.get(identity, rank):
                    devices.pop(identity, None)
                best_rank[identity] = rank
                _merge_samples(devices.setdefault(identity, _DeviceSamples(metric)), values)
    return devices


def _labels(value: Any) -> dict[str, str]:
    """Labels of a series, all of them texts."""
    return {str(name): str(text) for name, text in value.items()}


def fetch_samples(send: Fetch, name: str, start_us: int, end_us: int) -> Iterator[tuple[dict[str, str], list[tuple[int, float]]]]:
    """(labels, raw samples in order) of each series of a metric over [start, end)."""
    samples_of_series: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = defaultdict(list)
    for begin_us in range(start_us, end_us, CHUNK_US):
        close_us = min(begin_us + CHUNK_US, end_us)
        seconds = -(-(close_us - begin_us) // US_PER_S)
        query = {"query": f"{name}[{seconds}s]", "time": repr((close_us - 1) / US_PER_S)}
        answer = _fetch_json(send, "/api/v1/query", query)
        with _documented_form("/api/v1/query"):
            for series in answer["result"]:
                parsed = ((round(float(at_s) * US_PER_S), float(text)) for at_s, text in series["values"])
                # A server may treat the window as closed at both ends. Markers of stale series are NaN.
                samples_of_series[tuple(sorted(_labels(series["metric"]).items()))] += [
                    sample for sample in parsed if begin_us <= sample[0] < close_us and math.isfinite(sample[1])
                ]
    yield from ((dict(labels), values) for labels, values in samples_of_series.items())


def _merge_samples(device: _DeviceSamples, values: list[tuple[int, float]]) -> None:
    for at_us, raw in values:
        value = device.metric.to_micro(raw)
        if value is None:
            continue
        earlier = device.points.get(at_us)
        if earlier is not None:
            value = device.metric.combine(earlier, value)
        device.points[at_us] = value


def _drop_implausible(identity: tuple[str, str, str], device: _DeviceSamples, now_us: int) -> RejectList:
    """Take out samples of impossible times or names, and return why."""
    rejects = file_rejects()
    for column, text in zip(("host", "device"), identity, strict=False):
        if device.points and (fault := name_fault(text) or ("" if text else "empty")):
            rejects.extend([Reject(0, column, fault)] * len(device.points))
            device.points.clear()
    for at_us in [at_us for at_us in device.points if instant_fault(at_us, now_us)]:
        del device.points[at_us]
        rejects.append(Reject(0, "time", instant_fault(at_us, now_us)))
    return rejects


def _readings(
    store: Store,
    identity: tuple[str, str, str],
    device: _DeviceSamples,
    states: dict[tuple[str, str, str], CorrectedCounter],
    from_us: int,
) -> Readings:
    """Readings of one device from ``from_us`` on; a counter continues from the last sample that the ledger holds too."""
    host, name, quantity = identity
    metric, times = device.metric, sorted(device.points)
    grade = {"energy": "counter", "power": "power"}.get(quantity, CONTEXT_GRADE)
    key = StreamKey(host, name, quantity, grade, metric.component, f"{metric.exporter}-{quantity}")
    rows: list[tuple[int, int, int]] = []
    epochs: dict[str, int] = {"": 0}
    if quantity == "power":
        rows = [(at_us, device.points[at_us], 0) for at_us in times if at_us >= from_us]
    else:
        state = states.get(identity) or _last_common_state(store, key, device.points)
        for at_us in times:
            if at_us < from_us and (state is None or at_us <= state.at_us):
                continue
            if state is None:
                state = start_counter(device.points[at_us], at_us)
            elif at_us > state.at_us:
                state = update_counter(state, device.points[at_us], at_us, metric)
            else:
                continue  # already in the ledger
            rows.append((at_us, state.value_uj, epochs.setdefault(f"{_EPOCH_PREFIX}{state.epoch_us}", len(epochs))))
        if state is not None:
            states[identity] = state
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    zeros = np.zeros(len(columns), dtype=np.int64)
    return Readings(
        [key], zeros, columns[:, 0], zeros, columns[:, 1], zeros - 1, list(epochs), columns[:, 2], zeros, zeros, zeros
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
