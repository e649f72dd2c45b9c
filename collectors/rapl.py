"""RAPL collector: CPU package and DRAM energy from the kernel's powercap.

Requirements: /sys/class/powercap/intel-rapl* (Intel, and AMD from Zen on); ``energy_uj`` must be readable: since
Linux 5.10 by root only, unless the administrator gives it to a group (deploy/60-footprint-rapl.rules).

Metrics
-------
package   energy_uj [µJ], restarts from 0 after max_energy_range_uj; device cpu:N
dram      energy of the memory of a package, if it has the zone; device dram:N
psys      energy of the whole platform, only with ``[agent] rapl_zone = "psys"``, and then alone; device psys:0
context   power limit: the long-term constraint, which people and power managers change; it bounds nothing

Zones nest (psys contains package, package contains core and uncore); only package and dram are ever summed.
MSR, MMIO and TPMI show the same package, which is read from the first of them that answers. Two zones of one name in one
interface are two packages. Dies that mirror one counter count once. Where the range of a counter is not known, a decrease
opens a new epoch. Zones are looked for once a minute, since packages come and go.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collectors.base import Collector, DeviceContext, PermissionRequired, SourceState, Unavailable
from collectors.config import AgentConfig
from collectors.mirrored_counters import MirroredCounters
from footprint.core.counter_correction import max_energy_uj
from footprint.core.samples import Channel, Sample
from footprint.core.sensor_verdicts import Reason, SensorState

_PACKAGE = re.compile(r"^package-(\d+)(?:-die-(\d+))?$")
_INTERFACES = ("intel-rapl:", "intel-rapl-tpmi:", "intel-rapl-mmio:")  # a package is read from the first that answers
# A platform of processors and memory; a higher ceiling would hide wraps of a register of 262 kJ.
MAX_PSYS_UW = 20_000 * 1_000_000
_MAX_LIMIT_UW = 2_000 * 1_000_000  # "no limit" is written as several thousand watts
_PERMISSION = (
    "{0} is readable by root only (since Linux 5.10): install deploy/60-footprint-rapl.rules as "
    "/etc/udev/rules.d/60-footprint-rapl.rules, then: sudo udevadm trigger -c add -s powercap"
)
_MAX_BYTES = 32
SCAN_US = 60 * 1_000_000
MAX_FAILURES = 5  # in a row, after which a zone is looked for again at once
MIN_JUMPS = 5  # after which a counter is said to jump


@dataclass(frozen=True, slots=True)
class _Place:
    """One measured quantity of this host, and the zones that show it, the preferred first."""

    device: str
    component: str
    group: str  # of zones that may mirror one counter
    paths: tuple[Path, ...]


@dataclass(slots=True)
class _Zone:
    place: _Place
    path: Path
    descriptor: int
    channel: Channel
    max_step_uj: int  # between two samples
    last_uj: int = 0
    read_us: int = -1
    failures: int = 0
    error: str = ""
    limit_uw: int = 0
    falls: int = 0  # by more than a wrap explains
    leaps: int = 0  # by more than the device can draw


class RaplCollector(Collector):
    """Energy of each CPU package and of its memory."""

    name = "rapl"
    covers = "cpu"

    def __init__(self, config: AgentConfig) -> None:
        self._root = config.sysfs / "class" / "powercap"
        self._zone_kind = config.rapl_zone
        self._period_us = round(config.sample_s * 1e6)
        self._model = _cpu_model(config.proc)
        self._zones: list[_Zone] = []
        self._unread: dict[str, SourceState] = {}  # by device
        self._notes: dict[str, str] = {}
        self._scanned_us = -1
        self._names: frozenset[str] = frozenset()
        self._mirrored = MirroredCounters({})
        self._scan()
        if not self._zones:
            for state in self._unread.values():
                raise PermissionRequired(f"RAPL: {state.message}")
            raise Unavailable(f"RAPL: no {config.rapl_zone} zone under {self._root} (a virtual machine?)")

    def _look_again(self, mono_us: int) -> None:
        """Once a minute, read the limits again, and look for zones if any came, went, or cannot be read."""
        is_first, self._scanned_us = self._scanned_us < 0, mono_us
        if not is_first and (self._unread or any(zone.failures for zone in self._zones) or _names(self._root) != self._names):
            self._scan()
        for zone in self._zones:
            zone.limit_uw = _limit_uw(zone.path)

    def _scan(self) -> None:
        """Open the zones that are not open, and close those that are gone."""
        self._names = _names(self._root)
        places = {place.device: place for place in _places(self._root, psys=self._zone_kind == "psys")}
        is_changed = False
        for zone in list(self._zones):
            place = places.get(zone.place.device)
            if place is None or zone.path not in place.paths or zone.failures >= MAX_FAILURES:
                os.close(zone.descriptor)
                self._zones.remove(zone)
                is_changed = True
                message = f"{zone.place.device}: its zone {zone.path.name} was read and is gone"
                self._unread[zone.place.device] = self._state(zone.place, SensorState.GONE, Reason.WAS_SEEN, message)
        open_devices = {zone.place.device for zone in self._zones}
        for device, place in places.items():
            if device not in open_devices:
                is_changed = self._open_first(place) or is_changed
        if is_changed:
            order = list(places)
            self._zones.sort(key=lambda zone: order.index(zone.place.device))
            self._mirrored = MirroredCounters(
                {zone.place.device: zone.place.group for zone in self._zones if zone.channel.component == "cpu"}
            )

    def _open_first(self, place: _Place) -> bool:
        """Open the first zone of a place that answers; note why none does."""
        state: SourceState | None = None
        for path in place.paths:
            try:
                self._zones.append(self._open(path, place))
            except PermissionError:
                message = _PERMISSION.format(path / "energy_uj")
                state = state or self._state(place, SensorState.NOT_PERMITTED, Reason.ROOT_ONLY, message)
            except (OSError, ValueError) as error:
                message = f"{place.device}: {path} is not read: {_text_of(error)}"
                state = state or self._state(place, SensorState.UNREADABLE, Reason.CANNOT_OPEN, message)
            else:
                self._unread.pop(place.device, None)
                return True
        if state is not None and self._unread.get(place.device, state).state is not SensorState.GONE:
            self._unread[place.device] = state
        return False

    def _state(self, place: _Place, state: SensorState, reason: Reason, message: str) -> SourceState:
        return SourceState(place.device, place.component, _source_of(place), state, reason, message, place.device)

    def _open(self, path: Path, place: _Place) -> _Zone:
        text = _read_text(path / "max_energy_range_uj")
        wrap_uj = int(text) if text.isdigit() and int(text) > 0 else None
        source = _source_of(place)
        model = self._model if place.component == "cpu" else ""
        ceiling_uw = MAX_PSYS_UW if source == "rapl-psys" else 0  # 0: of the component and the model
        channel = Channel(place.device, place.component, source, wrap_uj, model=model, ceiling_uw=ceiling_uw)
        if wrap_uj is None:
            self._notes[place.device] = (
                f"{place.device}: {path / 'max_energy_range_uj'} gives no range: where the counter restarts, an epoch opens anew"
            )
        elif max_energy_uj(channel.ceiling_uw, 2 * self._period_us) >= wrap_uj:
            raise ValueError(
                f"its counter could wrap unseen between two samples {self._period_us / 1e6:g} s apart; lower [agent] sample_s"
            )
        descriptor = os.open(path / "energy_uj", os.O_RDONLY | os.O_CLOEXEC)
        try:
            int(os.pread(descriptor, _MAX_BYTES, 0))
        except (OSError, ValueError):
            os.close(descriptor)
            raise
        return _Zone(place, path, descriptor, channel, max_energy_uj(channel.ceiling_uw, self._period_us))

    def collect(self, at_us: int, mono_us: int) -> list[Sample]:
        """One sample per zone; none for a zone that cannot be read now."""
        if mono_us >= self._scanned_us + SCAN_US:
            self._look_again(mono_us)
        samples = []
        for zone in self._zones:
            try:
                value_uj = int(os.pread(zone.descriptor, _MAX_BYTES, 0))
            except (OSError, ValueError) as error:
                zone.failures, zone.error = zone.failures + 1, _text_of(error)
                if zone.failures == MAX_FAILURES:
                    self._scanned_us = mono_us - SCAN_US
                continue
            if not 0 <= value_uj - zone.last_uj <= zone.max_step_uj:
                _note_jump(zone, value_uj, mono_us)
            zone.last_uj, zone.read_us = value_uj, mono_us
            if zone.failures:
                zone.failures = 0
            samples.append(Sample(zone.channel, at_us, mono_us, value_uj))
        return samples if self._mirrored.decided else self._mirrored.filter(samples)

    def context(self) -> Iterator[DeviceContext]:
        """Power limit of each package, as it was set a minute ago at most."""
        for zone in self._zones:
            if zone.limit_uw:
                yield DeviceContext(zone.place.device, zone.place.component, self.name, {"power_limit_uw": zone.limit_uw})

    def components(self) -> set[str]:
        """CPU, and memory where a zone has it; psys contains both."""
        components = {zone.channel.component for zone in self._zones}
        return components | {"dram"} if any(zone.channel.source == "rapl-psys" for zone in self._zones) else components | {"cpu"}

    def states(self) -> Iterator[SourceState]:
        """Zones that exist and are not read, zones that are gone, and dies that mirror others."""
        yield from self._unread.values()
        for zone in self._zones:
            if zone.failures:
                message = f"{zone.place.device}: {zone.path / 'energy_uj'} cannot be read now: {zone.error}"
                yield self._state(zone.place, SensorState.UNREADABLE, Reason.DRIVER_ERROR, message)
        for device, other in self._mirrored.mirrors.items():
            message = f"{device} mirrors {other} and is not counted"
            yield SourceState(device, "cpu", "rapl", SensorState.SET_ASIDE, Reason.MIRRORS_SIBLING, message, device)

    def remarks(self) -> Iterator[str]:
        """Counters without a range, and counters that jump."""
        open_devices = {zone.place.device for zone in self._zones}
        yield from (note for device, note in self._notes.items() if device in open_devices)
        for zone in self._zones:
            is_misread = 4 * zone.falls < zone.leaps  # a register that counts too fast wraps too often as well
            if is_misread and zone.leaps >= MIN_JUMPS:
                yield (
                    f"{zone.place.device}: its counter rose {zone.leaps} times by more than such a device can draw "
                    f"({zone.channel.ceiling_uw / 1e6:,.0f} W): such values are refused"
                )
            elif zone.falls >= MIN_JUMPS:
                yield (
                    f"{zone.place.device}: its counter went back {zone.falls} times by more than a wrap explains, as in a guest "
                    "that moves between sockets: energy is counted between the jumps only, and the rest is not covered"
                )

    def close(self) -> None:
        """Close the files."""
        for zone in self._zones:
            os.close(zone.descriptor)
        self._zones = []


def _note_jump(zone: _Zone, value_uj: int, mono_us: int) -> None:
    """Count a step of a counter that neither its device nor a wrap of its register explains."""
    step_uj, before_us = value_uj - zone.last_uj, zone.read_us
    if before_us < 0:
        return
    is_fall = step_uj < 0
    if is_fall:
        if zone.channel.wrap_uj is None:
            return
        step_uj += zone.channel.wrap_uj
    if step_uj > max_energy_uj(zone.channel.ceiling_uw, mono_us - before_us):
        zone.falls, zone.leaps = zone.falls + is_fall, zone.leaps + (not is_fall)


def _source_of(place: _Place) -> str:
    return "rapl-psys" if place.device.startswith("psys") else "rapl"


def _names(root: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(root))
    except OSError:
        return frozenset()


def _places(root: Path, *, psys: bool) -> Iterator[_Place]:
    """What the zones of a host measure, each with the zones that show it."""
    by_name: dict[tuple[str, int], list[Path]] = {}  # of packages: name, and how often the interface has shown that name before
    platforms = []
    for interface in _INTERFACES:
        shown: dict[str, int] = {}
        for path in sorted(root.glob(f"{interface}*"), key=lambda p: (len(p.name), p.name)):
            name = _read_text(path / "name")
            if path.name.count(":") != 1:
                continue
            if name == "psys":
                platforms.append(path)
            elif _PACKAGE.match(name):
                shown[name] = shown.get(name, -1) + 1
                by_name.setdefault((name, shown[name]), []).append(path)
    if psys:
        if platforms:
            yield _Place("psys:0", "cpu", "psys", tuple(platforms))
        return
    for index, ((name, _), paths) in enumerate(
        sorted(by_name.items(), key=lambda item: (*_package_and_die(item[0][0]), item[0][1]))
    ):
        group = f"package {_package_and_die(name)[0]}"
        yield _Place(f"cpu:{index}", "cpu", group, tuple(paths))
        memory = [
            part
            for path in paths
            for part in sorted({*path.glob(f"{path.name}:*"), *root.glob(f"{path.name}:*")}, key=lambda p: p.name)
            if _read_text(part / "name") == "dram"
        ]
        if memory:
            yield _Place(f"dram:{index}", "dram", group, tuple({path.name: path for path in memory}.values()))


def _package_and_die(name: str) -> tuple[int, int]:
    match = _PACKAGE.match(name)
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)


def _limit_uw(path: Path) -> int:
    """Long-term power limit [µW] of a zone as it is set now; 0 if it has none."""
    for name in ("constraint_0_power_limit_uw", "constraint_0_max_power_uw"):
        text = _read_text(path / name)
        if text.isdigit() and 0 < int(text) < _MAX_LIMIT_UW:
            return int(text)
    return 0


def _cpu_model(proc: Path) -> str:
    """Model of the processor from /proc/cpuinfo; empty if it does not say."""
    try:
        with open(proc / "cpuinfo", encoding="utf-8", errors="replace") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return ""


def _text_of(error: Exception) -> str:
    if isinstance(error, OSError):
        return os.strerror(error.errno or errno.EIO)
    return "no whole number" if str(error).startswith("invalid literal") else str(error)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
