"""This file accepts what agents and gateways ship: lines of the wire, checked, in one commit with the answer.

What is answered for is on disk. Sending a line again is harmless: it is a duplicate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, select, update

from footprint.core.records import ActivityReading, BadLine, ContextReading, EnergyReading, Record, RequestRecord, from_line
from footprint.core.units import US_PER_DAY
from footprint.ledger.energy_file import Readings
from footprint.ledger.import_batches import open_batch
from footprint.ledger.reading_writer import store_readings
from footprint.ledger.rejects import IngestResult, Reject
from footprint.ledger.request_file import UNKNOWN_USE_CASE, RequestRows, rows_from_records
from footprint.ledger.request_writer import store_requests
from footprint.ledger.stream_ids import StreamIds
from footprint.ledger.wire_format import DeviceAlias, NumberedRecord, aliases_of, readings_from_records, record_alias
from footprint.storage import schema
from footprint.storage.database import Store, table

AGENT_KIND = "agent"  # of a batch that an agent or a gateway ships: more of its day may still come by itself


class IngestService:
    """Accepts shipments into one store; streams are remembered between them."""

    def __init__(self, store: Store, services_of_model: Callable[[str], set[str]]) -> None:
        self._store = store
        self._streams = StreamIds(store)
        self._services_of_model = services_of_model

    def accept(self, host: str | None, lines: Iterable[bytes], now_us: int) -> IngestResult:
        """Store lines of one shipment; readings must be of ``host``, whose token sent them."""
        found: dict[type, list[NumberedRecord]] = {
            kind: [] for kind in (EnergyReading, ActivityReading, ContextReading, RequestRecord)
        }
        shipment = IngestResult()
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = self._validate(host, from_line(line))
            except BadLine as bad:
                shipment.rejects.append(Reject(number, bad.column, bad.reason))
            else:
                found[type(record)].append((number, record))
        readings = readings_from_records(found[EnergyReading], found[ActivityReading], found[ContextReading])
        self._store_all(shipment, readings, aliases_of(found[EnergyReading]), found[RequestRecord], now_us)
        shipment.rejects.sort(key=lambda reject: reject.line)
        return shipment

    def _validate(self, host: str | None, record: Record) -> Any:
        if not isinstance(record, RequestRecord):
            if host is not None and record.host != host:
                raise BadLine("host", "the token may not write for this host")
            return record
        for name in ("service", "use_case", "model"):
            text = getattr(record, name)
            if text.startswith("(") and text != UNKNOWN_USE_CASE:
                raise BadLine(name, "begins with a bracket, which is kept for (idle) and (unattributed)")
        if not record.service:
            found = self._services_of_model(record.model) if record.model else set()
            if len(found) != 1:
                raise BadLine("service", "empty, and the model does not identify exactly one")
            record = replace(record, service=next(iter(found)))
        return record if record.use_case else replace(record, use_case=UNKNOWN_USE_CASE)

    def _store_all(
        self,
        shipment: IngestResult,
        readings: Readings,
        places: dict[DeviceAlias, int],
        requests: list[NumberedRecord],
        now_us: int,
    ) -> None:
        columns = rows_from_records([r for _, r in requests], np.array([n for n, _ in requests], dtype=np.int64))
        # Names and streams have transactions of their own, hence come first.
        ids = self._streams.resolve(readings.streams)
        names = self._store.name_ids({*readings.epoch, *columns.names(), *(text for place in places for text in place)})
        epochs = [names[epoch] for epoch in readings.epoch]
        with self._store.begin() as connection:
            for place, since_us in sorted(places.items()):
                host, alias, device = (names[text] for text in place)
                record_alias(self._store, connection, host, alias, device, since_us)
            for name, part in _by_host_and_day(readings):
                batch = _find_or_open_batch(connection, name, now_us)
                done = store_readings(self._store, connection, ids, epochs, part, batch, claim=False)
                _add_counts(connection, shipment, batch, done)
            if requests:
                batch = _open_request_batch(connection, columns, now_us)
                done = store_requests(self._store, connection, names, columns, {}, batch, claim=False)
                _add_counts(connection, shipment, batch, done)


def _by_host_and_day(readings: Readings) -> list[tuple[str, Readings]]:
    """Readings by host and UTC day, each under the name of its batch."""
    rows: dict[str, list[int]] = defaultdict(list)
    days = (readings.time_us // US_PER_DAY).tolist()
    for index, (stream, day) in enumerate(zip(readings.stream.tolist(), days, strict=True)):
        rows[f"host {readings.streams[stream].host} {day}"].append(index)
    return [(name, readings.take(np.array(index, dtype=np.int64))) for name, index in sorted(rows.items())]


def _open_request_batch(connection: Connection, requests: RequestRows, now_us: int) -> int:
    """The batch of shipped requests; each service and day has one of its own too, which says that more may come."""
    days = (requests.start_us // US_PER_DAY).tolist()
    for name in sorted({f"service {s} {day}" for s, day in zip(requests.service, days, strict=True)}):
        _find_or_open_batch(connection, name, now_us)
    return _find_or_open_batch(connection, f"requests {max(days)}", now_us)


def _find_or_open_batch(connection: Connection, name: str, now_us: int) -> int:
    """The open batch of a name; looked up each time, for it may have been withdrawn meanwhile."""
    target = table(schema.Batch)
    mine = (target.c.kind == AGENT_KIND) & (target.c.name == name) & target.c.withdrawn_us.is_(None)
    found = connection.execute(select(target.c.id).where(mine)).scalar()
    return found or open_batch(connection, AGENT_KIND, name, now_us)


def _add_counts(connection: Connection, shipment: IngestResult, batch: int, done: IngestResult) -> None:
    shipment.add(done)
    target = table(schema.Batch)
    counts = {"accepted": done.accepted, "duplicates": done.duplicates, "rejected": len(done.rejects)}
    more = {name: target.c[name] + count for name, count in counts.items()}
    connection.execute(update(target).where(target.c.id == batch).values(more))
