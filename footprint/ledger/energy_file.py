"""This file turns blocks of an energy file into readings (contract, section 4), and refuses what cannot be right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from footprint.core.records import COMPONENTS, grade_of
from footprint.ledger import column_parsers
from footprint.ledger.record_batch import RecordBatch, UnreadableFile
from footprint.ledger.rejects import ColumnErrors, Reject

Ints = NDArray[np.int64]
REQUIRED = ("time", "host", "device", "component")
QUANTITIES = ("energy_j", "power_w")
COLUMNS = (*REQUIRED, *QUANTITIES, "source")


@dataclass(frozen=True, slots=True)
class StreamKey:
    """What makes a series of readings one series; ``component``, ``source`` and ``model`` describe it."""

    host: str
    device: str
    quantity: str
    grade: str
    component: str
    source: str
    model: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """Host, device, and the kind of quantity."""
        return self.host, self.device, self.quantity, self.grade


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings of several streams, arrays of shape (n,); ``stream`` indexes ``streams``, -1 is unknown."""

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
        """Some of the rows, in the order named."""
        columns = ("lines", "time_us", "stream", "value", "covered_us", "epoch_index", "seq", "mono_us", "flags")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})


def parse_energy(path: str, blocks: Iterable[RecordBatch]) -> Iterator[tuple[Readings, list[Reject]]]:
    """Readings and rejects of each block.

    Raises
    ------
    UnreadableFile
        If a required column is missing, before anything is given out.
    """
    checked = False
    for block in blocks:
        if not checked and (block.columns or not block.rejects):
            _check_columns(path, block)
            checked = True
        yield _parse_readings(block)


def _check_columns(path: str, block: RecordBatch) -> None:
    missing = [name for name in REQUIRED if name not in block.columns]
    if not any(name in block.columns for name in QUANTITIES):
        missing.append("energy_j or power_w")
    if missing:
        raise UnreadableFile(f"{path}: required column missing: {', '.join(missing)}; nothing was stored")


def _parse_readings(block: RecordBatch) -> tuple[Readings, list[Reject]]:
    marks = ColumnErrors(block.lines)
    time_us = column_parsers.parse_instants(block.column("time"), "time", marks, required=True)
    host = column_parsers.parse_texts(block.column("host"), "host", marks, required=True)
    device = column_parsers.parse_texts(block.column("device"), "device", marks, required=True)
    component = column_parsers.parse_texts(block.column("component"), "component", marks, required=True)
    known = pc.is_in(component, value_set=pa.array(COMPONENTS))
    marks.mark(~np.asarray(known), "component", f"must be one of {', '.join(COMPONENTS)}")
    source = column_parsers.parse_texts(block.column("source"), "source", marks, required=False)
    energy = column_parsers.parse_micro(block.column("energy_j"), "energy_j", marks)
    power = column_parsers.parse_micro(block.column("power_w"), "power_w", marks)
    counter, gauge = column_parsers.has_value(block.column("energy_j")), column_parsers.has_value(block.column("power_w"))
    marks.mark(counter & gauge, "power_w", "given beside energy_j; exactly one of the two is expected")
    marks.mark(~counter & ~gauge, "energy_j", "neither energy_j nor power_w")
    keep = ~marks.bad
    kept = pa.array(keep)
    streams, stream = _index_streams([column.filter(kept) for column in (host, device, component, source)], counter[keep])
    size = int(keep.sum())
    unknown = np.full(size, column_parsers.UNKNOWN, dtype=np.int64)
    zero = np.zeros(size, dtype=np.int64)
    readings = Readings(
        streams=streams,
        lines=block.lines[keep],
        time_us=time_us[keep],
        stream=stream,
        value=np.where(counter, energy, power)[keep],
        covered_us=unknown,
        epoch=[""],
        epoch_index=zero,
        seq=unknown,
        mono_us=zero,
        flags=zero,
    )
    return readings, block.rejects + marks.rejects()


def _index_streams(named: list[pa.Array], counter: NDArray[np.bool_]) -> tuple[list[StreamKey], Ints]:
    """The distinct streams of rows in the order of the rows, and which of them each row belongs to."""
    code = counter.astype(np.int64)
    for column in named:
        coded = column.dictionary_encode()
        code = code * max(len(coded.dictionary), 1) + np.asarray(coded.indices)
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    streams = []
    for row in first[order].tolist():
        host, device, component, source = (column[row].as_py() for column in named)
        quantity, grade = "energy" if counter[row] else "power", grade_of(source, counter=bool(counter[row]))
        streams.append(StreamKey(host, device, quantity, grade, component, source))
    return streams, place[inverse]
