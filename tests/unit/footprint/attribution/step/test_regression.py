"""Fits of windows whose coefficients are known, and the lag of a log whose lag is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from footprint.attribution.step.count_windows import COUNT_FEATURES
from footprint.attribution.step.features import REQUEST_FEATURES
from footprint.attribution.step.regression import (
    ALL_FEATURES,
    AWAKE_TAUS_S,
    DEFAULT_COLUMNS,
    FitWindows,
    ModelForm,
    StepCoefficients,
    WeightedSystem,
    alternative_forms,
    bootstrap_fits,
    choose_form,
    concat_windows,
    condition_number,
    cross_validation_error,
    design_matrix,
    fit_form,
    noise_weights,
    relative_residual,
    solve_nnls,
)

COST = {"in": 0.5, "out": 2.0, "step": 0.3}


def windows(
    count: int = 288,
    *,
    idle_w: float = 100.0,
    cost: dict[str, float] | None = None,
    keys: tuple[str, ...] = ("a", "b"),
    seed: int = 1,
    start_s: float = 0.0,
) -> FitWindows:
    """Windows of 300 s; the power of idle and what features cost; use case a reads a changing part of the input."""
    luck = np.random.default_rng(seed)
    features = np.zeros((count, len(ALL_FEATURES)))
    for name in cost or COST:
        features[:, ALL_FEATURES.index(name)] = luck.uniform(1000, 20_000, count)
    energy = idle_w * 300.0 + features @ np.array([(cost or COST).get(name, 0.0) for name in ALL_FEATURES])
    part = luck.uniform(0, 1, (count, len(keys)))
    reading = features[:, [0]] * part / part.sum(axis=1, keepdims=True)
    awake = np.stack([luck.uniform(0, 50 + 40 * n, count) for n in range(len(AWAKE_TAUS_S))], axis=1)
    start = start_s + 300.0 * np.arange(count)
    return FitWindows(
        start, np.full(count, 300.0), energy, features, awake, reading, np.zeros((count, len(keys))), keys, np.ones(count)
    )


def test_coefficients_are_found() -> None:
    found = fit_form(windows(), ModelForm())
    assert found.coefficients == {"idle": pytest.approx(100), **{name: pytest.approx(value) for name, value in COST.items()}}
    assert found.residual == pytest.approx(0, abs=1e-9)
    assert found.vector(("out", "in", "none")).tolist() == pytest.approx([2.0, 0.5, 0.0])
    assert found.vector().tolist() == pytest.approx([0.5, 0, 0, 2.0, 0, 0.3, 0, 0, 0, 0, 0])


def test_idle_power_that_is_known_is_taken_off() -> None:
    found = fit_form(windows(), ModelForm(idle_w=(100.0,)))
    assert "idle" not in found.coefficients
    assert found.coefficients["step"] == pytest.approx(0.3)
    wrong = fit_form(windows(), ModelForm(idle_w=(50.0,)))
    assert wrong.residual > 1


def test_columns_of_a_form() -> None:
    w = windows()
    names, matrix, target = design_matrix(w, ModelForm())
    assert names == ["idle", "in", "out", "step"]
    assert (matrix[:, 0].tolist(), target.tolist()) == ([300.0] * 288, w.energy_j.tolist())
    assert design_matrix(w, ModelForm(by_key=True))[0] == ["idle", "in/a", "in/b", "out", "step"]
    assert design_matrix(w, ModelForm(by_key=True))[1][:, 1].tolist() == w.reading[:, 0].tolist()
    assert design_matrix(w, ModelForm(columns=("out",), idle_w=(10.0,)))[0] == ["out"]
    assert design_matrix(w, ModelForm(idle_w=(10.0,)))[2].tolist() == pytest.approx((w.energy_j - 3000).tolist())
    awake = design_matrix(w, ModelForm(awake_tau=2))
    assert awake[0][-1] == "awake"
    assert awake[1][:, -1].tolist() == w.awake_s[:, 2].tolist()
    assert design_matrix(w, ModelForm(awake_tau=2, tail_only=True))[1][:, -1].tolist() == pytest.approx(
        (w.awake_s[:, 2] - w.awake_s[:, 0]).tolist()
    )
    assert design_matrix(w, ModelForm(awake_tau=0))[0][-1] == "awake"
    held = replace(w, held_s=np.stack([np.zeros(288), np.arange(288.0)], axis=1))
    assert design_matrix(held, ModelForm())[0] == ["idle", "in", "out", "step", "held/b"]
    counted = windows(cost={"out": 1.0, "counted-out": 2.0})
    assert design_matrix(counted, ModelForm())[0] == ["idle", "out", "counted-out"]
    assert design_matrix(counted, ModelForm(counted=()))[0] == ["idle", "out"]
    assert "request" not in DEFAULT_COLUMNS


def test_weights_are_one_over_energy_with_a_floor() -> None:
    w = windows(5)
    given = replace(w, energy_j=np.array([10.0, 20.0, 20.0, 40.0, 0.001]))
    assert noise_weights(given).tolist() == pytest.approx([0.1, 0.05, 0.05, 0.025, 50])
    assert noise_weights(replace(w, energy_j=np.zeros(5))).tolist() == pytest.approx([1e12] * 5)


def test_a_weighted_system() -> None:
    """Two rows of one unknown, 2 and 5, the second three times as heavy: their mean is 4.25."""
    matrix, target, weight = np.ones((2, 1)), np.array([2.0, 5.0]), np.array([1.0, 3.0])
    assert solve_nnls(matrix, target, weight).tolist() == pytest.approx([4.25])
    system = WeightedSystem.from_rows(matrix * 7, target, weight)
    found = system.solve()
    assert found.tolist() == pytest.approx([4.25 / 7])
    assert system.error(found) == pytest.approx(2.25**2 + 3 * 0.75**2)
    assert system.error(found, np.array([False, True])) == pytest.approx(3 * 0.75**2)
    assert system.solve(np.array([True, False])).tolist() == pytest.approx([2 / 7])
    assert system.solve(times=np.array([3.0, 1.0])).tolist() == pytest.approx([3.5 / 7])
    assert system.solve(times=np.array([0.0, 2.0])).tolist() == pytest.approx([5 / 7])
    assert solve_nnls(matrix, -target, weight).tolist() == [0]
    assert solve_nnls(np.array([[1.0, 1e9], [2.0, -1e9]]), np.array([3.0, 3.0]), np.ones(2)).tolist() == pytest.approx([2, 1e-9])


def test_wider_windows_are_sums_of_whole_ones() -> None:
    w = windows(7, start_s=600.0)
    wide = w.widened(3)
    # From 600 s: the first window is the last third of its 900 s, then two whole ones.
    assert wide.start_s.tolist() == [900, 1800]
    assert wide.length_s.tolist() == [900, 900]
    assert wide.energy_j.tolist() == pytest.approx([w.energy_j[1:4].sum(), w.energy_j[4:7].sum()])
    for name in ("features", "awake_s", "reading", "held_s"):
        assert getattr(wide, name)[1].tolist() == pytest.approx(getattr(w, name)[4:7].sum(axis=0).tolist())
    assert wide.keys == w.keys
    assert len(w[:0].widened(2)) == 0
    assert w.widened(1).energy_j.tolist() == w.energy_j.tolist()


def test_days_are_joined_with_the_keys_of_all() -> None:
    one, other = windows(3, keys=("b", "c")), windows(2, keys=("a", "b"), seed=2)
    both = concat_windows([one, replace(other, held_s=np.ones((2, 2)))])
    assert both.keys == ("a", "b", "c")
    assert both.reading[:3].tolist() == [[0.0, *row] for row in one.reading.tolist()]
    assert both.reading[3:].tolist() == [[*row, 0.0] for row in other.reading.tolist()]
    assert both.held_s.tolist() == [[0.0, 0.0, 0.0]] * 3 + [[1.0, 1.0, 0.0]] * 2
    assert both.energy_j.tolist() == [*one.energy_j, *other.energy_j]
    assert (len(both), both.features.shape[1]) == (5, len(ALL_FEATURES))


def test_errors_are_those_of_hours_that_a_fit_did_not_see() -> None:
    w = windows()
    assert cross_validation_error(w, ModelForm()) == pytest.approx(0, abs=1e-9)
    luck = np.random.default_rng(3)
    noisy = replace(w, energy_j=w.energy_j * luck.normal(1, 0.02, 288))
    inside, outside = fit_form(noisy, ModelForm()).residual, cross_validation_error(noisy, ModelForm())
    assert inside < outside < 1.2 * inside
    # One hour a fold: of eight hours with a constant each, the mean of the other seven predicts it.
    hours = np.repeat(np.arange(8.0), 12)
    flat = replace(windows(96), features=np.zeros((96, len(ALL_FEATURES))), energy_j=1000 + hours)
    wrong = (hours - (28 - hours) / 7) ** 2 / 1000
    assert cross_validation_error(flat, ModelForm()) == pytest.approx(wrong.mean(), rel=0.02)
    assert cross_validation_error(windows(12), ModelForm()) == 0  # one hour alone has no other


def test_what_was_not_explained_relative_to_the_energy_above_the_least() -> None:
    w = replace(windows(4), energy_j=np.array([100.0, 200.0, 300.0, 400.0]))
    assert relative_residual(w, 4.0) == pytest.approx((4 * 250) ** 0.5 / 150)
    assert relative_residual(replace(w, energy_j=np.full(4, 5.0)), 4.0) == float("inf")


def test_a_column_for_the_time_awake_is_added_where_it_explains_what_is_left() -> None:
    w = windows()
    assert choose_form(w, None) == (ModelForm(), pytest.approx(0, abs=1e-9))
    for tau in (1, 4):
        awake = replace(w, energy_j=w.energy_j + 200 * (w.awake_s[:, tau] + 1000) - 200 * w.awake_s[:, 0])
        form, error = choose_form(awake, None)
        assert (AWAKE_TAUS_S[form.awake_tau], form.tail_only, form.by_key) == (AWAKE_TAUS_S[tau], True, False)
        assert error == pytest.approx(0, abs=1e-6)
        assert choose_form(awake, (1.0,))[0].awake_tau == -1  # not beside an idle power from elsewhere
    whole = replace(w, energy_j=w.energy_j + 200 * w.awake_s[:, 3])
    form = choose_form(whole, None)[0]
    assert (form.awake_tau, form.tail_only) == (3, False)
    counted = windows(cost={"counted-out": 1.0})
    assert choose_form(replace(counted, energy_j=counted.energy_j + 200 * counted.awake_s[:, 3]), None)[0].awake_tau == -1


def test_reading_costs_each_use_case_its_own_where_that_explains_what_is_left() -> None:
    w = windows()
    apart = replace(w, energy_j=w.energy_j + 3 * w.reading[:, 0])
    form, error = choose_form(apart, (100.0,))
    assert (form.by_key, form.idle_w) == (True, (100.0,))
    assert error == pytest.approx(0, abs=1e-6)
    assert not choose_form(w, (100.0,))[0].by_key
    one = windows(keys=("a",))
    assert not choose_form(replace(one, energy_j=one.energy_j * np.random.default_rng(1).normal(1, 0.1, 288)), (100.0,))[0].by_key


def test_forms_that_another_hand_might_have_chosen() -> None:
    w, form = windows(), ModelForm()
    others = alternative_forms(w, form)
    assert [wider for _, wider in others] == [2, 3, 1, 1, 1, 1, 1, 1]
    assert others[0][0] == others[1][0] == form
    assert [set(form.columns) - set(other.columns) for other, _ in others[2:5]] == [
        {"step2", "step8", "step32", "random", "balanced"},
        {"inctx"},
        set(),
    ]
    assert set(others[4][0].columns) - set(form.columns) == {"request"}
    assert others[5][0] == replace(form, by_key=True)
    assert [(other.awake_tau, other.tail_only) for other, _ in others[6:]] == [(3, False), (3, True)]
    assert alternative_forms(w, replace(form, awake_tau=2))[6][0].awake_tau == -1
    assert alternative_forms(w, replace(form, awake_tau=0))[6][0].awake_tau == -1
    assert len(alternative_forms(windows(keys=("a",)), replace(form, idle_w=(3.0,)))) == 5
    assert not alternative_forms(w, replace(form, by_key=True))[5][0].by_key


def test_hours_drawn_again_are_the_same_for_the_same_seed() -> None:
    w = windows()
    noisy = replace(w, energy_j=w.energy_j * np.random.default_rng(3).normal(1, 0.02, 288))
    one, again, other = (bootstrap_fits(noisy, ModelForm(), 5, seed) for seed in (7, 7, 8))
    assert [each.coefficients for each in one] == [each.coefficients for each in again]
    assert one[0].coefficients != other[0].coefficients
    assert len({each.coefficients["step"] for each in one}) == 5
    for each in bootstrap_fits(w, ModelForm(), 3, 1):  # without noise every drawing finds the truth
        assert each.coefficients["step"] == pytest.approx(0.3)


def test_condition_rises_as_work_is_alike() -> None:
    w = windows(4)
    features = np.zeros((4, len(ALL_FEATURES)))
    for name, column in (("in", [1.0, 0, 0, 0]), ("out", [0, 5.0, 0, 0]), ("step", [0, 0, 9.0, 9.0])):
        features[:, ALL_FEATURES.index(name)] = column
    apart = replace(w, features=features)
    assert condition_number(apart, idle_known=True) == pytest.approx(1)
    assert condition_number(apart, idle_known=False) > 2
    features[:, ALL_FEATURES.index("step")] = 0
    assert condition_number(apart, idle_known=True) == pytest.approx(1)  # a column of nothing is left out
    assert condition_number(replace(w, features=np.zeros_like(features)), idle_known=True) == float("inf")


def test_a_fit_of_counts_has_their_columns() -> None:
    found = fit_form(windows(cost={"counted-out": 2.0, "rate10": 50.0}), ModelForm())
    assert isinstance(found, StepCoefficients)
    assert found.vector(COUNT_FEATURES)[COUNT_FEATURES.index("rate10")] == pytest.approx(50)
    assert found.vector(REQUEST_FEATURES).sum() == 0


def test_whole_hours_are_drawn() -> None:
    """Of two hours of different cost there are three draws, hence three fits at most; and each is drawn."""
    one, other = windows(12), windows(12, cost={"in": 1.0, "out": 2.0, "step": 0.3}, seed=2, start_s=3600.0)
    fits = bootstrap_fits(concat_windows([one, other]), ModelForm(idle_w=(100.0,)), 30, 1)
    assert len({round(fit.coefficients["in"], 6) for fit in fits}) == 3
