"""Reader of retired days: rows that left SQL, read from their sealed files without those withdrawn since.

``ledger_view`` combines them with the rows that are still in SQL.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, func, select

from footprint.attribution.array_types import Ints
from footprint.ledger.object_store import ObjectStore, ObjectStoreError
from footprint.ledger.parquet_segments import unpack_rows
from footprint.ledger.verifier import sha256_of
from footprint.storage import schema
from footprint.storage.database import Store, table

MAX_OPEN_FILES = 8  # decoded files in memory
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
    "replica",
)


class ArchiveReader:
    """Retired days in the view of one connection; files are cached."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self._store, self._connection = store, connection
        self._days: dict[str, dict[int, list[Any]]] | None = None
        self._withdrawn: set[int] | None = None
        self._object_store: ObjectStore | None = None
        self._files: OrderedDict[str, pa.Table] = OrderedDict()

    def days(self, source: str) -> frozenset[int]:
        """Retired days of a source, as day numbers since 1970."""
        return frozenset(self._parts().get(source, {}))

    def _parts(self) -> dict[str, dict[int, list[Any]]]:
        if self._days is None:
            target = table(schema.Sealed)
            rows = self._connection.execute(select(target).where(target.c.retired).order_by(target.c.source, target.c.seq)).all()
            self._days = {}
            for row in rows:
                self._days.setdefault(row.source, {}).setdefault(row.day, []).append(row)
        return self._days

    def extent_us(self, ignored: Collection[str] = ()) -> Any:
        """First and last instant [µs] of retired requests but those of ``ignored`` services; SQL still holds that of readings."""
        target = table(schema.Sealed)
        retired_requests = target.c.retired & target.c.source.startswith("service ") & (target.c.rows > 0)
        retired_requests &= target.c.source.not_in([f"service {service}" for service in sorted(ignored)])
        extent = self._connection.execute(
            select(func.min(target.c.first_us), func.max(target.c.last_us)).where(retired_requests)
        ).one()
        return extent[0], extent[1]

    def table(self, source: str, day: int) -> pa.Table | None:
        """Valid rows of a retired day, without withdrawn batches; None if nothing was sealed.

        Raises
        ------
        ObjectStoreError
            If a file is missing or differs from what was sealed, so that no figure rests on it.
        """
        parts = [part for part in self._parts().get(source, {}).get(day, ()) if part.file]
        if not parts:
            return None
        rows = pa.concat_tables([self._file(part) for part in parts]).unify_dictionaries()
        withdrawn = self._withdrawn_batches() & {number for part in parts for number in json.loads(part.batches)}
        if withdrawn:
            rows = rows.filter(pc.invert(pc.is_in(rows.column("batch"), pa.array(sorted(withdrawn), pa.int64()))))
        return rows

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
        """(time [µs], value, covered time [µs], epoch id) of one stream on a retired day, by time; shape (n, 4)."""
        rows = self.table(source, day)
        if rows is None:
            return np.zeros((0, 4), dtype=np.int64)
        stream_rows = rows
        for name, value in (("device", device), ("quantity", quantity), ("grade", grade)):
            stream_rows = stream_rows.filter(pc.equal(stream_rows.column(name).cast(pa.string()), value))
        stream_rows = stream_rows.sort_by("time_us")
        epochs = stream_rows.column("epoch").cast(pa.string())
        ids = self._numbers({text for text in epochs.unique().to_pylist() if text})
        epoch_ids = np.array([ids.get(text, 0) for text in epochs.to_pylist()], dtype=np.int64)
        columns = [stream_rows.column(name).to_numpy() for name in ("time_us", "value", "covered_us")]
        return np.stack([*columns, epoch_ids], axis=1).astype(np.int64).reshape(-1, 4)

    def requests(self, source: str, day: int) -> list[tuple[tuple[int, ...], bytes]]:
        """(``ARCHIVED_REQUEST_COLUMNS``, key) of each request of a retired day; names as ids of the store, -1 if unknown."""
        rows = self.table(source, day)
        if rows is None or not rows.num_rows:
            return []
        columns: list[list[int]] = []
        for name in ARCHIVED_REQUEST_COLUMNS:
            values = rows.column(name)
            if pa.types.is_dictionary(values.type):
                texts = values.cast(pa.string())
                ids = self._numbers(set(texts.unique().to_pylist()))
                if name == "replica":
                    ids[""] = -1
                columns.append([ids[text] for text in texts.to_pylist()])
            else:
                columns.append([-1 if value is None else value for value in values.to_pylist()])
        return list(zip(zip(*columns, strict=True), rows.column("key").to_pylist(), strict=True))

    def contents(self, source: str, day: int) -> dict[bytes, bytes]:
        """Content digest of each request of a retired day, by key."""
        rows = self.table(source, day)
        if rows is None:
            return {}
        return dict(zip(rows.column("key").to_pylist(), rows.column("content").to_pylist(), strict=True))

    def _numbers(self, texts: set[str]) -> dict[str, int]:
        """Ids of names. Sealed files hold texts, because a restored store may number them differently."""
        if not texts:
            return {}
        target = table(schema.Name)
        ordered = sorted(texts)
        ids: dict[str, int] = {}
        for start in range(0, len(ordered), 10_000):
            in_slice = target.c.text.in_(ordered[start : start + 10_000])
            ids |= {row.text: row.id for row in self._connection.execute(select(target.c.id, target.c.text).where(in_slice))}
        return ids


def has_retired_days(connection: Connection, first_day: int, last_day: int) -> bool:
    """Whether any source has a retired day in the range: a cheap check, since most writes concern recent days."""
    target = table(schema.Sealed)
    query = select(target.c.seq).where(target.c.retired, target.c.day >= first_day, target.c.day <= last_day).limit(1)
    return connection.execute(query).first() is not None
