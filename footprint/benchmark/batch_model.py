"""Batch model: energy per output token = a + b / batch; a is the share of a token, b that of a decode step.

Found in public measurements (ML.ENERGY leaderboard v3, dense models on H100: mean error 0.4 to 2.1 %); a in joules per token,
b in joules per decode step. Valid for the measured range of batches only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from footprint.core.estimate import Estimate

MIN_BATCHES = 3  # two points fit any curve with two coefficients
_MAX_ITERATIONS = 20


@dataclass(frozen=True, slots=True)
class BatchFit:
    """Coefficients with 95 % intervals [J/token, J/step]; ``mean_error`` and ``largest_error`` are relative [1]."""

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


def fit_batch_model(batches: Sequence[float], j_per_token: Sequence[float], sensor_gain: float = 0.0) -> BatchFit | None:
    """Fit a and b by weighted least squares, with errors in proportion to the value.

    Weights are 1 / fitted value squared, found by iteration. The interval is that of Student's t with n - 2 degrees of freedom.

    Parameters
    ----------
    batches : sequence of float
        Mean number of sequences in flight [1].
    j_per_token : sequence of float
        Energy per output token [J].
    sensor_gain : float
        Relative half-width (95 %) [1] of an error common to all points, such as that of the sensor. It applies to both
        coefficients in full and adds in quadrature.

    Returns
    -------
    BatchFit or None
        None with fewer than three different batches.
    """
    batch, energy = np.asarray(batches, float), np.asarray(j_per_token, float)
    if len({round(float(value), 1) for value in batch}) < MIN_BATCHES:
        return None
    design = np.column_stack([np.ones_like(batch), 1 / batch])
    fitted = energy
    for _ in range(_MAX_ITERATIONS):
        weighted_design = design / fitted[:, None]
        coefficients, *_ = np.linalg.lstsq(weighted_design, energy / fitted, rcond=None)
        refitted = np.maximum(design @ coefficients, energy.min() / 1000)
        if np.allclose(refitted, fitted, rtol=1e-9):
            break
        fitted = refitted
    errors = (energy - design @ coefficients) / fitted
    degrees_of_freedom = len(energy) - 2
    weighted_design = design / fitted[:, None]
    variance = np.linalg.inv(weighted_design.T @ weighted_design) * float(errors @ errors) / degrees_of_freedom
    t_value = float(stats.t.ppf(1 - 1 / 40, degrees_of_freedom))
    half_widths = np.hypot(t_value * np.sqrt(np.diag(variance)), sensor_gain * np.abs(coefficients))
    a, b = (
        Estimate(float(coefficient), float(coefficient - half_width), float(coefficient + half_width))
        for coefficient, half_width in zip(coefficients, half_widths, strict=True)
    )
    abs_errors = np.abs(errors)
    return BatchFit(a, b, float(batch.min()), float(batch.max()), len(energy), float(abs_errors.mean()), float(abs_errors.max()))
