"""Runner of a benchmark: measures point by point, stores each at once, and resumes after the last stored point.

A folder beside the result holds the settings and one file per point. Prompts and answers stay in memory only.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from footprint.benchmark import design, grader, steady_state
from footprint.benchmark.design import Slot
from footprint.benchmark.energy_source import EnergySource, EnergyWatch, Machine, wall_us
from footprint.benchmark.load_generator import LoadResult, RemainingWait, generate_load
from footprint.benchmark.openai_client import (
    EndpointError,
    RateLimited,
    RequestFailed,
    Target,
    http_client,
    served_models,
    stream_completion,
)
from footprint.benchmark.prompts import Prompts
from footprint.benchmark.result import BadResult, BenchmarkResult, Conditions, Energy, MeasurementPoint, parse_point
from footprint.benchmark.steady_state import AnsweredRequest
from footprint.core.records import FootprintError
from footprint.core.stored_forms import stored_as, to_plain
from footprint.core.units import US_PER_S
from footprint.core.version import VERSION

MAX_RETRIES = 3
MAX_GRADED_REQUESTS = 8
_POLL_S = 2  # until the next check of a point with too few updates
SETTINGS, MACHINE, SCORES = "settings.json", "machine.json", "scores.json"


class SettingsMismatch(FootprintError):
    """Stored points that were measured with other settings than the requested ones."""


@dataclass(frozen=True, slots=True)
class BenchmarkPlan:
    """Settings of a benchmark; durations in s."""

    target: Target
    prompts: Prompts
    concurrency: tuple[int, ...] = design.CONCURRENCY
    repeats: int = design.REPEATS
    seed: int = 1
    least_s: float = design.MIN_S
    least_updates: int = design.MIN_UPDATES
    warm_up_s: float = 10
    settle_s: float = 5
    rest_s: float = 20
    grader: str = ""
    engine: str = ""
    quantisation: str = ""
    demonstration: bool = False

    def slots(self) -> list[Slot]:
        """Points in the order of measurement."""
        return design.measurement_slots(self.concurrency, self.repeats, self.seed)

    def settings(self, source: EnergySource) -> dict[str, Any]:
        """Settings common to all points of a result, without address and key."""
        return {
            "model": self.target.model,
            "prompts_sha256": self.prompts.sha256,
            "concurrency": sorted(set(self.concurrency)),
            "repeats": self.repeats,
            "seed": self.seed,
            "least_s": self.least_s,
            "least_updates": self.least_updates,
            "max_tokens": self.target.max_tokens,
            "temperature": self.target.temperature,
            "engine": self.engine,
            "quantisation": self.quantisation,
            "rest_s": self.rest_s,
            "sensors": source.kind,
            "grader": self.grader,
        }


@stored_as("Done", "point drawn")
@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """A point, and (prompt, requests, output tokens) of each prompt drawn in it."""

    point: MeasurementPoint
    drawn: tuple[tuple[int, float, float], ...]


Progress = Callable[[int, int, str, float], None]  # points done, points in total, current activity, remaining time [s]


async def run_benchmark(plan: BenchmarkPlan, source: EnergySource, folder: Path, progress: Progress) -> BenchmarkResult:
    """Measure the missing points and assemble the result.

    Raises
    ------
    SettingsMismatch
        If the folder holds points of another plan.
    EndpointUnavailable, EndpointError, RateLimited
        If the endpoint cannot be measured; finished points stay on disk.
    CannotMeasure
        If no energy can be read.
    """
    done = load_points(folder, plan.settings(source))
    slots = plan.slots()
    todo = design.remaining_slots(slots, done)
    durations_s: list[float] = []
    async with http_client(plan.target, max(plan.concurrency) + MAX_GRADED_REQUESTS) as client:
        _, engine = await served_models(client, plan.target.url)
        await _probe_endpoint(client, plan)
        if todo:
            progress(len(slots) - len(todo), len(slots), "warming up", _remaining_s(plan, todo, durations_s))
            await _warm_up(client, plan)
        for number, slot in enumerate(todo):
            label = f"concurrency {slot.concurrency}" if slot.concurrency else "at rest"
            show = partial(progress, len(slots) - len(todo) + number, len(slots), label)
            progress_task = asyncio.create_task(
                _report_progress(
                    show, _remaining_s(plan, todo[number:], durations_s), _remaining_s(plan, todo[number + 1 :], durations_s)
                )
            )
            begin_s = time.monotonic()
            try:
                measured, machine = await _measure_point(client, plan, source, slot)
            finally:
                progress_task.cancel()
            durations_s.append(time.monotonic() - begin_s)
            _check_machine(folder, to_plain(machine) | {"engine": plan.engine or engine})
            write_json(folder / f"{slot.name}.json", to_plain(measured))
            done[slot.name] = measured
        progress(len(slots), len(slots), "grading" if plan.grader else "", 0)
        scores = await _grade_answers(client, plan, folder)
    return assemble_result(plan, source, json.loads((folder / MACHINE).read_text()), [done[slot.name] for slot in slots], scores)


async def _report_progress(show: Callable[[float], None], left_s: float, least_s: float) -> None:
    """Count the remaining time down while a point lasts, not below the time of the points after it."""
    begin = time.monotonic()
    while True:
        show(max(left_s - (time.monotonic() - begin), least_s))
        await asyncio.sleep(1)


def _remaining_s(plan: BenchmarkPlan, todo: Sequence[Slot], durations_s: Sequence[float]) -> float:
    return design.remaining_s(len(todo), durations_s, plan.least_s + plan.settle_s)


def load_points(folder: Path, settings: dict[str, Any]) -> dict[str, MeasuredPoint]:
    """Stored points by name; creates the folder and its settings if missing.

    Raises
    ------
    SettingsMismatch
        If they were measured with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    if not path.exists():
        write_json(path, settings)
        return {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    _check_equal(folder, stored, settings)
    return {path.stem: _read_point(path) for path in sorted(folder.glob("r*-c*.json"))}


def _check_machine(folder: Path, machine: dict[str, Any]) -> None:
    """Refuse to continue on a changed machine, such as after a driver update: that is another benchmark."""
    path = folder / MACHINE
    if not path.exists():
        write_json(path, machine)
        return
    before, current = json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(machine))
    _check_equal(folder, before, current)


