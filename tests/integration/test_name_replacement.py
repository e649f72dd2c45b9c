"""A replaced name is nowhere any more; figures stay, chains hold, and a run that is killed is resumed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, text

from footprint.access.audit_log import read_accesses, write_access
from footprint.cli.app import status_of
from footprint.config import Config, parse_config
from footprint.editions.withdrawal import editions_with_name
from footprint.figures.mirror import update_mirror, verify_mirror
from footprint.ledger import name_replacement
from footprint.ledger.archive_writer import seal
from footprint.ledger.importers import import_requests, import_users
from footprint.ledger.name_replacement import NameNotReplaced, replace_use_case
from footprint.ledger.object_store import ObjectStore
from footprint.queries.ledger_verification import verify_ledger
from footprint.storage import schema
from footprint.storage.database import Store, table
from footprint.storage.figure_blocks import LAYOUTS, unpack
from footprint.storage.figure_writer import compact
from tests.support.contract_files import CONFIG, NOW_US, compute, query_rows, write
from tests.support.three_days import REQUESTS, import_all

OLD, NEW = "alice.martin@example.org", "translation"
AMOUNTS = ("requests", "input_tokens", "output_tokens", "energy_kwh", "co2e_location_g", "embodied_g", "water_l")
# The name stood for one of three use cases; the store took it before addresses were refused.
STAND_IN = "alice martin"


def facts_of(folder: Path) -> Config:
    return parse_config(
        CONFIG.replace('name = "drafting"', 'name = "coding"')
        + f'[store]\nsealed = "{folder / "sealed"}"\nmirror = "{folder / "mirror"}"\n'
    )


@pytest.fixture
def office(store: Store, tmp_path: Path) -> tuple[Store, Config]:
    """A computed ledger of three days with sealed, retired and open parts, in which a person's name is a use case."""
    facts = facts_of(tmp_path)
    import_all(store, tmp_path / "in", requests=[line.replace("drafting", STAND_IN) for line in REQUESTS])
    users = ["period,service,use_case,users,max_share,teams", f"2026-07,chat,{STAND_IN},7,0.2,2", "2026-07,chat,coding,9,0.1,3"]
    import_users(store, write(tmp_path / "in" / f"{STAND_IN}.csv", users), NOW_US)
    compute(store, facts)
    seal(store, ObjectStore(facts.sealed_url()), NOW_US - 35 * 86_400_000_000, after_days=1, keep_days=3)
    with store.begin() as connection:
        connection.execute(table(schema.Name).update().where(table(schema.Name).c.text == STAND_IN).values(text=STAND_IN))
        store.record_event(connection, NOW_US - 39 * 86_400_000_000, "note", f"use case {STAND_IN} was met")
    seal(store, ObjectStore(facts.sealed_url()), NOW_US, after_days=2, keep_days=38)
    compact(store, facts.timezone, NOW_US)
    write_access(store, NOW_US, "officer", "GET", "/use-cases", f"name={STAND_IN.replace(' ', '%20')}", [f"use_case={STAND_IN}"])
    update_mirror(store, facts)
    return store, facts


def rename(store: Store, facts: Config, new: str = NEW) -> name_replacement.ReplacementSummary:
    done = replace_use_case(store, facts, ObjectStore(facts.sealed_url()), STAND_IN, new, "a name of a person", NOW_US)
    compact(store, facts.timezone, NOW_US)
    update_mirror(store, facts)
    return done


def figures(store: Store, facts: Config, renamed: str = "") -> list[dict[str, Any]]:
    rows = query_rows(store, facts, group=("use_case", "service", "charter", "model"), every="hour")
    rows += query_rows(store, facts, group=("use_case",), every="month", view="full")
    rows += query_rows(store, facts, group=("host", "device"), every="day")
    rows = [{**row, "use_case": renamed if renamed and row.get("use_case") == STAND_IN else row.get("use_case")} for row in rows]
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True, default=str))


