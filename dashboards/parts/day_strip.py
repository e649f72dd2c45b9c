"""Coverage by day: strip at the top of a page, and card with one strip a host."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from babel.dates import format_date
from dash import html

from dashboards.components import DECORATIVE, Row, card, state_strip, table
from dashboards.parts.headlines import source_line
from dashboards.translations import translate
from dashboards.url_state import PageContext, shows_protected_only
from footprint.calendar.ranges import split_by_period
from footprint.config import Config
from footprint.core.timestamps import format_instant, parse_instant, to_datetime
from footprint.core.units import US_PER_DAY
from footprint.figures import Query
from footprint.figures.coverage import UNEXPECTED, build_coverage_index
from footprint.figures.engine import open_result
from footprint.i18n.formatting import format_local_time, format_percent
from footprint.queries.agent_liveness import host_liveness
from footprint.storage.database import Store

DAY_STATES = ("measured", "estimated", "missing")
STALE_AFTER_US = US_PER_DAY
MAX_LABELS = 4


HostDayStates = dict[str, list[tuple[str, str]]]  # host -> (date, state) of each day


def day_states(context: PageContext) -> HostDayStates:
    """Coverage state of each host on each day of the period; empty for roles that see no hosts."""
    if context.store is None:
        return {}
    states: HostDayStates = context.read(_host_day_states, context.query(group=("host",), view="active"))
    return states


def _host_day_states(store: Store, config: Config, query: Query, now_us: int) -> HostDayStates:
    """States of the hosts in the answer to a query. Coverage alone is cut by day: energy by host and day would cost far more."""
    with open_result(store, config, query, now_us) as result:
        if result is None:
            return {}
        ((start_us, end_us),) = result.periods
        periods = split_by_period("day", start_us, end_us, config.timezone)
        groups = result.groups.values()
        filtered = (
            (set().union(*(group.services for group in groups)), set().union(*(group.hosts for group in groups)))
            if query.where
            else None
        )
        index = build_coverage_index(result.source, start_us, end_us, periods, now_us, services_and_hosts=filtered)
        by_day = replace(result, periods=periods, coverage_index=index)
        days = [_local_date(day_us, config.timezone) for day_us, _ in periods]
        states = {host: host_states for (host,), host_states in sorted(by_day.states().items()) if host}
    expected = [index for index in range(len(days)) if any(host_states[index] != UNEXPECTED for host_states in states.values())]
    span = slice(expected[0], expected[-1] + 1) if expected else slice(0)
    return {host: list(zip(days, host_states, strict=True))[span] for host, host_states in states.items()}


def _local_date(at_us: int, zone: Any) -> str:
    return to_datetime(at_us).astimezone(zone).date().isoformat()


def day_strip(context: PageContext, total: Row) -> html.Div:
    """Strip at the top of a page, each day in the worst state of any host."""
    language = context.view.language
    worst = (*DAY_STATES[::-1], UNEXPECTED)
    by_day: dict[str, str] = {}
    for states in day_states(context).values():
        for day, state in states:
            by_day[day] = min(by_day.get(day, UNEXPECTED), state, key=worst.index)
    status = translate(language, "status_provisional" if "provisional" in total["status"] else "status_final")
    last = _data_end(context, total)
    end = format_local_time(last, context.config.timezone, language)
    data_to = translate(language, "data_to", end=end, zone=str(context.config.timezone))
    share = translate(language, "not_covered")
    if total["coverage"] is not None:
        share = translate(language, "strip_coverage", share=format_percent(total["coverage"], language))
    expected = [state for state in by_day.values() if state != UNEXPECTED]
    if expected:
        measured = str(sum(state == "measured" for state in expected))
        share += f" · {translate(language, 'strip_days', measured=measured, days=str(len(expected)))}"
    stale: list[Any] = []
    ends = context.view.bounds(context.config, context.now_us)[1]
    if (ends is None or ends > context.now_us) and context.now_us - parse_instant(last) > STALE_AFTER_US:
        stale = [html.P(translate(language, "stale", last=end), className="stale", role="status")]
    return html.Div(
        [
            state_strip(sorted(by_day.items()), translate(language, "strip_label")) if by_day else None,
            html.P([html.Span([html.B(status), f" · {data_to}"]), html.Span(share)], className="under-strip"),
            *stale,
        ],
        className="day-strip",
    )


def _data_end(context: PageContext, total: Row) -> str:
    """Last instant of data: that of readings, for a request or a page view is no sign that anything was measured."""
    end = str(total["period_end"])
    if context.store is None:
        return end
    readings = [host.last_us for host in host_liveness(context.store, context.config, context.now_us)]
    return min(end, format_instant(max(readings)), key=parse_instant) if readings else end


def coverage_card(context: PageContext, total: Row) -> Any:
    """Card with one strip a host, its share of days measured and its longest gap; None for roles that may not see hosts."""
    language = context.view.language
    if shows_protected_only(context.role, context.view):
        return None
    by_host = day_states(context)
    rows, body = [], []
    for host, states in by_host.items():
        expected = sum(state != UNEXPECTED for _, state in states)
        share = sum(state == "measured" for _, state in states) / max(expected, 1)
        label = f"{host} : {format_percent(share, language)} {translate(language, 'measured')}"
        name = html.Span(html.A(host, href=context.view.link("/hosts", name=host)), className="strip-name")
        rows.append(html.Div([name, state_strip(states, label), html.B(format_percent(share, language))], className="strip-row"))
        counts = [sum(state == kind for _, state in states) for kind in DAY_STATES]
        body.append((host, *(str(count) for count in counts), format_percent(share, language)))
    legend = [
        html.Span([html.Span(className=f"cell {kind}", **DECORATIVE), translate(language, kind)], className="key")
        for kind in DAY_STATES
    ]
    head = [
        translate(language, "host"),
        *(translate(language, kind) for kind in DAY_STATES),
        translate(language, "days_measured"),
    ]
    days = [day for day, _ in next(iter(by_host.values()), [])]
    return card(
        translate(language, "seen_title"),
        translate(language, "seen_sub"),
        [_date_axis(days, language), *rows, html.P(legend, className="keys")],
        language,
        sentences=_gap_sentences(by_host, language),
        table=table(head, body, translate(language, "seen_title")),
        data=context.data_links(group="host", every="day"),
        source=source_line(total, language),
    )


def _date_axis(days: list[str], language: str) -> html.Div:
    labels = [
        html.Span(label, className="axis-label", style={"left": f"{at:.1f}%"})
        for at, label in day_labels(days, language, MAX_LABELS)
    ]
    return html.Div(labels, className="strip-axis", **DECORATIVE)


def day_labels(days: list[str], language: str, max_labels: int) -> list[tuple[float, str]]:
    """Labels under a row of days, as (position in percent, text): months if there are several, else days."""
    if not days:
        return []
    months = [n for n, day in enumerate(days) if day.endswith("-01")]
    if len(days) > 62:
        step = -(-len(months) // max_labels) or 1
        chosen, form = months[::step], "MMMM"
    else:
        step = max(-(-len(days) // max_labels), 1)
        chosen, form = list(range(0, len(days), step)), "d MMM"
    return [
        (100 * n / len(days), str(format_date(date.fromisoformat(days[n]), form, locale=language)))
        for n in chosen
        if n < len(days) * 0.93
    ]


def _gap_sentences(by_host: dict[str, list[tuple[str, str]]], language: str) -> list[str]:
    """Longest run of missing days of each host, as sentences."""
    sentences = []
    for host, states in by_host.items():
        runs: list[list[str]] = [[]]
        for day, state in states:
            if state == "missing":
                runs[-1].append(day)
            elif runs[-1]:
                runs.append([])
        longest = max(runs, key=len)
        if longest:
            first, last = (
                str(format_date(date.fromisoformat(missing_day), "d MMM", locale=language))
                for missing_day in (longest[0], longest[-1])
            )
            key = "gap_days" if len(longest) > 1 else "gap_day"
            # An abbreviated month ends with a full stop, which would double that of the sentence.
            sentences.append(translate(language, key, host=host, first=first, last=last).replace("..", "."))
    return [" ".join(sentences)] if sentences else []
