"""This file brings a file into the ledger: read, check, store block by block, each block one durable commit.

A file that is imported again changes nothing and says so. A kill in the middle leaves whole blocks;
importing again brings the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Connection, update

from footprint.config import Config
from footprint.core.log_formats import FieldMap
from footprint.core.records import RequestRecord
from footprint.core.timestamps import format_instant
from footprint.ledger import codecarbon_import, energy_file, request_file, user_count_file
from footprint.ledger.import_batches import delete_claims_of_copy, open_batch
from footprint.ledger.readers import new_digest, read_batches, read_mapped_log
from footprint.ledger.reading_writer import store_readings
from footprint.ledger.record_batch import RecordBatch
from footprint.ledger.rejects import IngestResult, Reject
from footprint.ledger.request_writer import store_requests
from footprint.ledger.stream_ids import StreamIds
from footprint.storage import schema
from footprint.storage.database import Store, table


@dataclass(slots=True)
class ImportResult(IngestResult):
    """Counts and rejects of one imported file, with its kind and the number of its batch."""

    path: str = ""
    kind: str = ""
    batch: int | None = None


ProgressCallback = Callable[[int], None]
# What stores a block within a transaction, under the number of a batch; and what of the block was refused before.
_ImportStep = tuple[Callable[[Connection, int], IngestResult] | None, list[Reject]]


def import_energy(store: Store, path: str, now_us: int, progress: ProgressCallback | None = None) -> ImportResult:
    """Readings of one file (contract, section 4).

    Raises
    ------
    UnreadableFile
        If it cannot be read or lacks a required column; nothing is stored then.
    """
    digest, streams = new_digest(), StreamIds(store)

    def parts() -> Iterator[_ImportStep]:
        for readings, rejects in energy_file.parse_energy(path, read_batches(path, digest, energy_file.COLUMNS)):
            accept = partial(_accept_readings, store, readings, streams.resolve(readings.streams))
            yield accept if len(readings) else None, rejects

    return _import_steps(store, path, "energy", parts(), digest, now_us, progress)


def import_readings(
    store: Store,
    name: str,
    found: Iterable[tuple[energy_file.Readings, list[int]]],
    now_us: int,
    progress: ProgressCallback | None = None,
) -> ImportResult:
    """Readings that a source gave, as one batch under a name; with each the numbers of its streams."""

    def parts() -> Iterator[_ImportStep]:
        for readings, ids in found:
            names = store.name_ids({epoch for epoch in readings.epoch if epoch})
            epochs = [names[epoch] if epoch else 0 for epoch in readings.epoch]
            yield partial(_accept_named, store, readings, ids, epochs), []

    return _import_steps(store, name, "energy", parts(), new_digest(), now_us, progress)


def _accept_named(
    store: Store, readings: energy_file.Readings, ids: list[int], epochs: list[int], connection: Connection, batch: int
) -> IngestResult:
    return store_readings(store, connection, ids, epochs, readings, batch, claim=True)


def _accept_readings(
    store: Store, readings: energy_file.Readings, ids: list[int], connection: Connection, batch: int
) -> IngestResult:
    return store_readings(store, connection, ids, [0], readings, batch, claim=True)


def import_requests(
    store: Store,
    config: Config,
    path: str,
    now_us: int,
    progress: ProgressCallback | None = None,
    blocks: Iterable[RecordBatch] | None = None,
    digest: Any = None,
) -> ImportResult:
    """Requests of one file (contract, section 5), or of blocks that a field map made of another program's log.

    Raises
    ------
    UnreadableFile
        If it cannot be read or lacks a required column; nothing is stored then.
    """
    digest = digest or new_digest()
    seen: dict[bytes, int] = {}

    def parts() -> Iterator[_ImportStep]:
        source = read_batches(path, digest, request_file.COLUMNS) if blocks is None else blocks
        for found, rejects in request_file.parse_requests(path, source, config.services_of_model):
            accept = partial(_accept_requests, store, found, store.name_ids(found.names()), seen)
            yield accept if len(found) else None, rejects

    return _import_steps(store, path, "requests", parts(), digest, now_us, progress)


def import_mapped_log(
    store: Store, config: Config, path: str, found: FieldMap, now_us: int, progress: ProgressCallback | None = None
) -> ImportResult:
    """Requests of one file of another program, read by a field map.

    Raises
    ------
    UnreadableFile
        If it cannot be read; nothing is stored then.
    """
    digest = new_digest()
    return import_requests(store, config, path, now_us, progress, read_mapped_log(path, found, digest), digest)


def import_request_records(
    store: Store, name: str, records: list[RequestRecord], lines: request_file.Ints, now_us: int
) -> ImportResult:
    """Requests that a source gave, as one batch under a name."""
    found = request_file.rows_from_records(records, lines)
    accept = partial(_accept_requests, store, found, store.name_ids(found.names()), {})
    return _import_steps(store, name, "requests", [(accept if records else None, [])], new_digest(), now_us, None)


def import_codecarbon(
    store: Store, config: Config, path: str, host: str, use_case: str, now_us: int
) -> tuple[list[ImportResult], list[codecarbon_import.CodecarbonRun]]:
    """Runs of CodeCarbon's ``emissions.csv`` as readings of a host and as requests; also the runs that were taken.

    Raises
    ------
    UnreadableFile
        If the file cannot be read or lacks a column; nothing is stored then.
    """
    runs, rejects = codecarbon_import.read_runs(path, config.timezone)
    runs, twice = codecarbon_import.reject_measured_runs(store, host, runs)
    found = codecarbon_import.runs_to_readings(host, runs)
    epochs = store.name_ids(set(found.epoch))
    accept = partial(_accept_named, store, found, StreamIds(store).resolve(found.streams), [epochs[e] for e in found.epoch])
    parts: list[_ImportStep] = [(accept if runs else None, [*rejects, *twice])]
    energy_done = _import_steps(store, path, "energy", parts, new_digest(), now_us, None)
    lines = np.array([run.line for run in runs], dtype=np.int64)
    jobs = import_request_records(store, path, codecarbon_import.runs_to_requests(runs, use_case), lines, now_us)
    return [energy_done, jobs], runs


def _accept_requests(
    store: Store,
    found: request_file.RequestRows,
    names: dict[str, int],
    seen: dict[bytes, int],
    connection: Connection,
    batch: int,
) -> IngestResult:
    return store_requests(store, connection, names, found, seen, batch, claim=True)


def import_users(store: Store, path: str, now_us: int, progress: ProgressCallback | None = None) -> ImportResult:
    """Distinct users per publication cell of one file (contract, section 5b).

    Raises
    ------
    UnreadableFile
        If it cannot be read or lacks a required column; nothing is stored then.
    """
    digest = new_digest()

    def parts() -> Iterator[_ImportStep]:
        for cells, rejects in user_count_file.parse_users(path, read_batches(path, digest, user_count_file.COLUMNS)):
            yield partial(user_count_file.store_user_counts, store, cells) if cells.cells else None, rejects

    return _import_steps(store, path, "users", parts(), digest, now_us, progress)


def _import_steps(
    store: Store, path: str, kind: str, parts: Iterable[_ImportStep], digest: Any, now_us: int, progress: ProgressCallback | None
) -> ImportResult:
    result = ImportResult(path=path, kind=kind)
    for accept, rejects in parts:
        if accept is not None or rejects:
            with store.begin() as connection:
                batch = _ensure_batch(connection, result, now_us)
                outcome = accept(connection, batch) if accept is not None else IngestResult()
                outcome.rejects = rejects + outcome.rejects
                _update_batch(connection, batch, result, outcome)
            # Only what was committed is told.
            result.batch = batch
            result.add(outcome)
        if progress is not None:
            progress(result.accepted + result.duplicates + len(result.rejects))
    with store.begin() as connection:
        result.batch = _ensure_batch(connection, result, now_us)
        _update_batch(connection, result.batch, result, IngestResult(), digest.hexdigest())
        if not result.accepted:
            delete_claims_of_copy(connection, kind, result.batch, digest.hexdigest())
        said = f"{kind} {path}: {result.accepted} new, {result.duplicates} known, {len(result.rejects)} refused"
        store.record_event(connection, now_us, "import", f"batch {result.batch} at {format_instant(now_us)}: {said}")
    result.rejects.sort(key=lambda reject: reject.line)
    return result


def _ensure_batch(connection: Connection, result: ImportResult, now_us: int) -> int:
    if result.batch is not None:
        return result.batch
    return open_batch(connection, result.kind, result.path, now_us)


def _update_batch(connection: Connection, batch: int, result: ImportResult, more: IngestResult, sha256: str = "") -> None:
    """Note how far a batch is; one without a digest was interrupted."""
    target = table(schema.Batch)
    connection.execute(
        update(target)
        .where(target.c.id == batch)
        .values(
            accepted=result.accepted + more.accepted,
            duplicates=result.duplicates + more.duplicates,
            rejected=len(result.rejects) + len(more.rejects),
            sha256=sha256,
        )
    )
