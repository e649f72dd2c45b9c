"""This file mounts the pages on the API's application; the address of a page decides all of it, with the reader's language."""

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
from footprint.aggregation.result_writer import data_version
from footprint.calendar.periods import period_at
from footprint.config import Config
from footprint.editions.repository import Release, latest_release
from footprint.figures import Query, QueryResult, run_query
from footprint.storage.database import Store


class Page(Protocol):
    """What a page is: where it stands, what its entry is called, and what it shows."""

    PATH: str
    TITLE: str

    def content(self, context: PageContext) -> list[Any]:
        """The page for one view."""
        ...


# The entries of the header, in order, at most eight; those behind *More*; those that are found through a figure.
NAVIGATION: tuple[Any, ...] = (overview, *entities.MAIN, compare, charter, quality, editions, methods)
MORE: tuple[Any, ...] = (efficiency, *entities.MORE, help)
UNLISTED: tuple[Any, ...] = (explain, readings, access)
PAGES: dict[str, Any] = {page.PATH: page for page in (*NAVIGATION, *MORE, *UNLISTED)}

# Pages that hold nothing below the organisation's total: they may read the store in any role.
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
MAX_PAGE_THREADS = 2  # the others wait their turn, so that the server always answers
MAX_CACHED_RESULTS = 256
MAX_CACHED_PAGES = 64  # a page weighs up to a megabyte
_language: ContextVar[str] = ContextVar("language", default="fr")
_theme: ContextVar[str] = ContextVar("theme", default="auto")
_print: ContextVar[bool] = ContextVar("print", default=False)


