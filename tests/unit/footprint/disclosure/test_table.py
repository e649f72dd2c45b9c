"""Cells as a cube: axes, parents, places, sums, and what does not add up."""

from __future__ import annotations

import numpy as np
import pytest

from footprint.disclosure.optimal_suppression import additivity_matrix
from footprint.disclosure.primary_suppression import Cell, NotAdditive
from footprint.disclosure.table import CellCube, additivity_constraints, build_cube

PERIODS = ("2026-07", "2026-08", "2026-09", "2026-Q3", "2026-Q4", "2026", "2025-12")


def empty(*periods: str) -> CellCube:
    return build_cube([Cell(period, "", "", 9, amounts={"e": 0.0}) for period in periods])


def test_periods_are_sorted_by_length_and_know_the_shortest_that_holds_them() -> None:
    cube = empty(*PERIODS)
    assert cube.periods == ("2025-12", "2026-07", "2026-08", "2026-09", "2026-Q3", "2026-Q4", "2026")
    assert cube.parents == (-1, 4, 4, 4, 6, 6, -1)
    assert cube.leaves == (0, 1, 2, 3, 5)
    assert cube.ancestors(2) == (2, 4, 6)
    assert cube.ancestors(0) == (0,)
    assert cube.ancestors(6) == (6,)


@pytest.mark.parametrize(("one", "other", "held"), [
    ("2026-01", "2026-Q1", True), ("2026-03", "2026-Q1", True), ("2026-04", "2026-Q1", False), ("2026-12", "2026-Q4", True),
    ("2026-09", "2026-Q4", False), ("2026-01", "2026", True), ("2026-12", "2026", True), ("2025-Q1", "2026", False), ("2025-01", "2026-Q1", False),
])  # fmt: skip
def test_a_period_that_holds_another(one: str, other: str, held: bool) -> None:
    assert (empty(one, other).parents[0] == 1) is held


def table(**amounts: float) -> list[Cell]:
    """Two services, two uses, one period, all margins; ``ax`` is service a, use x, an underscore a margin."""
    cells = {"ax": 1.0, "ay": 2.0, "bx": 3.0, "by": 4.0, "a_": 3.0, "b_": 7.0, "_x": 4.0, "_y": 6.0, "__": 10.0} | amounts
    return [Cell("2026-07", k[0].strip("_"), k[1].strip("_"), 9, amounts={"e": v}) for k, v in cells.items()]


def test_amounts_lie_at_their_places_with_margins_last() -> None:
    cube = build_cube(table())
    assert (cube.services, cube.use_cases) == (("a", "b", ""), ("x", "y", ""))
    assert cube.amounts["e"][0].tolist() == [[1, 2, 3], [3, 4, 7], [4, 6, 10]]
    assert cube.present.all()
    assert cube.key((0, 1, 2)) == ("2026-07", "b", "")
    keys = [("2026-07", "a", "y"), ("2026-07", "z", "y"), ("2026-08", "a", "y"), ("2026-07", "a", "z")]
    assert cube.indices(keys) == {keys[0]: (0, 0, 1)}
    assert np.argwhere(cube.mask(keys)).tolist() == [[0, 0, 1]]


def test_what_was_not_given_is_zero_and_not_given() -> None:
    cube = build_cube([cell for cell in table(ay=0.0, a_=1.0, by=6.0, b_=9.0) if cell.key[1:] not in {("a", "y"), ("", "")}])
    assert cube.amounts["e"][0].tolist() == [[1, 0, 1], [3, 6, 9], [4, 6, 0]]
    assert np.argwhere(~cube.present).tolist() == [[0, 0, 1], [0, 2, 2]]


