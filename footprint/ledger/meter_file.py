"""Files of a wall meter: time and power_w or energy_j, read as energy intervals; nothing of them is stored but a digest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from footprint.attribution.energy_intervals import (
    EnergyIntervals,
    Samples,
    gap_limit_us,
    intervals_from_counter,
    intervals_from_power,
)
from footprint.core.limits import MAX_POWER_W, RejectList
from footprint.core.units import UW_PER_W
from footprint.ledger import column_parsers
from footprint.ledger.input_description import looks_like
from footprint.ledger.readers import new_digest, read_batches
from footprint.ledger.record_batch import UnreadableFile
from footprint.ledger.rejects import ColumnErrors, file_rejects

COLUMNS = ("time", "power_w", "energy_j")


@dataclass(frozen=True, slots=True)
class MeterReadings:
    """Energy of a wall meter between its samples, with the digest of its file and the lines that were not taken."""

    intervals: EnergyIntervals
    samples: int
    sha256: str
    rejects: RejectList


def rejected_lines(rejects: RejectList) -> str:
    """How many lines were not taken, and the first one with its reason."""
    first = next(iter(rejects))
    # The reasons of times name options of `import`, which this file has not.
    remedy = "; write times as 2026-10-14T09:00:00+02:00" if first.column == "time" else ""
    reason = first.reason.partition(" (")[0]
    return f"{len(rejects)} lines were not taken, the first: line {first.line}, {first.column} {reason}{remedy}"


def read_meter(path: str, now_us: int) -> MeterReadings:
    """Read a meter's file: CSV, JSON Lines or Parquet with ``time`` and one of ``power_w`` and ``energy_j``.

    Raises
    ------
    UnreadableFile
        If it cannot be read, lacks a column, holds both quantities, or holds no two samples.
    """
    digest, rejects = new_digest(), file_rejects()
    times, values, quantities = [], [], set()
    for batch in read_batches(path, digest, COLUMNS):
        rejects.extend(batch.rejects)
        if not len(batch.lines):
            continue
        names = [name for name in COLUMNS[1:] if name in batch.columns]
        if "time" not in batch.columns or not names:
            missing = "time" if "time" not in batch.columns else "power_w or energy_j"
            raise UnreadableFile(
                f"{path}: required column missing: {missing}; name the columns time and power_w or energy_j"
                f"{looks_like(path, has_columns=True)}"
            )
        errors = ColumnErrors(batch.lines)
        time_us = column_parsers.parse_instants(batch.column("time"), "time", errors, now_us, required=True)
        columns: dict[str, pa.Array] = {name: batch.column(name) for name in names}
        present = {name: column_parsers.has_value(column) for name, column in columns.items()}
        used = [name for name in names if present[name].any()]
        if len(used) > 1:
            raise UnreadableFile(f"{path}: power_w and energy_j are both given; keep the one that the meter measures")
        for name in used:
            value = column_parsers.parse_micro(columns[name], name, errors)
            errors.mark(~present[name], name, "empty")
            if name == "power_w":
                errors.mark(value > MAX_POWER_W["host"] * UW_PER_W, name, "more than a server draws")
            quantities.add(name)
            times.append(time_us[~errors.bad])
            values.append(value[~errors.bad])
        errors.add_to(rejects)
    if len(quantities) > 1:
        raise UnreadableFile(f"{path}: power_w and energy_j are both given; keep the one that the meter measures")
    time_us, value = (np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64) for parts in (times, values))
    time_us, first = np.unique(time_us, return_index=True)
    if len(time_us) < 2:
        reason = f"; {rejected_lines(rejects)}" if len(rejects) else ""
        raise UnreadableFile(
            f"{path}: fewer than two samples of power_w or energy_j were taken{reason}{looks_like(path, has_columns=True)}"
        )
    unknown, zero = np.full(len(time_us), -1, dtype=np.int64), np.zeros(len(time_us), dtype=np.int64)
    samples = Samples(time_us, value[first], unknown, zero)
    limit_us = gap_limit_us(np.diff(time_us))
    read = intervals_from_power if "power_w" in quantities else intervals_from_counter
    return MeterReadings(read(samples, limit_us), len(time_us), digest.hexdigest(), rejects)
