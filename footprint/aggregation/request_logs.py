"""Request logs of services around a day, as attribution takes them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from footprint.attribution.array_types import Ints
from footprint.attribution.request_log import RequestLog, build_request_log
from footprint.attribution.token_weights import token_weight
from footprint.config import Config
from footprint.core.units import US_PER_HOUR, US_PER_S
from footprint.ledger.ledger_view import LedgerView, RequestColumns

_MAX_CACHED_LOGS = 64
WASTED = ("error", "cancelled")  # statuses of requests whose energy served nobody


@dataclass(frozen=True, slots=True)
class ServiceLog:
    """Log of a service over some time, with the (use case, model) of each of its keys.

    ``wasted`` holds, by status, the positions in the log of requests that served nobody.
    """

    keys: tuple[tuple[str, str], ...]
    log: RequestLog
    wasted: dict[str, Ints]


class ServiceLogs:
    """Logs of services, the latest ones cached: every host of a service needs the same."""

    def __init__(self, view: LedgerView, config: Config) -> None:
        self._view, self._config = view, config
        self._cached: OrderedDict[tuple[str, int, int], ServiceLog] = OrderedDict()

    def between(self, service: str, start_us: int, end_us: int) -> ServiceLog:
        """Requests in flight in [start, end), which is widened to whole hours."""
        start_us -= start_us % US_PER_HOUR
        end_us += -end_us % US_PER_HOUR
        key = service, start_us, end_us
        if key not in self._cached:
            self._cached[key] = self._read(service, start_us, end_us)
            while len(self._cached) > _MAX_CACHED_LOGS:
                self._cached.popitem(last=False)
        self._cached.move_to_end(key)
        return self._cached[key]

    def _read(self, service: str, start_us: int, end_us: int) -> ServiceLog:
        requests = self._view.requests(service, start_us, end_us)
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
        wasted = {text: np.flatnonzero(requests.status == number) for number, text in statuses.items() if text in WASTED}
        return ServiceLog(keys, log, wasted)


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
