"""Figure blocks: tables of results packed into bytes, and back.

A part is one Arrow record batch with fixed columns, compressed with Zstandard. Names and calculation bases are numbers of the
store. The digest of a shard is taken over its canonical rows (texts instead of numbers, sorted), so it survives compaction,
another store and another version of the libraries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from footprint.attribution.array_types import Ints
from footprint.attribution.row_columns import AMOUNTS, DOUBT_COLUMNS
from footprint.core.records import COUNT_COLUMNS

FORMAT, FIRST_FORMAT = 2, 1
_HEADER_BYTES = 9  # format, then the size of the unpacked batch


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of a part: the instant [s] at which a row's slot, day or month starts, name numbers, then integer amounts.

    ``added`` are the amounts that parts of the first format lack: their rows have 0.
    """

    names: tuple[str, ...]
    amounts: tuple[str, ...]
    nullable: tuple[str, ...] = ()
    bases: bool = False
    added: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that identify a row."""
        return ("start_s", *self.names, *(("basis",) if self.bases else ()))

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema."""
        return self.schema_of(FORMAT)

    def schema_of(self, version: int) -> pa.Schema:
        """The Arrow schema of a format."""
        amounts = [name for name in self.amounts if version > FIRST_FORMAT or name not in self.added]
        fields = [pa.field("start_s", pa.int64(), nullable=False)]
        fields += [pa.field(name, pa.int32(), nullable=False) for name in self.keys[1:]]
        fields += [pa.field(name, pa.int64(), nullable=name in self.nullable) for name in amounts]
        return pa.schema(fields)


# ``divided`` counts the slots with energy that a model divided.
ENERGY = Layout(
    ("host", "device", "service", "use_case", "model", "charter"), (*AMOUNTS, "divided"), bases=True, added=DOUBT_COLUMNS
)
_REFUSED_TIMES = ("standing_us", "implausible_us")
COVERAGE = Layout(
    ("host", "device"),
    ("first_us", "last_us", "measured_us", "bridged_us", "modelled_us", "energy_uj", *_REFUSED_TIMES),
    added=_REFUSED_TIMES,
)
COUNTS = Layout(("service", "use_case", "model", "charter"), COUNT_COLUMNS, nullable=COUNT_COLUMNS[1:])
PROFILE = Layout(("host", "service"), ("energy_uj",))  # energy of every slot, without use cases
LAYOUTS = {"energy": ENERGY, "coverage": COVERAGE, "counts": COUNTS}
# Names of parts: rows by slot, and their sums by day and month of the organisation's zone.
SLOTS, DAYS, MONTHS = "slots", "days", "months"


def part_name(layout: str, level: str) -> str:
    """Name of a part in the store."""
    return f"{layout} {level}"


def pack(columns: pa.Table, layout: Layout) -> bytes:
    """Bytes of a part.

    Parameters
    ----------
    columns
        Table with the columns of the layout, shape (n, columns).

    Returns
    -------
    bytes
        Format (1 byte), size of the record batch (8 bytes), and the batch, compressed.
    """
    batch = columns.select(layout.schema.names).cast(layout.schema).combine_chunks().to_batches()
    plain = (batch[0] if batch else pa.RecordBatch.from_pylist([], schema=layout.schema)).serialize()
    return bytes([FORMAT]) + plain.size.to_bytes(8, "little") + pa.compress(plain, codec="zstd", asbytes=True)


def unpack(content: bytes, layout: Layout) -> pa.Table:
    """Table of a part, of this format or the first one.

    Raises
    ------
    ValueError
        If the bytes are of another format, or damaged.
    """
    if content[0] not in (FIRST_FORMAT, FORMAT):
        raise ValueError(f"figures of format {content[0]}; this program knows {FIRST_FORMAT} and {FORMAT}")
    size = int.from_bytes(content[1:_HEADER_BYTES], "little")
    try:
        plain = pa.decompress(memoryview(content)[_HEADER_BYTES:], decompressed_size=size, codec="zstd")
        batch = pa.ipc.read_record_batch(plain, layout.schema_of(content[0]))
        batch.validate(full=True)
    except (pa.ArrowException, OSError) as bad:
        raise ValueError(f"a damaged block of figures: {bad}") from None
    rows = pa.Table.from_batches([batch])
    if content[0] == FORMAT or not layout.added:
        return rows
    zeros = pa.array(np.zeros(len(rows), dtype=np.int64))
    for name in layout.added:
        rows = rows.append_column(name, zeros)
    return rows.select(layout.schema.names).cast(layout.schema)


