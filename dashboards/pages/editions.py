"""Published editions, all versions with their files, and the release calendar."""

from __future__ import annotations

from functools import partial
from typing import Any

from dash import html

from dashboards.card_frames import PageParts, whole_page
from dashboards.components import card, message, page_title, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.calendar.periods import parse_period
from footprint.core.timestamps import format_instant
from footprint.editions.figure_format import headline_text
from footprint.editions.release_calendar import calendar_of_store, release_rows
from footprint.editions.repository import PublishedEdition, published_editions
from footprint.editions.serialization import from_json
from footprint.editions.texts import long_period
from footprint.i18n.formatting import format_local_time

PATH, TITLE = "/editions", "nav_editions"
REPORT_FILES = (("report.html", "HTML"), ("report.pdf", "PDF"))
DATA_FILES = (("annexes.zip", "ZIP"), ("report.json", "JSON"), ("diff.csv", "CSV"))


def content(context: PageContext) -> PageParts:
    """Editions by period, newest first, then the release calendar."""
    return whole_page(translate(context.view.language, TITLE), partial(_content, context))


def _content(context: PageContext) -> list[Any]:
    language = context.view.language
    editions = published_editions(context.store) if context.store is not None else []
    calendar_card = _calendar_card(context, editions)
    if not editions:
        return [message(translate(language, "editions_title"), translate(language, "editions_text")), calendar_card]
    periods = sorted({edition.period for edition in editions}, key=lambda name: (parse_period(name), name), reverse=True)
    return [
        page_title(translate(language, "nav_editions")),
        html.P(translate(language, "editions_lead"), className="lead"),
        *[_period_card(context, [edition for edition in editions if edition.period == period]) for period in periods],
        calendar_card,
    ]


def latest_edition_card(context: PageContext) -> Any:
    """Latest edition for the overview page; None before the first."""
    language = context.view.language
    editions = published_editions(context.store) if context.store is not None else []
    if not editions:
        return None
    last = max(editions, key=lambda edition: (parse_period(edition.period), edition.released_us))
    title = long_period(parse_period(last.period)).in_(language)
    links = [html.A(translate(language, "read_edition"), href=context.view.link(PATH))]
    return html.Section([html.H2(title), html.P(headline_text(from_json(last.report), language)), *links], className="edition")


def _period_card(context: PageContext, versions: list[PublishedEdition]) -> html.Section:
    """Card of a period: the finding of the latest version, and a table of all versions."""
    language, last = context.view.language, versions[-1]
    title = long_period(parse_period(last.period)).in_(language)
    head = [translate(language, name) for name in ("version", "status", "released", "cause", "downloads")]
    rows = [_version_row(context, version) for version in reversed(versions)]
    return card(
        title,
        headline_text(from_json(last.report), language),
        scrollable(table(head, rows, title), title, "prose"),
        language,
        data=[("JSON", f"/api/v1/reports/{last.period}")],
        wide=True,
    )


def _version_row(context: PageContext, edition: PublishedEdition) -> tuple[Any, ...]:
    language = context.view.language
    causes = ", ".join(translate(language, f"cause_{change.cause}") for change in edition.context.changes)
    kind = translate(language, f"kind_{edition.kind}") if edition.kind else ""
    return (
        f"v{edition.version}",
        translate(language, f"edition_{edition.status}"),
        format_local_time(format_instant(edition.released_us), context.config.timezone, language),
        " · ".join(part for part in (kind, causes) if part),
        html.Span(_download_links(edition, language), className="downloads"),
    )


def _download_links(edition: PublishedEdition, language: str) -> list[Any]:
    """Links to the files of a version, those in the reader's language first."""
    api_url = f"/api/v1/reports/{edition.period}/v{edition.version}"
    links: list[Any] = []
    for file_language in (language, "en" if language == "fr" else "fr"):
        for name, form in REPORT_FILES:
            if f"{file_language}/{name}" in edition.files:
                href = f"/editions/{edition.period}/v{edition.version}/{file_language}/{name}"
                links.append(html.A(f"{form} {file_language.upper()}", href=href, hrefLang=file_language))
    links += [html.A(form, href=f"{api_url}/{name}") for name, form in DATA_FILES if name in edition.files]
    return [part for link in links for part in (link, " ")]


def release_rows_of(context: PageContext, editions: list[PublishedEdition]) -> list[dict[str, Any]]:
    """Announced and actual releases; of a page without a store, as if it had data of all times."""
    if context.store is None:
        return release_rows(context.config, editions, context.now_us)
    return calendar_of_store(context.store, context.config, editions, context.now_us)


def _calendar_card(context: PageContext, editions: list[PublishedEdition]) -> html.Section:
    language, zone = context.view.language, context.config.timezone
    head = [translate(language, name) for name in ("period", "release", "announced", "released", "state")]
    rows = [
        (
            long_period(parse_period(row["period"])).in_(language),
            translate(language, f"edition_{row['release']}"),
            format_local_time(row["announced"], zone, language),
            format_local_time(row["released"], zone, language) if row["released"] else "",
            translate(language, f"release_{row['state'].replace(' ', '_')}"),
        )
        for row in release_rows_of(context, editions)
    ]
    title = translate(language, "editions_calendar")
    return card(
        title,
        translate(language, "editions_calendar_sub"),
        scrollable(table(head, rows, title), title, "prose"),
        language,
        data=[("CSV", "/api/v1/reports/calendar?format=csv")],
        wide=True,
    )
