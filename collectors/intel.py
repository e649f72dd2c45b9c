"""Intel GPU collector: energy counters of the drivers xe and i915.

Requirements: /sys/class/hwmon of the driver; no root.

Metrics
-------
energy   energy1_input [µJ], the card, else the package; device gpu-<bus>, source xe-energy or i915-energy

These counters jump by terawatts at some changes of power state: an increase above the card's limit x time is not credible.
"""

from __future__ import annotations

from collections.abc import Iterator

from collectors.base import Collector, Unavailable
from collectors.config import AgentConfig
from collectors.hwmon import HwmonDevice, find_monitors
from footprint.core.samples import Channel, Sample

LIMIT_TOLERANCE = 1.2


class IntelCollector(Collector):
    """Energy of every Intel GPU with an energy counter."""

    name = "intel"
    covers = "gpu-intel"

    def __init__(self, config: AgentConfig) -> None:
        self._cards: list[tuple[HwmonDevice, Channel]] = []
        for card in find_monitors(config.sysfs, "xe", "i915"):
            if card.read_int("energy1_input") is None or any(
                channel.device.endswith(card.bus_address) for _, channel in self._cards
            ):
                continue
            limit_uw = card.read_int("power1_max") or card.read_int("power1_rated_max") or 0
            channel = Channel(
                f"gpu-{card.bus_address}",
                "gpu",
                f"{card.driver}-energy",
                limit_uw=round(limit_uw * LIMIT_TOLERANCE),
                alias=f"xpu:{len(self._cards)}",
                model="Intel",
            )
            self._cards.append((card, channel))
        if not self._cards:
            raise Unavailable("Intel GPU: no card with an energy counter (drivers xe, i915)")

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """One sample per card; none for a card that cannot be read."""
        for card, channel in self._cards:
            energy_uj = card.read_int("energy1_input")
            if energy_uj is not None:
                yield Sample(channel, at_us, mono_us, energy_uj)
