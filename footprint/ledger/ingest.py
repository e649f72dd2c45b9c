"""Ingest of the records that agents and gateways send: one commit per shipment, before the reply.

Acknowledged records are on disk. Sending a line again is harmless: it counts as a duplicate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, select, update

from footprint.config.models import OWN_SERVICE, OWN_SERVICE_RESERVED
from footprint.core.records import ActivityReading, BadLine, ContextReading, EnergyReading, Record, RequestRecord, from_line
from footprint.core.units import US_PER_DAY
from footprint.ledger.agent_records import DeviceAlias, NumberedRecord, aliases_of, readings_from_records, record_alias
from footprint.ledger.day_versions import WHOLE_DAY, mark_dirty
from footprint.ledger.energy_file import Readings
from footprint.ledger.import_batches import open_batch
from footprint.ledger.reading_writer import store_readings
from footprint.ledger.rejects import IngestResult, Reject
from footprint.ledger.request_file import UNKNOWN_USE_CASE, RequestRows, rows_from_records
from footprint.ledger.request_writer import store_requests
from footprint.ledger.stream_ids import StreamIds
from footprint.storage import schema
from footprint.storage.database import Store, table

AGENT_KIND = "agent"  # kind of a batch from an agent or a gateway: more of its day may still arrive


class IngestService:
    """Accepts shipments into one store; stream ids are cached between them."""

    def __init__(self, store: Store, services_of_model: Callable[[str], set[str]]) -> None:
        self._store = store
        self._streams = StreamIds(store)
        self._services_of_model = services_of_model

    def accept(self, host: str | None, lines: Iterable[bytes], now_us: int, *, own: bool = False) -> IngestResult:
        """Store the lines of one shipment; readings must be from ``host``, the host of the token (None: any).

        ``own``: the requests are those of this server itself, whose name nobody else may use.
        """
        records: dict[type, list[NumberedRecord]] = {
            kind: [] for kind in (EnergyReading, ActivityReading, ContextReading, RequestRecord)
        }
        result = IngestResult()
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = self._validate(host, from_line(line), own=own)
            except BadLine as error:
                result.rejects.append(Reject(number, error.column, error.reason))
            else:
                records[type(record)].append((number, record))
        readings = readings_from_records(records[EnergyReading], records[ActivityReading], records[ContextReading])
        self._store_all(result, readings, aliases_of(records[EnergyReading]), records[RequestRecord], now_us)
        result.rejects.sort(key=lambda reject: reject.line)
        return result

    def _validate(self, host: str | None, record: Record, *, own: bool) -> Any:
        if not isinstance(record, RequestRecord):
            if host is not None and record.host != host:
                raise BadLine("host", "the token may not write for this host")
            return record
        for name in ("service", "use_case", "model"):
            text = getattr(record, name)
            if text.startswith("(") and text != UNKNOWN_USE_CASE:
                raise BadLine(name, "begins with a bracket, which is kept for (idle) and (unattributed)")
        if not record.service:
            services = self._services_of_model(record.model) if record.model else set()
            if len(services) != 1:
                raise BadLine("service", "empty, and the model does not identify exactly one")
            record = replace(record, service=next(iter(services)))
        if record.service == OWN_SERVICE and not own:
            raise BadLine("service", OWN_SERVICE_RESERVED)
        return record if record.use_case else replace(record, use_case=UNKNOWN_USE_CASE)

    def _store_all(
        self,
        result: IngestResult,
        readings: Readings,
        aliases: dict[DeviceAlias, int],
        requests: list[NumberedRecord],
        now_us: int,
    ) -> None:
        columns = rows_from_records([record for _, record in requests], np.array([line for line, _ in requests], dtype=np.int64))
        # Names and streams use transactions of their own, so they come first.
        ids = self._streams.resolve(readings.streams)
        names = self._store.name_ids({*readings.epoch, *columns.names(), *(text for alias in aliases for text in alias)})
        epochs = [names[epoch] for epoch in readings.epoch]
        with self._store.begin() as connection:
            for alias, since_us in sorted(aliases.items()):
                host_id, alias_id, device_id = (names[text] for text in alias)
                record_alias(self._store, connection, host_id, alias_id, device_id, since_us)
            for name, part in _by_host_and_day(readings):
                batch = self._find_or_open_batch(connection, name, now_us)
                counts = store_readings(self._store, connection, ids, epochs, part, batch, claim=False)
                _add_counts(connection, result, batch, counts)
            if requests:
                batch = self._open_request_batch(connection, columns, now_us)
                counts = store_requests(self._store, connection, names, columns, {}, batch, claim=False)
                _add_counts(connection, result, batch, counts)

    def _open_request_batch(self, connection: Connection, requests: RequestRows, now_us: int) -> int:
        """The batch of sent requests. Each service and day gets a batch too, which marks that more may arrive."""
        days = (requests.start_us // US_PER_DAY).tolist()
        for name in sorted({f"service {service} {day}" for service, day in zip(requests.service, days, strict=True)}):
            self._find_or_open_batch(connection, name, now_us)
        return _find_open_batch(connection, f"requests {max(days)}") or open_batch(
            connection, AGENT_KIND, f"requests {max(days)}", now_us
        )

    def _find_or_open_batch(self, connection: Connection, name: str, now_us: int) -> int:
        """The open batch of a day of a host or service. The first one makes an imported day open again: it is looked at."""
        batch = _find_open_batch(connection, name)
        if batch is None:
            batch = open_batch(connection, AGENT_KIND, name, now_us)
            kind, _, of_day = name.partition(" ")
            owner, _, day = of_day.rpartition(" ")
            target = table(schema.Name)
            name_id = connection.execute(select(target.c.id).where(target.c.text == owner)).scalar()
            if name_id is not None:  # None: no record of it is valid
                mark_dirty(self._store, connection, "host" if kind == "host" else "service", {(name_id, int(day)): WHOLE_DAY})
        return batch


def _by_host_and_day(readings: Readings) -> list[tuple[str, Readings]]:
    """Readings by host and UTC day, each with the name of its batch."""
    rows: dict[str, list[int]] = defaultdict(list)
    days = (readings.time_us // US_PER_DAY).tolist()
    for index, (stream, day) in enumerate(zip(readings.stream.tolist(), days, strict=True)):
        rows[f"host {readings.streams[stream].host} {day}"].append(index)
    return [(name, readings.take(np.array(index, dtype=np.int64))) for name, index in sorted(rows.items())]


def _find_open_batch(connection: Connection, name: str) -> int | None:
    """The open batch of a name; queried each time, because it may have been withdrawn meanwhile."""
    target = table(schema.Batch)
    is_open = (target.c.kind == AGENT_KIND) & (target.c.name == name) & target.c.withdrawn_us.is_(None)
    return connection.execute(select(target.c.id).where(is_open)).scalar()


def _add_counts(connection: Connection, result: IngestResult, batch: int, added: IngestResult) -> None:
    result.add(added)
    target = table(schema.Batch)
    increments = {"accepted": added.accepted, "duplicates": added.duplicates, "rejected": len(added.rejects)}
    sums = {name: target.c[name] + count for name, count in increments.items()}
    connection.execute(update(target).where(target.c.id == batch).values(sums))
