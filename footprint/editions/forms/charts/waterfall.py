"""Waterfall: from one total to another, an effect a row, ▲ for more and ▼ for less; totals are points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from footprint.charts.canvas import WIDTH, Canvas, text_width
from footprint.editions.document import Figure, Waterfall
from footprint.editions.figure_format import FormattedFigure, format_figure

ROW, BAR, TOP = 25.0, 15.0, 4.0
LABELS, LEFT, RIGHT, MARK, VALUE, END = 168.0, 182.0, 458.0, 470.0, 542.0, 638.0
INTERVAL_GAP, INTERVAL_SIZE = 6.0, 11.5  # distance from a value to its interval, font size of the interval


def draw(drawing: Waterfall, figures: Mapping[str, Figure], language: str, title: str, alternative: str) -> Canvas:
    """The effects, in the order given; the scale is that of the totals, and may start above 0."""
    rows = len(drawing.effects) + 2
    canvas = Canvas(WIDTH, TOP + ROW * rows + 4, title, alternative)
    right, mark, value_at = _columns([format_figure(figures[effect.figure], language) for effect in drawing.effects])
    levels = [figures[drawing.before.figure].value or 0.0]
    for effect in drawing.effects:
        levels.append(levels[-1] + (figures[effect.figure].value or 0.0))
    halves = [_half(figures[effect.figure]) for effect in drawing.effects]
    # The scale includes whiskers: a wide interval must not overlap labels or values.
    low = min(levels[:1] + [level - half for level, half in zip(levels[1:], halves, strict=True)])
    high = max(levels[:1] + [level + half for level, half in zip(levels[1:], halves, strict=True)])
    pad = (high - low) * 0.08 or max(abs(high), 1.0) * 0.08

    def x(value: float) -> float:
        return LEFT + (right - LEFT) * (value - low + pad) / (high - low + 2 * pad)

    def total(row: int, level: float, at: str) -> None:
        middle = TOP + ROW * (row + 0.5)
        end = drawing.before if row == 0 else drawing.after
        canvas.label(LABELS, middle, end.label.in_(language), LABELS, bold=True)
        canvas.line(LEFT, middle, x(level), middle, colour="rule")
        canvas.dot(x(level), middle, 5, colour="idle")
        formatted = format_figure(figures[at], language)
        canvas.text(END, middle + 4.5, formatted.with_unit, anchor="end", bold=True)

    total(0, levels[0], drawing.before.figure)
    for number, effect in enumerate(drawing.effects):
        figure, middle = figures[effect.figure], TOP + ROW * (number + 1.5)
        begin, end, is_increase = levels[number], levels[number + 1], levels[number + 1] >= levels[number]
        canvas.line(x(begin), middle - ROW + (5 if number == 0 else BAR / 2), x(begin), middle - BAR / 2, colour="rule-strong")
        canvas.bar(
            x(min(begin, end)),
            middle - BAR / 2,
            x(max(begin, end)) - x(min(begin, end)),
            BAR,
            colour="increase" if is_increase else "data",
        )
        if figure.low is not None and figure.high is not None:
            canvas.whisker(x(end - halves[number]), x(end + halves[number]), middle)
        canvas.label(LABELS, middle, effect.label.in_(language), LABELS)
        effect_text = format_figure(figure, language)
        if figure.value:
            canvas.text(mark, middle + 4, "▲" if is_increase else "▼", colour="increase-text" if is_increase else "data", size=11)
        canvas.text(value_at, middle + 4.5, effect_text.value, anchor="end", bold=True)
        canvas.text(value_at + INTERVAL_GAP, middle + 4.5, effect_text.interval, colour="ink-2", size=INTERVAL_SIZE)
    last = TOP + ROW * (rows - 1.5)
    canvas.line(x(levels[-1]), last + BAR / 2, x(levels[-1]), last + ROW - 5, colour="rule-strong")
    total(rows - 1, levels[-1], drawing.after.figure)
    return canvas


def _columns(effects: Sequence[FormattedFigure]) -> tuple[float, float, float]:
    """(end of the bars, sign, end of the value): further left if effects have many digits."""
    value_at = min(
        VALUE, END - INTERVAL_GAP - max((text_width(effect.interval, INTERVAL_SIZE) for effect in effects), default=0.0)
    )
    mark = min(MARK, value_at - 18 - max((text_width(effect.value) for effect in effects), default=0.0))
    return min(RIGHT, mark - 12), mark, value_at


def _half(figure: Figure) -> float:
    """Half of the interval of an effect; 0 where it has none."""
    return 0.0 if figure.low is None or figure.high is None else (figure.high - figure.low) / 2
