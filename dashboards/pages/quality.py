"""Quality: coverage, causes of uncertainty, energy balance, sensors, silent agents, split diagnostics, server jobs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from dash import html

from dashboards.card_frames import CardFrame, FrameRow, PageParts, figure_frame, head_frame, strip_frame
from dashboards.components import DECORATIVE, Row, card, page_title, quality_badge, scrollable, table
from dashboards.diagnosis_messages import translate_diagnosis
from dashboards.parts.calibrations import calibrations_card
from dashboards.parts.day_strip import coverage_card, day_strip
from dashboards.parts.filters import filter_bar, period_label, period_name
from dashboards.parts.headlines import empty_state, headline, source_line
from dashboards.parts.log_quality import log_quality_card
from dashboards.parts.notices import balance_finding, notices_card
from dashboards.parts.refused_records import refused_records_card
from dashboards.parts.sensors import sensors_card
from dashboards.translations import missing_mark, translate
from dashboards.url_state import PageContext, table_links
from footprint.access.authorization import CONFIDENTIAL
from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.calendar.periods import period_at
from footprint.core.timestamps import format_instant, parse_instant
from footprint.core.units import US_PER_DAY, US_PER_HOUR, US_PER_S
from footprint.editions.sections.uncertainty import cause_text, lower_first
from footprint.i18n.formatting import energy_unit, format_local_time, format_number, format_percent
from footprint.ledger.refusals import refusals_by_reason
from footprint.queries.agent_liveness import REPORTING, RETIRED, RETIRED_AFTER_US, SILENT, HostLiveness, host_liveness
from footprint.queries.energy_balance import energy_balance
from footprint.queries.split_diagnostics import split_diagnostics
from footprint.queries.uncertainty_budget import uncertainty_budget
from footprint.server.job_runs import latest_runs

PATH, TITLE = "/quality", "nav_quality"
MAX_AGENTS = 20
MAX_SPLITS = 60
SECONDS_A_MINUTE = 60


def content(context: PageContext) -> PageParts:
    """Coverage first, then the details that auditors need."""
    language = context.view.language

    def frame(name: str, build: Callable[[Row], Any], title: str = "", **options: Any) -> CardFrame:
        text = translate(language, title) if title else ""
        return figure_frame(context, name, partial(_build_if_public, build), text, **options)

    first = (
        frame("months", partial(_months_card, context), "quality_months")
        if context.store is None
        else frame("coverage", partial(coverage_card, context), "seen_title")
    )
    parts: list[CardFrame | FrameRow] = [
        strip_frame(context, partial(_build_if_public, partial(day_strip, context))),
        head_frame(translate(language, TITLE), partial(_head, context)),
        FrameRow([first, frame("notices", partial(notices_card, context), "facts_title")], "row wide"),
    ]
    if context.store is not None:
        parts += [
            FrameRow(
                [
                    frame("uncertainty", lambda _: _uncertainty_card(context), "frame_causes"),
                    frame("balance", lambda _: _balance_card(context), "balance_title"),
                ]
            ),
            frame("sensors", lambda _: sensors_card(context), "frame_sensors", height_px=200, kind="wide"),
            frame("calibrations", lambda _: calibrations_card(context), "sens_calibration", height_px=150, kind="wide"),
            frame("agents", lambda _: silent_agents_card(context), "frame_agents", height_px=150, kind="wide"),
            frame("splits", lambda _: _splits_card(context), "splits_title", kind="wide"),
            frame("logs", lambda _: log_quality_card(context), "log_quality_title", height_px=150, kind="wide"),
            frame("refused", lambda _: refused_records_card(context), "refused_title", height_px=150, kind="wide"),
            frame("jobs", lambda _: _jobs_card(context), "jobs_title", height_px=200, kind="wide"),
        ]
    return PageParts(parts, partial(filter_bar, context))


def _build_if_public(build: Callable[[Row], Any], total: Row) -> Any:
    """Card of the page; None if its figures are suppressed, which the head of the page says."""
    return None if total.get("conf_status") == CONFIDENTIAL else build(total)


def _head(context: PageContext) -> list[Any]:
    language, rows = context.view.language, context.rows()
    if not rows:
        return empty_state(context)
    total = rows[0]
    if total.get("conf_status") == CONFIDENTIAL:
        return headline(context, total)
    title = translate(language, "quality_unknown")
    if total["coverage"] is not None:
        title = translate(language, "quality_title", share=format_percent(total["coverage"], language))
    return [page_title(title), html.P(period_label(context), className="lead")]


def _months_card(context: PageContext, total: Row) -> Any:
    """Monthly coverage and quality, for roles that may not see hosts or days."""
    language, zone = context.view.language, context.config.timezone
    head = [translate(language, name) for name in ("period", "coverage_short", "quality", "quality_half", "status")]
    body = []
    for row in context.rows(every="month"):
        month = period_name(period_at(parse_instant(row["period_start"]), zone, 1), language)
        if row["energy_kwh"] is None or row["coverage"] is None:
            body.append((month, missing_mark(row, language), "", "", ""))
            continue
        half_width = (row["energy_high_kwh"] - row["energy_low_kwh"]) / 2 / row["energy_kwh"] if row["energy_kwh"] else 0.0
        status = translate(language, "status_provisional" if "provisional" in row["status"] else "status_final")
        body.append(
            (
                month,
                format_percent(row["coverage"], language),
                quality_badge(row["quality"], language),
                f"±{format_percent(half_width, language, floor=False)}",
                status,
            )
        )
    title = translate(language, "quality_months")
    return card(
        title,
        translate(language, "quality_months_sub"),
        scrollable(table(head, body, title), title),
        language,
        sentences=[translate(language, "quality_protected")],
        data=context.data_links(every="month"),
        source=source_line(total, language),
    )


def _uncertainty_card(context: PageContext) -> Any:
    """Causes of uncertainty of the total, the largest first, as a tornado chart."""
    language = context.view.language
    assert context.store is not None
    causes = uncertainty_budget(context.store, context.config, context.query(), context.now_us)
    if not causes:
        return None
    largest = max(max(row["low_kwh"], row["high_kwh"]) for row in causes)
    size, unit = energy_unit(largest)
    body = []
    for row in causes:
        bars = [
            html.Div(
                html.Div(className=f"side {side}", style={"width": f"{100 * row[f'{side}_kwh'] / largest:.1f}%"}),
                className=f"half {side}",
            )
            for side in ("low", "high")
        ]
        amounts = [format_number(row[f"{side}_kwh"] / size, language) for side in ("low", "high")]
        body.append((cause_text(row["cause"]).in_(language), html.Div(bars, className="tornado", **DECORATIVE), *amounts))
    title = translate(language, "causes_title", cause=lower_first(cause_text(causes[0]["cause"]).in_(language)))
    head = [translate(language, "cause"), "", translate(language, "low"), translate(language, "high")]
    return card(
        title,
        translate(language, "causes_sub", unit=unit),
        scrollable(table(head, body, title), title),
        language,
        data=table_links("uncertainty"),
    )


def _balance_card(context: PageContext) -> Any:
    language = context.view.language
    assert context.store is not None
    balances = energy_balance(context.store, context.config, *context.view.bounds(context.config, context.now_us))
    size, unit = energy_unit(max((row["meter_kwh"] or 0.0 for row in balances), default=0.0))
    finding = balance_finding(context, balances)
    head = [
        translate(language, "host"),
        *(f"{translate(language, name)}, {unit}" for name in ("meter", "services_sum", IDLE_NAME, UNATTRIBUTED_NAME)),
        translate(language, "residual"),
        translate(language, "closes"),
    ]
    body = [
        (
            row["host"],
            *(
                format_number((row[name] or 0.0) / size, language)
                for name in ("meter_kwh", "services_kwh", "idle_kwh", "unattributed_kwh")
            ),
            str(row["residual_uj"]),
            translate(language, f"balance_{row['state']}"),
        )
        for row in balances
    ]
    title = translate(language, "balance_title")
    return card(title, finding, scrollable(table(head, body, title), title), language, data=table_links("balance"))


def _splits_card(context: PageContext) -> Any:
    language = context.view.language
    assert context.store is not None
    splits = split_diagnostics(context.store, *context.view.bounds(context.config, context.now_us))
    head = [translate(language, name) for name in ("date", "service", "host", "status", "reason", "requests", "fit_residual")]
    body = [
        (
            row["date"],
            row["service"],
            row["host"],
            translate(language, f"split_{row['status']}"),
            translate_diagnosis(row["reason"] or "", language),
            format_number(row["requests"] or 0, language),
            "" if row["residual"] is None else format_percent(row["residual"], language, floor=False),
        )
        for row in splits[-MAX_SPLITS:]
    ]
    title = translate(language, "splits_title")
    return card(
        title,
        translate(language, "splits_sub"),
        scrollable(table(head, body, title), title, "tall prose"),
        language,
        data=table_links("splits"),
        wide=True,
    )


def _jobs_card(context: PageContext) -> Any:
    language = context.view.language
    assert context.store is not None
    runs = latest_runs(context.store)
    head = [translate(language, name) for name in ("job", "status", "started", "duration", "said")]
    body = [
        (
            run["name"],
            run["status"],
            format_local_time(format_instant(run["started_us"]), context.config.timezone, language),
            "" if run["ended_us"] is None else format_number((run["ended_us"] - run["started_us"]) / US_PER_S, language),
            run["said"],
        )
        for run in runs
    ]
    title = translate(language, "jobs_title")
    run_table = scrollable(table(head, body, title), title, "prose") if body else html.P(translate(language, "jobs_none"))
    return card(title, "", run_table, language, data=table_links("jobs"), wide=True)


def silent_agents_card(context: PageContext) -> Any:
    """Agents that are silent now, whatever the period of the page; None if the ledger has no host."""
    language = context.view.language
    assert context.store is not None
    hosts = host_liveness(context.store, context.config, context.now_us)
    refused = refusals_by_reason(context.store)
    if not hosts and not refused:
        return None
    in_service = sorted((host for host in hosts if host.state != RETIRED), key=lambda host: host.state != SILENT)
    retired = sum(host.state == RETIRED for host in hosts)
    title = _silent_agents_title(hosts, language)
    head = [translate(language, "host"), translate(language, "last_reading"), translate(language, "silent_h")]
    body = [
        (
            html.A(host.host, href=context.view.link("/hosts", name=host.host)),
            format_local_time(format_instant(host.last_us), context.config.timezone, language),
            format_number(host.silent_us / US_PER_HOUR, language),
        )
        for host in in_service[:MAX_AGENTS]
    ]
    days = str(RETIRED_AFTER_US // US_PER_DAY)
    minutes = format_number(context.config.notify.silent_after_s / SECONDS_A_MINUTE, language)
    return card(
        title,
        translate(language, "silent_sub", minutes=minutes, zone=str(context.config.timezone)),
        scrollable(table(head, body, title), title) if body else None,
        language,
        sentences=[
            *([translate(language, "silent_retired", number=str(retired), days=days)] if retired else []),
            *([_refused_sentence(refused, language)] if refused else []),
        ],
        data=table_links("silent"),
        wide=True,
    )


def _refused_sentence(refused: dict[str, int], language: str) -> str:
    count, reasons = format_number(sum(refused.values()), language), str(len(refused))
    return translate(language, "silent_refused", number=count, reasons=reasons)


def _silent_agents_title(hosts: list[HostLiveness], language: str) -> str:
    """Number of silent agents among those in service; retired hosts do not count."""
    reporting, silent = (sum(host.state == state for host in hosts) for state in (REPORTING, SILENT))
    if silent:
        return translate(language, "silent_title", number=str(silent), all=str(silent + reporting))
    return translate(language, "silent_none" if reporting else "silent_all_retired")
