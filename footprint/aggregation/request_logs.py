"""Request logs of services around a day, as attribution takes them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from footprint.aggregation.bounded_cache import BoundedCache
from footprint.aggregation.fleet import Fleet
from footprint.aggregation.odd_requests import bound_odd_requests
from footprint.attribution.array_types import Ints
from footprint.attribution.request_log import RequestLog, build_request_log
from footprint.attribution.token_weights import token_weight
from footprint.config import Config
from footprint.core.request_checks import WITHOUT_WORK
from footprint.core.units import US_PER_HOUR, US_PER_S
from footprint.ledger.ledger_view import LedgerView, RequestColumns

if TYPE_CHECKING:
    from footprint.aggregation.step_fits import StepFits

MAX_CACHED_REQUESTS = 600_000  # about 150 bytes each
WASTED = ("error", "cancelled")  # statuses of requests whose energy served nobody
REPEATED = "attempt"  # in place of a status: attempts that another one answered


@dataclass(frozen=True, slots=True)
class ServiceLog:
    """Log of a service over some time, with the (use case, model) of each of its keys.

    ``wasted`` holds, by status, the positions in the log of requests that served nobody; ``doubted`` are those in quarantine.
    ``host`` is the index in ``hosts`` of
    the replica that a request names, -1 where it names none.
    """

    keys: tuple[tuple[str, str], ...]
    log: RequestLog
    wasted: dict[str, Ints]
    hosts: tuple[str, ...] = ()
    host: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    doubted: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def part(self, chosen: NDArray[np.bool_]) -> ServiceLog:
        """The chosen requests."""
        position = np.cumsum(chosen) - 1
        wasted = {status: position[index[chosen[index]]] for status, index in self.wasted.items()}
        return ServiceLog(self.keys, self.log[chosen], wasted, self.hosts, self.host[chosen], self.doubted[chosen])


class ServiceLogs:
    """Logs of services, the latest ones cached: every host of a service needs the same."""

    def __init__(self, view: LedgerView, config: Config) -> None:
        self._view, self._config = view, config
        self._cached = BoundedCache[tuple[str, int, int], ServiceLog](MAX_CACHED_REQUESTS, lambda log: len(log.log))
        # The whole log beside a part keeps its id from being used again.
        self._parts = BoundedCache[tuple[int, str, tuple[str, ...]], tuple[ServiceLog, ServiceLog]](
            MAX_CACHED_REQUESTS, lambda pair: len(pair[1].log)
        )

    @functools.cached_property
    def fleet(self) -> Fleet:
        """Hosts of the run."""
        return Fleet(self._view, self._config)

    @functools.cached_property
    def fits(self) -> StepFits:
        """Fits of the services of the run, shared by all hosts."""
        from footprint.aggregation.step_fits import StepFits  # noqa: PLC0415 - fits read logs

        return StepFits(self.fleet, self)

    def between(self, service: str, start_us: int, end_us: int) -> ServiceLog:
        """Requests in flight in [start, end), which is widened to whole hours."""
        start_us -= start_us % US_PER_HOUR
        end_us += -end_us % US_PER_HOUR
        return self._cached.get((service, start_us, end_us), lambda: self._read(service, start_us, end_us))

    def of_host(self, whole: ServiceLog, host: str, hosts: tuple[str, ...]) -> ServiceLog:
        """Requests of one of the hosts of a service; one that names none of them goes where the one before it went."""
        return self._parts.get((id(whole), host, hosts), lambda: (whole, _part_of_host(whole, host, hosts)))[1]

    def _read(self, service: str, start_us: int, end_us: int) -> ServiceLog:
        requests = self._working(bound_odd_requests(self._view.requests(service, start_us, end_us)))
        keys, key = request_keys(self._view, self._config, service, requests)
        log = build_request_log(
            requests.start_us,
            requests.end_us,
            key,
            requests.requests,
            requests.input_tokens,
            requests.cached_input_tokens,
            requests.output_tokens,
            requests.first_token_us,
            self._config.window_s * US_PER_S,
            token_weight(requests.input_tokens, requests.cached_input_tokens, requests.output_tokens),
        )
        statuses = self._view.store.texts(self._view.connection, np.unique(requests.status).tolist())
        answered = requests.superseded == 0
        wasted = {
            text: np.flatnonzero((requests.status == number) & answered) for number, text in statuses.items() if text in WASTED
        }
        if not answered.all():
            wasted[REPEATED] = np.flatnonzero(~answered)
        hosts, host = self._replicas(service, requests)
        return ServiceLog(keys, log, wasted, hosts, host, requests.doubt > 0)

    def _working(self, requests: RequestColumns) -> RequestColumns:
        """Requests that a model worked on: without answers from a cache, checks and evaluations."""
        statuses = self._view.store.texts(self._view.connection, np.unique(requests.status).tolist())
        idle = [number for number, text in statuses.items() if text in WITHOUT_WORK]
        return requests[~np.isin(requests.status, idle)] if idle else requests

    def _replicas(self, service: str, requests: RequestColumns) -> tuple[tuple[str, ...], Ints]:
        """Hosts that requests name, and the index of each request's, -1 without a name."""
        numbers, index = np.unique(requests.replica, return_inverse=True)
        texts = self._view.store.texts(self._view.connection, numbers[numbers >= 0].tolist())
        replicas = {name: host for fact in self._config.services if fact.name == service for name, host in fact.replicas}
        named = [texts[number] if number >= 0 else "" for number in numbers.tolist()]
        hosts = tuple(replicas.get(name, name) for name in named)
        return hosts, np.where(numbers[index] >= 0, index, -1) if len(numbers) else np.zeros(0, dtype=np.int64)


