"""Linear programs: the one call of the solver (HiGHS, through SciPy)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linprog

from footprint.disclosure.table import Floats

Rows = tuple[Any, Floats]  # a sparse matrix, and its right-hand side


def minimise(objective: Floats, equal: Rows, below: Rows | None = None, bounds: Any = (0, None)) -> tuple[str, Floats]:
    """Minimise a linear objective under equations and inequalities.

    Parameters
    ----------
    objective
        Coefficients, shape (n,).
    equal, below
        Sparse matrix (m, n) and right-hand side (m,) of ``A x = b`` and ``A x <= b``.
    bounds
        Bounds of the variables as ``scipy.optimize.linprog`` takes them; not negative by default.

    Returns
    -------
    status : str
        ``solved``, ``unbounded`` or ``infeasible``.
    solution : ndarray
        Variables, shape (n,); empty unless solved.
    """
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
