"""Energy measurement of a command or a block of code on this host, by device, with intervals.

A separate process of the agent samples into a temporary spool that is never shipped, so nothing reaches the ledger and the
host's real agent can run at the same time. Idle power is the mean power before the measurement.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import FrameType
from typing import Any

from footprint.core.assumptions import assumption
from footprint.core.estimate import Estimate
from footprint.core.limits import printable
from footprint.core.records import BadLine, ContextReading, EnergyReading, FootprintError, from_line, grade_of
from footprint.core.units import J_PER_KWH, US_PER_S
from footprint.impact.uncertainty import UncertaintyBudget

SAMPLES_PER_SECOND = 4
BASELINE_S = 2.0
STARTUP_TIMEOUT_S = 20
POLL_INTERVAL_S = 1 / 20
COLUMNS = ("device", "component", "source", "energy_j", "energy_low_j", "energy_high_j", "idle_w", "above_idle_j", "quality")
TOTAL = "(total)"
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_GRADES = ("counter", "power", "modelled", "witness", "estimate")  # the best first
_QUALITY = {"counter": "A", "power": "A", "witness": "A", "modelled": "B", "estimate": "C"}


class CannotMeasure(FootprintError):
    """No sensor of this host is readable, or the agent does not start."""


@dataclass(slots=True)
class Measurement:
    """Energy over a range of time: ``rows`` by device and in total, with ``COLUMNS``; filled at its end."""

    name: str
    begin_us: int = 0
    seconds: float = 0.0
    rows: list[dict[str, Any]] | None = None

    @property
    def energy_j(self) -> float:
        """Energy of all devices [J]; raises if it was not measured.

        Raises
        ------
        CannotMeasure
            If the measurement has not ended, or nothing was read.
        """
        if not self.rows:
            raise CannotMeasure(f"{self.name}: nothing is measured yet")
        return float(self.rows[-1]["energy_j"])

    def sentence(self) -> str:
        """Result as a sentence."""
        if not self.rows:
            return f"{self.name}: nothing was measured"
        total = self.rows[-1]
        bracket = f"[{total['energy_low_j']:.3g} ; {total['energy_high_j']:.3g}] J"
        watt_hours = total["energy_j"] / J_PER_KWH * 1000
        above = "" if total["above_idle_j"] is None else f", of which {total['above_idle_j']:.4g} J above idle"
        energy = f"{total['energy_j']:.4g} J {bracket}, {watt_hours:.3g} Wh in {self.seconds:.3g} s{above}"
        return f"{self.name}: {energy}; quality {total['quality']}"

    def show(self) -> Measurement:
        """Print the result; a notebook then shows the returned table."""
        print(self.sentence())
        return self

    def _repr_html_(self) -> str:
        """Result as an HTML table, for notebooks."""
        if not self.rows:
            return f"<p>{escape(self.sentence())}</p>"
        titles = ("device", "energy J", "95 % interval", "idle W", "quality")
        head = "".join(f"<th scope='col'>{title}</th>" for title in titles)
        body = "".join(_html_row(row) for row in self.rows)
        caption = f"<caption style='text-align:left'>{escape(self.sentence())}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html_row(row: dict[str, Any]) -> str:
    """Row of the HTML table."""
    idle = "" if row["idle_w"] is None else f"{row['idle_w']:.3g}"
    bracket = f"[{row['energy_low_j']:.3g} ; {row['energy_high_j']:.3g}]"
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in (f"{row['energy_j']:.4g}", bracket, idle, str(row["quality"])))
    return f"<tr><th scope='row'>{escape(str(row['device']))}</th>{cells}</tr>"


class SensorProcess:
    """Sensors of this host within a block, read by an agent process into a temporary spool.

    Raises
    ------
    CannotMeasure
        On entering, if no sensor is readable.
    """

    def __init__(self, samples_a_second: int = SAMPLES_PER_SECOND) -> None:
        self.samples_per_second = samples_a_second
        self._folder = tempfile.TemporaryDirectory()
        self._spool = Path(self._folder.name) / "spool"
        self._agent: subprocess.Popen[bytes] | None = None
        self._read: set[str] = set()
        self._energy: list[EnergyReading] = []
        self._context: list[ContextReading] = []

    def __enter__(self) -> SensorProcess:
        self._agent = _agent(self._spool, Path(self._folder.name), self.samples_per_second)
        try:
            self._wait_for_readings(self._agent)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop sampling; readings stay available."""
        if self._agent is not None:
            self._agent.terminate()
            try:
                self._agent.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._agent.kill()
                self._agent.wait()
            self._agent = None
            self._read_spool()
        self._folder.cleanup()

    def readings(self) -> list[EnergyReading]:
        """All readings so far, in order of arrival."""
        self._read_spool()
        return self._energy

    def context_readings(self) -> list[ContextReading]:
        """Clocks, power limits and similar context so far."""
        self._read_spool()
        return self._context

    def wait_for_readings_after(self, at_us: int) -> None:
        """Wait, for two seconds at most, until every device has a reading after an instant."""
        deadline = time.monotonic() + STARTUP_TIMEOUT_S / 10
        while time.monotonic() < deadline:
            last: dict[tuple[str, str], int] = {}
            for reading in self.readings():
                last[reading.device, reading.source] = reading.at_us
            if last and min(last.values()) > at_us:
                return
            time.sleep(1 / self.samples_per_second)

    def rows(self, begin_us: int, end_us: int) -> list[dict[str, Any]]:
        """Rows of ``energy_rows`` between two instants."""
        return energy_rows(self.readings(), begin_us, end_us)

    def _read_spool(self) -> None:
        """Read the new files of the agent, each once, because the agent writes them atomically."""
        for path in sorted(self._spool.glob("*.ndjson")):
            if path.name in self._read:
                continue
            self._read.add(path.name)
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(BadLine):
                    record = from_line(line)
                    if isinstance(record, EnergyReading):
                        self._energy.append(record)
                    elif isinstance(record, ContextReading):
                        self._context.append(record)

    def _wait_for_readings(self, agent: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + STARTUP_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.readings():
                return
            if agent.poll() is not None:
                break
            time.sleep(POLL_INTERVAL_S)
        log_lines = (Path(self._folder.name) / "agent.log").read_text(errors="replace").strip().splitlines()
        reason = log_lines[-1] if log_lines else "no message"
        raise CannotMeasure(f"no sensor of this host can be read ({reason}); `footprint doctor` says more")


@contextlib.contextmanager
def measure(name: str = "measured", *, baseline_s: float = BASELINE_S) -> Iterator[Measurement]:
    """Measure the energy of a block of code on this host [J], by device; the result is complete after the block.

    Raises
    ------
    CannotMeasure
        If no sensor is readable.
    """
    measurement = Measurement(name)
    with SensorProcess() as sensors:
        first_us = min(reading.at_us for reading in sensors.readings())
        time.sleep(max(baseline_s - (time.time() - first_us / US_PER_S), 0.0))
        measurement.begin_us = time.time_ns() // 1000
        try:
            yield measurement
        finally:
            end_us = time.time_ns() // 1000
            measurement.seconds = (end_us - measurement.begin_us) / US_PER_S
            sensors.wait_for_readings_after(end_us)
    measurement.rows = sensors.rows(measurement.begin_us, end_us)
    if not measurement.rows:
        raise CannotMeasure("the sensors gave no two readings; is the stretch very short?")


def measure_command(command: Sequence[str], *, baseline_s: float = BASELINE_S) -> tuple[Measurement, int]:
    """Measure a command; return the measurement and the exit status that a shell would give.

    128 + n after signal n; 127 if there is no such program, 126 if it cannot be started. Signals that end a program are passed
    on to the command, so that its measurement is complete.

    Raises
    ------
    CannotMeasure
        If no sensor can be read here; the command does not run then.
    """
    with measure(" ".join(command)[:80], baseline_s=baseline_s) as measurement:
        status = _run(list(command))
    return measurement, status


def _run(command: list[str]) -> int:
    try:
        process = subprocess.Popen(command)
    except OSError as bad:
        print(f"footprint: {printable(command[0])}: {bad.strerror}", file=sys.stderr)
        return 127 if isinstance(bad, FileNotFoundError) else 126

    def pass_on(number: int, _: FrameType | None) -> None:
        if number != signal.SIGINT or not _is_foreground():  # Ctrl-C reaches the command by itself
            process.send_signal(number)

    is_main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.signal(number, pass_on) for number in _PASSED_ON} if is_main else {}
    try:
        status = process.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _is_foreground() -> bool:
    """Whether a terminal sends its Ctrl-C to this process and those that it started."""
    try:
        with open("/dev/tty", "rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _agent(spool: Path, folder: Path, samples_a_second: int) -> subprocess.Popen[bytes]:
    """Start an agent with its own spool, and with a server address that nothing listens on."""
    environment = os.environ | {
        "FOOTPRINT_AGENT__SPOOL": str(spool),
        "FOOTPRINT_AGENT__SERVER": "http://127.0.0.1:9",
        "FOOTPRINT_AGENT__HOST": "here",
        "FOOTPRINT_AGENT__TOKEN_FILE": str(folder / "none"),
        "FOOTPRINT_AGENT__SAMPLE_S": str(1 / samples_a_second),
        "FOOTPRINT_AGENT__INTERVAL_S": str(1 / samples_a_second),
        "FOOTPRINT_AGENT__METRICS_PORT": "0",
    }
    command = [sys.executable, "-m", "collectors", "run", "--with-parent"]
    with (folder / "agent.log").open("wb") as log:
        return subprocess.Popen(command, env=environment, cwd=folder, stderr=log, start_new_session=True)  # no Ctrl-C


def energy_rows(readings: Sequence[EnergyReading], begin_us: int, end_us: int) -> list[dict[str, Any]]:
    """Energy of each device between two instants, with the total last; counters are interpolated between readings.

    Of several sources of a device the best that moves counts; the others are its witnesses. Only the first
    epoch counts; a device that was reset meanwhile has no row. ``host`` meters have rows, but are not in the
    total if there are others. Intervals are those of the sensors (assumptions ``gain_…``): errors of one kind are fully
    correlated, those of different kinds independent.
    """
    series: dict[tuple[str, str, str], list[EnergyReading]] = {}
    for reading in sorted(readings, key=lambda reading: (reading.at_us, reading.seq)):
        series.setdefault((reading.device, reading.component, reading.source), []).append(reading)
    rows = []
    causes: list[tuple[str, tuple[str, float, Estimate]]] = []
    best: dict[tuple[str, str], tuple[bool, int, str]] = {}
    for (device, component, source), of_source in series.items():
        stands_still = of_source[0].energy_uj == of_source[-1].energy_uj  # a device that answers draws something
        rank = stands_still, _GRADES.index(grade_of(source, counter=True)), source
        best[device, component] = min(best.get((device, component), rank), rank)
    for (device, component, source), device_readings in sorted(series.items()):
        if source != best[device, component][-1]:
            continue
        epoch_readings = [reading for reading in device_readings if reading.epoch == device_readings[0].epoch]
        at_begin, at_end, at_epoch_start = (_at(epoch_readings, at) for at in (begin_us, end_us, epoch_readings[0].at_us))
        if at_begin is None or at_end is None or at_epoch_start is None:
            continue
        energy = (at_end - at_begin) / 1e6
        before_s = (begin_us - epoch_readings[0].at_us) / US_PER_S
        idle_w = (at_begin - at_epoch_start) / 1e6 / before_s if before_s > 0 else None
        grade = grade_of(source, counter=True)
        component_cause = f"gain {component} {grade}", energy, _gain(component, grade)
        device_budget = UncertaintyBudget()
        device_budget.add(*component_cause)
        low, high = device_budget.interval(energy)
        causes.append((component, component_cause))
        above = None if idle_w is None else energy - idle_w * (end_us - begin_us) / US_PER_S
        rows.append(
            {
                "device": epoch_readings[0].alias or device,
                "component": component,
                "source": source,
                "energy_j": energy,
                "energy_low_j": low,
                "energy_high_j": high,
                "idle_w": idle_w,
                "above_idle_j": above,
                "quality": _QUALITY[grade],
            }
        )
    parts = [row for row in rows if row["component"] != "host"] or rows
    if not parts:
        return []
    total: dict[str, Any] = {"device": TOTAL, "component": None, "source": None}
    for name in ("energy_j", "idle_w", "above_idle_j"):
        total[name] = None if any(row[name] is None for row in parts) else sum(row[name] for row in parts)
    counted = {row["component"] for row in parts}
    budget = UncertaintyBudget()
    for component, component_cause in causes:
        if component in counted:
            budget.add(*component_cause)
    total["energy_low_j"], total["energy_high_j"] = budget.interval(total["energy_j"])
    return [*rows, {**total, "quality": max(str(row["quality"]) for row in parts)}]


def _at(readings: Sequence[EnergyReading], at_us: int) -> float | None:
    """Counter [µJ] at an instant, interpolated; None outside of the readings."""
    for before, after in itertools.pairwise(readings):
        if before.at_us <= at_us <= after.at_us:
            fraction = (at_us - before.at_us) / (after.at_us - before.at_us) if after.at_us > before.at_us else 0.0
            return before.energy_uj + fraction * (after.energy_uj - before.energy_uj)
    return None


def _gain(component: str, grade: str) -> Estimate:
    if grade == "estimate":
        return assumption("gain_estimate")
    if component == "host":
        return assumption("gain_host_power")
    return assumption(f"gain_{component}_{grade if grade in ('counter', 'modelled') else 'power'}")
