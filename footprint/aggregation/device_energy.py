"""Energy intervals of the devices of one host around one day, and its CPU time by process group."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from footprint.aggregation.ledger_judgement import ReadStream, judge_ledger
from footprint.aggregation.sensor_evidence import read_verdicts, verdicts_on
from footprint.attribution.energy_intervals import (
    COUNTER,
    ESTIMATE,
    MODELLED,
    POWER,
    EnergyIntervals,
    clip_to_windows,
    intervals_from_counter,
    intervals_from_power,
)
from footprint.attribution.sensor_doubt import JudgedSource, merge_sources
from footprint.core.device_limits import ceiling_uw
from footprint.core.units import US_PER_DAY
from footprint.ledger.ledger_view import LedgerView, StreamInfo
from footprint.ledger.placements import tenures_of

CPU_QUANTITY, BUSY, CAPACITY, GROUP = "cpu", "(host)", "(capacity)", "group:"
_METHOD = {"counter": COUNTER, "power": POWER, "witness": POWER, "modelled": MODELLED, "estimate": ESTIMATE}
# One kind of reading counts at a time, in this order: counter, power integrated by the agent, power, a second sensor of the same
# kind, share, estimate.
_RANK = {
    ("energy", "counter"): 0,
    ("energy", "power"): 1,
    ("power", "power"): 2,
    ("energy", "witness"): 3,
    ("energy", "modelled"): 4,
    ("energy", "estimate"): 5,
}
_SEVERAL = re.compile(r"(\d{1,3}) ?[x×] ", re.IGNORECASE)  # "8 x NVIDIA H100": a reading of eight boards
ENERGY_QUANTITIES = ("energy", "power")


@dataclass(frozen=True, slots=True)
class DeviceEnergy:
    """Energy intervals of one device around a day."""

    device: str
    component: str
    model: str
    intervals: EnergyIntervals


def device_energies(view: LedgerView, host: str, day: int, since_us: int | None = None) -> list[DeviceEnergy]:
    """Devices of a host with the intervals that touch a UTC day (from ``since_us`` on), sorted by name."""
    streams = [stream for stream in view.streams().get(host, []) if stream.quantity in ENERGY_QUANTITIES]
    aliases, verdicts = view.aliases(host), read_verdicts(view, host, day, since_us)
    read = [ReadStream(stream, stream_intervals(view, stream, day, since_us), stream_ceiling_uw(stream)) for stream in streams]
    judged_here = judge_ledger(read, day, judged_by_agents=verdicts.keys())
    sources_of: dict[str, list[JudgedSource]] = {}
    stream_of: dict[str, StreamInfo] = {}
    for stream, intervals in ((source.stream, source.intervals) for source in read):
        if not len(intervals):
            continue
        rank = _RANK.get((stream.quantity, stream.grade), len(_RANK))
        for device, since, until in tenures_of(stream.device, aliases, own_readings=True):
            part = clip_to_windows(intervals, np.array([since], dtype=np.int64), np.array([until], dtype=np.int64))
            if len(part):
                judged = verdicts_on(stream, verdicts.get(stream.device, {}))
                judged = judged_here.get(stream.id) if judged is None else judged.completed_by(judged_here.get(stream.id))
                sources_of.setdefault(device, []).append(JudgedSource(rank, part, judged))
                stream_of.setdefault(device, stream)
    edges_us = day * US_PER_DAY if since_us is None else since_us, (day + 1) * US_PER_DAY
    return [
        DeviceEnergy(
            device,
            stream_of[device].component,
            stream_of[device].model,
            merge_sources(sources, edges_us, stream_ceiling_uw(stream_of[device])),
        )
        for device, sources in sorted(sources_of.items())
    ]


def stream_ceiling_uw(stream: StreamInfo) -> int:
    """Highest mean power [µW] that the device of a stream can draw; one reading of several boards has that of all of them."""
    several = _SEVERAL.match(stream.model)
    return ceiling_uw(stream.component, stream.model, stream.source) * (max(int(several[1]), 1) if several else 1)


def stream_intervals(view: LedgerView, stream: StreamInfo, day: int, since_us: int | None = None) -> EnergyIntervals:
    """Intervals of one stream that touch a UTC day (from ``since_us`` on), uncut: one across midnight belongs to both days.

    With ``since_us``, the spacing above which there is a gap is that of the readings from there on.
    """
    start_us, end_us = day * US_PER_DAY if since_us is None else since_us, (day + 1) * US_PER_DAY
    days = view.stream_days(stream.id)
    has_readings = days.last_us >= days.first_us
    if not (has_readings & (days.day <= day)).any() or not (has_readings & (days.day >= day)).any():
        return EnergyIntervals.empty()
    samples = view.samples(stream.id, start_us, end_us)
    limits = view.gap_limits(stream.id, samples, day, is_whole=since_us is None)
    method = _METHOD.get(stream.grade, COUNTER)
    ceiling = stream_ceiling_uw(stream) if stream.quantity in ENERGY_QUANTITIES else None
    intervals = (
        intervals_from_power(samples, limits, method, ceiling)
        if stream.quantity == "power"
        else intervals_from_counter(samples, limits, method, ceiling)
    )
    return intervals[(intervals.end_us > start_us) & (intervals.start_us < end_us)]


def cpu_times(view: LedgerView, host: str, day: int, since_us: int | None = None) -> dict[str, EnergyIntervals]:
    """CPU time [µs] by process group of a host, with ``(host)`` and ``(capacity)``."""
    times = {}
    for stream in view.streams().get(host, []):
        if stream.quantity == CPU_QUANTITY:
            intervals = stream_intervals(view, stream, day, since_us)
            if len(intervals):
                times[stream.device.removeprefix(GROUP)] = intervals
    return times
