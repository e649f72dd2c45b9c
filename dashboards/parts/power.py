"""This file draws the powers of a host as they were read, and the requests that ran meanwhile below them."""

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
WINDOW_US = US_PER_HOUR // 6  # ten minutes: single requests can be told apart
SILENCE_STEPS = 10  # steps without a sample are a silence
MAX_REQUESTS = 160
MAX_ROWS = 8
Traces = dict[str, tuple[list[datetime], list[float | None]]]


def power_card(context: PageContext, host: str) -> Any:
    """Watts of each device over the last minutes that were read; goes on by itself, until it is paused."""
    language = context.view.language
    found = power_figure(context, host)
    if found is None:
        return None
    figure, traces = found
    largest = max((w for _, ws in traces.values() for w in ws if w is not None), default=0.0)
    title = translate(language, "power_title", watts=format_number(largest, language))
    last = max(times[-1] for times, _ in traces.values())
    sub = translate(
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
    told = []
    for device, (_, watts) in sorted(traces.items()):
        known = [w for w in watts if w is not None]
        told.append(
            (device, *(format_number(each, language) for each in (min(known), float(np.median(known)), max(known))))
            if known
            else (device,)
        )
    live = [
        html.Button(translate(language, "pause"), id="pause", type="button", className="button"),
        dcc.Interval(id="live", interval=LIVE_MS),
    ]
    return card(
        title,
        sub,
        [
            plotly_graph(figure, "power", f"{title}. {sub}", "power", plotly_figures.plotly_locale(language)),
            html.P([*live, " ", translate(language, "live")], className="sub"),
        ],
        language,
        sentences=[translate(language, "power_key")],
        table=table(head, told, title),
        source=translate(language, "source_raw"),
        wide=True,
    )


def power_figure(context: PageContext, host: str) -> Any:
    """The chart of the powers of a host, and its traces; None where nothing was read."""
    if context.store is None:
        return None
    traces: Traces = {}
    silences: list[tuple[datetime, datetime]] = []

    def local(at_us: int) -> datetime:
        return datetime.fromtimestamp(at_us / US_PER_S, UTC).astimezone(context.config.timezone)

    with context.store.read() as connection:
        view = LedgerView(context.store, connection)
        mine = [
            s
            for s in view.streams().get(host, [])
            if s.quantity in ("energy", "power") and s.grade in ("counter", "power", "modelled")
        ]
        ends = [int(view.stream_days(s.id).last_us.max()) for s in mine if len(view.stream_days(s.id).day)]
        if not ends:
            return None
        end = max(ends)
        begin = end - WINDOW_US
        for stream in mine:
            samples = view.samples(stream.id, begin, end + 1)
            if len(samples) < 2:
                continue
            times, watts = _power_samples(samples.time_us, samples.value, counter=stream.quantity == "energy")
            device = next((alias.name for alias in view.aliases(host) if alias.device == stream.device), stream.device)
            traces[device] = [local(at) for at in times], watts
            silences += [(local(a), local(b)) for a, b in _silences(samples.time_us)]
        ran = _request_spans(view, context, host, begin, end, local)
    if not traces:
        return None
    return plotly_figures.power_chart(traces, ran, _merge_spans(silences), context.view.language), traces


def _power_samples(time_us: Any, value: Any, *, counter: bool) -> tuple[list[int], list[float | None]]:
    """Powers [W]; of a counter between samples, a reset or a gap of ten steps is a silence."""
    if not counter:
        return time_us.tolist(), (value / 1e6).tolist()
    step, rise = np.diff(time_us), np.diff(value)
    usual = float(np.median(step))
    watts = [None if r < 0 or s > SILENCE_STEPS * usual else r / s for r, s in zip(rise.tolist(), step.tolist(), strict=True)]
    return time_us[1:].tolist(), watts


def _silences(time_us: Any) -> list[tuple[int, int]]:
    step = np.diff(time_us)
    usual = float(np.median(step))
    return [(int(time_us[i]), int(time_us[i + 1])) for i in np.flatnonzero(step > SILENCE_STEPS * usual).tolist()]


def _merge_spans(spans: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Silences of several devices at one time are one."""
    found: list[tuple[datetime, datetime]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found


def _request_spans(
    view: LedgerView, context: PageContext, host: str, begin_us: int, end_us: int, local: Any
) -> Sequence[RequestSpan]:
    """Requests of the services placed on a host, each in the first row that is free."""
    services = {p.service for p in context.config.placements if p.host == host and p.since_us < end_us and p.until_us > begin_us}
    found: list[tuple[int, int | None, int]] = []
    for service in sorted(services):
        log = view.requests(service, begin_us, end_us)
        found += [
            (start, first if first >= 0 else None, end)
            for start, first, end in zip(log.start_us.tolist(), log.first_token_us.tolist(), log.end_us.tolist(), strict=True)
            if end >= 0
        ]
    free: list[int] = []
    placed: list[RequestSpan] = []
    for start, first, end in sorted(found, key=lambda each: (each[0], each[2]))[-MAX_REQUESTS:]:
        row = next((n for n, until in enumerate(free) if until <= start), len(free))
        if row >= MAX_ROWS:
            row = MAX_ROWS - 1
        if row == len(free):
            free.append(end)
        free[row] = max(free[row], end)
        placed.append(
            RequestSpan(row, local(max(start, begin_us)), local(first) if first is not None else None, local(min(end, end_us)))
        )
    return placed
