"""Schema: all SQL tables of the store.

Instants [µs], energies [µJ] and powers [µW] are integers: no time zone is lost and no joule rounded.
Names (hosts, services, …) are stored once, in ``name``, and referred to by number. ``day`` is a UTC
day counted from 1970-01-01; ``slot`` is the instant [s] at which the time of a row starts.
"""

# No ``from __future__ import annotations``: SQLModel evaluates the annotations.
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, text
from sqlmodel import Field, SQLModel

LONG_US = 86_400_000_000  # a request or window of more than a day is read by an index of its own

# An autoincrement key, 64 bits wide in PostgreSQL.
_Key = BigInteger().with_variant(Integer, "sqlite")


def _big(*, key: bool = False, nullable: bool = False) -> Any:
    return Field(sa_column=Column(BigInteger, primary_key=key, nullable=nullable, autoincrement=False))


def _number() -> Any:
    return Field(default=None, sa_column=Column(_Key, primary_key=True, autoincrement=True))


class Meta(SQLModel, table=True):
    """Metadata of the store: whether it holds demonstration data, its identity."""

    __tablename__ = "meta"

    key: str = Field(primary_key=True)
    value: str


class Name(SQLModel, table=True):
    """A name that rows refer to by number."""

    __tablename__ = "name"

    id: int | None = _number()
    text: str = Field(unique=True)


class Batch(SQLModel, table=True):
    """One import: a file, or the readings that one host shipped in a day. Never deleted."""

    __tablename__ = "batch"

    __table_args__ = (Index("batch_name", "kind", "name"),)

    id: int | None = _number()
    kind: str
    name: str
    sha256: str
    imported_us: int = _big()
    accepted: int = _big()
    duplicates: int = _big()
    rejected: int = _big()
    withdrawn_us: int | None = _big(nullable=True)
    reason: str = ""


class Stream(SQLModel, table=True):
    """One series of readings: a quantity of a device, measured by one kind of method."""

    __tablename__ = "stream"

    __table_args__ = (Index("stream_identity", "host_id", "device_id", "quantity", "grade", unique=True),)

    id: int | None = _number()
    host_id: int = _big()
    device_id: int = _big()
    component: str
    quantity: str
    grade: str
    source: str
    model: str


class AliasRow(SQLModel, table=True):
    """Identity (a UUID) of the device at a position (``gpu:0``) of a host, from an instant on."""

    __tablename__ = "alias"

    host_id: int = _big(key=True)
    place_id: int = _big(key=True)
    since_us: int = _big(key=True)
    device_id: int = _big()


class Reading(SQLModel, table=True):
    """One sample: a cumulative energy [µJ], a power [µW] or a cumulative CPU time [µs] at an instant.

    The key starts with the stream, because attribution reads a range of one stream.
    """

    __tablename__ = "reading"

    __table_args__ = ({"sqlite_with_rowid": False},)

    stream_id: int = _big(key=True)
    time_us: int = _big(key=True)
    value: int = _big()
    covered_us: int = _big()  # cumulative measured time; -1 if the source does not report it
    epoch_id: int = _big()  # 0 if the source has none
    seq: int = _big()
    mono_us: int = _big()
    flags: int = _big()
    batch_id: int = _big()


class StreamDay(SQLModel, table=True):
    """Extent and version of a stream on a day; ``version`` grows with every change.

    ``head`` grows with every change of the first two readings, on which the day before rests; ``second_us`` is the second one's
    instant, the end of the day if there is none (or if it is unknown, in a store from before schema 0009).
    """

    __tablename__ = "streamday"

    __table_args__ = (Index("streamday_first", "first_us", "last_us"), Index("streamday_last", "last_us", "first_us"))

    stream_id: int = _big(key=True)
    day: int = _big(key=True)
    first_us: int = _big()
    second_us: int = _big()
    last_us: int = _big()
    version: int = _big()
    head: int = _big()


