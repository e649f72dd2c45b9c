"""The solver: what becomes of a program."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from footprint.disclosure.linear_program import minimise

NONE = csr_array((0, 2)), np.zeros(0)
SUM = csr_array([[1.0, 1.0]])


def test_a_program_is_solved() -> None:
    status, found = minimise(np.array([1.0, 2.0]), (SUM, np.array([6.0])), (csr_array([[1.0, 0.0]]), np.array([4.0])))
    assert (status, found.tolist()) == ("solved", pytest.approx([4, 2]))
    status, found = minimise(np.array([1.0, 2.0]), (SUM, np.array([6.0])), None, [(0, 1), (0, None)])
    assert (status, found.tolist()) == ("solved", pytest.approx([1, 5]))
    assert minimise(np.array([1.0, 2.0]), NONE, (csr_array([[-1.0, -1.0]]), np.array([-3.0])))[1].tolist() == pytest.approx(
        [3, 0]
    )
    assert minimise(np.array([1.0, 2.0]), NONE, NONE)[1].tolist() == [0, 0]


def test_unbounded_and_infeasible_programs_are_distinguished() -> None:
    assert minimise(np.array([-1.0, 0.0]), (csr_array([[0.0, 1.0]]), np.array([1.0])))[0] == "unbounded"
    status, found = minimise(np.array([1.0, 1.0]), (SUM, np.array([-1.0])))
    assert (status, found.shape) == ("infeasible", (0,))