def _part_of_host(whole: ServiceLog, host: str, hosts: tuple[str, ...]) -> ServiceLog:
    number = np.array([hosts.index(name) if name in hosts else -1 for name in whole.hosts] + [-1], dtype=np.int64)
    serving = number[whole.host]
    latest = np.maximum.accumulate(np.where(serving >= 0, np.arange(len(serving)), -1))
    serving = np.where(latest >= 0, serving[np.maximum(latest, 0)], 0)
    return whole.part(serving == (hosts.index(host) if host in hosts else -1))


def request_keys(
    view: LedgerView, config: Config, service: str, requests: RequestColumns
) -> tuple[tuple[tuple[str, str], ...], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Distinct (use case, model) of requests, sorted, and the index of each request's pair.

    A request without a model takes the one declared for its service at its start.
    """
    pairs, pair_index = np.unique(np.stack([requests.use_case, requests.model]), axis=1, return_inverse=True)
    texts = view.store.texts(view.connection, np.unique(pairs).tolist())
    use_cases = [texts[number] for number in pairs[0].tolist()]
    models = [texts[number] for number in pairs[1].tolist()]
    pair_index = pair_index.ravel()
    names: dict[tuple[str, str], int] = {}
    key = np.zeros(len(requests), dtype=np.int64)
    for index, (use_case, model) in enumerate(zip(use_cases, models, strict=True)):
        of_pair = np.flatnonzero(pair_index == index)
        for declared, rows in _declared_models(config, service, model, of_pair, requests.start_us):
            key[rows] = names.setdefault((use_case, declared), len(names))
    order = sorted(names)
    renumber = np.zeros(max(len(names), 1), dtype=np.int64)
    for new, name in enumerate(order):
        renumber[names[name]] = new
    return tuple(order), renumber[key]


def _declared_models(config: Config, service: str, model: str, rows: Ints, start_us: Ints) -> list[tuple[str, Ints]]:
    if model:
        return [(model, rows)]
    facts = [fact for fact in config.services if fact.name == service]
    undeclared, parts = np.ones(len(rows), dtype=bool), []
    for fact in facts:
        is_valid = (start_us[rows] >= fact.since_us) & (start_us[rows] < fact.until_us)
        parts.append((fact.model, rows[is_valid]))
        undeclared &= ~is_valid
    parts.append(("", rows[undeclared]))
    return [(name, part) for name, part in parts if len(part)]
