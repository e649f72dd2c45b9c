"""A view whose period was published says so beside it, and offers the frozen link of its newest version."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dashboards.app import _newest_edition
from dashboards.layout import header, print_header
from dashboards.parts.filters import filter_bar, find_edition
from dashboards.url_state import PageContext, UrlState
from footprint.access import Role
from footprint.config import Config
from footprint.editions.publication import publish_edition
from footprint.editions.repository import Release, latest_release
from footprint.storage.database import Store
from tests.support.components import elements, hrefs, text_of
from tests.support.contract_files import NOW_US, config
from tests.support.edition_office import office, office_template  # noqa: F401 - fixtures
from tests.support.quarters import instant


def here(search: str, editions: dict[str, int], path: str = "/") -> PageContext:
    def published(period: str) -> Release | None:
        return Release(period, editions[period], "final") if period in editions else None

    language = "en" if "lang=en" in search else "fr"
    return PageContext(
        config(), None, None, NOW_US, UrlState.parse(path, search, language), role=Role.ADMINISTRATOR, find_edition=published
    )  # type: ignore[arg-type]


def words(part: Any) -> str:
    return re.sub("[\u00a0\u202f]", " ", text_of(part))


@pytest.mark.parametrize(
    ("search", "name"),
    [
        ("?period=2026-Q3", "2026-Q3 v2"),
        ("?period=2026-09", "2026-09 v1"),
        ("?period=2025", "2025 v4"),
        ("?from=2026-07-01&to=2026-10-01", "2026-Q3 v2"),
        ("?from=2026-07-01&to=2026-09-30", None),
        ("?period=2026-Q2", None),
        ("?period=30d", None),
        ("?period=all", None),
        ("?from=2026-07-01", None),
        ("?period=2026-Q3&service=chat", "2026-Q3 v2"),
    ],
)
def test_the_edition_is_that_of_exactly_the_period_shown(search: str, name: str | None) -> None:
    edition = find_edition(here(search, {"2026-Q3": 2, "2026-09": 1, "2025": 4}))
    assert (edition and edition.name) == name


@pytest.mark.parametrize(
    ("language", "label", "copied"),
    [
        ("fr", "Publié : édition T3 2026, version 2", "Copier le lien figé, édition 2026-Q3 v2"),
        ("en", "Published: edition Q3 2026, version 2", "Copy the frozen link, edition 2026-Q3 v2"),
    ],
)
def test_the_edition_is_shown_beside_the_period_on_paper_and_in_the_share_menu(language: str, label: str, copied: str) -> None:
    context = here(f"?lang={language}&period=2026-Q3", {"2026-Q3": 2})
    address = f"/editions/2026-Q3/v2/{language}/report.html"
    for part in (filter_bar(context), print_header(context)):
        assert label in words(part)
    assert address in hrefs(filter_bar(context))
    menu = header(context, (), ())
    assert copied in words(menu)
    links = [getattr(button, "data-copy") for button in elements(menu, "Button") if hasattr(button, "data-copy")]
    assert links[0] != address  # the live link stands first: pictures of cards bear it
    assert address in links[1:]


def test_no_edition_is_shown_before_publication() -> None:
    context = here("?period=2026-Q3", {})
    assert "Publié" not in words(filter_bar(context))
    assert "Publié :" not in words(print_header(context))
    menu = header(context, (), ())
    assert "lien figé" not in words(menu)
    assert any(address.startswith("/editions?") for address in hrefs(menu))  # all editions


def test_the_newest_version_is_read_without_its_content(office: tuple[Config, Store, Path]) -> None:  # noqa: F811
    settings, store, _ = office
    assert latest_release(store, "2026-08") is None
    publish_edition(store, settings, "2026-08", instant("2026-10-14"))
    assert latest_release(store, "2026-08") == Release("2026-08", 1, "provisional")
    publish_edition(store, settings, "2026-08", instant("2026-10-15"), final=True)
    assert latest_release(store, "2026-08") == Release("2026-08", 2, "final")


def test_an_unavailable_store_shows_no_edition_and_breaks_no_page(tmp_path: Path) -> None:
    away = Store(f"sqlite:///{tmp_path}/away.db", demo=False)
    away.close()
    (tmp_path / "away.db").unlink()
    (tmp_path / "away.db").mkdir()
    assert _newest_edition(away, "2026-Q3") is None
    context = replace(here("?period=2026-Q3", {}), find_edition=lambda period: _newest_edition(away, period))
    assert "Publié" not in words(filter_bar(context))
