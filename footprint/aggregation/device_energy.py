"""This file turns the samples of one host around one day into spans by device, and its CPU time by process group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from footprint.aggregation.placements import tenures_of
from footprint.attribution.energy_intervals import (
    COUNTER,
    ESTIMATE,
    MODELLED,
    POWER,
    Spans,
    clip,
    counter_spans,
    fill,
    power_spans,
)
from footprint.core.units import US_PER_DAY
from footprint.ledger.ledger_view import LedgerView, StreamInfo

CPU_QUANTITY, BUSY, CAPACITY, GROUP = "cpu", "(host)", "(capacity)", "group:"
_METHOD = {"counter": COUNTER, "power": POWER, "modelled": MODELLED, "estimate": ESTIMATE}
# One kind of reading counts at a time: a counter, a power that the agent integrated, a power, a share, an estimate.
_RANK = {
    ("energy", "counter"): 0,
    ("energy", "power"): 1,
    ("power", "power"): 2,
    ("energy", "modelled"): 3,
    ("energy", "estimate"): 4,
}
ENERGY_QUANTITIES = ("energy", "power")


@dataclass(frozen=True, slots=True)
class DeviceSpans:
    """The energy of one device around a day; ``streams`` are the series that it came from."""

    device: str
    component: str
    model: str
    spans: Spans


def device_spans(view: LedgerView, host: str, day: int) -> list[DeviceSpans]:
    """Devices of a host with the spans that touch a UTC day, sorted by name."""
    streams = [stream for stream in view.streams().get(host, []) if stream.quantity in ENERGY_QUANTITIES]
    aliases = view.aliases(host)
    found: dict[str, list[tuple[int, Spans]]] = {}
    described: dict[str, StreamInfo] = {}
    for stream in streams:
        spans = stream_spans(view, stream, day)
        if not len(spans):
            continue
        rank = _RANK.get((stream.quantity, stream.grade), len(_RANK))
        for device, since, until in tenures_of(stream.device, aliases, own_readings=True):
            part = clip(spans, np.array([since], dtype=np.int64), np.array([until], dtype=np.int64))
            if len(part):
                found.setdefault(device, []).append((rank, part))
                described.setdefault(device, stream)
    return [
        DeviceSpans(device, described[device].component, described[device].model, _best(parts))
        for device, parts in sorted(found.items())
    ]


def _best(parts: Iterable[tuple[int, Spans]]) -> Spans:
    merged = Spans.none()
    for _, spans in sorted(parts, key=lambda part: part[0]):
        merged = fill(merged, spans)
    return merged


def stream_spans(view: LedgerView, stream: StreamInfo, day: int) -> Spans:
    """Spans of one stream that touch a UTC day, whole: one across midnight stands in both days."""
    start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
    days = view.stream_days(stream.id)
    held = days.last_us >= days.first_us
    if not (held & (days.day <= day)).any() or not (held & (days.day >= day)).any():
        return Spans.none()
    samples = view.samples(stream.id, start_us, end_us)
    limits = view.gap_limits(stream.id, samples, day)
    method = _METHOD.get(stream.grade, COUNTER)
    spans = power_spans(samples, limits, method) if stream.quantity == "power" else counter_spans(samples, limits, method)
    return spans[(spans.end_us > start_us) & (spans.start_us < end_us)]


def cpu_spans(view: LedgerView, host: str, day: int) -> dict[str, Spans]:
    """CPU time [µs of CPU] by process group of a host, with ``(host)`` and ``(capacity)``."""
    found = {}
    for stream in view.streams().get(host, []):
        if stream.quantity == CPU_QUANTITY:
            spans = stream_spans(view, stream, day)
            if len(spans):
                found[stream.device.removeprefix(GROUP)] = spans
    return found
