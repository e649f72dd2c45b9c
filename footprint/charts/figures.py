"""This file draws frames as SVG: for notebooks, where a picture must be there without programs in the browser, and for pages.

Energy is navy, what is looked at is orange and bold, idle is grey, the building sand; every colour is said by a label too, and
whiskers are intervals of about 95 %. A page's style sheet gives the classes the colours of its theme.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from footprint.i18n.formatting import format_estimate, format_number

Row = Mapping[str, Any]
WIDTH, ROW, RIGHT, TOP, FOOT = 760.0, 34.0, 170.0, 62.0, 46.0
LETTER = 7.4  # of a bold letter, in the mean
CLOSE = 15.0  # of two lines of text
_TEXT = "13.5px 'Source Sans 3',Arial,sans-serif"
_HALO = "paint-order:stroke;stroke:#FBFAF7;stroke-width:3px"  # what lies under a text does not run through it
_LOOKS = {
    "paper": "fill:#FBFAF7",
    "t": f"fill:#47515F;font:{_TEXT};{_HALO}",
    "strong": "fill:#16202E;font-weight:600",
    "muted": "fill:#626B79",
    "title": "fill:#16202E;font:600 17px 'Source Serif 4 Display',Georgia,serif",
    "data": "fill:#12436D",
    "host": "fill:#4F8FD8",
    "idle": "fill:#78828F",
    "facility": "fill:#A87F6E",
    "more": "fill:#E05C14",
    "band": "fill:#C9DAEC",
    "wash": "fill:#F3F1EB",
    "none": "fill:none;stroke:#78828F;stroke-dasharray:2 2",
    "hollow": "fill:none;stroke:#78828F;stroke-width:2",
    "grid": "stroke:#D9D6CD",
    "axis": "stroke:#827F77",
    "halo": "stroke:#FBFAF7;stroke-width:5",
    "whisker": "stroke:#16202E;stroke-width:1.5",
    "stair": "fill:none;stroke:#827F77;stroke-width:1.5",
    **{
        f"line-{name}": f"fill:none;stroke:{colour};stroke-width:2.5"
        for name, colour in (
            ("data", "#12436D"),
            ("more", "#E05C14"),
            ("idle", "#78828F"),
            ("host", "#4F8FD8"),
            ("facility", "#A87F6E"),
        )
    },
}
_STYLE = "".join(f".fp .{name}{{{look}}}" for name, look in _LOOKS.items())


@dataclass(frozen=True, slots=True)
class SvgFigure:
    """A drawing: ``label`` says in words what it shows, ``inner`` is SVG without its frame; px, ``top`` of them empty."""

    label: str
    inner: str
    width: float
    height: float
    top: float = 0.0

    def _repr_svg_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return self.label

    def svg(self, *, style: bool = True) -> str:
        """The whole SVG; without ``style`` its classes are the page's to colour."""
        tall = self.height - self.top
        size = f'viewBox="0 {self.top:g} {self.width:g} {tall:g}" width="{self.width:g}" height="{tall:g}"'
        within = f'<style>{_STYLE}</style><rect width="100%" height="100%" class="paper"/>' if style else ""
        named = f'class="fp" role="img" aria-label="{escape(self.label)}"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {named}>{within}{self.inner}</svg>'


def ranked_bars(
    rows: Iterable[Row],
    name: str,
    value: str,
    *,
    unit: str,
    title: str,
    low: str = "",
    high: str = "",
    marked: str = "",
    factor: float = 1.0,
    language: str = "en",
) -> SvgFigure:
    """Ranked bars from 0, each with its value (times ``factor``) and interval in words; ``marked`` is drawn in orange."""
    known = [row for row in _rows(rows) if _is(row[value])]
    ends = [row[high] if high and _is(row[high]) else row[value] for row in known]
    left = _left(known, name)
    scale = (WIDTH - left - RIGHT) / max(max(ends, default=0.0), 1e-300)
    parts = []
    for place, row in enumerate(known):
        y = TOP + ROW * place
        kind = "more" if row[name] == marked else "idle" if str(row[name]).startswith("(") else "data"
        parts += [_text(left - 10, y + 15, str(row[name]), "strong" if row[name] == marked else "", "end")]
        parts += [_rect(left, y + 3, row[value] * scale, 14, kind)]
        if low and high and _is(row[low]):
            parts += _whisker(left + row[low] * scale, left + row[high] * scale, y + 10)
        bounds = [row[end] * factor if end and _is(row[end]) else None for end in (low, high)]
        shown = format_estimate(row[value] * factor, bounds[0], bounds[1], language)
        parts += [_text(left + ends[place] * scale + 10, y + 15, shown.value, "strong"), ""]
        parts += [_text(left + ends[place] * scale + 16 + 8 * len(shown.value), y + 15, shown.interval, "muted")]
    return _framed(title, unit, parts, TOP + ROW * len(known) + 8)


