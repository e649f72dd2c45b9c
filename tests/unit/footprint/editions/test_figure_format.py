"""Formatting of figures: rounded by their interval, the same number in both languages, never 0 or blank if unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.editions.document import Figure, Ref, Text
from footprint.editions.figure_format import format_figure, format_reference, percent_decimals

BASE = Figure(
    "F-2026Q3-07", "energy_kwh", Text("Énergie", "Energy"), "level", "kWh", "2026-Q3", 1240.2, 1150.4, 1329.6, (1.0, "kWh")
)
T, N, M = "\u202f", "\u00a0", "\u2212"


@pytest.mark.parametrize(
    ("changes", "fr", "en"),
    [
        ({}, f"1{T}240{N}kWh [1{T}150{T};{N}1{T}330]", f"1,240{N}kWh [1,150{N}to{N}1,330]"),
        ({"display": (1000.0, "MWh")}, f"1,240{N}MWh [1,150{T};{N}1,330]", f"1.240{N}MWh [1.150{N}to{N}1.330]"),
        ({"kind": "change", "value": -0.04, "low": -0.09, "high": 0.012}, f"{M}4{T}% [{M}9{T};{N}+1]", f"{M}4% [{M}9{N}to{N}+1]"),
        ({"kind": "change", "value": 0.22, "low": None, "high": None}, f"+22{T}%", "+22%"),
        ({"kind": "share", "value": 0.66, "low": 0.63, "high": 0.68}, f"66{T}% [63{T};{N}68]", f"66% [63{N}to{N}68]"),
        ({"kind": "share", "value": 0.533, "low": 0.53299, "high": 0.53301}, f"53,3{T}%", "53.3%"),
        ({"kind": "share", "value": 0.0, "low": None, "high": None}, f"0{T}%", "0%"),
        (
            {"kind": "ratio", "value": 2.7, "low": 2.1, "high": 3.6, "display": (1.0, "")},
            f"×{N}2,70 [2,10{T};{N}3,60]",
            f"×{N}2.70 [2.10{N}to{N}3.60]",
        ),
        (
            {"kind": "ratio", "value": 0.5, "low": 0.4, "high": 0.625, "display": (1.0, "")},
            f"÷{N}2,00 [1,60{T};{N}2,50]",
            f"÷{N}2.00 [1.60{N}to{N}2.50]",
        ),
        (
            {"kind": "count", "value": 3196420.0, "low": None, "high": None, "display": (1e6, "million")},
            f"3,2{N}millions exact",
            f"3.2{N}million exact",
        ),
        ({"kind": "count", "value": 78023.0, "low": None, "high": None, "display": (1.0, "")}, f"78{T}023 exact", "78,023 exact"),
        (
            {"kind": "effect", "value": 14.8, "low": 14.4, "high": 15.2, "display": (1.0, "kg")},
            f"+14,80{N}kg [14,40{T};{N}15,20]",
            f"+14.80{N}kg [14.40{N}to{N}15.20]",
        ),
        ({"value": None, "low": None, "high": None, "flags": ("c",), "conf_status": "C"}, "[c]", "[c]"),
        ({"value": None, "low": None, "high": None}, "[x]", "[x]"),
    ],
)
def test_each_kind_is_written_as_people_read_it(changes: dict[str, object], fr: str, en: str) -> None:
    figure = replace(BASE, **changes)  # type: ignore[arg-type]
    assert format_figure(figure, "fr").full == fr
    assert format_figure(figure, "en").full == en


@given(st.sampled_from(["level", "change", "share", "effect"]), st.floats(-1e6, 1e6), st.floats(1e-6, 1e5), st.floats(1e-6, 1e5))
def test_french_and_english_are_the_same_number(kind: str, value: float, below: float, above: float) -> None:
    figure = replace(BASE, kind=kind, value=value, low=value - below, high=value + above)
    fr, en = (format_figure(figure, language) for language in ("fr", "en"))

    def number(text: str, decimal: str, thousands: str) -> float:
        return float(
            text.replace(thousands, "").replace(decimal, ".").replace(M, "-").replace("%", "").replace(T, "").strip("+ ")
        )

    assert number(fr.value, ",", T) == number(en.value, ".", ",")
    assert bool(fr.interval) == bool(en.interval)
    assert fr.badge == en.badge


def test_a_citation_gives_what_was_asked_for() -> None:
    assert format_reference(BASE, Ref(BASE.id), "en") == (f"1,240{N}kWh", f"[1,150{N}to{N}1,330]")
    assert format_reference(BASE, Ref(BASE.id, "value"), "en") == ("1,240", "")
    assert format_reference(BASE, Ref(BASE.id, "value-unit"), "en") == (f"1,240{N}kWh", "")
    assert format_reference(BASE, Ref(BASE.id, "interval"), "en") == ("", f"[1,150{N}to{N}1,330]")


def test_a_low_coverage_stands_beside_its_value() -> None:
    assert format_figure(replace(BASE, flags=("p", "u")), "en").flags == "[u]"


@pytest.mark.parametrize(("half", "value", "decimals"), [(3, 50, 0), (0.2, 50, 1), (0.001, 0.05, 2), (0.0, 0.0, 0)])
def test_percentages_are_whole_points_where_the_interval_bears_no_more(half: float, value: float, decimals: int) -> None:
    assert percent_decimals(half, value) == decimals
