"""Import of files: read, check and store them batch of rows by batch of rows, each in one commit.

Importing a file again only counts duplicates. An interrupted import leaves complete steps; importing again adds the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Connection, update

from footprint.attribution.array_types import Ints
from footprint.config import Config
from footprint.core.limits import Reject, RejectList, name_fault, personal_name_fault
from footprint.core.log_formats import FieldMap
from footprint.core.log_values import Times
from footprint.core.records import FLAG_ANYWAY, RequestRecord
from footprint.core.timestamps import format_instant
from footprint.ledger import codecarbon_import, energy_file, request_file, user_count_file
from footprint.ledger.import_batches import delete_claims_of_copy, open_batch
from footprint.ledger.readers import new_digest, read_batches, read_mapped_file
from footprint.ledger.reading_writer import store_readings
from footprint.ledger.record_batch import RecordBatch, UnreadableFile
from footprint.ledger.refusals import IMPORT_SOURCE, count_mended, count_refusals
from footprint.ledger.rejects import IngestResult, file_rejects
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
# A function that stores rows in a transaction under the id of an import batch (None: no rows), and the rows rejected before.
_ImportStep = tuple[Callable[[Connection, int], IngestResult] | None, RejectList]


def import_energy(
    store: Store,
    path: str,
    now_us: int,
    progress: ProgressCallback | None = None,
    field_map: FieldMap | None = None,
    times: Times | None = None,
    *,
    anyway: bool = False,
) -> ImportResult:
    """Import the readings of one file (docs/reference/contract.md, section 4); ``anyway``: implausible ones too, flagged.

    ``field_map`` reads a file of another program, ``times`` is how times are written that do not say their zone.

    Raises
    ------
    UnreadableFile
        If it cannot be read or lacks a required column; nothing is stored.
    """
    digest, streams = new_digest(), StreamIds(store)

    def steps() -> Iterator[_ImportStep]:
        if field_map is None:
            batches = read_batches(path, digest, energy_file.COLUMNS, times)
        else:
            batches = read_mapped_file(path, field_map, digest)
        for readings, rejects in energy_file.parse_energy(path, batches, now_us, anyway=anyway):
            write = partial(_write_readings, store, readings, streams.resolve(readings.streams), [0])
            yield write if len(readings) else None, rejects

    return _import_steps(store, path, "energy", steps(), digest, now_us, progress)


def import_readings(
    store: Store,
    name: str,
    readings_and_ids: Iterable[tuple[energy_file.Readings, list[int], RejectList]],
    now_us: int,
    progress: ProgressCallback | None = None,
) -> ImportResult:
    """Import readings of a source as one named batch; each item comes with the ids of its streams, and with what was rejected."""

    def steps() -> Iterator[_ImportStep]:
        for readings, ids, rejects in readings_and_ids:
            epoch_ids = store.name_ids({epoch for epoch in readings.epoch if epoch})
            epochs = [epoch_ids[epoch] if epoch else 0 for epoch in readings.epoch]
            yield partial(_write_readings, store, readings, ids, epochs) if len(readings) else None, rejects

    return _import_steps(store, name, "energy", steps(), new_digest(), now_us, progress)


def _write_readings(
    store: Store, readings: energy_file.Readings, ids: list[int], epoch_ids: list[int], connection: Connection, batch: int
) -> IngestResult:
    result = store_readings(store, connection, ids, epoch_ids, readings, batch, claim=True)
    result.implausible = int((readings.flags & FLAG_ANYWAY != 0).sum())
    return result


def import_requests(
    store: Store,
    config: Config,
    path: str,
    now_us: int,
    progress: ProgressCallback | None = None,
    record_batches: Iterable[RecordBatch] | None = None,
    digest: Any = None,
    times: Times | None = None,
    *,
    anyway: bool = False,
) -> ImportResult:
    """Import the requests of one file (docs/reference/contract.md, section 5), or of ``record_batches`` of another log.

    ``anyway``: implausible ones too.

    Raises
    ------
    UnreadableFile
        If it cannot be read or lacks a required column; nothing is stored.
    """
    digest = digest or new_digest()
    seen: dict[bytes, int] = {}

    def steps() -> Iterator[_ImportStep]:
        source_batches = read_batches(path, digest, request_file.COLUMNS, times) if record_batches is None else record_batches
        parsed = request_file.parse_requests(path, source_batches, config.services_of_model, now_us, anyway=anyway)
        for part in parsed:
            names = store.name_ids(part.rows.names())
            write = partial(_write_requests, store, part.rows, names, seen, part.implausible, part.mended)
            yield write if len(part.rows) else None, part.rejects

    return _import_steps(store, path, "requests", steps(), digest, now_us, progress)


def import_mapped_log(
    store: Store,
    config: Config,
    path: str,
    field_map: FieldMap,
    now_us: int,
    progress: ProgressCallback | None = None,
    *,
    anyway: bool = False,
) -> ImportResult:
    """Import the requests of another program's log, read with a field map.

    Raises
    ------
    UnreadableFile
        If it cannot be read; nothing is stored.
    """
    digest = new_digest()
    return import_requests(
        store, config, path, now_us, progress, read_mapped_file(path, field_map, digest), digest, anyway=anyway
    )


def import_request_records(
    store: Store,
    name: str,
    records: list[RequestRecord],
    lines: Ints,
    now_us: int,
    rejects: Iterable[Reject] = (),
    mended: Mapping[str, int] | None = None,
) -> ImportResult:
    """Import requests of a source as one named batch, with the ``rejects`` and the mended fields found before."""
    requests = request_file.rows_from_records(records, lines)
    write = partial(_write_requests, store, requests, store.name_ids(requests.names()), {}, 0, mended or {})
    return _import_steps(store, name, "requests", [(write if records else None, _listed(rejects))], new_digest(), now_us, None)


def import_codecarbon(
    store: Store, config: Config, path: str, host: str, use_case: str, now_us: int, *, anyway: bool = False
) -> tuple[list[ImportResult], list[codecarbon_import.CodecarbonRun]]:
    """Import CodeCarbon's ``emissions.csv`` as readings of a host and as requests; also return the accepted runs.

    Raises
    ------
    UnreadableFile
        If the file cannot be read or lacks a column; nothing is stored.
    """
    for name, text in (("host", host), ("use-case", use_case)):
        fault = name_fault(text) or personal_name_fault(text, is_host=name == "host")
        if fault:
            raise UnreadableFile(f"--{name} {fault}")
    runs, rejects, implausible = codecarbon_import.read_runs(path, config.timezone, now_us, anyway=anyway)
    runs, measured_rejects = codecarbon_import.reject_measured_runs(store, host, runs)
    readings = codecarbon_import.runs_to_readings(host, runs)
    epochs = store.name_ids(set(readings.epoch))
    write = partial(
        _write_readings, store, readings, StreamIds(store).resolve(readings.streams), [epochs[epoch] for epoch in readings.epoch]
    )
    steps: list[_ImportStep] = [(write if runs else None, _listed([*rejects, *measured_rejects]))]
    energy_result = _import_steps(store, path, "energy", steps, new_digest(), now_us, None)
    lines = np.array([run.line for run in runs], dtype=np.int64)
    energy_result.implausible = implausible
    request_result = import_request_records(store, path, codecarbon_import.runs_to_requests(runs, use_case), lines, now_us)
    return [energy_result, request_result], runs


def _write_requests(
    store: Store,
    requests: request_file.RequestRows,
    names: dict[str, int],
    seen: dict[bytes, int],
    implausible: int,
    mended: Mapping[str, int],
    connection: Connection,
    batch: int,
) -> IngestResult:
    result = store_requests(store, connection, names, requests, seen, batch, claim=True)
    result.implausible = implausible
    result.mended.update(mended)
    return result


def import_users(store: Store, path: str, now_us: int, progress: ProgressCallback | None = None) -> ImportResult:
    """Import the distinct users per publication cell of one file (docs/reference/contract.md, section 5b).

    Raises
    ------
    UnreadableFile
        If it cannot be read or lacks a required column; nothing is stored.
    """
    digest = new_digest()

    def steps() -> Iterator[_ImportStep]:
        batches = read_batches(path, digest, user_count_file.COLUMNS)
        for cells, rejects in user_count_file.parse_users(path, batches, now_us):
            yield partial(user_count_file.store_user_counts, store, cells) if cells.cells else None, rejects

    return _import_steps(store, path, "users", steps(), digest, now_us, progress)


def _import_steps(
    store: Store, path: str, kind: str, steps: Iterable[_ImportStep], digest: Any, now_us: int, progress: ProgressCallback | None
) -> ImportResult:
    result = ImportResult(path=path, kind=kind)
    for write, rejects in steps:
        if write is not None or rejects:
            with store.begin() as connection:
                batch = _ensure_batch(connection, result, now_us)
                counts = write(connection, batch) if write is not None else IngestResult()
                counts.rejects.extend(rejects)
                _update_batch(connection, batch, result, counts)
            # Report only committed rows.
            result.batch = batch
            result.add(counts)
        if progress is not None:
            progress(result.accepted + result.duplicates + len(result.rejects))
    with store.begin() as connection:
        result.batch = _ensure_batch(connection, result, now_us)
        _update_batch(connection, result.batch, result, IngestResult(), digest.hexdigest())
        if not result.accepted:
            delete_claims_of_copy(connection, kind, result.batch, digest.hexdigest())
        count_refusals(store, connection, IMPORT_SOURCE, result.rejects.by_reason, now_us)
        count_mended(store, connection, IMPORT_SOURCE, result.mended, now_us)
        anyway = f", {result.implausible} of them implausible and taken anyway" if result.implausible else ""
        message = f"{kind} {path}: {result.accepted} new, {result.duplicates} known, {len(result.rejects)} refused{anyway}"
        store.record_event(connection, now_us, "import", f"batch {result.batch} at {format_instant(now_us)}: {message}")
    result.rejects.sort()
    return result


def _listed(rejects: Iterable[Reject]) -> RejectList:
    listed = file_rejects()
    listed.extend(rejects)
    return listed


def _ensure_batch(connection: Connection, result: ImportResult, now_us: int) -> int:
    if result.batch is not None:
        return result.batch
    return open_batch(connection, result.kind, result.path, now_us)


def _update_batch(connection: Connection, batch: int, result: ImportResult, added: IngestResult, sha256: str = "") -> None:
    """Record the progress of a batch; one without a digest was interrupted."""
    target, implausible = table(schema.Batch), result.implausible + added.implausible
    connection.execute(
        update(target)
        .where(target.c.id == batch)
        .values(
            accepted=result.accepted + added.accepted,
            duplicates=result.duplicates + added.duplicates,
            rejected=len(result.rejects) + len(added.rejects),
            sha256=sha256,
            reason=f"{implausible} implausible rows, taken with --anyway" if implausible else "",
        )
    )
