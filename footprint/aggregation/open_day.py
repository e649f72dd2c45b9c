"""Open days: what divides a part of a day that still grows, and where that part begins.

Until its close, a day is divided by the model of the last closed day, so that slots that new data does not touch are kept. At its
close it is fitted and computed whole.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from footprint.aggregation.step_fits import ServiceModel

MAX_CACHED_MODELS = 2000  # hosts; of a process that runs again and again, such as the scheduler's


@dataclass(frozen=True, slots=True)
class OpenPart:
    """Part of an open day: from an edge of slots on, divided by the model of another day."""

    since_us: int
    model_day: int


@dataclass(slots=True)
class DayModel:
    """Model of a host's day: of each service, and idle powers [µW] by device and service as they are asked for."""

    services: dict[str, ServiceModel | None] = field(default_factory=dict)
    idle_uw: dict[tuple[str, str], int | None] = field(default_factory=dict)


_models: OrderedDict[tuple[str, str, str], DayModel] = OrderedDict()


def cached_model(store_url: str, host: str, fingerprint: str) -> DayModel:
    """Model of the day of a host that has this fingerprint, empty if it is new; filled by whoever needs more of it."""
    key = store_url, host, fingerprint
    if key not in _models:
        _models[key] = DayModel()
        while len(_models) > MAX_CACHED_MODELS:
            _models.popitem(last=False)
    _models.move_to_end(key)
    return _models[key]


def changed_since_us(connection: Connection, host: str, since_us: int) -> int | None:
    """Earliest instant that the readings of a host from ``since_us`` on may change; None without any.

    The interval that the first new reading of a stream closes begins at the last one before, and the window of a verdict reaches
    back by its length.
    """
    before = "(SELECT MAX(r.time_us) FROM reading r WHERE r.stream_id = s.id AND r.time_us < {since:d})"
    after = "EXISTS (SELECT 1 FROM reading r WHERE r.stream_id = s.id AND r.time_us >= {since:d})"
    statement = (
        f"SELECT MIN(at_us) FROM (SELECT {before} AS at_us FROM stream s JOIN name n ON n.id = s.host_id "
        f"WHERE n.text = :host AND {after}) AS streams"
    ).format(since=since_us)
    reach = (
        "SELECT MIN(r.time_us - r.value) FROM reading r JOIN stream s ON s.id = r.stream_id JOIN name n ON n.id = s.host_id "
        f"WHERE n.text = :host AND s.quantity LIKE 'verdict_window_us/%' AND r.time_us >= {since_us:d}"
    )
    instants = [connection.execute(text(query), {"host": host}).scalar() for query in (statement, reach)]
    return min((int(instant) for instant in instants if instant is not None), default=None)
