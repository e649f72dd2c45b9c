"""This file measures one command, or one stretch of a program, on this host, now: energy by device with its interval.

The agent's own program samples into a spool of its own, which nobody ships: nothing that it reads is counted in the ledger, so
that the host's real agent may run at the same time. Idle power is what the host drew before; energy above idle stands beside.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from footprint.core.assumptions import assumption
from footprint.core.estimate import Estimate
from footprint.core.records import BadLine, ContextReading, EnergyReading, FootprintError, from_line, grade_of
from footprint.core.units import J_PER_KWH, US_PER_S
from footprint.impact.uncertainty import UncertaintyBudget

SAMPLES_PER_SECOND = 4
BASELINE_S = 2.0
PATIENCE_S = 20
LOOK_S = 1 / 20
COLUMNS = ("device", "component", "source", "energy_j", "energy_low_j", "energy_high_j", "idle_w", "above_idle_j", "quality")
TOTAL = "(total)"
_QUALITY = {"counter": "A", "power": "A", "modelled": "B", "estimate": "C"}


class CannotMeasure(FootprintError):
    """No sensor of this host can be read, or the agent's program does not run."""


@dataclass(slots=True)
class Measurement:
    """What a stretch of time took: ``rows`` by device and in all, of ``COLUMNS``; filled when it is over."""

    name: str
    begin_us: int = 0
    seconds: float = 0.0
    rows: list[dict[str, Any]] | None = None

    @property
    def energy_j(self) -> float:
        """Energy of all devices [J]; 0 is a figure, what was not measured raises.

        Raises
        ------
        CannotMeasure
            If the stretch is not over, or nothing was read.
        """
        if not self.rows:
            raise CannotMeasure(f"{self.name}: nothing is measured yet")
        return float(self.rows[-1]["energy_j"])

    def sentence(self) -> str:
        """The finding in words."""
        if not self.rows:
            return f"{self.name}: nothing was measured"
        total = self.rows[-1]
        bracket = f"[{total['energy_low_j']:.3g} ; {total['energy_high_j']:.3g}] J"
        watt_hours = total["energy_j"] / J_PER_KWH * 1000
        above = "" if total["above_idle_j"] is None else f", of which {total['above_idle_j']:.4g} J above idle"
        said = f"{total['energy_j']:.4g} J {bracket}, {watt_hours:.3g} Wh in {self.seconds:.3g} s{above}"
        return f"{self.name}: {said}; quality {total['quality']}"

    def show(self) -> Measurement:
        """Print the finding; in a notebook its table follows, as the value of the cell."""
        print(self.sentence())
        return self

    def _repr_html_(self) -> str:
        """The finding as a table, where notebooks ask for one."""
        if not self.rows:
            return f"<p>{escape(self.sentence())}</p>"
        titles = ("device", "energy J", "95 % interval", "idle W", "quality")
        head = "".join(f"<th scope='col'>{title}</th>" for title in titles)
        body = "".join(_html_row(row) for row in self.rows)
        caption = f"<caption style='text-align:left'>{escape(self.sentence())}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html_row(row: dict[str, Any]) -> str:
    """Whole server meters are shown, and not in the total."""
    idle = "" if row["idle_w"] is None else f"{row['idle_w']:.3g}"
    bracket = f"[{row['energy_low_j']:.3g} ; {row['energy_high_j']:.3g}]"
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in (f"{row['energy_j']:.4g}", bracket, idle, str(row["quality"])))
    return f"<tr><th scope='row'>{escape(str(row['device']))}</th>{cells}</tr>"


