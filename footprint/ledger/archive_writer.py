"""This file seals closed days: rows of SQL into files with a hash chain, and takes them out of SQL by a rule of retention.

A day of a source (readings of a host, requests of a service, events of the ledger) is sealed once nothing more is expected of
it. What comes later all the same becomes a supplement, a further part; no file is ever written again. Each step may be cut
off: a file without a link is written again with the same bytes, a link without a row in SQL is adopted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from footprint.core.records import FootprintError
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY
from footprint.ledger.ledger_view import LedgerView, fingerprint
from footprint.ledger.minisign import sign
from footprint.ledger.object_store import ObjectStore, folder_name, link_name
from footprint.ledger.parquet_segments import READING_SCHEMA, REQUEST_SCHEMA, pack_rows, source_kind, unpack_rows
from footprint.ledger.verifier import sha256_of
from footprint.storage import schema
from footprint.storage.database import Store, table

EVENTS = "events"
HOLDING = "holding/"  # who computes on a device is asked of all time, and is an instant an hour: it stays in SQL too


@dataclass(slots=True)
class SealSummary:
    """What a run did."""

    parts: int = 0
    supplements: int = 0
    rows: int = 0
    retired: int = 0
    adopted: int = 0
    head: str = ""
    sources: set[str] = field(default_factory=set)


def seal(store: Store, vault: ObjectStore, now_us: int, *, after_days: int, keep_days: int, signing_key: str = "") -> SealSummary:
    """Seal every day that is closed for ``after_days``, and retire from SQL those older than ``keep_days``.

    Raises
    ------
    ObjectStoreError
        If a file cannot be written; what was sealed before stays sealed.
    """
    done = SealSummary()
    with store.begin() as connection:
        _record_url(store, connection, vault, now_us)
    last_day = now_us // US_PER_DAY - 1 - after_days
    with store.read() as connection:
        view = LedgerView(store, connection)
        wanted = list(_closed_days(view, last_day))
    for source, days in wanted:
        chain = _LinkChain(store, vault, source, done)
        for day, state in days:
            if chain.state(day) != state:
                _seal_day(store, vault, chain, source, day, state, now_us, done)
    done.head = _add_head(store, vault, now_us, signing_key)
    for source, days in wanted:
        for day, state in days:
            if source_kind(source) != EVENTS and day <= now_us // US_PER_DAY - keep_days:
                done.retired += _retire(store, vault, source, day, state)
    return done


def _record_url(store: Store, connection: Connection, vault: ObjectStore, now_us: int) -> None:
    before = store.meta(connection).get("sealed")
    if before != vault.url:
        store.upsert(connection, schema.Meta, [{"key": "sealed", "value": vault.url}])
        store.record_event(connection, now_us, "sealed", f"days are sealed at {vault.url}")


def _closed_days(view: LedgerView, last_day: int) -> Iterable[tuple[str, list[tuple[int, str]]]]:
    """Sources with their days up to one, each with the fingerprint of what the ledger holds of it."""
    for host, streams in sorted(view.streams().items()):
        states: dict[int, list[tuple[int, int]]] = {}
        for stream in streams:
            known = view.stream_days(stream.id)
            for day, version in zip(known.day.tolist(), known.version.tolist(), strict=True):
                states.setdefault(day, []).append((stream.id, version))
        closed = {day: state for day, state in sorted(states.items()) if day <= last_day}
        yield f"host {host}", [(day, fingerprint(sorted(state))) for day, state in closed.items()]
    for service, days in sorted(view.service_days().items()):
        versions = {day: version for day, (_, version) in sorted(days.items()) if day <= last_day}
        yield f"service {service}", [(day, fingerprint([version])) for day, version in versions.items()]
    event = table(schema.Event)
    day_of = (event.c.at_us // US_PER_DAY).label("day")
    numbers = select(day_of, func.count(), func.max(event.c.id)).group_by(day_of).order_by(day_of)
    counted = view.connection.execute(numbers).all()
    yield EVENTS, [(int(day), fingerprint([count, last])) for day, count, last in counted if day <= last_day]


class _LinkChain:
    """The chain of one source as SQL knows it; links that a run before wrote and did not tell are adopted."""

    def __init__(self, store: Store, vault: ObjectStore, source: str, done: SealSummary) -> None:
        self.store, self.vault, self.source = store, vault, source
        target = table(schema.Sealed)
        with store.read() as connection:
            rows = connection.execute(select(target).where(target.c.source == source).order_by(target.c.seq)).all()
        self.rows: list[dict[str, Any]] = [dict(row._mapping) for row in rows]
        for number, link, raw in vault.links(source, len(self.rows)):
            self._append(chain_row(link, number, sha256_of(raw)))
            done.adopted += 1

    def state(self, day: int) -> str:
        """What the ledger held of a day when its last part was sealed; empty where none was."""
        return next((row["state"] for row in reversed(self.rows) if row["day"] == day), "")

    def parts(self, day: int) -> list[dict[str, Any]]:
        """The parts of a day, in order."""
        return [row for row in self.rows if row["day"] == day]

    def add(self, link: dict[str, Any]) -> None:
        """One link further: on disk first, then in SQL."""
        number = len(self.rows)
        raw = canonical_json({**link, "seq": number, "previous": self.rows[-1]["link"] if self.rows else ""})
        self.vault.write(link_name(self.source, number), raw)
        self._append(chain_row(json.loads(raw), number, sha256_of(raw)))

    def _append(self, row: dict[str, Any]) -> None:
        with self.store.begin() as connection:
            self.store.insert_new(connection, schema.Sealed, [row])
        self.rows.append(row)


def canonical_json(content: dict[str, Any]) -> bytes:
    """JSON with sorted keys, one way to write it."""
    return (json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n").encode()


def chain_row(link: dict[str, Any], number: int, link_sha: str) -> dict[str, Any]:
    names = ("source", "day", "part", "sha256", "state", "sealed_us")
    return {
        **{name: link[name] for name in names},
        "seq": number,
        "link": link_sha,
        "file": link.get("file", ""),
        "rows": link.get("rows", 0),
        "first_us": link.get("first_us", 0),
        "last_us": link.get("last_us", -1),
        "batches": json.dumps(link.get("batches", [])),
        "retired": bool(link.get("erased")),
    }


def _seal_day(
    store: Store, vault: ObjectStore, chain: _LinkChain, source: str, day: int, state: str, now_us: int, done: SealSummary
) -> None:
    with store.read() as connection:
        rows = ledger_rows(store, connection, source, day)
    known: set[tuple[Any, ...]] = set()
    parts = chain.parts(day)
    for part in parts:
        if part["file"]:
            known |= {row_identity(source, row) for row in to_tuples(unpack_rows(vault.read(part["file"])))}
    new = [row for row in rows if row_identity(source, row) not in known]
    if not new and parts:
        # Only a withdrawal, or requests of the day before that reach into this one: nothing to add, and that is noted.
        chain.add(
            {
                "source": source,
                "day": day,
                "part": len(parts),
                "file": "",
                "sha256": "",
                "rows": 0,
                "first_us": 0,
                "last_us": -1,
                "state": state,
                "sealed_us": now_us,
                "batches": [],
            }
        )
        done.parts += 1
        return
    if not new:
        return
    raw = pack_rows(source, day, new)
    name = f"days/{format_instant(day * US_PER_DAY)[:10]}/{folder_name(source)}.{len(parts)}.parquet"
    vault.write(name, raw)
    times = [row[_TIME_COLUMN[source_kind(source)]] for row in new]
    ends = [row[2] for row in new if row[2] is not None] if source_kind(source) == "service" else []
    batches = [] if source == EVENTS else sorted({row[-1] for row in new})
    chain.add(
        {
            "source": source,
            "day": day,
            "date": format_instant(day * US_PER_DAY)[:10],
            "part": len(parts),
            "file": name,
            "sha256": sha256_of(raw),
            "bytes": len(raw),
            "rows": len(new),
            "first_us": min(times),
            "last_us": max([*times, *ends]),
            "state": state,
            "sealed_us": now_us,
            "batches": batches,
        }
    )
    done.parts += 1
    done.supplements += bool(parts)
    done.rows += len(new)
    done.sources.add(source)


_TIME_COLUMN = {
    "host": READING_SCHEMA.get_field_index("time_us"),
    "service": REQUEST_SCHEMA.get_field_index("start_us"),
    EVENTS: 1,
}


def row_identity(source: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """What makes a row that row: device, quantity, grade and instant; the key of a request; the number of an event.

    A reading that was withdrawn and came again with another value is another row.
    """
    kind = source_kind(source)
    return (row[0], row[2], row[3], row[6], row[7], row[13]) if kind == "host" else row[:1] + row[-1:]


def ledger_rows(store: Store, connection: Connection, source: str, day: int) -> list[tuple[Any, ...]]:
    """Rows of a source's day that stand in SQL, in the order and with the columns of its schema."""
    kind, _, name = source.partition(" ")
    start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
    if kind == EVENTS:
        event = table(schema.Event)
        mine = (event.c.at_us >= start_us) & (event.c.at_us < end_us)
        found = select(event.c.id, event.c.at_us, event.c.kind, event.c.text).where(mine).order_by(event.c.id)
        return [tuple(row) for row in connection.execute(found)]
    number = connection.execute(select(table(schema.Name).c.id).where(table(schema.Name).c.text == name)).scalar()
    if kind == "host":
        return _readings(store, connection, number, start_us, end_us)
    return _requests(store, connection, number, start_us, end_us)