def leaks(store: Store, folder: Path) -> list[str]:
    """Where the name still stands, in bytes or decoded."""
    places = []
    needles = [STAND_IN.encode(), STAND_IN.replace(" ", "%20").encode()]
    for path in [*folder.rglob("*.db*"), *(folder / "sealed").rglob("*"), *(folder / "mirror").rglob("*")]:
        if path.is_file() and any(needle in path.read_bytes() for needle in needles):
            places.append(str(path))
        if path.suffix == ".parquet":
            content = pq.read_table(io.BytesIO(path.read_bytes()))
            if STAND_IN in json.dumps(content.to_pylist(), default=str) + str(content.schema.metadata):
                places.append(f"{path} decoded")
    with store.read() as connection:
        for model in schema.SQLModel.metadata.sorted_tables:
            for row in connection.execute(select(model)).mappings():
                if any(needle.decode() in str(value) for value in row.values() for needle in needles):
                    places.append(model.name)
        for part in connection.execute(select(table(schema.FigurePart))):
            layout = part.part.partition(" ")[0]
            if layout in LAYOUTS:
                unpack(bytes(part.content), LAYOUTS[layout])
    return places


def test_a_name_is_replaced_everywhere_and_nothing_else_changes(office: tuple[Store, Config], tmp_path: Path) -> None:
    store, facts = office
    before = figures(store, facts, NEW)
    assert leaks(store, tmp_path)
    with store.read() as connection:
        retired = connection.execute(select(table(schema.Sealed).c.file).where(table(schema.Sealed).c.retired)).all()
    assert retired
    done = rename(store, facts)
    assert done.files >= 3  # of the service, and of the events
    assert done.other_roles == ()
    assert leaks(store, tmp_path) == []
    assert figures(store, facts) == before
    verification = verify_ledger(store, facts)
    assert verification.faults == []
    assert verify_mirror(store, facts).faults == []
    assert compute(store, facts).computed == 0
    assert figures(store, facts) == before
    links = [json.loads(path.read_text()) for path in (tmp_path / "sealed" / "chains").rglob("*.json")]
    replaced = [link for link in links if "replaces" in link]
    assert len(replaced) == done.files
    assert all(link["replaces"] != link["sha256"] and link["reason"] == "a name of a person" for link in replaced)
    assert {link["replaces"] for link in replaced} <= {link["sha256"] for link in links}
    (access,) = read_accesses(store, None, None)
    assert access["query"] == f"name={NEW}"
    # Everything can be computed again, and gives the same.
    compute(store, facts, force=True)
    again = {row["use_case"]: row for row in query_rows(store, facts, group=("use_case",))}
    first = {row["use_case"]: row for row in _sums(before)}
    assert again[NEW]["requests"] == first[NEW]["requests"]
    # The file that brought the name brings duplicates.
    lines = [line.replace("drafting", STAND_IN) for line in REQUESTS]
    assert import_requests(store, facts, write(tmp_path / "in" / "again.csv", lines), NOW_US).accepted == 0