class SensorProcess:
    """The sensors of this host while the block lasts, read by the agent's own program into a spool that nobody ships.

    Raises
    ------
    CannotMeasure
        On entering, if no sensor can be read here.
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
        """Stop reading; what was read stays known."""
        if self._agent is not None:
            self._agent.terminate()
            try:
                self._agent.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._agent.kill()
                self._agent.wait()
            self._agent = None
            self._look()
        self._folder.cleanup()

    def readings(self) -> list[EnergyReading]:
        """Every reading since the begin, in the order in which they came."""
        self._look()
        return self._energy

    def context_readings(self) -> list[ContextReading]:
        """Clocks, power limits and the like since the begin."""
        self._look()
        return self._context

    def wait_for_readings_after(self, at_us: int) -> None:
        """Wait until every device has a reading after an instant, to end a stretch at; a while at most."""
        patience = time.monotonic() + PATIENCE_S / 10
        while time.monotonic() < patience:
            last: dict[tuple[str, str], int] = {}
            for reading in self.readings():
                last[reading.device, reading.source] = reading.at_us
            if last and min(last.values()) > at_us:
                return
            time.sleep(1 / self.samples_per_second)

    def rows(self, begin_us: int, end_us: int) -> list[dict[str, Any]]:
        """Energy between two instants, of ``COLUMNS``."""
        return energy_rows(self.readings(), begin_us, end_us)

    def _look(self) -> None:
        """Take in what the agent has written since: each of its files once, for it writes them whole."""
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
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if self.readings():
                return
            if agent.poll() is not None:
                break
            time.sleep(LOOK_S)
        said = (Path(self._folder.name) / "agent.log").read_text(errors="replace").strip().splitlines()
        why = said[-1] if said else "it says nothing"
        raise CannotMeasure(f"no sensor of this host can be read ({why}); `footprint doctor` says more")


@contextlib.contextmanager
def measure(name: str = "measured", *, baseline_s: float = BASELINE_S) -> Iterator[Measurement]:
    """Measure what happens within the block on this host [J], by device; it is whole when the block has ended.

    Raises
    ------
    CannotMeasure
        If no sensor can be read here.
    """
    found = Measurement(name)
    with SensorProcess() as sensors:
        first_us = min(reading.at_us for reading in sensors.readings())
        time.sleep(max(baseline_s - (time.time() - first_us / US_PER_S), 0.0))
        found.begin_us = time.time_ns() // 1000
        try:
            yield found
        finally:
            end_us = time.time_ns() // 1000
            found.seconds = (end_us - found.begin_us) / US_PER_S
            sensors.wait_for_readings_after(end_us)
    found.rows = sensors.rows(found.begin_us, end_us)
    if not found.rows:
        raise CannotMeasure("the sensors gave no two readings; is the stretch very short?")


def measure_command(command: Sequence[str], *, baseline_s: float = BASELINE_S) -> tuple[Measurement, int]:
    """Measure a command; its exit status comes with it (127 where there is no such program).

    Raises
    ------
    CannotMeasure
        If no sensor can be read here; the command does not run then.
    """
    with measure(" ".join(command)[:80], baseline_s=baseline_s) as found:
        try:
            status = subprocess.run(list(command), check=False).returncode
        except OSError as bad:
            print(f"footprint: {command[0]}: {bad.strerror}", file=sys.stderr)
            status = 127
    return found, status


def _agent(spool: Path, folder: Path, samples_a_second: int) -> subprocess.Popen[bytes]:
    """The agent's program with a spool of its own, and a server that is nowhere."""
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
        return subprocess.Popen(command, env=environment, cwd=folder, stderr=log)


def energy_rows(readings: Sequence[EnergyReading], begin_us: int, end_us: int) -> list[dict[str, Any]]:
    """Energy of each device between two instants, the total last; cumulative counters are read off in between two records.

    One epoch counts, the one at the begin; a device that was reset has no row. ``host`` meters are shown, and not in the total.
    Intervals are those of the sensors (assumptions ``gain_…``): those of a kind err alike, kinds add in squares.
    """
    series: dict[tuple[str, str, str], list[EnergyReading]] = {}
    for reading in sorted(readings, key=lambda each: (each.at_us, each.seq)):
        series.setdefault((reading.device, reading.component, reading.source), []).append(reading)
    rows = []
    causes: list[tuple[str, tuple[str, float, Estimate]]] = []
    for (device, component, source), told in sorted(series.items()):
        mine = [each for each in told if each.epoch == told[0].epoch]
        at_begin, at_end, at_first = (_at(mine, at) for at in (begin_us, end_us, mine[0].at_us))
        if at_begin is None or at_end is None or at_first is None:
            continue
        energy = (at_end - at_begin) / 1e6
        before_s = (begin_us - mine[0].at_us) / US_PER_S
        idle_w = (at_begin - at_first) / 1e6 / before_s if before_s > 0 else None
        grade = grade_of(source, counter=True)
        cause = f"gain {component} {grade}", energy, _gain(component, grade)
        mine_alone = UncertaintyBudget()
        mine_alone.add(*cause)
        low, high = mine_alone.interval(energy)
        causes.append((component, cause))
        above = None if idle_w is None else energy - idle_w * (end_us - begin_us) / US_PER_S
        rows.append(
            {
                "device": mine[0].alias or device,
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
    for component, cause in causes:
        if component in counted:
            budget.add(*cause)
    total["energy_low_j"], total["energy_high_j"] = budget.interval(total["energy_j"])
    return [*rows, {**total, "quality": max(str(row["quality"]) for row in parts)}]


def _at(told: Sequence[EnergyReading], at_us: int) -> float | None:
    """The counter [µJ] at an instant, between the records around it; None outside of them."""
    for before, after in itertools.pairwise(told):
        if before.at_us <= at_us <= after.at_us:
            part = (at_us - before.at_us) / (after.at_us - before.at_us) if after.at_us > before.at_us else 0.0
            return before.energy_uj + part * (after.energy_uj - before.energy_uj)
    return None


def _gain(component: str, grade: str) -> Estimate:
    if grade == "estimate":
        return assumption("gain_estimate")
    if component == "host":
        return assumption("gain_host_power")
    return assumption(f"gain_{component}_{grade if grade in ('counter', 'modelled') else 'power'}")
