"""What the server makes of the fleet: figures by device from one ledger for many machines, and the law that they must keep.

The law: energy is right within the sensor's class, or the interval holds the truth, or coverage says that it was not seen, or the
grade is an estimate's. Never is a figure "A, measured" and wrong by more than its interval.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from footprint.aggregation.aggregate import aggregate
from footprint.config import Config
from footprint.config.loader import parse_config
from footprint.figures import run_query
from footprint.figures.coverage import device_coverage_seconds
from footprint.figures.engine import open_result, result_rows
from footprint.figures.query import Query
from footprint.ledger.factor_store import load_factor_book
from footprint.ledger.ingest import IngestService
from footprint.ledger.ledger_view import LedgerView
from footprint.queries.sensor_quality import sensor_findings
from footprint.storage.database import Store
from tests.simulation.fleet_host import START_US, MachineRun
from tests.simulation.fleet_machine import US, Machine

J_PER_KWH = 3_600_000
SLACK_J, SLACK = 2.0, 0.002  # of the first and the last second, which a sample each second cannot see
WHOLE = "*"
VERDICTS = ("agrees", "disagrees", "stands still", "no witness")


@dataclass(frozen=True)
class DeviceFigure:
    """Figure of a device or of a whole machine [J]; coverage is None where the server expects no device."""

    device: str
    energy_j: float
    low_j: float
    high_j: float
    coverage: float | None
    quality: str
    measured_s: float = 0.0


@dataclass
class MachineFigures:
    """Figures of one machine by device, of the machine as a whole, and the last verdict of each source by device."""

    devices: dict[str, DeviceFigure] = field(default_factory=dict)
    whole: DeviceFigure | None = None
    verdicts: dict[str, dict[str, str]] = field(default_factory=dict)
    ever: dict[str, set[str]] = field(default_factory=dict)  # every verdict of a device
    rejects: list[str] = field(default_factory=list)

    @staticmethod
    def matches(device: str, pattern: str) -> bool:
        """Whether a device is of a pattern: its name, names joined by ``+``, or with ``*``."""
        return any(fnmatchcase(device, name.strip()) for name in pattern.split("+"))

    def ever_said(self, pattern: str) -> set[str]:
        """All verdicts on the sensors of a device, or of devices of a pattern."""
        return {verdict for name, verdicts in self.ever.items() if self.matches(name, pattern) for verdict in verdicts}

    def of(self, pattern: str) -> DeviceFigure | None:
        """Figure of a device, of several joined by ``+`` or a pattern, or of the whole machine; None if there is none."""
        if pattern == WHOLE:
            return self.whole
        parts = [figure for name, figure in self.devices.items() if self.matches(name, pattern)]
        if not parts:
            return None
        coverages = [part.coverage for part in parts if part.coverage is not None]
        return DeviceFigure(
            pattern,
            sum(part.energy_j for part in parts),
            sum(part.low_j for part in parts),
            sum(part.high_j for part in parts),
            min(coverages, default=None),
            max(part.quality for part in parts),
            min(part.measured_s for part in parts),
        )


def _config(folder: Path, hosts: Iterable[str]) -> Config:
    """Declared hosts without losses outside of their sensors, so that only the sensors make a difference."""
    blocks = "".join(f'[[host]]\nname = "{host}"\nsite = "here"\nuplift = [1, 1, 1]\n' for host in hosts)
    # A zone of quarters of an hour has slots of that length, so that a machine of a quarter of an hour can be asked for.
    text = f'[organisation]\ntimezone = "Asia/Kathmandu"\n[store]\nurl = "sqlite:///{folder / "fleet.db"}"\n[[site]]\nname = "here"\npue = [1, 1, 1]\n{blocks}'
    return parse_config(text, environ={})


Import = Callable[[Store, int], None]


def figures_of(
    runs: Iterable[MachineRun], machines: Iterable[Machine], folder: Path, imports: Iterable[Import] = ()
) -> dict[str, MachineFigures]:
    """Ship the lines of many machines to one ledger, import others, aggregate once, and query the figures of each."""
    seconds = {machine.name: machine.seconds for machine in machines}
    config = _config(folder, seconds)
    store = Store(config.store_url)
    now_us = START_US + (max(seconds.values(), default=0) + 60) * US
    service = IngestService(store, lambda _: set())
    results = {name: MachineFigures() for name in seconds}
    for run in runs:
        if run.lines:
            answer = service.accept(run.host, run.lines, now_us)
            results[run.host].rejects = [f"{reject.column}: {reject.reason}" for reject in answer.rejects]
    for import_into in imports:
        import_into(store, now_us)
    aggregate(store, config, load_factor_book(store), now_us)
    for length in set(seconds.values()):
        by_device, by_host = (
            Query(group, from_us=START_US, to_us=START_US + length * US) for group in (("host", "device"), ("host",))
        )
        with open_result(store, config, by_device, now_us) as result:
            assert result is not None
            rows = result_rows(result) + run_query(store, config, by_host, now_us).rows
            coverage = list(device_coverage_seconds(result.coverage_index, result.periods))
        measured_s = {device: spans["measured_s"] for _, device, spans in coverage}
        for row in rows:
            if seconds.get(row["host"]) == length:
                _add_row(results[row["host"]], row, measured_s)
        for _, (host, device), spans in coverage:
            if seconds.get(host) == length:
                _add_zero(results[host], device, spans)
    _add_verdicts(store, results)
    for finding in sensor_findings(store, now_us):
        if finding.verdict is not None and finding.host in results:
            word = VERDICTS[finding.verdict.verdict]
            results[finding.host].verdicts.setdefault(finding.device, {}).setdefault(finding.source, word)
            results[finding.host].ever.setdefault(finding.device, set()).add(word)
    store.close()
    return results


def _add_row(figures: MachineFigures, row: dict[str, Any], measured_s: dict[tuple[str, str], float]) -> None:
    of_host = [seconds for (host, _), seconds in measured_s.items() if host == row["host"]]
    figure = DeviceFigure(
        row.get("device", WHOLE),
        *((row[name] or 0.0) * J_PER_KWH for name in ("energy_kwh", "energy_low_kwh", "energy_high_kwh")),
        row["coverage"],
        row["quality"] or "A",
        measured_s.get((row["host"], row.get("device", "")), min(of_host, default=0.0)),
    )
    if "device" in row:
        figures.devices[row["device"]] = figure
    else:
        figures.whole = figure


def _add_zero(figures: MachineFigures, device: str, spans: dict[str, float]) -> None:
    """Add a device that has no row because its energy is 0: where that was measured, it is a claim."""
    if device not in figures.devices and spans["measured_s"] > 0:
        coverage = spans["measured_s"] / spans["expected_s"] if spans["expected_s"] else None
        figures.devices[device] = DeviceFigure(device, 0.0, 0.0, 0.0, coverage, "A", spans["measured_s"])


def _add_verdicts(store: Store, results: dict[str, MachineFigures]) -> None:
    with store.read() as connection:
        view = LedgerView(store, connection)
        for host, streams in view.streams().items():
            for stream in streams:
                kind, _, source = stream.quantity.partition("/")
                if kind != "verdict" or host not in results:
                    continue
                values = view.samples(stream.id, START_US - US, START_US + 100_000 * US).value.tolist()
                results[host].verdicts.setdefault(stream.device, {})[source] = VERDICTS[values[-1]]
                results[host].ever.setdefault(stream.device, set()).update(VERDICTS[value] for value in values)


def peak_w(machine: Machine) -> float:
    """Highest power that the machine truly drew in any second, of all its things together [W]."""
    return max((sum(second) / US for second in zip(*(t.powers_uw for t in machine.things.values()), strict=True)), default=0.0)


def breach_of_law(machine: Machine, figures: MachineFigures, pattern: str, truth_j: float) -> str:
    """Why a figure breaks the law; empty if it keeps it. Time before the first reading of a device is not seen."""
    figure = figures.of(pattern)
    if figure is None or figure.quality == "C":
        return ""  # nothing is claimed, or an estimate is
    slack_j = SLACK_J + SLACK * truth_j
    if figure.low_j - slack_j <= truth_j <= figure.high_j + slack_j:
        return ""
    missing_s = max(machine.seconds - figure.measured_s, 0.0)
    if truth_j > figure.high_j and truth_j - figure.high_j <= missing_s * peak_w(machine) + slack_j:
        return ""
    return describe(figure, truth_j)


def describe(figure: DeviceFigure | None, truth_j: float) -> str:
    """A figure beside the truth, in one line."""
    if figure is None:
        return f"no figure; truth {truth_j:.0f} J"
    off = f"{100 * (figure.energy_j / truth_j - 1):+.1f} %" if truth_j else "of 0 J"
    coverage = "-" if figure.coverage is None else f"{figure.coverage:.3f}"
    return (
        f"{figure.device}: {figure.energy_j:.0f} J [{figure.low_j:.0f}, {figure.high_j:.0f}], quality {figure.quality}, "
        f"coverage {coverage}, measured {figure.measured_s:.0f} s, truth {truth_j:.0f} J ({off})"
    )


def law_problems(machine: Machine, figures: MachineFigures) -> list[str]:
    """All breaches of the law by one machine: of its devices, and of devices that it does not have."""
    excused = {pattern for pattern in machine.table.get("no_witness", []) if "no witness" in figures.ever_said(pattern)}
    judged = {pattern: truth_j for pattern, truth_j in machine.truth_j.items() if pattern not in excused}
    problems = [breach_of_law(machine, figures, pattern, truth_j) for pattern, truth_j in judged.items()]
    if WHOLE not in machine.truth_j:
        problems += [
            f"no such device: {describe(figure, 0.0)}"
            for name, figure in figures.devices.items()
            if figure.energy_j > SLACK_J and figure.quality != "C" and not any(figures.matches(name, p) for p in machine.truth_j)
        ]
    problems += [f"refused by the server: {reject}" for reject in figures.rejects]
    return [problem for problem in problems if problem]


def expectation_problems(machine: Machine, figures: MachineFigures) -> list[str]:
    """Where figures are farther from the truth than the machine's sensors allow (``expect`` of its description)."""
    problems = []
    for pattern, expected in machine.table.get("expect", {}).items():
        figure, truth_j = figures.of(pattern), machine.truth_j[pattern]
        if expected.get("absent"):
            is_kept = figure is None or not figure.energy_j
        elif figure is None:
            is_kept = False
        else:
            is_kept = (
                abs(figure.energy_j - truth_j) <= expected.get("within", math.inf) * truth_j
                and figure.quality == expected.get("quality", figure.quality)
                and figure.quality != expected.get("not_quality")
                and (figure.coverage or 0.0) >= expected.get("coverage_min", 0.0)
            )
        if not is_kept:
            problems.append(f"{describe(figure, truth_j)}; expected {expected}")
    return problems


def message_problems(machine: Machine, messages: Iterable[str]) -> list[str]:
    """Messages that are missing (``says``) or untrue of this machine (``never_says``)."""
    lines = list(messages)
    problems = [f"nothing says {text!r}" for text in machine.table.get("says", []) if not _saying(text, lines)]
    return problems + [f"untrue: {line}" for text in machine.table.get("never_says", []) for line in _saying(text, lines)]


def _saying(pattern: str, lines: Iterable[str]) -> list[str]:
    return [line for line in lines if re.search(pattern, line)]
