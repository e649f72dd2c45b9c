"""This file lists published editions, every version with its files, and the release calendar; until the first it says so."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import card, message, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.calendar.periods import parse_period
from footprint.core.timestamps import format_instant
from footprint.editions.figure_format import headline_text
from footprint.editions.release_calendar import release_rows
from footprint.editions.repository import PublishedEdition, published_editions
from footprint.editions.serialization import from_json
from footprint.editions.texts import long_period
from footprint.i18n.formatting import format_local_time

PATH, TITLE = "/editions", "nav_editions"
REPORT_FILES = (("report.html", "HTML"), ("report.pdf", "PDF"))
DATA_FILES = (("annexes.zip", "ZIP"), ("report.json", "JSON"), ("diff.csv", "CSV"))


def content(context: PageContext) -> list[Any]:
    """Editions by period, newest first; what is announced."""
    language = context.view.language
    found = published_editions(context.store) if context.store is not None else []
    announced = _calendar_card(context, found)
    if not found:
        return [message(translate(language, "editions_title"), translate(language, "editions_text")), announced]
    periods = sorted({each.period for each in found}, key=lambda name: (parse_period(name), name), reverse=True)
    return [
        html.H1(translate(language, "nav_editions")),
        html.P(translate(language, "editions_lead"), className="lead"),
        *[_period_card(context, [each for each in found if each.period == period]) for period in periods],
        announced,
    ]


def latest_edition_card(context: PageContext) -> Any:
    """The last published edition in one line, for the first page; None until there is one."""
    language = context.view.language
    found = published_editions(context.store) if context.store is not None else []
    if not found:
        return None
    last = max(found, key=lambda each: (parse_period(each.period), each.released_us))
    title = long_period(parse_period(last.period)).in_(language)
    links = [html.A(translate(language, "read_edition"), href=context.view.link(PATH))]
    return html.Section([html.H2(title), html.P(headline_text(from_json(last.report), language)), *links], className="edition")


def _period_card(context: PageContext, versions: list[PublishedEdition]) -> html.Section:
    """The last version with its finding; those before it in a table that unfolds."""
    language, last = context.view.language, versions[-1]
    title = long_period(parse_period(last.period)).in_(language)
    head = [translate(language, name) for name in ("version", "status", "released", "cause", "downloads")]
    rows = [_version_row(context, each) for each in reversed(versions)]
    return card(
        title,
        headline_text(from_json(last.report), language),
        scrollable(table(head, rows, title), title, "prose"),
        language,
        data=[("JSON", f"/api/v1/reports/{last.period}")],
        wide=True,
    )


def _version_row(context: PageContext, published: PublishedEdition) -> tuple[Any, ...]:
    language = context.view.language
    causes = ", ".join(translate(language, f"cause_{each.cause}") for each in published.context.changes)
    kind = translate(language, f"kind_{published.kind}") if published.kind else ""
    return (
        f"v{published.version}",
        translate(language, f"edition_{published.status}"),
        format_local_time(format_instant(published.released_us), context.config.timezone, language),
        " · ".join(part for part in (kind, causes) if part),
        html.Span(_download_links(published, language), className="downloads"),
    )


def _download_links(published: PublishedEdition, language: str) -> list[Any]:
    """Links to what the version holds, in the reader's language first."""
    at = f"/api/v1/reports/{published.period}/v{published.version}"
    links: list[Any] = []
    for spoken in (language, "en" if language == "fr" else "fr"):
        for name, form in REPORT_FILES:
            if f"{spoken}/{name}" in published.files:
                href = f"/editions/{published.period}/v{published.version}/{spoken}/{name}"
                links.append(html.A(f"{form} {spoken.upper()}", href=href, hrefLang=spoken))
    links += [html.A(form, href=f"{at}/{name}") for name, form in DATA_FILES if name in published.files]
    return [part for link in links for part in (link, " ")]


def _calendar_card(context: PageContext, found: list[PublishedEdition]) -> html.Section:
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
        for row in release_rows(context.config, found, context.now_us)
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
