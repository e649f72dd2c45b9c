"""Energy files: columns to readings (docs/reference/contract.md, section 4), with a reject for each invalid row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from footprint.attribution.array_types import Ints
from footprint.core.limits import MAX_POWER_W, REFRESH_US, Reject, RejectList, energy_fault, power_fault
from footprint.core.records import COMPONENTS, FLAG_ANYWAY, grade_of
from footprint.core.units import INT64_MAX, UW_PER_W
from footprint.ledger import column_parsers
from footprint.ledger.input_description import looks_like
from footprint.ledger.record_batch import RecordBatch, UnreadableFile
from footprint.ledger.rejects import ColumnErrors

REQUIRED = ("time", "host", "device", "component")
QUANTITIES = ("energy_j", "power_w")
COLUMNS = (*REQUIRED, *QUANTITIES, "source")
LastSamples = dict[tuple[str, str, str, str], tuple[int, int]]  # identity of a stream -> instant [µs], value [µJ]
CONTEXT_GRADE = "context"  # temperature, clock and the like: stored with the readings, never counted as energy


@dataclass(frozen=True, slots=True)
class StreamKey:
    """Identity of a stream of readings, and ``component``, ``source`` and ``model`` that describe it."""

    host: str
    device: str
    quantity: str
    grade: str
    component: str
    source: str
    model: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """(host, device, quantity, grade)."""
        return self.host, self.device, self.quantity, self.grade


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings of several streams, arrays of shape (n,).

    ``stream`` indexes ``streams`` and ``epoch_index`` indexes ``epoch``; ``value`` is in µJ, µW or the quantity's own unit;
    -1 is unknown.
    """

    streams: list[StreamKey]
    lines: Ints
    time_us: Ints
    stream: Ints
    value: Ints
    covered_us: Ints
    epoch: list[str]
    epoch_index: Ints
    seq: Ints
    mono_us: Ints
    flags: Ints

    def __len__(self) -> int:
        return len(self.time_us)

    def take(self, rows: Ints) -> Readings:
        """The selected rows, in the given order."""
        columns = ("lines", "time_us", "stream", "value", "covered_us", "epoch_index", "seq", "mono_us", "flags")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})


def parse_energy(
    path: str, batches: Iterable[RecordBatch], now_us: int, *, anyway: bool = False
) -> Iterator[tuple[Readings, RejectList]]:
    """Readings and rejects of each batch; with ``anyway``, implausible rows are taken and flagged.

    Raises
    ------
    UnreadableFile
        If a required column is missing, before the first result.
    """
    checked = False
    last_samples: LastSamples = {}
    for batch in batches:
        if not checked and (batch.columns or not batch.rejects):
            _check_columns(path, batch)
            checked = True
        yield _parse_readings(batch, last_samples, now_us, anyway=anyway)


def _check_columns(path: str, batch: RecordBatch) -> None:
    missing = [name for name in REQUIRED if name not in batch.columns]
    if not any(name in batch.columns for name in QUANTITIES):
        missing.append("energy_j or power_w")
    if missing:
        raise UnreadableFile(f"{path}: required column missing: {', '.join(missing)}; nothing was stored{looks_like(path)}")