def mount(
    api: FastAPI,
    store: Store,
    config: Config,
    clock: Callable[[], int],
    query: Callable[[Store, Config, Query, int], QueryResult] = run_query,
) -> Any:
    """The ASGI application of API and pages together."""
    make: Any = _LocalisedDash
    dash = make(
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
    remembered: TtlCache[Query, QueryResult] = TtlCache(
        lambda question: query(store, config, question, clock()), lambda: _data_version(store)
    )
    sight = AuthorizedQueries(store, config, clock)

    def context(path: str, search: str, language: str) -> PageContext:
        role, view = current_role(), UrlState.parse(path, search, language)
        if role is Role.PUBLIC and path == "/":
            view = replace(view, path=editions.PATH)
        return PageContext(
            config,
            store if may_bypass_policy(role, view) else None,
            lambda question: sight.run(question, remembered),
            clock(),
            restrict_to_role(view, role, config, clock()),
            role=role,
            find_edition=partial(_newest_edition, store),
        )

    def made(asked: PageRequest) -> tuple[Any, bool]:
        shown = render_page(context(asked.path, asked.search, asked.language))
        return shown, _has_data(context, asked.path, asked.search, asked.language)

    pages = TtlCache(
        made, lambda: _page_version(store), MAX_CACHED_PAGES, lambda found: found[1]
    )  # one without figures is asked for again

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
        here = (path or "") + (search or "")
        if here == settled:
            return no_update, no_update, True  # a page that shows something stays as the reader left it
        asked = PageRequest(current_role(), path or "/", search or "", language)
        # What an officer is shown is noted each time: it is made each time.
        kept = access_mode(config) == "open" or not asked.role.sees_uses
        shown, done = await run_in_page_thread(pages if kept else made, asked)
        # Only what has nothing to show asks again: a page slower than the clock would else be asked for again and again.
        return shown, here if done else "", done

    @dash.callback(  # type: ignore[untyped-decorator,unused-ignore]
        Output("power", "figure"),
        Input("live", "n_intervals"),
        State("address", "pathname"),
        State("address", "search"),
        State("language", "data"),
        prevent_initial_call=True,
    )
    async def power(_ticks: int | None, path: str, search: str, language: str) -> Any:
        here = context(path, search, language)
        if not here.role.sees_services:
            return no_update  # the address is what the reader says it is: the role decides, not the page
        found = await run_in_page_thread(power_figure, here, here.view.get("name"))
        return no_update if found is None else found[0]

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


async def run_in_page_thread(act: Callable[..., Any], *given: Any) -> Any:
    """What an act gives, in a thread: Dash would have a page hold up all that the server does, the ingest of agents first."""
    return await asyncio.get_running_loop().run_in_executor(_page_threads, partial(copy_context().run, act, *given))


def _newest_edition(store: Store, period: str) -> Release | None:
    """The newest edition of a period; of a store that is away, none: the frame of a page stands without it."""
    try:
        return latest_release(store, period)
    except DBAPIError:
        return None


def may_bypass_policy(role: Role, view: UrlState) -> bool:
    """Whether a page may read the store by itself: what it then shows no rule protects."""
    if role.sees_uses or view.path in UNRESTRICTED_PAGES or trace.published_figure_id(view):
        return True  # a published figure: its page shows each role what it may see
    below = view.path in ("/use-cases", charter.PATH) or "use_case" in {name for name, _ in (*view.filters, *view.page_params)}
    return role.sees_services and not below and view.get("kind") != "use_case"


def restrict_to_role(view: UrlState, role: Role, config: Config, now_us: int) -> UrlState:
    """Protected figures are those of calendar periods: where the address names no period, the last quarter that is over."""
    if view.since or view.until or NAMED_PERIOD.fullmatch(view.period) or not shows_protected_only(role, view):
        return view
    return replace(view, period=str(period_at(now_us, config.timezone).shifted(-1)))


def _has_data(context: Callable[..., PageContext], path: str | None, search: str | None, language: str) -> bool:
    """Whether there is anything to show yet; until then the page asks again by itself."""
    try:
        here = context(path or "/", search or "", language)
        return bool(here.run_query(Query()).rows)
    except DBAPIError:
        return False
    except AccessRefused:
        return True  # what may not be seen does not come by waiting


def render_page(context: PageContext) -> Any:
    """Header, page, footer of a view; a store that is away is said, and the frame stays."""
    view, language = context.view, context.view.language
    page = PAGES.get(view.path) if allows(context.role, view.path) else None
    try:
        content = page.content(context) if page is not None else help.not_found(context)
    except DBAPIError:
        content = [message(translate(language, "away_title"), translate(language, "away"))]
    except AccessRefused as refused:
        content = [filter_bar(context), message(translate(language, "refused_title"), f"[c] {refusal_text(refused, language)}")]
    shown = [print_header(context), *(each for each in content if each is not None)]
    first, more = _visible_pages(context, NAVIGATION), _visible_pages(context, (*MORE, access))
    return [header(context, first, more), html.Main(shown, id="main", tabIndex=-1), footer(context, more)]


def _visible_pages(context: PageContext, pages: tuple[Any, ...]) -> list[Any]:
    """The pages that the reader's role may see; the log is for where readers are told apart."""
    role, apart = context.role, access_mode(context.config) != "open"
    return [
        page
        for page in pages
        if allows(role, page.PATH) and (page is not access or apart) and (page is not overview or role is not Role.PUBLIC)
    ]


def _layout(config: Config, language: str) -> html.Div:
    named: dict[str, Any] = {"aria-label": translate(language, "demo")}
    spoken: dict[str, Any] = {"aria-live": "polite"}
    banner = [html.Div(html.P(translate(language, "demo")), className="demo", role="region", **named)] if config.demo else []
    return html.Div(
        [
            html.A(translate(language, "skip"), href="#main", className="skip"),
            *banner,
            html.Div(skeleton(language), id="page"),
            html.Div(id="spoken", className="hidden", role="status", **spoken),
            dcc.Location(id="address", refresh=False),
            dcc.Interval(id="tick", interval=REFRESH_MS, disabled=True),
            dcc.Store(id="language", data=language),
            dcc.Store(id="settled", data=""),
        ],
        className="demonstration" if config.demo else "",
    )


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a page is made of: who sees it, its address, its language."""

    role: Role
    path: str
    search: str
    language: str


Key = TypeVar("Key")
Value = TypeVar("Value")


class TtlCache(Generic[Key, Value]):
    """Answers, or pages, that hold while nothing was computed anew: many readers of one page cost one.

    ``state`` is asked at most once a second; what is kept is made again after a minute all the same, for the clock of an open
    period moves on.
    """

    def __init__(
        self,
        make: Callable[[Key], Value],
        state: Callable[[], Any],
        most: int = MAX_CACHED_RESULTS,
        worth: Callable[[Value], bool] = lambda found: True,
    ) -> None:
        self._make, self._read_state, self._most, self._worth = make, state, most, worth
        self._kept: dict[Key, tuple[float, Any, Value]] = {}
        self._state: tuple[float, Any] = (0.0, None)
        self._busy: dict[Key, threading.Lock] = {}

    def __call__(self, key: Key) -> Value:
        # Of many readers who ask the same at once, one has it made and the others wait for it.
        with self._busy.setdefault(key, threading.Lock()):
            return self._found(key)

    def _found(self, key: Key) -> Value:
        now = time.monotonic()
        if now - self._state[0] > VERSION_CHECK_S:
            self._state = now, self._read_state()
        kept = self._kept.get(key)
        if kept is not None and kept[1] == self._state[1] and now - kept[0] <= CACHE_TTL_S:
            return kept[2]
        found = self._make(key)
        if not self._worth(found):
            return found
        if len(self._kept) >= self._most:
            self._kept.clear()
            self._busy.clear()
        self._kept[key] = now, self._state[1], found
        return found


def _data_version(store: Store) -> Any:
    """What changes whenever a day is computed anew or taken away."""
    with store.read() as connection:
        return data_version(connection)


def _page_version(store: Store) -> Any:
    """The same, for whole pages; while the store is away no page is that of a moment before."""
    try:
        return _data_version(store)
    except DBAPIError:
        return object()


class _LocalisedDash(Dash):  # type: ignore[misc,unused-ignore]
    """A Dash whose page says in which language it is written, and in which theme."""

    def interpolate_index(self, *args: Any, **parts: Any) -> str:
        page: str = super().interpolate_index(*args, **parts)  # type: ignore[no-untyped-call,unused-ignore]
        print_view = " data-print" if _print.get() else ""
        page = page.replace("<html>", f'<html lang="{_language.get()}" data-theme="{_theme.get()}"{print_view}>', 1)
        # Dash keeps its scripts in a footer, which would be a landmark without content beside the page's own.
        return page.replace("<footer>", "<div hidden>").replace("</footer>", "</div>")


class _LocaleMiddleware:
    """Chooses language and theme of a request: the address, else what the browser prefers, else French."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            _language.set(_request_language(scope))
            asked = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            theme = asked.get("theme", ["auto"])[0]
            _print.set(asked.get("print", [""])[0] == "1")
            _theme.set("light" if _print.get() else theme if theme in THEMES else "auto")
            scope, send = _rewrite_page_path(scope, send)
        await self._app(scope, receive, send)


def _rewrite_page_path(scope: Any, send: Any) -> tuple[Any, Any]:
    """Dash answers at one address; every page is that document, which then asks for its own content.

    (Without a lifespan Dash sets up no route for everything, and its own would answer 200 for what is not there.)
    """
    path = scope["path"]
    if scope["method"] not in ("GET", "HEAD") or path.startswith(NON_PAGE_PREFIXES) or path == "/":
        return scope, send
    here = {**scope, "path": "/", "raw_path": b"/", PAGE_KEY: path}
    if path in PAGES:
        return here, send  # the guard answers 404 where the role may not

    async def not_found(message: Any) -> None:
        await send({**message, "status": 404} if message["type"] == "http.response.start" else message)

    return here, not_found


def _request_language(scope: Any) -> Any:
    headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    # A callback's own address has no language: that of the page it was sent from has.
    for query in (scope.get("query_string", b"").decode("latin-1"), headers.get(b"referer", "").partition("?")[2]):
        asked = parse_qs(query).get("lang", [""])[0]
        if asked in LANGUAGES:
            return asked
    for part in headers.get(b"accept-language", "").split(","):
        code = part.strip()[:2].lower()
        if code in LANGUAGES:
            return code
    return LANGUAGES[0]
