"""Dash application of the pages, mounted on the API's ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from dash import MATCH, Dash, Input, Output, State, dcc, html, no_update
from dash.exceptions import DependencyException
from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError

from dashboards.answers import DataVersion, Question, TtlCache, query_answer
from dashboards.callback_requests import CallbackGuard
from dashboards.card_frames import FRAME_TYPE
from dashboards.components import has_failed
from dashboards.layout import picture_texts, skeleton
from dashboards.page_shell import PAGES, render_card, render_shell
from dashboards.pages import charter, editions, methods, trace
from dashboards.parts.power import power_figure
from dashboards.translations import LANGUAGES, translate
from dashboards.url_state import NAMED_PERIOD, THEMES, PageContext, UrlState, shows_protected_only
from footprint.access import AccessRefused, Role
from footprint.access.application import Application
from footprint.access.authentication import access_mode
from footprint.access.authorized_queries import AuthorizedQueries
from footprint.access.request_context import PAGE_KEY, RECEIVED_KEY, current_role
from footprint.calendar.periods import period_at
from footprint.config import Config
from footprint.editions.repository import Release, latest_release
from footprint.figures import Query
from footprint.storage.database import Store
from footprint.storage.figure_writer import data_version

# These pages show nothing below the total of the organisation, so every role may read the store through them.
UNRESTRICTED_PAGES = (editions.PATH, methods.PATH)
NON_PAGE_PREFIXES = (
    "/auth",
    "/api",
    "/editions/",
    "/publications",
    "/_dash",
    "/_reload",
    "/assets",
    "/healthz",
    "/readyz",
    "/metrics",
    "/_favicon",
    "/favicon",
)

# Digests of the style sheets that the scripts of Dash 4.4 and Plotly 6 insert into a page (the first is empty: Plotly fills it
# rule by rule). A browser test finds violations; a sheet that an upgrade changes styles only controls that no page uses.
LIBRARY_STYLES = (
    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "Do5Z9ZqsPvCQTUBQS9BnDm/2+on7omuzuLYk5sbA+2s=",
    "ITR5T9OwskhdqdsliUJRmgp9ltOFAHgXe1F7eRvGnmQ=",
    "0IJGrxhCP5NUIafylLkj5118xkZH1kp5FmNio7NOckI=",
    "Z8VokGxeiKThZOEmkdUgfW+jxbvItBwAXC8M1c4wqAM=",
    "VUA+tqvhK3niMn7AdszqidMFPRh9FLqxB2iINUrsiTw=",
    "Aq43X0SlmB69maWGob4rp/UuSHhwePalkRRExtsxOJ8=",
    "SkhFDxgIcEjMhRh19uSHWrkdnAlZ9rlskgr9yLsipa8=",
    "uDiOZWps1U7E8/0BTaQrclYMhVhRVE4dT0vb5X6nXOw=",
    "+QoPrsxO0auPnxSulD3bAr9CoDGgzv7YRfYE0vfxeQI=",
    "MJs2ke1SA6Cy3tTCZu2QH0rj0r//iNqU0idy9bM4leg=",
    "X2TqJwnIiE/ceDVeAdr7v7BOWBU6CEzE6qxlNzBzvBk=",
    "ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o=",
)
REFRESH_MS = 10_000
MAX_PAGE_THREADS = 2  # further requests for cards wait, so that the server stays responsive
MAX_CACHED_CARDS = 640  # about 50 pages of up to 1 MB
_language: ContextVar[str] = ContextVar("language", default="fr")
_theme: ContextVar[str] = ContextVar("theme", default="auto")
_print: ContextVar[bool] = ContextVar("print", default=False)


def mount(
    api: Application,
    store: Store,
    config: Config,
    clock: Callable[[], int],
    ask: Callable[[Question, Store, Config, int], Any] = Question.answer,
) -> Any:
    """Mount the pages on ``api``; return the ASGI application that serves both. ``ask`` answers questions of cards."""
    dash_class: Any = _LocalisedDash
    dash = dash_class(
        __name__,
        server=api,
        backend="fastapi",
        title="Footprint",
        update_title=None,
        serve_locally=True,
        suppress_callback_exceptions=True,
        websocket_callbacks=False,
    )
    dash.layout = lambda: _layout(config, _language.get(), clock())
    version = DataVersion(partial(_data_version, store))
    answers: TtlCache[Question, Any] = TtlCache(lambda question: ask(question, store, config, clock()), version)
    authorized = AuthorizedQueries(store, config, clock)

    def context(path: str, search: str, language: str) -> PageContext:
        role, view = current_role(), UrlState.parse(path, search, language)
        if role is Role.PUBLIC and path == "/":
            view = replace(view, path=editions.PATH)
        return PageContext(
            config,
            store if may_bypass_policy(role, view) else None,
            lambda query: authorized.run(query, partial(query_answer, answers=answers)),
            clock(),
            restrict_to_role(view, role, config, clock()),
            role=role,
            find_edition=partial(_newest_edition, store),
            shared=answers,
        )

    def render(request: CardRequest) -> Any:
        return render_card(context(*split_url(request.url), request.language), request.name)

    cards = TtlCache(render, version, MAX_CACHED_CARDS, lambda card: not has_failed(card))

    @dash.callback(  # type: ignore[untyped-decorator,unused-ignore]
        Output("header", "children"),
        Output("filters", "children"),
        Output("printed", "children"),
        Output("body", "children"),
        Output("footer", "children"),
        Output("structure", "data"),
        Output("url", "data"),
        Input("address", "pathname"),
        Input("address", "search"),
        State("structure", "data"),
        State("language", "data"),
    )
    async def show(path: str | None, search: str | None, structure: str | None, language: str) -> Any:
        if path is None:
            return (no_update,) * 7  # the browser has not read its address yet
        shell = await run_in_thread(_shell_threads, render_shell, context(path, search or "", language))
        # Cards of the same frames stay until the new ones arrive.
        body = no_update if shell.structure == structure else shell.body
        return shell.header, shell.filters, shell.print_header, body, shell.footer, shell.structure, path + (search or "")

    @dash.callback(  # type: ignore[untyped-decorator,unused-ignore]
        Output({"type": FRAME_TYPE, "name": MATCH}, "children"),
        Output({"type": FRAME_TYPE, "name": MATCH}, "data-url"),
        Input("url", "data"),
        Input("turn", "data"),
        State({"type": FRAME_TYPE, "name": MATCH}, "id"),
        State("language", "data"),
    )
    async def show_card(url: str, _turn: int, frame_id: dict[str, str], language: str) -> Any:
        request = CardRequest(current_role(), url, language, frame_id["name"])
        # Rendering writes the audit log, so cards of roles that see unprotected figures bypass the cache.
        cacheable = access_mode(config) == "open" or not request.role.sees_uses
        return await run_in_thread(_card_threads, cards if cacheable else render, request), url

    @dash.callback(  # type: ignore[untyped-decorator,unused-ignore]
        Output("tick", "disabled"),
        Output("turn", "data"),
        Input("url", "data"),
        Input("tick", "n_intervals"),
        State("tick", "disabled"),
        State("language", "data"),
        prevent_initial_call=True,
    )
    async def poll(url: str, ticks: int | None, disabled: bool | None, language: str) -> Any:
        has_data = await run_in_thread(_card_threads, _has_data, context, url, language)
        # Poll only while there are no figures; the first ones fill the cards that were shown empty.
        return has_data, ticks if has_data and not disabled else no_update

    @dash.callback(  # type: ignore[untyped-decorator,unused-ignore]
        Output("power", "figure"),
        Input("live", "n_intervals"),
        State("address", "pathname"),
        State("address", "search"),
        State("language", "data"),
        prevent_initial_call=True,
    )
    async def power(_ticks: int | None, path: str, search: str, language: str) -> Any:
        page_context = context(path, search, language)
        chart = await run_in_thread(_card_threads, power_figure, page_context, page_context.view.get("name"))
        return no_update if chart is None else chart[0]

    @dash.callback(  # type: ignore[untyped-decorator,unused-ignore]
        Output("live", "disabled"),
        Output("pause", "children"),
        Input("pause", "n_clicks"),
        State("live", "disabled"),
        State("language", "data"),
        prevent_initial_call=True,
    )
    def pause(_clicks: int | None, disabled: bool | None, language: str) -> Any:
        return not disabled, translate(language, "pause" if disabled else "resume")

    api.page_scripts = tuple(f"'{digest}'" if not digest.startswith("'") else digest for digest in dash.csp_hashes())
    api.page_styles = tuple(f"'sha256-{digest}'" for digest in LIBRARY_STYLES)
    api.surround(lambda app: CallbackGuard(app, dash.callback_map))
    api.add_exception_handler(DependencyException, _no_such_file)
    return _LocaleMiddleware(api)


async def _no_such_file(request: Request, _: Exception) -> JSONResponse:
    return JSONResponse({"error": f"no such address: {request.url.path}"}, status_code=404)


_card_threads = ThreadPoolExecutor(max_workers=MAX_PAGE_THREADS, thread_name_prefix="card")
# Shells ask for no figure, and so do not wait for cards.
_shell_threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shell")


async def run_in_thread(threads: Executor, function: Callable[..., Any], *args: Any) -> Any:
    """Run a function in a thread: rendering on the event loop would block the server, including the ingest of readings."""
    return await asyncio.get_running_loop().run_in_executor(threads, partial(copy_context().run, function, *args))


def split_url(url: str) -> tuple[str, str]:
    """Path and query string of a URL of this site."""
    path, mark, search = url.partition("?")
    return path, mark + search


def _newest_edition(store: Store, period: str) -> Release | None:
    """Newest edition of a period; None if there is none or the store does not answer, so that the page can still be framed."""
    try:
        return latest_release(store, period)
    except DBAPIError:
        return None


def may_bypass_policy(role: Role, view: UrlState) -> bool:
    """Whether a page may read the store directly, without the disclosure rules of `AuthorizedQueries`."""
    if role.sees_uses or view.path in UNRESTRICTED_PAGES or trace.published_figure_id(view):
        return True  # the trace page of a published figure checks the role itself
    names_use_case = view.path in ("/use-cases", charter.PATH) or "use_case" in {
        name for name, _ in (*view.filters, *view.page_params)
    }
    return role.sees_services and not names_use_case and view.get("kind") != "use_case"


def restrict_to_role(view: UrlState, role: Role, config: Config, now_us: int) -> UrlState:
    """Replace a relative period by the last completed quarter for roles that see only protected figures of calendar periods."""
    if view.since or view.until or NAMED_PERIOD.fullmatch(view.period) or not shows_protected_only(role, view):
        return view
    return replace(view, period=str(period_at(now_us, config.timezone).shifted(-1)))


def _has_data(context: Callable[..., PageContext], url: str, language: str) -> bool:
    """Whether there is any figure yet; until then the browser polls."""
    try:
        return bool(context(*split_url(url), language).run_query(Query()).rows)
    except DBAPIError:
        return False
    except AccessRefused:
        return True  # polling would not change a refusal


def _layout(config: Config, language: str, now_us: int) -> html.Div:
    region: dict[str, Any] = {"aria-label": translate(language, "demo")}
    live: dict[str, Any] = {
        "aria-live": "polite",
        "data-updated": translate(language, "updated"),
        "data-loading": translate(language, "loading"),
    }
    banner = [html.Div(html.P(translate(language, "demo")), className="demo", role="region", **region)] if config.demo else []
    main = [html.Div(id="printed", className="print-only"), html.Div(id="filters"), html.Div(skeleton(language), id="body")]
    return html.Div(
        [
            html.A(translate(language, "skip"), href="#main", className="skip"),
            *banner,
            html.Div(
                [
                    html.Header(id="header"),
                    html.Main(main, id="main", tabIndex=-1),
                    html.Footer(id="footer", className="page-footer", **picture_texts(config, language, now_us)),
                ],
                id="page",
            ),
            html.Div(id="spoken", className="hidden", role="status", **live),
            dcc.Location(id="address", refresh=False),
            dcc.Interval(id="tick", interval=REFRESH_MS, disabled=True),
            dcc.Store(id="language", data=language),
            dcc.Store(id="structure", data=""),
            dcc.Store(id="url", data=""),
            dcc.Store(id="turn", data=0),
        ],
        className="demonstration" if config.demo else "",
    )


@dataclass(frozen=True, slots=True)
class CardRequest:
    """Cache key of a rendered card: role, URL, language and name of its frame."""

    role: Role
    url: str
    language: str
    name: str


def _data_version(store: Store) -> Any:
    """Version of the computed figures; a new one on each call while the store does not answer, so that nothing is cached."""
    try:
        with store.read() as connection:
            return data_version(connection)
    except DBAPIError:
        return object()


class _LocalisedDash(Dash):  # type: ignore[misc,unused-ignore]
    """Dash whose HTML document carries the language and theme of the request."""

    def interpolate_index(self, *args: Any, **kwargs: Any) -> str:
        page: str = super().interpolate_index(*args, **kwargs)  # type: ignore[no-untyped-call,unused-ignore]
        print_view = " data-print" if _print.get() else ""
        page = page.replace("<html>", f'<html lang="{_language.get()}" data-theme="{_theme.get()}"{print_view}>', 1)
        # Dash puts its scripts into a <footer>, which screen readers would announce as a second, empty landmark.
        return page.replace("<footer>", "<div hidden>").replace("</footer>", "</div>")


class _LocaleMiddleware:
    """ASGI middleware: language and theme of a request, from its URL, else from the browser's preference, else French."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            _language.set(_request_language(scope))
            params = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            theme = params.get("theme", ["auto"])[0]
            _print.set(params.get("print", [""])[0] == "1")
            _theme.set("light" if _print.get() else theme if theme in THEMES else "auto")
            scope, send = _rewrite_page_path(scope, send)
        await self._app(scope, receive, send)


