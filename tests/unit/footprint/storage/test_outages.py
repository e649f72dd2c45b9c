"""A database that is away for a while, and a replica that is behind: errors or older figures, never wrong ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from footprint.access.agent_tokens import add_token
from footprint.core.records import EnergyReading, to_line
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US, compute
from tests.support.services import api_over, local_client
from tests.support.three_days import FACTS, import_all, rendered_answers

US = 1_000_000


def url_of(store: Store) -> str:
    return store.engine.url.render_as_string(hide_password=False)


@contextmanager
def administration(store: Store) -> Iterator[tuple[Connection, str]]:
    """A connection to another database of the same server, and the name of the store's."""
    parts = urlsplit(url_of(store))
    engine = create_engine(urlunsplit(parts._replace(path="/postgres")), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection, parts.path[1:]
    engine.dispose()


@contextmanager
def away(store: Store) -> Iterator[None]:
    """The database refuses connections and ends those that are open; the file of SQLite is out of reach."""
    if store.dialect == "sqlite":
        store.close()
        file = Path(store.url.removeprefix("sqlite:///"))
        folder = file.parent.rename(file.parent.with_name("unmounted"))
        yield
        folder.rename(file.parent)
        return
    with administration(store) as (connection, name):
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        yield
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))


@pytest.fixture
def served(store: Store, tmp_path: Path) -> Iterator[Store]:
    """The store in a folder of its own."""
    if store.dialect == "postgresql":
        yield store
        return
    (tmp_path / "mounted").mkdir()
    opened = Store(f"sqlite:///{tmp_path / 'mounted' / 'store.db'}")
    yield opened
    opened.close()


def test_a_server_whose_database_was_away_goes_on_and_loses_nothing(served: Store, tmp_path: Path) -> None:
    import_all(served, tmp_path / "files")
    compute(served, FACTS)
    client = local_client(api_over(served, FACTS, lambda: NOW_US))
    headers = {"Authorization": f"Bearer {add_token(served, 'a', NOW_US)}"}
    address = "/api/v1/footprint?group=service,use_case"
    lines = [
        to_line(EnergyReading("a", "GPU-x", "gpu", "nvml-energy", "e", n, (DAY_S + n) * US, n * US, n * US)) for n in range(600)
    ]
    half = "\n".join(lines[:300])
    assert client.post("/api/v1/ingest", content=half, headers=headers).json()["accepted"] == 300
    before = client.get(address).json()
    assert before["rows"]
    with away(served):
        for _ in range(3):
            assert client.get(address).status_code == 503
            assert client.post("/api/v1/ingest", content="\n".join(lines), headers=headers).status_code == 503
        with pytest.raises((DBAPIError, OSError)):
            compute(served, FACTS)
    assert client.get(address).json() == before
    assert client.post("/api/v1/ingest", content="\n".join(lines), headers=headers).json()["accepted"] == 300
    assert compute(served, FACTS).computed > 0
    assert compute(served, FACTS).computed == 0
    whole = Store(f"sqlite:///{tmp_path / 'whole.db'}")
    import_all(whole, tmp_path / "again")
    other = local_client(api_over(whole, FACTS, lambda: NOW_US))
    token = {"Authorization": f"Bearer {add_token(whole, 'a', NOW_US)}"}
    assert other.post("/api/v1/ingest", content="\n".join(lines), headers=token).json()["accepted"] == 600
    compute(whole, FACTS)
    assert rendered_answers(served) == rendered_answers(whole)
    whole.close()


@contextmanager
def replica_of(store: Store, path: Path) -> Iterator[Store]:
    """The store as it is now, under another address, where nobody can write (PostgreSQL)."""
    if store.dialect == "sqlite":
        with store.begin():  # no checkpoint meanwhile
            for end in ("", "-wal"):
                shutil.copy(store.url.removeprefix("sqlite:///") + end, str(path) + end)
        copy = Store(f"sqlite:///{path}", demo=False)
        yield copy
        copy.close()
        return
    store.close()
    with administration(store) as (connection, name):
        connection.execute(text(f"CREATE DATABASE {name}_replica TEMPLATE {name}"))
        connection.execute(text(f"ALTER DATABASE {name}_replica SET default_transaction_read_only = on"))
    parts = urlsplit(url_of(store))
    copy = Store(urlunsplit(parts._replace(path=f"{parts.path}_replica")), demo=False)
    yield copy
    copy.close()


def test_a_replica_that_is_behind_answers_with_the_figures_of_its_moment(tmp_path: Path, store: Store) -> None:
    """Also in one process with the database that went on: blocks are known by content, not by number."""
    Store(url_of(store), demo=False).close()
    import_all(store, tmp_path / "files")
    compute(store, FACTS)
    before = rendered_answers(store)
    with replica_of(store, tmp_path / "replica.db") as replica:
        compute(store, FACTS, force=True)
        import_all(
            store, tmp_path / "more", requests=[_other(line) for line in (tmp_path / "files" / "r.csv").read_text().splitlines()]
        )
        compute(store, FACTS)
        after = rendered_answers(store)
        assert after != before
        assert rendered_answers(replica) == before
        assert rendered_answers(store) == after
        assert rendered_answers(replica) == before


def _other(line: str) -> str:
    """A request of a line under another key."""
    return line.replace(",r", ",other")
