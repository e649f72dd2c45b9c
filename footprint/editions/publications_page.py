"""The public page of all editions: findings of the latest one, every version, the release calendar, how to check a figure.

One HTML file a language, without scripts, written into the edition store at each publication from published editions only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from footprint.calendar.periods import parse_period
from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.editions.document import Text
from footprint.editions.forms import phrases
from footprint.editions.forms.html import MARK_HTML, SKIP, render_block, style_sheet
from footprint.editions.forms.layout import Sheet, lay_out
from footprint.editions.release_calendar import calendar_of_store
from footprint.editions.repository import edition_files, edition_folder, published_editions
from footprint.editions.serialization import from_json
from footprint.editions.texts import long_period, tr
from footprint.i18n.catalogue import LANGUAGES
from footprint.i18n.formatting import format_local_time
from footprint.storage.database import Store

EDITIONS, ALL = tr("Éditions", "Editions"), tr("Toutes les versions", "All versions")
READ, CALENDAR = tr("Lire l’édition", "Read the edition"), tr("Calendrier des parutions", "Release calendar")
CHECK = tr("Vérifier un chiffre", "Check a figure")
NONE = tr("Aucune édition n’est encore parue.", "No edition has been published yet.")
HOW = tr(
    "Chaque chiffre a un numéro. Les données de l’édition (zip) disent par quelle question et quelle formule il est fait ; "
    "footprint trace NUMÉRO --verify le recalcule depuis les relevés, et SHA256SUMS prouve qu’aucun fichier paru n’a changé.",
    "Each figure has a number. The data of the edition (zip) say by which question and which formula it is made; "
    "footprint trace NUMBER --verify computes it again from the readings, and SHA256SUMS proves that no published file changed.",
)
HEADS = (
    tr("période", "period"),
    tr("version", "version"),
    tr("statut", "status"),
    tr("parution", "released"),
    tr("fichiers", "files"),
)
DUE = (tr("période", "period"), tr("version", "version"), tr("annoncée pour le", "announced for"), tr("état", "state"))
STATES = {
    "published": tr("parue", "published"),
    "published late": tr("parue en retard", "published late"),
    "announced": tr("annoncée", "announced"),
    "late": tr("en retard", "late"),
}


@dataclass(frozen=True, slots=True)
class ListedEdition:
    """A published version as the page lists it; ``folder`` is the path of its files, relative to the page."""

    period: str
    version: int
    status: str
    released: str  # localised
    folder: str


def page_name(language: str) -> str:
    """File name of the page in the edition store."""
    return f"index.{language}.html"


def write_pages(store: Store, config: Config, now_us: int) -> None:
    """Write the page in both languages."""
    editions = edition_files(config)
    for language, raw in render_pages(store, config, now_us).items():
        editions.write(page_name(language), raw)


def render_pages(store: Store, config: Config, now_us: int) -> dict[str, bytes]:
    """The page by language."""
    editions = sorted(
        published_editions(store), key=lambda edition: (parse_period(edition.period), edition.version), reverse=True
    )
    latest = from_json(editions[0].report) if editions else None

    def written(instant: str, language: str) -> str:
        return format_local_time(instant, config.timezone, language)

    pages = {}
    for language in LANGUAGES:
        versions = [
            ListedEdition(
                edition.period,
                edition.version,
                edition.status,
                written(format_instant(edition.released_us), language),
                edition_folder(edition.period, edition.version),
            )
            for edition in editions
        ]
        calendar: list[dict[str, Any]] = [
            {**row, "announced": written(row["announced"], language)}
            for row in calendar_of_store(store, config, editions, now_us)
        ]
        latest_sheet = lay_out(latest, language) if latest is not None else None
        pages[language] = render_page(language, config.organisation, latest_sheet, versions, calendar, config.demo).encode()
    return pages


def render_page(
    language: str,
    organisation: str,
    latest: Sheet | None,
    versions: Sequence[ListedEdition],
    calendar: Sequence[Mapping[str, Any]],
    demo: bool,
) -> str:
    """Render the page in one language; ``calendar`` holds rows of the release calendar with localised ``announced``."""
    other = "en" if language == "fr" else "fr"

    def escaped(text: Text) -> str:
        return escape(text.in_(language))

    banner = f'<div class="demo" role="note">{escaped(phrases.DEMO)}</div>' if demo else ""
    opening = f"<h1>{escaped(EDITIONS)}</h1><p>{escaped(NONE)}</p>"
    if latest is not None and versions:
        first = versions[0]
        lead = (block for part in latest.sections if part.name == "points" for block in part.blocks)
        points = "".join(render_block(block, language) for block in lead)
        opening = (
            f'<p class="sub">{escape(latest.period)} · {escape(latest.released)}</p><h1>{escape(latest.title)}</h1>'
            f'<div class="strip">{latest.strip}</div><div class="points">{points}</div>'
            f'<p><a href="{first.folder}/{language}/report.html">{escaped(READ)}</a> · '
            f'<a href="{first.folder}/{language}/report.pdf">{escaped(phrases.PDF)}</a> · '
            f'<a href="{first.folder}/annexes.zip">{escaped(phrases.ANNEXES)}</a></p>'
        )
    rows = [
        (
            long_period(parse_period(listed.period)).in_(language),
            f"v{listed.version}",
            phrases.STATUSES[listed.status].in_(language),
            listed.released,
            _links(listed, language),
        )
        for listed in versions
    ]
    planned = [
        (
            long_period(parse_period(row["period"])).in_(language),
            phrases.STATUSES[row["release"]].in_(language),
            row["announced"],
            STATES[row["state"]].in_(language),
        )
        for row in calendar
    ]
    return (
        f'<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(phrases.SUBJECT)} – {escaped(EDITIONS)}</title><style>{style_sheet()}</style></head>"
        f'<body><a class="skip" href="#main">{SKIP[language]}</a>{banner}<header><div class="top">'
        f'<span class="mark">{MARK_HTML}Footprint</span>'
        f"<span>{escaped(phrases.SUBJECT)} · <strong>{escape(organisation)}</strong></span>"
        f'<a href="index.{other}.html" lang="{other}" hreflang="{other}">{escaped(phrases.OTHER_LANGUAGE)}</a></div></header>'
        f'<main id="main">{opening}{_listing(ALL, HEADS, rows, language, markup_column=4)}'
        f"{_listing(CALENDAR, DUE, planned, language)}"
        f'<section class="part" aria-labelledby="check"><aside aria-label="{escaped(CHECK)}"></aside>'
        f'<div><h2 id="check">{escaped(CHECK)}</h2><p>{escaped(HOW)}</p></div></section></main></body></html>\n'
    )


def _links(listed: ListedEdition, language: str) -> str:
    languages = (language, "en" if language == "fr" else "fr")
    files = [(f"{code}/report.{form}", f"{form.upper()} {code.upper()}") for code in languages for form in ("html", "pdf")]
    files += [("annexes.zip", "ZIP"), ("SHA256SUMS", "SHA256SUMS")]
    return " · ".join(f'<a href="{listed.folder}/{name}">{shown}</a>' for name, shown in files)


def _listing(title: Text, heads: Sequence[Text], rows: Sequence[Sequence[str]], language: str, markup_column: int = -1) -> str:
    """A section with a table; cells of ``markup_column`` are trusted markup."""
    if not rows:
        return ""
    name, identity = escape(title.in_(language)), title.en.lower().replace(" ", "-")
    head = "".join(f'<th scope="col">{escape(heading.in_(language))}</th>' for heading in heads)
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{escape(cell)}</th>'
            if column == 0
            else f"<td>{cell if column == markup_column else escape(cell)}</td>"
            for column, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<section class="part" aria-labelledby="{identity}"><aside aria-label="{name}"></aside>'
        f'<div><h2 id="{identity}">{name}</h2><div class="scroll" tabindex="0" role="region" aria-label="{name}">'
        f"<table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div></div></section>"
    )
