"""Ingest of the records that agents and gateways send: one commit per shipment, before the reply.

Acknowledged records are on disk. Sending a line again is harmless: it counts as a duplicate.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, select, update

from footprint.config.models import OWN_SERVICE, OWN_SERVICE_RESERVED
from footprint.core.limits import MAX_LINE_BYTES, MAX_NEW_NAMES_PER_DAY, Reject, RejectList, printable
from footprint.core.records import ActivityReading, BadLine, ContextReading, EnergyReading, Record, RequestRecord, from_line
from footprint.core.units import US_PER_DAY
from footprint.ledger.agent_records import DeviceAlias, NumberedRecord, aliases_of, readings_from_records, record_alias
from footprint.ledger.day_versions import WHOLE_DAY, mark_dirty
from footprint.ledger.energy_file import Readings
from footprint.ledger.import_batches import open_batch
from footprint.ledger.reading_writer import store_readings
from footprint.ledger.refusals import count_mended, count_refusals, new_names_today, set_new_names
from footprint.ledger.rejects import IngestResult
from footprint.ledger.request_file import UNKNOWN_USE_CASE, RequestRows, rows_from_records
from footprint.ledger.request_writer import store_requests
from footprint.ledger.stream_ids import StreamIds, known_names
from footprint.storage import schema
from footprint.storage.database import Store, table

AGENT_KIND = "agent"  # kind of a batch from an agent or a gateway: more of its day may still arrive


OTHER_HOST = "the token may not write for this host"
_OTHER_SERVICE = "placed on other hosts, and the token does not name it (`footprint token add HOST --service NAME` on the server)"
_log = logging.getLogger(__name__)


class IngestService:
    """Accepts shipments into one store; stream ids are cached between them."""

    def __init__(
        self,
        store: Store,
        services_of_model: Callable[[str], set[str]],
        hosts_of_service: Callable[[str], set[str]] = lambda _: set(),
    ) -> None:
        self._store = store
        self._streams = StreamIds(store)
        self._services_of_model, self._hosts_of_service = services_of_model, hosts_of_service
        self._logged: set[tuple[str, str]] = set()

    def accept(
        self, host: str | None, lines: Iterable[bytes], now_us: int, *, own: bool = False, services: Collection[str] = ()
    ) -> IngestResult:
        """Store the lines of one shipment.

        Readings must be from ``host``, the host of the token (None: any), and requests of a service placed there or nowhere, or
        of ``services`` (``*``: any). ``own``: the requests are those of this server itself, whose name nobody else may use.
        """
        records: dict[type, list[NumberedRecord]] = {
            kind: [] for kind in (EnergyReading, ActivityReading, ContextReading, RequestRecord)
        }
        result = IngestResult(rejects=RejectList())
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            mended = Counter[str]()
            try:
                if len(line) > MAX_LINE_BYTES:
                    raise BadLine("line", f"longer than {MAX_LINE_BYTES} bytes")
                record = from_line(line, now_us, mended)
                if not isinstance(record, RequestRecord) and host is not None and record.host != host:
                    result.refused_lines.setdefault(record.host, []).append(number)
                    continue
                record = self._validate(record, host, services, own=own)
            except BadLine as error:
                result.rejects.append(Reject(number, error.column, error.reason))
            else:
                records[type(record)].append((number, record))
                result.mended += mended
        if host is not None:
            self._limit_new_names(host, records, result.rejects, now_us)
        readings = readings_from_records(records[EnergyReading], records[ActivityReading], records[ContextReading])
        self._store_all(result, readings, aliases_of(records[EnergyReading]), records[RequestRecord], now_us)
        result.rejects.sort()
        self._record_refusals(host or "", result, now_us)
        return result

    def refuse(self, host: str, reason: str, now_us: int) -> None:
        """Count a shipment that was not read."""
        with self._store.begin() as connection:
            count_refusals(self._store, connection, host, {f"shipment: {reason}": 1}, now_us)

    def _record_refusals(self, host: str, result: IngestResult, now_us: int) -> None:
        by_reason = Counter(result.rejects.by_reason)
        waiting = sum(map(len, result.refused_lines.values()))
        if waiting:
            by_reason[f"host: {OTHER_HOST}"] += waiting
        if by_reason or result.mended:
            with self._store.begin() as connection:
                count_refusals(self._store, connection, host, by_reason, now_us)
                count_mended(self._store, connection, host, result.mended, now_us)
        for other in result.refused_lines:
            if (host, other) not in self._logged and len(self._logged) < MAX_NEW_NAMES_PER_DAY:
                self._logged.add((host, other))
                _log.warning(
                    "records of host %s came with the token of %s and were not taken; set [agent] host, or run "
                    "`footprint token add` for it",
                    printable(other),
                    host,
                )

    def _limit_new_names(self, host: str, records: dict[type, list[NumberedRecord]], rejects: RejectList, now_us: int) -> None:
        """Reject the records whose names would exceed the number of new names that a host may bring in a day."""
        texts = {name for of_kind in records.values() for _, record in of_kind for name in _names_of(record)}
        with self._store.read() as connection:
            known = known_names(connection, texts)
            before = new_names_today(connection, host, now_us)
        if before + len(texts - known) <= MAX_NEW_NAMES_PER_DAY:
            new_count = len(texts - known)
        else:
            new_count = 0
            for kind, of_kind in records.items():
                accepted: list[NumberedRecord] = []
                for number, record in of_kind:
                    new = _names_of(record) - known
                    if before + new_count + len(new) > MAX_NEW_NAMES_PER_DAY:
                        rejects.append(
                            Reject(number, "line", f"more than {MAX_NEW_NAMES_PER_DAY} new names from one host in a day")
                        )
                        continue
                    known |= new
                    new_count += len(new)
                    accepted.append((number, record))
                records[kind] = accepted
        if new_count:
            with self._store.begin() as connection:
                set_new_names(self._store, connection, host, before + new_count, now_us)

    def _validate(self, record: Record, host: str | None, services: Collection[str], *, own: bool) -> Any:
        if not isinstance(record, RequestRecord):
            return record
        for name in ("service", "use_case", "model"):
            text = getattr(record, name)
            if text.startswith("(") and text != UNKNOWN_USE_CASE:
                raise BadLine(name, "begins with a bracket, which is kept for (idle) and (unattributed)")
        if not record.service:
            services_of_model = self._services_of_model(record.model) if record.model else set()
            if len(services_of_model) != 1:
                raise BadLine("service", "empty, and the model does not identify exactly one")
            record = replace(record, service=next(iter(services_of_model)))
        if record.service == OWN_SERVICE and not own:
            raise BadLine("service", OWN_SERVICE_RESERVED)
        if host is not None and not {"*", record.service} & set(services):
            hosts = self._hosts_of_service(record.service)
            if hosts and host not in hosts:
                raise BadLine("service", _OTHER_SERVICE)
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


def _names_of(record: Any) -> set[str]:
    """Names that a record may bring into the store."""
    if isinstance(record, RequestRecord):
        texts = {record.service, record.use_case, record.model, record.unit, record.replica}
    elif isinstance(record, ActivityReading):
        texts = {f"group:{record.group}" if record.group != "(host)" else record.group, record.epoch}
    elif isinstance(record, ContextReading):
        texts = {record.device, record.epoch, *(name for name in record.values if "/" in name)}
    else:
        texts = {record.device, record.epoch, record.alias}
    return texts - {""}


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
