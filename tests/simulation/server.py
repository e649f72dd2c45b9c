"""Simulated inference server with continuous batching and known energy of each request.

Requests queue for a slot (first come, first served), are prefilled one after the other, and then all advance
by one token per decode step. A step has a fixed cost, shared by the requests in it, and costs per token that
grow with the context. The output has the form of real measurements: cumulative counters once a second with
the gain error of their sensor, and a log of starts, ends and tokens.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from footprint.attribution.array_types import Floats, Ints

DAY_S = 86_400
BLOCK = 64  # maximum number of steps computed at once while no request joins or leaves


@dataclass(frozen=True)
class Kind:
    """A use case: requests per day, daily profile and token counts (log-normal)."""

    name: str
    per_day: float
    input_median: float
    output_median: float
    spread: float = 0.7
    hours: str = "office"  # office | night | flat | day | bursts
    cached: float = 0.0  # mean share of requests with a prefix in the cache


@dataclass(frozen=True)
class Server:
    """Parameters of a server: energies [J] of all its devices together, times [s], power [W]."""

    name: str
    kinds: tuple[Kind, ...]
    devices: int = 1
    idle_w: float = 90.0  # of each device
    step_s: float = 0.012
    step_s_per_sequence: float = 0.0001
    step_j: float = 3.1  # the pass over the weights, shared by the running requests
    token_j: float = 0.068
    context_j: float = 0.012  # per token and thousand tokens of context
    prefill_s: float = 0.00005  # per input token
    prefill_j: float = 0.026
    prefill_square_j: float = 0.000002  # per input token squared, over 2000
    slots: int = 256
    experts: float = 0.0  # batch size scale at which a mixture of experts reads most of its weights; 0: a dense model
    stall: bool = False  # prefill stops decoding
    draft: float = 0.0  # mean number of extra tokens that speculative decoding accepts per step
    busy_w: float = 0.0  # constant extra power while any request runs
    tail_s: float = 0.0
    tail_w: float = 0.0  # drawn for ``tail_s`` after the last request
    idle_drift: float = 0.0  # slow change of idle power over the day, relative
    noise: float = 0.015  # of each second's power
    cache_logged: bool = True


@dataclass(frozen=True)
class Day:
    """A simulated day: request log, true energy [J] of each request above idle, and energy of all devices by second."""

    server: Server
    start_s: Floats  # since the start of the day
    end_s: Floats
    first_s: Floats
    use_case: Ints
    input_tokens: Ints
    cached_tokens: Ints
    output_tokens: Ints
    true_j: Floats
    idle_j: Floats  # by second, all devices
    above_j: Floats  # by second, all devices; includes energy of no request (tail, busy power)

    def truth(self) -> Floats:
        """Share of each use case in the energy of all requests, shape (use cases,)."""
        joules = np.bincount(self.use_case, weights=self.true_j, minlength=len(self.server.kinds))
        return joules / joules.sum()


_HOURS = {
    "office": [
        0.05,
        0.04,
        0.04,
        0.04,
        0.05,
        0.1,
        0.3,
        0.8,
        1.6,
        2.2,
        2.4,
        2.2,
        1.4,
        1.8,
        2.3,
        2.3,
        2.0,
        1.5,
        0.8,
        0.5,
        0.3,
        0.2,
        0.1,
        0.08,
    ],
    "night": [
        3,
        3.4,
        3.2,
        2.6,
        1.6,
        0.6,
        0.2,
        0.1,
        0.05,
        0.05,
        0.05,
        0.05,
        0.05,
        0.05,
        0.05,
        0.05,
        0.05,
        0.1,
        0.2,
        0.4,
        0.8,
        1.4,
        2.0,
        2.6,
    ],
    "flat": [1.0] * 24,
    "day": [0.0] * 7 + [1.0] * 11 + [0.0] * 6,
    "bursts": [0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 0, 2, 0],
}


def _arrivals(kind: Kind, rng: np.random.Generator) -> Floats:
    weight = np.array(_HOURS[kind.hours]) / sum(_HOURS[kind.hours])
    counts = rng.poisson(kind.per_day * weight)
    return np.sort(np.concatenate([rng.uniform(h * 3600, h * 3600 + 3595, n) for h, n in enumerate(counts)]))


def _tokens(median: float, spread: float, size: int, rng: np.random.Generator, most: int) -> Ints:
    drawn = np.exp(rng.normal(math.log(max(median, 1e-9)), spread, size))
    return np.clip(np.rint(drawn), 1 if median >= 1 else 0, most).astype(np.int64)


@lru_cache(maxsize=12)
def simulate(server: Server, seed: int) -> Day:
    """Simulate one day of a server; a process simulates the same day once, so its arrays are read-only."""
    rng = np.random.default_rng(seed)
    return serve(server, draw_requests(server, rng), rng)


@dataclass(frozen=True)
class DrawnRequests:
    """Requests before they are served, in order of start; arrays of shape (n,)."""

    start_s: Floats
    use_case: Ints
    input_tokens: Ints
    cached_tokens: Ints
    output_tokens: Ints

    def __getitem__(self, index: Ints | NDArray[np.bool_]) -> DrawnRequests:
        return DrawnRequests(*(getattr(self, field.name)[index] for field in fields(self)))


def draw_requests(server: Server, rng: np.random.Generator) -> DrawnRequests:
    """Requests of a day."""
    starts, kinds, inputs, cached, outputs = [], [], [], [], []
    for number, kind in enumerate(server.kinds):
        at = _arrivals(kind, rng)
        input_tokens = _tokens(kind.input_median, kind.spread, len(at), rng, 24_000)
        starts.append(at)
        kinds.append(np.full(len(at), number))
        inputs.append(input_tokens)
        outputs.append(_tokens(kind.output_median, kind.spread, len(at), rng, 4_000))
        hit = rng.uniform(0, 1, len(at)) < kind.cached
        cached.append(np.where(hit, (input_tokens * rng.uniform(0.5, 0.95, len(at))).astype(np.int64), 0))
    order = np.argsort(np.concatenate(starts), kind="stable")
    return DrawnRequests(*(np.concatenate(parts)[order] for parts in (starts, kinds, inputs, cached, outputs)))


def serve(server: Server, requests: DrawnRequests, rng: np.random.Generator) -> Day:
    """Serve the requests of a day."""
    start, hit, n, out = requests.start_s, requests.cached_tokens, requests.input_tokens, requests.output_tokens
    run = _Run(server, start, n - hit, n, out, rng)
    first, end = run.serve()
    above = np.diff(_energy_at(run.blocks, np.arange(DAY_S + 1.0)))
    idle = server.devices * server.idle_w * (1 + server.idle_drift * np.sin(2 * np.pi * np.arange(DAY_S) / DAY_S))
    logged = hit if server.cache_logged else np.zeros_like(hit)
    arrays = (start, end, first, requests.use_case, n, logged, out, run.true_j, idle, above)
    for array in arrays:
        array.flags.writeable = False
    return Day(server, *arrays)


class _Run:
    """State of a simulation: blocks of time with their energy [J], and the true energy of each request."""

    def __init__(self, server: Server, start: Floats, fresh: Ints, n: Ints, out: Ints, rng: np.random.Generator) -> None:
        self.server, self.start, self.fresh, self.n, self.out, self.rng = server, start, fresh, n, out, rng
        self.true_j = np.zeros(len(start))
        self.blocks: list[tuple[float, float, float]] = []  # begin, end, joules
        self.first = np.zeros(len(start))
        self.end = np.full(len(start), np.inf)

    def serve(self) -> tuple[Floats, Floats]:  # noqa: PLR0912, PLR0915 - one event loop
        s, law = self.server, self._prefill_law
        queue: deque[int] = deque()
        prefilled: list[tuple[float, int]] = []  # (time from which decoding can begin, request)
        running: list[int] = []
        left: dict[int, int] = {}
        context: dict[int, int] = {}
        now, arrived, free, occupied = 0.0, 0, 0.0, 0
        total = len(self.start)
        idle_since = 0.0
        while arrived < total or queue or prefilled or running:
            while arrived < total and self.start[arrived] <= now:
                queue.append(arrived)
                arrived += 1
            while queue and occupied < s.slots:
                index = queue.popleft()
                begin = max(self.start[index], free, now if occupied else self.start[index])
                seconds, joules = law(int(self.fresh[index]))
                self.true_j[index] += joules
                if joules:
                    self.blocks.append((begin, begin + max(seconds, 1e-6), joules))
                free = begin + seconds
                occupied += 1
                heapq.heappush(prefilled, (free, index))
            while prefilled and prefilled[0][0] <= now:
                _, index = heapq.heappop(prefilled)
                self.first[index] = now
                if self.out[index] == 0:
                    self.end[index] = now
                    occupied -= 1
                    continue
                running.append(index)
                left[index], context[index] = int(self.out[index]), int(self.n[index])
            upcoming = min(
                prefilled[0][0] if prefilled else math.inf,
                self.start[arrived] if arrived < total and occupied < s.slots else math.inf,
            )
            if not running:
                if upcoming == math.inf:
                    continue
                if not prefilled:
                    self._rest(idle_since if idle_since else now, now, upcoming)
                now = max(now, upcoming)
                continue
            if s.stall and prefilled and free > now:
                upcoming = now = max(now, prefilled[0][0])
                continue
            size = len(running)
            tokens_per_step = 1.0 + (s.draft * self.rng.uniform(0.8, 1.2) if s.draft else 0.0)
            seconds = s.step_s + s.step_s_per_sequence * size
            steps = max(1, min(BLOCK, math.ceil(min(left[i] for i in running) / tokens_per_step)))
            if upcoming < math.inf:
                steps = max(1, min(steps, math.ceil((upcoming - now) / seconds)))
            share = 1.0 if not s.experts else 1.0 - math.exp(-size / s.experts)
            shared = s.step_j * share * steps / size
            joules = 0.0
            for i in running:
                tokens = min(steps * tokens_per_step, left[i])
                request_j = shared + tokens * s.token_j + s.context_j * tokens * (context[i] + tokens / 2) / 1000
                self.true_j[i] += request_j
                joules += request_j
                context[i] += int(tokens)
                left[i] -= math.ceil(tokens)
            self.blocks.append((now, now + steps * seconds, joules))
            now += steps * seconds
            idle_since = now
            for i in [i for i in running if left[i] <= 0]:
                running.remove(i)
                self.end[i] = now
                occupied -= 1
        return self.first, self.end

    def _rest(self, since: float, now: float, until: float) -> None:
        s = self.server
        if s.tail_w and s.tail_s:
            stop = min(until, now + s.tail_s)
            if stop > now:
                self.blocks.append((now, stop, s.tail_w * s.devices * (stop - now)))

    def _prefill_law(self, tokens: int) -> tuple[float, float]:
        s = self.server
        return s.prefill_s * tokens, s.prefill_j * tokens + s.prefill_square_j * tokens * tokens


def _energy_at(blocks: list[tuple[float, float, float]], at_s: Floats) -> Floats:
    """Cumulative energy [J] of blocks, which may overlap, at each time."""
    begin, end, joules = (np.array(column) for column in zip(*blocks, strict=True))
    power = joules / (end - begin)
    times = np.concatenate([begin, end])
    change = np.concatenate([power, -power])
    order = np.argsort(times, kind="stable")
    times, level = times[order], np.cumsum(change[order])
    energy = np.concatenate([[0.0], np.cumsum(level[:-1] * np.diff(times))])
    return np.interp(at_s, times, energy)


# --- measurements of the simulated server ---


def counters_j(day: Day, seed: int, *, gain: float = 0.03) -> Floats:
    """Cumulative energy [J] of each device at each second, shape (devices, 86401), with noise and a gain error per device."""
    rng = np.random.default_rng(seed + 7_000_003)
    s = day.server
    busy_w = np.where(day.above_j > 0, s.busy_w * s.devices, 0.0)
    power = (day.idle_j + day.above_j + busy_w) / s.devices
    result = np.zeros((s.devices, DAY_S + 1))
    for device in range(s.devices):
        read = power * (1 + rng.normal(0, s.noise, DAY_S)) * (1 + rng.uniform(-gain, gain))
        result[device, 1:] = np.cumsum(read)
    return result


def write_files(
    day: Day,
    folder: Path,
    *,
    host: str,
    service: str,
    begin_s: int,
    seed: int = 1,
    gain: float = 0.03,
    first_token: bool = False,
    name: str = "",
    places: tuple[str, ...] = (),
) -> tuple[Path, Path]:
    """Write the energy and request files of the contract; return their paths."""
    counters = counters_j(day, seed, gain=gain)
    energy, requests = folder / f"{name}energy.csv", folder / f"{name}requests.csv"
    with energy.open("w", encoding="utf-8") as out:
        out.write("time,host,device,component,energy_j\n")
        for device in range(day.server.devices):
            device_name = places[device] if places else f"gpu:{device}"
            out.writelines(
                f"{begin_s + second},{host},{device_name},gpu,{value:.6f}\n"
                for second, value in enumerate(counters[device].tolist())
            )
    with requests.open("w", encoding="utf-8") as out:
        out.write("start,end,first_token,service,use_case,requests,input_tokens,cached_input_tokens,output_tokens\n")
        for i in range(len(day.start_s)):
            first = f"{begin_s + day.first_s[i]:.3f}" if first_token else ""
            out.write(
                f"{begin_s + day.start_s[i]:.3f},{begin_s + day.end_s[i]:.3f},{first},{service},"
                f"{day.server.kinds[day.use_case[i]].name},1,{day.input_tokens[i]},{day.cached_tokens[i]},{day.output_tokens[i]}\n"
            )
    return energy, requests


# --- the kinds of server on which the step model was calibrated (docs/explanation/method.md, section 3) ---

_OFFICE = (
    Kind("chat", 24_000, 350, 260),
    Kind("documents", 12_000, 3800, 180, 0.5),
    Kind("code", 9000, 1500, 520, 0.8),
    Kind("classify", 30_000, 420, 6, 0.4),
    Kind("reports", 900, 6500, 1300, 0.4, "night"),
)
_SMALL = (
    Kind("autocomplete", 60_000, 700, 24, 0.5),
    Kind("chat", 20_000, 300, 220),
    Kind("extract", 12_000, 2200, 60, 0.6, "bursts"),
    Kind("reports", 700, 4200, 900, 0.4, "night"),
)
LARGE = Server(
    "large",
    _OFFICE,
    devices=4,
    idle_w=95.0,
    step_s=0.022,
    step_s_per_sequence=0.00015,
    step_j=27.0,
    token_j=0.37,
    context_j=0.06,
    prefill_s=0.00012,
    prefill_j=0.23,
    prefill_square_j=0.000012,
    slots=128,
)
SMALL = Server("small", _SMALL)


def _busier(server: Server, factor: float) -> tuple[Kind, ...]:
    return tuple(replace(kind, per_day=kind.per_day * factor) for kind in server.kinds)


VARIANTS: dict[str, Server] = {
    s.name: s
    for s in (
        LARGE,
        SMALL,
        replace(LARGE, name="weights-high", step_j=45.0, token_j=0.2),
        replace(LARGE, name="weights-low", step_j=8.0, token_j=0.8),
        replace(LARGE, name="context-high", context_j=0.35),
        replace(LARGE, name="context-none", context_j=0.0, prefill_square_j=0.0),
        replace(LARGE, name="prefill-slow", prefill_s=0.00025),
        replace(LARGE, name="low-load", kinds=_busier(LARGE, 0.15)),
        replace(LARGE, name="high-load", kinds=_busier(LARGE, 2.2)),
        replace(LARGE, name="saturated", slots=13),
        replace(LARGE, name="flat", kinds=tuple(replace(k, hours="flat", per_day=k.per_day * 1.7) for k in _OFFICE)),
        replace(LARGE, name="short", kinds=tuple(replace(k, output_median=max(k.output_median / 12, 2)) for k in _OFFICE)),
        replace(LARGE, name="experts", experts=16.0, step_j=60.0, token_j=0.3),
        replace(SMALL, name="experts-small", experts=8.0, step_j=8.0, kinds=_busier(SMALL, 2)),
        replace(LARGE, name="draft", draft=1.4),
        replace(
            LARGE,
            name="cache-unlogged",
            cache_logged=False,
            kinds=tuple(replace(k, cached=c) for k, c in zip(_OFFICE, (0.6, 0.2, 0.7, 0.0, 0.0), strict=True)),
        ),
        replace(
            LARGE,
            name="cache",
            kinds=tuple(replace(k, cached=c) for k, c in zip(_OFFICE, (0.6, 0.2, 0.7, 0.0, 0.0), strict=True)),
        ),
        replace(LARGE, name="busy-power", busy_w=60.0, step_j=20.0),
        replace(LARGE, name="stall", stall=True, prefill_s=0.0002),
        replace(LARGE, name="idle-drift", idle_drift=0.03),
        replace(SMALL, name="tail", tail_s=20.0, tail_w=30.0),
    )
}


def random_server(seed: int) -> Server:
    """A server with random size, load and use cases."""
    rng = np.random.default_rng(seed + 99_991)
    large = rng.random() < 0.5
    base = LARGE if large else SMALL
    load = float(np.exp(rng.uniform(np.log(0.3), np.log(1.6))))
    kinds = tuple(
        Kind(
            f"use-{number}",
            float(np.exp(rng.uniform(np.log(300), np.log(8000)))) * load,
            float(np.exp(rng.uniform(np.log(80), np.log(6000)))),
            float(np.exp(rng.uniform(np.log(4), np.log(900)))),
            float(rng.uniform(0.3, 0.9)),
            str(rng.choice(["office", "office", "night", "flat", "bursts"])),
            float(rng.choice([0.0, 0.0, 0.5])),
        )
        for number in range(int(rng.integers(3, 7)))
    )
    return replace(
        base,
        name=f"random-{seed}",
        kinds=kinds,
        devices=int(rng.choice([1, 2, 4])) if large else 1,
        idle_w=float(rng.uniform(50, 120)),
        step_s=base.step_s * float(rng.uniform(0.6, 1.6)),
        step_j=base.step_j * float(rng.uniform(0.4, 1.8)),
        token_j=base.token_j * float(rng.uniform(0.5, 2.5)),
        context_j=base.context_j * float(rng.choice([0.0, 0.5, 1.0, 4.0])),
        prefill_s=base.prefill_s * float(rng.uniform(0.5, 3)),
        prefill_j=base.prefill_j * float(rng.uniform(0.4, 1.8)),
        slots=int(rng.choice([12, 24, 64, 256])),
        experts=float(rng.choice([0.0, 0.0, 0.0, 8.0, 20.0])),
        stall=bool(rng.random() < 0.2),
        draft=float(rng.choice([0.0, 0.0, 0.0, 1.2])),
        noise=float(rng.uniform(0.01, 0.03)),
    )
