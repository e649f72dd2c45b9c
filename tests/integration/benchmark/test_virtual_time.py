"""Statistical properties of the benchmark protocol over 200 result sets in virtual time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from footprint.benchmark.compare import compare_results
from footprint.benchmark.concurrency_levels import fit_result
from tests.simulation.closed_loop import MeasurementErrors, ServedModel, run_benchmark


def claimed(factor: float, sets: int) -> tuple[int, int]:
    """(claimed differences, intervals that contain the true ratio) over ``sets`` pairs of models with an energy ratio of ``factor``."""
    one = ServedModel()
    other = replace(one, step_j=one.step_j * factor, token_j=one.token_j * factor)
    claims = covered = 0
    for number in range(sets):
        errors = MeasurementErrors(gain=float(np.random.default_rng(number).uniform(-0.05, 0.05)))
        comparison = compare_results(
            run_benchmark(one, errors, 2 * number), run_benchmark(other, errors, 2 * number + 1), anyway=True
        )
        assert comparison.differs == ()
        claims += comparison.different
        covered += comparison.per_request.low <= factor <= comparison.per_request.high
    return claims, covered


@pytest.mark.slow
def test_five_percent_is_detected_in_80_percent_with_at_most_5_percent_false_claims() -> None:
    claims, covered = claimed(1.05, 200)
    assert claims >= 160
    assert covered >= 190
    false_claims, covered = claimed(1.0, 200)
    assert false_claims <= 10
    assert covered >= 190


def test_step_parameters_are_recovered_in_virtual_time() -> None:
    fitted = fit_result(
        run_benchmark(ServedModel(), MeasurementErrors(session=0, repeat=0, point=0.005), 1, levels=(1, 2, 4, 8, 16), repeats=3)
    )
    assert fitted is not None
    assert fitted.a_j.value == pytest.approx(0.068, rel=0.05)
    assert fitted.b_j.value == pytest.approx(3.1, rel=0.05)


def test_reweighting_prompts_reduces_the_variance_of_energy_per_request() -> None:
    """At concurrency 1 few of the forty prompts are drawn, so energy per request varies with their lengths unless reweighted."""
    result = run_benchmark(ServedModel(draw_spread=0), MeasurementErrors(session=0, repeat=0, point=0), 3, levels=(1,), repeats=8)
    raw = [p.energy.energy_j / p.steady.requests for p in result.points if p.steady is not None]
    reweighted = [p.j_per_request for p in result.points]
    assert np.std(reweighted) < np.std(raw) / 3
