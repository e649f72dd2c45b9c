"""Dash application of the pages, mounted on the API's ASGI application."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import parse_qs

from dash import Dash, Input, Output, State, dcc, html, no_update
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError

from dashboards.components import message, refusal_text
from dashboards.layout import footer, header, print_header, skeleton
from dashboards.pages import (
    access,
    charter,
    compare,
    editions,
    efficiency,
    entities,
    explain,
    help,  # noqa: A004
    methods,
    overview,
    quality,
    readings,
    trace,
)
from dashboards.parts.filters import filter_bar
from dashboards.parts.power import power_figure
from dashboards.translations import LANGUAGES, translate
from dashboards.url_state import NAMED_PERIOD, THEMES, PageContext, UrlState, shows_protected_only
from footprint.access import AccessRefused, Role, allows
from footprint.access.authentication import access_mode
from footprint.access.middleware import PAGE_KEY, AuthorizedQueries, current_role
from footprint.calendar.periods import period_at
from footprint.config import Config
from footprint.editions.repository import Release, latest_release
from footprint.figures import Query, QueryResult, run_query
from footprint.storage.database import Store
from footprint.storage.figure_writer import data_version


class Page(Protocol):
    """Interface of a page: its URL path, the catalogue key of its title, and its content."""

    PATH: str
    TITLE: str

    def content(self, context: PageContext) -> list[Any]:
        """Components of the page."""
        ...


# Header entries in order (at most eight), entries of the *More* menu, and pages that only links from figures lead to.
NAVIGATION: tuple[Any, ...] = (overview, *entities.MAIN, compare, charter, quality, editions, methods)
MORE: tuple[Any, ...] = (efficiency, *entities.MORE, help)
UNLISTED: tuple[Any, ...] = (explain, readings, access)
PAGES: dict[str, Any] = {page.PATH: page for page in (*NAVIGATION, *MORE, *UNLISTED)}

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

REFRESH_MS = 10_000
CACHE_TTL_S = 60
VERSION_CHECK_S = 1
MAX_PAGE_THREADS = 2  # further requests for pages wait, so that the server stays responsive
MAX_CACHED_RESULTS = 256
MAX_CACHED_PAGES = 64  # a page takes up to 1 MB
_language: ContextVar[str] = ContextVar("language", default="fr")
_theme: ContextVar[str] = ContextVar("theme", default="auto")
_print: ContextVar[bool] = ContextVar("print", default=False)


def mount(
    api: FastAPI,
    store: Store,
    config: Config,
    clock: Callable[[], int],
    run: Callable[[Store, Config, Query, int], QueryResult] = run_query,
) -> Any:
    """Mount the pages on ``api``; return the ASGI application that serves both."""
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
    dash.layout = lambda: _layout(config, _language.get())
    cached_query: TtlCache[Query, QueryResult] = TtlCache(
        lambda query: run(store, config, query, clock()), lambda: _data_version(store)
    )
    authorized = AuthorizedQueries(store, config, clock)

    def context(path: str, search: str, language: str) -> PageContext:
        role, view = current_role(), UrlState.parse(path, search, language)
        if role is Role.PUBLIC and path == "/":
            view = replace(view, path=editions.PATH)
        return PageContext(
            config,
            store if may_bypass_policy(role, view) else None,
            lambda query: authorized.run(query, cached_query),
            clock(),
            restrict_to_role(view, role, config, clock()),
            role=role,
            find_edition=partial(_newest_edition, store),
        )

    def render(request: PageRequest) -> tuple[Any, bool]:
        page = render_page(context(request.path, request.search, request.language))
        return page, _has_data(context, request.path, request.search, request.language)

    # A page without figures is not cached: the browser polls until there are some.
    pages = TtlCache(render, lambda: _page_version(store), MAX_CACHED_PAGES, lambda rendered: rendered[1])

    @dash.callback(  # type: ignore[untyped-decorator,unused-ignore]
        Output("page", "children"),
        Output("settled", "data"),
        Output("tick", "disabled"),
        Input("address", "pathname"),
        Input("address", "search"),
        Input("tick", "n_intervals"),
        State("language", "data"),
        State("settled", "data"),
    )
    async def show(path: str | None, search: str | None, _ticks: int | None, language: str, settled: str | None) -> Any:
        url = (path or "") + (search or "")
        if url == settled:
            return no_update, no_update, True  # keep a page with figures as the reader left it (unfolded tables, scroll position)
        request = PageRequest(current_role(), path or "/", search or "", language)
        # Rendering writes the audit log, so pages of roles that see unprotected figures bypass the cache.
        cacheable = access_mode(config) == "open" or not request.role.sees_uses
        page, has_data = await run_in_page_thread(pages if cacheable else render, request)
        # Poll only while the page is empty; otherwise a slow page would be requested in a loop.
        return page, url if has_data else "", has_data

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
        if not page_context.role.sees_services:
            return no_update  # the client chooses the URL, so the role is checked here again
        chart = await run_in_page_thread(power_figure, page_context, page_context.view.get("name"))
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

    api.state.scripts = tuple(f"'{digest}'" if not digest.startswith("'") else digest for digest in dash.csp_hashes())
    return _LocaleMiddleware(api)


_page_threads = ThreadPoolExecutor(max_workers=MAX_PAGE_THREADS, thread_name_prefix="page")


async def run_in_page_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Run a function in a page thread: rendering on the event loop would block the server, including the ingest of readings."""
    return await asyncio.get_running_loop().run_in_executor(_page_threads, partial(copy_context().run, function, *args))


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


