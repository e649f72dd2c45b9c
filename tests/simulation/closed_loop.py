"""Benchmark protocol in virtual time: clients in a closed loop against the step model of a server.

Answer lengths depend on the prompt and vary between draws. The simulated requests pass through the same functions as a real run
(steady state, mix of prompts, result). Energy follows the step model, with errors of sensors and sessions.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from footprint.benchmark.design import Slot, measurement_slots, prompt_order
from footprint.benchmark.energy_source import LocalEnergySource
from footprint.benchmark.openai_client import Target
from footprint.benchmark.prompts import Prompts
from footprint.benchmark.result import BenchmarkResult, Energy, MeasurementPoint
from footprint.benchmark.runner import BenchmarkPlan, MeasuredPoint, assemble_result
from footprint.benchmark.steady_state import AnsweredRequest, drawn_prompts, steady_figures, steady_window

PIECE = 10  # tokens per streamed chunk
MACHINE = {
    "host": "inf-01",
    "models": ["NVIDIA H100"],
    "devices": ["gpu:0"],
    "driver": "560.1",
    "power_limit_w": 700.0,
    "engine": "",
}


@dataclass(frozen=True)
class ServedModel:
    """A served model: energy and duration of a step, median answer length, spread of lengths between and within prompts."""

    name: str = "simulated"
    step_j: float = 3.1
    token_j: float = 0.068
    step_s: float = 0.0125
    tokens: float = 150.0
    prompt_spread: float = 0.6
    draw_spread: float = 0.15
    idle_w: float = 0.0  # measured without load if above 0; part of the energy of a step
    score: float = 0.0  # share of correct answers; 0: no grading


@dataclass(frozen=True)
class MeasurementErrors:
    """Relative standard deviations of session, repeat and point, and gain error of the host's sensor."""

    gain: float = 0.0
    session: float = 0.005
    repeat: float = 0.01
    point: float = 0.01


def run_benchmark(
    model: ServedModel,
    errors: MeasurementErrors,
    seed: int,
    *,
    levels: tuple[int, ...] = (1, 4, 16),
    repeats: int = 5,
    seconds: float = 60.0,
    count: int = 40,
    begin_s: int = 1_790_000_000,
    machine: dict[str, object] = MACHINE,
    demonstration: bool = False,
) -> BenchmarkResult:
    """Run a benchmark of a model in virtual time."""
    rng = np.random.default_rng(seed)
    lengths = np.exp(
        np.random.default_rng(7).normal(math.log(model.tokens), model.prompt_spread, count)
    )  # of the prompts, for any model
    lines = tuple({"prompt": str(n)} for n in range(count))
    grader = "simulated blind test" if model.score else ""
    target = Target("", model.name, 4000, 1.0)
    plan = BenchmarkPlan(target, Prompts(lines, "0" * 64), levels, repeats, seed=1, grader=grader, demonstration=demonstration)
    session = math.exp(errors.gain + rng.normal(0, errors.session))
    factors = [session * math.exp(rng.normal(0, errors.repeat)) for _ in range(repeats)]
    points = [
        _point(
            model, slot, lengths, factors[slot.repeat] * math.exp(rng.normal(0, errors.point)), rng, seconds, begin_s * 1_000_000
        )
        for slot in measurement_slots(levels, repeats, 1)
        if slot.concurrency or model.idle_w
    ]
    scores = tuple(float(rng.random() < model.score) for _ in lines) if model.score else ()
    return assemble_result(plan, LocalEnergySource("inf-01"), dict(machine), points, scores)


def _point(
    model: ServedModel, slot: Slot, lengths: np.ndarray, factor: float, rng: np.random.Generator, seconds: float, begin_us: int
) -> MeasuredPoint:
    if not slot.concurrency:
        at_rest = model.idle_w * seconds * factor
        return MeasuredPoint(MeasurementPoint(0, slot.repeat, _energy(at_rest, seconds, begin_us), None), ())
    order = prompt_order(len(lengths), slot, 1)
    answered = []
    free = [0.0] * slot.concurrency
    last_start = 0.0
    while last_start < seconds:
        last_start = heapq.heappop(free)
        prompt = next(order)
        tokens = max(round(lengths[prompt] * math.exp(rng.normal(0, model.draw_spread))), 1)
        ends = last_start + model.step_s * np.minimum(np.arange(1, tokens + PIECE, PIECE), tokens)
        answered.append(AnsweredRequest(prompt, last_start, float(ends[-1]), tuple(ends.tolist()), 50, tokens))
        heapq.heappush(free, float(ends[-1]))
    window = steady_window(answered, slot.concurrency)
    assert window is not None
    steady = steady_figures(answered, *window)
    steps = (window[1] - window[0]) / model.step_s
    joules = steps * (model.step_j + model.token_j * steady.in_flight) * factor
    energy = _energy(joules, window[1] - window[0], begin_us)
    return MeasuredPoint(MeasurementPoint(slot.concurrency, slot.repeat, energy, steady), tuple(drawn_prompts(answered, *window)))


def _energy(joules: float, seconds: float, begin_us: int) -> Energy:
    return Energy(begin_us, seconds, joules, joules * 0.95, joules * 1.05, {"gpu": joules}, "A", 600)
