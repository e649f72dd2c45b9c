"""This file mounts the pages on the API's application; each request gets its own language."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qs

from dash import Dash, Input, Output, State, dcc, html
from fastapi import FastAPI

from dashboards.pages import overview
from dashboards.words import LANGUAGES, say
from footprint.config import Config
from footprint.querying import Answer, Question
from footprint.querying import query as ask_store
from footprint.store import Store

PAGES = (overview,)
REFRESH_MS = 10_000
KEPT_S = 5.0
_KEPT = 64
_language: ContextVar[str] = ContextVar("language", default="fr")


def mount(
    api: FastAPI, store: Store, config: Config, clock: Callable[[], int],
    query: Callable[[Store, Config, Question, int], Answer] = ask_store,
) -> Any:  # fmt: skip
    """The ASGI application of API and pages together."""
    make: Any = _LocalisedDash
    dash = make(
        __name__, server=api, backend="fastapi", title="Footprint", update_title=None, serve_locally=True,
        suppress_callback_exceptions=True, websocket_callbacks=False,
    )  # fmt: skip
    dash.layout = lambda: _layout(config, _language.get())
    remembered = _Remembered(lambda question: query(store, config, question, clock()))

    @dash.callback(  # type: ignore[untyped-decorator,unused-ignore]
        Output("main", "children"), Input("address", "search"), Input("tick", "n_intervals"), State("language", "data")
    )
    def show(search: str | None, _ticks: int | None, language: str) -> Any:
        asked = parse_qs((search or "").removeprefix("?"))
        period = _one_of(asked, "period", overview.PERIODS, "30d")
        view = _one_of(asked, "view", overview.VIEWS, "active")
        return overview.content(config, remembered, clock(), language, period, view)

    return _Languages(api)


def _one_of(asked: dict[str, list[str]], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = asked.get(name, [default])[0]
    return value if value in allowed else default


def _layout(config: Config, language: str) -> html.Div:
    others = [
        html.A(code.upper(), href=f"?lang={code}", lang=code, hrefLang=code, className="choice",
               **(overview.CURRENT if code == language else {}))
        for code in LANGUAGES
    ]  # fmt: skip
    banner = [html.P(say(language, "demo"), className="demo", role="note")] if config.demo else []
    return html.Div([
        html.A(say(language, "skip"), href="#main", className="skip"),
        *banner,
        html.Header([
            html.Span("Footprint", className="wordmark"),
            html.Span(config.organisation, className="organisation"),
            html.Nav(others, className="languages"),
        ]),
        html.Main(id="main", tabIndex=-1),
        dcc.Location(id="address", refresh=False),
        dcc.Interval(id="tick", interval=REFRESH_MS),
        dcc.Store(id="language", data=language),
    ])  # fmt: skip


class _Remembered:
    """Answers of the last seconds: several readers of one page cost one query."""

    def __init__(self, ask: Callable[[Question], Answer]) -> None:
        self._ask = ask
        self._kept: dict[Question, tuple[float, Answer]] = {}

    def __call__(self, question: Question) -> Answer:
        now = time.monotonic()
        at, answer = self._kept.get(question, (0.0, None))
        if answer is None or now - at > KEPT_S:
            answer = self._ask(question)
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[question] = (now, answer)
        return answer


class _LocalisedDash(Dash):  # type: ignore[misc,unused-ignore]
    """A Dash whose page says in which language it is written."""

    def interpolate_index(self, *args: Any, **parts: Any) -> str:
        language = _language.get()
        page: str = super().interpolate_index(*args, **parts)  # type: ignore[no-untyped-call,unused-ignore]
        return page.replace("<html>", f'<html lang="{language}">', 1)


class _Languages:
    """Chooses the language of a request: the address, else what the browser prefers, else French."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            _language.set(_chosen(scope))
        await self._app(scope, receive, send)


def _chosen(scope: Any) -> Any:
    headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    # A callback's own address has no language: that of the page it was sent from has.
    for query in (scope.get("query_string", b"").decode(), headers.get(b"referer", "").partition("?")[2]):
        asked = parse_qs(query).get("lang", [""])[0]
        if asked in LANGUAGES:
            return asked
    for part in headers.get(b"accept-language", "").split(","):
        code = part.strip()[:2].lower()
        if code in LANGUAGES:
            return code
    return LANGUAGES[0]
