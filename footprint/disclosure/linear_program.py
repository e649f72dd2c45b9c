"""This file is the one door to the solver of linear programs (HiGHS, through SciPy)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linprog

from footprint.disclosure.table import Floats

Rows = tuple[Any, Floats]  # a sparse matrix, and its right-hand side


def minimise(objective: Floats, equal: Rows, below: Rows | None = None, bounds: Any = (0, None)) -> tuple[str, Floats]:
    """What became of a program (``solved``, ``unbounded`` or ``infeasible``), and its variables where it was solved."""
    solver: Any = linprog
    inequalities = below if below is not None and below[0].shape[0] else (None, None)
    equalities = equal if equal[0].shape[0] else (None, None)
    result = solver(
        objective,
        A_ub=inequalities[0],
        b_ub=inequalities[1],
        A_eq=equalities[0],
        b_eq=equalities[1],
        bounds=bounds,
        method="highs",
    )
    if result.success:
        return "solved", np.asarray(result.x, dtype=np.float64)
    return ("unbounded" if result.status == 3 else "infeasible"), np.zeros(0)
