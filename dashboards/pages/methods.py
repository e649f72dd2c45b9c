"""Methods, declared facts and factors, from the registries that the computation uses."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlencode

from dash import html

from dashboards.card_frames import PageParts, whole_page
from dashboards.components import Row, card, link_menu, page_title, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import TABLE_FORMATS, PageContext, table_links
from footprint.aggregation import METHOD_VERSION
from footprint.i18n.formatting import format_change, format_interval, format_number
from footprint.i18n.source_titles import translate_source
from footprint.impact.factor_book import FactorBook, shipped_book
from footprint.ledger.factor_store import load_factor_book
from footprint.queries.declared_facts import declared_facts
from footprint.queries.factor_diff import bundle_differences, bundles_of
from footprint.queries.methods import method_rows

PATH, TITLE = "/methods", "nav_methods"


def content(context: PageContext) -> PageParts:
    """Tables of methods, facts and factors, and the differences between two bundles of factors."""
    return whole_page(translate(context.view.language, "methods_title"), partial(_content, context))


def _content(context: PageContext) -> list[Any]:
    language, zone = context.view.language, context.config.zone
    title = translate(language, "methods_title")
    head = [translate(language, name) for name in ("name", "words", "formula", "unit", "source_word")]
    methods: dict[str, tuple[Any, ...]] = {}
    for row in method_rows(language):
        methods.setdefault(row["label"], (row["label"], row["words"], row["formula"], row["unit"], row["source"]))
    book = load_factor_book(context.store) if context.store is not None else shipped_book()
    factors = [factor for factor in book.factors if factor.where in (zone, "")]
    factor_rows = [
        (
            f"{factor.kind} · {translate(language, 'inventory_factor')}"
            if factor.kind == context.config.electricity
            else factor.kind,
            format_number(factor.value, language, 4),
            format_interval(factor.low, factor.high, language) if factor.low is not None and factor.high is not None else "",
            factor.unit,
            factor.valid_from.isoformat(),
            factor.bundle,
            html.Span(cite_source(factor.source, language)),
            html.Span(cite_source(factor.licence, language)),
        )
        for factor in factors
    ]
    fact_rows = [
        (
            f"{row['fact']} {row['of']}",
            format_number(row["value"], language),
            format_interval(row["low"], row["high"], language),
            row["category"] or "",
            translate(language, "yes" if row["assumed"] else "no"),
        )
        for row in declared_facts(context.config, hosts=context.role.sees_services)
    ]

    def prose_table(heads: list[str], rows: list[tuple[Any, ...]], caption: str) -> html.Div:
        return scrollable(table(heads, rows, caption), caption, "prose")

    return [
        page_title(title),
        html.P(translate(language, "methods_lead", version=METHOD_VERSION), className="lead"),
        card(
            title,
            "",
            prose_table(head, list(methods.values()), title),
            language,
            data=table_links("methods", f"&lang={language}"),
            wide=True,
        ),
        card(
            translate(language, "step_facts"),
            "",
            prose_table(
                [translate(language, n) for n in ("fact", "value", "interval", "condition", "estimated")], fact_rows, "facts"
            ),
            language,
            data=table_links("facts"),
            wide=True,
        ),
        card(
            translate(language, "factors_title", zone=zone),
            translate(language, "factors_sub"),
            prose_table(
                [
                    translate(language, n)
                    for n in ("factor", "value", "interval", "unit", "valid", "bundle", "source_word", "licence")
                ],
                factor_rows,
                "factors",
            ),
            language,
            data=table_links("factors"),
            wide=True,
        ),
        bundle_diff_card(context, book),
    ]


def bundle_diff_card(context: PageContext, book: FactorBook) -> html.Section:
    """Card of what changed between two bundles, the last two by default, for the zones of the organisation."""
    view, language, config = context.view, context.view.language, context.config
    names = bundles_of(book)
    title = translate(language, "bundles_title")
    if len(names) < 2:
        sentences = [translate(language, "bundles_one", bundle=names[-1] if names else "–")]
        return card(title, "", html.Pre(html.Code("footprint factors import FILE")), language, sentences=sentences, wide=True)
    after = view.get("after") if view.get("after") in names else names[-1]
    before = view.get("before") if view.get("before") in names else names[max(names.index(after) - 1, 0)]
    rows = bundle_differences(book, config, before, after)
    zones = {config.zone, *(site.zone for site in config.sites), ""}
    own_rows = [row for row in rows if row["where"] in zones]
    choices = [(name, name) for name in names]
    attributes: dict[str, Any] = {"aria-label": title}
    selection = html.Nav(
        [
            link_menu(view, "before", translate(language, "bundle_before"), before, choices),
            link_menu(view, "after", translate(language, "bundle_after"), after, choices),
        ],
        className="filters",
        **attributes,
    )
    head = [
        translate(language, n) for n in ("factor", "valid", "was", "becomes", "change_word", "moves", "source_word", "bundle")
    ]
    labels = {row["figure"]: row["label"] for row in method_rows(language)}
    diff_table = scrollable(table(head, [_bundle_row(row, labels, language) for row in own_rows], title), title, "prose")
    query = urlencode({"before": before, "after": after})
    return card(
        title,
        translate(language, "bundles_sub", before=before, after=after),
        html.Div([selection, diff_table if own_rows else html.P(translate(language, "bundles_none"))]),
        language,
        sentences=[translate(language, "bundles_elsewhere", count=str(len(rows) - len(own_rows)))]
        if len(rows) > len(own_rows)
        else [],
        data=[(form.upper(), f"/api/v1/tables/bundles?{query}&format={form}") for form in TABLE_FORMATS],
        wide=True,
    )


def _bundle_row(row: Row, labels: dict[str, str], language: str) -> tuple[Any, ...]:
    name = f"{row['kind']}, {row['where']}" if row["where"] else row["kind"]
    until = f" – {row['valid_to']}" if row["valid_to"] else ""
    figures = ", ".join(labels.get(figure, figure) for figure in (row["figures"] or "").split())
    return (
        name,
        f"{row['valid_from']}{until}",
        _format_factor(row, "before", language),
        _format_factor(row, "after", language),
        "[x]" if row["change"] is None else format_change(row["change"], language),
        figures or translate(language, "moves_none"),
        html.Span(cite_source(row["source_after"] or row["source_before"] or "", language)),
        row["bundle_after"] or row["bundle_before"],
    )


def _format_factor(row: Row, side: str, language: str) -> str:
    """Value, unit and interval; `[x]` if the bundle has no such factor."""
    value, low, high = (row[f"{name}_{side}"] for name in ("value", "low", "high"))
    if value is None:
        return "[x]"
    interval = f" {format_interval(low, high, language)}" if low is not None and high is not None else ""
    return f"{format_number(value, language, 4)}\u00a0{row['unit']}{interval}"


def cite_source(source: str, language: str) -> list[Any]:
    """Source as spans, with foreign titles marked with their language."""
    return [
        html.Span(text, lang=title_language) if title_language else text
        for text, title_language in translate_source(source, language)
    ]
