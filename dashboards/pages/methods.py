"""This file prints the registry of methods and the factors of the organisation's zone: generated, never written by hand."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import block, scrolled, table
from dashboards.parts.bundles import bundles, cited
from dashboards.translations import say
from dashboards.url_state import PageContext
from footprint.aggregation import METHOD_VERSION
from footprint.i18n.formatting import format_interval, format_number
from footprint.impact.factor_book import shipped_book
from footprint.ledger.factor_store import load_factor_book
from footprint.queries.declared_facts import declared_facts
from footprint.queries.methods import method_rows

PATH, TITLE = "/methods", "nav_methods"


def content(context: PageContext) -> list[Any]:
    """Methods, declared facts, factors, and what changed from one bundle of factors to another."""
    language, zone = context.view.language, context.config.zone
    title = say(language, "methods_title")
    head = [say(language, name) for name in ("name", "words", "formula", "unit", "source_word")]
    labels: dict[str, tuple[Any, ...]] = {}
    for row in method_rows(language):
        labels.setdefault(row["label"], (row["label"], row["words"], row["formula"], row["unit"], row["source"]))
    book = load_factor_book(context.store) if context.store is not None else shipped_book()
    factors = [factor for factor in book.factors if factor.where in (zone, "")]
    told = [
        (
            f"{factor.kind}{' · ' + say(language, 'inventory_factor') if factor.kind == context.config.electricity else ''}",
            format_number(factor.value, language, 4),
            format_interval(factor.low, factor.high, language) if factor.low is not None and factor.high is not None else "",
            factor.unit,
            factor.valid_from.isoformat(),
            factor.bundle,
            html.Span(cited(factor.source, language)),
            html.Span(cited(factor.licence, language)),
        )
        for factor in factors
    ]
    facts = [
        (
            f"{row['fact']} {row['of']}",
            format_number(row["value"], language),
            format_interval(row["low"], row["high"], language),
            row["category"] or "",
            say(language, "yes" if row["assumed"] else "no"),
        )
        for row in declared_facts(context.config, hosts=context.role.sees_services)
    ]

    def wide(heads: list[str], rows: list[tuple[Any, ...]], caption: str) -> html.Div:
        return scrolled(table(heads, rows, caption), caption, "prose")

    return [
        html.H1(title),
        html.P(say(language, "methods_lead", version=METHOD_VERSION), className="lead"),
        block(
            title, "", wide(head, list(labels.values()), title), language, data=_forms("methods", f"&lang={language}"), wide=True
        ),
        block(
            say(language, "step_facts"),
            "",
            wide([say(language, n) for n in ("fact", "value", "interval", "condition", "estimated")], facts, "facts"),
            language,
            data=_forms("facts"),
            wide=True,
        ),
        block(
            say(language, "factors_title", zone=zone),
            say(language, "factors_sub"),
            wide(
                [say(language, n) for n in ("factor", "value", "interval", "unit", "valid", "bundle", "source_word", "licence")],
                told,
                "factors",
            ),
            language,
            data=_forms("factors"),
            wide=True,
        ),
        bundles(context, book),
    ]


def _forms(name: str, more: str = "") -> list[tuple[str, str]]:
    """Where a table stands at the API."""
    return [(form.upper(), f"/api/v1/tables/{name}?format={form}{more}") for form in ("csv", "json", "parquet")]