@dataclass(frozen=True, slots=True)
class ShardTables:
    """Rows of one host or service on one UTC day: columns of arrays of shape (n,), by layout.

    Columns of names are indices into ``names`` (sorted texts), ``basis`` is an index into ``bases`` (lines of JSON, sorted).
    Unknown counts are -1.
    """

    names: list[str]
    bases: list[str]
    tables: dict[str, dict[str, Ints]] = field(default_factory=dict)

    def digest(self) -> str:
        """Digest of the canonical rows."""
        canonical = hashlib.blake2b(digest_size=16)
        canonical.update(json.dumps([self.names, self.bases], ensure_ascii=False).encode())
        for name, layout in LAYOUTS.items():
            columns = self.tables.get(name)
            if columns is None or not len(columns["start_s"]):
                continue
            order = np.lexsort([columns[key] for key in reversed(layout.keys)])
            canonical.update(name.encode())
            # Added amounts of 0 change no digest: figures of the first format keep theirs.
            without = {column for column in layout.added if not columns[column].any()}
            for column in (column for column in layout.schema.names if column not in without):
                canonical.update(np.ascontiguousarray(columns[column][order].astype("<i8")).tobytes())
        return canonical.hexdigest()


def build_shard_tables(
    tables: Mapping[str, Mapping[str, Sequence[str] | Ints]], bases: Mapping[str, Sequence[str]] | None = None
) -> ShardTables:
    """Tables of a shard from columns of texts and integers; ``bases`` holds the JSON lines of a layout's column ``basis``."""
    texts = sorted({text for name, columns in tables.items() for key in LAYOUTS[name].names for text in columns[key]})  # type: ignore[misc]
    lines = sorted({line for column in (bases or {}).values() for line in column})
    number_of, line_number = ({text: index for index, text in enumerate(values)} for values in (texts, lines))
    coded: dict[str, dict[str, Ints]] = {}
    for name, columns in tables.items():
        layout = LAYOUTS[name]
        coded[name] = {column: np.asarray(columns[column], dtype=np.int64) for column in ("start_s", *layout.amounts)}
        for key in layout.names:
            coded[name][key] = np.array([number_of[text] for text in columns[key]], dtype=np.int64)  # type: ignore[index]
        if layout.bases and bases is not None:
            coded[name]["basis"] = np.array([line_number[line] for line in bases[name]], dtype=np.int64)
    return ShardTables(texts, lines, {name: add_up(columns, LAYOUTS[name]) for name, columns in coded.items()})


def add_up(columns: dict[str, Ints], layout: Layout) -> dict[str, Ints]:
    """Rows sorted by key, those of one key added up.

    Times of coverage keep the first and the last instant. Unknown counts (-1) add nothing; a sum of unknown counts is unknown.
    """
    order = np.lexsort([columns[key] for key in reversed(layout.keys)])
    ordered = {name: column[order] for name, column in columns.items()}
    if not len(order):
        return ordered
    changes = np.zeros(len(order), dtype=bool)
    changes[0] = True
    for key in layout.keys:
        changes[1:] |= np.diff(ordered[key]) != 0
    first = np.flatnonzero(changes)
    if len(first) == len(order):
        return ordered
    summed = {key: ordered[key][first] for key in layout.keys}
    for name in layout.amounts:
        column = ordered[name]
        if name == "first_us":
            summed[name] = np.minimum.reduceat(column, first)
        elif name == "last_us":
            summed[name] = np.maximum.reduceat(column, first)
        elif name in layout.nullable:
            known = np.add.reduceat((column >= 0).astype(np.int64), first)
            summed[name] = np.where(known > 0, np.add.reduceat(np.maximum(column, 0), first), -1)
        else:
            summed[name] = np.add.reduceat(column, first)
    return summed


def to_arrow(columns: Mapping[str, Ints], layout: Layout) -> pa.Table:
    """Arrow table of columns of arrays; -1 in a nullable column becomes null."""
    arrays = [
        pa.array(columns[name], mask=columns[name] < 0) if name in layout.nullable else pa.array(columns[name])
        for name in layout.schema.names
    ]
    return pa.table(arrays, names=layout.schema.names).cast(layout.schema)


def from_arrow(table: pa.Table, layout: Layout) -> dict[str, Ints]:
    """Columns of int64 arrays; null becomes -1."""
    return {
        name: (table[name].fill_null(-1) if name in layout.nullable else table[name]).to_numpy().astype(np.int64)
        for name in layout.schema.names
    }
