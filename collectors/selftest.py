"""Self-test of the sensors of this host: steps of known load, and what each sensor made of them.

Standard library only; loaded by the command alone. The processors are loaded by niced child processes, which end with their
parent; a GPU only by the command that the user names. Works as any user, and without any sensor.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import shlex
import signal
import statistics
import subprocess
import sys
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from collectors.base import Collector
from collectors.clocks import wall_and_monotonic_us
from collectors.config import AgentConfig
from collectors.procfs import ProcessTable
from collectors.registry import COLLECTORS
from collectors.sensor_set import SensorSet
from footprint.core.device_limits import device_limits
from footprint.core.records import grade_of
from footprint.core.samples import Channel, Sample
from footprint.core.sensor_verdicts import Reason, SensorState, Verdict, Witness
from footprint.core.timestamps import format_instant
from footprint.core.version import VERSION

FORM, FORM_VERSION = "footprint-selftest", 1
LOADS = (0.0, 0.5, 1.0, 0.0)  # share of the processors, one step each
READ_INTERVAL_S = 0.05
CONTEXT_INTERVAL_S = 1.0
SETTLE_SHARE = 0.3  # of a step, left out of its mean: fans and governors follow slowly
AGREEMENT = 0.15  # of two sources of a device: 5 % of a counter and 10 % of a polled power
MIN_RISE = 0.02  # of the power at rest that a full load must add
MIN_BUSY_RISE = 0.3  # of the processors, for a load to be seen
_BIN_US = 500_000  # of powers that are taken from a counter
_PR_SET_PDEATHSIG = 1
_BUSY_LOOP = (
    "import os, sys\nos.nice(19)\nparent = int(sys.argv[1])\nwhile os.getppid() == parent:\n    for _ in range(1_000_000): pass\n"
)


@dataclass(slots=True)
class Step:
    """One step of load: share of the processors asked for, busy share seen, and its time on the monotonic clock [µs]."""

    load: float
    gpu_load: bool
    start_us: int = 0
    end_us: int = 0
    busy: float | None = None
    device_busy_us: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # (instant, cumulative busy time) by device

    def device_busy(self, device: str) -> float | None:
        """Share of the step in which a device was busy; None where it does not say."""
        readings = self.device_busy_us.get(device, [])
        if len(readings) < 2 or readings[-1][0] <= readings[0][0]:
            return None
        return (readings[-1][1] - readings[0][1]) / (readings[-1][0] - readings[0][0])

    @property
    def settled_us(self) -> int:
        """Instant from which the step counts."""
        return self.start_us + round(SETTLE_SHARE * (self.end_us - self.start_us))


@dataclass(slots=True)
class SensorSeries:
    """Samples of one source of one device: monotonic instants [µs] and values, a counter [µJ] or a power [µW]."""

    channel: Channel
    is_counter: bool
    time_us: list[int] = field(default_factory=list)
    value: list[int] = field(default_factory=list)

    def between(self, start_us: int, end_us: int) -> range:
        """Indices of the samples in [start, end]."""
        return range(bisect_left(self.time_us, start_us), bisect_right(self.time_us, end_us))

    def energy_uj(self, start_us: int, end_us: int) -> float | None:
        """Energy between the first and the last sample in [start, end] [µJ]; None with fewer than two."""
        inside = self.between(start_us, end_us)
        if len(inside) < 2:
            return None
        first, last = inside[0], inside[-1]
        if self.is_counter:
            rises = (self.value[i + 1] - self.value[i] for i in range(first, last))
            return float(sum(rise for rise in rises if rise > 0))  # a wrap loses one interval of many
        pairs = range(first, last)
        return sum((self.value[i] + self.value[i + 1]) / 2 * (self.time_us[i + 1] - self.time_us[i]) / 1e6 for i in pairs)

    def power_w(self, start_us: int, end_us: int) -> float | None:
        """Mean power in [start, end] [W]."""
        inside, energy_uj = self.between(start_us, end_us), self.energy_uj(start_us, end_us)
        if energy_uj is None or self.time_us[inside[-1]] <= self.time_us[inside[0]]:
            return None
        return energy_uj / (self.time_us[inside[-1]] - self.time_us[inside[0]])

    def powers_w(self, start_us: int, end_us: int) -> list[tuple[int, float]]:
        """Powers in bins of half a second [W], by the middle of the bin; for a power, its values."""
        if not self.is_counter:
            return [(self.time_us[i], self.value[i] / 1e6) for i in self.between(start_us, end_us)]
        bins = []
        for edge_us in range(start_us, end_us - _BIN_US + 1, _BIN_US):
            power = self.power_w(edge_us, edge_us + _BIN_US)
            if power is not None:
                bins.append((edge_us + _BIN_US // 2, power))
        return bins


@dataclass(frozen=True, slots=True)
class SensorResult:
    """What the test found of one source of one device; None where it could not be known."""

    device: str
    alias: str
    component: str
    source: str
    model: str
    grade: str
    verdict: str
    witness: str
    reason: str
    judged_j: float | None
    witness_low_j: float | None
    witness_high_j: float | None
    readings: int
    jitter_ms: float | None
    update_period_s: float | None
    resolution: float | None
    resolution_unit: str
    power_w: tuple[float | None, ...]
    noise_w: float | None
    response_w: float | None
    follows: bool | None
    lag_s: float | None
    agreement: dict[str, float]

    @property
    def fails(self) -> bool:
        """Whether something contradicts the sensor."""
        return self.verdict in (verdict_text(Verdict.DISAGREES), verdict_text(Verdict.STANDS_STILL))


@dataclass(frozen=True, slots=True)
class SelftestReport:
    """Report of one self-test, as it is kept."""

    at: str
    host: str
    agent: str
    kernel: str
    drivers: dict[str, str]
    duration_s: float
    processors: int
    steps: tuple[dict[str, Any], ...]
    sensors: tuple[SensorResult, ...]
    not_read: tuple[str, ...]
    notes: tuple[str, ...]
    form: str = FORM
    form_version: int = FORM_VERSION

    def to_json(self) -> str:
        """The report as one JSON document."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    @property
    def has_sensor(self) -> bool:
        """Whether anything is measured and not only estimated."""
        return any(sensor.grade != "estimate" for sensor in self.sensors)

    @property
    def status(self) -> int:
        """Exit status: 4 where no sensor is read (an estimate is none), 6 where one fails, else 0."""
        if not self.has_sensor:
            return 4
        return 6 if any(sensor.fails for sensor in self.sensors) else 0


