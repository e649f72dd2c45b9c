"""Hosted models: sums from two answers of EcoLogits."""

from __future__ import annotations

import math

import pytest

from footprint.impact.hosted import UnknownModel, estimate_hosted

tracers = pytest.importorskip("ecologits.tracers.utils")
NAME = "openai/gpt-4o"


def bounds(impact: object) -> tuple[float, float]:
    value = impact.value  # type: ignore[attr-defined]
    return float(getattr(value, "min", value)), float(getattr(value, "max", value))


@pytest.mark.parametrize("tokens", [(1,), (500,), (1, 1, 1000)])
def test_every_impact_is_the_sum_over_requests(tokens: tuple[int, ...]) -> None:
    answers = [tracers.llm_impacts("openai", "gpt-4o", count, math.inf) for count in tokens]
    found = estimate_hosted(NAME, len(tokens), sum(tokens))
    for mine, theirs, unit in (
        (found.energy_kwh, [a.energy for a in answers], 1), (found.gwp_g, [a.usage.gwp for a in answers], 1000),
        (found.embodied_g, [a.embodied.gwp for a in answers], 1000),
    ):  # fmt: skip
        low, high = (unit * sum(bounds(each)[side] for each in theirs) for side in (0, 1))
        assert (mine.low, mine.high) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))
        assert mine.value == pytest.approx((low + high) / 2)
    assert found.version.startswith("ecologits ")


@pytest.mark.parametrize(("name", "message"), [("openai/none", "EcoLogits: ")])
def test_what_is_not_known_is_refused(name: str, message: str) -> None:
    with pytest.raises(UnknownModel, match=message):
        estimate_hosted(name, 1, 1)
