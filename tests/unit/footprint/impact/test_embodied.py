"""Embodied emissions of a host for each second of its life."""

from __future__ import annotations

import datetime

import pytest

from footprint.core.assumptions import assumption
from footprint.impact.embodied import accelerator_kgco2e, embodied_ug_per_s, end_of_life_us, lifetime_s
from footprint.impact.factor_book import Factor, FactorBook

YEAR_S = 8760 * 3600
S = 1_000_000


def row(kind: str, value: float) -> Factor:
    return Factor(kind, "", datetime.date(2026, 1, 1), None, value, None, None, "kgCO2e", "", "s", "l", "r", "b")


def test_life_is_as_declared_else_as_assumed() -> None:
    assert lifetime_s(4.0) == 4 * YEAR_S
    assert lifetime_s(None) == assumption("embodied_lifetime").value * YEAR_S == 5 * YEAR_S


def test_life_ends_where_its_beginning_is_known() -> None:
    assert end_of_life_us(5, 4.0) == 5 + 4 * YEAR_S * S
    assert end_of_life_us(5, None) == 5 + 5 * YEAR_S * S
    assert end_of_life_us(None, 4.0) is None


def test_an_accelerator_has_the_last_row_that_names_its_model() -> None:
    book = FactorBook(
        [row("embodied_accelerator_h100", 150.0), row("embodied_accelerator_h100 nvl", 170.0), row("embodied_l4", 7.0)]
    )
    assert accelerator_kgco2e("NVIDIA H100 80GB", book) == 150
    assert accelerator_kgco2e("H100 NVL", book) == 170
    assert accelerator_kgco2e("L4", book) == 0


def test_a_host_bears_its_server_and_its_accelerators_over_its_life() -> None:
    per_kg = 1e9 / (4 * YEAR_S)
    assert embodied_ug_per_s(1000.0, [], 4.0) == pytest.approx(1000 * per_kg)
    assert embodied_ug_per_s(1000.0, [150.0, 100.0], 4.0) == pytest.approx(1250 * per_kg)
    assert embodied_ug_per_s(1000.0, [150.0], None) == pytest.approx(1150 * per_kg * 4 / 5)
