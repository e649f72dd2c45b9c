"""Scores of a row, each by hand; unknown where something it needs is unknown."""

from __future__ import annotations

import pytest

from footprint.impact.indicators import INDICATORS, INVENTORY

ROW = {
    "co2e_location_g": 300.0, "co2e_market_g": 120.0, "embodied_g": 100.0, "requests": 50, "output_tokens": 20_000, "energy_kwh": 4.0,
    "accelerator_active_kwh": 1.5, "accelerator_idle_kwh": 0.5,
}  # fmt: skip
EXPECTED = {
    "sci_g_per_request": (8.0, ("co2e_location_g", "embodied_g", "requests")),
    "sci_g_per_1000_output_tokens": (20.0, ("co2e_location_g", "embodied_g", "output_tokens")),
    "full_stack_wh_per_request": (80.0, ("energy_kwh", "requests")),
    "accelerator_wh_per_request": (40.0, ("accelerator_active_kwh", "accelerator_idle_kwh", "requests")),
    "scope_2_location": (0.3, ("co2e_location_g",)),
    "scope_2_market": (0.12, ("co2e_market_g",)),
    "scope_3_category_2": (0.1, ("embodied_g",)),
}


@pytest.mark.parametrize("score", [*INDICATORS, *INVENTORY], ids=lambda score: score.name)
def test_a_score_by_hand_and_unknown_with_any_of_its_parts(score) -> None:  # type: ignore[no-untyped-def]
    expected, parts = EXPECTED[score.name]
    assert score.compute(ROW) == pytest.approx(expected)
    for part in parts:
        assert score.compute({**ROW, part: None}) is None
    assert score.compute({**ROW, **{name: None for name in ROW if name not in parts}}) == pytest.approx(expected)
    if set(parts) & {"requests", "output_tokens"}:
        assert score.compute({**ROW, "requests": 0, "output_tokens": 0}) is None
    assert score.compute({**dict.fromkeys(ROW, 0.0), "requests": 1, "output_tokens": 1}) == 0


def test_every_score_is_tested() -> None:
    assert {score.name for score in (*INDICATORS, *INVENTORY)} == EXPECTED.keys()
