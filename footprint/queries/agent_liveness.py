"""Agent liveness: the last reading of each host, and the hosts that fell silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.storage import schema
from footprint.storage.database import Store, table

REPORTING, SILENT, RETIRED = "reporting", "silent", "retired"
RETIRED_AFTER_US = 30 * US_PER_DAY  # a host silent for this long counts as taken out of service
COLUMNS = ("host", "last_reading", "silent_s", "state")


@dataclass(frozen=True, slots=True)
class HostLiveness:
    """Last reading of a host [µs, UTC], time since then [µs], and the state that follows from it."""

    host: str
    last_us: int
    silent_us: int
    state: str

    def row(self) -> dict[str, Any]:
        """A row with the columns ``COLUMNS``; ``silent_s`` in seconds."""
        return {
            "host": self.host,
            "last_reading": format_instant(self.last_us),
            "silent_s": self.silent_us / US_PER_S,
            "state": self.state,
        }


def host_liveness(store: Store, config: Config, now_us: int) -> list[HostLiveness]:
    """Liveness of every host in the ledger, by name; silent after ``[notify] silent_after_s`` seconds without a reading."""
    stream, day = table(schema.Stream), table(schema.StreamDay)
    last = func.max(day.c.last_us).label("last_us")
    with store.read() as connection:
        rows = connection.execute(
            select(stream.c.host_id, last).where(day.c.stream_id == stream.c.id).group_by(stream.c.host_id)
        ).all()
        names = store.texts(connection, {row.host_id for row in rows})
    hosts = []
    for row in rows:
        silent_us = now_us - int(row.last_us)
        state = REPORTING if silent_us <= config.notify.silent_after_s * US_PER_S else SILENT
        state = RETIRED if state == SILENT and silent_us >= RETIRED_AFTER_US else state
        hosts.append(HostLiveness(names[row.host_id], int(row.last_us), silent_us, state))
    return sorted(hosts, key=lambda host: host.host)
