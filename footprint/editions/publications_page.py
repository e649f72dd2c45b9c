"""This file keeps the public page of all editions on the shelf: written anew at each publication, from what was published."""

from __future__ import annotations

from typing import Any

from footprint.calendar.periods import parse_period
from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.editions.forms import publications_page
from footprint.editions.forms.layout import lay_out
from footprint.editions.forms.publications_page import ListedEdition
from footprint.editions.release_calendar import release_rows
from footprint.editions.repository import edition_folder, edition_store, published_editions
from footprint.editions.serialization import from_json
from footprint.i18n.formatting import format_local_time
from footprint.storage.database import Store

LANGUAGES = ("fr", "en")


def page_name(language: str) -> str:
    """Its name on the shelf."""
    return f"index.{language}.html"


def write_pages(store: Store, config: Config, now_us: int) -> None:
    """Write the page in both languages."""
    vault = edition_store(config)
    for language, raw in render_pages(store, config, now_us).items():
        vault.write(page_name(language), raw)


def render_pages(store: Store, config: Config, now_us: int) -> dict[str, bytes]:
    """The page by language."""
    found = sorted(published_editions(store), key=lambda each: (parse_period(each.period), each.version), reverse=True)
    latest = from_json(found[0].report) if found else None

    def written(instant: str, language: str) -> str:
        return format_local_time(instant, config.timezone, language)

    told = {}
    for language in LANGUAGES:
        versions = [
            ListedEdition(
                each.period,
                each.version,
                each.status,
                written(format_instant(each.released_us), language),
                edition_folder(each.period, each.version),
            )
            for each in found
        ]
        due: list[dict[str, Any]] = [
            {**row, "announced": written(row["announced"], language)} for row in release_rows(config, found, now_us)
        ]
        sheet = lay_out(latest, language) if latest is not None else None
        told[language] = publications_page.render_page(language, config.organisation, sheet, versions, due, config.demo).encode()
    return told
