"""An edition that printed a person's name is superseded by a corrected one and taken off the server; its digests stay."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from footprint.api.reports import router
from footprint.editions.publication import erase_drafts, publish_edition
from footprint.editions.repository import published_edition, published_editions
from footprint.editions.verification import verify
from footprint.editions.withdrawal import NotWithdrawable, editions_with_name, withdraw_edition
from footprint.ledger.name_replacement import replace_use_case
from footprint.ledger.object_store import ObjectStore
from footprint.storage import schema
from footprint.storage.database import table
from footprint.storage.figure_writer import compact
from tests.support.quarters import CONFIG, instant, organisation

PERSON, NEW = "alice martin", "summaries"
FIRST, LATER = instant("2026-10-12"), instant("2026-10-20")


def test_a_corrected_edition_supersedes_one_with_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support import quarters

    uses = {"chat": (("drafting", 5), ("search", 3), (PERSON, 2)), "code": (("coding", 4),)}
    counts = {("chat", "drafting"): 40, ("chat", "search"): 30, ("chat", PERSON): 12, ("code", "coding"): 25}
    monkeypatch.setattr(quarters, "USES", uses)
    monkeypatch.setattr(quarters, "USERS", counts)
    declared = (
        CONFIG.replace('name = "translation"', f'name = "{NEW}"') + f'\n[[use_case]]\nname = "{PERSON}"\n'
    )  # else not printed
    config, store = organisation(tmp_path, "2026-08-25", "2026-10-03", declared)
    first = publish_edition(store, config, "2026-09", FIRST)
    assert editions_with_name(store, PERSON) == [first.name]
    replace_use_case(store, config, ObjectStore(config.sealed_url()), PERSON, NEW, "a person", LATER)
    compact(store, config.timezone, LATER)
    assert published_edition(store, first.name).report == first.report  # editions never change by themselves
    with pytest.raises(NotWithdrawable, match="repeats"):
        withdraw_edition(store, config, first, PERSON, NEW, f"{PERSON} asked for it", LATER)
    assert withdraw_edition(store, config, first, PERSON, NEW, "a name was removed", LATER) == len(first.files)
    second = publish_edition(store, config, "2026-09", LATER, kind="unscheduled", reason="a name was removed")
    assert (second.version, second.kind, NEW in second.report.decode()) == (2, "unscheduled", True)
    assert editions_with_name(store, PERSON) == []
    erase_drafts(config)
    assert PERSON not in _contents(store)
    assert [path for path in (tmp_path / "quarters.editions").rglob("*.*") if PERSON.encode() in path.read_bytes()] == []
    keys = [
        {key for key in edition.figures if "charter=" not in key} for edition in (second, published_edition(store, first.name))
    ]
    assert keys[0] == keys[1]  # the new name is declared, so its charter differs
    shelf = [path for path in (tmp_path / "quarters.editions").rglob("*") if path.is_file()]
    assert [path for path in shelf if "/v1/" in str(path)] == [
        path for path in shelf if path.name == "SHA256SUMS" and "/v1/" in str(path)
    ]
    app = FastAPI()
    app.include_router(router(config, store, lambda: LATER))
    client = TestClient(app)
    for name in ("", "/report.json", "/fr/report.html"):
        answer = client.get(f"/api/v1/reports/2026-09/v1{name}")
        assert answer.status_code == 410
        assert "a name was removed" in answer.json()["error"]
        assert "2026-09.v2" in answer.json()["error"]
    assert client.get("/api/v1/reports/2026-09/v2/report.json").status_code == 200
    assert (
        client.get("/api/v1/reports/2026-09").json()["versions"][0]["files"]["report.json"]["sha256"]
        == first.files["report.json"]
    )
    assert [row["what"] for row in verify(store, config, published_edition(store, first.name), LATER)] == ["withdrawn"]
    assert published_editions(store)[0].digest() == first.digest()
    # Another version can follow: what the withdrawn one showed is still known to disclosure control.
    assert published_editions(store)[0].context.numbers == published_edition(store, first.name).context.numbers
    store.close()


def _contents(store: object) -> str:
    editions = table(schema.PublishedEditionRow)
    with store.read() as connection:  # type: ignore[attr-defined]
        rows = connection.execute(select(editions)).all()
    return "".join(zlib.decompress(bytes(row.content)).decode() + json.dumps(row.files) for row in rows)