def _check_equal(folder: Path, stored: dict[str, Any], current: dict[str, Any]) -> None:
    differs = sorted(name for name in current if stored.get(name) != current[name])
    if differs:
        conflict = f"{folder} holds points of another {', '.join(differs)}"
        raise SettingsMismatch(f"{conflict}; name another --output, or remove that folder")


def _read_point(path: Path) -> MeasuredPoint:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return MeasuredPoint(
            parse_point(record["point"]),
            tuple((int(prompt), float(requests), float(tokens)) for prompt, requests, tokens in record["drawn"]),
        )
    except (ValueError, KeyError, TypeError, BadResult) as error:
        raise BadResult(f"{path}: {error}; remove it, and the point is measured again") from None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    part.replace(path)


async def _probe_endpoint(client: httpx.AsyncClient, plan: BenchmarkPlan) -> None:
    """Send one request, so that errors appear before any long wait."""
    try:
        await stream_completion(client, plan.target, 0, plan.prompts.messages(0))
    except RequestFailed as error:
        raise EndpointError(f"{plan.target.model}: {error}") from None
    except RateLimited as error:
        await asyncio.sleep(error.retry_s)


async def _warm_up(client: httpx.AsyncClient, plan: BenchmarkPlan) -> None:
    async def remaining_wait_s(begin: float) -> float:
        return max(plan.warm_up_s - (time.monotonic() - begin), 0)

    await _generate_load(client, plan, Slot(-1, max(plan.concurrency)), remaining_wait_s)


async def _generate_load(
    client: httpx.AsyncClient, plan: BenchmarkPlan, slot: Slot, remaining_wait_s: RemainingWait
) -> LoadResult:
    """Measure a point; after a rate limit, start again once the endpoint allows it."""

    async def send_request(prompt: int, on_first: Callable[[], None]) -> AnsweredRequest:
        answered, _ = await stream_completion(client, plan.target, prompt, plan.prompts.messages(prompt), on_first)
        return answered

    for retry in range(MAX_RETRIES + 1):
        try:
            order = design.prompt_order(len(plan.prompts.lines), slot, plan.seed)
            return await generate_load(send_request, order, slot.concurrency, remaining_wait_s)
        except RateLimited as error:
            if retry == MAX_RETRIES:
                raise EndpointError(
                    f"at concurrency {slot.concurrency} {error}, {retry + 1} times; raise its limit or lower --concurrency"
                ) from None
            await asyncio.sleep(error.retry_s)
    raise AssertionError


