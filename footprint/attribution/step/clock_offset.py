"""Offset between the clock of a gateway and the clock of a host.

It is the shift of the log under which its work explains the energy best.
"""

from __future__ import annotations

import math

import numpy as np

from footprint.attribution.array_types import Floats
from footprint.attribution.step.regression import solve_nnls

MAX_OFFSET_S = 120
COARSE_STEP_S, COARSE_WINDOW_S = 8, 60
FINE_WINDOW_S = 10
MIN_OFFSET_S = 1.0
MAX_RESIDUAL_RATIO = 0.9  # of the residual without an offset; above it, a log is not shifted


def find_clock_offset(cumulative_j: Floats, features: Floats) -> tuple[float, float]:
    """Offset of a log, searched in steps of 8 s and then of 1 s.

    Parameters
    ----------
    cumulative_j
        Energy of all devices since the beginning [J] at each whole second, shape (s + 1,); NaN where it is not known.
    features
        Cumulative features at each whole second from ``MAX_OFFSET_S`` before that beginning to ``MAX_OFFSET_S`` after its end,
        shape (s + 1 + 2 x MAX_OFFSET_S, k).

    Returns
    -------
    offset_s : float
        Seconds to add to the timestamps of the log.
    residual_ratio : float
        Residual with the offset over the residual without; 1 where fewer than ten windows have energy, with an offset of 0.
    """
    coarse = range(-MAX_OFFSET_S, MAX_OFFSET_S + 1, COARSE_STEP_S)
    errors = {offset: _residual(cumulative_j, features, offset, COARSE_WINDOW_S) for offset in coarse}
    coarse_best = min(errors, key=lambda offset: (errors[offset], abs(offset)))
    fine = [
        offset for offset in range(coarse_best - COARSE_STEP_S, coarse_best + COARSE_STEP_S + 1) if abs(offset) <= MAX_OFFSET_S
    ]
    fine_errors = {offset: _residual(cumulative_j, features, offset, FINE_WINDOW_S) for offset in {*fine, 0}}
    best = min(fine, key=lambda offset: (fine_errors[offset], abs(offset)))
    ratio = fine_errors[best] / fine_errors[0] if 0 < fine_errors[0] < math.inf else 1.0
    return float(best), float(ratio)


def _residual(cumulative_j: Floats, features: Floats, offset: int, window_s: int) -> float:
    edges = np.arange(0, len(cumulative_j), window_s)
    energy = np.diff(cumulative_j[edges])
    # Work that the log stamps at t was done at t + offset.
    work = np.diff(features[edges + MAX_OFFSET_S - offset], axis=0)
    usable = np.isfinite(energy) & (energy > 0)
    if usable.sum() < 10:
        return math.inf
    matrix = np.concatenate([np.full((int(usable.sum()), 1), float(window_s)), work[usable]], axis=1)
    weight = 1.0 / energy[usable]
    cost = solve_nnls(matrix, energy[usable], weight)
    return float((weight * (energy[usable] - matrix @ cost) ** 2).mean())
