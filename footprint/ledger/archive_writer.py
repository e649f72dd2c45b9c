"""Sealing of closed days: rows go from SQL to Parquet files under a hash chain, and leave SQL after the retention period.

A day of a source (readings of a host, requests of a service, events of the ledger) is sealed once no more rows are expected.
Late rows become a supplement, a further part. Only the replacement of a name (``name_replacement``) writes a file again, under a
link that names both digests. Every step may be interrupted: a file without a link
is written again with the same bytes, and a link without a row in SQL is adopted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from footprint.core.records import FootprintError
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY
from footprint.ledger.ledger_view import HOLDING_PREFIX, LedgerView, fingerprint
from footprint.ledger.minisign import sign
from footprint.ledger.object_store import ObjectStore, folder_name, link_name
from footprint.ledger.parquet_segments import READING_SCHEMA, REQUEST_SCHEMA, pack_rows, source_kind, unpack_rows
from footprint.ledger.verifier import sha256_of
from footprint.storage import schema
from footprint.storage.database import Store, table

EVENTS = "events"


@dataclass(slots=True)
class SealSummary:
    """Counts of one sealing run; ``head`` is the sha256 of the last head."""

    parts: int = 0
    supplements: int = 0
    rows: int = 0
    retired: int = 0
    adopted: int = 0
    head: str = ""
    sources: set[str] = field(default_factory=set)


def seal(
    store: Store, archive: ObjectStore, now_us: int, *, after_days: int, keep_days: int, signing_key: str = ""
) -> SealSummary:
    """Seal every day closed for ``after_days`` days and retire from SQL those older than ``keep_days`` days.

    Raises
    ------
    ObjectStoreError
        If a file cannot be written; earlier parts stay sealed.
    """
    summary = SealSummary()
    with store.begin() as connection:
        _record_url(store, connection, archive, now_us)
    last_day = now_us // US_PER_DAY - 1 - after_days
    with store.read() as connection:
        view = LedgerView(store, connection)
        sources = list(_closed_days(view, last_day))
    for source, days in sources:
        chain = _LinkChain(store, archive, source, summary)
        for day, state in days:
            if chain.state(day) != state:
                _seal_day(store, archive, chain, source, day, state, now_us, summary)
    summary.head = add_head(store, archive, now_us, signing_key)
    for source, days in sources:
        for day, state in days:
            if source_kind(source) != EVENTS and day <= now_us // US_PER_DAY - keep_days:
                summary.retired += _retire(store, archive, source, day, state)
    return summary


def _record_url(store: Store, connection: Connection, archive: ObjectStore, now_us: int) -> None:
    previous_url = store.meta(connection).get("sealed")
    if previous_url != archive.url:
        store.upsert(connection, schema.Meta, [{"key": "sealed", "value": archive.url}])
        store.record_event(connection, now_us, "sealed", f"days are sealed at {archive.url}")


def _closed_days(view: LedgerView, last_day: int) -> Iterable[tuple[str, list[tuple[int, str]]]]:
    """Sources with their days up to ``last_day``, each with a fingerprint of its rows in the ledger."""
    for host, streams in sorted(view.streams().items()):
        states: dict[int, list[tuple[int, int]]] = {}
        for stream in streams:
            stream_days = view.stream_days(stream.id)
            for day, version in zip(stream_days.day.tolist(), stream_days.version.tolist(), strict=True):
                states.setdefault(day, []).append((stream.id, version))
        closed = {day: state for day, state in sorted(states.items()) if day <= last_day}
        yield f"host {host}", [(day, fingerprint(sorted(state))) for day, state in closed.items()]
    for service, days in sorted(view.service_days().items()):
        versions = {day: version for day, (_, version, _) in sorted(days.items()) if day <= last_day}
        yield f"service {service}", [(day, fingerprint([version])) for day, version in versions.items()]
    event = table(schema.Event)
    day_of = (event.c.at_us // US_PER_DAY).label("day")
    query = select(day_of, func.count(), func.max(event.c.id)).group_by(day_of).order_by(day_of)
    rows = view.connection.execute(query).all()
    yield EVENTS, [(int(day), fingerprint([count, last])) for day, count, last in rows if day <= last_day]


class _LinkChain:
    """Hash chain of one source; links that an interrupted run wrote without recording them in SQL are adopted."""

    def __init__(self, store: Store, archive: ObjectStore, source: str, summary: SealSummary) -> None:
        self.store, self.archive, self.source = store, archive, source
        target = table(schema.Sealed)
        with store.read() as connection:
            rows = connection.execute(select(target).where(target.c.source == source).order_by(target.c.seq)).all()
        self.rows: list[dict[str, Any]] = [dict(row._mapping) for row in rows]
        for number, link, raw in archive.links(source, len(self.rows)):
            self._append(chain_row(link, number, sha256_of(raw)), link)
            summary.adopted += 1

    def state(self, day: int) -> str:
        """Fingerprint of a day when its last part was sealed; empty if none was."""
        return next((row["state"] for row in reversed(self.rows) if row["day"] == day), "")

    def parts(self, day: int) -> list[dict[str, Any]]:
        """Parts of a day, in order."""
        return [row for row in self.rows if row["day"] == day]

    def add(self, link: dict[str, Any]) -> None:
        """Append a link: first to the archive, then to SQL."""
        number = len(self.rows)
        raw = canonical_json({**link, "seq": number, "previous": self.rows[-1]["link"] if self.rows else ""})
        self.archive.write(link_name(self.source, number), raw)
        self._append(chain_row(json.loads(raw), number, sha256_of(raw)), link)

    def _append(self, row: dict[str, Any], link: Mapping[str, Any]) -> None:
        with self.store.begin() as connection:
            self.store.insert_new(connection, schema.Sealed, [row])
            drop_replaced(connection, self.source, link)
        self.rows.append(row)


def canonical_json(content: dict[str, Any]) -> bytes:
    """Canonical JSON: sorted keys, no blanks, one line."""
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
        "retired": bool(link.get("retired", link.get("erased"))),
    }


def drop_replaced(connection: Connection, source: str, link: Mapping[str, Any]) -> None:
    """Take the file that a link replaces by another one out of SQL."""
    if link.get("erased") and link.get("file"):
        target = table(schema.Sealed)
        is_replaced = (target.c.source == source) & (target.c.file == link["erased"])
        connection.execute(update(target).where(is_replaced).values(file=""))


def _seal_day(
    store: Store, archive: ObjectStore, chain: _LinkChain, source: str, day: int, state: str, now_us: int, summary: SealSummary
) -> None:
    with store.read() as connection:
        rows = ledger_rows(store, connection, source, day)
    sealed: set[tuple[Any, ...]] = set()
    parts = chain.parts(day)
    for part in parts:
        if part["file"]:
            sealed |= {row_identity(source, row) for row in to_tuples(unpack_rows(archive.read(part["file"])))}
    new = [row for row in rows if row_identity(source, row) not in sealed]
    if not new and parts:
        # The day changed without new rows (a withdrawal, or requests of the day before that reach into it): record an empty part.
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
        summary.parts += 1
        return
    if not new:
        return
    raw = pack_rows(source, day, new)
    name = f"days/{format_instant(day * US_PER_DAY)[:10]}/{folder_name(source)}.{len(parts)}.parquet"
    archive.write(name, raw)
    times = [row[_TIME_COLUMN[source_kind(source)]] for row in new]
    ends = [row[2] for row in new if row[2] is not None] if source_kind(source) == "service" else []
    batches = [] if source == EVENTS else sorted({row[_BATCH_COLUMN[source_kind(source)]] for row in new})
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
    summary.parts += 1
    summary.supplements += bool(parts)
    summary.rows += len(new)
    summary.sources.add(source)


_TIME_COLUMN = {
    "host": READING_SCHEMA.get_field_index("time_us"),
    "service": REQUEST_SCHEMA.get_field_index("start_us"),
    EVENTS: 1,
}


_BATCH_COLUMN = {"host": READING_SCHEMA.get_field_index("batch"), "service": REQUEST_SCHEMA.get_field_index("batch")}


def row_identity(source: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Identity of a row: device, quantity, grade, instant, value and batch; key and batch of a request; an event's id and text.

    A reading that was withdrawn and came back with another value is another row.
    """
    kind = source_kind(source)
    if kind == "host":
        return (row[0], row[2], row[3], row[6], row[7], row[13])
    return (row[0], row[_BATCH_COLUMN[kind]]) if kind == "service" else row[:1] + row[-1:]