def stacked_bars(
    rows: Iterable[Row],
    name: str,
    parts: Mapping[str, tuple[str, str]],
    *,
    unit: str,
    title: str,
    factor: float = 1.0,
    language: str = "en",
) -> SvgFigure:
    """Bars of parts in a fixed order; ``parts`` says by column what it is called and its class. The sum stands at the end."""
    known = _rows(rows)
    sums = [sum(row[column] or 0.0 for column in parts) for row in known]
    left = _left(known, name)
    scale = (WIDTH - left - 110) / max(max(sums, default=0.0), 1e-300)
    drawn, x, top = [], left, TOP - 2
    shown = {column: said for column, said in parts.items() if any(row[column] for row in known)}
    for said, kind in shown.values():
        if x + 17 + LETTER * len(said) > WIDTH:
            x, top = left, top + 20
        drawn += [_rect(x, top, 12, 12, kind), _text(x + 17, top + 11, said)]
        x += 36 + 6.4 * len(said)
    for place, (row, total) in enumerate(zip(known, sums, strict=True)):
        x, y = left, top + 26 + ROW * place
        drawn.append(_text(left - 10, y + 15, str(row[name]), "", "end"))
        for column, (_, kind) in parts.items():
            # Two pixels of paper lie between neighbours: their lightness is nearly the same.
            drawn.append(_rect(x, y + 2, max((row[column] or 0.0) * scale - 2, 0), 16, kind))
            x += (row[column] or 0.0) * scale
        drawn.append(_text(x + 8, y + 15, format_number(total * factor, language), "strong"))
    return _framed(title, unit, drawn, top + 34 + ROW * len(known))


