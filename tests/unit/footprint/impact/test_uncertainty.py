"""First-order uncertainty against Monte Carlo, and what cancels in a ratio."""

from __future__ import annotations

import math

import numpy as np
import pytest

from footprint.core.estimate import Estimate
from footprint.impact.uncertainty import UncertaintyBudget, ratio_estimate

N = 200_000


def draw(luck: np.random.Generator, bounds: Estimate) -> np.ndarray:  # type: ignore[type-arg]
    return luck.uniform(bounds.low, bounds.high, N)


def test_first_order_intervals_agree_with_monte_carlo() -> None:
    """E = PUE x k x (gpu x gain_gpu + cpu x gain_cpu), all rectangular: JCGM 101's check of JCGM 100's result."""
    luck = np.random.default_rng(1)
    pue, k = Estimate(1.35, 1.2825, 1.4175), Estimate(1.2, 1.05, 1.35)
    gpu, cpu = Estimate(1.0, 0.95, 1.05), Estimate(1.0, 0.95, 1.05)
    sensed = 80.0, 15.0
    value = pue.value * k.value * sum(sensed)
    budget = UncertaintyBudget()
    budget.add("pue", k.value * sum(sensed), pue)
    budget.add("uplift", pue.value * sum(sensed), k)
    budget.add("gain gpu", pue.value * k.value * sensed[0], gpu)
    budget.add("gain cpu", pue.value * k.value * sensed[1], cpu)
    low, high = budget.interval(value)
    drawn = draw(luck, pue) * draw(luck, k) * (sensed[0] * draw(luck, gpu) + sensed[1] * draw(luck, cpu))
    assert drawn.std() == pytest.approx((high - low) / 4, rel=0.03)
    inside = ((drawn >= low) & (drawn <= high)).mean()
    assert 0.93 <= inside <= 0.99


def test_what_is_common_is_not_averaged_away() -> None:
    one, many = UncertaintyBudget(), UncertaintyBudget()
    one.add("gain gpu counter H100", 100.0, Estimate(1.0, 0.95, 1.05))
    for _ in range(100):
        many.add("gain gpu counter H100", 1.0, Estimate(1.0, 0.95, 1.05))
    assert many.interval(100.0) == pytest.approx(one.interval(100.0))


def test_causes_add_in_squares_to_the_interval() -> None:
    budget = UncertaintyBudget()
    budget.add("a", 3.0, Estimate(1.0, 0.9, 1.1))
    budget.add("b", -4.0, Estimate(1.0, 0.8, 1.3))
    low, high = budget.interval(10.0)
    causes = budget.causes()
    assert 10 - low == pytest.approx(math.hypot(*(each[0] for each in causes.values())))
    assert high - 10 == pytest.approx(math.hypot(*(each[1] for each in causes.values())))
    assert causes["b"][0] > causes["b"][1]  # a negative sensitivity turns the bounds round


def _budget(value: float, *, split: float = 0.0) -> UncertaintyBudget:
    budget = UncertaintyBudget()
    budget.add("gain gpu counter H100", value, Estimate(1.0, 0.95, 1.05))
    budget.add("pue paris", value / 1.35, Estimate(1.35, 1.2825, 1.4175))
    if split:
        budget.add("split chat", value, Estimate(1.0, 1 - split, 1 + split))
    return budget


def test_systematic_errors_cancel_in_a_ratio_and_those_of_the_split_do_not() -> None:
    ratio = ratio_estimate(100.0, _budget(100.0), 80.0, _budget(80.0))
    level = (_budget(80.0).interval(80.0)[1] - 80.0) / 80.0
    assert ratio.value == pytest.approx(0.8)
    assert (ratio.high - ratio.value) / ratio.value < level / 2
    unsure = ratio_estimate(100.0, _budget(100.0, split=0.1), 80.0, _budget(80.0, split=0.1))
    assert (unsure.high - unsure.value) / unsure.value == pytest.approx(math.sqrt(2 * (2 * 0.1 / math.sqrt(3)) ** 2), rel=0.1)


def test_the_interval_of_a_ratio_agrees_with_monte_carlo() -> None:
    """Gains of two periods of correlation 0.95, as stated; splits independent."""
    luck = np.random.default_rng(2)
    common, own, other = (luck.normal(size=N) for _ in range(3))
    u_gain, u_split = 0.05 / math.sqrt(3), 0.06 / math.sqrt(3)
    first = 1 + u_gain * (math.sqrt(0.95) * common + math.sqrt(0.05) * own) + u_split * luck.normal(size=N)
    second = 1 + u_gain * (math.sqrt(0.95) * common + math.sqrt(0.05) * other) + u_split * luck.normal(size=N)
    budgets = []
    for _ in range(2):
        budget = UncertaintyBudget()
        budget.add("gain gpu", 1.0, Estimate(1.0, 0.95, 1.05))
        budget.add("split chat", 1.0, Estimate(1.0, 0.94, 1.06))
        budgets.append(budget)
    stated = ratio_estimate(1.0, budgets[0], 1.0, budgets[1])
    assert (second / first).std() == pytest.approx((stated.high - stated.low) / 4, rel=0.03)


def test_a_ratio_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        ratio_estimate(0.0, UncertaintyBudget(), 1.0, UncertaintyBudget())
