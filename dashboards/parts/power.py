"""Power of a host's devices as measured, with the requests that ran at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from babel.dates import format_datetime
from dash import dcc, html

from dashboards import plotly_figures
from dashboards.components import card, plotly_graph, table
from dashboards.plotly_figures import RequestSpan
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.core.units import US_PER_HOUR, US_PER_S
from footprint.i18n.formatting import format_number
from footprint.ledger.ledger_view import LedgerView

LIVE_MS = 10_000
WINDOW_US = US_PER_HOUR // 6  # ten minutes: short enough to tell single requests apart
SILENCE_STEPS = 10  # median sampling steps without a sample that make a gap
MAX_REQUESTS = 160
MAX_ROWS = 8
Traces = dict[str, tuple[list[datetime], list[float | None]]]


def power_card(context: PageContext, host: str) -> Any:
    """Card of the power of each device [W] in the last minutes measured; updates until paused."""
    language = context.view.language
    chart = power_figure(context, host)
    if chart is None:
        return None
    figure, traces = chart
    largest = max((power_w for _, powers_w in traces.values() for power_w in powers_w if power_w is not None), default=0.0)
    title = translate(language, "power_title", watts=format_number(largest, language))
    last = max(times[-1] for times, _ in traces.values())
    subtitle = translate(
        language,
        "power_sub",
        host=host,
        end=format_datetime(last, "d MMM y HH:mm", locale=language),
        minutes=str(WINDOW_US // US_PER_S // 60),
        zone=str(context.config.timezone),
    )
    head = [
        translate(language, "device"),
        translate(language, "least_w"),
        translate(language, "median_w"),
        translate(language, "most_w"),
    ]
    body = []
    for device, (_, watts) in sorted(traces.items()):
        known = [power_w for power_w in watts if power_w is not None]
        body.append(
            (device, *(format_number(statistic, language) for statistic in (min(known), float(np.median(known)), max(known))))
            if known
            else (device,)
        )
    live = [
        html.Button(translate(language, "pause"), id="pause", type="button", className="button"),
        dcc.Interval(id="live", interval=LIVE_MS),
    ]
    return card(
        title,
        subtitle,
        [
            plotly_graph(figure, "power", f"{title}. {subtitle}", "power", plotly_figures.plotly_locale(language)),
            html.P([*live, " ", translate(language, "live")], className="sub"),
        ],
        language,
        sentences=[translate(language, "power_key")],
        table=table(head, body, title),
        source=translate(language, "source_raw"),
        wide=True,
    )


def power_figure(context: PageContext, host: str) -> Any:
    """Chart and traces of the power of a host; None without readings."""
    if context.store is None:
        return None
    traces: Traces = {}
    silences: list[tuple[datetime, datetime]] = []

    def local(at_us: int) -> datetime:
        return datetime.fromtimestamp(at_us / US_PER_S, UTC).astimezone(context.config.timezone)

    with context.store.read() as connection:
        view = LedgerView(context.store, connection)
        streams = [
            candidate
            for candidate in view.streams().get(host, [])
            if candidate.quantity in ("energy", "power") and candidate.grade in ("counter", "power", "modelled")
        ]
        ends = [
            int(view.stream_days(candidate.id).last_us.max()) for candidate in streams if len(view.stream_days(candidate.id).day)
        ]
        if not ends:
            return None
        end = max(ends)
        begin = end - WINDOW_US
        for stream in streams:
            samples = view.samples(stream.id, begin, end + 1)
            if len(samples) < 2:
                continue
            times, watts = _power_samples(samples.time_us, samples.value, counter=stream.quantity == "energy")
            device = next((alias.name for alias in view.aliases(host) if alias.device == stream.device), stream.device)
            traces[device] = [local(at) for at in times], watts
            silences += [(local(start), local(stop)) for start, stop in _silences(samples.time_us)]
        requests = _request_spans(view, context, host, begin, end, local)
    if not traces:
        return None
    return plotly_figures.power_chart(traces, requests, _merge_spans(silences), context.view.language), traces


def _power_samples(time_us: Any, value: Any, *, counter: bool) -> tuple[list[int], list[float | None]]:
    """Sample times [µs] and powers [W]; None at a counter reset or after a gap."""
    if not counter:
        return time_us.tolist(), (value / 1e6).tolist()
    steps_us, increases = np.diff(time_us), np.diff(value)
    usual_us = float(np.median(steps_us))
    watts = [
        None if increase < 0 or step_us > SILENCE_STEPS * usual_us else increase / step_us
        for increase, step_us in zip(increases.tolist(), steps_us.tolist(), strict=True)
    ]
    return time_us[1:].tolist(), watts


def _silences(time_us: Any) -> list[tuple[int, int]]:
    steps_us = np.diff(time_us)
    usual_us = float(np.median(steps_us))
    return [(int(time_us[i]), int(time_us[i + 1])) for i in np.flatnonzero(steps_us > SILENCE_STEPS * usual_us).tolist()]


def _merge_spans(spans: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Union of overlapping spans."""
    merged: list[tuple[datetime, datetime]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    return merged


def _request_spans(
    view: LedgerView, context: PageContext, host: str, begin_us: int, end_us: int, local: Any
) -> Sequence[RequestSpan]:
    """Requests of the services on a host, each in the first free row."""
    services = {
        placement.service
        for placement in context.config.placements
        if placement.host == host and placement.since_us < end_us and placement.until_us > begin_us
    }
    requests: list[tuple[int, int | None, int]] = []
    for service in sorted(services):
        log = view.requests(service, begin_us, end_us)
        requests += [
            (start, first if first >= 0 else None, end)
            for start, first, end in zip(log.start_us.tolist(), log.first_token_us.tolist(), log.end_us.tolist(), strict=True)
            if end >= 0
        ]
    row_ends: list[int] = []
    spans: list[RequestSpan] = []
    for start, first, end in sorted(requests, key=lambda request: (request[0], request[2]))[-MAX_REQUESTS:]:
        row = next((n for n, end_of_row in enumerate(row_ends) if end_of_row <= start), len(row_ends))
        if row >= MAX_ROWS:
            row = MAX_ROWS - 1
        if row == len(row_ends):
            row_ends.append(end)
        row_ends[row] = max(row_ends[row], end)
        spans.append(
            RequestSpan(row, local(max(start, begin_us)), local(first) if first is not None else None, local(min(end, end_us)))
        )
    return spans
