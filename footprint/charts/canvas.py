"""This file writes SVG: text, lines, bars, hatches, whiskers, in the colours of the visual language, for screen and paper alike.

A colour stands as an attribute, for print, and as a class, so that a page in the dark can set its own. Hatches are lines, not
patterns: every renderer and every printer keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

from footprint.charts.palette import colours

WIDTH = 640.0  # of a chart in the text column; 137 mm on paper, where its text is then about 8 pt
SIZE = 13.0
SMALL, LINE = 12.0, 12.5  # of a name on two lines, and from one to the other: less than the rows of every chart
FAMILY = "Source Sans 3, Arial, sans-serif"
# On paper, so that the paper is white; a page sets the colours of its theme by class.
COLOURS = {**colours("light"), "paper": "#FFFFFF"}
# Advances of Source Sans 3 Semibold, thousandths of the size, upwards to 25; the widest face in use, so that nothing is clipped.
_ADVANCES = {
    140: "\u202f",
    210: " \u00a0",
    275: "iI|'ijl.,:;·’ìíîï",
    350: "!()-[]f{}/tr",
    425: "ş",
    450: "szc?*çž",
    500: "xvyzJ_éèêëeFL",
    530: "0123456789$+<=>agk«»±×÷−",
    560: "EATSXZbhnouàâäôöùûüPC",
    610: "BKRpqd▲▼",
    660: "DGNUÉÈÀ→&",
    700: "HOQÔ",
    790: "Mw",
    850: "Wmœæ%",
    980: "…@",
}
_ADVANCE = {letter: width for width, letters in _ADVANCES.items() for letter in letters}
_WIDEST = 600


def text_width(text: str, size: float = SIZE) -> float:
    """How wide a text is at most."""
    return sum(_ADVANCE.get(letter, _WIDEST) for letter in text) * size / 1000


def truncate(text: str, room: float, size: float = SIZE) -> str:
    """A text that fits into a room; the whole of it stands in the table beside the chart."""
    if text_width(text, size) <= room:
        return text
    while text and text_width(text + "…", size) > room:
        text = text[:-1]
    return text.rstrip() + "…"


def wrap(text: str, room: float, size: float = SIZE) -> list[str]:
    """A text on one line where it fits, else on two, cut between words; what still does not fit is shortened."""
    words = text.split(" ")
    if text_width(text, size) <= room or len(words) == 1:
        return [truncate(text, room, size)]
    # As much as fits stands above, and one word at least.
    count = max((n for n in range(1, len(words)) if text_width(" ".join(words[:n]), size) <= room), default=1)
    return [truncate(" ".join(part), room, size) for part in (words[:count], words[count:])]


class Canvas:
    """One drawing; y grows downwards, units are those of the view box."""

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self.width, self.height = width, height
        self._title, self._description = title, description
        self._parts: list[str] = []

    def _add(self, name: str, /, **attributes: object) -> None:
        content = attributes.pop("content", None)
        told = "".join(f" {key.replace('_', '-').rstrip('-')}={quoteattr(_text(value))}" for key, value in attributes.items())
        self._parts.append(f"<{name}{told}/>" if content is None else f"<{name}{told}>{escape(str(content))}</{name}>")

    def text(
        self, x: float, y: float, said: str, *, colour: str = "ink", anchor: str = "start", bold: bool = False, size: float = SIZE
    ) -> None:
        """A line of text on its baseline."""
        self._add(
            "text",
            content=said,
            x=x,
            y=y,
            fill=COLOURS[colour],
            class_=colour,
            text_anchor=anchor,
            font_size=size,
            font_weight=600 if bold else 400,
        )

    def label(self, x: float, middle: float, said: str, room: float, *, bold: bool = False) -> None:
        """The name of a row, to the left of ``x`` and around ``middle``: on two lines, a little smaller, where it is long."""
        size = SIZE if text_width(said) <= room else SMALL
        lines = wrap(said, room, size)
        for index, each in enumerate(lines):
            top = middle + 4.5 + LINE * (index - (len(lines) - 1) / 2)
            self.text(x, top, each, anchor="end", bold=bold, size=size)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, *, colour: str = "ink", width: float = 1.0, dash: str = ""
    ) -> None:
        """A straight line."""
        extra = {"stroke_dasharray": dash} if dash else {}
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=COLOURS[colour], class_=f"s-{colour}", stroke_width=width, **extra)

    def path(self, points: Sequence[tuple[float, float]], *, colour: str, width: float = 2.5, dash: str = "") -> None:
        """A broken line."""
        extra = {"stroke_dasharray": dash} if dash else {}
        told = "M" + "L".join(f"{_text(x)} {_text(y)}" for x, y in points)
        self._add(
            "path",
            d=told,
            fill="none",
            stroke=COLOURS[colour],
            class_=f"s-{colour}",
            stroke_width=width,
            stroke_linejoin="round",
            **extra,
        )

    def area(self, points: Sequence[tuple[float, float]], *, colour: str, opacity: float = 1.0) -> None:
        """A filled shape."""
        told = " ".join(f"{_text(x)},{_text(y)}" for x, y in points)
        self._add("polygon", points=told, fill=COLOURS[colour], class_=colour, fill_opacity=opacity)

    def bar(self, x: float, y: float, width: float, height: float, *, colour: str, look: str = "solid") -> None:
        """A bar: solid, hatched (estimated), outline (somebody's word), dotted (on nobody)."""
        box = {"x": x, "y": y, "width": max(width, 0.0), "height": height}
        if look == "solid":
            self._add("rect", **box, fill=COLOURS[colour], class_=colour)
            return
        dash = {"stroke_dasharray": "2 2"} if look == "dotted" else {}
        outline = {"fill": COLOURS["paper"], "class_": f"paper s-{colour}", "stroke": COLOURS[colour], "stroke_width": 1.5}
        self._add("rect", **box, **outline, **dash)
        if look == "hatched":
            for x1, y1, x2, y2 in hatch(x, y, width, height):
                self.line(x1, y1, x2, y2, colour=colour, width=1.6)

    def dot(self, x: float, y: float, radius: float, *, colour: str, hollow: bool = False, width: float = 2.0) -> None:
        """A point; hollow ones are provisional, or what is compared with."""
        self._add(
            "circle",
            cx=x,
            cy=y,
            r=radius,
            fill=COLOURS["paper" if hollow else colour],
            class_=f"{'paper' if hollow else colour} s-{colour}",
            stroke=COLOURS[colour],
            stroke_width=width,
        )

    def whisker(self, x1: float, x2: float, y: float, *, cap: float = 4.0) -> None:
        """An interval, with a halo, so that it reads on a bar and beside it."""
        for colour, width in (("paper", 3.6), ("ink", 1.4)):
            self.line(x1, y, x2, y, colour=colour, width=width)
            for x in (x1, x2):
                self.line(x, y - cap, x, y + cap, colour=colour, width=width)

    def svg(self) -> str:
        """The document."""
        size = f"{_text(self.width)} {_text(self.height)}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{_text(self.width)}" '
            f'height="{_text(self.height)}" role="img" font-family="{FAMILY}">'
            f"<title>{escape(self._title)}</title><desc>{escape(self._description)}</desc>" + "".join(self._parts) + "</svg>"
        )


def hatch(x: float, y: float, width: float, height: float, step: float = 5.0) -> Iterable[tuple[float, float, float, float]]:
    """Lines at 45 degrees that end at the edges of a box."""
    offset = step
    while offset < width + height:
        yield (x + max(offset - height, 0), y + min(offset, height), x + min(offset, width), y + max(offset - width, 0))
        offset += step


def _text(value: object) -> str:
    """Numbers to a hundredth: the same digits on every machine."""
    return f"{round(value, 2):g}" if isinstance(value, float) else str(value)


def ticks(high: float, most: int = 5) -> list[float]:
    """Round numbers from 0 to at least ``high``: steps of 1, 2 or 5."""
    if high <= 0:
        return [0.0, 1.0]
    step = 10.0 ** _floor_log10(high / most)
    while high / step > most:
        step *= 2.5 if round(step / 10.0 ** _floor_log10(step)) == 2 else 2
    count = int(-(-high // step))
    return [round(step * number, 12) for number in range(count + 1)]


def _floor_log10(value: float) -> int:
    exponent = 0
    while 10.0 ** (exponent + 1) <= value:
        exponent += 1
    while 10.0**exponent > value:
        exponent -= 1
    return exponent
