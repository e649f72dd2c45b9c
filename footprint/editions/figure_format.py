"""Formatting of figures: the one place where values become text, so that an id reads the same in every form.

Values are rounded by their interval (``i18n.formatting.format_estimate``); changes and shares to whole points, or to the
decimals that their interval supports. A figure without a value is a flag in brackets, never blank and never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from footprint.editions.document import Edition, Figure, Ref
from footprint.i18n.formatting import format_bracket, format_decimals, format_estimate, format_number, format_percent

THIN, NBSP = "\u202f", "\u00a0"
EXACT = "exact"  # the word is the same in both languages
MIN_WHOLE_POINT, MIN_TENTH = 0.5, 0.1  # percentage points
FLAGS_BESIDE_VALUE = ("u", "r", "low")  # flags printed beside a value; the others explain a missing value, or repeat the badge
_UNIT_TEXTS = {"gCO2e": "g\u00a0CO₂e", "kgCO2e": "kg\u00a0CO₂e"}
_UNIT_WORDS = {"million": ("millions", "million"), "billion": ("milliards", "billion")}  # (French, English)


@dataclass(frozen=True, slots=True)
class FormattedFigure:
    """A figure in one language: value, unit (empty for changes, shares and ratios), interval in brackets, badge, flags."""

    value: str
    unit: str
    interval: str
    badge: str
    flags: str

    @property
    def with_unit(self) -> str:
        """Value and unit, joined by a no-break space."""
        return f"{self.value}{NBSP}{self.unit}" if self.unit and self.has_value else self.value

    @property
    def has_value(self) -> bool:
        """Whether there is a value."""
        return not self.value.startswith("[")

    @property
    def full(self) -> str:
        """Value, unit and interval on one line."""
        return f"{self.with_unit} {self.interval}".strip()


def format_figure(figure: Figure, language: str) -> FormattedFigure:
    """Format a figure in a language."""
    if figure.value is None:
        flag = figure.flags[0] if figure.flags else "x"
        return FormattedFigure(f"[{flag}]", "", "", figure.quality, "")
    value, interval = _FORMATTERS.get(figure.kind, _level)(figure, language)
    if figure.kind == "count" and not interval:
        interval = EXACT
    flags = " ".join(f"[{flag}]" for flag in figure.flags if flag in FLAGS_BESIDE_VALUE)
    unit = "" if figure.kind in ("change", "share") else format_unit(figure.display[1], language)
    return FormattedFigure(value, unit, interval, figure.quality, flags)


def format_reference(figure: Figure, ref: Ref, language: str) -> tuple[str, str]:
    """(bold part, quiet part) of a cited figure."""
    formatted = format_figure(figure, language)
    if ref.form == "interval":
        return "", formatted.interval
    if ref.form == "value":
        return formatted.value, ""
    return formatted.with_unit, formatted.interval if ref.form == "full" and formatted.interval != EXACT else ""


def headline_text(edition: Edition, language: str) -> str:
    """The headline of an edition as plain text, for lists of editions and messages."""
    sentence = edition.headline
    values = {name: _plain_value(edition.figure(ref.figure), language) for name, ref in sentence.refs.items()}
    return sentence.text.in_(language).format(**values)


def _plain_value(figure: Figure, language: str) -> str:
    if figure.value is None:
        return f"[{figure.flags[0]}]"
    if figure.kind == "share":
        return format_percent(figure.value, language, floor=False)
    size, unit = figure.display
    low, high = (None if bound is None else bound / size for bound in (figure.low, figure.high))
    return f"{format_estimate(figure.value / size, low, high, language).value}\u00a0{unit}"


def format_unit(unit: str, language: str) -> str:
    """A unit as the language writes it."""
    if unit in _UNIT_WORDS:
        return _UNIT_WORDS[unit][language != "fr"]
    return _UNIT_TEXTS.get(unit, unit.replace("CO2e", "CO₂e"))


def short_id(figure: Figure) -> str:
    """The last part of a figure's id, printed beside sentences."""
    return figure.id.rpartition("-")[2]


def _level(figure: Figure, language: str) -> tuple[str, str]:
    size = figure.display[0]
    assert figure.value is not None
    low, high = (None if bound is None else bound / size for bound in (figure.low, figure.high))
    formatted = format_estimate(figure.value / size, low, high, language)
    return formatted.value, formatted.interval


def _change(figure: Figure, language: str) -> tuple[str, str]:
    """A change in percentage points with its sign: −4 % [−9 ; +1]."""
    return _points(figure, language, sign=True)


def _effect(figure: Figure, language: str) -> tuple[str, str]:
    """A part of a change in the unit of the level, with its sign."""
    value, interval = _level(figure, language)
    return (f"+{value}" if figure.value and figure.value > 0 and not value.startswith("\u2212") else value), interval


def _share(figure: Figure, language: str) -> tuple[str, str]:
    return _points(figure, language, sign=False)


def _points(figure: Figure, language: str, *, sign: bool) -> tuple[str, str]:
    assert figure.value is not None
    value, percent = 100 * figure.value, f"{THIN}%" if language == "fr" else "%"
    if figure.low is None or figure.high is None:
        return _signed(value, percent_decimals(value, value), language, sign=sign) + percent, ""
    low, high = 100 * figure.low, 100 * figure.high
    decimals = percent_decimals((high - low) / 2, value)
    texts = [_signed(bound, decimals, language, sign=sign) for bound in (low, value, high)]
    # An interval narrower than the printed digits carries no information.
    return texts[1] + percent, "" if texts[0] == texts[2] else format_bracket(texts[0], texts[2], language)


def percent_decimals(half_width: float, value: float) -> int:
    """Decimals of a percentage: none for a half-width from half a point on; else one, or two for a value below a tenth."""
    if abs(half_width) >= MIN_WHOLE_POINT or value == 0:
        return 0
    return 1 if abs(value) >= MIN_TENTH else 2


def _signed(value: float, decimals: int, language: str, *, sign: bool) -> str:
    text = format_decimals(value, decimals, language)
    return f"+{text}" if sign and round(value, decimals) > 0 else text


def _ratio(figure: Figure, language: str) -> tuple[str, str]:
    """A value with a unit of its own, or a factor: × 2,7, and ÷ 2,7 below one."""
    if figure.display[1]:
        return _level(figure, language)
    assert figure.value is not None
    value, low, high = figure.value, figure.low, figure.high
    sign = "×"
    if 0 < value < 1:
        sign, value = "÷", 1 / value
        low, high = (None, None) if not low or not high else (1 / high, 1 / low)
    formatted = format_estimate(value, low, high, language)
    return f"{sign}{NBSP}{formatted.value}", formatted.interval


def _count(figure: Figure, language: str) -> tuple[str, str]:
    """An exact count: every digit if the unit is 1, else three significant digits."""
    assert figure.value is not None
    if figure.low is not None and figure.high is not None:
        return _level(figure, language)
    if figure.display[0] == 1:
        return format_decimals(figure.value, 0, language), ""
    return format_number(figure.value / figure.display[0], language), ""


_FORMATTERS = {"level": _level, "change": _change, "share": _share, "ratio": _ratio, "count": _count, "effect": _effect}
