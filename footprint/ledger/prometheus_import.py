"""This file reads raw samples of energy and power from a Prometheus or a VictoriaMetrics, and brings them into the ledger.

Raw samples, never ``increase()``: that extrapolates, and two servers give two answers. A series goes on from where the
ledger ends, so that a backfill may be stopped and begun again, in any pieces that follow each other.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import select

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
from footprint.ledger.energy_file import Readings, StreamKey
from footprint.ledger.importers import ImportResult, import_readings
from footprint.ledger.stream_ids import StreamIds
from footprint.ledger.wire_format import CONTEXT_GRADE
from footprint.storage import schema
from footprint.storage.database import Store, table

CHUNK_US = 3600 * US_PER_S
LOOK_BACK_US = 600 * US_PER_S  # where the ledger ends, a sample that both hold joins what follows to it
_EPOCH_PREFIX = "prometheus/"
Fetch = Callable[[str, dict[str, str]], bytes]
Points = dict[int, int]  # instant [µs] -> value [µJ or µW]


@dataclass(slots=True)
class _DeviceSamples:
    entry: ExporterMetric
    points: Points = field(default_factory=dict)


def http_fetcher(url: str) -> Fetch:
    """Asks one server; a path of its API and the parameters give the body."""
    import httpx  # noqa: PLC0415 - an extra

    client = httpx.Client(base_url=url.rstrip("/"), timeout=60)

    def fetch(path: str, parameters: dict[str, str]) -> bytes:
        try:
            answer = client.get(path, params=parameters)
            answer.raise_for_status()
        except httpx.HTTPError as bad:
            raise SourceUnavailable(f"{url}: {bad}") from None
        return answer.content

    return fetch


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
    """Readings of [from, to) that the server holds of every metric of the table.

    Raises
    ------
    SourceUnavailable
        If the server does not answer.
    Overlap
        If two exporters show the same energy of a host; nothing is stored then.
    """
    ask = fetch or http_fetcher(url)
    names = metric_names(ask, from_us, to_us, exporter)
    streams = StreamIds(store)
    check_overlap(_exporters_by_host(ask, names, from_us, to_us, exporter, host_label))
    known: dict[tuple[str, str, str], CorrectedCounter] = {}

    def parts() -> Iterator[tuple[Readings, list[int]]]:
        for start_us in range(from_us - LOOK_BACK_US, to_us, CHUNK_US):
            end_us = min(start_us + CHUNK_US, to_us)
            found = _devices(ask, names, start_us, end_us, exporter, host_label)
            for place, device in sorted(found.items(), key=lambda item: item[0]):
                readings = _readings(store, place, device, known, from_us)
                if len(readings):
                    yield readings, streams.resolve(readings.streams)

    said = f"{url} {format_instant(from_us)}/{format_instant(to_us)}"
    return import_readings(store, said, parts(), now_us)


def _fetch_json(ask: Fetch, path: str, parameters: dict[str, str]) -> Any:
    try:
        found = json.loads(ask(path, parameters))
    except ValueError:
        raise SourceUnavailable(f"{path}: the answer is not JSON") from None
    if not isinstance(found, dict) or found.get("status") != "success":
        raise SourceUnavailable(f"{path}: {found.get('error', 'no success') if isinstance(found, dict) else 'no object'}")
    return found["data"]


def metric_names(ask: Fetch, from_us: int, to_us: int, exporter: str) -> list[str]:
    """Names that the server knows and the table holds."""
    window = {"start": repr(from_us / US_PER_S), "end": repr(to_us / US_PER_S)}
    found = _fetch_json(ask, "/api/v1/label/__name__/values", window)
    return [name for name in sorted(found) if any(not exporter or entry.exporter == exporter for entry in metrics_named(name))]


def _exporters_by_host(
    ask: Fetch, names: list[str], from_us: int, to_us: int, exporter: str, host_label: str
) -> Mapping[tuple[str, str], set[str]]:
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    window = {"start": repr(from_us / US_PER_S), "end": repr(to_us / US_PER_S)}
    for name in names:
        for labels in _fetch_json(ask, "/api/v1/series", {"match[]": name} | window):
            for entry in metrics_named(name):
                if entry.device_of(labels) and (not exporter or entry.exporter == exporter):
                    seen[series_host(labels, host_label), entry.group].add(entry.exporter)
    return seen


def _devices(
    ask: Fetch, names: list[str], start_us: int, end_us: int, exporter: str, host_label: str
) -> dict[tuple[str, str, str], _DeviceSamples]:
    """Points of a stretch of time by host, device and quantity, duplicates settled."""
    found: dict[tuple[str, str, str], _DeviceSamples] = {}
    preferred: dict[tuple[str, str, str], int] = {}
    for name in names:
        for labels, values in fetch_samples(ask, name, start_us, end_us):
            for entry in metrics_named(name):
                device = entry.device_of(labels)
                if device is None or (exporter and entry.exporter != exporter):
                    continue
                place = series_host(labels, host_label), device, entry.quantity
                rank = entry.rank(labels)
                if rank > preferred.get(place, rank):
                    continue
                if rank < preferred.get(place, rank):
                    found.pop(place, None)
                preferred[place] = rank
                _merge_samples(found.setdefault(place, _DeviceSamples(entry)), values)
    return found


def fetch_samples(ask: Fetch, name: str, start_us: int, end_us: int) -> Iterator[tuple[dict[str, str], list[tuple[int, float]]]]:
    """(labels, raw samples in order) of each series of a metric over [start, end)."""
    found: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = defaultdict(list)
    for begin_us in range(start_us, end_us, CHUNK_US):
        close_us = min(begin_us + CHUNK_US, end_us)
        seconds = -(-(close_us - begin_us) // US_PER_S)
        query = {"query": f"{name}[{seconds}s]", "time": repr((close_us - 1) / US_PER_S)}
        for series in _fetch_json(ask, "/api/v1/query", query)["result"]:
            samples = ((round(float(at_s) * US_PER_S), float(text)) for at_s, text in series["values"])
            # The window of a server may be closed at both ends.
            found[tuple(sorted(series["metric"].items()))] += [each for each in samples if begin_us <= each[0] < close_us]
    yield from ((dict(labels), values) for labels, values in found.items())


def _merge_samples(device: _DeviceSamples, values: list[tuple[int, float]]) -> None:
    for at_us, raw in values:
        value = device.entry.to_micro(raw)
        if value is None:
            continue
        before = device.points.get(at_us)
        if before is not None:
            value = device.entry.combine(before, value)
        device.points[at_us] = value


def _readings(
    store: Store,
    place: tuple[str, str, str],
    device: _DeviceSamples,
    known: dict[tuple[str, str, str], CorrectedCounter],
    from_us: int,
) -> Readings:
    """Readings of one device from ``from_us`` on; a counter goes on from the last sample that the ledger holds too."""
    host, name, quantity = place
    entry, times = device.entry, sorted(device.points)
    grade = {"energy": "counter", "power": "power"}.get(quantity, CONTEXT_GRADE)
    key = StreamKey(host, name, quantity, grade, entry.component, f"{entry.exporter}-{quantity}")
    rows: list[tuple[int, int, int]] = []
    epochs: dict[str, int] = {"": 0}
    if quantity == "power":
        rows = [(at_us, device.points[at_us], 0) for at_us in times if at_us >= from_us]
    else:
        state = known.get(place) or _last_common_state(store, key, device.points)
        for at_us in times:
            if at_us < from_us and (state is None or at_us <= state.at_us):
                continue
            if state is None:
                state = start_counter(device.points[at_us], at_us)
            elif at_us > state.at_us:
                state = update_counter(state, device.points[at_us], at_us, entry)
            else:
                continue  # the ledger holds it
            rows.append((at_us, state.value_uj, epochs.setdefault(f"{_EPOCH_PREFIX}{state.epoch_us}", len(epochs))))
        if state is not None:
            known[place] = state
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    none = np.zeros(len(columns), dtype=np.int64)
    return Readings([key], none, columns[:, 0], none, columns[:, 1], none - 1, list(epochs), columns[:, 2], none, none, none)


def _last_common_state(store: Store, key: StreamKey, points: Points) -> CorrectedCounter | None:
    """The counter at the last instant that both the server and the ledger hold, None where there is none."""
    stream, name, reading = table(schema.Stream), table(schema.Name), table(schema.Reading)
    with store.read() as connection:
        texts = select(name.c.text, name.c.id).where(name.c.text.in_([key.host, key.device]))
        names: dict[str, int] = {row.text: row.id for row in connection.execute(texts)}
        if not points or not {key.host, key.device} <= set(names):
            return None
        mine = (
            (stream.c.host_id == names[key.host])
            & (stream.c.device_id == names[key.device])
            & (stream.c.quantity == key.quantity)
            & (stream.c.grade == key.grade)
        )
        found = connection.execute(
            select(reading.c.time_us, reading.c.value, name.c.text)
            .join(stream, stream.c.id == reading.c.stream_id)
            .join(name, name.c.id == reading.c.epoch_id)
            .where(mine, reading.c.time_us >= min(points), reading.c.time_us <= max(points))
            .order_by(reading.c.time_us.desc())
        )
        for at_us, value_uj, epoch in found:
            if at_us in points and epoch.startswith(_EPOCH_PREFIX):
                return CorrectedCounter(points[at_us], at_us, value_uj, int(epoch.removeprefix(_EPOCH_PREFIX)))
    return None
