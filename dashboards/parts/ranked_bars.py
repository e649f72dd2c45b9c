"""Ranked table of bars with intervals; idle and unattributed energy come last, below a hairline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dash import html

from dashboards.components import DECORATIVE, UNASSIGNED, Row, card, display_name, table
from dashboards.translations import missing_mark, translate
from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.config.models import OWN_SERVICE
from footprint.i18n.formatting import energy_unit, format_estimate, format_interval, format_number, format_percent

Link = Callable[[str], str] | None
MAX_BARS = 12


def ranked_bars_card(
    rows: list[Row],
    column: str,
    language: str,
    data: Sequence[tuple[str, str]],
    title: str,
    link: Link = None,
    *,
    subtitle: str = "",
    source: str = "",
    sentences: Sequence[str] = (),
) -> html.Section:
    """Card with the energy of each row of a grouping, the largest first."""
    known = [row for row in rows if row["energy_kwh"] is not None]
    largest = max((row["energy_high_kwh"] for row in rows if row["energy_high_kwh"] is not None), default=0.0)
    size, unit = energy_unit(max((row["energy_kwh"] for row in known), default=0.0))
    ordered = sorted(rows, key=lambda row: (row[column] in UNASSIGNED, -(row["energy_kwh"] or 0.0), row[column]))
    assigned = [row for row in ordered if row[column] not in UNASSIGNED]
    unassigned = [row for row in ordered if row[column] in UNASSIGNED]
    head = [
        translate(language, "name"),
        translate(language, "chart"),
        unit,
        translate(language, "interval"),
        translate(language, "quality"),
    ]
    bodies = [
        html.Tbody([_bar_row(row, column, size, largest, language, link) for row in group], className=kind)
        for group, kind in ((assigned[:MAX_BARS], "named"), (unassigned, "rest"))
        if group
    ]
    chart = html.Table(
        [html.Caption(title, className="hidden"), html.Thead(html.Tr([html.Th(text, scope="col") for text in head])), *bodies],
        className="bars",
    )
    more = [translate(language, "bars_more", count=str(len(assigned) - MAX_BARS))] if len(assigned) > MAX_BARS else []
    return card(
        title,
        subtitle or translate(language, "bars_sub_unit", unit=unit),
        chart,
        language,
        sentences=[*sentences, *more, *_pattern_key(ordered, column, language)],
        table=_bars_table(ordered, column, size, unit, language, title),
        data=data,
        source=source,
    )


def _pattern_key(rows: list[Row], column: str, language: str) -> list[str]:
    """Explanation of the patterns that occur in the bars."""
    sentences = (
        [translate(language, "key_estimated")]
        if any(row["quality"] == "C" and row[column] not in UNASSIGNED for row in rows)
        else []
    )
    sentences += [translate(language, "key_declared")] if any(row["quality"] == "D" for row in rows) else []
    sentences += [translate(language, "key_nobody")] if any(row[column] == UNATTRIBUTED_NAME for row in rows) else []
    return [" ".join(sentences)] if sentences else []


def _bars_table(rows: list[Row], column: str, size: float, unit: str, language: str, title: str) -> html.Table:
    """Table with the figures of the bars and further columns."""
    head = [translate(language, column), unit, translate(language, "interval"), translate(language, "quality")]
    head += [translate(language, "requests"), translate(language, "per_request"), translate(language, "coverage_short")]
    body = []
    for row in rows:
        requests, energy = row.get("requests"), row["energy_kwh"]
        counted = bool(requests) and row[column] not in UNASSIGNED
        per_request = counted and energy is not None and row[column] != OWN_SERVICE
        energy_text = format_row_energy(row, size, language)
        body.append(
            [
                display_name(row[column], language, column) or translate(language, "unknown"),
                energy_text[0],
                energy_text[1],
                row["quality"],
                format_number(requests or 0, language) if counted else translate(language, "not_applicable"),
                format_number(1000 * energy / (requests or 1), language) if per_request else "",
                format_percent(row["coverage"], language) if row.get("coverage") is not None else "",
            ]
        )
    return table(head, body, title, intervals=(2,))


def format_row_energy(row: Row, size: float, language: str) -> tuple[str, str]:
    """Energy of a row and its interval as text, in units of ``size`` kWh; ``[x]`` if unknown."""
    if row["energy_high_kwh"] is None:
        return missing_mark(row, language), ""
    if row["energy_kwh"] is None:  # counted requests without logs: an interval, but no value
        return translate(language, "unknown"), format_interval(
            row["energy_low_kwh"] / size, row["energy_high_kwh"] / size, language
        )
    text = format_estimate(row["energy_kwh"] / size, row["energy_low_kwh"] / size, row["energy_high_kwh"] / size, language)
    return text.value, text.interval


def _bar_row(row: Row, column: str, size: float, largest: float, language: str, link: Link) -> html.Tr:
    name: Any = display_name(row[column], language, column) or translate(language, "unknown")
    if link is not None and row[column] and not row[column].startswith("("):
        name = html.A(name, href=link(row[column]))
    value, interval = format_row_energy(row, size, language)
    cells = [
        html.Td(value, className="value"),
        html.Td(interval, className="iv"),
        html.Td(row["quality"] or "", className="letter"),
    ]
    if row["energy_high_kwh"] is None:
        return html.Tr([html.Th(name, scope="row"), html.Td(className="drawn"), *cells])
    width = 100 * (row["energy_kwh"] or 0.0) / largest if largest > 0 else 0.0
    low, high = (
        100 * row[column_name] / largest if largest > 0 else 0.0 for column_name in ("energy_low_kwh", "energy_high_kwh")
    )
    kind = {IDLE_NAME: "idle", UNATTRIBUTED_NAME: "unattributed"}.get(row[column], f"quality-{row['quality']}")
    bar = html.Div(
        [
            html.Div(className=f"bar {kind}", style={"width": f"{max(width, 0):.2f}%"}),
            html.Div(className="whisker", style={"left": f"{max(low, 0):.2f}%", "width": f"{max(high - low, 0):.2f}%"}),
        ],
        className="track",
        **DECORATIVE,
    )
    return html.Tr([html.Th(name, scope="row"), html.Td(bar, className="drawn"), *cells])
