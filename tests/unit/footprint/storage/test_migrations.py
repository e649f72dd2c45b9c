"""A store of every past schema is brought forward with its data; a newer one is refused, and nothing half-done is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text

import footprint.storage.migrations
from footprint.storage.database import OLDEST_VERSION, SCHEMA_VERSION, Opening, Store, StoreError, StoreMissing, StoreOutdated

FOLDER = Path(footprint.storage.migrations.__file__).parent


def steps() -> ScriptDirectory:
    config = AlembicConfig()
    config.set_main_option("script_location", str(FOLDER))
    return ScriptDirectory.from_config(config)


def old_store(address: str, revision: str) -> Engine:
    """A store as that schema had it, with a name, an event and the mark of a development version."""
    engine = create_engine(address)
    config = AlembicConfig()
    config.set_main_option("script_location", str(FOLDER))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.execute(text("INSERT INTO name (id, text) VALUES (7, 'inf-01')"))
        connection.execute(text("INSERT INTO event (at_us, kind, text) VALUES (5, 'import', 'something')"))
        connection.execute(text("INSERT INTO meta (key, value) VALUES ('schema', '2')"))
        if revision == OLDEST_VERSION:
            connection.execute(text("DROP TABLE alembic_version"))  # those had no such table
    return engine


def schema(engine: Engine) -> dict[str, object]:
    """Tables with the names and kinds of their columns, keys and indices."""
    inspector = inspect(engine)
    return {
        name: (
            sorted(
                (c["name"], str(c["type"]).replace("AutoString", "VARCHAR"), c["nullable"]) for c in inspector.get_columns(name)
            ),
            inspector.get_pk_constraint(name)["constrained_columns"],
            sorted((i["name"] or "", tuple(i["column_names"]), bool(i["unique"])) for i in inspector.get_indexes(name)),
        )
        for name in inspector.get_table_names()
        if name != "alembic_version"
    }


def test_the_latest_step_is_the_schema_of_this_program() -> None:
    assert steps().get_current_head() == SCHEMA_VERSION
    assert [step.down_revision for step in steps().walk_revisions()][-1] is None


@pytest.mark.parametrize("revision", [step.revision for step in steps().walk_revisions()])
def test_every_past_schema_comes_forward_with_its_data(address: str, revision: str, tmp_path: Path) -> None:
    engine = old_store(address, revision)
    store = Store(address, opening=Opening.upgrade)
    assert store.name_ids(["inf-01"]) == {"inf-01": 7}
    with store.read() as connection:
        events = connection.execute(text("SELECT kind, text FROM event ORDER BY at_us")).all()
    assert tuple(events[0]) == ("import", "something")
    assert (len(events) == 1) == (revision == SCHEMA_VERSION)
    store.close()
    Store(address).close()  # and again: nothing left to do
    made_whole = Store(f"sqlite:///{tmp_path / 'new.db'}") if address.startswith("sqlite") else None
    if made_whole is not None:
        assert schema(engine) == schema(made_whole.engine)
        made_whole.close()
    engine.dispose()


def test_a_newer_store_is_refused_and_left_as_it_is(address: str) -> None:
    Store(address).close()
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="a newer release made it"):
        Store(address)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    engine.dispose()


def test_a_step_that_fails_leaves_the_old_schema(address: str) -> None:
    engine = old_store(address, OLDEST_VERSION)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE sealed (other INTEGER)"))  # in the way of the next step
    with pytest.raises(StoreError, match="cannot open the store"):
        Store(address, opening=Opening.upgrade)
    assert "job" not in inspect(engine).get_table_names()
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE sealed"))
    Store(address, opening=Opening.upgrade).close()
    assert "job" in inspect(engine).get_table_names()
    engine.dispose()


@pytest.mark.parametrize("opening", [Opening.existing, Opening.create])
@pytest.mark.parametrize("revision", [step.revision for step in steps().walk_revisions()][1:])
def test_a_store_of_an_earlier_schema_is_refused_and_left_as_it_is(address: str, revision: str, opening: Opening) -> None:
    engine = old_store(address, revision)
    before = schema(engine)
    engine.dispose()
    path = Path(address.removeprefix("sqlite:///"))
    content = path.read_bytes() if address.startswith("sqlite") else b""
    with pytest.raises(StoreOutdated, match="footprint store upgrade"):
        Store(address, opening=opening)
    if content:
        assert path.read_bytes() == content
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert schema(engine) == before
    engine.dispose()


def test_a_store_that_is_not_there_is_made_only_where_that_is_asked_for(address: str) -> None:
    for _ in range(2):
        with pytest.raises(StoreMissing):
            Store(address, opening=Opening.existing)
    if address.startswith("sqlite"):
        assert list(Path(address.removeprefix("sqlite:///")).parent.iterdir()) == []
    Store(address, opening=Opening.create).close()
    Store(address, opening=Opening.existing).close()
