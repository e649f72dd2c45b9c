"""This file puts requests into the store, each once by its key; the first one stays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from footprint.core.units import US_PER_DAY
from footprint.ledger.archive_reader import ArchiveReader, has_retired_days
from footprint.ledger.day_versions import bump_service_days
from footprint.ledger.rejects import CONFLICT, IngestResult, Reject
from footprint.ledger.request_file import UNKNOWN, RequestRows, request_keys
from footprint.storage.bulk_insert import create_temporary_table
from footprint.storage.database import Store

Ints = NDArray[np.int64]
REQUEST_COLUMNS = (
    "key",
    "start_us",
    "end_us",
    "first_token_us",
    "service_id",
    "use_case_id",
    "model_id",
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "units",
    "unit_id",
    "status_id",
    "content",
    "batch_id",
)


def store_requests(
    store: Store,
    connection: Connection,
    names: dict[str, int],
    requests: RequestRows,
    seen: dict[bytes, int],
    batch_id: int,
    *,
    claim: bool,
) -> IngestResult:
    """Store requests within a transaction; ``names`` numbers every text of theirs, ``seen`` counts equal rows of a file."""
    result = IngestResult()
    found, contents = request_keys(requests, seen)
    order = _drop_repeats(result, requests, found, contents)
    order = _split_off_retired(store, connection, result, requests, found, contents, order, batch_id if claim else None)
    columns = _columns(requests, names, found, contents, batch_id)
    rows = [tuple(column[index] for column in columns) for index in order]
    savepoint = connection.begin_nested()
    if store.insert_many(connection, "request", REQUEST_COLUMNS, rows) == len(rows):
        savepoint.commit()
    else:
        savepoint.rollback()
        known = _known_contents(connection, [row[0] for row in rows])
        claims = []
        for index in [index for index in order if found[index] in known]:
            equal = known[found[index]] == contents[index]
            _count_known(result, requests, index, equal=equal)
            if equal:
                claims.append((found[index], batch_id))
        if claim:
            store.insert_many(connection, "requestclaim", ("key", "batch_id"), claims)
        rows = [row for row in rows if row[0] not in known]
        order = [index for index in order if found[index] not in known]
        store.insert_many(connection, "request", REQUEST_COLUMNS, rows)
    result.accepted += len(rows)
    kept = np.array(order, dtype=np.int64)
    services = np.array([names[requests.service[index]] for index in order], dtype=np.int64)
    bump_service_days(store, connection, services, requests.start_us[kept], requests.end_us[kept])
    return result


def _split_off_retired(
    store: Store,
    connection: Connection,
    result: IngestResult,
    requests: RequestRows,
    found: list[bytes],
    contents: list[bytes],
    order: list[int],
    claimant: int | None,
) -> list[int]:
    """Judge the requests that stand in a sealed file and no longer in SQL; the others."""
    if not order:
        return order
    days = requests.start_us // US_PER_DAY
    if not has_retired_days(connection, int(days[order].min()), int(days[order].max())):
        return order
    retired = ArchiveReader(store, connection)
    left, claims = [], []
    known: dict[tuple[str, int], dict[bytes, bytes]] = {}
    for index in order:
        place = requests.service[index], int(days[index])
        if place not in known:
            source = f"service {place[0]}"
            known[place] = retired.contents(source, place[1]) if place[1] in retired.days(source) else {}
        before = known[place].get(found[index])
        if before is None:
            left.append(index)
            continue
        _count_known(result, requests, index, equal=before == contents[index])
        if claimant is not None and before == contents[index]:
            claims.append((found[index], claimant))
    store.insert_many(connection, "requestclaim", ("key", "batch_id"), claims)
    return left


def _drop_repeats(result: IngestResult, requests: RequestRows, found: list[bytes], contents: list[bytes]) -> list[int]:
    """Rows in the order of their keys, each key once: the first of the file stays."""
    taken: dict[bytes, int] = {}
    for index, key in enumerate(found):
        if key in taken:
            _count_known(result, requests, index, equal=contents[taken[key]] == contents[index])
        else:
            taken[key] = index
    return [index for _, index in sorted(taken.items())]


def _count_known(result: IngestResult, requests: RequestRows, index: int, *, equal: bool) -> None:
    if equal:
        result.duplicates += 1
    else:
        told = f"{CONFLICT}: this id is known with other values; the first stays"
        result.rejects.append(Reject(int(requests.lines[index]), "id", told))


def _columns(
    requests: RequestRows, names: dict[str, int], found: list[bytes], contents: list[bytes], batch_id: int
) -> list[list[Any]]:
    def maybe(values: Ints) -> list[Any]:
        return [None if value == UNKNOWN else value for value in values.tolist()]

    def ids(values: list[str]) -> list[int]:
        return [names[value] for value in values]

    units = [None if value != value else value for value in requests.units.tolist()]  # noqa: PLR0124 - NaN
    return [
        found,
        requests.start_us.tolist(),
        maybe(requests.end_us),
        maybe(requests.first_token_us),
        ids(requests.service),
        ids(requests.use_case),
        ids(requests.model),
        requests.requests.tolist(),
        maybe(requests.input_tokens),
        maybe(requests.cached_input_tokens),
        maybe(requests.output_tokens),
        units,
        ids(requests.unit),
        ids(requests.status),
        contents,
        [batch_id] * len(requests),
    ]


def _known_contents(connection: Connection, wanted: list[bytes]) -> dict[bytes, bytes]:
    """Digest of the contents of requests already stored, by key."""
    create_temporary_table(connection, "incoming_request", {"key": bytes}, [(key,) for key in wanted])
    rows = connection.exec_driver_sql("SELECT r.key, r.content FROM incoming_request i JOIN request r ON r.key = i.key")
    return {bytes(row.key): bytes(row.content) for row in rows}
