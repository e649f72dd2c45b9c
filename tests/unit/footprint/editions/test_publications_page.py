"""The public page of all editions, and the messages about them: drafted, published, late."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from footprint.config import Config
from footprint.core.units import US_PER_DAY
from footprint.editions import publications_page
from footprint.editions.publication import publish_edition, write_due_draft
from footprint.editions.repository import edition_files
from footprint.server import alert_rules
from footprint.server.alerts import ALERT_RULES
from footprint.storage.database import Store
from tests.support.quarters import instant
from tests.support.services import api_over, local_client

Office = tuple[Config, Store, Path]
NOW = instant("2026-10-12")


def test_before_the_first_edition_the_page_says_so(office: Office) -> None:
    config, store, _ = office
    pages = publications_page.render_pages(store, config, NOW)
    assert "Aucune édition n’est encore parue." in pages["fr"].decode()
    assert "15 Oct 2026" in pages["en"].decode()  # what is announced


def test_the_page_holds_what_was_published_in_one_small_file(office: Office) -> None:
    config, store, _ = office
    publish_edition(store, config, "2026-Q3", NOW)
    for language in ("fr", "en"):
        page = edition_files(config).read(f"index.{language}.html").decode()
        assert len(gzip.compress(page.encode())) < 100_000
        assert not re.search(r"<script|<link |@import|src=", page)
        assert page.count("<h1>") == 1
        assert f'href="2026-Q3/v1/{language}/report.html"' in page
    assert "880" in page  # the finding of the edition


def test_every_link_of_the_page_leads_to_a_file(office: Office) -> None:
    config, store, _ = office
    publish_edition(store, config, "2026-Q3", NOW)
    client = local_client(api_over(store, config, lambda: NOW))
    page = client.get("/publications", headers={"accept-language": "en"})
    assert page.url.path == "/editions/index.en.html"
    links = re.findall(r'href="([^"#]+)"', page.text)
    assert len(links) >= 7
    for link in links:
        assert client.get(f"/editions/{link}").status_code == 200, link
    assert client.get("/editions/index.de.html").status_code == 404


def test_a_draft_is_told_with_its_pdf_then_the_release_then_what_is_late(office: Office) -> None:
    config, store, _ = office
    assert not list(alert_rules.drafted_editions(store, config, NOW))
    write_due_draft(store, config, NOW, lambda _: None)
    (matter,) = alert_rules.drafted_editions(store, config, NOW)
    assert [attachment.name for attachment in matter.attachments] == ["2026-Q3-draft.fr.pdf", "2026-Q3-draft.en.pdf"]
    assert all(attachment.content.startswith(b"%PDF") for attachment in matter.attachments)
    assert not list(alert_rules.late_releases(store, config, NOW))
    (late,) = alert_rules.late_releases(store, config, instant("2026-10-16"))
    assert late.key == "release-missed 2026-Q3 provisional"
    published = publish_edition(store, config, "2026-Q3", instant("2026-10-16"))
    assert not list(alert_rules.late_releases(store, config, instant("2026-10-16")))
    assert not list(alert_rules.drafted_editions(store, config, instant("2026-10-16")))
    (news,) = alert_rules.released_editions(store, config, published.released_us)
    assert (news.key, len(news.attachments)) == ("published 2026-Q3.v1", 2)
    assert "footprint.example.org/editions/2026-Q3/v1" in news.text[1]
    assert not list(alert_rules.released_editions(store, config, published.released_us + 30 * US_PER_DAY))


@pytest.mark.parametrize("watch", [alert_rules.drafted_editions, alert_rules.released_editions, alert_rules.late_releases])
def test_nothing_is_told_of_an_organisation_without_data(sqlite: Store, watch: object, tmp_path: Path) -> None:
    from footprint.config import parse_config

    config = parse_config(f'[editions]\nfolder = "{tmp_path / "shelf"}"\n')
    assert watch in ALERT_RULES
    assert not list(watch(sqlite, config, NOW))  # type: ignore[operator]
