"""This file makes the parts of a page: key figures with their intervals, cards with their controls, tables, menus, states."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dash import dcc, html
from sqlalchemy.exc import DBAPIError

from dashboards.translations import say
from dashboards.url_state import PageContext, View
from footprint.access import AccessRefused

Row = dict[str, Any]
ASIDE: dict[str, Any] = {"aria-hidden": "true"}  # drawn for the eye; the words beside it say the same
GREY = ("(idle)", "(unattributed)")
GRAPH: Any = {"displayModeBar": False, "responsive": True}
CURRENT: dict[str, Any] = {"aria-current": "true"}
EDGE = 18.0  # percent: a name nearer to an end of its ruler is set inwards
_log = logging.getLogger("footprint.dashboards")


def badge(letter: str | None, language: str, words: str = "") -> Any:
    """The quality of a figure: square, letter, words."""
    if not letter:
        return None
    told = words or say(language, f"quality_{letter}").removeprefix(letter).strip()
    square = html.Span(className=f"square square-{letter}", **ASIDE)
    return html.Span([square, html.Span([html.B(letter), f" {told}"])], className="badge")


def ruler(low: float, value: float, high: float, reference: float | None, name: str = "") -> html.Div:
    """The interval as a band with its point, and where the named reference lies; scales of rulers are independent."""
    known = [low, high, value, *([reference] if reference is not None else [])]
    begin, end = min(known), max(known)
    margin = (end - begin) * 0.25 or 1.0

    def place(at: float) -> float:
        return 100 * (at - begin + margin) / (end - begin + 2 * margin)

    parts: list[Any] = [html.Div(className="ruler-axis")]
    if high > low:
        band = {"left": f"{place(low):.1f}%", "width": f"{place(high) - place(low):.1f}%"}
        parts.append(html.Div(className="ruler-band", style=band))
    parts.append(html.Div(className="ruler-point", style={"left": f"{place(value):.1f}%"}))
    if reference is not None:
        at = place(reference)
        side = "left" if at < EDGE else "right" if at > 100 - EDGE else ""
        parts.append(html.Div(className="ruler-reference", style={"left": f"{at:.1f}%"}))
        parts.append(html.Div(name, className=f"ruler-name {side}".strip(), style={"left": f"{at:.1f}%"}))
    return html.Div(parts, className="ruler", **ASIDE)


def card(
    title: str, shown: str, unit: str, below: str, mark: Any, drawn: Any = None, change: Any = None, why: Any = None
) -> html.Section:
    """One figure: it never stands without its interval and its quality."""
    return html.Section(
        [
            html.Div([html.H2(title), mark], className="card-head"),
            html.P([html.Span(shown, className="figure"), html.Span(unit, className="unit")], className="figure-line"),
            html.P(below, className="interval"),
            drawn,
            html.P(change, className="moved"),
            html.P(why, className="why"),
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
    picture: bool | None = None,
) -> html.Section:
    """A card: the finding as title, what is shown, the chart, sentences, its table, where its data stand.

    ``picture``: whether it can be taken away as SVG and PNG; by default where it has a table beside its chart.
    """
    named: dict[str, Any] = {"id": identity} if identity else {}
    unfolds = [html.Div(scrolled(table, finding), className="as-table")] if table is not None else []
    acts = _acts(language, data, switched=table is not None, picture=table is not None if picture is None else picture)
    return html.Section(
        [
            html.H2(finding),
            html.P(sub, className="sub") if sub else None,
            html.Div(body, className="body as-chart" if table is not None else "body"),
            *unfolds,
            *(html.P(text, className="sentence") for text in sentences),
            html.Div([html.Span(source, className="source"), acts], className="foot") if source or acts else None,
        ],
        className=f"block {'wide' if wide else ''} {identity}".strip(),
        **named,
    )


def _acts(language: str, data: Sequence[tuple[str, str]], *, switched: bool, picture: bool) -> Any:
    """Chart, Table, Data: words on controls, the active one bold."""
    acts: list[Any] = []
    if switched:
        for kind, pressed in (("chart", "true"), ("table", "false")):
            named: dict[str, Any] = {"data-show": kind, "aria-pressed": pressed}
            acts.append(html.Button(say(language, kind), type="button", **named))
    links = [html.Li(html.A(name, href=address)) for name, address in data]
    if picture:
        for form in ("svg", "png"):
            asked: dict[str, Any] = {"data-picture": form}
            links.append(html.Li(html.Button(say(language, f"picture_{form}"), type="button", **asked)))
    if links:
        acts.append(html.Details([html.Summary(say(language, "data")), html.Ul(links)], className="menu"))
    return html.Div(acts, className="acts") if acts else None


def scrolled(content: Any, label: str, more: str = "") -> html.Div:
    """What may be wider or longer than its place: scrolled by keyboard too."""
    named: dict[str, Any] = {"aria-label": label}
    return html.Div(content, className=f"scroll {more}".strip(), tabIndex=0, role="region", **named)


def graph(figure: Any, identity: str, label: str, more: str = "", locale: dict[str, Any] | None = None) -> Any:
    """A Plotly chart that a screen reader is told of by one sentence; its table says the rest."""
    named: dict[str, Any] = {"role": "img", "aria-label": label}
    drawn = dcc.Graph(figure=figure, id=identity, config=GRAPH | (locale or {}), style={"height": f"{figure.layout.height}px"})
    return html.Div(drawn, className=more, **named)


def table(
    head: Sequence[str], rows: Iterable[Sequence[Any]], caption: str, *, first: bool = True, intervals: Sequence[int] = ()
) -> html.Table:
    """A table with its heads; the first cell of a row is its head. Columns in ``intervals`` belong to the figure before them."""

    def kind(column: int) -> str:
        return "iv" if column in intervals else ""

    body = []
    for row in rows:
        cells = list(row)
        body.append(
            html.Tr(
                [
                    html.Th(cells[0], scope="row") if first else html.Td(cells[0]),
                    *(html.Td("" if c is None else c, className=kind(n)) for n, c in enumerate(cells[1:], 1)),
                ]
            )
        )
    return html.Table(
        [
            html.Caption(caption, className="hidden"),
            html.Thead(
                html.Tr([html.Th(text, scope="col", className=kind(n)) if text else html.Td() for n, text in enumerate(head)])
            ),
            html.Tbody(body),
        ]
    )


def name_of(name: str, language: str) -> str:
    """A name as people read it."""
    return say(language, name) if name.startswith("(") else name


def strip(states: Sequence[tuple[str, str]], label: str) -> html.Div:
    """Runs of days: measured, estimated, missing; from (date, state) of each day."""
    named: dict[str, Any] = {"role": "img", "aria-label": label}
    runs: list[tuple[str, str, str, int]] = []
    for day, state in states:
        if runs and runs[-1][2] == state:
            runs[-1] = (runs[-1][0], day, state, runs[-1][3] + 1)
        else:
            runs.append((day, day, state, 1))
    cells = [
        html.Span(className=f"cell {state}", title=f"{first} – {last}" if days > 1 else first, style={"flexGrow": days})
        for first, last, state, days in runs
    ]
    return html.Div(cells, className="strip", **named)


def message(title: str, text: str, level: Any = html.H1) -> html.Div:
    """A page or card that has nothing to show says why."""
    return html.Div([level(title), html.P(text, className="lead")], className="message", role="status")


def refused_words(refused: AccessRefused, language: str) -> str:
    """Why a figure is not shown to this role, in the reader's language; the API's own sentence is English."""
    return say(language, "refused") if language != "en" else f"{say(language, 'refused')} ({refused})"


def error_boundary(make: Callable[[], Any], context: PageContext) -> Any:
    """A card; where it cannot be made it says so, with a number that the log knows, and the others stay."""
    try:
        return make()
    except DBAPIError:
        raise
    except AccessRefused as refused:
        language = context.view.language
        why = html.P(f"[c] {refused_words(refused, language)}", className="sentence", role="status")
        return block(say(language, "refused_title"), "", why, language)
    except Exception:
        error = uuid.uuid4().hex[:8]
        _log.exception("card failed, error %s", error)
        language = context.view.language
        said = say(language, "card_failed", error=error)
        again = html.A(say(language, "again"), href=context.view.link())
        return html.Section(html.P([said, " ", again], role="status"), className="block failed")


def menu(view: View, name: str, label: str, current: str, choices: Sequence[tuple[str, str]]) -> html.Details:
    """A filter as a list of links that unfolds: works by keyboard, and every choice is an address."""
    links = [
        html.Li(html.A(shown, href=view.link(**{name: value}), **(CURRENT if shown == current else {})))
        for value, shown in choices
    ]
    return html.Details([html.Summary([html.Span(label), html.B(current)]), html.Ul(links)], className="menu")
