"""Building blocks of pages: key figures with intervals, cards, tables, charts, menus, messages."""

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
from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.config.models import UNDECLARED
from footprint.figures.query import BadQuery

Row = dict[str, Any]
DECORATIVE: dict[str, Any] = {"aria-hidden": "true"}  # hidden from screen readers: the text beside it says the same
UNASSIGNED = (IDLE_NAME, UNATTRIBUTED_NAME)
GRAPH_CONFIG: Any = {"displayModeBar": False, "responsive": True}
CURRENT: dict[str, Any] = {"aria-current": "true"}
EDGE_PERCENT = 18.0  # names of references nearer to an end of the ruler are aligned inwards
_Component: Any = Component
_log = logging.getLogger("footprint.dashboards")


def quality_badge(letter: str | None, language: str, label: str = "") -> Any:
    """Quality of a figure: coloured square, letter and description; None without a letter."""
    if not letter:
        return None
    description = label or translate(language, f"quality_{letter}").removeprefix(letter).strip()
    square = html.Span(className=f"square square-{letter}", **DECORATIVE)
    return html.Span([square, html.Span([html.B(letter), f" {description}"])], className="badge")


def interval_ruler(low: float, value: float, high: float, reference: float | None, name: str = "") -> html.Div:
    """Interval as a band with the value as a point, and the named reference; each ruler has its own scale."""
    values = [low, high, value, *([reference] if reference is not None else [])]
    begin, end = min(values), max(values)
    padding = (end - begin) * 0.25 or 1.0

    def position(at: float) -> float:
        return 100 * (at - begin + padding) / (end - begin + 2 * padding)

    parts: list[Any] = [html.Div(className="ruler-axis")]
    if high > low:
        band = {"left": f"{position(low):.1f}%", "width": f"{position(high) - position(low):.1f}%"}
        parts.append(html.Div(className="ruler-band", style=band))
    parts.append(html.Div(className="ruler-point", style={"left": f"{position(value):.1f}%"}))
    if reference is not None:
        at = position(reference)
        side = "left" if at < EDGE_PERCENT else "right" if at > 100 - EDGE_PERCENT else ""
        parts.append(html.Div(className="ruler-reference", style={"left": f"{at:.1f}%"}))
        parts.append(html.Div(name, className=f"ruler-name {side}".strip(), style={"left": f"{at:.1f}%"}))
    return html.Div(parts, className="ruler", **DECORATIVE)


def key_figure(
    title: str, value: str, unit: str, note: str, badge: Any, ruler: Any = None, change: Any = None, explanation: Any = None
) -> html.Section:
    """Key figure with its interval and quality. The CSS class of its section is `card`."""
    return html.Section(
        [
            html.Div([html.H2(title), badge], className="card-head"),
            html.P([html.Span(value, className="figure"), html.Span(unit, className="unit")], className="figure-line"),
            html.P(note, className="interval"),
            ruler,
            html.P(change, className="moved"),
            html.P(explanation, className="why"),
        ],
        className="card",
    )


def card(
    title: str,
    subtitle: str,
    body: Any,
    language: str,
    *,
    sentences: Iterable[str] = (),
    table: Any = None,
    data: Sequence[tuple[str, str]] = (),
    source: str = "",
    wide: bool = False,
    element_id: str = "",
    picture: bool | None = None,
) -> html.Section:
    """Card with a finding as title, a chart and its table, sentences, data links and a source. Its CSS class is `block`.

    ``picture``: whether the chart can be downloaded as SVG and PNG; by default if the card has a table.
    """
    attributes: dict[str, Any] = {"id": element_id} if element_id else {}
    table_view = [html.Div(scrollable(table, title), className="as-table")] if table is not None else []
    controls = _card_controls(
        language, data, has_table=table is not None, has_picture=table is not None if picture is None else picture
    )
    return html.Section(
        [
            html.H2(title),
            html.P(subtitle, className="sub") if subtitle else None,
            html.Div(body, className="body as-chart" if table is not None else "body"),
            *table_view,
            *(html.P(sentence, className="sentence") for sentence in sentences),
            html.Div([html.Span(source, className="source"), controls], className="foot") if source or controls else None,
        ],
        className=f"block {'wide' if wide else ''} {element_id}".strip(),
        **attributes,
    )


def _card_controls(language: str, data: Sequence[tuple[str, str]], *, has_table: bool, has_picture: bool) -> Any:
    """Switch between chart and table, and the menu of data and pictures; None if there is neither."""
    controls: list[Any] = []
    if has_table:
        for view, pressed in (("chart", "true"), ("table", "false")):
            attributes: dict[str, Any] = {"data-show": view, "aria-pressed": pressed}
            controls.append(html.Button(translate(language, view), type="button", **attributes))
    links = [html.Li(html.A(name, href=address)) for name, address in data]
    if has_picture:
        for file_format in ("svg", "png"):
            picture_attributes: dict[str, Any] = {"data-picture": file_format}
            links.append(html.Li(html.Button(translate(language, f"picture_{file_format}"), type="button", **picture_attributes)))
    if links:
        controls.append(html.Details([html.Summary(translate(language, "data")), html.Ul(links)], className="menu"))
    return html.Div(controls, className="acts") if controls else None


def scrollable(content: Any, label: str, classes: str = "") -> html.Div:
    """Region that scrolls if its content is larger; focusable, so that the keyboard scrolls it too."""
    attributes: dict[str, Any] = {"aria-label": label}
    return html.Div(content, className=f"scroll {classes}".strip(), tabIndex=0, role="region", **attributes)


