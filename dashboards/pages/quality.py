"""This file says how far figures can be trusted: what was seen, whether sums close, how energy was divided, what is open."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards import parts
from dashboards.components import ASIDE, Row, badge, block, error_boundary, scrolled, table
from dashboards.diagnosis_messages import reason_words
from dashboards.parts.filters import period_name
from dashboards.translations import absent, say
from dashboards.url_state import PageContext
from footprint.access.authorization import CONFIDENTIAL
from footprint.calendar.periods import period_at
from footprint.core.timestamps import format_instant, parse_instant
from footprint.core.units import US_PER_S
from footprint.editions.sections.uncertainty import cause_text, lower_first
from footprint.i18n.formatting import energy_unit, format_local_time, format_number, format_percent
from footprint.queries.energy_balance import energy_balance
from footprint.queries.split_diagnostics import split_diagnostics
from footprint.queries.uncertainty_budget import uncertainty_budget
from footprint.server.job_runs import latest_runs

PATH, TITLE = "/quality", "nav_quality"
MAX_SPLITS = 60


def content(context: PageContext) -> list[Any]:
    """Cards from what the eye sees first to what an auditor asks last."""
    language = context.view.language
    rows = context.rows()
    if not rows:
        return [parts.filters(context), *parts.nothing(context)]
    whole = rows[0]
    title = say(language, "quality_unknown")
    if whole.get("conf_status") == CONFIDENTIAL:
        return [parts.filters(context), *parts.headline(context, whole, None, None)]
    if whole["coverage"] is not None:
        title = say(language, "quality_title", share=format_percent(whole["coverage"], language))
    if context.store is None:
        return [
            parts.filters(context),
            parts.day_strip(context, whole),
            html.H1(title),
            html.P(parts.period_words(context), className="lead"),
            html.Div(
                [error_boundary(lambda: _months(context, whole), context), parts.facts(context, whole)], className="row wide"
            ),
        ]
    return [
        parts.filters(context),
        parts.day_strip(context, whole),
        html.H1(title),
        html.P(parts.period_words(context), className="lead"),
        html.Div(
            [error_boundary(lambda: parts.seen(context, whole), context), parts.facts(context, whole)], className="row wide"
        ),
        html.Div(
            [error_boundary(lambda: _causes(context), context), error_boundary(lambda: _balance(context), context)],
            className="row",
        ),
        error_boundary(lambda: parts.silent(context), context),
        error_boundary(lambda: _splits(context), context),
        error_boundary(lambda: _jobs(context), context),
    ]


def _months(context: PageContext, whole: Row) -> Any:
    """How well each month was measured: to who sees protected figures, who is shown no host and no day."""
    language, zone = context.view.language, context.config.timezone
    head = [say(language, name) for name in ("period", "coverage_short", "quality", "quality_half", "status")]
    body = []
    for row in context.rows(every="month"):
        month = period_name(period_at(parse_instant(row["period_start"]), zone, 1), language)
        if row["energy_kwh"] is None or row["coverage"] is None:
            body.append((month, absent(row, language), "", "", ""))
            continue
        half = (row["energy_high_kwh"] - row["energy_low_kwh"]) / 2 / row["energy_kwh"] if row["energy_kwh"] else 0.0
        status = say(language, "status_provisional" if "provisional" in row["status"] else "status_final")
        body.append(
            (
                month,
                format_percent(row["coverage"], language),
                badge(row["quality"], language),
                f"±{format_percent(half, language, floor=False)}",
                status,
            )
        )
    title = say(language, "quality_months")
    return block(
        title,
        say(language, "quality_months_sub"),
        scrolled(table(head, body, title), title),
        language,
        sentences=[say(language, "quality_protected")],
        data=[(form.upper(), context.data(form, every="month")) for form in ("csv", "json", "parquet")],
        source=parts.source(whole, language),
    )


def _causes(context: PageContext) -> Any:
    """What makes the total uncertain, the largest first: a tornado."""
    language = context.view.language
    assert context.store is not None
    found = uncertainty_budget(context.store, context.config, context.question(), context.now_us)
    if not found:
        return None
    largest = max(max(row["low_kwh"], row["high_kwh"]) for row in found)
    size, unit = energy_unit(largest)
    body = []
    for row in found:
        sides = [
            html.Div(
                html.Div(className=f"side {side}", style={"width": f"{100 * row[f'{side}_kwh'] / largest:.1f}%"}),
                className=f"half {side}",
            )
            for side in ("low", "high")
        ]
        amounts = [format_number(row[f"{side}_kwh"] / size, language) for side in ("low", "high")]
        body.append((cause_text(row["cause"]).in_(language), html.Div(sides, className="tornado", **ASIDE), *amounts))
    title = say(language, "causes_title", cause=lower_first(cause_text(found[0]["cause"]).in_(language)))
    head = [say(language, "cause"), "", say(language, "low"), say(language, "high")]
    return block(
        title,
        say(language, "causes_sub", unit=unit),
        scrolled(table(head, body, title), title),
        language,
        data=_forms("uncertainty"),
    )


def _balance(context: PageContext) -> Any:
    language = context.view.language
    assert context.store is not None
    found = energy_balance(context.store, context.config, *context.view.bounds(context.config, context.now_us))
    bad = [row["host"] for row in found if not row["closes"]]
    size, unit = energy_unit(max((row["meter_kwh"] or 0.0 for row in found), default=0.0))
    said = say(language, "balance_bad", hosts=", ".join(bad)) if bad else say(language, "balance_ok")
    head = [
        say(language, "host"),
        *(f"{say(language, name)}, {unit}" for name in ("meter", "services_sum", "(idle)", "(unattributed)")),
        say(language, "residual"),
        say(language, "closes"),
    ]
    body = [
        (
            row["host"],
            *(
                format_number((row[name] or 0.0) / size, language)
                for name in ("meter_kwh", "services_kwh", "idle_kwh", "unattributed_kwh")
            ),
            str(row["residual_uj"]),
            say(language, "yes" if row["closes"] else "no"),
        )
        for row in found
    ]
    title = say(language, "balance_title")
    return block(title, said, scrolled(table(head, body, title), title), language, data=_forms("balance"))


def _splits(context: PageContext) -> Any:
    language = context.view.language
    assert context.store is not None
    found = split_diagnostics(context.store, *context.view.bounds(context.config, context.now_us))
    head = [say(language, name) for name in ("date", "service", "host", "status", "reason", "requests", "fit_residual")]
    body = [
        (
            row["date"],
            row["service"],
            row["host"],
            say(language, f"split_{row['status']}"),
            reason_words(row["reason"] or "", language),
            format_number(row["requests"] or 0, language),
            "" if row["residual"] is None else format_percent(row["residual"], language, floor=False),
        )
        for row in found[-MAX_SPLITS:]
    ]
    title = say(language, "splits_title")
    return block(
        title,
        say(language, "splits_sub"),
        scrolled(table(head, body, title), title, "tall prose"),
        language,
        data=_forms("splits"),
        wide=True,
    )


def _jobs(context: PageContext) -> Any:
    language = context.view.language
    assert context.store is not None
    found = latest_runs(context.store)
    head = [say(language, name) for name in ("job", "status", "started", "duration", "said")]
    body = [
        (
            run["name"],
            run["status"],
            format_local_time(format_instant(run["started_us"]), context.config.timezone, language),
            "" if run["ended_us"] is None else format_number((run["ended_us"] - run["started_us"]) / US_PER_S, language),
            run["said"],
        )
        for run in found
    ]
    title = say(language, "jobs_title")
    shown = scrolled(table(head, body, title), title, "prose") if body else html.P(say(language, "jobs_none"))
    return block(title, "", shown, language, data=_forms("jobs"), wide=True)


def _forms(name: str) -> list[tuple[str, str]]:
    """Where a table stands at the API."""
    return [(form.upper(), f"/api/v1/tables/{name}?format={form}") for form in ("csv", "json", "parquet")]
