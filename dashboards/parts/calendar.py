"""This file draws hours of days as a heat map, and the grid's intensity of the same hours below it where a series is known."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from dash import html

from dashboards.components import ASIDE, Row, block, table
from dashboards.parts.day_strip import day_labels
from dashboards.parts.headlines import source
from dashboards.svg_component import Drawing, document
from dashboards.translations import say
from dashboards.url_state import PageContext
from footprint.core.timestamps import parse_instant, to_datetime
from footprint.core.units import US_PER_DAY
from footprint.i18n.formatting import energy_unit, format_number
from footprint.ledger.intensity_series import available_series, series_values
from footprint.queries.hourly_profile import hourly_energy

MAX_DAYS = 92
HOURS = (0, 6, 12, 18)
STEPS = 6
Cells = dict[tuple[str, int], float]


def calendar(context: PageContext, whole: Row) -> Any:
    """Energy by hour of the day and by day; nights, week-ends and forgotten servers are seen at once."""
    language, zone = context.view.language, context.config.timezone
    if context.store is None:
        return None
    end = parse_instant(whole["period_end"])
    begin = max(parse_instant(whole["period_start"]), end - MAX_DAYS * US_PER_DAY)
    found = hourly_energy(context.store, context.config, begin, end, context.view.filters)
    if not found:
        return None
    if context.view.filters:
        # An hour that was read, and in which this had no part: that is 0, and no hole.
        found = {**dict.fromkeys(hourly_energy(context.store, context.config, begin, end), 0.0), **found}
    days = sorted({day for day, _ in found})
    largest = max(found.values())
    size, unit = energy_unit(largest)
    means = _means(found)
    finding = _finding(means, language)
    sub = say(language, "calendar_sub", zone=str(zone), unit=unit)
    series, grid = _grid(context, begin, end)
    panels: list[Any] = [*_panel(found, days, f"{finding}. {sub}"), _days(days, language)]
    if series:
        panels += [
            html.Div(say(language, "grid_panel", series=series), className="panel-name"),
            *_panel(grid, days, say(language, "grid_panel", series=series), "grid"),
        ]
    grid_means = _means(grid)
    head = [say(language, "hour"), f"{unit}, {say(language, 'hour_mean')}", *([say(language, "grid_unit")] if series else [])]
    body = [
        (
            str(hour),
            format_number(kwh / size, language),
            *([format_number(grid_means[hour], language) if hour in grid_means else "[x]"] if series else []),
        )
        for hour, kwh in sorted(means.items())
    ]
    key = html.P(
        [
            say(language, "calendar_key", unit=unit),
            html.Span([html.Span(className=f"q{step}") for step in range(STEPS)], className="swatches"),
            say(language, "calendar_range", largest=format_number(largest / size, language)),
        ],
        className="calendar-key",
        **ASIDE,
    )
    return block(
        finding,
        sub,
        [html.Div(panels, className="calendar"), key],
        language,
        sentences=[say(language, "calendar_note")],
        table=table(head, body, finding),
        data=[(form.upper(), context.data(form, every="hour")) for form in ("csv", "json", "parquet")],
        source=source(whole, language),
        identity="calendar-card",
    )


def _finding(means: dict[int, float], language: str) -> str:
    """When most is used, and how much more than at the quietest hour."""
    peak, quiet = max(means, key=lambda hour: means[hour]), min(means, key=lambda hour: means[hour])
    if means[quiet] <= 0:
        return say(language, "calendar", hour=str(peak))
    return say(
        language, "calendar_times", hour=str(peak), quiet=str(quiet), ratio=format_number(means[peak] / means[quiet], language, 2)
    )


def _means(cells: Cells) -> dict[int, float]:
    by_hour: dict[int, list[float]] = defaultdict(list)
    for (_, hour), value in cells.items():
        by_hour[hour].append(value)
    return {hour: sum(values) / len(values) for hour, values in by_hour.items()}


def _panel(cells: Cells, days: list[str], label: str, kind: str = "") -> list[Any]:
    """24 rows, one column a day; six steps; an hour that was not read is outlined."""
    largest = max(cells.values(), default=0.0)
    steps: dict[str, list[str]] = defaultdict(list)
    for column, day in enumerate(days):
        for hour in range(24):
            value = cells.get((day, hour))
            name = "none" if value is None else str(min(int(STEPS * value / largest), STEPS - 1) if largest > 0 else 0)
            steps[name].append(f"M{column * 10} {hour * 10}h9v9h-9z")
    drawn = [f'<path d="{"".join(points)}" class="q{name}"/>' for name, points in sorted(steps.items())]
    marks = [
        html.Span(f"{hour}\u00a0h", style={"top": f"calc({100 * hour / 24:.1f}% - 2px)"})
        for hour in (HOURS if not kind else (0, 12))
    ]
    picture = Drawing(document(len(days) * 10 - 1, 239, drawn, stretched=True), label, kind)
    return [html.Div(marks, className="hours", **ASIDE), picture]


def _days(days: list[str], language: str) -> html.Div:
    labels = [
        html.Span(words, className="axis-label", style={"left": f"{at:.1f}%"}) for at, words in day_labels(days, language, 4)
    ]
    return html.Div(labels, className="days", **ASIDE)


def _grid(context: PageContext, begin_us: int, end_us: int) -> tuple[str, Cells]:
    """(name, (date, hour) -> g/kWh) of the series that the store knows for the organisation's zone; nothing where none is."""
    assert context.store is not None
    zone = context.config.zone
    series = next(iter(available_series(context.store, zone, begin_us, end_us)), "")
    if not series:
        return "", {}
    sums: dict[tuple[str, int], list[float]] = defaultdict(list)
    starts, grams, _ = series_values(context.store, series, zone, begin_us, end_us)
    for at, value in zip(starts.tolist(), grams.tolist(), strict=True):
        if value == value:  # a hole is not a number  # noqa: PLR0124
            local = to_datetime(at).astimezone(context.config.timezone)
            sums[local.date().isoformat(), local.hour].append(value)
    return series, {cell: sum(found) / len(found) for cell, found in sums.items()}