@dataclass(frozen=True, slots=True)
class Axis:
    """From where to where, what is written beside it, whether by powers of ten; ``inverted``: less is better, and on top."""

    low: float
    high: float
    label: str
    log: bool = False
    inverted: bool = False

    def at(self, value: float, begin: float, end: float) -> float:
        """The place of a value between two ends."""
        low, high, here = (math.log10(each) if self.log else each for each in (self.low, self.high, max(value, 1e-12)))
        share = (here - low) / (high - low)
        return begin + (end - begin) * (1 - share if self.inverted else share)

    def ticks(self) -> list[float]:
        """Round values within, three to seven of them."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [m * 10.0**p for p in powers for m in (1, 2, 5) if self.low <= m * 10.0**p <= self.high]
            return found if len(found) <= 7 else [each for each in found if math.log10(each) % 1 < 1e-9]
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / 2))
        step = next(step * m for m in (1, 2, 5, 10) if (self.high - self.low) / (step * m) <= 5)
        return [step * n for n in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True, slots=True)
class ScatterPoint:
    """One thing in a plane: where, its intervals, its name and how it is drawn (class; ``hollow`` for what is not ranked)."""

    x: float
    y: float
    name: str = ""
    x_ends: tuple[float, float] | None = None
    y_ends: tuple[float, float] | None = None
    kind: str = "data"
    bold: bool = False


def scatter_plot(
    spots: Sequence[ScatterPoint],
    x: Axis,
    y: Axis,
    *,
    title: str,
    lines: Sequence[tuple[Sequence[tuple[float, float]], str]] = (),
    bands: Sequence[tuple[Sequence[tuple[float, float, float]], str]] = (),
    washed: tuple[float | None, str] = (None, ""),
    language: str = "en",
    height: float = 400.0,
) -> SvgFigure:
    """Things by two measures: crosses are intervals; ``lines`` (points, class) and ``bands`` ((x, low, high), class) lie below.

    ``washed`` is a limit of y: what lies on its worse side is washed, and its words stand there.
    """
    left, right, top, bottom = 74.0, WIDTH - 24, TOP + 6, height - FOOT

    def put(here: float, there: float) -> tuple[float, float]:
        return x.at(here, left, right), y.at(there, bottom, top)

    drawn = _limits(washed, y, (left, right, top, bottom))
    for tick in y.ticks():
        level = put(x.low, tick)[1]
        drawn += [
            _line(left, level, right, level, "grid"),
            _text(left - 8, level + 4, format_number(tick, language), "muted", "end"),
        ]
    for tick in x.ticks():
        at = put(tick, y.low)[0]
        drawn += [
            _line(at, bottom, at, bottom + 5, "axis"),
            _text(at, bottom + 20, format_number(tick, language), "muted", "middle"),
        ]
    drawn += [_line(left, bottom, right, bottom, "axis"), _text(right, height - 6, x.label, "muted", "end")]
    for points, kind in bands:
        around = [put(a, b) for a, b, _ in points] + [put(a, b) for a, _, b in reversed(points)]
        drawn.append(f'<path d="M{" L".join(f"{a:.1f} {b:.1f}" for a, b in around)}Z" class="{kind}"/>')
    for line, kind in lines:
        drawn.append(f'<path d="M{" L".join("%.1f %.1f" % put(*point) for point in line)}" class="{kind}"/>')  # noqa: UP031
    for spot in spots:
        drawn += _spot(spot, put)
    drawn += _names(spots, put, right)
    return _framed(title, y.label, drawn, height)


def _spot(spot: ScatterPoint, put: Any) -> list[str]:
    at, level = put(spot.x, spot.y)
    found = []
    if spot.x_ends:
        found.append(_line(put(spot.x_ends[0], spot.y)[0], level, put(spot.x_ends[1], spot.y)[0], level, "whisker"))
    if spot.y_ends:
        found.append(_line(at, put(spot.x, spot.y_ends[0])[1], at, put(spot.x, spot.y_ends[1])[1], "whisker"))
    found.append(f'<circle cx="{at:.1f}" cy="{level:.1f}" r="{7 if spot.bold else 5.5}" class="{spot.kind}"/>')
    return found


def _names(spots: Sequence[ScatterPoint], put: Any, right: float) -> list[str]:
    """Names beside their things, each on a line of its own: one that would lie on another goes below it."""
    found: list[str] = []
    taken: list[tuple[float, float, float]] = []  # from, to, level
    for spot in sorted((each for each in spots if each.name), key=lambda each: put(each.x, each.y)[1]):
        at, level = put(spot.x, spot.y)
        wide, level = LETTER * len(spot.name), level - 9
        begin, anchor = (at + 10, "start") if at + 14 + wide <= right else (at - 10 - wide, "end")
        for low, high, other in taken:
            if begin < high and low < begin + wide and abs(other - level) < CLOSE:
                level = other + CLOSE
        taken.append((begin, begin + wide, level))
        place = begin if anchor == "start" else begin + wide
        found.append(_text(place, level, spot.name, "strong" if spot.bold else "", anchor))
    return found


def _limits(washed: tuple[float | None, str], y: Axis, frame: tuple[float, float, float, float]) -> list[str]:
    limit, words = washed
    if limit is None or not y.low < limit < y.high:
        return []
    left, right, top, bottom = frame
    level = y.at(limit, bottom, top)
    found = [_rect(left, level, right - left, bottom - level, "wash"), _line(left, level, right, level, "axis")]
    return [*found, _text(left + 8, bottom - 8, words, "muted")]


def staircase(points: Sequence[tuple[float, float]], far: float) -> list[tuple[float, float]]:
    """The staircase through undominated points by rising x: each is the best there is until the next; on to ``far``."""
    found = [point for (a, b), (c, _) in pairwise(points) for point in ((a, b), (c, b))]
    return [*found, points[-1], (far, points[-1][1])] if points else []


def dumbbell_chart(
    rows: Iterable[Row], name: str, first: str, second: str, said: str, *, unit: str, title: str, words: tuple[str, str]
) -> SvgFigure:
    """Two values of each row with intervals (columns ``…_low``, ``…_high``): the first hollow, the second solid."""
    known = _rows(rows)
    largest = max((row[f"{which}_high"] for row in known for which in (first, second)), default=1.0)
    left = _left(known, name)
    scale = (WIDTH - left - 250) / largest
    drawn = [
        f'<circle cx="{left + 6}" cy="{TOP + 4}" r="5.5" class="hollow"/>',
        _text(left + 18, TOP + 9, words[0]),
        f'<circle cx="{left + 44 + 7.2 * len(words[0])}" cy="{TOP + 4}" r="5.5" class="data"/>',
        _text(left + 56 + 7.2 * len(words[0]), TOP + 9, words[1]),
    ]
    for place, row in enumerate(known):
        y = TOP + 40 + ROW * place
        at = {which: left + row[which] * scale for which in (first, second)}
        drawn += [_text(left - 10, y + 5, str(row[name]), "", "end"), _line(min(at.values()), y, max(at.values()), y, "axis")]
        for which in (first, second):
            ends = [left + row[f"{which}_{end}"] * scale for end in ("low", "high")]
            drawn.append(_rect(ends[0], y - 5, ends[1] - ends[0], 10, "band"))
            kind = "hollow" if which == first else "data"
            drawn.append(f'<circle cx="{at[which]:.1f}" cy="{y:.1f}" r="5.5" class="{kind}"/>')
        drawn.append(_text(WIDTH - 6, y + 5, str(row[said]), "strong", "end"))
    return _framed(title, unit, drawn, TOP + 60 + ROW * len(known))


def _framed(title: str, unit: str, parts: list[str], height: float) -> SvgFigure:
    head = [_text(8, 22, title, "title"), _text(8, 46, unit, "muted")]
    label = f"{title} ({unit})" if title and unit else title or unit
    # Without a title of its own (a page has one) its room is cut off.
    return SvgFigure(label, "".join([*head, *parts]), WIDTH, height, 0.0 if title else 28.0)


def _whisker(low: float, high: float, y: float) -> list[str]:
    return [_line(low, y, high, y, "halo"), _line(low, y, high, y, "whisker")]


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    # A title's class replaces the common one: it has a face of its own.
    named = kind if kind == "title" else f"t {kind}".strip()
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{named}" text-anchor="{anchor}">{escape(words)}</text>' if words else ""


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" class="{kind}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _left(rows: list[dict[str, Any]], name: str) -> float:
    """Room for the longest name."""
    return min(max(LETTER * max((len(str(row[name])) for row in rows), default=0) + 24, 120.0), 300.0)


def _rows(rows: Any) -> list[dict[str, Any]]:
    """Rows of a frame or of a list."""
    return rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)


def _is(value: Any) -> bool:
    return value is not None and math.isfinite(value)
