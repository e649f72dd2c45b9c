"""Idle power of placed devices, learnt from a day and the 27 before it, with the statistics of each day.

The statistics of a day are additive and depend on that day's ledger only. They are stored with its fingerprint and computed again
only when the ledger has changed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import select

from footprint.aggregation.device_energy import DeviceEnergy, stream_intervals
from footprint.aggregation.fleet import Fleet
from footprint.attribution.energy_intervals import EnergyIntervals
from footprint.attribution.idle import LEARNING_DAYS, IdleHistograms, idle_histograms, idle_power_uw
from footprint.attribution.request_log import ConcurrencyTimeline, RequestLog, shift_log, widen_counts
from footprint.core.units import US_PER_DAY
from footprint.ledger.placements import Tenure
from footprint.storage import schema
from footprint.storage.database import table

if TYPE_CHECKING:
    from footprint.aggregation.step_fits import StepFits

Inputs = Callable[[int], str]  # day -> fingerprint of what the idle powers of that day rest on, empty without readings


class IdlePowerEstimator:
    """Idle histograms of the placed devices of one host; new ones are left in ``fresh`` to be stored."""

    def __init__(self, fleet: Fleet, fits: StepFits, host: str, inputs: Inputs) -> None:
        self._fleet, self._fits, self._host, self._inputs = fleet, fits, host, inputs
        self._tenures = fleet.host(host).tenures
        self.fresh: dict[tuple[str, int], tuple[str, IdleHistograms]] = {}
        self.idle_uw = functools.cache(self._idle_uw)

    @functools.cached_property
    def _known(self) -> dict[tuple[str, int], tuple[str, IdleHistograms]]:
        """Stored histograms, read on first use: a query that computes nothing needs none of them."""
        target = table(schema.Statistics)
        keys = {self._key(tenure) for tenure in self._tenures}
        statement = select(target).where(target.c.stream_key.in_(sorted(keys)))
        if self._fleet.view.limits is not None:
            statement = statement.where(target.c.day.between(*self._fleet.view.limits))
        rows = self._fleet.view.connection.execute(statement)
        return {(row.stream_key, row.day): (row.inputs, IdleHistograms.from_json(json.loads(row.content))) for row in rows}

    def _key(self, tenure: Tenure) -> str:
        return f"{self._host}/{tenure.device}/{tenure.service}"

    def _idle_uw(self, tenure: Tenure, day: int) -> int | None:
        """Idle power [µW] of a device loaded with a service, as learnt for a day; None where it cannot be learnt."""
        days = []
        for earlier_day in range(day - LEARNING_DAYS + 1, day + 1):
            inputs = self._inputs(earlier_day)
            if not inputs:
                continue
            key = self._key(tenure), earlier_day
            if self._known.get(key, ("", None))[0] != inputs:
                devices = self._fleet.devices(self._host, earlier_day)
                self._known[key] = self.fresh[key] = (inputs, self._learn(tenure, earlier_day, devices))
            days.append(self._known[key][1])
        return idle_power_uw(days)

    def _learn(self, tenure: Tenure, day: int, devices: Sequence[DeviceEnergy]) -> IdleHistograms:
        start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
        series = [device.intervals for device in devices if device.device == tenure.device]
        if not series:
            return IdleHistograms()
        # All tenures of the service on the device contribute: they share one idle power.
        tenures = [h for h in self._tenures if (h.device, h.service) == (tenure.device, tenure.service)]
        intervals = series[0]
        inside = np.zeros(len(intervals), dtype=bool)
        for t in tenures:
            inside |= (intervals.start_us >= t.since_us) & (intervals.end_us <= t.until_us)
        intervals = intervals[inside]
        if not len(intervals):
            return IdleHistograms()
        services = sorted(
            {h.service for h in self._tenures if h.device == tenure.device and h.since_us < end_us and h.until_us > start_us}
        )
        timeline = self._fits.quiet_timeline(tuple(services), day, self._host, devices)
        hosts = self._fits.pooled_hosts(tenure.service, day) if len(services) == 1 else 1
        return idle_histograms(intervals, timeline, (start_us, end_us), self._busy(tenure.device, day), hosts)

    def _busy(self, device: str, day: int) -> EnergyIntervals | None:
        """Time in which a device computed, as intervals; None where no agent reports it."""
        streams = self._fleet.host(self._host).streams
        busy = next((stream for stream in streams if (stream.device, stream.quantity) == (device, "busy_us")), None)
        return None if busy is None else stream_intervals(self._fleet.view, busy, day)


def quiet_timeline(logs: Sequence[tuple[RequestLog, int]], day: int) -> ConcurrencyTimeline:
    """Requests of several services whose clocks are off by some µs, with every count widened to where it may have run."""
    shifted = [shift_log(widen_counts(log), offset_us) for log, offset_us in logs]
    edges = np.array([day * US_PER_DAY, (day + 1) * US_PER_DAY], dtype=np.int64)
    return ConcurrencyTimeline(_concat_logs(shifted), edges)


def _concat_logs(logs: Sequence[RequestLog]) -> RequestLog:
    """One log of several services; keys do not matter here."""
    if len(logs) == 1:
        return logs[0]
    return RequestLog(*(np.concatenate([getattr(log, name) for log in logs]) for name in RequestLog.__slots__))