def plotly_graph(figure: Any, element_id: str, label: str, classes: str = "", locale: dict[str, Any] | None = None) -> Any:
    """Plotly chart with one sentence for screen readers; the table of its card has the figures."""
    attributes: dict[str, Any] = {"role": "img", "aria-label": label}
    chart = dcc.Graph(
        figure=figure, id=element_id, config=GRAPH_CONFIG | (locale or {}), style={"height": f"{figure.layout.height}px"}
    )
    return html.Div(chart, className=classes, **attributes)


def table(
    head: Sequence[str], rows: Iterable[Sequence[Any]], caption: str, *, row_headers: bool = True, intervals: Sequence[int] = ()
) -> html.Table:
    """Table whose first cell of a row is a header; columns in ``intervals`` hold the interval of the column before."""

    def column_class(column: int) -> str:
        return "iv" if column in intervals else ""

    body = []
    for row in rows:
        cells = list(row)
        body.append(
            html.Tr(
                [
                    html.Th(cells[0], scope="row") if row_headers else html.Td(cells[0]),
                    *(
                        html.Td("" if cell is None else cell, className=column_class(column_index))
                        for column_index, cell in enumerate(cells[1:], 1)
                    ),
                ]
            )
        )
    return html.Table(
        [
            html.Caption(caption, className="hidden"),
            html.Thead(
                html.Tr(
                    [
                        html.Th(text, scope="col", className=column_class(column_index)) if text else html.Td()
                        for column_index, text in enumerate(head)
                    ]
                )
            ),
            html.Tbody(body),
        ]
    )


def display_name(name: str, language: str, column: str = "") -> str:
    """Name to display: names in parentheses, such as `(idle)`, are translated."""
    if column == "use_case" and name == UNDECLARED:
        return translate(language, "undeclared_uses")
    return translate(language, name) if name.startswith("(") else name


def state_strip(states: Sequence[tuple[str, str]], label: str) -> html.Div:
    """Strip of days, one cell a run of equal states, from the (date, state) of each day."""
    attributes: dict[str, Any] = {"role": "img", "aria-label": label}
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
    return html.Div(cells, className="strip", **attributes)


def page_title(text: str) -> html.H1:
    """Heading of a page. By its id the element, and with it the focus, stays when the text changes."""
    return html.H1(text, id="title")


def message(title: str, text: str, kind: str = "message") -> html.Div:
    """Status message in place of a page without content; ``kind`` are CSS classes."""
    return html.Div([html.H1(title), html.P(text, className="lead")], className=kind, role="status")


def refusal_text(refused: AccessRefused, language: str) -> str:
    """Reason of a refusal in the reader's language; in English with the API's own sentence."""
    return translate(language, "refused") if language != "en" else f"{translate(language, 'refused')} ({refused})"


def error_boundary(build: Callable[[], Any], context: PageContext) -> Any:
    """Result of ``build``, or a card with the reason why it shows nothing: a refusal, an address that asks for nothing
    that can be, a store that does not answer, or the error id of the log; the other cards stay.
    """
    language = context.view.language
    try:
        return build()
    except AccessRefused as refused:
        reason = html.P(f"[c] {refusal_text(refused, language)}", className="sentence", role="status")
        return card(translate(language, "refused_title"), "", reason, language)
    except BadQuery as bad:
        sentence = translate(language, "bad_address") + (f" ({bad}). " if language == "en" else ". ")
        default = html.A(translate(language, "30d"), href=context.view.link(period="30d"))
        return html.Section(html.P([sentence, default], role="status"), className="block")
    except DBAPIError:
        text = f"{translate(language, 'away_title')}."
    except Exception:
        error = uuid.uuid4().hex[:8]
        _log.exception("card failed, error %s", error)
        text = translate(language, "card_failed", error=error)
    reload: dict[str, Any] = {"data-reload": "1"}
    retry = html.A(translate(language, "again"), href=context.view.link(), **reload)
    return html.Section(html.P([text, " ", retry], role="status"), className="block failed")


def has_failed(content: Any) -> bool:
    """Whether a card, or a part of it, says that it failed; the next reader may have more luck."""
    parts = content if isinstance(content, list) else [content]
    return any("failed" in (getattr(part, "className", None) or "").split() for part in parts)


def link_menu(view: UrlState, name: str, label: str, current: str, choices: Sequence[tuple[str, str]]) -> html.Details:
    """Unfolding list of links, one a choice: works by keyboard, and each choice has its own URL.

    Its ids keep its elements, and with them the focus, when menus before it come and go.
    """
    links = [
        html.Li(html.A(text, href=view.link(**{name: value}), **(CURRENT if text == current else {}))) for value, text in choices
    ]
    summary = html.Summary([html.Span(label), html.B(current)], id=f"choice-{name}")
    return html.Details([summary, html.Ul(links)], className="menu", id=f"menu-{name}")


class Drawing(_Component):  # type: ignore[misc]
    """Dash component (assets/drawing.js) that shows SVG text in the colours of the theme, with one label for screen readers."""

    _namespace = "footprint_pages"
    _type = "Drawing"
    _prop_names = ("id", "svg", "label", "className")
    _valid_wildcard_attributes: tuple[str, ...] = ()
    _base_nodes = ("children",)
    available_properties = _prop_names
    available_wildcard_properties: tuple[str, ...] = ()

    def __init__(self, svg: str, label: str = "", classes: str = "") -> None:
        super().__init__(svg=svg, label=label, className=f"drawing {classes}".strip())


def svg_document(width: float, height: float, elements: list[str], *, stretched: bool = False) -> str:
    """SVG document of a size [px]; ``stretched`` fills its container without keeping the aspect ratio."""
    ratio = ' preserveAspectRatio="none"' if stretched else ""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"{ratio} aria-hidden="true">'
    return f"{head}{''.join(elements)}</svg>"
