"""This file fits energy per output token = a + b / batch: what a token takes, and what a step takes whoever shares it.

Seen in public measurements (ML.ENERGY leaderboard v3, dense models on H100: mean error 0.4 to 2.1 %); a in joules per token,
b in joules per decode step. Holds for the batches that were measured, and for no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from footprint.core.estimate import Estimate

MIN_BATCHES = 3  # two points lie on any curve of two coefficients
_MAX_ITERATIONS = 20


@dataclass(frozen=True, slots=True)
class BatchFit:
    """Coefficients with intervals of 95 %; the errors are relative, of the points about the curve."""

    a_j: Estimate
    b_j: Estimate
    batch_low: float
    batch_high: float
    points: int
    mean_error: float
    largest_error: float

    def j_per_token(self, batch: float) -> float:
        """Energy per output token [J] at a mean batch."""
        return self.a_j.value + self.b_j.value / batch


def fit_batch_model(batches: Sequence[float], j_per_token: Sequence[float], gain: float = 0.0) -> BatchFit | None:
    """Weighted least squares with errors in proportion to the value; None where fewer than three batches were measured.

    Weights are 1 / fitted value squared, found by iteration; the interval is that of Student's t with n - 2 degrees of
    freedom. ``gain`` is the relative half-width (95 %) of an error common to all points, such as the sensor's: it bears on
    both coefficients in full and is added in squares.
    """
    batch, energy = np.asarray(batches, float), np.asarray(j_per_token, float)
    if len({round(float(each), 1) for each in batch}) < MIN_BATCHES:
        return None
    design = np.column_stack([np.ones_like(batch), 1 / batch])
    fitted = energy
    for _ in range(_MAX_ITERATIONS):
        scaled = design / fitted[:, None]
        found, *_ = np.linalg.lstsq(scaled, energy / fitted, rcond=None)
        fresh = np.maximum(design @ found, energy.min() / 1000)
        if np.allclose(fresh, fitted, rtol=1e-9):
            break
        fitted = fresh
    errors = (energy - design @ found) / fitted
    freedom = len(energy) - 2
    scaled = design / fitted[:, None]
    variance = np.linalg.inv(scaled.T @ scaled) * float(errors @ errors) / freedom
    reach = float(stats.t.ppf(1 - 1 / 40, freedom))
    half = np.hypot(reach * np.sqrt(np.diag(variance)), gain * np.abs(found))
    a, b = (Estimate(float(v), float(v - h), float(v + h)) for v, h in zip(found, half, strict=True))
    size = np.abs(errors)
    return BatchFit(a, b, float(batch.min()), float(batch.max()), len(energy), float(size.mean()), float(size.max()))