def _sums(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    sums: dict[str, int] = {}
    for row in rows:
        if "service" in row and row.get("use_case"):
            sums[row["use_case"]] = sums.get(row["use_case"], 0) + (row["requests"] or 0)
    return [{"use_case": name, "requests": count} for name, count in sums.items()]


def test_an_existing_use_case_takes_the_figures_in(office: tuple[Store, Config], tmp_path: Path) -> None:
    store, facts = office
    before = {row["use_case"]: row for row in query_rows(store, facts, group=("use_case",))}
    total = query_rows(store, facts)
    done = rename(store, facts, "coding")
    assert done.unknown_users == 1
    after = {row["use_case"]: row for row in query_rows(store, facts, group=("use_case",))}
    assert set(after) == set(before) - {STAND_IN}
    for name in ("requests", "input_tokens", "output_tokens"):
        assert after["coding"][name] == before["coding"][name] + before[STAND_IN][name]
    assert after["coding"]["energy_kwh"] == pytest.approx(
        before["coding"]["energy_kwh"] + before[STAND_IN]["energy_kwh"], abs=1e-12
    )
    assert [{name: row[name] for name in AMOUNTS} for row in query_rows(store, facts)] == [
        {name: row[name] for name in AMOUNTS} for row in total
    ]
    charters = {row["charter"] for row in query_rows(store, facts, group=("use_case", "charter")) if row["use_case"] == "coding"}
    assert charters == {"authorised"}
    assert leaks(store, tmp_path) == []
    assert verify_ledger(store, facts).faults == []
    assert compute(store, facts).computed == 0


@pytest.mark.parametrize("step", ["write", "add_head", "erase", "_purge"])
def test_a_run_that_is_killed_is_resumed(step: str, sqlite: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = facts_of(tmp_path)
    import_all(sqlite, tmp_path / "in", requests=[line.replace("drafting", STAND_IN) for line in REQUESTS])
    compute(sqlite, facts)
    seal(sqlite, ObjectStore(facts.sealed_url()), NOW_US, after_days=2, keep_days=3)
    before = figures(sqlite, facts, NEW)

    class Killed(BaseException):
        pass

    calls = 0

    def killed(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == (4 if step == "write" else 1):
            raise Killed
        return original(*arguments, **options)

    owner: Any = ObjectStore if step in ("write", "erase") else name_replacement
    original = getattr(owner, step)
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        with pytest.raises(Killed):
            rename(sqlite, facts)
    with sqlite.read() as connection:
        is_marked = connection.execute(text("SELECT 1 FROM meta WHERE key = 'replaces_name'")).first() is not None
    if is_marked:
        with pytest.raises(NameNotReplaced, match="finish it first"):
            replace_use_case(sqlite, facts, ObjectStore(facts.sealed_url()), "coding", "other", "why", NOW_US)
        assert rename(sqlite, facts).resumed
    else:
        name_replacement._purge(sqlite)
        seal(sqlite, ObjectStore(facts.sealed_url()), NOW_US, after_days=2, keep_days=3)
        sqlite.forget_names()
    assert figures(sqlite, facts) == before
    assert verify_ledger(sqlite, facts).faults == []
    assert leaks(sqlite, tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "reason", "message"),
    [
        ("nobody", "x", "why", "knows no use case"),
        (STAND_IN, "bob@example.org", "why", "e-mail"),
        (STAND_IN, "a\nb", "why", "control"),
        (STAND_IN, STAND_IN, "why", "same"),
        (STAND_IN, "x", f"it was {STAND_IN}", "repeats"),
        ("(idle)", "x", "why", "row of its own"),
        (STAND_IN, "(idle)", "why", "row of its own"),
    ],
)
def test_what_cannot_be_replaced_is_refused(old: str, new: str, reason: str, message: str, sqlite: Store, tmp_path: Path) -> None:
    sqlite.name_ids([STAND_IN])
    with pytest.raises(NameNotReplaced, match=message):
        replace_use_case(sqlite, facts_of(tmp_path), ObjectStore(str(tmp_path / "sealed")), old, new, reason, NOW_US)


def test_changed_figures_are_not_given_a_new_digest(office: tuple[Store, Config]) -> None:
    store, facts = office
    with store.begin() as connection:
        connection.execute(table(schema.Shard).update().where(table(schema.Shard).c.digest != "").values(digest="0" * 32))
    with pytest.raises(NameNotReplaced, match="not those that were computed"):
        rename(store, facts)


@pytest.mark.parametrize("keep_days", [3, 400])
def test_a_name_that_a_model_bears_too_stays_there(keep_days: int, sqlite: Store, tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    lines = [line.replace(",drafting,,", f",{STAND_IN},{STAND_IN},") for line in REQUESTS]
    import_all(sqlite, tmp_path / "in", requests=lines)
    compute(sqlite, facts)
    seal(sqlite, ObjectStore(facts.sealed_url()), NOW_US, after_days=2, keep_days=keep_days)
    assert "model" in rename(sqlite, facts).other_roles
    compute(sqlite, facts, force=True)
    assert {row["model"] for row in query_rows(sqlite, facts, group=("model",))} >= {STAND_IN}
    assert NEW in {row["use_case"] for row in query_rows(sqlite, facts, group=("use_case",))}
    assert verify_ledger(sqlite, facts).faults == []


def test_the_command_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG + '[store]\nurl = "sqlite:///store.db"\n')
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    facts = parse_config(CONFIG)
    import_all(store, tmp_path / "in", requests=[line.replace("search", STAND_IN) for line in REQUESTS])
    compute(store, facts)
    assert editions_with_name(store, STAND_IN) == []
    store.close()
    assert status_of(["ledger", "rename-use-case", STAND_IN, NEW, "--reason", " "]) == 2
    assert status_of(["ledger", "rename-use-case", STAND_IN, NEW, "--reason", "a person"]) == 0
    printed = capsys.readouterr().err
    assert f"bear {NEW} now" in printed
    assert status_of(["ledger", "verify"]) == 0
    assert status_of(["ledger", "rename-use-case", STAND_IN, NEW, "--reason", "a person"]) == 1