def verdict_text(code: IntEnum) -> str:
    """Words of a code: ``agrees``, ``disagrees``, ``stands still``, ``no witness``; of a state or a reason likewise."""
    return code.name.lower().replace("_", " ")


def run_selftest(config: AgentConfig, minutes: float = 2.0, load_command: str = "", output: str = "") -> int:
    """Run the test, print the report, write it as JSON to ``output`` if given, and return the exit status."""
    if output:
        _check_writable(Path(output))
    print(f"{len(LOADS)} steps of {minutes * 60 / len(LOADS):g} s; Ctrl-C ends the test and its load", file=sys.stderr)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    report = measure(config, minutes, load_command)
    print("\n".join(report_lines(report)))
    if output:
        Path(output).write_text(report.to_json(), encoding="utf-8")
        print(f"report: {output}", file=sys.stderr)
    return report.status


def _check_writable(path: Path) -> None:
    """Raise OSError now, and not after minutes, where the report cannot be written; leaves no file."""
    is_new = not path.exists()
    with path.open("a", encoding="utf-8"):
        pass
    if is_new:
        path.unlink()


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def measure(
    config: AgentConfig, minutes: float, load_command: str = "", collector_types: Sequence[type[Collector]] = COLLECTORS
) -> SelftestReport:
    """Load the host in steps, read every sensor all the time, and judge."""
    sensors = SensorSet(config, collector_types)
    table = ProcessTable(config.proc)
    step_us = round(minutes * 60e6 / len(LOADS))
    steps = [Step(load, gpu_load=bool(load_command) and load > 0) for load in LOADS]
    series: dict[tuple[str, str], SensorSeries] = {}
    reads_us: list[int] = []
    notes: list[str] = []
    at_us, _ = wall_and_monotonic_us()
    try:
        sensors.open_missing(0)
        for step in steps:
            with _loaded(step, load_command, notes):
                _read_step(sensors, table, step, step_us, series, reads_us)
        remarks, reasons = list(sensors.remarks()), [*sensors.reasons.values(), *_unread_sources(sensors)]
    finally:
        sensors.close()
    if not load_command:
        notes.append("no load was put on a GPU: its sensors were observed at rest (--load CMD starts a program for the steps)")
    if not _load_was_seen(steps):
        notes.append("the steps of load are not seen in the processors' time, so no sensor is judged by them")
    gpus = [one.channel for one in series.values() if one.channel.component == "gpu"]
    if load_command and gpus and not any(_load_reaches(channel, steps) for channel in gpus):
        notes.append("no GPU became busy under the load command, so none is judged by it")
    duration_us = steps[-1].end_us - steps[0].start_us
    return SelftestReport(
        at=format_instant(at_us),
        host=config.host,
        agent=VERSION,
        kernel=platform.release(),
        drivers=_driver_versions(config),
        duration_s=duration_us / 1e6,
        processors=os.cpu_count() or 1,
        steps=tuple(
            {"load": step.load, "gpu_load": step.gpu_load, "busy": step.busy, "seconds": (step.end_us - step.start_us) / 1e6}
            for step in steps
        ),
        sensors=tuple(_judge(one, list(series.values()), steps, reads_us) for _, one in sorted(series.items())),
        not_read=tuple(dict.fromkeys([*reasons, *remarks])),
        notes=tuple(notes),
    )


