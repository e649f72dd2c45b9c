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


ROOT3 = math.sqrt(3)


def budget(**u: tuple[float, float]) -> UncertaintyBudget:
    return UncertaintyBudget.from_uncertainties({name.replace("_", " "): pair for name, pair in u.items()})


def test_half_widths_are_twice_the_root_of_the_squares() -> None:
    found = budget(a=(3.0, 6.0), b=(4.0, 8.0))
    assert found.half_widths() == (pytest.approx(10), pytest.approx(20))
    assert found.interval(100) == (pytest.approx(90), pytest.approx(120))
    assert found.causes() == {"a": (6.0, 12.0), "b": (8.0, 16.0)}
    assert UncertaintyBudget().half_widths() == (0, 0)


def test_contributions_to_one_cause_add_and_a_negative_sensitivity_turns_them_round() -> None:
    found = UncertaintyBudget()
    found.add("a", 2.0, Estimate(1.0, 1 - ROOT3, 1 + 3 * ROOT3))
    assert found.causes()["a"] == (pytest.approx(4), pytest.approx(12))
    found.add("a", -1.0, Estimate(1.0, 1 - ROOT3, 1 + 3 * ROOT3))
    assert found.causes()["a"] == (pytest.approx(2 * (2 + 3)), pytest.approx(2 * (6 + 1)))
    found.add("c", 0.5, Estimate(1.0, 1 - ROOT3, 1 + 3 * ROOT3))
    assert found.causes()["c"] == (pytest.approx(1), pytest.approx(3))
    found.add("b", 0.0, Estimate(1.0, 0.0, 2.0))
    assert found.causes()["b"] == (0, 0)


def test_causes_of_one_kind_are_enlarged_on_both_sides() -> None:
    found = budget(split_a=(1.0, 2.0), gain=(1.0, 1.0))
    found.scale("split ", 3.0)
    assert found.causes() == {"gain": (2.0, 2.0), "split a": (6.0, 12.0)}


def test_a_part_of_a_budget() -> None:
    whole = budget(gain_a=(1.0, 2.0), gain_b=(3.0, 4.0), pue=(5.0, 6.0))
    assert whole.filtered(2.0).causes() == {"gain a": (4.0, 8.0), "gain b": (12.0, 16.0), "pue": (20.0, 24.0)}
    assert whole.filtered().causes() == whole.causes()
    assert whole.filtered(only=("gain ",)).causes().keys() == {"gain a", "gain b"}
    assert whole.filtered(only=("gain ",), without=("gain b",)).causes().keys() == {"gain a"}
    assert whole.filtered(without=("gain ", "x")).causes().keys() == {"pue"}


def test_a_ratio_of_independent_errors_adds_squares() -> None:
    """3 % of one and 4 % of the other, towards low; twice that towards high (half-widths of 95 %)."""
    found = ratio_estimate(200.0, budget(x=(3.0, 6.0)), 100.0, budget(y=(2.0, 4.0)))
    assert (found.value, found.low, found.high) == (pytest.approx(0.5), pytest.approx(0.475), pytest.approx(0.55))


def test_a_cause_of_the_day_does_not_cancel_and_a_systematic_one_mostly_does() -> None:
    one, other = ratio_estimate(100.0, budget(split=(1.5, 2.0)), 50.0, budget(split=(1.0, 1.0))), budget(gain_x=(1.5, 2.0))
    assert one.low == pytest.approx(0.5 * (1 - math.hypot(0.03, 0.04)))
    assert one.high == pytest.approx(0.5 * (1 + math.hypot(0.04, 0.04)))
    found = ratio_estimate(100.0, other, 50.0, budget(gain_x=(1.0, 1.0)))
    down = 0.03**2 + 0.04**2 - 2 * 0.95 * 0.03 * 0.04
    assert found.low == pytest.approx(0.5 * (1 - math.sqrt(down)))
    assert found.high == pytest.approx(0.5 * (1 + math.sqrt(2 * 0.04**2 * 0.05)))


@pytest.mark.parametrize("kind", ["gain ", "pue ", "uplift ", "factor "])
def test_systematic_kinds(kind: str) -> None:
    same = UncertaintyBudget.from_uncertainties({f"{kind}x": (5.0, 5.0)})
    found = ratio_estimate(100.0, same, 100.0, same)
    assert found.high == pytest.approx(1 + math.sqrt(2 * 0.1**2 * 0.05))


def test_a_ratio_is_not_below_nothing_and_small_figures_count() -> None:
    assert ratio_estimate(0.5, UncertaintyBudget(), 0.25, budget(x=(9.0, 9.0))).low == 0
    for before, after in ((0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (1.0, -1.0)):
        with pytest.raises(ValueError, match="above zero"):
            ratio_estimate(before, UncertaintyBudget(), after, UncertaintyBudget())
