"""This file makes cards of how services work: energy a token by tokens a step, a request by phase, energy for nobody."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from urllib.parse import urlencode

from dash import html

from dashboards.components import Drawing, card, display_name, scrollable, table
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

Row = dict[str, Any]
SERVICE_STYLES = ("data", "more", "host", "facility", "idle")
DRAWN_REFERENCES = ("Llama-3.1-8B", "Qwen3-32B", "Llama-3.1-70B")  # public references of three sizes; the table has all
MAX_DRAWN_BATCH = 64.0  # of references that are drawn; the table of references has all
PHASE_STYLES = {
    "prefill_j": "more",
    "decode_j": "data",
    "undivided_j": "band",
    "idle_j": "idle",
    "host_j": "host",
    "facility_j": "facility",
}
REFERENCES = "/api/v1/benchmarks/references"


def svg_chart(drawn: SvgFigure, label: str) -> Any:
    """A picture as wide as its place, scrolled where that is narrow; its card's table says the rest."""
    return scrollable(Drawing(drawn.svg(style=False), label, "picture"), label)


def table_url(context: PageContext, name: str, form: str = "csv", **more: Any) -> str:
    """Where the rows of a card stand at the API."""
    begin, end = context.view.bounds(context.config, context.now_us)
    told = [("from", format_instant(begin))] if begin is not None else []
    told += [("to", format_instant(end))] if end is not None and end <= context.now_us else []
    told += [(key, str(value)) for key, value in more.items() if value not in (None, "")]
    return f"/api/v1/tables/{name}?{urlencode([*told, ('format', form)])}"


def period_table_links(context: PageContext, name: str, **more: Any) -> list[tuple[str, str]]:
    """CSV, JSON and Parquet of a card."""
    return [(form.upper(), table_url(context, name, form, **more)) for form in TABLE_FORMATS]


def step_size_card(context: PageContext) -> Any:
    """Joules per output token by how many tokens are written together: production, benchmarks, public references."""
    language = context.view.language
    assert context.store is not None
    found = energy_by_step_size(context.store, *context.view.bounds(context.config, context.now_us))
    by_service: dict[str, list[Row]] = defaultdict(list)
    for row in found:
        by_service[row["service"]].append(row)
    services = sorted(by_service, key=lambda name: -sum(row["windows"] for row in by_service[name]))[: len(SERVICE_STYLES)]
    if not services:
        return card(translate(language, "eff_steps"), "", html.P(translate(language, "eff_steps_none")), language, wide=True)
    spots, lines = [], []
    for service, look in zip(services, SERVICE_STYLES, strict=False):
        rows = sorted(by_service[service], key=lambda row: row["tokens_per_step"])
        lines.append(([(row["tokens_per_step"], row["j_per_output_token"]) for row in rows], f"line-{look}"))
        spots += [_step_point(row, service if number_ == 0 else "", look) for number_, row in enumerate(rows)]
    curves, named = _benchmark_curves(context)
    public = [
        ScatterPoint(
            row["batch"], row["j_per_output_token"], _short_model(row["model"]) if row["batch"] < 10 else "", kind="hollow"
        )
        for row in reference_rows()
        if row["batch"]
        and row["j_per_output_token"]
        and _short_model(row["model"]) in DRAWN_REFERENCES
        and row["batch"] <= MAX_DRAWN_BATCH
    ]
    drawn_all = [*spots, *named, *public]
    low, high = (end(spot.y for spot in drawn_all) for end in (min, max))
    most = max(spot.x for spot in drawn_all)
    drawn = scatter_plot(
        drawn_all,
        Axis(0.9, 1.4 * most, translate(language, "eff_steps_x"), log=True),
        Axis(low / 1.5, high * 1.6, translate(language, "eff_steps_y"), log=True),
        title="",
        lines=[*lines, *curves],
        language=language,
        height=460,
    )
    first = by_service[services[0]]
    ends = [format_number(row["j_per_output_token"], language) for row in (first[0], first[-1])]
    title = translate(language, "eff_steps")
    if len(first) > 1:
        held = [format_number(row["tokens_per_step"], language) for row in (first[0], first[-1])]
        title = translate(language, "eff_steps_title", service=services[0], few=ends[0], many=ends[1], low=held[0], high=held[1])
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
        for row in found
    ]
    sub = translate(language, "eff_steps_sub")
    data = [*period_table_links(context, "steps"), (translate(language, "eff_public"), REFERENCES)]
    return card(
        title,
        sub,
        svg_chart(drawn, f"{title}. {sub}"),
        language,
        sentences=[translate(language, "eff_references")],
        table=table(head, body, title),
        data=data,
        wide=True,
        identity="eff-steps",
    )


def _step_point(row: Row, name: str, look: str) -> ScatterPoint:
    ends = row["j_per_output_token_q1"], row["j_per_output_token_q3"]
    return ScatterPoint(row["tokens_per_step"], row["j_per_output_token"], name, None, ends, look)


