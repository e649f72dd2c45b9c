"""This file frames every page: header with the mark, settings, footer, and what stands there before the first figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from dash import html

from dashboards.components import CURRENT
from dashboards.parts.edition_link import frozen, published_words
from dashboards.parts.filters import period_words, reference_words
from dashboards.svg_component import Drawing
from dashboards.translations import LANGUAGES, say
from dashboards.url_state import THEMES, PageContext
from footprint.access import Role
from footprint.access.authentication import mode_of
from footprint.aggregation import METHOD_VERSION
from footprint.core.timestamps import format_instant
from footprint.core.version import VERSION
from footprint.i18n.formatting import format_local_time

# The mark: a whisker with a point. The interval is the brand.
MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" class="mark" viewBox="0 0 34 18" aria-hidden="true">'
    '<line x1="2" y1="9" x2="32" y2="9"/>'
    '<line x1="2" y1="3" x2="2" y2="15"/><line x1="32" y1="3" x2="32" y2="15"/><circle cx="15" cy="9" r="5"/></svg>'
)
SKELETON = ((56, "60%"), (160, "100%"), (340, "100%"), (340, "100%"))  # heights [px] and widths of what will stand there


def header(context: PageContext, first: Sequence[Any], more: Sequence[Any]) -> html.Header:
    """The mark, at most eight entries and those behind *More*, languages, theme, share."""
    view, language = context.view, context.view.language
    entries = [
        html.Li(html.A(say(language, page.TITLE), href=view.link(page.PATH), **(CURRENT if view.path == page.PATH else {})))
        for page in first
    ]
    behind = [
        html.Li(html.A(say(language, page.TITLE), href=view.link(page.PATH), **(CURRENT if view.path == page.PATH else {})))
        for page in more
    ]
    entries.append(html.Li(_menu(say(language, "more"), behind)))
    languages = [
        html.A(code.upper(), href=view.link(lang=code), lang=code, hrefLang=code, **(CURRENT if code == language else {}))
        for code in LANGUAGES
    ]
    themes = [
        html.Li(html.A(say(language, theme), href=view.link(theme=theme), **(CURRENT if theme == view.theme else {})))
        for theme in THEMES
    ]
    pages: dict[str, Any] = {"aria-label": say(language, "navigation")}
    settings: dict[str, Any] = {"aria-label": f"{say(language, 'language')}, {say(language, 'theme')}"}
    mark = html.Span([Drawing(MARK, more="sign"), "Footprint"], className="wordmark")
    unfold: dict[str, Any] = {"aria-expanded": "false", "data-fold": "pages"}
    return html.Header(
        [
            html.A(mark, href=view.link("/"), className="home"),
            html.Nav(html.Ul(entries), className="pages", **pages),
            html.Button("Menu", type="button", className="unfold", **unfold),
            html.Nav(
                [
                    html.Span(languages, className="languages"),
                    _menu(say(language, "theme"), themes),
                    _share(context),
                    *_who(context),
                ],
                className="settings",
                **settings,
            ),
        ]
    )


def _who(context: PageContext) -> list[Any]:
    """The role of the reader, and signing in or out where there is a sign-in."""
    language, mode = context.view.language, mode_of(context.config)
    if mode == "open" and context.role is Role.ADMINISTRATOR:
        return []
    told: list[Any] = [html.Span(say(language, f"role_{context.role}"), className="role")]
    if mode == "header" and context.role is Role.PUBLIC and context.config.access.sign_in:
        told.append(html.A(say(language, "sign_in"), href=context.config.access.sign_in))
    elif mode == "oidc" and context.role is Role.PUBLIC:
        address = f"/auth/login?{urlencode({'next': context.view.link()})}"
        told.append(html.A(say(language, "sign_in"), href=address))
    elif mode == "oidc":
        told.append(html.A(say(language, "sign_out"), href="/auth/logout"))
    return told


def _menu(title: str, items: list[Any]) -> html.Details:
    return html.Details([html.Summary(title), html.Ul(items)], className="menu")


def _share(context: PageContext) -> html.Details:
    """The canonical address of this view, to copy; that of its period as it was published; the print view."""
    view, language = context.view, context.view.language
    copied: dict[str, Any] = {"data-copy": view.link(), "data-done": say(language, "copied")}
    return _menu(
        say(language, "share"),
        [
            html.Li(html.Button(say(language, "copy_live"), type="button", **copied)),
            *frozen(context),
            html.Li(html.A(say(language, "print_view"), href=view.link(print="1"))),
        ],
    )


def printed(context: PageContext) -> html.Div:
    """What stands on paper instead of the filters: a sentence, and the address of the view."""
    view, language = context.view, context.view.language
    filtered = ", ".join(f"{say(language, name).lower()} {value}" for name, value in view.filters) or say(language, "no_filter")
    said = say(language, "printed", period=period_words(context), before=reference_words(context), filters=filtered)
    told = [part for part in (said, published_words(context)) if part]
    return html.Div([*map(html.P, told), html.P(view.link(), className="address")], className="print-only")


def footer(context: PageContext, more: Sequence[Any]) -> html.Footer:
    """Versions, licence, accessibility, the weight of the page; and the words that pictures taken away bear."""
    view, language, config = context.view, context.view.language, context.config
    now = format_local_time(format_instant(context.now_us), config.timezone, language)
    burnt: dict[str, Any] = {
        "data-burn": say(
            language, "burnt", organisation=config.organisation or "Footprint", date=now, licence=config.editions.licence
        ),
        "data-demo": say(language, "demo_mark") if config.demo else "",
        "data-weight": say(language, "weight"),
    }
    links = [html.Li(html.A(say(language, page.TITLE), href=view.link(page.PATH))) for page in more]
    links.append(html.Li(html.A(say(language, "accessibility"), href=view.link("/help") + "#accessibility")))
    return html.Footer(
        [html.Span(say(language, "footer", version=VERSION, method=METHOD_VERSION)), html.Ul([*links, html.Li(id="weight")])],
        className="page-footer",
        **burnt,
    )


def skeleton(language: str) -> html.Main:
    """The places of what will stand there; the words come after a second."""
    places = [html.Div(style={"height": f"{height}px", "width": width}) for height, width in SKELETON]
    busy: dict[str, Any] = {"aria-busy": "true"}
    return html.Main([html.P(say(language, "loading"), role="status"), *places], className="skeleton", **busy)
