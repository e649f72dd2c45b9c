"""CodeCarbon import: energy of training and batch jobs from its ``emissions.csv``.

Each run becomes two counter readings per component, 0 at its start and its energy at its end, with an epoch of its own, so that
nothing is interpolated between runs. Devices are named after the project (``codecarbon/gpu/PROJECT``), so that placements can
name them. CodeCarbon may have estimated its values and the file does not say which, so all are graded C.
"""

from __future__ import annotations

import csv
import datetime
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from footprint.config.models import OWN_SERVICE, OWN_SERVICE_RESERVED
from footprint.core.limits import (
    FIRST_INSTANT_US,
    LAST_INSTANT_US,
    Reject,
    duration_fault,
    energy_fault,
    instant_fault,
    name_fault,
    personal_name_fault,
)
from footprint.core.records import RequestRecord
from footprint.core.timestamps import from_datetime
from footprint.core.units import INT64_MAX, UJ_PER_KWH, US_PER_S
from footprint.ledger.energy_file import Readings, StreamKey
from footprint.ledger.ledger_view import LedgerView
from footprint.ledger.record_batch import UnreadableFile
from footprint.storage.database import Store

SOURCE = "estimate-codecarbon"
REQUIRED = ("timestamp", "project_name", "run_id", "duration")
DEVICE_PREFIX = "codecarbon/"
COMPONENTS = {"gpu_energy": "gpu", "cpu_energy": "cpu", "ram_energy": "dram"}


@dataclass(frozen=True, slots=True)
class CodecarbonRun:
    """One row of the file: start and end [µs], and energy by component [µJ] without empty ones."""

    line: int
    project: str
    run_id: str
    start_us: int
    end_us: int
    energy_uj: dict[str, int]


def read_runs(path: str, zone: ZoneInfo, now_us: int, *, anyway: bool = False) -> tuple[list[CodecarbonRun], list[Reject], int]:
    """Runs of a file by project and time, the rejected rows, and how many runs are implausible and taken ``anyway``.

    Times without an offset are in ``zone``.

    Raises
    ------
    UnreadableFile
        If the file cannot be read or lacks a column.
    """
    runs: list[CodecarbonRun] = []
    rejects: list[Reject] = []
    implausible = 0
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in (*REQUIRED, *COMPONENTS) if name not in (reader.fieldnames or ())]
            if missing:
                raise UnreadableFile(f"{path}: columns missing: {', '.join(missing)}; is this CodeCarbon's emissions.csv?")
            for row in reader:
                try:
                    run = _parse_run(row, reader.line_num, zone)
                    if fault := _implausible(run, now_us):
                        implausible += 1
                        if not anyway:
                            raise _BadRow(*fault)
                    runs.append(run)
                except _BadRow as error:
                    rejects.append(Reject(reader.line_num, error.column, error.reason))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile(f"{path}: cannot be read: {error}") from None
    runs.sort(key=lambda run: (run.project, run.start_us, run.line))
    merged: list[CodecarbonRun] = []
    for run in runs:
        last = merged[-1] if merged and merged[-1].project == run.project else None
        if last is not None and last.run_id == run.run_id and abs(last.start_us - run.start_us) < US_PER_S:
            # CodeCarbon appends a cumulative row at each flush of a run: keep the longest.
            merged[-1] = max(last, run, key=lambda part: part.end_us)
            continue
        if last is not None and run.start_us < last.end_us:
            rejects.append(Reject(run.line, "timestamp", "overlaps another run of its project: one device cannot hold both"))
            continue
        merged.append(run)
    return merged, rejects, implausible if anyway else 0


def _implausible(run: CodecarbonRun, now_us: int) -> tuple[str, str] | None:
    """Column and reason for which a run cannot be right."""
    for column, at_us in (("timestamp", run.end_us), ("duration", run.start_us)):
        if fault := instant_fault(at_us, now_us):
            return column, fault
    if fault := duration_fault(run.start_us, run.end_us, requests=0):
        return "duration", fault
    for column, component in COMPONENTS.items():
        if fault := energy_fault(component, run.energy_uj.get(component, 0), run.end_us - run.start_us):
            return column, fault
    return None


class _BadRow(ValueError):
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.reason = column, reason


