"""Writer of requests: stores each key once and counts duplicates and conflicts."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from footprint.attribution.array_types import Ints
from footprint.core.limits import Reject
from footprint.core.request_checks import credible_end_us
from footprint.core.units import US_PER_DAY
from footprint.ledger.archive_reader import ArchiveReader, has_retired_days
from footprint.ledger.attempts import EARLIER_KEYS, FAILED, answer_key, later_answer_key, store_attempts
from footprint.ledger.day_versions import bump_service_days
from footprint.ledger.rejects import CONFLICT, IngestResult
from footprint.ledger.request_file import UNKNOWN, RequestRows, request_keys
from footprint.storage import schema
from footprint.storage.bulk_insert import create_temporary_table
from footprint.storage.database import Store, table

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
    "replica_id",
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
    """Store requests in a transaction; ``names`` maps their texts to ids, ``seen`` counts equal rows of one file."""
    result = IngestResult()
    keys, contents = request_keys(requests, seen)
    order = _drop_repeats(result, requests, keys, contents)
    order = _split_off_retired(store, connection, result, requests, keys, contents, order, batch_id if claim else None)
    order = _settle_earlier_keys(connection, result, requests, keys, contents, order)
    columns = _columns(requests, names, keys, contents, batch_id)
    new_rows = [tuple(column[index] for column in columns) for index in order]
    savepoint = connection.begin_nested()
    if store.insert_many(connection, "request", REQUEST_COLUMNS, new_rows) == len(new_rows):
        savepoint.commit()
    else:
        savepoint.rollback()
        stored_contents = _known_contents(connection, [row[0] for row in new_rows])
        claims = []
        for index in [index for index in order if keys[index] in stored_contents]:
            equal = stored_contents[keys[index]] == contents[index]
            _count_known(result, requests, index, equal=equal)
            if equal:
                claims.append((keys[index], batch_id))
        if claim:
            store.insert_many(connection, "requestclaim", ("key", "batch_id"), claims)
        new_rows = [row for row in new_rows if row[0] not in stored_contents]
        order = [index for index in order if keys[index] not in stored_contents]
        store.insert_many(connection, "request", REQUEST_COLUMNS, new_rows)
    result.accepted += len(new_rows)
    stored = np.array(order, dtype=np.int64)
    services = np.array([names[requests.service[index]] for index in order], dtype=np.int64)
    bump_service_days(store, connection, services, requests.start_us[stored], credible_end_us(requests.numbers())[stored])
    with_id = [index for index in order if requests.id[index] and requests.requests[index] == 1]
    store_attempts(store, connection, names, [_attempt_row(requests, keys, index, batch_id) for index in with_id])
    return result


def _attempt_row(requests: RequestRows, keys: list[bytes], index: int, batch_id: int) -> tuple[Any, ...]:
    times = int(requests.start_us[index]), int(requests.end_us[index])
    identity, service, status = requests.id[index], requests.service[index], requests.status[index]
    return keys[index], identity, service, status, int(requests.attempt[index]), *times, batch_id


def _settle_earlier_keys(
    connection: Connection,
    result: IngestResult,
    requests: RequestRows,
    keys: list[bytes],
    contents: list[bytes],
    order: list[int],
) -> list[int]:
    """Settle rows beside failed ones under the key which every row with an id had until method 3.0: ``keys`` may change.

    Such a failed row is a duplicate; an answer of that id gets another key. Return the rows that are not duplicates.
    """
    if connection.execute(select(table(schema.Meta).c.key).where(table(schema.Meta).c.key == EARLIER_KEYS)).first() is None:
        return order
    with_id = [index for index in order if requests.id[index] and requests.attempt[index] <= 0]
    earlier = {index: answer_key(requests.service[index], requests.id[index]) for index in with_id}
    stored = _failed_contents(connection, sorted(set(earlier.values())))
    repeated = {index for index, key in earlier.items() if stored.get(key) == contents[index]}
    for index, key in earlier.items():
        if key in stored and index not in repeated and requests.status[index] not in FAILED:
            keys[index] = later_answer_key(requests.service[index], requests.id[index])
    result.duplicates += len(repeated)
    return [index for index in order if index not in repeated]


def _split_off_retired(
    store: Store,
    connection: Connection,
    result: IngestResult,
    requests: RequestRows,
    keys: list[bytes],
    contents: list[bytes],
    order: list[int],
    claimant: int | None,
) -> list[int]:
    """Count the requests that are already in a sealed file and no longer in SQL; return the others."""
    if not order:
        return order
    days = requests.start_us // US_PER_DAY
    if not has_retired_days(connection, int(days[order].min()), int(days[order].max())):
        return order
    archive = ArchiveReader(store, connection)
    remaining, claims = [], []
    sealed_contents: dict[tuple[str, int], dict[bytes, bytes]] = {}
    for index in order:
        service_day = requests.service[index], int(days[index])
        if service_day not in sealed_contents:
            source = f"service {service_day[0]}"
            sealed_contents[service_day] = (
                archive.contents(source, service_day[1]) if service_day[1] in archive.days(source) else {}
            )
        sealed_content = sealed_contents[service_day].get(keys[index])
        if sealed_content is None:
            remaining.append(index)
            continue
        _count_known(result, requests, index, equal=sealed_content == contents[index])
        if claimant is not None and sealed_content == contents[index]:
            claims.append((keys[index], claimant))
    store.insert_many(connection, "requestclaim", ("key", "batch_id"), claims)
    return remaining


def _drop_repeats(result: IngestResult, requests: RequestRows, keys: list[bytes], contents: list[bytes]) -> list[int]:
    """Rows sorted by key, each key once: the first of the file stays."""
    first_of_key: dict[bytes, int] = {}
    for index, key in enumerate(keys):
        if key in first_of_key:
            _count_known(result, requests, index, equal=contents[first_of_key[key]] == contents[index])
        else:
            first_of_key[key] = index
    return [index for _, index in sorted(first_of_key.items())]


def _count_known(result: IngestResult, requests: RequestRows, index: int, *, equal: bool) -> None:
    if equal:
        result.duplicates += 1
    else:
        reason = f"{CONFLICT}: this id is known with other values; the first stays"
        result.rejects.append(Reject(int(requests.lines[index]), "id", reason))


def _columns(
    requests: RequestRows, names: dict[str, int], keys: list[bytes], contents: list[bytes], batch_id: int
) -> list[list[Any]]:
    def or_none(values: Ints) -> list[Any]:
        return [None if value == UNKNOWN else value for value in values.tolist()]

    def ids(values: list[str]) -> list[int]:
        return [names[value] for value in values]

    units = [None if value != value else value for value in requests.units.tolist()]  # noqa: PLR0124 - NaN
    return [
        keys,
        requests.start_us.tolist(),
        or_none(requests.end_us),
        or_none(requests.first_token_us),
        ids(requests.service),
        ids(requests.use_case),
        ids(requests.model),
        requests.requests.tolist(),
        or_none(requests.input_tokens),
        or_none(requests.cached_input_tokens),
        or_none(requests.output_tokens),
        units,
        ids(requests.unit),
        ids(requests.status),
        contents,
        [batch_id] * len(requests),
        [names[value] if value else None for value in requests.replica],
    ]


def _known_contents(connection: Connection, keys: list[bytes]) -> dict[bytes, bytes]:
    """Content digests of requests already stored, by key."""
    create_temporary_table(connection, "incoming_request", {"key": bytes}, [(key,) for key in keys])
    rows = connection.exec_driver_sql("SELECT r.key, r.content FROM incoming_request i JOIN request r ON r.key = i.key")
    return {bytes(row.key): bytes(row.content) for row in rows}


def _failed_contents(connection: Connection, keys: list[bytes]) -> dict[bytes, bytes]:
    """Content digests of failed requests already stored, by key."""
    create_temporary_table(connection, "incoming_request", {"key": bytes}, [(key,) for key in keys])
    rows = connection.exec_driver_sql(
        "SELECT r.key, r.content FROM incoming_request i JOIN request r ON r.key = i.key JOIN name n ON n.id = r.status_id "
        f"WHERE n.text IN {FAILED!r}"
    )
    return {bytes(row.key): bytes(row.content) for row in rows}
