"""SVG canvas: text, lines, bars, hatching and whiskers in the colours of the palette, for screen and print.

Each colour is an attribute, for print, and a class, with which a dark page sets its own. Hatching consists of lines instead
of patterns, because all renderers and printers keep lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

from footprint.charts.palette import colours

Scale = Callable[[float], float]  # from a value to a coordinate
WIDTH = 640.0  # of a chart in the text column; 137 mm on paper, which makes its text about 8 pt
FONT_SIZE = 13.0
# Of a label on two lines, which must fit the row height of every chart.
SMALL_FONT_SIZE, LINE_HEIGHT = (12.0, 12.5)
FAMILY = "Source Sans 3, Arial, sans-serif"
# For white paper; a page sets the colours of its theme by class.
COLOURS = {**colours("light"), "paper": "#FFFFFF"}
# Advance widths of Source Sans 3 Semibold, the widest face in use, in thousandths of the font size, rounded up to 25.
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
_DEFAULT_ADVANCE = 600


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """Upper bound of the width of a text."""
    return sum(_ADVANCE.get(letter, _DEFAULT_ADVANCE) for letter in text) * size / 1000


def truncate(text: str, max_width: float, size: float = FONT_SIZE) -> str:
    """Text cut to a width, with an ellipsis; the table beside the chart has the full text."""
    if text_width(text, size) <= max_width:
        return text
    while text and text_width(text + "…", size) > max_width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrap(text: str, max_width: float, size: float = FONT_SIZE) -> list[str]:
    """Text on one line if it fits, else on two, broken between words and truncated if necessary."""
    words = text.split(" ")
    if text_width(text, size) <= max_width or len(words) == 1:
        return [truncate(text, max_width, size)]
    # The first line takes as many words as fit, at least one.
    count = max((number for number in range(1, len(words)) if text_width(" ".join(words[:number]), size) <= max_width), default=1)
    return [truncate(" ".join(line), max_width, size) for line in (words[:count], words[count:])]


class Canvas:
    """One drawing; y grows downwards, in units of the view box."""

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self.width, self.height = width, height
        self._title, self._description = title, description
        self._parts: list[str] = []

    def _add(self, name: str, /, **attributes: object) -> None:
        content = attributes.pop("content", None)
        markup = "".join(f" {key.replace('_', '-').rstrip('-')}={quoteattr(_text(value))}" for key, value in attributes.items())
        self._parts.append(f"<{name}{markup}/>" if content is None else f"<{name}{markup}>{escape(str(content))}</{name}>")

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        colour: str = "ink",
        anchor: str = "start",
        bold: bool = False,
        size: float = FONT_SIZE,
    ) -> None:
        """A line of text on its baseline."""
        self._add(
            "text",
            content=text,
            x=x,
            y=y,
            fill=COLOURS[colour],
            class_=colour,
            text_anchor=anchor,
            font_size=size,
            font_weight=600 if bold else 400,
        )

    def label(self, x: float, middle: float, text: str, room: float, *, bold: bool = False) -> None:
        """Label of a row, right-aligned at ``x`` and centred at ``middle``; a long one is smaller and on two lines."""
        size = FONT_SIZE if text_width(text) <= room else SMALL_FONT_SIZE
        lines = wrap(text, room, size)
        for index, line in enumerate(lines):
            top = middle + 4.5 + LINE_HEIGHT * (index - (len(lines) - 1) / 2)
            self.text(x, top, line, anchor="end", bold=bold, size=size)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, *, colour: str = "ink", width: float = 1.0, dash: str = ""
    ) -> None:
        """A straight line."""
        extra = {"stroke_dasharray": dash} if dash else {}
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=COLOURS[colour], class_=f"s-{colour}", stroke_width=width, **extra)

    def path(self, points: Sequence[tuple[float, float]], *, colour: str, width: float = 2.5, dash: str = "") -> None:
        """A polyline."""
        extra = {"stroke_dasharray": dash} if dash else {}
        commands = "M" + "L".join(f"{_text(x)} {_text(y)}" for x, y in points)
        self._add(
            "path",
            d=commands,
            fill="none",
            stroke=COLOURS[colour],
            class_=f"s-{colour}",
            stroke_width=width,
            stroke_linejoin="round",
            **extra,
        )

    def area(self, points: Sequence[tuple[float, float]], *, colour: str, opacity: float = 1.0) -> None:
        """A filled polygon."""
        coordinates = " ".join(f"{_text(x)},{_text(y)}" for x, y in points)
        self._add("polygon", points=coordinates, fill=COLOURS[colour], class_=colour, fill_opacity=opacity)

    def bar(self, x: float, y: float, width: float, height: float, *, colour: str, look: str = "solid") -> None:
        """A bar: solid, hatched (estimated), outline (declared), or dotted (unattributed)."""
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
        """A point; hollow for provisional values and for references."""
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
        """An interval, with a halo that keeps it readable on a bar."""
        for colour, width in (("paper", 3.6), ("ink", 1.4)):
            self.line(x1, y, x2, y, colour=colour, width=width)
            for x in (x1, x2):
                self.line(x, y - cap, x, y + cap, colour=colour, width=width)

    def svg(self) -> str:
        """The drawing as an SVG document."""
        size = f"{_text(self.width)} {_text(self.height)}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{_text(self.width)}" '
            f'height="{_text(self.height)}" role="img" font-family="{FAMILY}">'
            f"<title>{escape(self._title)}</title><desc>{escape(self._description)}</desc>" + "".join(self._parts) + "</svg>"
        )


def hatch(x: float, y: float, width: float, height: float, step: float = 5.0) -> Iterable[tuple[float, float, float, float]]:
    """Lines at 45 degrees within a box."""
    offset = step
    while offset < width + height:
        yield (x + max(offset - height, 0), y + min(offset, height), x + min(offset, width), y + max(offset - width, 0))
        offset += step


def _text(value: object) -> str:
    """Numbers rounded to 0.01, so that all machines write the same digits."""
    return f"{round(value, 2):g}" if isinstance(value, float) else str(value)


def ticks(high: float, max_steps: int = 5) -> list[float]:
    """Round numbers from 0 to at least ``high``, in steps of 1, 2 or 5 times a power of ten."""
    if high <= 0:
        return [0.0, 1.0]
    step = 10.0 ** _floor_log10(high / max_steps)
    while high / step > max_steps:
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