async def _measure_point(
    client: httpx.AsyncClient, plan: BenchmarkPlan, source: EnergySource, slot: Slot
) -> tuple[MeasuredPoint, Machine]:
    async with source.watch() as watch:
        await asyncio.sleep(plan.settle_s if slot.concurrency == 0 else 0)
        if slot.concurrency == 0:
            begin_us = time.time_ns() // 1000
            await asyncio.sleep(plan.rest_s)
            energy = await watch.energy(begin_us, time.time_ns() // 1000)
            return MeasuredPoint(MeasurementPoint(0, slot.repeat, energy, None), ()), watch.machine()
        cpu_samples: list[tuple[float, float]] = []

        async def remaining_wait_s(begin: float) -> float:
            cpu_samples.append((time.monotonic(), time.process_time()))
            left_s = plan.least_s - (time.monotonic() - begin)
            if left_s > 0:
                return left_s
            has_updates = watch.updates(wall_us(begin), wall_us(time.monotonic())) >= plan.least_updates
            return 0 if has_updates else _POLL_S

        load = await _generate_load(client, plan, slot, remaining_wait_s)
        return await _measure_steady_state(watch, slot, load, cpu_samples), watch.machine()


async def _measure_steady_state(
    watch: EnergyWatch, slot: Slot, load: LoadResult, cpu_samples: Sequence[tuple[float, float]]
) -> MeasuredPoint:
    window = steady_state.steady_window(load.answered, slot.concurrency)
    if window is None:
        raise EndpointError(f"at concurrency {slot.concurrency} the requested concurrency was never reached")
    energy: Energy = await watch.energy(wall_us(window[0]), wall_us(window[1]))
    (first_s, first_cpu_s), (last_s, last_cpu_s) = cpu_samples[0], cpu_samples[-1]
    client_busy = (last_cpu_s - first_cpu_s) / (last_s - first_s) if last_s > first_s else 0.0
    figures = steady_state.steady_figures(load.answered, *window, failed=load.failed, client_busy=client_busy)
    return MeasuredPoint(
        MeasurementPoint(slot.concurrency, slot.repeat, energy, figures),
        tuple(steady_state.drawn_prompts(load.answered, *window)),
    )


async def _grade_answers(client: httpx.AsyncClient, plan: BenchmarkPlan, folder: Path) -> tuple[float, ...]:
    """Scores of one answer to each prompt; only the numbers are stored."""
    if not plan.grader:
        return ()
    path = folder / SCORES
    if path.exists():
        return tuple(json.loads(path.read_text(encoding="utf-8"))["scores"])
    semaphore = asyncio.Semaphore(MAX_GRADED_REQUESTS)

    async def answer(index: int) -> dict[str, Any]:
        async with semaphore:
            try:
                _, text = await stream_completion(client, plan.target, index, plan.prompts.messages(index))
            except RequestFailed:
                text = ""  # the grader scores the missing answer
            return {**plan.prompts.lines[index], "index": index, "answer": text}

    answers = await asyncio.gather(*(answer(index) for index in range(len(plan.prompts.lines))))
    scores = await asyncio.to_thread(grader.grade, plan.grader, answers)
    write_json(path, {"scores": list(scores)})
    return scores


def assemble_result(
    plan: BenchmarkPlan,
    source: EnergySource,
    machine: dict[str, Any],
    points_done: Sequence[MeasuredPoint],
    scores: tuple[float, ...],
) -> BenchmarkResult:
    """The result of all points, each with the mix of its prompts, which depends on the answer lengths of all points."""
    mean_length = steady_state.mean_lengths(measured.drawn for measured in points_done)
    points = tuple(
        measured.point
        if measured.point.steady is None
        else replace(
            measured.point, steady=replace(measured.point.steady, mix=steady_state.prompt_mix(measured.drawn, mean_length))
        )
        for measured in points_done
    )
    target = plan.target
    conditions = Conditions(
        target.model,
        str(machine["engine"]),
        plan.quantisation,
        machine["host"],
        tuple(machine["models"]),
        tuple(machine["devices"]),
        machine["driver"],
        machine["power_limit_w"],
        plan.prompts.sha256,
        len(plan.prompts.lines),
        target.max_tokens,
        target.temperature,
        plan.seed,
        plan.least_s,
        plan.least_updates,
        source.kind,
    )
    made_us = max(measured.point.energy.begin_us + round(measured.point.energy.seconds * US_PER_S) for measured in points_done)
    program = f"footprint {VERSION}"
    return BenchmarkResult(made_us, program, plan.demonstration, conditions, points, scores, plan.grader)
