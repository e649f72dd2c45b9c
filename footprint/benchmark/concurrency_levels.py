"""Concurrency levels of a result: means over repeats with intervals, and the batch model over all levels.

An interval adds two errors in quadrature: the spread of the repeats (Student's t), and the error of the sensor, which no
repeat can show. With one repeat only the second is known; the row gives the number of repeats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import stats

from footprint.benchmark.batch_model import BatchFit, fit_batch_model
from footprint.benchmark.result import BenchmarkResult, MeasurementPoint, Steady
from footprint.core.estimate import Estimate

# Share of the time in flight after the first token, relative to the largest share in this benchmark. Below this, requests
# queued in the server and the requests in flight are not the batch. Short answers have a small share at any concurrency.
_MIN_DECODING_SHARE = 4 / 5


@dataclass(frozen=True, slots=True)
class ConcurrencyLevel:
    """One concurrency: means over repeats of energy [J], power [W] and latencies [s]."""

    concurrency: int
    repeats: int
    batch: float
    waited: bool  # requests queued or spent long in prefill: the batch is overstated, and the fit excludes the level
    j_per_request: Estimate
    j_per_token: Estimate
    tokens_per_s: float
    output_tokens_per_request: float
    idle_j_per_request: float | None
    watts: float
    ttft_p50_s: float
    ttft_p95_s: float
    itl_p50_s: float | None
    itl_p95_s: float | None
    quality: str
    failed: int


def sensor_gain(points: Sequence[MeasurementPoint]) -> float:
    """Relative half-width [1] of the sensors' error, the largest of the points."""
    return max((point.energy.high_j - point.energy.low_j) / 2 / point.energy.energy_j for point in points)


def mean_estimate(values: Sequence[float], gain: float) -> Estimate:
    """Mean of repeats with a 95 % t interval; the relative ``gain`` adds in quadrature."""
    mean = fmean(values)
    spread = 0.0
    if len(values) > 1:
        spread = float(stats.t.ppf(1 - 1 / 40, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    half_width = math.hypot(spread, gain * mean)
    return Estimate(mean, mean - half_width, mean + half_width)


def idle_power(result: BenchmarkResult) -> Estimate | None:
    """Power [W] of the loaded model at rest; None if it was not measured."""
    points = result.idle()
    return mean_estimate([point.watts for point in points], sensor_gain(points)) if points else None


def concurrency_levels(result: BenchmarkResult) -> list[ConcurrencyLevel]:
    """The levels of a result, by concurrency."""
    idle_w, max_share = idle_power(result), max_decoding_share(result)
    levels = []
    for concurrency in sorted({point.concurrency for point in result.served()}):
        points = [point for point in result.served() if point.concurrency == concurrency]
        levels.append(_concurrency_level(concurrency, points, None if idle_w is None else idle_w.value, max_share))
    return levels


def _concurrency_level(
    concurrency: int, points: list[MeasurementPoint], idle_w: float | None, max_share: float
) -> ConcurrencyLevel:
    steady_states = [point.steady for point in points if point.steady is not None]
    seconds, requests = sum(p.energy.seconds for p in points), sum(s.requests for s in steady_states)
    gain = sensor_gain(points)

    def mean(value_of: Callable[[Steady], float]) -> float:
        return fmean(value_of(steady) for steady in steady_states)

    def mean_or_none(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return fmean(known) if known else None

    return ConcurrencyLevel(
        concurrency,
        len(points),
        mean(lambda s: s.in_flight),
        any(has_queued(point, max_share) for point in points),
        mean_estimate([p.j_per_request for p in points], gain),
        mean_estimate([p.j_per_token for p in points], gain),
        sum(s.output_tokens for s in steady_states) / seconds,
        sum(s.output_tokens for s in steady_states) / requests,
        None if idle_w is None else idle_w * seconds / requests,
        sum(p.energy.energy_j for p in points) / seconds,
        mean(lambda s: s.ttft_p50_s),
        mean(lambda s: s.ttft_p95_s),
        mean_or_none([s.itl_p50_s for s in steady_states]),
        mean_or_none([s.itl_p95_s for s in steady_states]),
        max(p.energy.quality for p in points),
        sum(s.failed for s in steady_states),
    )


def max_decoding_share(result: BenchmarkResult) -> float:
    """Largest share [1] of the time in flight after the first token."""
    return max(point.steady.decoding / point.steady.in_flight for point in result.served() if point.steady is not None)


def has_queued(point: MeasurementPoint, max_share: float) -> bool:
    """Whether requests waited so long for their first token that the requests in flight are not the batch."""
    assert point.steady is not None
    return point.steady.decoding < _MIN_DECODING_SHARE * max_share * point.steady.in_flight


def fit_result(result: BenchmarkResult) -> BatchFit | None:
    """Batch model over every repeat with a known batch; None with fewer than three batches."""
    max_share = max_decoding_share(result)
    points = [point for point in result.served() if not has_queued(point, max_share)]
    batches = [point.steady.in_flight for point in points if point.steady is not None]
    return fit_batch_model(batches, [point.j_per_token for point in points], sensor_gain(points))


def mean_score(result: BenchmarkResult) -> Estimate | None:
    """Mean score of the grader with its interval over prompts; None without grades."""
    scores = [score for score in result.scores if score is not None]
    return mean_estimate(scores, 0.0) if scores else None