def _has_data(context: Callable[..., PageContext], path: str | None, search: str | None, language: str) -> bool:
    """Whether there is any figure yet; until then the browser polls."""
    try:
        page_context = context(path or "/", search or "", language)
        return bool(page_context.run_query(Query()).rows)
    except DBAPIError:
        return False
    except AccessRefused:
        return True  # polling would not change a refusal


def render_page(context: PageContext) -> Any:
    """Header, content and footer of a page; if the store does not answer, the content says so."""
    view, language = context.view, context.view.language
    page = PAGES.get(view.path) if allows(context.role, view.path) else None
    try:
        content = page.content(context) if page is not None else help.not_found(context)
    except DBAPIError:
        content = [message(translate(language, "away_title"), translate(language, "away"))]
    except AccessRefused as refused:
        content = [filter_bar(context), message(translate(language, "refused_title"), f"[c] {refusal_text(refused, language)}")]
    body = [print_header(context), *(part for part in content if part is not None)]
    navigation, more = _visible_pages(context, NAVIGATION), _visible_pages(context, (*MORE, access))
    return [header(context, navigation, more), html.Main(body, id="main", tabIndex=-1), footer(context, more)]


def _visible_pages(context: PageContext, pages: tuple[Any, ...]) -> list[Any]:
    """Pages that the role may see; the access log only where people sign in."""
    role, has_sign_in = context.role, access_mode(context.config) != "open"
    return [
        page
        for page in pages
        if allows(role, page.PATH) and (page is not access or has_sign_in) and (page is not overview or role is not Role.PUBLIC)
    ]


def _layout(config: Config, language: str) -> html.Div:
    region: dict[str, Any] = {"aria-label": translate(language, "demo")}
    live: dict[str, Any] = {"aria-live": "polite"}
    banner = [html.Div(html.P(translate(language, "demo")), className="demo", role="region", **region)] if config.demo else []
    return html.Div(
        [
            html.A(translate(language, "skip"), href="#main", className="skip"),
            *banner,
            html.Div(skeleton(language), id="page"),
            html.Div(id="spoken", className="hidden", role="status", **live),
            dcc.Location(id="address", refresh=False),
            dcc.Interval(id="tick", interval=REFRESH_MS, disabled=True),
            dcc.Store(id="language", data=language),
            dcc.Store(id="settled", data=""),
        ],
        className="demonstration" if config.demo else "",
    )


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Cache key of a rendered page: role, URL and language."""

    role: Role
    path: str
    search: str
    language: str


Key = TypeVar("Key")
Value = TypeVar("Value")


class TtlCache(Generic[Key, Value]):
    """Thread-safe cache whose entries expire when the version of the data changes, or after `CACHE_TTL_S`.

    ``read_version`` is called at most once every `VERSION_CHECK_S`. Entries expire by time too, since the end of an open
    period moves with the clock. Values for which ``should_cache`` is false are computed again each time.
    """

    def __init__(
        self,
        compute: Callable[[Key], Value],
        read_version: Callable[[], Any],
        max_entries: int = MAX_CACHED_RESULTS,
        should_cache: Callable[[Value], bool] = lambda value: True,
    ) -> None:
        self._compute, self._read_version = compute, read_version
        self._max_entries, self._should_cache = max_entries, should_cache
        self._entries: dict[Key, tuple[float, Any, Value]] = {}
        self._version: tuple[float, Any] = (0.0, None)
        self._locks: dict[Key, threading.Lock] = {}

    def __call__(self, key: Key) -> Value:
        # Of concurrent callers with the same key, one computes the value and the others wait for it.
        with self._locks.setdefault(key, threading.Lock()):
            return self._get(key)

    def _get(self, key: Key) -> Value:
        now = time.monotonic()
        if now - self._version[0] > VERSION_CHECK_S:
            self._version = now, self._read_version()
        entry = self._entries.get(key)
        if entry is not None and entry[1] == self._version[1] and now - entry[0] <= CACHE_TTL_S:
            return entry[2]
        value = self._compute(key)
        if not self._should_cache(value):
            return value
        if len(self._entries) >= self._max_entries:
            self._entries.clear()
            self._locks.clear()
        self._entries[key] = now, self._version[1], value
        return value


def _data_version(store: Store) -> Any:
    """Version of the computed figures."""
    with store.read() as connection:
        return data_version(connection)


def _page_version(store: Store) -> Any:
    """Version of the computed figures; a new one on each call while the store does not answer, so that no page is cached."""
    try:
        return _data_version(store)
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
    index_scope = {**scope, "path": "/", "raw_path": b"/", PAGE_KEY: path}
    if path in PAGES:
        return index_scope, send  # `AccessMiddleware` answers 404 if the role may not see the page

    async def not_found(message: Any) -> None:
        await send({**message, "status": 404} if message["type"] == "http.response.start" else message)

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