def _quartiles(row: Row, language: str) -> str:
    return format_interval(row["j_per_output_token_q1"], row["j_per_output_token_q3"], language)


def _short_model(model: str) -> str:
    return model.rpartition("/")[2].removesuffix("-Instruct")


def _benchmark_curves(context: PageContext) -> tuple[list[tuple[list[tuple[float, float]], str]], list[ScatterPoint]]:
    """Curves a + b/B of the benchmark results that were imported, over the batches that they hold for, and their names."""
    curves, spots, seen = [], [], set()
    for row in benchmark_rows(context.config):
        if None in (row["a_j"], row["b_j"], row["batch_low"], row["batch_high"]) or row["source"] in seen:
            continue
        seen.add(row["source"])
        grid = [row["batch_low"] * (row["batch_high"] / row["batch_low"]) ** (n / 24) for n in range(25)]
        curves.append(([(b, row["a_j"] + row["b_j"] / b) for b in grid], "stair"))
        name = translate(context.view.language, "eff_benchmark", model=row["model"])
        spots.append(ScatterPoint(grid[0], row["a_j"] + row["b_j"] / grid[0], name, kind="idle"))
    return curves, spots


def phase_card(context: PageContext) -> Any:
    """A mean request of each service: reading, writing, idle while it ran, host, building."""
    language = context.view.language
    assert context.store is not None
    rows = energy_by_phase(context.store, context.config, context.query(), context.now_us)
    if not rows:
        return card(translate(language, "eff_phases"), "", html.P(translate(language, "eff_phases_none")), language, wide=True)
    first = max(rows, key=lambda row: row["requests"] * row["energy_j"])
    named = {column: (translate(language, f"eff_{column}"), look) for column, look in PHASE_STYLES.items()}
    size, unit = (1e-3, "kJ") if max(row["energy_j"] for row in rows) >= 1000 else (1.0, "J")
    words = translate(language, "eff_phases_unit", unit=unit)
    drawn = stacked_bars(rows, "service", named, unit=words, title="", factor=size, language=language)
    active = first["prefill_j"] + first["decode_j"]
    title = translate(language, "eff_phases")
    if active > 0:
        share = format_percent(first["decode_j"] / active, language, floor=False)
        title = translate(language, "eff_phases_title", service=first["service"], share=share)
    sub = f"{translate(language, 'eff_phases_sub')} {period_label(context)}"
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
    most = max(rows, key=lambda row: row["awake_j"] * row["requests"])
    times = format_number(most["awake_j"] / most["energy_j"], language)
    told = [translate(language, "eff_awake", service=most["service"], times=times)] if most["awake_j"] else []
    return card(
        title,
        sub,
        svg_chart(drawn, f"{title}. {sub}"),
        language,
        sentences=told,
        table=table(head, body, title),
        data=period_table_links(context, "phases"),
        wide=True,
        identity="eff-phases",
    )


def avoidable_energy_card(context: PageContext) -> Any:
    """The register: energy that served nobody, by service and cause, with who does what about it."""
    language = context.view.language
    assert context.store is not None
    found = action_register(context.store, context.config, *context.view.bounds(context.config, context.now_us))
    if not found:
        return card(translate(language, "eff_waste"), "", html.P(translate(language, "eff_waste_none")), language, wide=True)
    joined: dict[tuple[str, ...], float | None] = {}
    for row in found:
        place = tuple(row[name] or "" for name in ("service", "cause", "owner", "status", "since", "action"))
        before = joined.get(place, 0.0)
        joined[place] = None if before is None or row["energy_kwh"] is None else before + row["energy_kwh"]
    whole = sum(amount or 0.0 for amount in joined.values())
    size, unit = energy_unit(max((amount or 0.0 for amount in joined.values()), default=0.0))
    taken = sum(amount or 0.0 for place, amount in joined.items() if place[2])
    share = format_percent(taken / whole, language) if whole else "–"
    title = translate(language, "eff_waste_title", energy=f"{format_number(whole / size, language)}\u00a0{unit}", share=share)
    head = [translate(language, name) for name in ("eff_cause", "service")] + [unit]
    head += [translate(language, name) for name in ("eff_owner", "status", "eff_since", "eff_action")]
    body = [
        (
            translate(language, f"eff_{place[1]}"),
            display_name(place[0], language) or translate(language, "every_service"),
            translate(language, "unknown") if amount is None else format_number(amount / size, language),
            place[2] or translate(language, "eff_nobody"),
            translate(language, f"eff_{place[3]}") if place[3] else "",
            place[4],
            place[5],
        )
        for place, amount in sorted(joined.items(), key=lambda item: -(item[1] or 0.0))
        if place[2] or amount is None or amount >= whole / 200  # what is less stands in the data
    ]
    return card(
        title,
        f"{translate(language, 'eff_waste_sub')} {period_label(context)}",
        scrollable(table(head, body, title), title),
        language,
        sentences=[translate(language, "eff_waste_note")],
        data=period_table_links(context, "avoidable"),
        wide=True,
        identity="eff-avoidable",
    )
