"""Energy source of a benchmark: energy between two instants, from the sensors of this host.

`footprint.benchmark.ledger_energy_source` implements the same protocols from the readings of another host in the ledger.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from footprint.benchmark.result import Energy
from footprint.core.records import ContextReading, EnergyReading
from footprint.core.stored_forms import stored_as
from footprint.core.units import US_PER_S, UW_PER_W
from footprint.notebook.measurement import TOTAL, CannotMeasure, SensorProcess, energy_rows

SAMPLE_RATE_HZ = 10  # the maximum of the agent
_DRIVER_PATTERN = re.compile(r"NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s")
_QUALITY_SHARE = 1 / 10  # share of the energy above which a letter applies to the total (docs/reference/contract.md, section 6)


@stored_as("Machine", "host models devices driver power_limit_w")
@dataclass(frozen=True, slots=True)
class Machine:
    """Host and devices whose energy is measured; power limit in W."""

    host: str
    models: tuple[str, ...]
    devices: tuple[str, ...]
    driver: str
    power_limit_w: float | None


class EnergyWatch(Protocol):
    """Energy readings while a point is measured."""

    def updates(self, begin_us: int, end_us: int) -> int:
        """Number of observed changes of the counter with the most energy."""

    async def energy(self, begin_us: int, end_us: int) -> Energy:
        """Energy of the selected devices between two instants [µs]."""

    def machine(self) -> Machine:
        """The machine that the readings describe."""


class EnergySource(Protocol):
    """Source of energy readings."""

    @property
    def kind(self) -> str:
        """``local`` or ``ledger``."""

    def watch(self) -> AbstractAsyncContextManager[EnergyWatch]:
        """Collect readings from now on."""


@dataclass(frozen=True, slots=True)
class LocalEnergySource:
    """The sensors of this host; ``devices`` by place or identity, all if empty."""

    host: str
    devices: tuple[str, ...] = ()
    driver: str = ""
    allow_estimate: bool = False
    kind: str = "local"

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[EnergyWatch]:
        """Run the agent's sensor program while the point lasts.

        Raises
        ------
        CannotMeasure
            If no sensor can be read, or if only an estimate is available.
        """
        sensors = SensorProcess(SAMPLE_RATE_HZ)
        try:
            await asyncio.to_thread(sensors.__enter__)
            yield _LocalWatch(self, sensors)
        finally:
            await asyncio.to_thread(sensors.close)


@dataclass(frozen=True, slots=True)
class _LocalWatch:
    source: LocalEnergySource
    sensors: SensorProcess

    def _readings(self) -> list[EnergyReading]:
        return select_devices(self.sensors.readings(), self.source.devices)

    def updates(self, begin_us: int, end_us: int) -> int:
        """See `EnergyWatch.updates`."""
        return count_updates(self._readings(), begin_us, end_us)

    async def energy(self, begin_us: int, end_us: int) -> Energy:
        """Wait for a reading after the end, then return the energy."""
        await asyncio.to_thread(self.sensors.wait_for_readings_after, end_us)
        clock = _mean_clock_hz(self.sensors.context_readings(), begin_us, end_us)
        return energy_between(self._readings(), begin_us, end_us, clock, allow_estimate=self.source.allow_estimate)

    def machine(self) -> Machine:
        """Models of all devices and power limits of the GPUs, as the sensors report them."""
        readings = without_host_meters(self._readings())
        limits = {
            context.device: context.values["power_limit_uw"]
            for context in self.sensors.context_readings()
            if context.component == "gpu" and "power_limit_uw" in context.values
        }
        limit = sum(limits.values()) / UW_PER_W if limits else None
        return Machine(self.source.host, device_models(readings), device_places(readings), self.source.driver, limit)


def driver_version(proc_version: str) -> str:
    """Version of the NVIDIA driver in the text of /proc/driver/nvidia/version; empty if it has none."""
    match = _DRIVER_PATTERN.search(proc_version)
    return match.group(1) if match else ""


def select_devices(readings: Sequence[EnergyReading], devices: Sequence[str]) -> list[EnergyReading]:
    """Readings of the named devices, by place or identity; all readings if no device is named.

    Raises
    ------
    CannotMeasure
        If a named device has no reading.
    """
    if not devices:
        return list(readings)
    names = {reading.device for reading in readings} | {reading.alias for reading in readings}
    missing = sorted(set(devices) - names)
    if missing:
        available = ", ".join(sorted({reading.alias or reading.device for reading in readings}))
        raise CannotMeasure(f"no sensor reads {', '.join(missing)} here; there are {available}")
    return [reading for reading in readings if reading.device in devices or reading.alias in devices]


def without_host_meters(readings: Sequence[EnergyReading]) -> list[EnergyReading]:
    """Readings without whole-server meters if their parts are read too, which would count twice."""
    parts = [reading for reading in readings if reading.component != "host"]
    return parts or list(readings)


def device_models(readings: Sequence[EnergyReading]) -> tuple[str, ...]:
    """Models of the devices, with their number."""
    models = {reading.device: reading.model for reading in readings if reading.model}
    return tuple(f"{count} x {model}" if count > 1 else model for model, count in sorted(Counter(models.values()).items()))


def device_places(readings: Sequence[EnergyReading]) -> tuple[str, ...]:
    """Places of the devices."""
    return tuple(sorted({reading.alias or reading.device for reading in readings}))


def count_updates(readings: Sequence[EnergyReading], begin_us: int, end_us: int) -> int:
    """Observed changes of the counter with the most energy."""
    series: dict[tuple[str, str, str], list[int]] = {}
    for reading in without_host_meters(readings):
        if begin_us <= reading.at_us <= end_us:
            series.setdefault((reading.device, reading.component, reading.source), []).append(reading.energy_uj)
    if not series:
        return 0
    largest = max(series.values(), key=lambda values: values[-1] - values[0])
    return sum(before != after for before, after in pairwise(largest))


def energy_between(
    readings: Sequence[EnergyReading], begin_us: int, end_us: int, clock_hz: float | None = None, *, allow_estimate: bool = False
) -> Energy:
    """Energy [J] between two instants [µs] of all devices that were read at the begin.

    Raises
    ------
    CannotMeasure
        If a device was reset or lost in between, or if only an estimate was read.
    """
    rows = energy_rows(readings, begin_us, end_us)
    counted = without_host_meters(readings)
    parts = [row for row in rows if row["device"] != TOTAL and row["component"] in {reading.component for reading in counted}]
    lost = sorted({reading.alias or reading.device for reading in counted} - {row["device"] for row in parts})
    if lost or not parts:
        reason = f"{', '.join(lost)} was not read" if lost else "nothing was read"
        raise CannotMeasure(f"{reason} from begin to end of the point (reset, or lost)")
    if all(row["quality"] == "C" for row in parts) and not allow_estimate:
        raise CannotMeasure(
            "nothing here measures energy, there is an estimate only; `footprint doctor` names the remedy, "
            "--allow-estimate records it all the same, as quality C"
        )
    total = rows[-1]
    components: dict[str, float] = {}
    by_quality: dict[str, float] = {}
    for row in parts:
        components[row["component"]] = components.get(row["component"], 0.0) + row["energy_j"]
        by_quality[row["quality"]] = by_quality.get(row["quality"], 0.0) + row["energy_j"]
    quality = max(letter for letter, energy in by_quality.items() if energy > _QUALITY_SHARE * total["energy_j"])
    return Energy(
        begin_us,
        (end_us - begin_us) / US_PER_S,
        total["energy_j"],
        total["energy_low_j"],
        total["energy_high_j"],
        components,
        quality,
        count_updates(readings, begin_us, end_us),
        clock_hz,
    )


def _mean_clock_hz(contexts: Sequence[ContextReading], begin_us: int, end_us: int) -> float | None:
    """Mean clock of the boards' processors between two instants [µs]; None if unknown."""
    values = [
        context.values["clock_sm_hz"]
        for context in contexts
        if "clock_sm_hz" in context.values and begin_us <= context.at_us <= end_us
    ]
    return sum(values) / len(values) if values else None


def wall_us(monotonic_s: float) -> int:
    """Wall-clock instant [µs] of a reading of the monotonic clock [s], by their current offset."""
    return time.time_ns() // 1000 + round((monotonic_s - time.monotonic()) * US_PER_S)
