"""Published editions over HTTP and on the page: the frozen bytes only; a draft once a quarter has ended."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from footprint.config import Config, parse_config
from footprint.editions.publication import publish_edition, write_due_draft
from footprint.editions.release_calendar import calendar_of_store, release_rows
from footprint.editions.repository import published_editions
from footprint.storage.database import Store
from tests.support.components import hrefs, page_context, render_page, text_of
from tests.support.quarters import instant
from tests.support.services import api_over, local_client, pages_over

Office = tuple[Config, Store, Path]
NOW_US = instant("2026-10-14")


def client_of(config: Config, store: Store) -> TestClient:
    return local_client(api_over(store, config, lambda: NOW_US), follow_redirects=False)


def test_reports_over_http(office: Office) -> None:
    config, store, folder = office
    client = client_of(config, store)
    assert client.get("/api/v1/reports").json()["rows"] == []
    assert client.get("/api/v1/reports/2026-09").status_code == 404
    first = publish_edition(store, config, "2026-09", NOW_US)
    assert [row["edition"] for row in client.get("/api/v1/reports").json()["rows"]] == ["2026-09.v1"]
    versions = client.get("/api/v1/reports/2026-09").json()["versions"]
    assert versions[0]["files"]["report.json"]["sha256"] == first.files["report.json"]
    for address in (versions[0]["files"]["report.json"]["href"], "/api/v1/reports/2026-09/v1"):
        answer = client.get(address)
        assert hashlib.sha256(answer.content).hexdigest() == first.files["report.json"]
        assert "immutable" in answer.headers["cache-control"]
    for address in (
        "/api/v1/reports/2026-09/v2",
        "/api/v1/reports/2026-09/v1/../../decisions.toml",
        "/api/v1/reports/2026-09/v1/SHA256SUM",
        "/api/v1/reports/2026-09/v1/%2e%2e/%2e%2e/decisions.toml",
        "/editions/2026-09/v1/de",
    ):
        answer = client.get(address)
        assert (answer.status_code, "error" in answer.json()) == (404, True), address
    assert client.get("/api/v1/reports?format=csv").text.startswith("edition,period,version,status")
    assert (
        client.get("/editions/2026-09/v1", headers={"accept-language": "de, en;q=0.8"})
        .headers["location"]
        .endswith("/v1/en/report.html")
    )
    # What was changed behind our back is not served as if it had been published.
    (folder / "quarters.editions" / "2026-09" / "v1" / "report.json").write_bytes(b"{}")
    assert client.get("/api/v1/reports/2026-09/v1").status_code == 500


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_page_lists_versions_and_the_calendar(office: Office, language: str) -> None:
    config, store, _ = office
    context = page_context(store, config, "/editions", language=language, now_us=NOW_US)
    assert ("Aucune édition" if language == "fr" else "No edition") in text_of(render_page(context))
    publish_edition(store, config, "2026-08", NOW_US)
    page = render_page(context)
    assert "/api/v1/reports/2026-08/v1/report.json" in hrefs(page)
    assert ("provisoire" if language == "fr" else "provisional") in text_of(page)
    assert ("Calendrier de parution" if language == "fr" else "Release calendar") in text_of(page)


def test_the_dashboard_does_not_take_the_address_of_an_edition(office: Office) -> None:
    config, store, _ = office
    client = local_client(pages_over(store, config, lambda: NOW_US), follow_redirects=False)
    assert client.get("/editions/2026-09/v1/fr").status_code == 404
    assert client.get("/editions?lang=fr").status_code == 200


def test_the_calendar_says_what_is_late(office: Office) -> None:
    config, store, _ = office
    rows = {(row["period"], row["release"]): row for row in release_rows(config, [], NOW_US)}
    assert rows["2026-Q3", "provisional"]["announced"] == "2026-10-15T10:00:00Z"
    assert rows["2026-Q3", "provisional"]["state"] == "announced"
    assert rows["2026-Q3", "final"]["announced"] == "2026-11-29T11:00:00Z"  # the clock changed in between
    late = {(row["period"], row["release"]): row["state"] for row in release_rows(config, [], instant("2026-10-16"))}
    assert late["2026-Q3", "provisional"] == "late"
    publish_edition(store, config, "2026-Q3", instant("2026-10-16"), anyway=True)
    after = {
        (row["period"], row["release"]): row["state"]
        for row in release_rows(config, published_editions(store), instant("2026-10-17"))
    }
    assert after["2026-Q3", "provisional"] == "published late"


def test_a_draft_when_the_quarter_has_ended(office: Office) -> None:
    config, store, folder = office
    message = write_due_draft(store, config, NOW_US, lambda text: None)
    assert "2026-Q3 is drafted and may be published" in message
    assert (folder / "quarters.editions" / "drafts" / "2026-Q3" / "report.json").is_file()
    assert published_editions(store) == []
    assert write_due_draft(store, config, instant("2027-04-14"), lambda text: None) == "no data in 2027-Q1"
    publish_edition(store, config, "2026-Q3", NOW_US)
    assert write_due_draft(store, config, NOW_US, lambda text: None) == "2026-Q3 is published"


def test_no_quarter_from_before_the_first_datum_is_late(sqlite: Store) -> None:
    config = parse_config("")
    now_us = instant("2026-11-29")
    assert {row["period"] for row in calendar_of_store(sqlite, config, [], now_us)} == {"2026-Q4", "2027-Q1"}
    first = next(row["period"] for row in release_rows(config, [], now_us, instant("2026-09-30")))
    assert first == "2026-Q3"
