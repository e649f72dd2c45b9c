"""Sensors of one host: what is read, what its witness says, self-test, calibration, and parts against the whole server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from dash import html

from dashboards import plotly_figures
from dashboards.card_frames import CardFrame, FrameRow, PageParts, head_frame
from dashboards.components import card, link_menu, message, page_title, plotly_graph, scrollable, table
from dashboards.parts.calibrations import host_calibration_card
from dashboards.translations import translate
from dashboards.url_state import TABLE_FORMATS, PageContext
from footprint.i18n.formatting import format_estimate, format_interval, format_local_time, format_number, format_percent
from footprint.ledger.selftests import latest_selftests
from footprint.queries.sensors import WALL_DAYS, WallComparison, sensor_hosts, sensor_table, wall_comparison

PATH, TITLE = "/sensors", "nav_sensors"
MAX_WALL_ROWS = 12
Row = dict[str, Any]


def content(context: PageContext) -> PageParts:
    """Verdicts first, then what they rest on; without a host in the URL, the first one."""
    language = context.view.language

    def frame(name: str, build: Callable[[PageContext, str], Any], title: str, **options: Any) -> CardFrame:
        return CardFrame(name, partial(_build_for_host, context, build), translate(language, title), **options)

    return PageParts(
        [
            head_frame(translate(language, TITLE), partial(_head, context)),
            frame("verdicts", _verdicts_card, "sens_verdicts", kind="wide"),
            FrameRow(
                [
                    frame("selftest", _selftest_card, "sens_selftest"),
                    frame("calibration", host_calibration_card, "sens_calibration"),
                ]
            ),
            FrameRow([frame("wall", _wall_card, "sens_wall"), frame("residuals", _residuals_card, "sens_residuals")]),
            frame("unread", _unread_card, "sens_unread", height_px=200, kind="wide"),
        ]
    )


def _build_for_host(context: PageContext, build: Callable[[PageContext, str], Any]) -> Any:
    """A card of the host; None where there is none, which the head says."""
    host = _host(context)
    return None if context.store is None or not host else build(context, host)


def _hosts(context: PageContext) -> list[str]:
    return context.read(_known_hosts)  # type: ignore[no-any-return]


def _known_hosts(store: Any, _config: Any, _now_us: int) -> list[str]:
    return sensor_hosts(store)


def _rows(context: PageContext, host: str) -> list[Row]:
    return context.read(_sensors_of_host, host, context.view.language)[0]  # type: ignore[no-any-return]


def _sensors_of_host(store: Any, config: Any, host: str, language: str, now_us: int) -> tuple[list[Row], dict[str, Any] | None]:
    """Rows of the sensors of a host, and its newest self-test."""
    with store.read() as connection:
        report = latest_selftests(connection).get(host)
    return sensor_table(store, config, now_us, language, host=host), report


def _comparison(context: PageContext, host: str) -> WallComparison | None:
    return context.read(_comparison_of_host, host, _end_us(context))  # type: ignore[no-any-return]


def _comparison_of_host(store: Any, config: Any, host: str, end_us: int, _now_us: int) -> WallComparison | None:
    return wall_comparison(store, config, host, end_us)


def _end_us(context: PageContext) -> int:
    """End of the period of the page, or now."""
    end_us = context.view.bounds(context.config, context.now_us)[1]
    return context.now_us if end_us is None else min(end_us, context.now_us)


def _host(context: PageContext) -> str:
    """The host of the URL, else the first one; empty where none is known."""
    named = next((value for name, value in context.view.filters if name == "host"), "")
    return named or next(iter(_hosts(context)), "")


def _head(context: PageContext) -> list[Any]:
    view, language = context.view, context.view.language
    hosts = [] if context.store is None else _hosts(context)
    if not hosts:
        return [message(translate(language, "sens_none_title"), translate(language, "sens_none"))]
    host = _host(context)
    rows = _rows(context, host)
    counts = {
        "read": str(sum(row["last_reading"] is not None for row in rows)),
        "unread": str(sum(row["last_reading"] is None for row in rows)),
    }
    parts: list[Any] = [page_title(translate(language, "sens_title", host=host))]
    if not rows:
        return [*parts, html.P(translate(language, "sens_unknown_host", host=host), className="lead", role="status")]
    parts.append(html.P(translate(language, "sens_lead", **counts), className="lead"))
    if len(hosts) > 1:
        menu = link_menu(view, "host", translate(language, "host"), host, [(name, name) for name in hosts])
        parts.append(html.Div(menu, className="filters"))
    return parts


def _data(context: PageContext, host: str) -> list[tuple[str, str]]:
    address = f"/api/v1/sensors?{urlencode({'host': host, 'lang': context.view.language})}"
    return [(form.upper(), f"{address}&format={form}") for form in TABLE_FORMATS]


def _verdicts_card(context: PageContext, host: str) -> Any:
    language, zone = context.view.language, context.config.timezone
    rows = [row for row in _rows(context, host) if row["last_reading"] is not None]
    names = ("device", "sens_source", "sens_grade", "sens_verdict", "sens_witness", "reason", "sens_judged", "sens_allowed")
    head = [translate(language, name) for name in (*names, "sens_since", "sens_doubt", "last_reading")]
    body = [
        (
            row["device"],
            row["source"],
            translate(language, f"sens_grade_{row['grade']}"),
            row["verdict"] or translate(language, "sens_unjudged"),
            row["witness"] or "",
            row["reason"] or "",
            _joules(row["judged_j"], language),
            "" if row["witness_low_j"] is None else format_interval(row["witness_low_j"], row["witness_high_j"], language),
            _instant(row["since"], zone, language),
            _joules(row["doubt_j"], language),
            _instant(row["last_reading"], zone, language),
        )
        for row in rows
    ]
    title = translate(language, "sens_verdicts")
    return card(
        title,
        translate(language, "sens_verdicts_sub", zone=str(zone)),
        scrollable(table(head, body, title), title, "prose"),
        language,
        data=_data(context, host),
        wide=True,
    )


def _joules(value: float | None, language: str) -> str:
    return "" if value is None else format_number(value, language)


def _instant(text: str | None, zone: Any, language: str) -> str:
    return format_local_time(text, zone, language) if text else ""


def _selftest(context: PageContext, host: str) -> dict[str, Any] | None:
    """The newest report of a self-test of the host; None without one."""
    return context.read(_sensors_of_host, host, context.view.language)[1]  # type: ignore[no-any-return]


def _selftest_card(context: PageContext, host: str) -> Any:
    language = context.view.language
    title = translate(language, "sens_selftest")
    report = _selftest(context, host)
    if report is None:
        steps = [
            html.P(translate(language, "sens_selftest_none")),
            html.Pre(html.Code(f"footprint-agent selftest --output {host}.json\nfootprint sensors {host} --import {host}.json")),
        ]
        return card(title, "", steps, language)
    names = ("device", "sens_source", "sens_verdict", "sens_update", "sens_resolution", "sens_jitter", "sens_lag", "sens_noise")
    body = [
        (
            row["device"],
            row["source"],
            translate(language, f"sens_said_{row['verdict'].replace(' ', '_')}"),
            _joules(row["update_period_s"], language),
            "" if row["resolution"] is None else f"{format_number(row['resolution'], language)}\u00a0{row['resolution_unit']}",
            *(_joules(row[name], language) for name in ("jitter_ms", "lag_s", "noise_w")),
        )
        for row in report["sensors"]
    ]
    when = _instant(report["at"], context.config.timezone, language)
    return card(
        title,
        translate(language, "sens_selftest_sub", at=when),
        scrollable(table([translate(language, name) for name in names], body, title), title),
        language,
        data=_data(context, host),
    )


def _wall_card(context: PageContext, host: str) -> Any:
    language = context.view.language
    comparison = _comparison(context, host)
    title = translate(language, "sens_wall")
    if comparison is None:
        return card(title, "", html.P(translate(language, "sens_wall_none")), language)
    if comparison.slope is not None:
        half = comparison.slope_half_width
        slope = format_estimate(comparison.slope, comparison.slope - half, comparison.slope + half, language)
        title = translate(language, "sens_wall_slope", slope=f"{slope.value} {slope.interval}".strip())
    subtitle = translate(language, "sens_wall_sub", days=str(WALL_DAYS), count=str(len(comparison.wall_w)))
    figure = plotly_figures.wall_figure(
        comparison.parts_w.tolist(), comparison.wall_w.tolist(), comparison.slope, comparison.intercept_w, language
    )
    return card(
        title,
        subtitle,
        plotly_graph(figure, "wall", f"{title}. {subtitle}", "", plotly_figures.plotly_locale(language)),
        language,
        table=_wall_table(comparison, language, title),
    )


def _wall_table(comparison: WallComparison, language: str, title: str) -> Any:
    """Windows from the lowest to the highest load, thinned out."""
    order = comparison.parts_w.argsort()
    chosen = order[:: max(len(order) // MAX_WALL_ROWS, 1)].tolist()
    head = [translate(language, name) for name in ("sens_parts_w", "sens_wall_w", "sens_ratio")]
    body = [
        (
            format_number(comparison.parts_w[index], language),
            format_number(comparison.wall_w[index], language),
            format_number(comparison.wall_w[index] / comparison.parts_w[index], language, 4) if comparison.parts_w[index] else "",
        )
        for index in chosen
    ]
    return table(head, body, title)


def _residuals_card(context: PageContext, host: str) -> Any:
    language = context.view.language
    comparison = _comparison(context, host)
    if comparison is None or comparison.slope is None:
        return None
    expected = comparison.slope * comparison.parts_w + comparison.intercept_w
    shares = (comparison.wall_w - expected) / expected
    largest = float(abs(shares).max())
    title = translate(language, "sens_residuals_title", share=format_percent(largest, language, floor=False))
    figure = plotly_figures.residual_figure(comparison.parts_w.tolist(), (100 * shares).tolist(), language)
    subtitle = translate(language, "sens_residuals_sub")
    head = [translate(language, name) for name in ("sens_parts_w", "sens_residual")]
    order = comparison.parts_w.argsort()
    chosen: Sequence[int] = order[:: max(len(order) // MAX_WALL_ROWS, 1)].tolist()
    body = [
        (format_number(comparison.parts_w[index], language), format_percent(shares[index], language, floor=False))
        for index in chosen
    ]
    return card(
        title,
        subtitle,
        plotly_graph(figure, "residuals", f"{title}. {subtitle}", "", plotly_figures.plotly_locale(language)),
        language,
        table=table(head, body, title),
    )


def _unread_card(context: PageContext, host: str) -> Any:
    language = context.view.language
    rows = [row for row in _rows(context, host) if row["last_reading"] is None]
    report = _selftest(context, host)
    reasons = [] if report is None else report["not_read"]
    title = translate(language, "sens_unread")
    if not rows and not reasons:
        return card(title, "", html.P(translate(language, "sens_unread_none")), language, wide=True)
    parts: list[Any] = []
    if rows:
        head = [translate(language, name) for name in ("device", "sens_source", "status", "reason")]
        body = [(row["device"], row["source"], row["state"] or "", row["reason"] or "") for row in rows]
        parts.append(scrollable(table(head, body, title), title, "prose"))
    if reasons:
        # The agent's own sentences, in its language.
        sentences = html.Ul([html.Li(sentence, lang="en") for sentence in reasons])
        parts += [html.P(translate(language, "sens_at_selftest")), sentences]
    return card(title, translate(language, "sens_unread_sub"), parts, language, wide=True)