def ledger_rows(store: Store, connection: Connection, source: str, day: int) -> list[tuple[Any, ...]]:
    """Rows of a source's day in SQL, in the order and with the columns of its Parquet schema."""
    kind, _, name = source.partition(" ")
    start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
    if kind == EVENTS:
        event = table(schema.Event)
        on_day = (event.c.at_us >= start_us) & (event.c.at_us < end_us)
        query = select(event.c.id, event.c.at_us, event.c.kind, event.c.text).where(on_day).order_by(event.c.id)
        return [tuple(row) for row in connection.execute(query)]
    name_id = connection.execute(select(table(schema.Name).c.id).where(table(schema.Name).c.text == name)).scalar()
    if kind == "host":
        return _readings(store, connection, name_id, start_us, end_us)
    return _requests(store, connection, name_id, start_us, end_us)


def _readings(store: Store, connection: Connection, host_id: int | None, start_us: int, end_us: int) -> list[tuple[Any, ...]]:
    stream, reading = table(schema.Stream), table(schema.Reading)
    streams = connection.execute(select(stream).where(stream.c.host_id == host_id)).all()
    texts = store.texts(connection, {row.device_id for row in streams})
    result: list[tuple[Any, ...]] = []
    for stream_row in streams:
        columns = ("time_us", "value", "covered_us", "epoch_id", "seq", "mono_us", "flags", "batch_id")
        on_day = (reading.c.stream_id == stream_row.id) & (reading.c.time_us >= start_us) & (reading.c.time_us < end_us)
        rows = connection.execute(select(*(reading.c[name] for name in columns)).where(on_day)).all()
        epochs = store.texts(connection, {row.epoch_id for row in rows} - {0}) | {0: ""}
        stream_columns = (
            texts[stream_row.device_id],
            stream_row.component,
            stream_row.quantity,
            stream_row.grade,
            stream_row.source,
            stream_row.model,
        )
        result += [(*stream_columns, stored[0], stored[1], stored[2], epochs[stored[3]], *stored[4:]) for stored in rows]
    return sorted(result, key=lambda row: (row[0], row[2], row[3], row[6]))


