"""This file accepts what agents and gateways ship: lines of the wire, checked, in one commit with the answer.

What is answered for is on disk. Sending a line again is harmless: it is a duplicate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, select, update

from footprint import tables
from footprint.aggregation import AGENT_KIND
from footprint.ledger.accept import Outcome, StreamIds, accept_readings, accept_requests, add_batch
from footprint.ledger.energy import Readings, StreamKey
from footprint.ledger.rejects import Reject
from footprint.ledger.requests import from_records
from footprint.readings import (
    ActivityReading,
    BadLine,
    EnergyReading,
    RequestRecord,
    check_request,
    from_line,
    grade_of,
)
from footprint.store import Store, table
from footprint.units import US_PER_DAY

Numbered = tuple[int, Any]


@dataclass(slots=True)
class Shipment:
    """What became of the lines of one shipment."""

    accepted: int = 0
    duplicates: int = 0
    rejects: list[Reject] = field(default_factory=list)


class Inbox:
    """Accepts shipments into one store; streams and batches are remembered between them."""

    def __init__(self, store: Store, services_of_model: Any) -> None:
        self._store = store
        self._streams = StreamIds(store)
        self._services_of_model = services_of_model
        self._batches: dict[str, int] = {}

    def accept(self, host: str | None, lines: Iterable[bytes], now_us: int) -> Shipment:
        """Store lines of one shipment; readings must be of ``host``, whose token sent them."""
        shipment = Shipment()
        energy: list[Numbered] = []
        activity: list[Numbered] = []
        requests: list[Numbered] = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = self._checked(host, from_line(line))
            except BadLine as bad:
                shipment.rejects.append(Reject(number, bad.column, bad.reason))
                continue
            kind = {EnergyReading: energy, ActivityReading: activity, RequestRecord: requests}[type(record)]
            kind.append((number, record))
        self._store_all(shipment, energy, activity, requests, now_us)
        shipment.rejects.sort(key=lambda reject: reject.line)
        return shipment

    def _checked(self, host: str | None, record: EnergyReading | ActivityReading | RequestRecord) -> Any:
        if not isinstance(record, RequestRecord):
            if host is not None and record.host != host:
                raise BadLine("host", "the token may not write for this host")
            return record
        if not record.service:
            found = self._services_of_model(record.model) if record.model else set()
            if len(found) != 1:
                raise BadLine("service", "empty, and the model does not identify exactly one")
            record = RequestRecord(**{**_fields(record), "service": next(iter(found))})
        if not record.use_case:
            record = RequestRecord(**{**_fields(record), "use_case": "(unknown)"})
        check_request(record)
        return record

    def _store_all(
        self, shipment: Shipment, energy: list[Numbered], activity: list[Numbered], requests: list[Numbered], now_us: int
    ) -> None:  # fmt: skip
        readings = _readings(energy, activity)
        ids = self._streams.of(readings.streams)
        epochs = self._store.name_ids(readings.epoch)
        columns = from_records([r for _, r in requests], np.array([n for n, _ in requests], dtype=np.int64))
        texts = (columns.service, columns.use_case, columns.model, columns.unit, columns.status)
        names = self._store.name_ids({text for column in texts for text in column})
        places = {(r.host, r.alias, r.device): r.at_us for _, r in sorted(energy, key=lambda x: -x[1].at_us) if r.alias}
        alias_names = self._store.name_ids({text for place in places for text in place})
        with self._store.begin() as connection:
            for place, since_us in sorted(places.items()):
                host_id, place_id, device_id = (alias_names[text] for text in place)
                _settle(connection, host_id, place_id, device_id, since_us)
            for batch, part in self._by_batch(connection, readings, now_us):
                done = accept_readings(
                    self._store, connection, ids, [epochs[e] for e in readings.epoch], part, batch, claim=False
                )
                _count(connection, shipment, batch, done)
            for name in {f"service {r.service} {r.start_us // US_PER_DAY}" for _, r in requests}:
                self._batch(connection, name, now_us)
            if requests:
                last = self._batch(connection, f"requests {requests[-1][1].start_us // US_PER_DAY}", now_us)
                done = accept_requests(self._store, connection, names, columns, {}, last, claim=False)
                _count(connection, shipment, last, done)

    def _by_batch(self, connection: Connection, readings: Readings, now_us: int) -> list[tuple[int, Readings]]:
        """Readings by host and day, each with its batch."""
        if not len(readings):
            return []
        hosts = np.array([stream.host for stream in readings.streams], dtype=object)[readings.stream]
        named = [f"host {h} {t // US_PER_DAY}" for h, t in zip(hosts.tolist(), readings.time_us.tolist(), strict=True)]
        rows: dict[str, list[int]] = defaultdict(list)
        for index, name in enumerate(named):
            rows[name].append(index)
        return [(self._batch(connection, name, now_us), _take(readings, index)) for name, index in sorted(rows.items())]

    def _batch(self, connection: Connection, name: str, now_us: int) -> int:
        if name not in self._batches:
            target = table(tables.Batch)
            mine = (target.c.kind == AGENT_KIND) & (target.c.name == name) & target.c.withdrawn_us.is_(None)
            found = connection.execute(select(target.c.id).where(mine)).scalar()
            self._batches[name] = found or add_batch(
                connection, kind=AGENT_KIND, name=name, sha256="", imported_us=now_us, accepted=0, duplicates=0,
                rejected=0,
            )  # fmt: skip
        return self._batches[name]


def _fields(record: RequestRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def _count(connection: Connection, shipment: Shipment, batch: int, done: Outcome) -> None:
    shipment.accepted += done.accepted
    shipment.duplicates += done.duplicates
    shipment.rejects += done.rejects
    target = table(tables.Batch)
    connection.execute(
        update(target).where(target.c.id == batch).values(
            accepted=target.c.accepted + done.accepted, duplicates=target.c.duplicates + done.duplicates,
            rejected=target.c.rejected + len(done.rejects),
        )
    )  # fmt: skip


def _settle(connection: Connection, host: int, place: int, device: int, since_us: int) -> None:
    """Note that a place holds a device, where the device that held it last was another."""
    target = table(tables.Alias)
    mine = (target.c.host_id == host) & (target.c.place_id == place) & (target.c.since_us <= since_us)
    latest = connection.execute(
        select(target.c.device_id).where(mine).order_by(target.c.since_us.desc()).limit(1)
    ).scalar()
    if latest != device:
        connection.execute(target.insert().values(host_id=host, place_id=place, since_us=since_us, device_id=device))


def _take(readings: Readings, rows: Sequence[int]) -> Readings:
    index = np.array(rows, dtype=np.int64)
    columns = ("lines", "time_us", "stream", "value", "covered_us", "epoch_index", "seq", "mono_us", "flags")
    taken = {name: getattr(readings, name)[index] for name in columns}
    return Readings(streams=readings.streams, epoch=readings.epoch, **taken)


def _readings(energy: list[Numbered], activity: list[Numbered]) -> Readings:
    """Energy and CPU time as readings of streams."""
    streams: dict[StreamKey, int] = {}
    epochs: dict[str, int] = {}
    rows: list[tuple[int, ...]] = []

    def row(number: int, key: StreamKey, record: Any, value: int, covered_us: int, mono_us: int) -> None:
        rows.append((
            number, record.at_us, streams.setdefault(key, len(streams)), value, covered_us,
            epochs.setdefault(record.epoch, len(epochs)), record.seq, mono_us, 0,
        ))  # fmt: skip

    for number, r in energy:
        grade = grade_of(r.source, counter=True)
        key = StreamKey(r.host, r.device, "energy", grade, r.component, r.source, r.model)
        row(number, key, r, r.energy_uj, r.covered_us, r.mono_us)
    for number, r in activity:
        name = "(host)" if r.group == "(host)" else f"group:{r.group}"
        row(number, StreamKey(r.host, name, "cpu", "counter", "cpu", "proc"), r, r.cpu_us, -1, 0)
        if r.group == "(host)":
            row(number, StreamKey(r.host, "(capacity)", "cpu", "counter", "cpu", "proc"), r, r.capacity_us, -1, 0)
    columns = np.array(rows, dtype=np.int64).reshape(-1, 9)
    lines, time_us, stream, value, covered_us, epoch, seq, mono_us, flags = (columns[:, i] for i in range(9))
    return Readings(list(streams), lines, time_us, stream, value, covered_us, list(epochs), epoch, seq, mono_us, flags)
