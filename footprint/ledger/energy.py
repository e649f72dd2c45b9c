"""This file turns blocks of an energy file into readings (contract, section 4), and refuses what cannot be right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from footprint.ledger import columns
from footprint.ledger.files import Block, UnreadableFile
from footprint.ledger.rejects import Marks, Reject
from footprint.readings import COMPONENTS, grade_of

Ints = NDArray[np.int64]
REQUIRED = ("time", "host", "device", "component")
QUANTITIES = ("energy_j", "power_w")


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


def parse_energy(path: str, blocks: Iterable[Block]) -> Iterator[tuple[Readings, list[Reject]]]:
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
        yield _readings(block)


def _check_columns(path: str, block: Block) -> None:
    missing = [name for name in REQUIRED if name not in block.columns]
    if not any(name in block.columns for name in QUANTITIES):
        missing.append("energy_j or power_w")
    if missing:
        raise UnreadableFile(f"{path}: required column missing: {', '.join(missing)}; nothing was stored")


def _readings(block: Block) -> tuple[Readings, list[Reject]]:
    marks = Marks(block.lines)
    time_us = columns.instants(block.column("time"), "time", marks, required=True)
    host = columns.texts(block.column("host"), "host", marks, required=True)
    device = columns.texts(block.column("device"), "device", marks, required=True)
    component = columns.texts(block.column("component"), "component", marks, required=True)
    known = pc.is_in(component, value_set=pa.array(COMPONENTS))
    marks.mark(~np.asarray(known), "component", f"must be one of {', '.join(COMPONENTS)}")
    source = columns.texts(block.column("source"), "source", marks, required=False)
    energy = columns.micro(block.column("energy_j"), "energy_j", marks)
    power = columns.micro(block.column("power_w"), "power_w", marks)
    counter, gauge = columns.present(block.column("energy_j")), columns.present(block.column("power_w"))
    marks.mark(counter & gauge, "power_w", "given beside energy_j; exactly one of the two is expected")
    marks.mark(~counter & ~gauge, "energy_j", "neither energy_j nor power_w")
    keep = ~marks.bad
    named = _streams(
        [column.filter(pa.array(keep)) for column in (host, device, component, source)], counter[keep]
    )
    size = int(keep.sum())
    unknown = np.full(size, columns.UNKNOWN, dtype=np.int64)
    zero = np.zeros(size, dtype=np.int64)
    readings = Readings(
        streams=named[0], lines=block.lines[keep], time_us=time_us[keep], stream=named[1],
        value=np.where(counter, energy, power)[keep], covered_us=unknown, epoch=[""], epoch_index=zero,
        seq=unknown, mono_us=zero, flags=zero,
    )  # fmt: skip
    return readings, block.rejects + marks.rejects()


def _streams(named: list[pa.Array], counter: NDArray[np.bool_]) -> tuple[list[StreamKey], Ints]:
    """The distinct streams of rows, and which of them each row belongs to."""
    if not len(counter):
        return [], np.zeros(0, dtype=np.int64)
    coded = [column.dictionary_encode() for column in named]
    code = counter.astype(np.int64)
    for column in coded:
        code = code * len(column.dictionary) + np.asarray(column.indices)
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    streams = []
    for row in first.tolist():
        host, device, component, source = (column[row].as_py() for column in named)
        is_counter = bool(counter[row])
        streams.append(
            StreamKey(
                host, device, "energy" if is_counter else "power", grade_of(source, counter=is_counter), component, source
            )
        )
    return streams, inverse.astype(np.int64)