def _parse_readings(batch: RecordBatch, last_samples: LastSamples, now_us: int, *, anyway: bool) -> tuple[Readings, RejectList]:
    errors = ColumnErrors(batch.lines, anyway=anyway)
    time_us = column_parsers.parse_instants(batch.column("time"), "time", errors, now_us, required=True)
    host = column_parsers.parse_texts(batch.column("host"), "host", errors, required=True)
    device = column_parsers.parse_texts(batch.column("device"), "device", errors, required=True)
    for column, name in ((host, "host"), (device, "device")):
        column_parsers.mark_personal_names(column, name, errors, is_host=True)
    component = column_parsers.parse_texts(batch.column("component"), "component", errors, required=True)
    known = pc.is_in(component, value_set=pa.array(COMPONENTS))
    errors.mark(~np.asarray(known), "component", f"must be one of {', '.join(COMPONENTS)}")
    source = column_parsers.parse_texts(batch.column("source"), "source", errors, required=False)
    energy = column_parsers.parse_micro(batch.column("energy_j"), "energy_j", errors)
    power = column_parsers.parse_micro(batch.column("power_w"), "power_w", errors)
    counter, gauge = column_parsers.has_value(batch.column("energy_j")), column_parsers.has_value(batch.column("power_w"))
    errors.mark(counter & gauge, "power_w", "given beside energy_j; exactly one of the two is expected")
    errors.mark(~counter & ~gauge, "energy_j", "neither energy_j nor power_w")
    for name, max_w in MAX_POWER_W.items():
        too_high = (power > max_w * UW_PER_W) & np.asarray(pc.equal(component, name))
        errors.mark_implausible(too_high, "power_w", power_fault(name, INT64_MAX))
    valid = ~errors.bad
    valid_mask = pa.array(valid)
    streams, stream = _index_streams([column.filter(valid_mask) for column in (host, device, component, source)], counter[valid])
    count = int(valid.sum())
    unknown = np.full(count, column_parsers.UNKNOWN, dtype=np.int64)
    zero = np.zeros(count, dtype=np.int64)
    readings = Readings(
        streams=streams,
        lines=batch.lines[valid],
        time_us=time_us[valid],
        stream=stream,
        value=np.where(counter, energy, power)[valid],
        covered_us=unknown,
        epoch=[""],
        epoch_index=zero,
        seq=unknown,
        mono_us=zero,
        flags=np.where(errors.implausible[valid], FLAG_ANYWAY, 0),
    )
    spikes = _find_spikes(readings, last_samples)
    if anyway:
        readings = replace(readings, flags=np.where(spikes, FLAG_ANYWAY, readings.flags))
        return readings, errors.add_to(batch.rejects)
    rejects = errors.add_to(batch.rejects)
    for row in np.flatnonzero(spikes).tolist():
        reason = energy_fault(streams[int(stream[row])].component, INT64_MAX, 1)
        rejects.append(Reject(int(readings.lines[row]), "energy_j", reason))
    return readings.take(np.flatnonzero(~spikes)), rejects


def _find_spikes(readings: Readings, last_samples: LastSamples) -> NDArray[np.bool_]:
    """Rows of counters that rise faster than their component draws, where the next row does not follow from them either.

    A counter that goes on from a new level was replaced or reset: the rise itself counts nowhere, and the rows are right.
    ``last_samples`` holds the last row of each stream of the batches before, and is updated.
    """
    spikes = np.zeros(len(readings), dtype=bool)
    order = np.lexsort((readings.time_us, readings.stream))
    bounds = np.searchsorted(readings.stream[order], np.arange(len(readings.streams) + 1))
    for number, key in enumerate(readings.streams):
        rows = order[bounds[number] : bounds[number + 1]]
        if key.quantity != "energy" or not len(rows):
            continue
        before = last_samples.get(key.identity)
        earlier = [before] if before is not None and before[0] < readings.time_us[rows[0]] else []
        time_us = np.concatenate([[sample[0] for sample in earlier], readings.time_us[rows]]).astype(np.int64)
        value = np.concatenate([[sample[1] for sample in earlier], readings.value[rows]]).astype(np.int64)
        max_uj = MAX_POWER_W[key.component] * (np.diff(time_us).astype(np.float64) + REFRESH_US)
        rise = np.diff(value)
        too_high = rise > max_uj
        follows = np.append(~too_high & (rise >= 0), False)
        spikes[rows] = (np.concatenate([[False], too_high]) & ~follows)[len(earlier) :]
        last_samples[key.identity] = int(time_us[-1]), int(value[-1])
    return spikes


def _index_streams(name_columns: list[pa.Array], counter: NDArray[np.bool_]) -> tuple[list[StreamKey], Ints]:
    """The distinct streams in order of appearance, and the index of the stream of each row."""
    code = counter.astype(np.int64)
    for column in name_columns:
        encoded = column.dictionary_encode()
        code = code * max(len(encoded.dictionary), 1) + np.asarray(encoded.indices)
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    streams = []
    for row in first[order].tolist():
        host, device, component, source = (column[row].as_py() for column in name_columns)
        quantity, grade = "energy" if counter[row] else "power", grade_of(source, counter=bool(counter[row]))
        streams.append(StreamKey(host, device, quantity, grade, component, source))
    return streams, rank[inverse]