def _parse_run(row: dict[str, str], line: int, zone: ZoneInfo) -> CodecarbonRun:
    try:
        timestamp = datetime.datetime.fromisoformat(row["timestamp"])
        end_us = from_datetime(timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=zone))
    except (ValueError, OverflowError, TypeError):
        raise _BadRow("timestamp", "is no time") from None
    duration_s = _parse_number(row, "duration")
    if duration_s is None or duration_s <= 0:
        raise _BadRow("duration", "must be above 0 seconds")
    if duration_s > LAST_INSTANT_US / US_PER_S:
        raise _BadRow("duration", "is longer than any job")
    energy = {}
    for column, component in COMPONENTS.items():
        kwh = _parse_number(row, column)
        if kwh is not None:
            if kwh > INT64_MAX / UJ_PER_KWH:
                raise _BadRow(column, "is more than a counter holds")
            energy[component] = round(kwh * UJ_PER_KWH)
    if not energy:
        raise _BadRow("gpu_energy", "no component has an energy")
    if row["project_name"] == OWN_SERVICE:
        raise _BadRow("project_name", OWN_SERVICE_RESERVED)
    for name in ("project_name", "run_id"):
        if fault := name_fault(row[name] or ""):
            raise _BadRow(name, fault)
    if fault := personal_name_fault(row["project_name"] or ""):
        raise _BadRow("project_name", fault)
    start_us = end_us - round(duration_s * US_PER_S)
    if not FIRST_INSTANT_US <= start_us <= end_us <= LAST_INSTANT_US:
        raise _BadRow("timestamp", "before the year 2000, or far in the future")
    return CodecarbonRun(line, row["project_name"] or "codecarbon", row["run_id"] or str(line), start_us, end_us, energy)


def _parse_number(row: dict[str, str], column: str) -> float | None:
    text = row.get(column) or ""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise _BadRow(column, "is no number") from None
    if not math.isfinite(value) or value < 0:
        raise _BadRow(column, "must be a number of at least 0")
    return value


def reject_measured_runs(store: Store, host: str, runs: Iterable[CodecarbonRun]) -> tuple[list[CodecarbonRun], list[Reject]]:
    """Split runs into those without other measurements on that host, and rejects that would count energy twice."""
    accepted, rejects = [], []
    with store.read() as connection:
        view = LedgerView(store, connection)
        measured = [
            stream
            for stream in view.streams().get(host, [])
            if stream.quantity in ("energy", "power") and not stream.device.startswith(DEVICE_PREFIX)
        ]
        for run in runs:
            overlapping = next(
                (s for s in measured if s.component in (*run.energy_uj, "host") and _has_samples(view, s.id, run)), None
            )
            if overlapping is None:
                accepted.append(run)
            else:
                reason = (
                    f"{host}/{overlapping.device} was measured then: it would count twice; "
                    "name another --host if it ran elsewhere"
                )
                rejects.append(Reject(run.line, "timestamp", reason))
    return accepted, rejects


def _has_samples(view: LedgerView, stream: int, run: CodecarbonRun) -> bool:
    times = view.samples(stream, run.start_us, run.end_us).time_us  # includes neighbours on either side
    return bool(((times >= run.start_us) & (times <= run.end_us)).any())


def runs_to_readings(host: str, runs: list[CodecarbonRun]) -> Readings:
    """Two readings of each component of each run."""
    streams: dict[StreamKey, int] = {}
    epochs: dict[str, int] = {}
    rows: list[tuple[int, ...]] = []
    for run in runs:
        epoch = epochs.setdefault(f"codecarbon {run.run_id} {run.start_us}", len(epochs))
        for component, energy_uj in run.energy_uj.items():
            key = StreamKey(host, f"{DEVICE_PREFIX}{component}/{run.project}", "energy", "estimate", component, SOURCE)
            stream = streams.setdefault(key, len(streams))
            duration_us = run.end_us - run.start_us
            rows.append((run.line, run.start_us, stream, 0, 0, epoch, 0, 0, 0))
            rows.append((run.line, run.end_us, stream, energy_uj, duration_us, epoch, 1, 0, 0))
    columns = np.array(rows, dtype=np.int64).reshape(-1, 9)
    lines, time_us, stream_index, value, covered_us, epoch_index, seq, mono_us, flags = (columns[:, i] for i in range(9))
    return Readings(
        list(streams), lines, time_us, stream_index, value, covered_us, list(epochs), epoch_index, seq, mono_us, flags
    )


def runs_to_requests(runs: list[CodecarbonRun], use_case: str) -> list[RequestRecord]:
    """Each run as one request of the service named after its project."""
    return [
        RequestRecord(
            start_us=run.start_us,
            end_us=run.end_us,
            service=run.project,
            use_case=use_case,
            id=f"codecarbon {run.run_id} {run.start_us}",
        )
        for run in runs
    ]


def placement_lines(host: str, runs: list[CodecarbonRun]) -> list[str]:
    """Configuration lines that assign each project's devices to the service of the same name."""
    devices: dict[str, set[str]] = {}
    for run in runs:
        devices.setdefault(run.project, set()).update(
            f'"{host}/{DEVICE_PREFIX}{component}/{run.project}"' for component in run.energy_uj
        )
    return [
        f'[[service]] name = "{name}", devices = [{", ".join(sorted(device_names))}]'
        for name, device_names in sorted(devices.items())
    ]
