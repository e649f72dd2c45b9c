"""This file reads CodeCarbon's ``emissions.csv``: energy of training and batch jobs that another program measured.

Each run becomes two readings of a counter per component, 0 at its begin and what it used at its end, with an epoch of its own:
between runs nothing is known and nothing is bridged. Devices are named after the project (``codecarbon/gpu/PROJECT``), so that
placements can name them. CodeCarbon may have modelled what it reports, and the file does not say which: all of it is graded C.
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

from footprint.core.records import RequestRecord
from footprint.core.timestamps import from_datetime
from footprint.core.units import INT64_MAX, UJ_PER_KWH, US_PER_S
from footprint.ledger.energy_file import Readings, StreamKey
from footprint.ledger.ledger_view import LedgerView
from footprint.ledger.record_batch import UnreadableFile
from footprint.ledger.rejects import Reject
from footprint.storage.database import Store

SOURCE = "estimate-codecarbon"
REQUIRED = ("timestamp", "project_name", "run_id", "duration")
DEVICE_PREFIX = "codecarbon/"
COMPONENTS = {"gpu_energy": "gpu", "cpu_energy": "cpu", "ram_energy": "dram"}


@dataclass(frozen=True, slots=True)
class CodecarbonRun:
    """One row of the file: when it ran [µs], and what each component used [µJ]; what is empty is not there."""

    line: int
    project: str
    run_id: str
    start_us: int
    end_us: int
    energy_uj: dict[str, int]


def read_runs(path: str, zone: ZoneInfo) -> tuple[list[CodecarbonRun], list[Reject]]:
    """Runs of a file in order of time, and its rows that cannot be right; times without an offset are of ``zone``.

    Raises
    ------
    UnreadableFile
        If the file cannot be read or lacks a column.
    """
    runs: list[CodecarbonRun] = []
    rejects: list[Reject] = []
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in (*REQUIRED, *COMPONENTS) if name not in (reader.fieldnames or ())]
            if missing:
                raise UnreadableFile(f"{path}: columns missing: {', '.join(missing)}; is this CodeCarbon's emissions.csv?")
            for row in reader:
                try:
                    runs.append(_parse_run(row, reader.line_num, zone))
                except _BadRow as bad:
                    rejects.append(Reject(reader.line_num, bad.column, bad.reason))
    except (OSError, UnicodeDecodeError) as bad:
        raise UnreadableFile(f"{path}: cannot be read: {bad}") from None
    runs.sort(key=lambda run: (run.project, run.start_us, run.line))
    kept: list[CodecarbonRun] = []
    for run in runs:
        last = kept[-1] if kept and kept[-1].project == run.project else None
        if last is not None and last.run_id == run.run_id and abs(last.start_us - run.start_us) < US_PER_S:
            # CodeCarbon appends a row at each flush of one run: cumulative, the longest is the whole.
            kept[-1] = max(last, run, key=lambda each: each.end_us)
            continue
        if last is not None and run.start_us < last.end_us:
            rejects.append(Reject(run.line, "timestamp", "overlaps another run of its project: one device cannot hold both"))
            continue
        kept.append(run)
    return kept, rejects


class _BadRow(ValueError):
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.reason = column, reason


def _parse_run(row: dict[str, str], line: int, zone: ZoneInfo) -> CodecarbonRun:
    try:
        told = datetime.datetime.fromisoformat(row["timestamp"])
    except ValueError:
        raise _BadRow("timestamp", "is no time") from None
    end_us = from_datetime(told if told.tzinfo else told.replace(tzinfo=zone))
    duration = _parse_number(row, "duration")
    if duration is None or duration <= 0:
        raise _BadRow("duration", "must be above 0 seconds")
    energy = {}
    for column, component in COMPONENTS.items():
        kwh = _parse_number(row, column)
        if kwh is not None:
            energy[component] = round(kwh * UJ_PER_KWH)
            if energy[component] > INT64_MAX:
                raise _BadRow(column, "is more than a counter holds")
    if not energy:
        raise _BadRow("gpu_energy", "no component has an energy")
    start_us = end_us - round(duration * US_PER_S)
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
    """Runs that nobody else measured on that host; the others would count the same joules twice."""
    kept, rejects = [], []
    with store.read() as connection:
        view = LedgerView(store, connection)
        others = [
            stream
            for stream in view.streams().get(host, [])
            if stream.quantity in ("energy", "power") and not stream.device.startswith(DEVICE_PREFIX)
        ]
        for run in runs:
            hit = next((s for s in others if s.component in (*run.energy_uj, "host") and _has_samples(view, s.id, run)), None)
            if hit is None:
                kept.append(run)
            else:
                said = f"{host}/{hit.device} was measured then: it would count twice; name another --host if it ran elsewhere"
                rejects.append(Reject(run.line, "timestamp", said))
    return kept, rejects


def _has_samples(view: LedgerView, stream: int, run: CodecarbonRun) -> bool:
    times = view.samples(stream, run.start_us, run.end_us).time_us  # with neighbours on either side
    return bool(((times >= run.start_us) & (times <= run.end_us)).any())


def runs_to_readings(host: str, runs: list[CodecarbonRun]) -> Readings:
    """Readings of the runs: two of each component."""
    streams: dict[StreamKey, int] = {}
    epochs: dict[str, int] = {}
    rows: list[tuple[int, ...]] = []
    for run in runs:
        epoch = epochs.setdefault(f"codecarbon {run.run_id} {run.start_us}", len(epochs))
        for component, energy_uj in run.energy_uj.items():
            key = StreamKey(host, f"{DEVICE_PREFIX}{component}/{run.project}", "energy", "estimate", component, SOURCE)
            stream = streams.setdefault(key, len(streams))
            length_us = run.end_us - run.start_us
            rows.append((run.line, run.start_us, stream, 0, 0, epoch, 0, 0, 0))
            rows.append((run.line, run.end_us, stream, energy_uj, length_us, epoch, 1, 0, 0))
    columns = np.array(rows, dtype=np.int64).reshape(-1, 9)
    lines, time_us, of, value, covered_us, epoch_of, seq, mono_us, flags = (columns[:, i] for i in range(9))
    return Readings(list(streams), lines, time_us, of, value, covered_us, list(epochs), epoch_of, seq, mono_us, flags)


def runs_to_requests(runs: list[CodecarbonRun], use_case: str) -> list[RequestRecord]:
    """Each run as one request of the service that bears its project's name."""
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
    """Lines of the configuration that give each project's devices to the service of its name."""
    devices: dict[str, set[str]] = {}
    for run in runs:
        devices.setdefault(run.project, set()).update(f'"{host}/{DEVICE_PREFIX}{c}/{run.project}"' for c in run.energy_uj)
    return [f'[[service]] name = "{name}", devices = [{", ".join(sorted(found))}]' for name, found in sorted(devices.items())]
