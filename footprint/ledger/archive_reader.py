"""This file reads days whose rows no longer stand in SQL from their sealed files, less what was taken back since.

Reading is one thing to those who ask: ``ledger/reading.py`` puts both together.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from footprint.ledger.object_store import ObjectStore, ObjectStoreError
from footprint.ledger.parquet_segments import unpack_rows
from footprint.ledger.verifier import sha256_of
from footprint.storage import schema
from footprint.storage.database import Store, table

Ints = NDArray[np.int64]
MAX_OPEN_FILES = 8  # files in memory
ARCHIVED_REQUEST_COLUMNS = (
    "start_us",
    "end_us",
    "first_token_us",
    "use_case",
    "model",
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "status",
)


class ArchiveReader:
    """Retired days as one connection sees them."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self._store, self._connection = store, connection
        self._days: dict[str, dict[int, list[Any]]] | None = None
        self._withdrawn: set[int] | None = None
        self._object_store: ObjectStore | None = None
        self._files: OrderedDict[str, pa.Table] = OrderedDict()

    def days(self, source: str) -> frozenset[int]:
        """Days of a source that were retired."""
        return frozenset(self._parts().get(source, {}))

    def _parts(self) -> dict[str, dict[int, list[Any]]]:
        if self._days is None:
            target = table(schema.Sealed)
            rows = self._connection.execute(select(target).where(target.c.retired).order_by(target.c.source, target.c.seq)).all()
            self._days = {}
            for row in rows:
                self._days.setdefault(row.source, {}).setdefault(row.day, []).append(row)
        return self._days

    def extent_us(self) -> Any:
        """First and last instant of retired requests; days of readings are known to SQL."""
        target = table(schema.Sealed)
        mine = target.c.retired & target.c.source.startswith("service ") & (target.c.rows > 0)
        found = self._connection.execute(select(func.min(target.c.first_us), func.max(target.c.last_us)).where(mine)).one()
        return found[0], found[1]

    def table(self, source: str, day: int) -> pa.Table | None:
        """Rows of a retired day that count; None where nothing was sealed.

        Raises
        ------
        ObjectStoreError
            If a file is not there, or is not what was sealed: a figure never rests on it then.
        """
        parts = [part for part in self._parts().get(source, {}).get(day, ()) if part.file]
        if not parts:
            return None
        found = pa.concat_tables([self._file(part) for part in parts]).unify_dictionaries()
        gone = self._withdrawn_batches() & {number for part in parts for number in json.loads(part.batches)}
        if gone:
            found = found.filter(pc.invert(pc.is_in(found.column("batch"), pa.array(sorted(gone), pa.int64()))))
        return found

    def _withdrawn_batches(self) -> set[int]:
        if self._withdrawn is None:
            batch = table(schema.Batch)
            rows = self._connection.execute(select(batch.c.id).where(batch.c.withdrawn_us.is_not(None)))
            self._withdrawn = set(rows.scalars())
        return self._withdrawn

    def _file(self, part: Any) -> pa.Table:
        if part.file not in self._files:
            if self._object_store is None:
                self._object_store = ObjectStore(self._store.meta(self._connection)["sealed"])
            raw = self._object_store.read(part.file)
            if sha256_of(raw) != part.sha256:
                raise ObjectStoreError(f"{part.file} is not what was sealed; `footprint ledger verify` says more")
            self._files[part.file] = unpack_rows(raw)
            while len(self._files) > MAX_OPEN_FILES:
                self._files.popitem(last=False)
        self._files.move_to_end(part.file)
        return self._files[part.file]

    def readings(self, source: str, day: int, device: str, quantity: str, grade: str) -> Ints:
        """(time, value, covered, epoch) of one stream on a retired day, in order of time; shape (n, 4)."""
        found = self.table(source, day)
        if found is None:
            return np.zeros((0, 4), dtype=np.int64)
        mine = found
        for name, value in (("device", device), ("quantity", quantity), ("grade", grade)):
            mine = mine.filter(pc.equal(mine.column(name).cast(pa.string()), value))
        mine = mine.sort_by("time_us")
        epochs = mine.column("epoch").cast(pa.string())
        numbers = self._numbers({text for text in epochs.unique().to_pylist() if text})
        epoch = np.array([numbers.get(text, 0) for text in epochs.to_pylist()], dtype=np.int64)
        columns = [mine.column(name).to_numpy() for name in ("time_us", "value", "covered_us")]
        return np.stack([*columns, epoch], axis=1).astype(np.int64).reshape(-1, 4)

    def requests(self, source: str, day: int) -> list[tuple[tuple[int, ...], bytes]]:
        """(columns of a request, its key) of a retired day; names are numbers of the store, -1 where unknown."""
        found = self.table(source, day)
        if found is None or not found.num_rows:
            return []
        columns: list[list[int]] = []
        for name in ARCHIVED_REQUEST_COLUMNS:
            values = found.column(name)
            if pa.types.is_dictionary(values.type):
                texts = values.cast(pa.string())
                numbers = self._numbers(set(texts.unique().to_pylist()))
                columns.append([numbers[text] for text in texts.to_pylist()])
            else:
                columns.append([-1 if value is None else value for value in values.to_pylist()])
        return list(zip(zip(*columns, strict=True), found.column("key").to_pylist(), strict=True))

    def contents(self, source: str, day: int) -> dict[bytes, bytes]:
        """Digest of the contents of each request of a retired day, by its key."""
        found = self.table(source, day)
        if found is None:
            return {}
        return dict(zip(found.column("key").to_pylist(), found.column("content").to_pylist(), strict=True))

    def _numbers(self, texts: set[str]) -> dict[str, int]:
        """Numbers of names, which every sealed row had when it stood in SQL; a restored store gives them anew."""
        if not texts:
            return {}
        target = table(schema.Name)
        wanted = sorted(texts)
        found: dict[str, int] = {}
        for start in range(0, len(wanted), 10_000):
            chosen = target.c.text.in_(wanted[start : start + 10_000])
            found |= {row.text: row.id for row in self._connection.execute(select(target.c.id, target.c.text).where(chosen))}
        return found


def has_retired_days(connection: Connection, first_day: int, last_day: int) -> bool:
    """Whether any source's day of a range was retired: most writes are of days that were not."""
    target = table(schema.Sealed)
    mine = select(target.c.seq).where(target.c.retired, target.c.day >= first_day, target.c.day <= last_day).limit(1)
    return connection.execute(mine).first() is not None