def _rewrite_page_path(scope: Any, send: Any) -> tuple[Any, Any]:
    """Route every page path to Dash's index document, which then loads the content of its URL; unknown paths get status 404.

    Without a lifespan Dash registers no catch-all route, and its own would answer 200 for unknown paths.
    """
    path = scope["path"]
    if scope["method"] not in ("GET", "HEAD") or path.startswith(NON_PAGE_PREFIXES) or path == "/":
        return scope, send
    index_scope = {**scope, "path": "/", "raw_path": b"/", PAGE_KEY: path, RECEIVED_KEY: scope}
    if path in PAGES:
        return index_scope, send  # `AuthorizationMiddleware` answers 404 if the role may not see the page

    async def not_found(message: Any) -> None:
        is_page = message["type"] == "http.response.start" and message["status"] == 200
        await send({**message, "status": 404} if is_page else message)

    return index_scope, not_found


def _request_language(scope: Any) -> Any:
    headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    # The URL of a Dash callback has no language; its referer, the page, has.
    for query in (scope.get("query_string", b"").decode("latin-1"), headers.get(b"referer", "").partition("?")[2]):
        requested = parse_qs(query).get("lang", [""])[0]
        if requested in LANGUAGES:
            return requested
    for part in headers.get(b"accept-language", "").split(","):
        code = part.strip()[:2].lower()
        if code in LANGUAGES:
            return code
    return LANGUAGES[0]
