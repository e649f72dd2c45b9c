"""Frames of cards: a page shows all of them at once, and each is filled by its own request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dash import html
from sqlalchemy.exc import DBAPIError

from dashboards.components import DECORATIVE, Row, error_boundary, message, page_title, refusal_text
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.access import AccessRefused

CARD_HEIGHT_PX = 480  # usual height on a wide screen, reserved until the card arrives
PAGE_HEIGHT_PX = 800  # reserved for a page that is one frame
FRAME_TYPE = "card"


@dataclass(frozen=True, slots=True)
class CardFrame:
    """Place of a card on a page. ``build`` makes the card; None leaves the place empty. ``title`` stands there until then.

    The head of a page holds its H1, and the reason if the page has nothing to show.
    """

    name: str
    build: Callable[[], Any]
    title: str = ""
    height_px: int = CARD_HEIGHT_PX
    narrow_px: int = 0  # the same on a narrow screen, where it differs
    kind: str = ""  # CSS classes of what stands there
    is_head: bool = False
    above: Sequence[Any] = ()  # parts of the head that need no figure


@dataclass(frozen=True, slots=True)
class FrameRow:
    """Frames side by side; ``kind`` are CSS classes."""

    frames: Sequence[CardFrame]
    kind: str = "row"


@dataclass(frozen=True, slots=True)
class PageParts:
    """Filters of a page, and its frames in reading order. Making it asks the store nothing."""

    parts: Sequence[CardFrame | FrameRow]
    filters: Callable[[], Any] | None = None

    def frames(self) -> Iterator[CardFrame]:
        """All frames, also those in rows."""
        for part in self.parts:
            yield from part.frames if isinstance(part, FrameRow) else [part]


def head_frame(title: str, build: Callable[[], Any], height_px: int = 0, above: Sequence[Any] = ()) -> CardFrame:
    """Frame of the heading of a page, of what stands ``above`` it, and of ``height_px`` below it."""
    return CardFrame("head", build, title, height_px, is_head=True, above=above)


def strip_frame(context: PageContext, build: Callable[[Row], Any]) -> CardFrame:
    """Frame of the day strip."""
    return figure_frame(context, "strip", build, height_px=38, narrow_px=58)


def key_figures_frame(context: PageContext, build: Callable[[Row], Any]) -> CardFrame:
    """Frame of four key figures."""
    return figure_frame(context, "figures", build, height_px=240, narrow_px=1028, kind="cards")


def whole_page(title: str, build: Callable[[], Any]) -> PageParts:
    """Page that is read at once, as its own head."""
    return PageParts([head_frame(title, build, PAGE_HEIGHT_PX)])


def figure_frame(context: PageContext, name: str, build: Callable[[Row], Any], title: str = "", **options: Any) -> CardFrame:
    """Frame of a card that is built from the total of the page; empty if there is none, since the head says why."""

    def build_with_total() -> Any:
        total = page_total(context)
        return None if total is None else build(total)

    return CardFrame(name, build_with_total, title, **options)


def page_total(context: PageContext) -> Row | None:
    """Total of the page; None if there is none, or if the role may not see it."""
    try:
        rows = context.rows()
    except AccessRefused:
        return None
    return rows[0] if rows else None


def fill(frame: CardFrame, context: PageContext) -> Any:
    """Content of a frame; an error stays in its frame."""
    return error_boundary(partial(_build_head, frame, context) if frame.is_head else frame.build, context)


def _build_head(frame: CardFrame, context: PageContext) -> Any:
    language = context.view.language
    try:
        return frame.build()
    except DBAPIError:
        return message(translate(language, "away_title"), translate(language, "away"), kind="message failed")
    except AccessRefused as refused:
        return message(translate(language, "refused_title"), f"[c] {refusal_text(refused, language)}")


def framed(part: CardFrame | FrameRow, language: str) -> html.Div:
    """Element of a frame or a row, with what stands there until the cards arrive."""
    if isinstance(part, FrameRow):
        return html.Div([framed(frame, language) for frame in part.frames], className=part.kind)
    busy: dict[str, Any] = {"aria-busy": "true"}
    kind = "frame head" if part.is_head else "frame"
    return html.Div(_placeholder(part, language), id={"type": FRAME_TYPE, "name": part.name}, className=kind, **busy)


def _placeholder(frame: CardFrame, language: str) -> Any:
    reserved = {"--height": f"{frame.height_px}px", "--narrow": f"{frame.narrow_px or frame.height_px}px"}
    loading = translate(language, "loading")
    if frame.is_head:
        below = html.Div(className="placeholder reserved", style=reserved, **DECORATIVE) if frame.height_px else None
        return [*frame.above, page_title(frame.title), html.P(loading, className="lead"), below]
    if not frame.title:
        words = html.Span(loading, className="hidden")
        return html.Div(words, className=f"placeholder reserved {frame.kind}".strip(), style=reserved)
    return html.Section(
        [html.H2(frame.title), html.P(loading, className="sub"), html.Div(className="placeholder", **DECORATIVE)],
        className=f"block reserved {frame.kind}".strip(),
        style=reserved,
    )