def _readings(store: Store, connection: Connection, host: int | None, start_us: int, end_us: int) -> list[tuple[Any, ...]]:
    stream, reading = table(schema.Stream), table(schema.Reading)
    streams = connection.execute(select(stream).where(stream.c.host_id == host)).all()
    texts = store.texts(connection, {row.device_id for row in streams})
    found: list[tuple[Any, ...]] = []
    for one in streams:
        columns = ("time_us", "value", "covered_us", "epoch_id", "seq", "mono_us", "flags", "batch_id")
        mine = (reading.c.stream_id == one.id) & (reading.c.time_us >= start_us) & (reading.c.time_us < end_us)
        rows = connection.execute(select(*(reading.c[name] for name in columns)).where(mine)).all()
        epochs = store.texts(connection, {row.epoch_id for row in rows} - {0}) | {0: ""}
        fixed = (texts[one.device_id], one.component, one.quantity, one.grade, one.source, one.model)
        found += [(*fixed, r[0], r[1], r[2], epochs[r[3]], *r[4:]) for r in rows]
    return sorted(found, key=lambda row: (row[0], row[2], row[3], row[6]))


def _requests(store: Store, connection: Connection, service: int | None, start_us: int, end_us: int) -> list[tuple[Any, ...]]:
    request = table(schema.RequestRow)
    mine = (request.c.service_id == service) & (request.c.start_us >= start_us) & (request.c.start_us < end_us)
    rows = connection.execute(select(request).where(mine)).all()
    named = ("use_case_id", "model_id", "unit_id", "status_id")
    texts = store.texts(connection, {getattr(row, name) for row in rows for name in named})
    found = [
        (
            bytes(r.key),
            r.start_us,
            r.end_us,
            r.first_token_us,
            texts[r.use_case_id],
            texts[r.model_id],
            r.requests,
            r.input_tokens,
            r.cached_input_tokens,
            r.output_tokens,
            r.units,
            texts[r.unit_id],
            texts[r.status_id],
            bytes(r.content),
            r.batch_id,
        )
        for r in rows
    ]
    return sorted(found, key=lambda row: (row[1], row[0]))