class RequestRow(SQLModel, table=True):
    """One request, or a window of several. No prompt, answer, user or address has a column."""

    __tablename__ = "request"

    __table_args__ = (
        Index("request_service_start", "service_id", "start_us"),
        Index(
            "request_long",
            "service_id",
            "start_us",
            sqlite_where=text(f"end_us - start_us > {LONG_US}"),
            postgresql_where=text(f"end_us - start_us > {LONG_US}"),
        ),
        {"sqlite_with_rowid": False},
    )

    key: bytes = Field(sa_column=Column(LargeBinary(16), primary_key=True))
    start_us: int = _big()
    end_us: int | None = _big(nullable=True)
    first_token_us: int | None = _big(nullable=True)
    service_id: int = _big()
    use_case_id: int = _big()
    model_id: int = _big()
    requests: int = _big()
    input_tokens: int | None = _big(nullable=True)
    cached_input_tokens: int | None = _big(nullable=True)
    output_tokens: int | None = _big(nullable=True)
    units: float | None = None
    unit_id: int = _big()
    status_id: int = _big()
    content: bytes = Field(sa_column=Column(LargeBinary(8), nullable=False))  # digest, to detect a conflict
    batch_id: int = _big()
    replica_id: int | None = _big(nullable=True)  # host that served it, or what the configuration maps to one


class Attempt(SQLModel, table=True):
    """One attempt of a call, which is a digest of the id: of several, the one of the highest ``standing`` is the request."""

    __tablename__ = "attempt"

    __table_args__ = (
        Index("attempt_call", "call"),
        Index("attempt_service_start", "service_id", "start_us"),
        {"sqlite_with_rowid": False},
    )

    key: bytes = Field(sa_column=Column(LargeBinary(16), primary_key=True))
    call: bytes = Field(sa_column=Column(LargeBinary(16), nullable=False))
    service_id: int = _big()
    number: int = _big()  # -1 where the log names none
    start_us: int = _big()
    end_us: int = _big()
    standing: int = _big()
    batch_id: int = _big()


class ServiceDayRow(SQLModel, table=True):
    """Version of the requests of a service on a day; those in flight on it started at ``first_us`` or later.

    ``head`` grows with every change of requests that start before the third hour, on which the day before may rest.
    """

    __tablename__ = "serviceday"

    service_id: int = _big(key=True)
    day: int = _big(key=True)
    first_us: int = _big()
    version: int = _big()
    head: int = _big()


class DirtyDay(SQLModel, table=True):
    """A day of a host or service that changed since its figures were computed, written with the change.

    ``version`` grows with every change; a run clears a row only at the version that it saw. ``since_us`` is the earliest instant
    of the day that changed: an open day is computed from there on.
    """

    __tablename__ = "dirty_day"

    kind: str = Field(primary_key=True)  # host | service
    name_id: int = _big(key=True)
    day: int = _big(key=True)
    version: int = _big()
    since_us: int = _big()


class ComparedHost(SQLModel, table=True):
    """What every day of a host rests on (aliases, services, placement) as of the last comparison of its days: a fingerprint."""

    __tablename__ = "compared_host"

    host_id: int = _big(key=True)
    state: str


class ReadingClaim(SQLModel, table=True):
    """A reading that a file also contains although another import added it first; needed for withdrawals."""

    __tablename__ = "readingclaim"

    time_us: int = _big(key=True)
    stream_id: int = _big(key=True)
    batch_id: int = _big(key=True)


class RequestClaim(SQLModel, table=True):
    """A request that a file also contains although another import added it first; needed for withdrawals."""

    __tablename__ = "requestclaim"

    key: bytes = Field(sa_column=Column(LargeBinary(16), primary_key=True))
    batch_id: int = _big(key=True)


class WithdrawnReading(SQLModel, table=True):
    """A withdrawn reading: stored, but not counted."""

    __tablename__ = "withdrawnreading"

    id: int | None = _number()
    time_us: int = _big()
    stream_id: int = _big()
    value: int = _big()
    covered_us: int = _big()
    epoch_id: int = _big()
    seq: int = _big()
    mono_us: int = _big()
    flags: int = _big()
    batch_id: int = _big()


