"""Benchmark results drawn from a model with known energies, without running the protocol."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from footprint.benchmark.result import BenchmarkResult, Conditions, Energy, MeasurementPoint, Steady

BEGIN_US = 1_790_000_000_000_000
CONDITIONS = Conditions(
    model="small",
    engine="simulated",
    quantisation="",
    host="inf-01",
    machines=("NVIDIA H100",),
    devices=("gpu:0",),
    driver="560.1",
    power_limit_w=700.0,
    prompts_sha256="0" * 64,
    prompts=40,
    max_tokens=256,
    temperature=0.0,
    seed=1,
    least_s=60.0,
    least_updates=600,
    sensors="local",
)


@dataclass(frozen=True)
class EnergyPerToken:
    """Energy per output token, a + b / batch, and relative standard deviations of its measurement."""

    a_j: float = 0.068
    b_j: float = 3.1
    idle_w: float = 90.0
    tokens: float = 200.0
    gain: float = 0.0  # of the sensor, the same for all benchmarks on this host
    session: float = 0.0  # of a benchmark
    repeat: float = 0.0  # of all points of one repeat
    point: float = 0.0


def simulated_result(
    truth: EnergyPerToken = EnergyPerToken(),
    seed: int = 1,
    levels: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64),
    repeats: int = 5,
    idle: bool = True,
    **conditions: object,
) -> BenchmarkResult:
    """A benchmark result drawn from the model."""
    rng = np.random.default_rng(seed)
    session_factor = math.exp(truth.gain + rng.normal(0, truth.session))
    points = []
    for repeat in range(repeats):
        repeat_factor = session_factor * math.exp(rng.normal(0, truth.repeat))
        for concurrency in (*((0,) if idle else ()), *levels):
            factor = repeat_factor * math.exp(rng.normal(0, truth.point))
            points.append(_point(truth, concurrency, repeat, factor))
    return BenchmarkResult(BEGIN_US, "footprint test", False, replace(CONDITIONS, **conditions), tuple(points))  # type: ignore[arg-type]


def _point(truth: EnergyPerToken, concurrency: int, repeat: int, factor: float) -> MeasurementPoint:
    seconds = 60.0
    if concurrency == 0:
        return MeasurementPoint(0, repeat, _energy(truth.idle_w * seconds * factor, seconds), None)
    batch = concurrency * 0.98
    tokens = seconds * 80 * batch
    joules = tokens * (truth.a_j + truth.b_j / batch) * factor
    steady = Steady(
        requests=tokens / truth.tokens,
        output_tokens=tokens,
        input_tokens=tokens / 2,
        in_flight=batch,
        decoding=batch * 0.97,
        answered=int(tokens / truth.tokens),
        failed=0,
        ttft_p50_s=0.05,
        ttft_p95_s=0.09,
        itl_p50_s=0.0125,
        itl_p95_s=0.02,
        mix=1.0,
        client_busy=0.1,
    )
    return MeasurementPoint(concurrency, repeat, _energy(joules, seconds), steady)


def _energy(joules: float, seconds: float) -> Energy:
    return Energy(BEGIN_US, seconds, joules, joules * 0.95, joules * 1.05, {"gpu": joules}, "A", 600)