def to_tuples(found: Any) -> list[tuple[Any, ...]]:
    """Rows of an Arrow table as tuples."""
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True)) if found.num_rows else []


def _add_head(store: Store, vault: ObjectStore, now_us: int, signing_key: str) -> str:
    """A head over the chains of all sources, unless the last one knows them as they are; the sha256 of the last."""
    target = table(schema.Sealed)
    with store.read() as connection:
        links = select(target.c.source, target.c.seq, target.c.link).order_by(target.c.source, target.c.seq)
        rows = connection.execute(links).all()
    last = {folder_name(row.source): [int(row.seq) + 1, row.link] for row in rows}
    heads = [name for name in vault.names("heads") if name.endswith(".json")]
    before = vault.read(heads[-1]) if heads else b""
    previous = sha256_of(before) if before else ""
    if before and json.loads(before)["sources"] == last:
        return previous
    raw = canonical_json({"at": format_instant(now_us), "previous": previous, "seq": len(heads), "sources": last})
    name = f"heads/{len(heads):08d}.json"
    signature = sign(raw, signing_key, f"footprint head {len(heads)}") if signing_key else b""
    vault.write(name, raw)
    if signature:
        vault.write(f"{name}.minisig", signature)
    with store.begin() as connection:
        store.upsert(connection, schema.Meta, [{"key": "head", "value": sha256_of(raw)}])
    return sha256_of(raw)


def _retire(store: Store, vault: ObjectStore, source: str, day: int, state: str) -> int:
    """Take the rows of a sealed day out of SQL, once every one of them was read back from its files; how many went."""
    target = table(schema.Sealed)
    mine = (target.c.source == source) & (target.c.day == day)
    with store.begin() as connection:
        parts = connection.execute(select(target).where(mine).order_by(target.c.seq)).all()
        if not parts or parts[-1].state != state or all(part.retired for part in parts):
            return 0
        rows = ledger_rows(store, connection, source, day)
        sealed: set[tuple[Any, ...]] = set()
        for part in parts:
            if part.file:
                raw = vault.read(part.file)
                if sha256_of(raw) != part.sha256:
                    raise SealError(f"{part.file} is not what was sealed: nothing was taken out (`footprint ledger verify`)")
                sealed |= {row_identity(source, row) for row in to_tuples(unpack_rows(raw))}
        missing = [row for row in rows if row_identity(source, row) not in sealed]
        if missing:  # something came between; the next run seals it first
            return 0
        gone = _delete(connection, source, day)
        connection.execute(update(target).where(mine).values(retired=True))
    return gone


class SealError(FootprintError):
    """A sealed day does not stand as it should."""


def _delete(connection: Connection, source: str, day: int) -> int:
    kind, _, name = source.partition(" ")
    start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
    number = select(table(schema.Name).c.id).where(table(schema.Name).c.text == name).scalar_subquery()
    if kind == "host":
        stream, reading = table(schema.Stream), table(schema.Reading)
        mine = select(stream.c.id).where(stream.c.host_id == number, ~stream.c.quantity.startswith(HOLDING))
        gone = delete(reading).where(reading.c.stream_id.in_(mine), reading.c.time_us >= start_us, reading.c.time_us < end_us)
        return int(connection.execute(gone).rowcount)
    request = table(schema.RequestRow)
    inside = (request.c.start_us >= start_us) & (request.c.start_us < end_us)
    return int(connection.execute(delete(request).where(request.c.service_id == number, inside)).rowcount)
