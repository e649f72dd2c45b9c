"""This file writes numbers, units and dates as the reader's language does."""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from babel.numbers import format_decimal

# (from, size, name): a kilogram becomes a ton at ten tons only, else digits are lost that the interval still shows.
_ENERGY = ((1e3, 1e3, "MWh"), (1.0, 1.0, "kWh"), (1e-3, 1e-3, "Wh"), (1e-6, 1e-6, "mWh"))  # in kWh
_MASS = ((1e7, 1e6, "t"), (1e3, 1e3, "kg"), (1.0, 1.0, "g"), (1e-3, 1e-3, "mg"))  # in g
SIGNIFICANT = 3


def unit_for(value: float, units: tuple[tuple[float, float, str], ...]) -> tuple[float, str]:
    """(size, name) of the first unit from whose threshold on a value is shown; the last if there is none."""
    return next(((size, name) for threshold, size, name in units if abs(value) >= threshold), units[-1][1:])


def energy_unit(kwh: float) -> tuple[float, str]:
    """(size in kWh, name) of the unit that suits an energy."""
    return unit_for(kwh, _ENERGY)


def mass_unit(grams: float) -> tuple[float, str]:
    """(size in g, name) of the unit that suits a mass."""
    return unit_for(grams, _MASS)


def format_number(value: float, language: str, significant: int = SIGNIFICANT) -> str:
    """A number to so many significant digits, never more whole digits dropped, with a true minus."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    decimals = max(significant - 1 - math.floor(math.log10(abs(value))), 0)
    pattern = "#,##0." + "#" * decimals if decimals else "#,##0"
    return _written(round(value, decimals), pattern, language).replace("-", "\u2212")


def format_interval(low: float, high: float, language: str) -> str:
    """``[low ; high]`` as the language writes it."""
    return format_bracket(format_number(low, language), format_number(high, language), language)


def format_bracket(low: str, high: str, language: str) -> str:
    """Two ends as the language writes an interval; it never breaks over a line."""
    between = "\u202f;\u00a0" if language == "fr" else "\u00a0to\u00a0"
    return f"[{low}{between}{high}]"


@dataclass(frozen=True, slots=True)
class FormattedEstimate:
    """A figure as it is written: the value, and its interval in brackets (empty where there is none)."""

    value: str
    interval: str


def format_estimate(value: float, low: float | None, high: float | None, language: str) -> FormattedEstimate:
    """A value with its interval, in one unit: the half-width to two digits, then the value to the same place.

    The rule for every figure that is shown with an interval (JCGM 100:2008, 7.2.6); one without a width is exact to
    three significant digits. Rounds halves to even, as Python does.
    """
    if low is None or high is None or not math.isfinite(high - low) or high <= low:
        return FormattedEstimate(format_number(value, language), "")
    half = (high - low) / 2
    decimals = 1 - math.floor(math.log10(half))
    if round(half, decimals) >= 10 ** (2 - decimals):
        decimals -= 1  # 9.96 is 10, not 10.0
    value_, low_, high_ = (format_decimals(each, decimals, language) for each in (value, low, high))
    return FormattedEstimate(value_, format_bracket(low_, high_, language))


def format_decimals(value: float, decimals: int, language: str) -> str:
    """A number to so many decimals (below zero: to tens, hundreds …), with a true minus."""
    rounded = round(value, decimals)
    pattern = "#,##0." + "0" * decimals if decimals > 0 else "#,##0"
    written = _written(abs(rounded), pattern, language)
    return written if rounded >= 0 else f"\u2212{written}"


def _written(value: float, pattern: str, language: str) -> str:
    with decimal.localcontext(prec=_EVERY_DIGIT):  # of decimal's own 28 digits, the largest floats would be refused
        return str(format_decimal(value, format=pattern, locale=language))


_EVERY_DIGIT = 700  # before and after the point, of any float


def format_change(share: float, language: str, *, bare: bool = False) -> str:
    """A change as a percentage with its sign, a true minus; ``bare`` leaves the percent sign to the reader."""
    sign = "+" if share > 0 else "\u2212" if share < 0 else ""
    text = f"{sign}{format_number(round(abs(share) * 100, 1 if abs(share) < 0.1 else 0), language)}"
    return text if bare else f"{text}\u202f%" if language == "fr" else f"{text}%"


def format_percent(share: float, language: str, *, floor: bool = True) -> str:
    """A share as a percentage; 100 % only where nothing lacks. ``floor=False`` rounds, for changes."""
    shown = math.floor(share * 1000) / 10 if share < 1 else 100.0
    if not floor:
        shown = round(share * 100, 1 if share < 0.1 else 0)
    return f"{format_number(shown, language)}\u202f%" if language == "fr" else f"{format_number(shown, language)}%"


def format_local_time(text: str, zone: ZoneInfo, language: str) -> str:
    """An instant in the organisation's zone."""
    local = datetime.fromisoformat(text).astimezone(zone)
    return format_datetime(local, "d MMM y HH:mm", locale=language)