def _requests(store: Store, connection: Connection, service_id: int | None, start_us: int, end_us: int) -> list[tuple[Any, ...]]:
    request = table(schema.RequestRow)
    on_day = (request.c.service_id == service_id) & (request.c.start_us >= start_us) & (request.c.start_us < end_us)
    rows = connection.execute(select(request).where(on_day)).all()
    name_columns = ("use_case_id", "model_id", "unit_id", "status_id", "replica_id")
    texts = store.texts(connection, {getattr(row, name) for row in rows for name in name_columns} - {None}) | {None: ""}
    result = [
        (
            bytes(stored.key),
            stored.start_us,
            stored.end_us,
            stored.first_token_us,
            texts[stored.use_case_id],
            texts[stored.model_id],
            stored.requests,
            stored.input_tokens,
            stored.cached_input_tokens,
            stored.output_tokens,
            stored.units,
            texts[stored.unit_id],
            texts[stored.status_id],
            bytes(stored.content),
            stored.batch_id,
            texts[stored.replica_id],
        )
        for stored in rows
    ]
    return sorted(result, key=lambda row: (row[1], row[0]))


def to_tuples(rows: Any) -> list[tuple[Any, ...]]:
    """Rows of an Arrow table as tuples."""
    return list(zip(*(column.to_pylist() for column in rows.columns), strict=True)) if rows.num_rows else []


