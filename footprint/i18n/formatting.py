"""Formatting of numbers, units, intervals and dates in French and English."""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from babel.numbers import format_decimal

# (threshold, size, name): tonnes start at 10 t, because three digits of fewer tonnes would hide digits of the interval.
_ENERGY = ((1e3, 1e3, "MWh"), (1.0, 1.0, "kWh"), (1e-3, 1e-3, "Wh"), (1e-6, 1e-6, "mWh"))  # in kWh
_MASS = ((1e7, 1e6, "t"), (1e3, 1e3, "kg"), (1.0, 1.0, "g"), (1e-3, 1e-3, "mg"))  # in g
SIGNIFICANT_DIGITS = 3


def unit_for(value: float, units: tuple[tuple[float, float, str], ...]) -> tuple[float, str]:
    """Size and name of the first unit whose threshold a value reaches, else of the last unit."""
    return next(((size, name) for threshold, size, name in units if abs(value) >= threshold), units[-1][1:])


def energy_unit(kwh: float) -> tuple[float, str]:
    """Size [kWh] and name of the unit for an energy [kWh]."""
    return unit_for(kwh, _ENERGY)


def mass_unit(grams: float) -> tuple[float, str]:
    """Size [g] and name of the unit for a mass [g]."""
    return unit_for(grams, _MASS)


def format_number(value: float, language: str, significant: int = SIGNIFICANT_DIGITS) -> str:
    """Number with significant digits, all digits before the decimal point, and a true minus sign."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    decimals = max(significant - 1 - math.floor(math.log10(abs(value))), 0)
    pattern = "#,##0." + "#" * decimals if decimals else "#,##0"
    return _format_pattern(round(value, decimals), pattern, language).replace("-", "\u2212")


def format_interval(low: float, high: float, language: str) -> str:
    """Interval ``[low ; high]`` in the notation of the language."""
    return format_bracket(format_number(low, language), format_number(high, language), language)


def format_bracket(low: str, high: str, language: str) -> str:
    """Interval of two formatted numbers, with no-break spaces."""
    separator = "\u202f;\u00a0" if language == "fr" else "\u00a0to\u00a0"
    return f"[{low}{separator}{high}]"


@dataclass(frozen=True, slots=True)
class FormattedEstimate:
    """A formatted value with its interval in brackets (empty if it has none)."""

    value: str
    interval: str


def format_estimate(value: float, low: float | None, high: float | None, language: str) -> FormattedEstimate:
    """Value with its interval: the half-width to two significant digits, the value to the same decimal place.

    This is the rule for all figures with an interval (JCGM 100:2008, 7.2.6). A value without interval gets three
    significant digits. Halves round to even.
    """
    if low is None or high is None or not math.isfinite(high - low) or high <= low:
        return FormattedEstimate(format_number(value, language), "")
    half = (high - low) / 2
    decimals = 1 - math.floor(math.log10(half))
    if round(half, decimals) >= 10 ** (2 - decimals):
        decimals -= 1  # 9.96 is 10, not 10.0
    value_text, low_text, high_text = (format_decimals(number, decimals, language) for number in (value, low, high))
    return FormattedEstimate(value_text, format_bracket(low_text, high_text, language))


def format_decimals(value: float, decimals: int, language: str) -> str:
    """Number with a fixed count of decimals (negative: tens, hundreds …) and a true minus sign."""
    rounded = round(value, decimals)
    pattern = "#,##0." + "0" * decimals if decimals > 0 else "#,##0"
    written = _format_pattern(abs(rounded), pattern, language)
    return written if rounded >= 0 else f"\u2212{written}"


def _format_pattern(value: float, pattern: str, language: str) -> str:
    with decimal.localcontext(prec=_MAX_DIGITS):  # decimal's default of 28 digits refuses the largest floats
        return str(format_decimal(value, format=pattern, locale=language))


_MAX_DIGITS = 700  # of any float, before and after the decimal point


def format_change(share: float, language: str, *, bare: bool = False) -> str:
    """Relative change as a percentage with its sign; ``bare`` omits the percent sign."""
    sign = "+" if share > 0 else "\u2212" if share < 0 else ""
    text = f"{sign}{format_number(round(abs(share) * 100, 1 if abs(share) < 0.1 else 0), language)}"
    return text if bare else f"{text}\u202f%" if language == "fr" else f"{text}%"


def format_percent(share: float, language: str, *, floor: bool = True) -> str:
    """Share as a percentage, rounded down so that 100 % means complete; ``floor=False`` rounds to nearest, for changes."""
    shown = math.floor(share * 1000) / 10 if share < 1 else 100.0
    if not floor:
        shown = round(share * 100, 1 if share < 0.1 else 0)
    return f"{format_number(shown, language)}\u202f%" if language == "fr" else f"{format_number(shown, language)}%"


def format_local_time(text: str, zone: ZoneInfo, language: str) -> str:
    """Instant (RFC 3339) as date and time in a time zone."""
    local = datetime.fromisoformat(text).astimezone(zone)
    return format_datetime(local, "d MMM y HH:mm", locale=language)
