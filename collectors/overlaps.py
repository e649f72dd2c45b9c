"""Overlaps of sensors: of two that measure one energy of a host, one counts and the other is its witness; pure.

The table ``OVERLAPS`` holds what contains what. Beside it stand the rules of one device with several sources:

- The second source of a device with a grade that another source has already gets the suffix ``-witness``. It counts only
  while no other source of the device is good. Local sensors come before scraped ones, in the order of the registry.
- An estimate gives way to whatever measures its component.
- A scraped device is matched with a local one by its name, its alias or its UUID. One that matches none, of a component
  that local sensors measure, would be counted twice and is set aside.
- An integrated GPU shows the power of the CPU's package: its sources become sources of that package.

A source counts for these rules while it delivers and nothing contradicts it, so every rule is applied again and again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from collectors.base import Scope
from footprint.core.records import WITNESS, grade_of
from footprint.core.samples import Channel, Sample
from footprint.core.units import PJ_PER_UJ, US_PER_S

MIN_SILENT_US = 10 * US_PER_S
SILENT_PERIODS = 3
CHECK_US = 5 * US_PER_S  # between two looks at who has fallen silent
MAX_SOURCES = 5_000  # of one host; an exporter may be hostile

# A GPU that may be integrated is compared with the packages over this time, and withheld until then.
COMPARED_US = 20 * US_PER_S
MAX_LEVEL_DIFFERENCE = 0.15  # of the larger; integrated GPUs show the filtered power of the package
MAX_STRIKES = 3  # comparisons in a row after which a GPU with another level is a board of its own


class Overlap(NamedTuple):
    """What contains what: patterns of "component source", and why in one sentence."""

    whole: re.Pattern[str]
    part: re.Pattern[str]
    reason: str


OVERLAPS = tuple(
    Overlap(re.compile(whole), re.compile(part), reason)
    for whole, part, reason in (
        (r"gpu nvml-(?:energy|power)-module", r"(?:cpu|dram) .*", "the module that NVML reads contains its CPU and its memory"),
        (r"cpu rapl-psys", r"(?:cpu (?!rapl-psys)|dram ).*", "psys measures the platform, which contains packages and memory"),
        (r"cpu acpi-power", r"dram estimate", "the power meter of the socket contains its memory"),
    )
)


_VENDOR_OF_SOURCE = (
    (re.compile(r"nvml-|dcgm|triton|zeus|aitra|nvidia"), "nvidia"),
    (re.compile(r"amd"), "amd"),
    (re.compile(r"xe-|i915-|intel|xpum"), "intel"),
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(slots=True)
class DeviceSource:
    """One source of one device: when it delivered last, and what became of it."""

    channel: Channel
    grade: str
    rank: int  # of its collector in the registry
    is_local: bool
    last_us: int
    is_fresh: bool = True
    is_witness: bool = False  # from the first time on that a better source of its grade delivered
    passes_as: Channel | None = None
    aside: str = ""  # why it is set aside; empty if it passes

    @property
    def key(self) -> tuple[str, str]:
        """Device and source as they come from the sensor."""
        return self.channel.device, self.channel.source


@dataclass(slots=True)
class _Level:
    """Energy of a source since a comparison began."""

    last: Sample
    energy_uj: int = 0

    def add(self, sample: Sample) -> None:
        """Add the energy between the last sample and this one; a counter that was reset adds nothing."""
        before = self.last
        if sample.counter_uj is not None and before.counter_uj is not None:
            delta_uj = sample.counter_uj - before.counter_uj
            self.energy_uj += delta_uj if delta_uj >= 0 else max(delta_uj + (sample.channel.wrap_uj or 0), 0)
        elif sample.power_uw is not None and before.power_uw is not None:
            self.energy_uj += (sample.power_uw + before.power_uw) * (sample.mono_us - before.mono_us) // 2 // PJ_PER_UJ
        self.last = sample


class OverlapFilter:
    """Samples of all sources of a host, each under the name by which it counts; those that would count twice are set aside.

    ``distrusted`` are sources, by the device and source under which they pass, that their witness contradicts: they are
    still passed on, and give way to others. ``scopes`` are the scopes of the collectors' devices, ``known`` the aliases of
    devices that a collector knows, read or not.
    """

    def __init__(self) -> None:
        self.distrusted: set[tuple[str, str]] = set()
        self.scopes: Mapping[str, Scope] = {}
        self.known: Mapping[str, str] = {}
        self.sources: dict[tuple[str, str], DeviceSource] = {}
        self.skipped = 0  # samples of more sources than a host can have
        self._package_of: dict[str, str] = {}  # of GPUs whose level is that of a package
        self._boards: set[str] = set()  # GPUs whose level is their own
        self._strikes: dict[str, int] = {}
        self._levels: dict[tuple[str, str], _Level] = {}
        self._compared_since_us = -1
        self._withheld: dict[str, list[Sample]] = {}
        self._checked_us = 0
        self._decided_for: tuple[object, ...] = ()

    def accept(self, samples: Iterable[tuple[int, bool, Sample]], mono_us: int, sample_us: int = US_PER_S) -> list[Sample]:
        """Samples that pass, of (rank, whether the sensor is local, sample)."""
        batch: list[tuple[DeviceSource, Sample]] = []
        is_changed = self._decided_for != (self.distrusted, self.scopes, self.known)
        sources = self.sources
        for rank, is_local, sample in samples:
            channel = sample.channel
            key = channel.device, channel.source
            source = sources.get(key)
            if source is None:
                if len(sources) >= MAX_SOURCES:
                    self.skipped += 1
                    continue
                grade = grade_of(channel.source, counter=sample.counter_uj is not None)
                source = sources[key] = DeviceSource(channel, grade, rank, is_local, mono_us)
                is_changed = True
            elif not source.is_fresh or (channel is not source.channel and channel != source.channel):
                is_changed = True
            source.channel, source.last_us, source.is_fresh = channel, mono_us, True
            batch.append((source, sample))
        if mono_us >= self._checked_us + CHECK_US:
            is_changed = self._has_silence(mono_us, sample_us) or is_changed
        if is_changed:
            self._decide()
        if self._levels or self._candidates():
            self._compare(batch, mono_us)
        accepted = []
        for source, sample in batch:
            channel_out = source.passes_as
            if channel_out is source.channel:
                accepted.append(sample)
            elif channel_out is not None:
                accepted.append(sample._replace(channel=channel_out))
        if self._withheld:
            accepted = [*self._released(mono_us), *accepted]
        return accepted

    def delivers(self, component: str) -> bool:
        """Whether something that is no estimate delivers the energy of a component now, alone or within a whole."""
        for source in self.sources.values():
            channel = source.passes_as
            if channel is not None and source.grade != "estimate" and self._is_good(source):
                whole = f"{channel.component} {channel.source}"
                if channel.component == component or any(
                    overlap.whole.fullmatch(whole) and overlap.part.fullmatch(f"{component} estimate") for overlap in OVERLAPS
                ):
                    return True
        return False

    def is_distrusted(self, source: DeviceSource) -> bool:
        """Whether the witness of a source contradicts it."""
        channel = source.passes_as or source.channel
        return (channel.device, channel.source) in self.distrusted

    def _is_good(self, source: DeviceSource) -> bool:
        return source.is_fresh and not self.is_distrusted(source)

    def _has_silence(self, mono_us: int, sample_us: int) -> bool:
        """Note the sources that fell silent; whether any did."""
        self._checked_us = mono_us
        has_silence = False
        for source in self.sources.values():
            elapsed_us = mono_us - source.last_us
            if elapsed_us and source.is_fresh:
                source.is_fresh = elapsed_us <= max(MIN_SILENT_US, SILENT_PERIODS * max(source.channel.period_us, sample_us))
                has_silence = has_silence or not source.is_fresh
        return has_silence

    def _decide(self) -> None:
        """Decide what becomes of every source."""
        self._decided_for = set(self.distrusted), dict(self.scopes), dict(self.known)
        ranked = sorted(self.sources.values(), key=self._order)
        packages = self._packages()
        good = {id(source) for source in ranked if self._is_good(source)}
        wholes = [f"{source.channel.component} {source.channel.source}" for source in ranked if id(source) in good]
        decided: list[tuple[DeviceSource, Channel]] = []
        grades: set[tuple[str, str]] = set()
        for source in ranked:
            channel, source.aside = self._as_this_host_names_it(source, decided, packages)
            source.aside = source.aside or self._within(source, channel, wholes, decided)
            source.passes_as = None
            if source.aside:
                continue
            if any(
                other.is_fresh and other.grade == source.grade and other_channel.device == channel.device
                for other, other_channel in decided
            ):
                source.is_witness = True
            name = channel.source + WITNESS if source.is_witness and not channel.source.endswith(WITNESS) else channel.source
            # The ledger holds one series of each grade of a device.
            grade = "witness" if source.is_witness else source.grade
            if any(series in grades for series in ((channel.device, grade), (channel.device, name))):
                source.aside = f"{channel.device} has another {'witness' if source.is_witness else 'sensor of this kind'} already"
                continue
            if source.is_fresh:
                grades |= {(channel.device, grade), (channel.device, name)}
            source.passes_as = channel if name == channel.source else replace(channel, source=name)
            decided.append((source, channel))

    def _order(self, source: DeviceSource) -> tuple[bool, bool, bool, int]:
        """Order in which sources are preferred: a package's own sensor before the GPU that is integrated in it."""
        is_integrated = self.scopes.get(source.channel.device, Scope.BOARD) is not Scope.BOARD
        return source.grade == "estimate", not source.is_local, is_integrated, source.rank

    def _within(
        self, source: DeviceSource, channel: Channel, wholes: Sequence[str], decided: list[tuple[DeviceSource, Channel]]
    ) -> str:
        """Why the energy of a source is within what another counts; empty if it is not."""
        part = f"{channel.component} {channel.source}"
        for overlap in OVERLAPS:
            if overlap.part.fullmatch(part) and any(overlap.whole.fullmatch(whole) for whole in wholes):
                return overlap.reason
        if source.grade == "estimate" and any(
            other_channel.component == channel.component and self._is_good(other) for other, other_channel in decided
        ):
            return f"the {channel.component} is measured"
        return ""

    def _packages(self) -> list[str]:
        """CPU packages with a counter of their own, in order."""
        return sorted(
            {
                source.channel.device
                for source in self.sources.values()
                if source.is_local and source.is_fresh and source.channel.component == "cpu" and source.grade == "counter"
            }
        )

    def _as_this_host_names_it(
        self, source: DeviceSource, decided: list[tuple[DeviceSource, Channel]], packages: list[str]
    ) -> tuple[Channel, str]:
        """Channel of a source with the device that this host's sensors give it, and why it cannot be counted."""
        channel = source.channel
        if channel.component == "host":
            return self._as_wall(source, decided)
        return self._as_package(channel, packages) if source.is_local else self._as_local(source, decided)

    def _as_package(self, channel: Channel, packages: list[str]) -> tuple[Channel, str]:
        device = channel.device
        scope = self.scopes.get(device, Scope.BOARD)
        package = self._package_of.get(device, "")
        if scope is Scope.PACKAGE:
            integrated = sorted(name for name, other in self.scopes.items() if other is Scope.PACKAGE)
            index = integrated.index(device)
            if packages and len(packages) != len(integrated):
                return channel, "it measures a CPU's package, and it is not known which"
            package = packages[index] if packages else f"cpu:{index}"
        elif scope is Scope.PACKAGE_OR_BOARD and not package and packages and device not in self._boards:
            return channel, "it is compared with the packages of the CPU, whose power some integrated GPUs show"
        return (replace(channel, device=package, component="cpu", alias="", parts=()) if package else channel), ""

    def _as_wall(self, source: DeviceSource, decided: list[tuple[DeviceSource, Channel]]) -> tuple[Channel, str]:
        channel = source.channel
        walls = {
            other_channel.device
            for other, other_channel in decided
            if other_channel.component == "host" and other.channel.source != channel.source and self._is_good(other)
        }
        if not walls or channel.device in walls:
            return channel, ""
        if len(walls) > 1:
            return channel, f"{len(walls)} other meters of the whole server are read, and it is not known which it repeats"
        return replace(channel, device=walls.pop()), ""

    def _as_local(self, source: DeviceSource, decided: list[tuple[DeviceSource, Channel]]) -> tuple[Channel, str]:
        channel = source.channel
        local = {
            other_channel.device: other_channel
            for other, other_channel in decided
            if other.is_local and other_channel.component == channel.component and self._is_good(other)
        }
        name = _plain_name(channel.device)
        aliases = {**{device: other.alias for device, other in local.items()}, **self.known}
        if any("@" in d and _plain_name(d).partition("@")[0] == name for d in aliases):
            return channel, "several boards of this host have its UUID, and it is not known of which it is"
        device = next((d for d, alias in aliases.items() if _plain_name(d) == name or (alias and alias == channel.device)), "")
        if device in local and local[device].parts:
            return channel, "the instances of the board share the energy that its own sensor counts"
        if device:
            return (channel if device == channel.device else replace(channel, device=device)), ""
        vendor = _vendor_of(channel.source)
        rivals = [
            other.device
            for other in local.values()
            if channel.component != "gpu" or not vendor or _vendor_of(other.source) in ("", vendor)
        ]
        is_another_board = channel.component == "gpu" and all(_UUID.search(_plain_name(d)) for d in (channel.device, *rivals))
        if rivals and not is_another_board:
            return channel, f"its name matches none of {', '.join(sorted(rivals)[:4])}, which are read here: it would count twice"
        return channel, ""

    def _candidates(self) -> list[DeviceSource]:
        """Local GPUs that may be integrated."""
        return (
            [
                source
                for source in self.sources.values()
                if source.is_local
                and self.scopes.get(source.channel.device) is Scope.PACKAGE_OR_BOARD
                and source.channel.device not in self._boards
            ]
            if self.scopes
            else []
        )

    def _compare(self, batch: Sequence[tuple[DeviceSource, Sample]], mono_us: int) -> None:
        """Compare GPUs that may be integrated with the packages, and withhold their samples until the first result."""
        packages, candidates = self._packages(), {source.channel.device for source in self._candidates()}
        if not packages or not candidates:
            self._levels.clear()
            self._compared_since_us = -1
            return
        if self._compared_since_us < 0:
            self._compared_since_us = mono_us
        for source, sample in batch:
            device = source.channel.device
            if device not in candidates and not (device in packages and source.grade == "counter"):
                continue
            level = self._levels.get(source.key)
            if level is None:
                self._levels[source.key] = _Level(sample)
            else:
                level.add(sample)
            if device in candidates and device not in self._package_of:
                self._withheld.setdefault(device, []).append(sample)
        if mono_us - self._compared_since_us >= COMPARED_US:
            for device in candidates:
                self._conclude(device, packages)
            self._levels.clear()
            self._compared_since_us = -1
            self._decide()

    def _conclude(self, device: str, packages: Sequence[str]) -> None:
        energies_uj: dict[str, int] = {}
        for (name, _), level in self._levels.items():
            energies_uj[name] = max(energies_uj.get(name, 0), level.energy_uj)
        own_uj = energies_uj.get(device, 0)
        equal = [
            name
            for name in ([self._package_of[device]] if device in self._package_of else packages)
            if abs(energies_uj.get(name, 0) - own_uj) <= MAX_LEVEL_DIFFERENCE * max(energies_uj.get(name, 0), own_uj)
        ]
        if equal:
            self._package_of.setdefault(device, equal[0])
            self._strikes.pop(device, None)
            self._withheld.pop(device, None)
            return
        self._strikes[device] = self._strikes.get(device, 0) + 1
        if self._strikes[device] >= MAX_STRIKES:
            self._package_of.pop(device, None)
            self._boards.add(device)

    def _released(self, mono_us: int) -> Iterator[Sample]:
        """Earlier samples of GPUs that proved to be boards of their own, or lost what they are compared with."""
        packages = self._packages()
        for device in list(self._withheld):
            if device in self._boards or not packages:
                yield from (sample for sample in self._withheld.pop(device) if sample.mono_us < mono_us)


def _plain_name(device: str) -> str:
    return device.lower().removeprefix("gpu-")


def _vendor_of(source: str) -> str:
    return next((vendor for pattern, vendor in _VENDOR_OF_SOURCE if pattern.match(source)), "")
