"""Shell of a page, which asks the store for no figure, and its cards one by one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from dashboards.card_frames import FrameRow, PageParts, fill, framed
from dashboards.layout import entrance_notice, footer, header, print_header
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
    sensors,
)
from dashboards.url_state import PageContext
from footprint.access import Role, allows
from footprint.access.authentication import access_mode

# Parameters that select another page under the same path.
PAGE_PARAMS = ("name", "figure", "edition", "of", "device", "day")


class Page(Protocol):
    """Interface of a page: its URL path, the catalogue key of its title, and its content."""

    PATH: str
    TITLE: str

    def content(self, context: PageContext) -> PageParts:
        """Filters and frames of the page; asks the store nothing."""
        ...


# Header entries in order (at most eight), entries of the *More* menu, and pages that only links from figures lead to.
NAVIGATION: tuple[Any, ...] = (overview, *entities.MAIN, compare, charter, quality, editions, methods)
MORE: tuple[Any, ...] = (efficiency, *entities.MORE, sensors, help)
UNLISTED: tuple[Any, ...] = (explain, readings, access)
PAGES: dict[str, Any] = {page.PATH: page for page in (*NAVIGATION, *MORE, *UNLISTED)}


@dataclass(frozen=True, slots=True)
class PageShell:
    """Everything of a page but its cards. The ``body`` of two shells of the same ``structure`` has the same frames."""

    header: list[Any]
    filters: Any
    print_header: list[Any]
    body: list[Any]
    footer: list[Any]
    structure: str


def render_shell(context: PageContext) -> PageShell:
    """Shell of a page."""
    view, parts = context.view, _parts(context)
    navigation, more = _visible_pages(context, NAVIGATION), _visible_pages(context, (*MORE, access))
    frames = [[frame.name for frame in part.frames] if isinstance(part, FrameRow) else part.name for part in parts.parts]
    notice, filters = entrance_notice(context), None if parts.filters is None else parts.filters()
    if notice:
        filters = notice if filters is None else [*notice, filters]
    return PageShell(
        header(context, navigation, more),
        filters,
        print_header(context),
        [framed(part, view.language) for part in parts.parts],
        footer(context, more),
        json.dumps([view.path, [view.get(name) for name in PAGE_PARAMS], frames]),
    )


def render_card(context: PageContext, name: str) -> Any:
    """Content of a frame; None if the page has no such frame, or nothing to show in it."""
    return next((fill(frame, context) for frame in _parts(context).frames() if frame.name == name), None)


def _parts(context: PageContext) -> PageParts:
    page = PAGES.get(context.view.path) if allows(context.role, context.view.path) else None
    parts: PageParts = help.not_found(context) if page is None else page.content(context)
    return parts


def _visible_pages(context: PageContext, pages: tuple[Any, ...]) -> list[Any]:
    """Pages that the role may see; the access log only where people sign in."""
    role, has_sign_in = context.role, access_mode(context.config) != "open"
    return [
        page
        for page in pages
        if allows(role, page.PATH) and (page is not access or has_sign_in) and (page is not overview or role is not Role.PUBLIC)
    ]