class WithdrawnRequest(SQLModel, table=True):
    """A withdrawn request: stored, but not counted."""

    __tablename__ = "withdrawnrequest"

    id: int | None = _number()
    key: bytes = Field(sa_column=Column(LargeBinary(16), nullable=False))
    start_us: int = _big()
    end_us: int | None = _big(nullable=True)
    first_token_us: int | None = _big(nullable=True)
    service_id: int = _big()
    use_case_id: int = _big()
    model_id: int = _big()
    requests: int = _big()
    input_tokens: int | None = _big(nullable=True)
    cached_input_tokens: int | None = _big(nullable=True)
    output_tokens: int | None = _big(nullable=True)
    units: float | None = None
    unit_id: int = _big()
    status_id: int = _big()
    content: bytes = Field(sa_column=Column(LargeBinary(8), nullable=False))
    batch_id: int = _big()
    replica_id: int | None = _big(nullable=True)


class Users(SQLModel, table=True):
    """Distinct users of a publication cell, for disclosure control; empty names are margins."""

    __tablename__ = "users"

    period: str = Field(primary_key=True)
    service: str = Field(primary_key=True)
    use_case: str = Field(primary_key=True)
    users: int = _big()
    max_share: float | None = None
    teams: int | None = _big(nullable=True)
    batch_id: int = _big()


class UsersClaim(SQLModel, table=True):
    """A cell that a file also contains although another import added it first; needed for withdrawals."""

    __tablename__ = "usersclaim"

    period: str = Field(primary_key=True)
    service: str = Field(primary_key=True)
    use_case: str = Field(primary_key=True)
    batch_id: int = _big(key=True)


class WithdrawnUsers(SQLModel, table=True):
    """A withdrawn cell: stored, but not counted."""

    __tablename__ = "withdrawnusers"

    id: int | None = _number()
    period: str
    service: str
    use_case: str
    users: int = _big()
    max_share: float | None = None
    teams: int | None = _big(nullable=True)
    batch_id: int = _big()


class Token(SQLModel, table=True):
    """A token with which one host may ship readings; only its digest is stored.

    ``services`` is a JSON list of the services that it may write requests for beside those of its host; ``*`` is all.
    """

    __tablename__ = "token"

    host: str = Field(primary_key=True)
    digest: str
    created_us: int = _big()
    revoked_us: int | None = _big(nullable=True)
    services: str = "[]"


class Refusal(SQLModel, table=True):
    """Lines that a door did not take, by source and reason."""

    __tablename__ = "refusal"

    source: str = Field(primary_key=True)
    reason: str = Field(primary_key=True)
    count: int = _big()
    first_us: int = _big()
    last_us: int = _big()


class Session(SQLModel, table=True):
    """A signed-in reader: digest of the identifier in the cookie, role, start and end; no name."""

    __tablename__ = "session"

    digest: str = Field(primary_key=True)
    role: str
    started_us: int = _big()
    until_us: int = _big()


class Statistics(SQLModel, table=True):
    """Daily statistics as JSON, additive over days: of a placed device for its idle power, of a service for its step model."""

    __tablename__ = "statistics"

    stream_key: str = Field(primary_key=True)  # host/device/service, or "host/step service devices"
    day: int = _big(key=True)
    inputs: str  # fingerprint of what it was computed from
    content: str


class SplitRow(SQLModel, table=True):
    """Division of the shared energy of one service on one host on a day: the fit and its diagnosis, as JSON."""

    __tablename__ = "footprint_split"
    __table_args__ = (Index("footprint_split_shard", "shard_id"), {"sqlite_with_rowid": False})

    day: int = _big(key=True)
    host_id: int = _big(key=True)
    service_id: int = _big(key=True)
    status: str
    content: str
    shard_id: int = _big()


class Intensity(SQLModel, table=True):
    """Carbon intensity of a zone from an instant on, as retrieved from a source at one time; never changed."""

    __tablename__ = "intensity"

    series: str = Field(primary_key=True)
    zone: str = Field(primary_key=True)
    start_us: int = _big(key=True)
    retrieved_us: int = _big(key=True)
    length_us: int = _big()
    g_per_kwh: float
    estimated: bool


class StoredFactor(SQLModel, table=True):
    """One row of an imported bundle of factors, as a line of CSV; a bundle never changes."""

    __tablename__ = "stored_factor"

    bundle: str = Field(primary_key=True)
    number: int = _big(key=True)
    sha256: str
    imported_us: int = _big()
    line: str


