"""Formatting of figures: examples and properties of the rounding rule."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.i18n.formatting import FormattedEstimate, energy_unit, format_estimate, format_interval, format_number, mass_unit

THIN, NBSP, MINUS = "\u202f", "\u00a0", "\u2212"


@pytest.mark.parametrize(
    ("figures", "language", "value", "interval"),
    [
        ((1240.2, 1150.4, 1329.6), "fr", f"1{THIN}240", f"[1{THIN}150{THIN};{NBSP}1{THIN}330]"),
        ((1240.2, 1150.4, 1329.6), "en", "1,240", f"[1,150{NBSP}to{NBSP}1,330]"),
        ((388.0, 360.0, 416.0), "en", "388", f"[360{NBSP}to{NBSP}416]"),
        ((-4.04, -9.0, 1.0), "fr", f"{MINUS}4,0", f"[{MINUS}9,0{THIN};{NBSP}1,0]"),
        ((50.0, 40.04, 59.96), "en", "50", f"[40{NBSP}to{NBSP}60]"),
        ((7.0, None, None), "en", "7", ""),
        ((7.0, 7.0, 7.0), "en", "7", ""),
    ],
)
def test_value_and_interval_are_rounded_to_one_place(
    figures: tuple[float, float | None, float | None], language: str, value: str, interval: str
) -> None:
    assert format_estimate(*figures, language) == FormattedEstimate(value, interval)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_what_is_written_is_within_a_twentieth_of_the_half_width(value: float, below: float, above: float) -> None:
    shown = format_estimate(value, value - below, value + above, "en").value
    written = float(shown.replace(",", "").replace(MINUS, "-"))
    half = ((value + above) - (value - below)) / 2
    assert abs(written - value) <= half / 18 + 1e-9 * abs(value) or math.isclose(half, 0)


def test_units_change_where_no_digit_is_lost() -> None:
    assert energy_unit(999.0) == (1.0, "kWh")
    assert energy_unit(1000.0) == (1e3, "MWh")
    assert mass_unit(9_999_000.0) == (1e3, "kg")
    assert mass_unit(10_000_000.0) == (1e6, "t")


def test_a_number_below_zero_has_a_true_minus_with_an_interval_and_without() -> None:
    assert format_number(-3.0, "fr") == "\u22123"
    assert format_number(-1234.5, "en") == "\u22121,234"
    assert format_estimate(-3.0, None, None, "en").value == "\u22123"
    assert format_interval(-2.0, 1.0, "en") == "[\u22122\u00a0to\u00a01]"
