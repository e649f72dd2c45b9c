"""Simulated replicas: one stream of requests that a balancer spreads over several hosts of one service."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tests.simulation.server import DAY_S, Day, Kind, Server, draw_requests, serve

DRAIN_S = 300  # before a host leaves, it gets no requests


@dataclass(frozen=True)
class Fleet:
    """Hosts of one service: ``load`` is each host's part of the requests, ``slowness`` the factor of its times.

    ``leaves_s`` is when the last host leaves [s of the day].
    """

    server: Server
    load: tuple[float, ...]
    slowness: tuple[float, ...] = ()
    leaves_s: float = DAY_S


def busier(server: Server, factor: float) -> Server:
    """The server with ``factor`` times its requests."""
    kinds: tuple[Kind, ...] = tuple(replace(kind, per_day=kind.per_day * factor) for kind in server.kinds)
    return replace(server, kinds=kinds)


@lru_cache(maxsize=4)
def simulate_fleet(fleet: Fleet, seed: int) -> list[Day]:
    """A day of each host."""
    rng = np.random.default_rng(seed)
    requests = draw_requests(fleet.server, rng)
    load = np.array(fleet.load) / sum(fleet.load)
    host = rng.choice(len(load), len(requests.start_s), p=load)
    leaving = (host == len(load) - 1) & (requests.start_s > fleet.leaves_s - DRAIN_S)
    host[leaving] = rng.choice(len(load) - 1, int(leaving.sum()), p=load[:-1] / load[:-1].sum()) if leaving.any() else 0
    days = []
    for number, factor in enumerate(fleet.slowness or (1.0,) * len(load)):
        law = replace(fleet.server, step_s=fleet.server.step_s * factor, prefill_s=fleet.server.prefill_s * factor)
        days.append(serve(law, requests[host == number], rng))
    return days
