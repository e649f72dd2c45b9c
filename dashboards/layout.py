"""Frame of every page: header, settings, footer, print header, and the skeleton shown while figures load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from dash import html

from dashboards.components import CURRENT, Drawing
from dashboards.parts.filters import edition_label, edition_menu_items, period_label, reference_label
from dashboards.translations import LANGUAGES, translate
from dashboards.url_state import THEMES, PageContext
from footprint.access import Role
from footprint.access.authentication import access_mode
from footprint.aggregation import METHOD_VERSION
from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.version import VERSION
from footprint.i18n.formatting import format_local_time

# Logo: an interval with its point.
LOGO_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" class="mark" viewBox="0 0 34 18" aria-hidden="true">'
    '<line x1="2" y1="9" x2="32" y2="9"/>'
    '<line x1="2" y1="3" x2="2" y2="15"/><line x1="32" y1="3" x2="32" y2="15"/><circle cx="15" cy="9" r="5"/></svg>'
)
LINK_COMMAND = "footprint access link"
SKELETON_BLOCKS = ((56, "60%"), (160, "100%"), (340, "100%"), (340, "100%"))  # heights [px] and widths of the placeholders


def header(context: PageContext, listed: Sequence[Any], more: Sequence[Any]) -> list[Any]:
    """Logo, page links, *More* menu, languages, themes and share menu."""
    view, language = context.view, context.view.language
    entries = [
        html.Li(html.A(translate(language, page.TITLE), href=view.link(page.PATH), **(CURRENT if view.path == page.PATH else {})))
        for page in listed
    ]
    more_links = [
        html.Li(html.A(translate(language, page.TITLE), href=view.link(page.PATH), **(CURRENT if view.path == page.PATH else {})))
        for page in more
    ]
    entries.append(html.Li(_settings_menu(translate(language, "more"), more_links)))
    languages = [
        html.A(code.upper(), href=view.link(lang=code), lang=code, hrefLang=code, **(CURRENT if code == language else {}))
        for code in LANGUAGES
    ]
    themes = [
        html.Li(html.A(translate(language, theme), href=view.link(theme=theme), **(CURRENT if theme == view.theme else {})))
        for theme in THEMES
    ]
    pages: dict[str, Any] = {"aria-label": translate(language, "navigation")}
    settings: dict[str, Any] = {"aria-label": f"{translate(language, 'language')}, {translate(language, 'theme')}"}
    logo = html.Span([Drawing(LOGO_SVG, classes="sign"), "Footprint"], className="wordmark")
    unfold: dict[str, Any] = {"aria-expanded": "false", "data-fold": "pages"}
    return [
        html.A(logo, href=view.link("/"), className="home"),
        html.Nav(html.Ul(entries), className="pages", **pages),
        html.Button("Menu", type="button", className="unfold", **unfold),
        html.Nav(
            [
                html.Span(languages, className="languages"),
                _settings_menu(translate(language, "theme"), themes),
                _share_menu(context),
                *_account_links(context),
            ],
            className="settings",
            **settings,
        ),
    ]


def _account_links(context: PageContext) -> list[Any]:
    """Role of the reader, with a sign-in or sign-out link where the deployment has one."""
    language, mode = context.view.language, access_mode(context.config)
    if mode == "open" and context.role is Role.ADMINISTRATOR:
        return []
    links: list[Any] = [html.Span(translate(language, f"role_{context.role}"), className="role")]
    if mode == "header" and context.role is Role.PUBLIC and context.config.access.sign_in:
        links.append(html.A(translate(language, "sign_in"), href=context.config.access.sign_in))
    elif mode == "oidc" and context.role is Role.PUBLIC:
        address = f"/auth/login?{urlencode({'next': context.view.link()})}"
        links.append(html.A(translate(language, "sign_in"), href=address))
    elif mode == "oidc":
        button = html.Button(translate(language, "sign_out"), type="submit", className="link")
        links.append(html.Form(button, action="/auth/logout", method="post"))
    return links


def entrance_notice(context: PageContext) -> list[Any]:
    """How a public reader of open mode becomes administrator, in both languages; empty for any other reader."""
    if access_mode(context.config) != "open" or context.role is not Role.PUBLIC:
        return []
    languages = sorted(LANGUAGES, key=lambda code: code != context.view.language)
    paragraphs = []
    for code in languages:
        before, command, after = translate(code, "open_door").partition(LINK_COMMAND)
        paragraphs.append(html.P([before, html.Code(command), after], lang=code))
    return [html.Aside(paragraphs, className="entrance")]


def _settings_menu(title: str, items: list[Any]) -> html.Details:
    return html.Details([html.Summary(title), html.Ul(items)], className="menu")


def _share_menu(context: PageContext) -> html.Details:
    """Share menu: the URL of this page, the published edition of its period, the print view."""
    view, language = context.view, context.view.language
    copy_button: dict[str, Any] = {"data-copy": view.link(), "data-done": translate(language, "copied")}
    return _settings_menu(
        translate(language, "share"),
        [
            html.Li(html.Button(translate(language, "copy_live"), type="button", **copy_button)),
            *edition_menu_items(context),
            html.Li(html.A(translate(language, "print_view"), href=view.link(print="1"))),
        ],
    )


def print_header(context: PageContext) -> list[Any]:
    """Header of the printed page: period, filters and URL as text."""
    view, language = context.view, context.view.language
    filters = ", ".join(f"{translate(language, name).lower()} {value}" for name, value in view.filters) or translate(
        language, "no_filter"
    )
    summary = translate(language, "printed", period=period_label(context), before=reference_label(context), filters=filters)
    sentences = [part for part in (summary, edition_label(context)) if part]
    return [*map(html.P, sentences), html.P(view.link(), className="address")]


def footer(context: PageContext, pages: Sequence[Any]) -> list[Any]:
    """Versions, licence, accessibility and page size."""
    view, language = context.view, context.view.language
    links = [html.Li(html.A(translate(language, page.TITLE), href=view.link(page.PATH))) for page in pages]
    links.append(html.Li(html.A(translate(language, "accessibility"), href=view.link("/help") + "#accessibility")))
    return [
        html.Span(translate(language, "footer", version=VERSION, method=METHOD_VERSION)),
        html.Ul([*links, html.Li(id="weight")]),
    ]


def picture_texts(config: Config, language: str, now_us: int) -> dict[str, Any]:
    """Texts that downloaded pictures carry, and the form of the page size, as data attributes."""
    now = format_local_time(format_instant(now_us), config.timezone, language)
    return {
        "data-burn": translate(
            language, "burnt", organisation=config.organisation or "Footprint", date=now, licence=config.editions.licence
        ),
        "data-demo": translate(language, "demo_mark") if config.demo else "",
        "data-weight": translate(language, "weight"),
    }


def skeleton(language: str) -> html.Div:
    """Placeholders shown while the first page loads; their text appears after a second (CSS)."""
    blocks = [html.Div(style={"height": f"{height}px", "width": width}) for height, width in SKELETON_BLOCKS]
    busy: dict[str, Any] = {"aria-busy": "true"}
    return html.Div([html.P(translate(language, "loading"), role="status"), *blocks], className="skeleton", **busy)
