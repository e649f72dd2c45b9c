"""This file shows what one bundle of factors changed against another: from what, to what, its source, the figures it moves."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from dash import html

from dashboards.components import block, menu, scrolled, table
from dashboards.translations import say
from dashboards.url_state import PageContext
from footprint.i18n.formatting import format_change, format_interval, format_number
from footprint.i18n.source_titles import translate_source
from footprint.impact.factor_book import FactorBook
from footprint.queries.factor_diff import bundle_differences, bundles_of
from footprint.queries.methods import method_rows

Row = dict[str, Any]


def bundles(context: PageContext, book: FactorBook) -> html.Section:
    """The last two bundles, or those that the address names; of the organisation's own places."""
    view, language, config = context.view, context.view.language, context.config
    names = bundles_of(book)
    title = say(language, "bundles_title")
    if len(names) < 2:
        said = [say(language, "bundles_one", bundle=names[-1] if names else "–")]
        return block(title, "", html.Pre(html.Code("footprint factors import FILE")), language, sentences=said, wide=True)
    after = view.get("after") if view.get("after") in names else names[-1]
    before = view.get("before") if view.get("before") in names else names[max(names.index(after) - 1, 0)]
    rows = bundle_differences(book, config, before, after)
    places = {config.zone, *(site.zone for site in config.sites), ""}
    mine = [row for row in rows if row["where"] in places]
    choices = [(name, name) for name in names]
    named: dict[str, Any] = {"aria-label": title}
    chosen = html.Nav(
        [
            menu(view, "before", say(language, "bundle_before"), before, choices),
            menu(view, "after", say(language, "bundle_after"), after, choices),
        ],
        className="filters",
        **named,
    )
    head = [say(language, n) for n in ("factor", "valid", "was", "becomes", "change_word", "moves", "source_word", "bundle")]
    labels = {row["figure"]: row["label"] for row in method_rows(language)}
    told = scrolled(table(head, [_cells(row, labels, language) for row in mine], title), title, "prose")
    query = urlencode({"before": before, "after": after})
    return block(
        title,
        say(language, "bundles_sub", before=before, after=after),
        html.Div([chosen, told if mine else html.P(say(language, "bundles_none"))]),
        language,
        sentences=[say(language, "bundles_elsewhere", count=str(len(rows) - len(mine)))] if len(rows) > len(mine) else [],
        data=[(form.upper(), f"/api/v1/tables/bundles?{query}&format={form}") for form in ("csv", "json", "parquet")],
        wide=True,
    )


def _cells(row: Row, labels: dict[str, str], language: str) -> tuple[Any, ...]:
    name = f"{row['kind']}, {row['where']}" if row["where"] else row["kind"]
    until = f" – {row['valid_to']}" if row["valid_to"] else ""
    moved = ", ".join(labels.get(figure, figure) for figure in (row["figures"] or "").split())
    return (
        name,
        f"{row['valid_from']}{until}",
        _value(row, "before", language),
        _value(row, "after", language),
        "[x]" if row["change"] is None else format_change(row["change"], language),
        moved or say(language, "moves_none"),
        html.Span(cited(row["source_after"] or row["source_before"] or "", language)),
        row["bundle_after"] or row["bundle_before"],
    )


def _value(row: Row, side: str, language: str) -> str:
    """Value, unit, interval; unknown where that book has no such factor."""
    value, low, high = (row[f"{name}_{side}"] for name in ("value", "low", "high"))
    if value is None:
        return "[x]"
    around = f" {format_interval(low, high, language)}" if low is not None and high is not None else ""
    return f"{format_number(value, language, 4)}\u00a0{row['unit']}{around}"


def cited(source: str, language: str) -> list[Any]:
    """A source with titles of others marked in their own language."""
    return [html.Span(text, lang=own) if own else text for text, own in translate_source(source, language)]
