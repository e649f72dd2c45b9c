"""Parquet segments of the archive: a day's readings, requests or events to reproducible bytes and back."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from footprint.ledger.verifier import DIGEST_COLUMN, ROW_DIGEST_BYTES, row_digests

_WORD = pa.dictionary(pa.int32(), pa.string())
READING_SCHEMA = pa.schema(
    [
        ("device", _WORD),
        ("component", _WORD),
        ("quantity", _WORD),
        ("grade", _WORD),
        ("source", _WORD),
        ("model", _WORD),
        ("time_us", pa.int64()),
        ("value", pa.int64()),
        ("covered_us", pa.int64()),
        ("epoch", _WORD),
        ("seq", pa.int64()),
        ("mono_us", pa.int64()),
        ("flags", pa.int64()),
        ("batch", pa.int64()),
    ]
)
REQUEST_SCHEMA = pa.schema(
    [
        ("key", pa.binary(16)),
        ("start_us", pa.int64()),
        ("end_us", pa.int64()),
        ("first_token_us", pa.int64()),
        ("use_case", _WORD),
        ("model", _WORD),
        ("requests", pa.int64()),
        ("input_tokens", pa.int64()),
        ("cached_input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("units", pa.float64()),
        ("unit", _WORD),
        ("status", _WORD),
        ("content", pa.binary(8)),
        ("batch", pa.int64()),
        ("replica", _WORD),
    ]
)
EVENT_SCHEMA = pa.schema([("id", pa.int64()), ("at_us", pa.int64()), ("kind", _WORD), ("text", pa.string())])
SCHEMAS = {"host": READING_SCHEMA, "service": REQUEST_SCHEMA, "events": EVENT_SCHEMA}


def source_kind(source: str) -> str:
    """Kind of a source: host, service or events."""
    return source.partition(" ")[0]


def pack_rows(source: str, day: int, rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Parquet bytes of rows in the given order, each row with its chained digest.

    The same rows give the same bytes with the same library: no clock goes into the file.
    """
    schema = SCHEMAS[source_kind(source)]
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in schema]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    digests = pa.array(row_digests(columns, len(rows)), pa.binary(ROW_DIGEST_BYTES))
    metadata = {"source": source, "day": str(day), "digest": "BLAKE2b of 8 bytes over the row and the digest before it"}
    full_schema = schema.append(pa.field(DIGEST_COLUMN, pa.binary(ROW_DIGEST_BYTES))).with_metadata(metadata)
    table = pa.Table.from_arrays([*arrays, digests], schema=full_schema)
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", row_group_size=100_000, write_statistics=True, store_schema=True)
    return out.getvalue()


def unpack_rows(raw: bytes) -> pa.Table:
    """Rows of a file, without their digests."""
    table = pq.read_table(io.BytesIO(raw)).drop_columns([DIGEST_COLUMN])
    if "use_case" in table.column_names and "replica" not in table.column_names:  # sealed before requests named one
        table = table.append_column("replica", pa.array([""] * table.num_rows, pa.string()).dictionary_encode().cast(_WORD))
    return table
