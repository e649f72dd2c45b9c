"""This file makes the parts of a page: figures with their intervals, bars, tables, source lines."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.numbers import energy_unit, interval, number
from dashboards.words import say

Row = dict[str, Any]
ASIDE: dict[str, Any] = {"aria-hidden": "true"}  # drawn for the eye; the words beside it say the same
GREY = ("(idle)", "(unattributed)")


def badge(letter: str | None, language: str) -> Any:
    """The quality of a figure, as a letter with its words."""
    if not letter:
        return None
    return html.Span([html.Span(className=f"square square-{letter}", **ASIDE), say(language, f"quality_{letter}")],
                     className="badge")  # fmt: skip


def card(title: str, shown: str, unit: str, below: str, mark: Any) -> html.Section:
    """One figure: it never stands without its interval and its quality."""
    return html.Section(
        [
            html.Div([html.H2(title), mark], className="card-head"),
            html.P([html.Span(shown, className="figure"), html.Span(f"\u00a0{unit}", className="unit")]),
            html.P(below, className="interval"),
        ],
        className="card",
    )


def bars(rows: list[Row], column: str, language: str, address: str, title: str) -> html.Section:
    """Energy of each row of a grouping, as a table whose cells are bars: sums of parts are the whole."""
    known = [row for row in rows if row["energy_kwh"] is not None]
    largest = max((row["energy_high_kwh"] for row in rows if row["energy_high_kwh"] is not None), default=0.0)
    size, unit = energy_unit(max((row["energy_kwh"] for row in known), default=0.0))
    ordered = sorted(rows, key=lambda row: (row[column] in GREY, -(row["energy_kwh"] or 0.0), row[column]))
    head = [say(language, "name"), "", unit, say(language, "interval"), say(language, "quality")]
    return html.Section(
        [
            html.H2(title),
            html.P(say(language, "bars_sub"), className="sub"),
            html.Table(
                [
                    html.Caption(title, className="hidden"),
                    html.Thead(html.Tr([html.Th(text, scope="col") for text in head])),
                    html.Tbody([_bar(row, column, size, largest, language) for row in ordered]),
                ],
                className="bars",
            ),
            html.P(html.A(say(language, "data"), href=address), className="source"),
        ],
        className="block",
    )


def _bar(row: Row, column: str, size: float, largest: float, language: str) -> html.Tr:
    name = say(language, row[column]) if row[column] in GREY else row[column]
    if row["energy_high_kwh"] is None:
        unknown = say(language, "unknown")
        return html.Tr([html.Th(name, scope="row"), html.Td(), html.Td(unknown), html.Td(), html.Td()])
    # Requests that were only counted have a range and no value.
    ranged = row["energy_kwh"] is None
    width = 100 * row["energy_kwh"] / largest if largest > 0 and not ranged else 0.0
    low, high = (100 * row[k] / largest if largest > 0 else 0.0 for k in ("energy_low_kwh", "energy_high_kwh"))
    kind = {"(idle)": "idle", "(unattributed)": "nobody"}.get(row[column], f"quality-{row['quality']}")
    drawn = html.Div(
        [
            html.Div(className=f"bar {kind}", style={"width": f"{max(width, 0):.2f}%"}),
            html.Div(className="whisker", style={"left": f"{max(low, 0):.2f}%", "width": f"{max(high - low, 0):.2f}%"}),
        ],
        className="track", **ASIDE,
    )  # fmt: skip
    cells = [say(language, "unknown") if ranged else number(row["energy_kwh"] / size, language),
             interval(row["energy_low_kwh"] / size, row["energy_high_kwh"] / size, language), row["quality"]]  # fmt: skip
    return html.Tr([html.Th(name, scope="row"), html.Td(drawn, className="drawn"), *(html.Td(text) for text in cells)])


def message(title: str, text: str) -> html.Div:
    """A page that has nothing to show says why."""
    return html.Div([html.H1(title), html.P(text, className="lead")], className="message", role="status")
