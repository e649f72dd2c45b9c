"""Database: connections and transactions of the SQL store, and the differences between SQLite and PostgreSQL.

SQLite runs in WAL mode with full synchronisation, so that acknowledged data is on disk. Every
change goes through a transaction of ``Store.begin``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, String, Table, column, create_engine, event, func, insert, inspect, select, text
from sqlalchemy import table as table_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlmodel import SQLModel

from footprint.core.records import FootprintError
from footprint.storage import schema
from footprint.storage.bulk_insert import insert_rows

SCHEMA_VERSION = "0013"  # the latest revision in migrations/versions
OLDEST_VERSION = "0002"  # of stores from before migrations, whose meta table has schema 2
_VERSIONS = table_("alembic_version", column("version_num", String))
_BUSY_S = 60
_MAX_IDLE_WAL_BYTES = 64 * 2**20  # to which the log of SQLite shrinks after a large transaction
APPLICATION_NAME = "footprint"  # of connections, as PostgreSQL lists them
_WRITER_LOCK = 0x666F6F74  # an arbitrary number, the same for all writers of a PostgreSQL database
_MAX_PARAMETERS = 30_000  # SQLite and PostgreSQL both limit the parameters of one statement


_log = logging.getLogger("footprint.store")
_log.addHandler(logging.NullHandler())  # the server's handlers show it; a command says its own errors


class StoreError(FootprintError):
    """The store cannot be opened, or contradicts the configuration."""


class StoreMissing(StoreError):
    """There is no store, and opening may not create one."""


class StoreOutdated(StoreError):
    """The store is of an earlier release, and opening may not change it."""


class StoreTooNew(StoreError):
    """The store is of a later release."""


class Opening(StrEnum):
    """What opening a store may do to it."""

    existing = "existing"  # nothing: an absent store, or one of an earlier release, is refused
    create = "create"  # create an absent store; one of an earlier release is refused
    upgrade = "upgrade"  # create an absent store, bring forward one of an earlier release
    unchecked = "unchecked"  # nothing, and of any release: for a backup before an upgrade


def table(model: type[SQLModel]) -> Table:
    """The table behind a SQLModel class."""
    return model.__table__  # type: ignore[attr-defined, no-any-return]


class Store:
    """One SQL database, by URL; what opening it may do to it is an ``Opening``."""

    def __init__(
        self,
        url: str,
        *,
        demo: bool | None = None,
        opening: Opening = Opening.create,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Open the store at a URL; ``progress`` is called with the days converted and all days, where figures are converted.

        Raises
        ------
        StoreMissing, StoreOutdated, StoreTooNew
            If the store is not what ``opening`` allows; it is unchanged, and no file is made.
        StoreError
            If the database does not answer, or holds the other kind of data, demonstration or real.
        """
        self.url = url
        self.engine = _engine(url)
        self.fault = ""  # why the last write failed; empty once one succeeds
        self._names: dict[str, int] = {}
        self._texts: dict[int, str] = {}
        self._lock = threading.Lock()
        event.listen(self.engine, "connect", self._forget_names)
        try:
            self._prepare(demo, opening, progress)
        except BaseException:
            self.close()
            raise

    @property
    def location(self) -> str:
        """Absolute path of a SQLite store, else the URL without its password."""
        return str(Path(sqlite_path(self.url)).resolve()) if self.dialect == "sqlite" else repr(self.engine.url)

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    def _forget_names(self, _connection: Any, _record: Any) -> None:
        """A new connection may lead to another store: one that was restored in place of this one numbers its names otherwise."""
        self._names, self._texts = {}, {}

    def forget_names(self) -> None:
        """Forget the numbers and texts of names that were read: some were replaced."""
        self._names, self._texts = {}, {}

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """Write transaction, one at a time; commits if the block ends without an error."""
        try:
            with self.engine.begin() as connection:
                if self.dialect == "sqlite":
                    # Take the write lock at once: SQLite fails a read transaction that later waits to write.
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                else:
                    # Serialise writers as SQLite does: they neither deadlock nor miss changes of each other.
                    connection.execute(select(func.pg_advisory_xact_lock(_WRITER_LOCK)))
                yield connection
        except (OperationalError, InterfaceError, InternalError) as error:  # others blame the statement, not the store
            self._note_fault(database_message(error))
            raise
        self.note_write()

    def note_write(self) -> None:
        """Note that a write succeeded."""
        self._note_fault("")

    def _note_fault(self, fault: str) -> None:
        """Say once that writing fails, and once that it succeeds again."""
        before, self.fault = self.fault, fault
        if fault and not before:
            _log.error("the store cannot be written: %s; what agents send waits in their spools", fault)
        elif before and not fault:
            _log.warning("the store can be written again")

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
    def exclusive_lock(self, name: str, *, wait: bool = False, shared: bool = False) -> Iterator[bool]:
        """Lock of a name, held until the block or the process ends; yields whether it was acquired.

        An advisory lock in PostgreSQL, a locked file beside a SQLite store. ``wait`` blocks until it is free; ``shared`` locks
        exclude only those that are not.
        """
        if self.dialect == "sqlite":
            with self._locked_file(name, wait=wait, shared=shared) as acquired:
                yield acquired
            return
        number, suffix = _lock_number(name), "_shared" if shared else ""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if wait:
                connection.execute(select(getattr(func, f"pg_advisory_lock{suffix}")(number)))
            acquired = wait or bool(connection.execute(select(getattr(func, f"pg_try_advisory_lock{suffix}")(number))).scalar())
            try:
                yield acquired
            finally:
                if acquired:
                    with contextlib.suppress(DBAPIError):  # a lost connection has lost its locks
                        connection.execute(select(getattr(func, f"pg_advisory_unlock{suffix}")(number)))

    @contextlib.contextmanager
    def _locked_file(self, name: str, *, wait: bool, shared: bool) -> Iterator[bool]:
        descriptor = os.open(self._lock_path(name), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            yield False
            return
        try:
            yield True
        finally:
            os.close(descriptor)

    def _lock_path(self, name: str) -> str:
        return f"{self.url.removeprefix('sqlite:///')}.{name}.lock"

    def is_locked(self, name: str) -> bool:
        """Whether a process has the lock of a name; makes no file."""
        if self.dialect == "postgresql":
            with self.exclusive_lock(name) as acquired:
                return not acquired
        try:
            descriptor = os.open(self._lock_path(name), os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _prepare(self, demo: bool | None, opening: Opening, progress: Callable[[int, int], None] | None) -> None:
        try:
            revision, is_converted = self.stored_revision()
            if not revision:
                if opening not in (Opening.create, Opening.upgrade):
                    raise StoreMissing(
                        f"there is no store at {self.location}; `footprint up`, `serve` or `import` creates it, "
                        "or name another with --config FILE"
                    )
                self._create()
            elif opening is not Opening.unchecked and (revision != SCHEMA_VERSION or not is_converted):
                self._bring_forward(revision, opening, progress)
            if opening is Opening.unchecked:
                return
            with self.read() as connection:
                meta = self.meta(connection)
            if demo is not None and "demo" not in meta and opening is not Opening.existing:
                with self.begin() as connection:
                    self.insert_new(connection, schema.Meta, [{"key": "demo", "value": str(int(demo))}])
                    meta = self.meta(connection)
            self._check_demo(meta, demo)
        except (DBAPIError, sqlite3.Error) as bad:
            raise StoreError(f"cannot open the store {self.location}: {database_message(bad)}") from None

    def _create(self) -> None:
        with self.begin() as connection:
            if "meta" not in inspect(connection).get_table_names():  # else another process was faster
                SQLModel.metadata.create_all(connection)
                _stamp(connection, SCHEMA_VERSION)

    def stored_revision(self) -> tuple[str, bool]:
        """Schema version of what is stored, empty without a store, and whether its figures are converted; changes nothing."""
        if self.dialect == "sqlite":
            with _untouched_sqlite(sqlite_path(self.url)) as cursor:
                names = set() if cursor is None else {row[0] for row in cursor.execute("SELECT name FROM sqlite_master")}
                if "meta" not in names or cursor is None:
                    return "", True
                if "alembic_version" in names:
                    revision = str(cursor.execute("SELECT version_num FROM alembic_version").fetchone()[0])
                else:
                    stored = cursor.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
                    revision = _unstamped_revision(stored and stored[0])
            return revision, "footprint_row" not in names
        with self.engine.connect() as connection:
            names = set(inspect(connection).get_table_names())
            return (self._revision(connection) if "meta" in names else ""), "footprint_row" not in names

    def _bring_forward(self, revision: str, opening: Opening, progress: Callable[[int, int], None] | None) -> None:
        from alembic.script import ScriptDirectory  # noqa: PLC0415 - takes a second that most starts do not need

        config = _migrations()
        if revision not in {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}:
            raise too_new(revision)
        if opening is not Opening.upgrade:
            raise StoreOutdated(
                f"the store {self.location} is of an earlier release (schema {revision}, this program needs {SCHEMA_VERSION}) "
                "and stays as it is; `footprint store upgrade` brings it forward, after a backup, and --dry-run says what it "
                "would do"
            )
        from alembic import command  # noqa: PLC0415

        with self.begin() as connection:  # all migrations or none
            current = self._revision(connection)  # another process may have been faster
            if current != SCHEMA_VERSION:
                if "alembic_version" not in inspect(connection).get_table_names():
                    _stamp(connection, current)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                self.record_event(connection, time.time_ns() // 1000, "schema", f"from {current} to {SCHEMA_VERSION}")
        from footprint.storage.figure_conversion import convert_figures  # noqa: PLC0415 - needed once

        convert_figures(self, progress)

    def _revision(self, connection: Connection) -> str:
        if "alembic_version" in inspect(connection).get_table_names():
            return str(connection.execute(select(_VERSIONS.c.version_num)).scalar_one())
        return _unstamped_revision(self.meta(connection).get("schema"))

    def meta(self, connection: Connection) -> dict[str, str]:
        """Metadata of the store, by key."""
        return {row.key: row.value for row in connection.execute(select(table(schema.Meta)))}

    def _check_demo(self, meta: dict[str, str], demo: bool | None) -> None:
        if demo is not None and meta.get("demo", str(int(demo))) != str(int(demo)):
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


def too_new(revision: str) -> StoreTooNew:
    """The refusal of a store of a later release."""
    return StoreTooNew(
        f"the store has schema {revision}, this program knows up to {SCHEMA_VERSION}: a newer release made it; use that, "
        "for there is no way back (`footprint restore` takes a backup of before)"
    )


def database_message(error: BaseException) -> str:
    """What a database says about a failure, in one line, without the statement."""
    message = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(message).split())


def sqlite_path(url: str) -> str:
    """Path of the file of a SQLite store."""
    return url.removeprefix("sqlite:///")


@contextlib.contextmanager
def _untouched_sqlite(path: str) -> Iterator[sqlite3.Cursor | None]:
    """Cursor over a SQLite file that makes and changes no file, not even the log of SQLite; None if there is no file."""
    if not path or path == ":memory:" or not os.path.isfile(path) or not os.path.getsize(path):
        yield None
        return
    # Without a log no other process has it open, and nothing but the file itself holds data.
    mode = "mode=ro" if os.path.exists(f"{path}-wal") else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{Path(path).resolve().as_uri()}?{mode}", uri=True, timeout=_BUSY_S)
    try:
        yield connection.cursor()
    finally:
        connection.close()


def _lock_number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")


def _unstamped_revision(schema_key: str | None) -> str:
    """Schema of a store from before migrations, by its key ``schema`` in the table ``meta``."""
    if schema_key != "2":
        raise StoreError("the store is of a development version from before schema 2, which no release made")
    return OLDEST_VERSION


def _migrations() -> Any:
    from alembic.config import Config as AlembicConfig  # noqa: PLC0415 - takes a second that most starts do not need

    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


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
        return create_engine(url, pool_pre_ping=True, connect_args={"application_name": APPLICATION_NAME})
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