class Shard(SQLModel, table=True):
    """One placement group on one day: when it was last computed, and from which inputs."""

    __tablename__ = "shard"

    __table_args__ = (
        Index("shard_identity", "day", "members", unique=True),
        Index("shard_open", "provisional", "day", "members"),
        Index("shard_computed", "computed_us"),
    )

    id: int | None = _number()
    day: int = _big()
    members: str
    fingerprint: str
    computed_us: int = _big()
    provisional: bool
    facts: str
    notes: str = "[]"
    digest: str = ""  # of the canonical rows of its figures


class BasisRow(SQLModel, table=True):
    """Parameters that turn the energy of a row into impact: facts of its host, site and grid with bounds, as JSON."""

    __tablename__ = "basis"

    id: int | None = _number()
    digest: str = Field(unique=True)
    content: str


class FigureBlock(SQLModel, table=True):
    """A packed block of figures, immutable but for ``dead``: its parts stand in ``figure_part``.

    ``tier``: 0 one shard, 1 all shards of a UTC day, 2 the sums of a month of the organisation's zone. ``first_s`` and ``last_s``
    bound its slots [s]. ``zone`` identifies the zone whose days its sums follow ("" without sums). ``dead`` lists shards whose
    rows another block replaces (JSON).
    """

    __tablename__ = "figure_block"
    __table_args__ = (
        Index("figure_block_extent", "last_s", "first_s"),
        Index("figure_block_shard", "shard_id"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = _number()
    tier: int = _big()
    shard_id: int = _big()  # 0 for a block of several shards
    first_s: int = _big()
    last_s: int = _big()
    zone: str
    digest: str
    dead: str = ""


class FigurePart(SQLModel, table=True):
    """One part of a block: a compressed Arrow record batch (see `figure_blocks`)."""

    __tablename__ = "figure_part"

    block_id: int = _big(key=True)
    part: str = Field(primary_key=True)
    content: bytes


class Event(SQLModel, table=True):
    """Event log of the ledger: imports, withdrawals, configuration, versions."""

    __tablename__ = "event"

    id: int | None = _number()
    at_us: int = _big()
    kind: str
    text: str


class Sealed(SQLModel, table=True):
    """A sealed part of a source's day, archived in a file: readings of a host, requests of a service, or events.

    ``retired``: its rows are no longer in SQL. Parts form a hash chain per source: ``seq`` and ``link`` (sha256).
    """

    __tablename__ = "sealed"

    __table_args__ = (Index("sealed_day", "source", "day"),)

    source: str = Field(primary_key=True)
    seq: int = _big(key=True)
    day: int = _big()
    part: int = _big()
    file: str
    sha256: str
    link: str
    rows: int = _big()
    first_us: int = _big()
    last_us: int = _big()
    state: str  # fingerprint of the day in the ledger at the time of sealing
    batches: str  # ids of the batches of its rows, JSON
    sealed_us: int = _big()
    retired: bool = False


class Job(SQLModel, table=True):
    """One run of a scheduled job."""

    __tablename__ = "job"

    __table_args__ = (Index("job_name", "name", "started_us"),)

    id: int | None = _number()
    name: str
    started_us: int = _big()
    ended_us: int | None = _big(nullable=True)
    status: str  # running | done | failed
    said: str = ""


class Access(SQLModel, table=True):
    """One access to unprotected cells: role and cells; the person is never recorded."""

    __tablename__ = "access"

    __table_args__ = (Index("access_at", "at_us"),)

    id: int | None = _number()
    at_us: int = _big()
    role: str
    method: str
    path: str
    query: str
    cells: str


class PublishedEditionRow(SQLModel, table=True):
    """One version of a published edition: never changed, never deleted. ``content`` packs all inputs to rebuild it."""

    __tablename__ = "published_edition"

    period: str = Field(primary_key=True)
    version: int = _big(key=True)
    status: str  # provisional | final | revised
    kind: str  # routine | major | unscheduled; empty for a first version
    released_us: int = _big()
    method_version: str
    factor_version: str
    code_version: str
    files: str  # sha256 by name, JSON
    content: bytes