@pytest.mark.parametrize(("wrong", "message"), [
    ({"a_": 3.1, "__": 10.1}, r"e of \('2026-07', 'a', ''\) is 3.1, and its parts sum to 3"),
    ({"_y": 5.9}, r"e of \('2026-07', '', 'y'\) is 5.9"),
    ({"__": 10.1}, r"e of \('2026-07', '', ''\) is 10.1"),
    ({"a_": 2.9, "__": 9.9}, "is 2.9"),
])  # fmt: skip
def test_a_margin_that_is_not_its_sum_is_named(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(NotAdditive, match=message):
        build_cube(table(**wrong))


def test_sums_hold_to_a_millionth_of_the_larger() -> None:
    assert build_cube(table(__=10.000009)).amounts["e"][0, 2, 2] == 10.000009
    assert build_cube(table(__=9.999991)).amounts["e"][0, 2, 2] == 9.999991
    with pytest.raises(NotAdditive):
        build_cube(table(__=10.000013))
    with pytest.raises(NotAdditive):
        build_cube(table(__=9.999987))
    small = {
        name: value * 1e-9 for name, value in {"ax": 1, "ay": 2, "bx": 3, "by": 4, "a_": 3, "b_": 7, "_x": 4, "_y": 6}.items()
    }
    assert build_cube(table(**small, __=10.9e-9)).amounts["e"][0, 2, 2] == 10.9e-9  # of sums near nothing, a billionth
    with pytest.raises(NotAdditive):
        build_cube(table(**small, __=11.1e-9))


def test_a_period_is_the_sum_of_its_parts() -> None:
    months = [Cell(month, "a", "x", 9, amounts={"e": 2.0}) for month in ("2026-07", "2026-08", "2026-09")]
    assert build_cube([*months, Cell("2026-Q3", "a", "x", 9, amounts={"e": 6.0})]).parents == (3, 3, 3, -1)
    with pytest.raises(NotAdditive, match=r"e of \('2026-Q3', 'a', 'x'\) is 5, and its parts sum to 6"):
        build_cube([*months, Cell("2026-Q3", "a", "x", 9, amounts={"e": 5.0})])


def test_amounts_are_known_and_not_negative_and_given_once() -> None:
    for wrong in (-1.0, float("nan")):
        with pytest.raises(NotAdditive, match="known and not negative"):
            build_cube(table(ax=wrong))
    with pytest.raises(NotAdditive, match="given twice"):
        build_cube([*table(), table()[0]])


def test_families_are_the_sums_over_each_axis() -> None:
    cube = empty("2026-07", "2026-08", "2026-Q3", "2026")
    numbers = np.arange(cube.present.size).reshape(cube.present.shape)
    found = [
        (axis, numbers[margin].ravel().tolist(), numbers[parts].ravel().tolist())
        for axis, margin, parts in additivity_constraints(cube)
    ]
    assert found == [(1, [0, 1, 2, 3], []), (2, [0, 1, 2, 3], []), (0, [2], [0, 1]), (0, [3], [2])]


def test_equations_hold_for_amounts_and_leave_out_margins_that_are_not_given() -> None:
    cube = build_cube(table())
    found = additivity_matrix(cube).toarray()
    assert (found @ cube.amounts["e"].ravel()).tolist() == pytest.approx([0] * 6)
    assert sorted(tuple(np.flatnonzero(row > 0)) + tuple(-np.flatnonzero(row < 0)) for row in found) == [
        (0, 1, -2), (0, 3, -6), (1, 4, -7), (2, 5, -8), (3, 4, -5), (6, 7, -8),
    ]  # fmt: skip
    part = additivity_matrix(build_cube([cell for cell in table() if cell.service])).toarray()
    assert sorted(tuple(np.flatnonzero(row)) for row in part) == [(0, 1, 2), (3, 4, 5)]


def test_equations_of_periods() -> None:
    cube = build_cube(
        [Cell(period, "a", "x", 9, amounts={"e": e}) for period, e in (("2026-07", 2.0), ("2026-08", 3.0), ("2026-Q3", 5.0))]
    )
    assert additivity_matrix(cube).toarray()[:, [0, 4, 8]].tolist() == [[1, 1, -1]]