def _unread_sources(sensors: SensorSet) -> list[str]:
    """Sources that are known and give nothing, each with its reason."""
    unread = (SensorState.SILENT, SensorState.UNREADABLE, SensorState.GONE, SensorState.NOT_PERMITTED)
    return [
        state.message
        or f"{state.alias or state.device}, {state.source}: {verdict_text(state.state)} ({verdict_text(state.reason)})"
        for state in sensors.states()
        if state.state in unread
    ]


def _read_step(
    sensors: SensorSet,
    table: ProcessTable,
    step: Step,
    step_us: int,
    series: dict[tuple[str, str], SensorSeries],
    reads_us: list[int],
) -> None:
    before = _host_us(table)
    step.start_us = time.monotonic_ns() // 1000
    next_us, context_us = step.start_us, step.start_us
    while True:
        at_us, mono_us = wall_and_monotonic_us()
        if mono_us >= step.start_us + step_us:
            break
        reads_us.append(mono_us)
        for sample in sensors.collect(at_us, mono_us):
            _add(series, sample)
        if mono_us >= context_us:
            context_us = mono_us + round(CONTEXT_INTERVAL_S * 1e6)
            for context in sensors.context():
                if "busy_us" in context.values:
                    step.device_busy_us.setdefault(context.device, []).append((mono_us, context.values["busy_us"]))
        next_us = max(next_us + round(READ_INTERVAL_S * 1e6), mono_us)
        time.sleep(max(next_us - time.monotonic_ns() // 1000, 0) / 1e6)
    step.end_us = time.monotonic_ns() // 1000
    after = _host_us(table)
    if before is not None and after is not None and after[1] > before[1]:
        step.busy = (after[0] - before[0]) / (after[1] - before[1])


def _host_us(table: ProcessTable) -> tuple[int, int] | None:
    try:
        return table.host_us()
    except (OSError, ValueError):
        return None


def _add(series: dict[tuple[str, str], SensorSeries], sample: Sample) -> None:
    is_counter = sample.counter_uj is not None
    value = sample.counter_uj if sample.counter_uj is not None else sample.power_uw
    if value is None:
        return
    one = series.setdefault((sample.channel.device, sample.channel.source), SensorSeries(sample.channel, is_counter))
    if one.is_counter == is_counter and (not one.time_us or sample.mono_us > one.time_us[-1]):
        one.time_us.append(sample.mono_us)
        one.value.append(value)


@contextlib.contextmanager
def _loaded(step: Step, load_command: str, notes: list[str]) -> Iterator[None]:
    """Child processes of a step; they are gone when it ends, whatever ends it."""
    children: list[subprocess.Popen[bytes]] = []
    command: subprocess.Popen[bytes] | None = None
    try:
        count = round(step.load * (os.cpu_count() or 1)) or (1 if step.load else 0)
        children.extend(_start_busy_loop() for _ in range(count))
        if step.gpu_load:
            command = _start_load(load_command, notes)
        yield
        if command is not None and command.poll() not in (None, 0):
            notes.append(f"the load command ended with status {command.returncode} before its step did")
    finally:
        for child in children:
            child.kill()
        if command is not None:
            _stop_group(command)
        for child in children:
            child.wait()


def _start_busy_loop() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BUSY_LOOP, str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _start_load(load_command: str, notes: list[str]) -> subprocess.Popen[bytes] | None:
    libc = ctypes.CDLL(None)  # loaded before the fork
    try:
        return subprocess.Popen(
            shlex.split(load_command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - no thread runs here
        )
    except (OSError, ValueError) as error:
        notes.append(f"the load command cannot be started: {error}")
        return None


def _stop_group(command: subprocess.Popen[bytes]) -> None:
    for number, wait_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(command.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.wait(wait_s)
            if number == signal.SIGKILL or not _group_lives(command.pid):
                return


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _load_was_seen(steps: Sequence[Step]) -> bool:
    """Whether the processors were busier in the full step than at rest."""
    rest, full = steps[0].busy, steps[2].busy
    return rest is not None and full is not None and full - rest >= MIN_BUSY_RISE


def _driver_versions(config: AgentConfig) -> dict[str, str]:
    """Versions of drivers that the kernel states, by module."""
    versions = {}
    for module in ("nvidia", "amdgpu", "i915", "xe", "intel_rapl_msr", "intel_rapl_common", "acpi_power_meter"):
        for name in ("version", "srcversion"):
            try:
                versions[module] = (config.sysfs / "module" / module / name).read_text(encoding="ascii").strip()
                break
            except (OSError, UnicodeDecodeError):
                continue
    return versions


def _judge(one: SensorSeries, all_series: Sequence[SensorSeries], steps: Sequence[Step], reads_us: Sequence[int]) -> SensorResult:
    channel = one.channel
    powers = tuple(one.power_w(step.settled_us, step.end_us) for step in steps)
    rest, full = powers[0], powers[2]
    last = steps[-1]
    at_rest = [power for _, power in one.powers_w(last.settled_us, last.end_us)]
    noise_w = statistics.stdev(at_rest) if len(at_rest) > 2 else None
    response_w = None if rest is None or full is None else full - rest
    follows = None
    if _load_reaches(channel, steps) and response_w is not None and rest is not None:
        follows = response_w > max(MIN_RISE * abs(rest), 2 * (noise_w or 0.0) / max(len(at_rest), 1) ** 0.5)
    start_us, end_us = steps[0].start_us, last.end_us
    judged_uj = one.energy_uj(start_us, end_us)
    agreement = _agreement(one, all_series, start_us, end_us)
    verdict, witness, reason, allowed = _verdict(one, powers, follows, agreement, _siblings(one, all_series), (start_us, end_us))
    gaps = [after - before for before, after in pairwise(reads_us)]
    changes = _change_instants(one)
    grade = grade_of(channel.source, counter=one.is_counter)
    return SensorResult(
        device=channel.device,
        alias=channel.alias,
        component=channel.component,
        source=channel.source,
        model=channel.model,
        grade=grade,
        verdict=verdict_text(verdict),
        witness=witness.name.lower(),
        reason=reason.name.lower(),
        judged_j=None if judged_uj is None else judged_uj / 1e6,
        witness_low_j=None if allowed is None else allowed[0] / 1e6,
        witness_high_j=None if allowed is None else allowed[1] / 1e6,
        readings=len(one.time_us),
        jitter_ms=statistics.pstdev(gaps) / 1e3 if len(gaps) > 1 else None,
        update_period_s=statistics.median(after - before for before, after in pairwise(changes)) / 1e6
        if len(changes) > 2
        else None,
        resolution=_resolution(one),
        resolution_unit="J" if one.is_counter else "W",
        power_w=powers,
        noise_w=noise_w,
        response_w=response_w,
        follows=follows,
        lag_s=_lag_s(one, steps) if follows else None,
        agreement=agreement,
    )


def _load_reaches(channel: Channel, steps: Sequence[Step]) -> bool:
    """Whether the steps loaded what a channel measures, as far as busy times show: a program may load one GPU of many."""
    if channel.component == "gpu":
        rest, full = steps[0].device_busy(channel.device), steps[2].device_busy(channel.device)
        return rest is not None and full is not None and full - rest >= MIN_BUSY_RISE
    return channel.component in ("cpu", "host") and _load_was_seen(steps)


def _change_instants(one: SensorSeries) -> list[int]:
    pairs = zip(one.value, one.value[1:], one.time_us[1:], strict=False)
    return [at_us for before, after, at_us in pairs if before != after]


def _resolution(one: SensorSeries) -> float | None:
    """Smallest step between different values, J or W."""
    distinct = sorted(set(one.value))
    differences = [after - before for before, after in pairwise(distinct)]
    return min(differences) / 1e6 if differences else None


def _lag_s(one: SensorSeries, steps: Sequence[Step]) -> float | None:
    """Time from the start of the first load until the power passes the middle between rest and load."""
    rest, loaded = (one.power_w(step.settled_us, step.end_us) for step in steps[:2])
    if rest is None or loaded is None or loaded <= rest:
        return None
    middle, step = (rest + loaded) / 2, steps[1]
    return next(
        (
            round(max(at_us - step.start_us, 0) / 1e6, 2)
            for at_us, power in one.powers_w(step.start_us, step.end_us)
            if power >= middle
        ),
        None,
    )


def _siblings(one: SensorSeries, all_series: Sequence[SensorSeries]) -> list[SensorSeries]:
    """Other sources of the same device that are sensors."""
    return [
        other
        for other in all_series
        if other is not one
        and other.channel.device == one.channel.device
        and grade_of(other.channel.source, counter=other.is_counter) != "estimate"
    ]


def _agreement(one: SensorSeries, all_series: Sequence[SensorSeries], start_us: int, end_us: int) -> dict[str, float]:
    """Energy over that of each other source of the device, in the time that both read."""
    ratios = {}
    for other in _siblings(one, all_series):
        if not one.time_us or not other.time_us:
            continue
        first, last = max(one.time_us[0], other.time_us[0], start_us), min(one.time_us[-1], other.time_us[-1], end_us)
        own, others = one.power_w(first, last), other.power_w(first, last)
        if own is not None and others:
            ratios[other.channel.source] = own / others
    return ratios


class _Judgement(NamedTuple):
    """Verdict with its witness, reason and the energies [µJ] that the witness allows."""

    verdict: Verdict
    witness: Witness = Witness.NONE
    reason: Reason = Reason.NONE
    allowed_uj: tuple[float, float] | None = None


def _verdict(
    one: SensorSeries,
    powers: Sequence[float | None],
    follows: bool | None,
    agreement: dict[str, float],
    siblings: Sequence[SensorSeries],
    window_us: tuple[int, int],
) -> _Judgement:
    """The first rule that holds decides: the ceiling, other sources, the load, the floor."""
    if grade_of(one.channel.source, counter=one.is_counter) in ("estimate", "modelled"):
        return _Judgement(Verdict.NO_WITNESS)
    if one.energy_uj(*window_us) is None:
        return _Judgement(Verdict.NO_WITNESS, reason=Reason.NO_SAMPLE)
    limits = device_limits(one.channel.component, one.channel.model, one.channel.source)
    seconds = (window_us[1] - window_us[0]) / 1e6
    bounds = limits.floor_uw * seconds, limits.ceiling_uw * seconds
    is_still = len(set(one.value)) == 1
    stands = Reason.COUNTER_STANDS if one.is_counter else Reason.POWER_STANDS
    wrong = Verdict.STANDS_STILL if is_still else Verdict.DISAGREES
    by_load = Witness.UTILISATION if one.channel.component == "gpu" else Witness.HOST_LOAD
    highest_uw = max((power for power in powers if power is not None), default=0.0) * 1e6
    beside = [other for other in siblings if other.channel.source in agreement]
    compared = [_against(one, other, agreement[other.channel.source], window_us) for other in beside]
    # A source that stands while its device draws energy is at fault itself, so it accuses nobody that does not.
    accusers = zip(beside, compared, strict=True)
    contradicted = next(
        (
            judgement
            for other, judgement in accusers
            if judgement.verdict != Verdict.AGREES
            and (judgement.verdict == Verdict.STANDS_STILL or not _stands_beside(other, one))
        ),
        None,
    )
    agreed = next((judgement for judgement in compared if judgement.verdict == Verdict.AGREES), None)
    if highest_uw > limits.ceiling_uw:
        judgement = _Judgement(Verdict.DISAGREES, Witness.BOUNDS, Reason.ABOVE_CEILING, bounds)
    elif contradicted is not None:
        judgement = contradicted
    elif follows is False:
        judgement = _Judgement(wrong, by_load, stands if is_still else Reason.BUSY_WITHOUT_POWER, bounds)
    elif highest_uw < limits.floor_uw:
        judgement = _Judgement(wrong, Witness.BOUNDS, stands if is_still else Reason.BELOW_FLOOR, bounds)
    elif agreed is not None:
        judgement = agreed
    else:
        judgement = _Judgement(Verdict.AGREES, by_load, Reason.NONE, bounds) if follows else _Judgement(Verdict.NO_WITNESS)
    return judgement


def _against(one: SensorSeries, other: SensorSeries, ratio: float, window_us: tuple[int, int]) -> _Judgement:
    """Judgement of one source by another one of its device, of which it read ``ratio`` times the energy."""
    energy_uj = other.energy_uj(*window_us) or 0.0
    allowed = energy_uj / (1 + AGREEMENT), energy_uj * (1 + AGREEMENT)
    witness = Witness.OTHER_SOURCE if other.is_counter == one.is_counter else Witness.OWN_POWER
    if abs(ratio - 1) <= AGREEMENT:
        return _Judgement(Verdict.AGREES, witness, Reason.NONE, allowed)
    if _stands_beside(one, other):
        reason = Reason.COUNTER_STANDS if one.is_counter else Reason.POWER_STANDS
        return _Judgement(Verdict.STANDS_STILL, witness, reason, allowed)
    reason = Reason.SOURCES_DIFFER if other.is_counter == one.is_counter else Reason.COUNTER_AGAINST_POWER
    return _Judgement(Verdict.DISAGREES, witness, reason, allowed)


def _stands_beside(one: SensorSeries, other: SensorSeries) -> bool:
    """Whether a source shows one value all the time although another one, which differs, shows energy or a change of power.

    An even power beside an even power of another value stands no stiller than that one: nothing tells which is wrong.
    """
    if len(set(one.value)) > 1:
        return False
    if one.is_counter or one.value[0] == 0:
        return True
    start_us, end_us = other.time_us[0], other.time_us[-1]
    edges = [start_us + (end_us - start_us) * quarter // 4 for quarter in range(5)]
    powers_w = [power for first, last in pairwise(edges) if (power := other.power_w(first, last)) is not None]
    return max(powers_w, default=0.0) - min(powers_w, default=0.0) > AGREEMENT * max(powers_w, default=0.0)


def report_lines(report: SelftestReport) -> list[str]:
    """The report as text, a paragraph a sensor."""
    lines = [f"Self-test of {report.host}, {report.at}, {report.duration_s:.0f} s: agent {report.agent}, kernel {report.kernel}"]
    lines += [f"driver {name} {version}" for name, version in sorted(report.drivers.items())]
    steps = "; ".join(
        f"{step['load']:.0%} asked, {'unknown' if step['busy'] is None else format(step['busy'], '.0%')} busy"
        for step in report.steps
    )
    lines.append(f"Load of {report.processors} processors: {steps}")
    for sensor in report.sensors:
        lines += ["", *_sensor_lines(sensor)]
    if not report.has_sensor:
        lines += ["", "No sensor can be read here" + ("; what stands above is an estimate." if report.sensors else ".")]
    lines += ["", *(f"not read: {reason}" for reason in report.not_read), *(f"note: {note}" for note in report.notes)]
    return lines


def _sensor_lines(sensor: SensorResult) -> list[str]:
    reason = "" if sensor.reason == "none" else f" ({sensor.reason.replace('_', ' ')})"
    witness = "" if sensor.witness == "none" else f"; witness: {sensor.witness.replace('_', ' ')}"
    lines = [f"{sensor.alias or sensor.device} {sensor.source} {sensor.model}".rstrip() + f": {sensor.verdict}{reason}{witness}"]

    def number(value: float | None, form: str = "z.1f", unit: str = "") -> str:
        return "unknown" if value is None else f"{value:{form}} {unit}".rstrip()

    lines.append(
        f"  power by step [W]      {', '.join(number(power) for power in sensor.power_w)}; noise at rest "
        f"{number(sensor.noise_w, '.2f')}"
    )
    follows = {True: "follows the load", False: "does not follow the load", None: "not judged by the load"}[sensor.follows]
    lag = "" if sensor.lag_s is None else f", lag {sensor.lag_s:.2f} s"
    lines.append(f"  response               {number(sensor.response_w, unit='W')}, {follows}{lag}")
    changes = (
        "never changed"
        if sensor.resolution is None
        else f"new value every {number(sensor.update_period_s, '.3f', 's')}, smallest step "
        f"{number(sensor.resolution, '.6g', sensor.resolution_unit)}"
    )
    lines.append(f"  readings               {sensor.readings}, jitter {number(sensor.jitter_ms, unit='ms')}, {changes}")
    if sensor.agreement:
        lines.append(
            "  beside other sources   " + ", ".join(f"{ratio:.3f} of {name}" for name, ratio in sorted(sensor.agreement.items()))
        )
    return lines
