"""Backup of the whole store to one file, and restore on either database.

The file is a zip of one Parquet file a table and ``backup.json`` (schema version; rows and sha256 of each table), written in
one read transaction.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Column, Connection, MetaData, Table, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from footprint.core.records import FootprintError
from footprint.ledger.verifier import sha256_of
from footprint.storage import schema
from footprint.storage.database import SCHEMA_VERSION, Store, table
from footprint.storage.figure_writer import count_change

ROWS_PER_BATCH = 100_000
MANIFEST = "backup.json"
MAX_MANIFEST_BYTES = 1 << 20
# A table of one repeated row compresses far; a backup made to fill the memory, further.
MAX_TABLE_RATIO, MIN_TABLE_BYTES = 1_000, 64 << 20
_UNREADABLE = (
    OSError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    KeyError,
    TypeError,
    ValueError,
    RecursionError,
    RuntimeError,
    OverflowError,
    pa.ArrowException,
    DBAPIError,
)


class BackupError(FootprintError):
    """The backup cannot be read, or the store to restore into is not empty."""


def _arrow_type(column: Column[Any]) -> pa.DataType:
    kinds = {bool: pa.bool_(), float: pa.float64(), bytes: pa.binary(), str: pa.string(), int: pa.int64()}
    return kinds[getattr(column.type, "impl_instance", column.type).python_type]  # AutoString decorates String


def _tables() -> list[Table]:
    """Tables of a backup: all but the sessions, so that a restored store signs nobody in."""
    return [SQLModel.metadata.tables[name] for name in sorted(SQLModel.metadata.tables) if name != schema.Session.__tablename__]


def _tables_of_release(connection: Connection, revision: str) -> list[Table]:
    """Tables of a store; of one of an earlier release as they are, so that this release can restore the backup."""
    if revision == SCHEMA_VERSION:
        return _tables()
    metadata = MetaData()
    metadata.reflect(connection)
    return [metadata.tables[name] for name in sorted(metadata.tables) if name != "alembic_version"]


def backup(store: Store, path: Path, now_us: int, *, replace: bool = False) -> dict[str, int]:
    """Write a backup that only its owner can read, and return the number of rows by table.

    The file has its name only once it is whole. A file of that name is kept unless ``replace`` is set.

    Raises
    ------
    BackupError
        If the file exists, or cannot be written.
    """
    if path.exists() and not replace:
        raise _exists(path)
    revision, _ = store.stored_revision()
    manifest: dict[str, Any] = {"schema": revision, "at_us": now_us, "tables": {}}
    try:
        descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)  # mode 0600
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            with store.read() as connection, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for target in _tables_of_release(connection, revision):
                    raw, rows = _pack_table(connection, target)
                    archive.writestr(f"{target.name}.parquet", raw)
                    manifest["tables"][target.name] = {"rows": rows, "sha256": sha256_of(raw)}
                archive.writestr(MANIFEST, json.dumps(manifest, sort_keys=True, indent=1))
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(partial, path)
        else:
            os.link(partial, path)  # unlike a renaming, it fails where another process was faster
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
    return {name: entry["rows"] for name, entry in manifest["tables"].items()}


def _exists(path: Path) -> BackupError:
    return BackupError(f"{path} exists and is left as it is; name another file, or replace it with --force")


def _pack_table(connection: Connection, target: Table) -> tuple[bytes, int]:
    schema = pa.schema([(column.name, _arrow_type(column)) for column in target.columns])
    out, count = io.BytesIO(), 0
    result = connection.execution_options(stream_results=True).execute(select(target).order_by(*target.primary_key))
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for rows in result.partitions(ROWS_PER_BATCH):
            columns = [list(column) for column in zip(*rows, strict=True)]
            arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(rows)
    return out.getvalue(), count


def restore(store: Store, path: Path) -> dict[str, int]:
    """Fill an empty store from a backup, in one transaction, and return the number of rows by table.

    Raises
    ------
    BackupError
        If the store is not empty, or the backup is damaged or of another schema; the store is unchanged.
    """
    try:
        with zipfile.ZipFile(path) as archive, store.begin() as connection:
            manifest = json.loads(_read_member(archive, MANIFEST, MAX_MANIFEST_BYTES))
            if manifest["schema"] != SCHEMA_VERSION:
                raise BackupError(
                    f"{path} is of schema {manifest['schema']}, this program has {SCHEMA_VERSION}: "
                    "restore it with the release that made it, then run `footprint store upgrade` with this one"
                )
            _require_empty(store, connection)
            counts = {}
            for target in _tables():
                raw = _read_member(archive, f"{target.name}.parquet")
                if sha256_of(raw) != manifest["tables"][target.name]["sha256"]:
                    raise BackupError(f"{path}: {target.name} is damaged")
                counts[target.name] = sum(_insert_rows(store, connection, target, raw))
            _advance_sequences(store, connection)
            count_change(connection)
    except _UNREADABLE as error:
        raise BackupError(f"{path} cannot be read as a backup: {error}") from None
    return counts


def _read_member(archive: zipfile.ZipFile, name: str, max_bytes: int | None = None) -> bytes:
    """Bytes of a member, which a backup stores as they are: a compressed one is none of ours and may unpack to anything."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise ValueError(f"{name} is compressed, which no backup is")
    if max_bytes is not None and info.file_size > max_bytes:
        raise ValueError(f"{name} is larger than {max_bytes} bytes")
    with archive.open(info) as member:
        raw = member.read(info.file_size + 1)
    if len(raw) != info.file_size:
        raise ValueError(f"{name} has another size than it says")
    return raw


def _require_empty(store: Store, connection: Connection) -> None:
    for model in (schema.Reading, schema.RequestRow, schema.Batch):
        if connection.execute(select(func.count()).select_from(table(model))).scalar():
            raise BackupError(f"the store {store.engine.url!r} is not empty; name a new one in [store] url")
    for target in _tables():
        connection.execute(target.delete())


def _insert_rows(store: Store, connection: Connection, target: Table, raw: bytes) -> Iterator[int]:
    names = [column.name for column in target.columns]
    quoted = [f'"{name}"' for name in names]
    file = pq.ParquetFile(io.BytesIO(raw))
    unpacked = sum(file.metadata.row_group(index).total_byte_size for index in range(file.metadata.num_row_groups))
    if unpacked > max(MIN_TABLE_BYTES, MAX_TABLE_RATIO * len(raw)):
        raise ValueError(f"{target.name} unpacks to more than {MAX_TABLE_RATIO} times its size")
    for batch in file.iter_batches(batch_size=ROWS_PER_BATCH):
        rows = list(zip(*(batch.column(name).to_pylist() for name in names), strict=True))
        yield store.insert_many(connection, target.name, quoted, rows)


def _advance_sequences(store: Store, connection: Connection) -> None:
    """Set the sequences of generated keys past the largest key (PostgreSQL)."""
    if store.dialect != "postgresql":
        return
    for target in _tables():
        key = target.primary_key.columns
        if len(key) == 1 and target.columns[0].autoincrement is True:
            name = target.columns[0].name
            largest = f"COALESCE((SELECT MAX({name}) FROM {target.name}), 1)"
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{target.name}', '{name}'), {largest})"))
