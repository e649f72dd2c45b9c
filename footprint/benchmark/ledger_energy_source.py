"""Energy source from the ledger: readings of another host that runs the model and whose agent ships them here.

The agent samples about once a second with a clock of its own: over a minute the error is at most about a percent if both
clocks follow NTP. Readings arrive some ten seconds after their time, so the source waits for them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from footprint.benchmark.energy_source import (
    EnergyWatch,
    Machine,
    count_updates,
    device_models,
    device_places,
    energy_between,
    select_devices,
    without_host_meters,
)
from footprint.benchmark.result import Energy
from footprint.core.records import EnergyReading
from footprint.core.units import US_PER_S
from footprint.ledger.ledger_view import LedgerView
from footprint.notebook.measurement import CannotMeasure
from footprint.storage.database import Store

TIMEOUT_S, POLL_S = 120, 2
_SOURCE_BY_GRADE = {"counter": "counter", "modelled": "counter-mig", "power": "power", "estimate": "estimate"}


@dataclass(frozen=True, slots=True)
class LedgerEnergySource:
    """Readings of one host in a store; ``devices`` by place or identity, all if empty."""

    store: Store
    host: str
    devices: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """See `EnergySource.kind`."""
        return "ledger"

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[EnergyWatch]:
        """Take readings from now on; the host's own agent collects them.

        Raises
        ------
        CannotMeasure
            If the ledger has no cumulative reading of that host.
        """
        yield _LedgerWatch(self, time.time_ns() // 1000)


@dataclass(frozen=True, slots=True)
class _LedgerWatch:
    source: LedgerEnergySource
    since_us: int

    def _readings(self, until_us: int) -> list[EnergyReading]:
        return select_devices(
            cumulative_readings(self.source.store, self.source.host, self.since_us, until_us), self.source.devices
        )

    def updates(self, begin_us: int, end_us: int) -> int:
        """Changes in the readings that have arrived."""
        return count_updates(self._readings(end_us), begin_us, end_us)

    async def energy(self, begin_us: int, end_us: int) -> Energy:
        """Wait for the readings, at most two minutes, then return the energy."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            readings = self._readings(end_us)
            last = {reading.device: reading.at_us for reading in readings}
            if last and min(last.values()) > end_us:
                return energy_between(readings, begin_us, end_us)
            if time.monotonic() > deadline:
                raise CannotMeasure(
                    f"the ledger has no readings of {self.source.host} over this point; does its agent run and ship here, "
                    "and is the host's name the one that it ships under?"
                )
            await asyncio.sleep(POLL_S)

    def machine(self) -> Machine:
        """Devices as the ledger knows them; driver and power limit are unknown."""
        readings = without_host_meters(self._readings(time.time_ns() // 1000))
        return Machine(self.source.host, device_models(readings), device_places(readings), "", None)


def cumulative_readings(store: Store, host: str, begin_us: int, end_us: int) -> list[EnergyReading]:
    """Cumulative readings of a host from just before to just after a time span [µs], as agent records."""
    readings = []
    with store.read() as connection:
        view = LedgerView(store, connection)
        places = {alias.device: alias.name for alias in view.aliases(host)}
        for stream in view.streams().get(host, []):
            if stream.quantity != "energy":
                continue
            samples = view.samples(stream.id, begin_us, end_us + US_PER_S)
            columns = (samples.time_us.tolist(), samples.value.tolist(), samples.covered_us.tolist(), samples.epoch.tolist())
            readings += [
                EnergyReading(
                    host,
                    stream.device,
                    stream.component,
                    _SOURCE_BY_GRADE.get(stream.grade, stream.grade),
                    str(epoch),
                    number,
                    at_us,
                    value,
                    covered_us,
                    alias=places.get(stream.device, ""),
                    model=stream.model,
                )
                for number, (at_us, value, covered_us, epoch) in enumerate(zip(*columns, strict=True))
            ]
    return readings
