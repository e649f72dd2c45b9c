"""This file keeps the public page of all editions on the shelf: written anew at each publication, from what was published."""

from __future__ import annotations

from typing import Any

from footprint.calendar.periods import parse_period
from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.editions.forms import publications_page
from footprint.editions.forms.layout import lay_out
from footprint.editions.forms.publications_page import Listed
from footprint.editions.release_calendar import calendar
from footprint.editions.repository import folder_of, published_editions, shelf_of
from footprint.editions.serialization import from_json
from footprint.i18n.formatting import format_local_time
from footprint.storage.database import Store

LANGUAGES = ("fr", "en")


def name_of(language: str) -> str:
    """Its name on the shelf."""
    return f"index.{language}.html"


def write(store: Store, config: Config, now_us: int) -> None:
    """Write the page in both languages."""
    vault = shelf_of(config)
    for language, raw in pages(store, config, now_us).items():
        vault.write(name_of(language), raw)


def pages(store: Store, config: Config, now_us: int) -> dict[str, bytes]:
    """The page by language."""
    found = sorted(published_editions(store), key=lambda each: (parse_period(each.period), each.version), reverse=True)
    latest = from_json(found[0].report) if found else None

    def written(instant: str, language: str) -> str:
        return format_local_time(instant, config.timezone, language)

    told = {}
    for language in LANGUAGES:
        versions = [
            Listed(
                each.period,
                each.version,
                each.status,
                written(format_instant(each.released_us), language),
                folder_of(each.period, each.version),
            )
            for each in found
        ]
        due: list[dict[str, Any]] = [
            {**row, "announced": written(row["announced"], language)} for row in calendar(config, found, now_us)
        ]
        sheet = lay_out(latest, language) if latest is not None else None
        told[language] = publications_page.render(language, config.organisation, sheet, versions, due, config.demo).encode()
    return told
