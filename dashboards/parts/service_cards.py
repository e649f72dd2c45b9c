"""Cards on how services work: energy per token by step size, per request by phase, and avoidable energy."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from urllib.parse import urlencode

from dash import html

from dashboards.components import Drawing, Row, card, display_name, scrollable, table
from dashboards.parts.filters import period_label
from dashboards.translations import translate
from dashboards.url_state import TABLE_FORMATS, PageContext
from footprint.benchmark import benchmark_rows
from footprint.benchmark.reference_results import reference_rows
from footprint.charts.figures import Axis, ScatterPoint, SvgFigure, scatter_plot, stacked_bars
from footprint.core.timestamps import format_instant
from footprint.i18n.formatting import energy_unit, format_interval, format_number, format_percent
from footprint.queries.avoidable_energy import action_register
from footprint.queries.batch_efficiency import energy_by_phase, energy_by_step_size

SERVICE_STYLES = ("data", "more", "host", "facility", "idle")
DRAWN_REFERENCES = (
    "Llama-3.1-8B",
    "Qwen3-32B",
    "Llama-3.1-70B",
)  # public references of three sizes in the chart; the table has all
MAX_DRAWN_BATCH = 64.0  # of references in the chart; their table has all
PHASE_STYLES = {
    "prefill_j": "more",
    "decode_j": "data",
    "undivided_j": "band",
    "idle_j": "idle",
    "host_j": "host",
    "facility_j": "facility",
}
REFERENCES = "/api/v1/benchmarks/references"


def svg_chart(figure: SvgFigure, label: str) -> Any:
    """Chart as wide as its card, scrollable on narrow screens."""
    return scrollable(Drawing(figure.svg(style=False), label, "picture"), label)


def table_url(context: PageContext, name: str, file_format: str = "csv", **params: Any) -> str:
    """API URL of a table for the period of the page."""
    begin, end = context.view.bounds(context.config, context.now_us)
    query = [("from", format_instant(begin))] if begin is not None else []
    query += [("to", format_instant(end))] if end is not None and end <= context.now_us else []
    query += [(key, str(value)) for key, value in params.items() if value not in (None, "")]
    return f"/api/v1/tables/{name}?{urlencode([*query, ('format', file_format)])}"


def period_table_links(context: PageContext, name: str, **params: Any) -> list[tuple[str, str]]:
    """Labels and API URLs of a table for the period of the page, one a format."""
    return [(file_format.upper(), table_url(context, name, file_format, **params)) for file_format in TABLE_FORMATS]


def step_size_card(context: PageContext) -> Any:
    """Card of J per output token by tokens per step: production, benchmarks and public references."""
    language = context.view.language
    assert context.store is not None
    window_rows = energy_by_step_size(context.store, *context.view.bounds(context.config, context.now_us))
    by_service: dict[str, list[Row]] = defaultdict(list)
    for row in window_rows:
        by_service[row["service"]].append(row)
    services = sorted(by_service, key=lambda name: -sum(row["windows"] for row in by_service[name]))[: len(SERVICE_STYLES)]
    if not services:
        return card(translate(language, "eff_steps"), "", html.P(translate(language, "eff_steps_none")), language, wide=True)
    points, lines = [], []
    for service, style in zip(services, SERVICE_STYLES, strict=False):
        service_rows = sorted(by_service[service], key=lambda row: row["tokens_per_step"])
        lines.append(([(row["tokens_per_step"], row["j_per_output_token"]) for row in service_rows], f"line-{style}"))
        points += [_step_point(row, service if index == 0 else "", style) for index, row in enumerate(service_rows)]
    curves, benchmark_points = _benchmark_curves(context)
    references = [
        ScatterPoint(
            row["batch"], row["j_per_output_token"], _short_model(row["model"]) if row["batch"] < 10 else "", kind="hollow"
        )
        for row in reference_rows()
        if row["batch"]
        and row["j_per_output_token"]
        and _short_model(row["model"]) in DRAWN_REFERENCES
        and row["batch"] <= MAX_DRAWN_BATCH
    ]
    all_points = [*points, *benchmark_points, *references]
    low, high = (end(point.y for point in all_points) for end in (min, max))
    max_x = max(point.x for point in all_points)
    figure = scatter_plot(
        all_points,
        Axis(0.9, 1.4 * max_x, translate(language, "eff_steps_x"), log=True),
        Axis(low / 1.5, high * 1.6, translate(language, "eff_steps_y"), log=True),
        title="",
        lines=[*lines, *curves],
        language=language,
        height=460,
    )
    first = by_service[services[0]]
    energies = [format_number(row["j_per_output_token"], language) for row in (first[0], first[-1])]
    title = translate(language, "eff_steps")
    if len(first) > 1:
        batches = [format_number(row["tokens_per_step"], language) for row in (first[0], first[-1])]
        title = translate(
            language, "eff_steps_title", service=services[0], few=energies[0], many=energies[1], low=batches[0], high=batches[1]
        )
    head = [
        translate(language, name) for name in ("service", "host", "eff_steps_x", "eff_windows", "eff_steps_y", "eff_quartiles")
    ]
    body = [
        (
            row["service"],
            row["host"],
            format_number(row["tokens_per_step"], language),
            format_number(row["windows"], language),
            format_number(row["j_per_output_token"], language),
            _quartiles(row, language),
        )
        for row in window_rows
    ]
    subtitle = translate(language, "eff_steps_sub")
    data = [*period_table_links(context, "steps"), (translate(language, "eff_public"), REFERENCES)]
    return card(
        title,
        subtitle,
        svg_chart(figure, f"{title}. {subtitle}"),
        language,
        sentences=[translate(language, "eff_references")],
        table=table(head, body, title),
        data=data,
        wide=True,
        element_id="eff-steps",
    )


def _step_point(row: Row, name: str, style: str) -> ScatterPoint:
    quartiles = row["j_per_output_token_q1"], row["j_per_output_token_q3"]
    return ScatterPoint(row["tokens_per_step"], row["j_per_output_token"], name, None, quartiles, style)


def _quartiles(row: Row, language: str) -> str:
    return format_interval(row["j_per_output_token_q1"], row["j_per_output_token_q3"], language)


def _short_model(model: str) -> str:
    return model.rpartition("/")[2].removesuffix("-Instruct")


def _benchmark_curves(context: PageContext) -> tuple[list[tuple[list[tuple[float, float]], str]], list[ScatterPoint]]:
    """Curves a + b/B [J/token] of imported benchmark results over their batch range B, and labelled points."""
    curves, points, sources = [], [], set()
    for row in benchmark_rows(context.config):
        if None in (row["a_j"], row["b_j"], row["batch_low"], row["batch_high"]) or row["source"] in sources:
            continue
        sources.add(row["source"])
        grid = [row["batch_low"] * (row["batch_high"] / row["batch_low"]) ** (step / 24) for step in range(25)]
        curves.append(([(batch, row["a_j"] + row["b_j"] / batch) for batch in grid], "stair"))
        name = translate(context.view.language, "eff_benchmark", model=row["model"])
        points.append(ScatterPoint(grid[0], row["a_j"] + row["b_j"] / grid[0], name, kind="idle"))
    return curves, points


def phase_card(context: PageContext) -> Any:
    """Card of the mean request of each service [J]: prefill, decode, idle, host, building."""
    language = context.view.language
    assert context.store is not None
    rows = energy_by_phase(context.store, context.config, context.query(), context.now_us)
    if not rows:
        return card(translate(language, "eff_phases"), "", html.P(translate(language, "eff_phases_none")), language, wide=True)
    largest = max(rows, key=lambda row: row["requests"] * row["energy_j"])
    phases = {column: (translate(language, f"eff_{column}"), style) for column, style in PHASE_STYLES.items()}
    size, unit = (1e-3, "kJ") if max(row["energy_j"] for row in rows) >= 1000 else (1.0, "J")
    axis_label = translate(language, "eff_phases_unit", unit=unit)
    figure = stacked_bars(rows, "service", phases, unit=axis_label, title="", factor=size, language=language)
    active = largest["prefill_j"] + largest["decode_j"]
    title = translate(language, "eff_phases")
    if active > 0:
        share = format_percent(largest["decode_j"] / active, language, floor=False)
        title = translate(language, "eff_phases_title", service=largest["service"], share=share)
    subtitle = f"{translate(language, 'eff_phases_sub')} {period_label(context)}"
    head = [
        translate(language, "service"),
        *(translate(language, f"eff_{column}") for column in PHASE_STYLES),
        translate(language, "energy"),
    ]
    head += [translate(language, "interval"), translate(language, "eff_awake_j"), translate(language, "requests")]
    body = [
        (
            row["service"],
            *(format_number(row[column] * size, language) for column in PHASE_STYLES),
            format_number(row["energy_j"] * size, language),
            format_interval(row["energy_low_j"] * size, row["energy_high_j"] * size, language),
            format_number(row["awake_j"] * size, language),
            format_number(row["requests"], language),
        )
        for row in rows
    ]
    most_awake = max(rows, key=lambda row: row["awake_j"] * row["requests"])
    times = format_number(most_awake["awake_j"] / most_awake["energy_j"], language)
    sentences = [translate(language, "eff_awake", service=most_awake["service"], times=times)] if most_awake["awake_j"] else []
    return card(
        title,
        subtitle,
        svg_chart(figure, f"{title}. {subtitle}"),
        language,
        sentences=sentences,
        table=table(head, body, title),
        data=period_table_links(context, "phases"),
        wide=True,
        element_id="eff-phases",
    )


def avoidable_energy_card(context: PageContext) -> Any:
    """Card of avoidable energy by service and cause, with the owner and status of the action."""
    language = context.view.language
    assert context.store is not None
    rows = action_register(context.store, context.config, *context.view.bounds(context.config, context.now_us))
    if not rows:
        return card(translate(language, "eff_waste"), "", html.P(translate(language, "eff_waste_none")), language, wide=True)
    by_entry: dict[tuple[str, ...], float | None] = {}
    for row in rows:
        entry = tuple(row[name] or "" for name in ("service", "cause", "owner", "status", "since", "action"))
        before = by_entry.get(entry, 0.0)
        by_entry[entry] = None if before is None or row["energy_kwh"] is None else before + row["energy_kwh"]
    total_kwh = sum(amount or 0.0 for amount in by_entry.values())
    size, unit = energy_unit(max((amount or 0.0 for amount in by_entry.values()), default=0.0))
    owned_kwh = sum(amount or 0.0 for entry, amount in by_entry.items() if entry[2])
    share = format_percent(owned_kwh / total_kwh, language) if total_kwh else "–"
    title = translate(language, "eff_waste_title", energy=f"{format_number(total_kwh / size, language)}\u00a0{unit}", share=share)
    head = [translate(language, name) for name in ("eff_cause", "service")] + [unit]
    head += [translate(language, name) for name in ("eff_owner", "status", "eff_since", "eff_action")]
    body = [
        (
            translate(language, f"eff_{entry[1]}"),
            display_name(entry[0], language) or translate(language, "every_service"),
            translate(language, "unknown") if amount is None else format_number(amount / size, language),
            entry[2] or translate(language, "eff_nobody"),
            translate(language, f"eff_{entry[3]}") if entry[3] else "",
            entry[4],
            entry[5],
        )
        for entry, amount in sorted(by_entry.items(), key=lambda item: -(item[1] or 0.0))
        if entry[2] or amount is None or amount >= total_kwh / 200  # smaller entries are only in the data
    ]
    return card(
        title,
        f"{translate(language, 'eff_waste_sub')} {period_label(context)}",
        scrollable(table(head, body, title), title),
        language,
        sentences=[translate(language, "eff_waste_note")],
        data=period_table_links(context, "avoidable"),
        wide=True,
        element_id="eff-avoidable",
    )
