"""Database: connections and transactions of the SQL store, and the differences between SQLite and PostgreSQL.

SQLite runs in WAL mode with full synchronisation, so that acknowledged data is on disk. Every
change goes through a transaction of ``Store.begin``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, String, Table, column, create_engine, event, func, insert, inspect, select, text
from sqlalchemy import table as table_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from footprint.core.records import FootprintError
from footprint.storage import schema
from footprint.storage.bulk_insert import insert_rows

SCHEMA_VERSION = "0012"  # the latest revision in migrations/versions
OLDEST_VERSION = "0002"  # of stores from before migrations, whose meta table has schema 2
_VERSIONS = table_("alembic_version", column("version_num", String))
_BUSY_S = 60
_MAX_IDLE_WAL_BYTES = 64 * 2**20  # to which the log of SQLite shrinks after a large transaction
_WRITER_LOCK = 0x666F6F74  # an arbitrary number, the same for all writers of a PostgreSQL database
_MAX_PARAMETERS = 30_000  # SQLite and PostgreSQL both limit the parameters of one statement


class StoreError(FootprintError):
    """The store cannot be opened, or contradicts the configuration."""


def table(model: type[SQLModel]) -> Table:
    """The table behind a SQLModel class."""
    return model.__table__  # type: ignore[attr-defined, no-any-return]


class Store:
    """One SQL database, by URL; opening it creates or migrates its tables."""

    def __init__(self, url: str, *, demo: bool | None = None, progress: Callable[[int, int], None] | None = None) -> None:
        """Open the store at a URL; ``progress`` is called with the days converted and all days, where figures are converted."""
        self.url = url
        self.engine = _engine(url)
        self._names: dict[str, int] = {}
        self._texts: dict[int, str] = {}
        self._lock = threading.Lock()
        event.listen(self.engine, "connect", self._forget_names)
        self._prepare(demo, progress)

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    def _forget_names(self, _connection: Any, _record: Any) -> None:
        """A new connection may lead to another store: one that was restored in place of this one numbers its names otherwise."""
        self._names, self._texts = {}, {}

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """Write transaction, one at a time; commits if the block ends without an error."""
        with self.engine.begin() as connection:
            if self.dialect == "sqlite":
                # Take the write lock at once: SQLite fails a read transaction that later waits to write.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                # Serialise writers as SQLite does: they neither deadlock nor miss changes of each other.
                connection.execute(select(func.pg_advisory_xact_lock(_WRITER_LOCK)))
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Read-only transaction with a consistent snapshot of the store."""
        with self.engine.connect() as connection:
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            yield connection

    @contextlib.contextmanager
    def exclusive_lock(self, name: str, *, wait: bool = False) -> Iterator[bool]:
        """Lock of a name, held until the block or the process ends; yields whether it was acquired.

        An advisory lock in PostgreSQL, a locked file beside a SQLite store. ``wait`` blocks until it is free.
        """
        if self.dialect == "sqlite":
            with self._locked_file(name, wait=wait) as acquired:
                yield acquired
            return
        number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if wait:
                connection.execute(select(func.pg_advisory_lock(number)))
            acquired = wait or bool(connection.execute(select(func.pg_try_advisory_lock(number))).scalar())
            try:
                yield acquired
            finally:
                if acquired:
                    connection.execute(select(func.pg_advisory_unlock(number)))

    @contextlib.contextmanager
    def _locked_file(self, name: str, *, wait: bool) -> Iterator[bool]:
        path = self.url.removeprefix("sqlite:///")
        with open(f"{path}.{name}.lock", "w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    def _prepare(self, demo: bool | None, progress: Callable[[int, int], None] | None) -> None:
        try:
            with self.begin() as connection:
                tables = inspect(connection).get_table_names()
                if "meta" in tables:
                    self._migrate(connection)
                else:
                    SQLModel.metadata.create_all(connection)
                    _stamp(connection, SCHEMA_VERSION)
                if demo is not None and "demo" not in self.meta(connection):  # a replica can be opened, which nobody writes to
                    self.insert_new(connection, schema.Meta, [{"key": "demo", "value": str(int(demo))}])
                self._check_demo(self.meta(connection), demo)
            if "footprint_row" in tables:
                from footprint.storage.figure_conversion import convert_figures  # noqa: PLC0415 - needed once

                convert_figures(self, progress)
        except DBAPIError as bad:
            self.close()
            raise StoreError(f"cannot open the store {self.engine.url!r}: {bad.orig}") from None

    def _migrate(self, connection: Connection) -> None:
        """Run the missing migrations within the transaction: all of them or none."""
        revision = self._revision(connection)
        if revision == SCHEMA_VERSION:
            return
        from alembic import command  # noqa: PLC0415 - takes a second that most starts do not need
        from alembic.config import Config as AlembicConfig  # noqa: PLC0415
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        config = AlembicConfig(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        known_revisions = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if revision not in known_revisions:
            raise StoreError(
                f"the store has schema {revision}, this program knows up to {SCHEMA_VERSION}: a newer release made it; use that, "
                "for there is no way back (`footprint restore` takes a backup of before)"
            )
        command.upgrade(config, "head")
        self.record_event(connection, time.time_ns() // 1000, "schema", f"from {revision} to {SCHEMA_VERSION}")

    def _revision(self, connection: Connection) -> str:
        if "alembic_version" in inspect(connection).get_table_names():
            return str(connection.execute(select(_VERSIONS.c.version_num)).scalar_one())
        if self.meta(connection).get("schema") != "2":
            raise StoreError("the store is of a development version from before schema 2, which no release made")
        _stamp(connection, OLDEST_VERSION)
        return OLDEST_VERSION

    def meta(self, connection: Connection) -> dict[str, str]:
        """Metadata of the store, by key."""
        return {row.key: row.value for row in connection.execute(select(table(schema.Meta)))}

    def _check_demo(self, meta: dict[str, str], demo: bool | None) -> None:
        if demo is not None and meta["demo"] != str(int(demo)):
            kind = "demonstration" if meta["demo"] == "1" else "real"
            raise StoreError(f"the store holds {kind} data, which never mixes; name another in [store] url")

    def insert(self, model: type[SQLModel]) -> Any:
        """INSERT of the dialect, which supports ON CONFLICT."""
        return (sqlite if self.dialect == "sqlite" else postgresql).insert(table(model))

    def insert_new(self, connection: Connection, model: type[SQLModel], rows: Sequence[dict[str, Any]]) -> int:
        """Insert rows, skipping those whose key exists; return the number inserted."""
        if not rows:
            return 0
        return int(connection.execute(self.insert(model).on_conflict_do_nothing(), rows).rowcount)

    def upsert(self, connection: Connection, model: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows, replacing those with the same primary key."""
        if not rows:
            return
        keys = [column.name for column in table(model).primary_key]
        statement = self.insert(model)
        values = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values), rows)

    def insert_many(self, connection: Connection, target: Table | str, columns: Sequence[str], rows: list[Any]) -> int:
        """Insert many tuples fast, skipping those whose key exists; return the number inserted."""
        return insert_rows(connection, target if isinstance(target, str) else target.name, columns, rows)

    def name_ids(self, texts: Iterable[str]) -> dict[str, int]:
        """Number of each text; new texts get one in a transaction of their own, which is never rolled back."""
        with self.engine.connect():
            pass  # so that a lost connection is noticed before numbers of another store are taken
        wanted, names = set(texts), self._names
        missing = sorted(wanted - names.keys())
        if missing:
            with self._lock, self.begin() as connection:
                self.insert_new(connection, schema.Name, [{"text": name} for name in missing])
                rows = self._load(connection, schema.Name.text, missing)
            names |= {row.text: row.id for row in rows}
        return {name: names[name] for name in wanted}

    def texts(self, connection: Connection, ids: Iterable[int]) -> dict[int, str]:
        """Text of each number."""
        wanted, texts = set(ids), self._texts
        missing = sorted(wanted - texts.keys())
        texts |= {row.id: row.text for row in self._load(connection, schema.Name.id, missing)}
        return {number: texts[number] for number in wanted}

    def _load(self, connection: Connection, column: Any, values: Sequence[Any]) -> list[Any]:
        rows: list[Any] = []
        for start in range(0, len(values), _MAX_PARAMETERS):
            condition = column.in_(values[start : start + _MAX_PARAMETERS])
            rows += connection.execute(select(table(schema.Name)).where(condition)).all()
        return rows

    def least(self, *values: Any) -> Any:
        """SQL expression for the smallest of values, which the dialects name differently."""
        return func.min(*values) if self.dialect == "sqlite" else func.least(*values)

    def greatest(self, *values: Any) -> Any:
        """SQL expression for the largest of values."""
        return func.max(*values) if self.dialect == "sqlite" else func.greatest(*values)

    def record_event(self, connection: Connection, at_us: int, kind: str, message: str) -> None:
        """Add an entry to the event log of the ledger."""
        connection.execute(insert(table(schema.Event)).values(at_us=at_us, kind=kind, text=message))


def _stamp(connection: Connection, revision: str) -> None:
    """Record the schema version of a store without migrations."""
    connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.execute(insert(_VERSIONS).values(version_num=revision))


def _engine(url: str) -> Engine:
    if url.startswith("sqlite:"):
        path = url.removeprefix("sqlite:///")
        if path and path != ":memory:" and not Path(path).resolve().parent.is_dir():
            raise StoreError(f"no folder for the store {path}; create {Path(path).parent}")
        engine = create_engine(url, connect_args={"timeout": _BUSY_S, "check_same_thread": False})
        event.listen(engine, "connect", _on_connect)
        return engine
    try:
        return create_engine(url, pool_pre_ping=True)
    except ModuleNotFoundError as missing:
        raise StoreError(f"{missing.name} is not installed; pip install 'footprint[postgres]'") from None
    except Exception as bad:
        raise StoreError(f"[store] url cannot be used: {bad}") from None


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not send BEGIN: Store.begin does
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={_BUSY_S * 1000}",
        "journal_mode=WAL",
        f"journal_size_limit={_MAX_IDLE_WAL_BYTES}",
        "synchronous=FULL",
        "cache_size=-65536",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
