"""Ids of streams: one stream of readings per host, device, quantity and grade."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from footprint.ledger.energy_file import StreamKey
from footprint.storage import schema
from footprint.storage.database import Store, table

_TEXTS_PER_STATEMENT = 10_000
Identity = tuple[str, str, str, str]


class StreamIds:
    """Cached ids of streams; a device has one component, the first one stored."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ids: dict[Identity, int] = {}
        self._components: dict[tuple[str, str], str] = {}

    def resolve(self, streams: Sequence[StreamKey]) -> list[int]:
        """Id of each stream, created if new; -1 if its device is stored as another component."""
        if any(self._known_id(stream) is None for stream in streams):
            self._load(streams)
        return [self._known_id(stream) or -1 for stream in streams]

    def _known_id(self, stream: StreamKey) -> int | None:
        """Cached id of a stream, -1 for another component; None if it was not looked up yet."""
        component = self._components.get((stream.host, stream.device))
        if component is not None and component != stream.component:
            return -1
        return self._ids.get(stream.identity)

    def _load(self, streams: Sequence[StreamKey]) -> None:
        names = self._store.name_ids({name for stream in streams for name in (stream.host, stream.device)})
        ids, components = dict(self._ids), dict(self._components)
        with self._store.begin() as connection:
            for stream in streams:
                device = stream.host, stream.device
                row = {
                    "host_id": names[stream.host],
                    "device_id": names[stream.device],
                    "component": stream.component,
                    "quantity": stream.quantity,
                    "grade": stream.grade,
                    "source": stream.source,
                    "model": stream.model,
                }
                if device not in components:
                    components[device] = _stored_component(connection, row) or stream.component
                if components[device] == stream.component and stream.identity not in ids:
                    self._store.insert_new(connection, schema.Stream, [row])
                    ids[stream.identity] = _stored_id(connection, row)
        # Cache only committed ids.
        self._ids, self._components = ids, components


def _stored_component(connection: Connection, row: dict[str, Any]) -> str | None:
    target = table(schema.Stream)
    of_device = (target.c.host_id == row["host_id"]) & (target.c.device_id == row["device_id"])
    return connection.execute(select(target.c.component).where(of_device).limit(1)).scalar()


def _stored_id(connection: Connection, row: dict[str, Any]) -> int:
    target = table(schema.Stream)
    of_stream = [target.c[name] == row[name] for name in ("host_id", "device_id", "quantity", "grade")]
    return int(connection.execute(select(target.c.id).where(*of_stream)).scalar_one())


def known_names(connection: Connection, texts: set[str]) -> set[str]:
    """Those of the texts that the store holds, as a name or as the quantity of a stream."""
    known: set[str] = set()
    ordered = sorted(texts)
    for column in (table(schema.Name).c.text, table(schema.Stream).c.quantity):
        for start in range(0, len(ordered), _TEXTS_PER_STATEMENT):
            among = column.in_(ordered[start : start + _TEXTS_PER_STATEMENT])
            known |= set(connection.execute(select(column).where(among).distinct()).scalars())
    return known
