"""Heat map of energy by hour and day, with the carbon intensity of the grid below it where a series is known."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from dash import html

from dashboards.components import DECORATIVE, Drawing, Row, card, svg_document, table
from dashboards.parts.day_strip import day_labels
from dashboards.parts.headlines import source_line
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.calendar.slots import slot_length_us
from footprint.core.timestamps import parse_instant, to_datetime
from footprint.core.units import US_PER_DAY
from footprint.i18n.formatting import energy_unit, format_number
from footprint.ledger.intensity_series import available_series, series_values
from footprint.queries.hourly_profile import hourly_energy

MAX_DAYS = 92
AXIS_HOURS = (0, 6, 12, 18)
COLOUR_STEPS = 6
Cells = dict[tuple[str, int], float]


def calendar_card(context: PageContext, total: Row) -> Any:
    """Card with energy by hour of the day and by day; None without hourly figures."""
    language, zone = context.view.language, context.config.timezone
    if context.store is None:
        return None
    end = parse_instant(total["period_end"])
    begin = max(parse_instant(total["period_start"]), end - MAX_DAYS * US_PER_DAY)
    begin -= begin % slot_length_us(context.config.timezone)
    energy = hourly_energy(context.store, context.config, begin, end, context.view.filters)
    if not energy:
        return None
    if context.view.filters:
        # An hour with readings but without energy of the filtered entity is 0, not a gap.
        energy = {**dict.fromkeys(hourly_energy(context.store, context.config, begin, end), 0.0), **energy}
    days = sorted({day for day, _ in energy})
    largest = max(energy.values())
    size, unit = energy_unit(largest)
    means = _hourly_means(energy)
    title = _peak_sentence(means, language)
    subtitle = translate(language, "calendar_sub", zone=str(zone), unit=unit)
    series, grid = _grid_intensity(context, begin, end)
    panels: list[Any] = [*_heat_map(energy, days, f"{title}. {subtitle}"), _date_axis(days, language)]
    if series:
        panels += [
            html.Div(translate(language, "grid_panel", series=series), className="panel-name"),
            *_heat_map(grid, days, translate(language, "grid_panel", series=series), "grid"),
        ]
    grid_means = _hourly_means(grid)
    head = [
        translate(language, "hour"),
        f"{unit}, {translate(language, 'hour_mean')}",
        *([translate(language, "grid_unit")] if series else []),
    ]
    body = [
        (
            str(hour),
            format_number(kwh / size, language),
            *([format_number(grid_means[hour], language) if hour in grid_means else "[x]"] if series else []),
        )
        for hour, kwh in sorted(means.items())
    ]
    legend = html.P(
        [
            translate(language, "calendar_key", unit=unit),
            html.Span([html.Span(className=f"q{step}") for step in range(COLOUR_STEPS)], className="swatches"),
            translate(language, "calendar_range", largest=format_number(largest / size, language)),
        ],
        className="calendar-key",
        **DECORATIVE,
    )
    return card(
        title,
        subtitle,
        [html.Div(panels, className="calendar"), legend],
        language,
        sentences=[translate(language, "calendar_note")],
        table=table(head, body, title),
        data=context.data_links(every="hour"),
        source=source_line(total, language),
        element_id="calendar-card",
    )


def _peak_sentence(means: dict[int, float], language: str) -> str:
    """Hour of highest use, and its ratio to the quietest hour."""
    peak, quiet = max(means, key=lambda hour: means[hour]), min(means, key=lambda hour: means[hour])
    if means[quiet] <= 0:
        return translate(language, "calendar", hour=str(peak))
    return translate(
        language, "calendar_times", hour=str(peak), quiet=str(quiet), ratio=format_number(means[peak] / means[quiet], language, 2)
    )


def _hourly_means(cells: Cells) -> dict[int, float]:
    by_hour: dict[int, list[float]] = defaultdict(list)
    for (_, hour), value in cells.items():
        by_hour[hour].append(value)
    return {hour: sum(values) / len(values) for hour, values in by_hour.items()}


def _heat_map(cells: Cells, days: list[str], label: str, kind: str = "") -> list[Any]:
    """Heat map of 24 rows and one column a day, in six colour steps; an hour without readings is outlined."""
    largest = max(cells.values(), default=0.0)
    steps: dict[str, list[str]] = defaultdict(list)
    for column, day in enumerate(days):
        for hour in range(24):
            value = cells.get((day, hour))
            name = (
                "none" if value is None else str(min(int(COLOUR_STEPS * value / largest), COLOUR_STEPS - 1) if largest > 0 else 0)
            )
            steps[name].append(f"M{column * 10} {hour * 10}h9v9h-9z")
    paths = [f'<path d="{"".join(points)}" class="q{name}"/>' for name, points in sorted(steps.items())]
    hour_labels = [
        html.Span(f"{hour}\u00a0h", style={"top": f"calc({100 * hour / 24:.1f}% - 2px)"})
        for hour in (AXIS_HOURS if not kind else (0, 12))
    ]
    picture = Drawing(svg_document(len(days) * 10 - 1, 239, paths, stretched=True), label, kind)
    return [html.Div(hour_labels, className="hours", **DECORATIVE), picture]


def _date_axis(days: list[str], language: str) -> html.Div:
    labels = [
        html.Span(label, className="axis-label", style={"left": f"{at:.1f}%"}) for at, label in day_labels(days, language, 4)
    ]
    return html.Div(labels, className="days", **DECORATIVE)


def _grid_intensity(context: PageContext, begin_us: int, end_us: int) -> tuple[str, Cells]:
    """Name of the intensity series of the organisation's zone, and (date, hour) -> g/kWh; empty if there is none."""
    assert context.store is not None
    zone = context.config.zone
    series = next(iter(available_series(context.store, zone, begin_us, end_us)), "")
    if not series:
        return "", {}
    sums: dict[tuple[str, int], list[float]] = defaultdict(list)
    starts, grams, _ = series_values(context.store, series, zone, begin_us, end_us)
    for at, value in zip(starts.tolist(), grams.tolist(), strict=True):
        if value == value:  # NaN marks a gap of the series  # noqa: PLR0124
            local = to_datetime(at).astimezone(context.config.timezone)
            sums[local.date().isoformat(), local.hour].append(value)
    return series, {cell: sum(values) / len(values) for cell, values in sums.items()}
