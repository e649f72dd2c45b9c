"""This file makes the parts of a page: figures with their intervals, cards, bars, strips, tables, source lines."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dash import dcc, html
from sqlalchemy.exc import DBAPIError

from dashboards.view import Context, View
from dashboards.words import say
from footprint.wording.numbers import energy_unit, interval, number

Row = dict[str, Any]
ASIDE: dict[str, Any] = {"aria-hidden": "true"}  # drawn for the eye; the words beside it say the same
GREY = ("(idle)", "(unattributed)")
GRAPH: Any = {"displayModeBar": False, "responsive": True}
CURRENT: dict[str, Any] = {"aria-current": "true"}
_log = logging.getLogger("footprint.dashboards")


def badge(letter: str | None, language: str) -> Any:
    """The quality of a figure, as a letter with its words."""
    if not letter:
        return None
    return html.Span(
        [html.Span(className=f"square square-{letter}", **ASIDE), say(language, f"quality_{letter}")], className="badge"
    )


def ruler(low: float, value: float, high: float, reference: float | None) -> html.Div:
    """The interval as a band with its point, and where the reference lies; scales of rulers are independent."""
    known = [low, high, value, *([reference] if reference is not None else [])]
    begin, end = min(known), max(known)
    margin = (end - begin) * 0.25 or 1.0

    def place(at: float) -> str:
        return f"{100 * (at - begin + margin) / (end - begin + 2 * margin):.1f}%"

    parts = [
        html.Div(className="ruler-band", style={"left": place(low), "width": f"calc({place(high)} - {place(low)})"}),
        html.Div(className="ruler-point", style={"left": place(value)}),
    ]
    parts += [html.Div(className="ruler-reference", style={"left": place(reference)})] if reference is not None else []
    return html.Div(parts, className="ruler", **ASIDE)


def card(title: str, shown: str, unit: str, below: str, mark: Any, drawn: Any = None, more: Sequence[Any] = ()) -> html.Section:
    """One figure: it never stands without its interval and its quality."""
    return html.Section(
        [
            html.Div([html.H2(title), mark], className="card-head"),
            html.P([html.Span(shown, className="figure"), html.Span(f"\u00a0{unit}", className="unit")]),
            html.P(below, className="interval"),
            drawn,
            *(html.P(each, className="more") for each in more),
        ],
        className="card",
    )


def block(
    finding: str,
    sub: str,
    body: Any,
    language: str,
    *,
    sentences: Iterable[str] = (),
    table: Any = None,
    data: Sequence[tuple[str, str]] = (),
    source: str = "",
    wide: bool = False,
    identity: str = "",
) -> html.Section:
    """A card: the finding as title, what is shown, the chart, sentences, its table, where its data stand."""
    below: list[Any] = [html.Span(source)] if source else []
    below += [html.A(f"{say(language, 'data')} {name}", href=address) for name, address in data]
    unfolds = [html.Details([html.Summary(say(language, "table")), scrolled(table, finding)])] if table else []
    named: dict[str, Any] = {"id": identity} if identity else {}
    return html.Section(
        [
            html.H2(finding),
            html.P(sub, className="sub"),
            html.Div(body, className="body"),
            *(html.P(text, className="sentence") for text in sentences),
            *unfolds,
            html.P(below, className="source"),
        ],
        className=f"block {'wide' if wide else ''} {identity}".strip(),
        **named,
    )


def scrolled(content: Any, label: str, more: str = "") -> html.Div:
    """What may be wider or longer than its place: scrolled by keyboard too."""
    named: dict[str, Any] = {"aria-label": label}
    return html.Div(content, className=f"scroll {more}".strip(), tabIndex=0, role="region", **named)


def graph(figure: Any, identity: str, label: str) -> Any:
    """A Plotly chart that a screen reader is told of by one sentence; its table says the rest."""
    named: dict[str, Any] = {"role": "img", "aria-label": label}
    return html.Div(dcc.Graph(figure=figure, id=identity, config=GRAPH, style={"height": f"{figure.layout.height}px"}), **named)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], caption: str, *, first: bool = True) -> html.Table:
    """A table with its heads; the first cell of a row is its head."""
    body = []
    for row in rows:
        cells = list(row)
        body.append(
            html.Tr(
                [
                    html.Th(cells[0], scope="row") if first else html.Td(cells[0]),
                    *(html.Td("" if c is None else c) for c in cells[1:]),
                ]
            )
        )
    return html.Table(
        [
            html.Caption(caption, className="hidden"),
            html.Thead(html.Tr([html.Th(text, scope="col") if text else html.Td() for text in head])),
            html.Tbody(body),
        ]
    )


def name_of(name: str, language: str) -> str:
    """A name as people read it."""
    return say(language, name) if name.startswith("(") else name


def bars(
    rows: list[Row], column: str, language: str, address: str, title: str, link: Callable[[str], str] | None = None
) -> html.Section:
    """Energy of each row of a grouping, as a table whose cells are bars: sums of parts are the whole."""
    known = [row for row in rows if row["energy_kwh"] is not None]
    largest = max((row["energy_high_kwh"] for row in rows if row["energy_high_kwh"] is not None), default=0.0)
    size, unit = energy_unit(max((row["energy_kwh"] for row in known), default=0.0))
    ordered = sorted(rows, key=lambda row: (row[column] in GREY, -(row["energy_kwh"] or 0.0), row[column]))
    head = [say(language, "name"), "", unit, say(language, "interval"), say(language, "quality")]
    drawn = html.Table(
        [
            html.Caption(title, className="hidden"),
            html.Thead(html.Tr([html.Th(text, scope="col") if text else html.Td() for text in head])),
            html.Tbody([_bar(row, column, size, largest, language, link) for row in ordered]),
        ],
        className="bars",
    )
    return block(
        title, say(language, "bars_sub"), drawn, language, sentences=[say(language, "bars_note")], data=[("CSV", address)]
    )


def _bar(row: Row, column: str, size: float, largest: float, language: str, link: Callable[[str], str] | None) -> html.Tr:
    shown: Any = name_of(row[column], language)
    if link is not None and not row[column].startswith("("):
        shown = html.A(shown, href=link(row[column]))
    if row["energy_high_kwh"] is None:
        unknown = say(language, "unknown")
        return html.Tr([html.Th(shown, scope="row"), html.Td(), html.Td(unknown), html.Td(), html.Td()])
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
        className="track",
        **ASIDE,
    )
    cells = [
        say(language, "unknown") if ranged else number(row["energy_kwh"] / size, language),
        interval(row["energy_low_kwh"] / size, row["energy_high_kwh"] / size, language),
        row["quality"],
    ]
    return html.Tr([html.Th(shown, scope="row"), html.Td(drawn, className="drawn"), *(html.Td(text) for text in cells)])


def strip(states: Sequence[tuple[str, str]], label: str) -> html.Div:
    """One cell a day: measured, estimated, missing; (date, state)."""
    named: dict[str, Any] = {"role": "img", "aria-label": label}
    return html.Div(
        [html.Span(className=f"cell {state}", title=f"{day} {state}") for day, state in states], className="strip", **named
    )


def message(title: str, text: str, level: Any = html.H1) -> html.Div:
    """A page or card that has nothing to show says why."""
    return html.Div([level(title), html.P(text, className="lead")], className="message", role="status")


def safely(make: Callable[[], Any], context: Context) -> Any:
    """A card; where it cannot be made it says so, with a number that the log knows, and the others stay."""
    try:
        return make()
    except DBAPIError:
        raise
    except Exception:
        error = uuid.uuid4().hex[:8]
        _log.exception("card failed, error %s", error)
        return html.Section(html.P(say(context.view.language, "card_failed", error=error), role="status"), className="block")


def menu(view: View, name: str, label: str, current: str, choices: Sequence[tuple[str, str]]) -> html.Details:
    """A filter as a list of links that unfolds: works by keyboard, and every choice is an address."""
    links = [
        html.Li(html.A(shown, href=view.link(**{name: value}), **(CURRENT if shown == current else {})))
        for value, shown in choices
    ]
    return html.Details([html.Summary([html.Span(label), html.B(current)]), html.Ul(links)], className="menu")
