"""This file makes the parts of a page: key figures with their intervals, cards with their controls, tables, menus, states."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component
from sqlalchemy.exc import DBAPIError

from dashboards.translations import translate
from dashboards.url_state import PageContext, UrlState
from footprint.access import AccessRefused

Row = dict[str, Any]
DECORATIVE: dict[str, Any] = {"aria-hidden": "true"}  # drawn for the eye; the words beside it say the same
UNASSIGNED = ("(idle)", "(unattributed)")
GRAPH_CONFIG: Any = {"displayModeBar": False, "responsive": True}
CURRENT: dict[str, Any] = {"aria-current": "true"}
EDGE_PERCENT = 18.0  # percent: a name nearer to an end of its ruler is set inwards
_Component: Any = Component
_log = logging.getLogger("footprint.dashboards")


def quality_badge(letter: str | None, language: str, words: str = "") -> Any:
    """The quality of a figure: square, letter, words."""
    if not letter:
        return None
    told = words or translate(language, f"quality_{letter}").removeprefix(letter).strip()
    square = html.Span(className=f"square square-{letter}", **DECORATIVE)
    return html.Span([square, html.Span([html.B(letter), f" {told}"])], className="badge")


def interval_ruler(low: float, value: float, high: float, reference: float | None, name: str = "") -> html.Div:
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
        side = "left" if at < EDGE_PERCENT else "right" if at > 100 - EDGE_PERCENT else ""
        parts.append(html.Div(className="ruler-reference", style={"left": f"{at:.1f}%"}))
        parts.append(html.Div(name, className=f"ruler-name {side}".strip(), style={"left": f"{at:.1f}%"}))
    return html.Div(parts, className="ruler", **DECORATIVE)


def key_figure(
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


def card(
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
    unfolds = [html.Div(scrollable(table, finding), className="as-table")] if table is not None else []
    acts = _card_controls(language, data, switched=table is not None, picture=table is not None if picture is None else picture)
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


def _card_controls(language: str, data: Sequence[tuple[str, str]], *, switched: bool, picture: bool) -> Any:
    """Chart, Table, Data: words on controls, the active one bold."""
    acts: list[Any] = []
    if switched:
        for kind, pressed in (("chart", "true"), ("table", "false")):
            named: dict[str, Any] = {"data-show": kind, "aria-pressed": pressed}
            acts.append(html.Button(translate(language, kind), type="button", **named))
    links = [html.Li(html.A(name, href=address)) for name, address in data]
    if picture:
        for form in ("svg", "png"):
            asked: dict[str, Any] = {"data-picture": form}
            links.append(html.Li(html.Button(translate(language, f"picture_{form}"), type="button", **asked)))
    if links:
        acts.append(html.Details([html.Summary(translate(language, "data")), html.Ul(links)], className="menu"))
    return html.Div(acts, className="acts") if acts else None


def scrollable(content: Any, label: str, more: str = "") -> html.Div:
    """What may be wider or longer than its place: scrolled by keyboard too."""
    named: dict[str, Any] = {"aria-label": label}
    return html.Div(content, className=f"scroll {more}".strip(), tabIndex=0, role="region", **named)


def plotly_graph(figure: Any, identity: str, label: str, more: str = "", locale: dict[str, Any] | None = None) -> Any:
    """A Plotly chart that a screen reader is told of by one sentence; its table says the rest."""
    named: dict[str, Any] = {"role": "img", "aria-label": label}
    drawn = dcc.Graph(
        figure=figure, id=identity, config=GRAPH_CONFIG | (locale or {}), style={"height": f"{figure.layout.height}px"}
    )
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


def display_name(name: str, language: str) -> str:
    """A name as people read it."""
    return translate(language, name) if name.startswith("(") else name


def state_strip(states: Sequence[tuple[str, str]], label: str) -> html.Div:
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


def refusal_text(refused: AccessRefused, language: str) -> str:
    """Why a figure is not shown to this role, in the reader's language; the API's own sentence is English."""
    return translate(language, "refused") if language != "en" else f"{translate(language, 'refused')} ({refused})"


def error_boundary(make: Callable[[], Any], context: PageContext) -> Any:
    """A card; where it cannot be made it says so, with a number that the log knows, and the others stay."""
    try:
        return make()
    except DBAPIError:
        raise
    except AccessRefused as refused:
        language = context.view.language
        why = html.P(f"[c] {refusal_text(refused, language)}", className="sentence", role="status")
        return card(translate(language, "refused_title"), "", why, language)
    except Exception:
        error = uuid.uuid4().hex[:8]
        _log.exception("card failed, error %s", error)
        language = context.view.language
        said = translate(language, "card_failed", error=error)
        again = html.A(translate(language, "again"), href=context.view.link())
        return html.Section(html.P([said, " ", again], role="status"), className="block failed")


def link_menu(view: UrlState, name: str, label: str, current: str, choices: Sequence[tuple[str, str]]) -> html.Details:
    """A filter as a list of links that unfolds: works by keyboard, and every choice is an address."""
    links = [
        html.Li(html.A(shown, href=view.link(**{name: value}), **(CURRENT if shown == current else {})))
        for value, shown in choices
    ]
    return html.Details([html.Summary([html.Span(label), html.B(current)]), html.Ul(links)], className="menu")


class Drawing(_Component):  # type: ignore[misc]
    """SVG that a screen reader hears as one sentence; the table beside it says the rest."""

    _namespace = "footprint_pages"
    _type = "Drawing"
    _prop_names = ("id", "svg", "label", "className")
    _valid_wildcard_attributes: tuple[str, ...] = ()
    _base_nodes = ("children",)
    available_properties = _prop_names
    available_wildcard_properties: tuple[str, ...] = ()

    def __init__(self, svg: str, label: str = "", more: str = "") -> None:
        super().__init__(svg=svg, label=label, className=f"drawing {more}".strip())


def svg_document(width: float, height: float, parts: list[str], *, stretched: bool = False) -> str:
    """An SVG of a size; ``stretched`` fills whatever place it has."""
    ratio = ' preserveAspectRatio="none"' if stretched else ""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"{ratio} aria-hidden="true">'
    return f"{head}{''.join(parts)}</svg>"