def add_head(store: Store, archive: ObjectStore, now_us: int, signing_key: str) -> str:
    """Write a head over the chains of all sources, unless the last head is current; return the sha256 of the last."""
    target = table(schema.Sealed)
    with store.read() as connection:
        links = select(target.c.source, target.c.seq, target.c.link).order_by(target.c.source, target.c.seq)
        rows = connection.execute(links).all()
    last_links = {folder_name(row.source): [int(row.seq) + 1, row.link] for row in rows}
    heads = [name for name in archive.names("heads") if name.endswith(".json")]
    last_head = archive.read(heads[-1]) if heads else b""
    previous = sha256_of(last_head) if last_head else ""
    if last_head and json.loads(last_head)["sources"] == last_links:
        return previous
    raw = canonical_json({"at": format_instant(now_us), "previous": previous, "seq": len(heads), "sources": last_links})
    name = f"heads/{len(heads):08d}.json"
    signature = sign(raw, signing_key, f"footprint head {len(heads)}") if signing_key else b""
    archive.write(name, raw)
    if signature:
        archive.write(f"{name}.minisig", signature)
    with store.begin() as connection:
        store.upsert(connection, schema.Meta, [{"key": "head", "value": sha256_of(raw)}])
    return sha256_of(raw)


def _retire(store: Store, archive: ObjectStore, source: str, day: int, state: str) -> int:
    """Delete the rows of a sealed day from SQL after reading all of them back from its files; return how many."""
    target = table(schema.Sealed)
    of_day = (target.c.source == source) & (target.c.day == day)
    with store.begin() as connection:
        parts = connection.execute(select(target).where(of_day).order_by(target.c.seq)).all()
        if not parts or parts[-1].state != state or all(part.retired for part in parts):
            return 0
        rows = ledger_rows(store, connection, source, day)
        sealed: set[tuple[Any, ...]] = set()
        for part in parts:
            if part.file:
                raw = archive.read(part.file)
                if sha256_of(raw) != part.sha256:
                    raise SealError(f"{part.file} is not what was sealed: nothing was taken out (`footprint ledger verify`)")
                sealed |= {row_identity(source, row) for row in to_tuples(unpack_rows(raw))}
        missing = [row for row in rows if row_identity(source, row) not in sealed]
        if missing:  # rows arrived since; the next run seals them first
            return 0
        deleted = _delete(connection, source, day)
        connection.execute(update(target).where(of_day).values(retired=True))
    return deleted


class SealError(FootprintError):
    """A sealed day is damaged, or cannot be retired or erased yet."""


def _delete(connection: Connection, source: str, day: int) -> int:
    kind, _, name = source.partition(" ")
    start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
    name_id = select(table(schema.Name).c.id).where(table(schema.Name).c.text == name).scalar_subquery()
    if kind == "host":
        stream, reading = table(schema.Stream), table(schema.Reading)
        stream_ids = select(stream.c.id).where(stream.c.host_id == name_id, ~stream.c.quantity.startswith(HOLDING_PREFIX))
        statement = delete(reading).where(
            reading.c.stream_id.in_(stream_ids), reading.c.time_us >= start_us, reading.c.time_us < end_us
        )
        return int(connection.execute(statement).rowcount)
    request = table(schema.RequestRow)
    on_day = (request.c.start_us >= start_us) & (request.c.start_us < end_us)
    return int(connection.execute(delete(request).where(request.c.service_id == name_id, on_day)).rowcount)
