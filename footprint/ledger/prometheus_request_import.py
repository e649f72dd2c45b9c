"""This file turns a gateway's own counters, as a Prometheus scraped them, into windows of requests by model and use case.

For sites that keep no log of requests. Between two scrapes is one window. A counter that falls was begun anew, and what it
says then happened since; a series that appears between two scrapes began at nothing. Restarts lose at most what was
counted after the last scrape.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from footprint.config import Config
from footprint.core.prometheus_metrics import ExporterMetric, metrics_named
from footprint.core.records import RequestRecord
from footprint.ledger.importers import ImportResult, import_request_records
from footprint.ledger.prometheus_import import LOOK_BACK_US, Fetch, fetch_samples, http_fetcher, metric_names
from footprint.ledger.request_file import UNKNOWN_USE_CASE
from footprint.storage.database import Store

REQUEST_QUANTITY_PREFIX = "asked_"
ModelAndUseCase = tuple[str, str]  # model, use case


@dataclass(slots=True)
class _GatewayCounters:
    """One gateway: when it was scraped, and what its counters gained by scrape, of whom and of what."""

    scrapes: set[int] = field(default_factory=set)
    series: list[tuple[ModelAndUseCase, str, list[tuple[int, int]]]] = field(default_factory=list)


def import_gateway_counters(
    store: Store, config: Config, url: str, from_us: int, to_us: int, now_us: int, fetch: Fetch | None = None
) -> ImportResult:
    """Windows of [from, to) of every gateway that the server scraped.

    Raises
    ------
    SourceUnavailable
        If the server does not answer.
    """
    ask = fetch or http_fetcher(url)
    wanted = [
        name for name in metric_names(ask, from_us, to_us, "") if any(_counts_requests(entry) for entry in metrics_named(name))
    ]
    gateways: dict[str, _GatewayCounters] = defaultdict(_GatewayCounters)
    for name in wanted:
        for labels, points in fetch_samples(ask, name, from_us - LOOK_BACK_US, to_us):
            for entry in filter(_counts_requests, metrics_named(name)):
                _add(gateways, entry, labels, points)
    serving = partial(_service_of_model, config.services_of_model)
    records = [
        record
        for instance, gateway in sorted(gateways.items())
        for record in request_windows(instance, gateway, from_us, serving)
    ]
    return import_request_records(store, f"{url} gateways", records, np.arange(len(records), dtype=np.int64), now_us)


def _counts_requests(entry: ExporterMetric) -> bool:
    return entry.quantity.startswith(REQUEST_QUANTITY_PREFIX)


def _add(
    gateways: dict[str, _GatewayCounters], entry: ExporterMetric, labels: Mapping[str, str], points: list[tuple[int, float]]
) -> None:
    gateway = gateways[labels.get("instance", "")]
    gateway.scrapes.update(at_us for at_us, _ in points)
    if entry.where is not None and not entry.where[1].fullmatch(labels.get(entry.where[0], "")):
        return
    use_case = next((labels[name] for name in entry.identity if labels.get(name) not in (None, "", "None")), UNKNOWN_USE_CASE)
    whose = labels.get("requested_model", ""), use_case
    values = [(at_us, round(value)) for at_us, value in points]
    gateway.series.append((whose, entry.quantity.removeprefix(REQUEST_QUANTITY_PREFIX), values))


def _service_of_model(services_of_model: Callable[[str], set[str]], model: str) -> str:
    found = services_of_model(model)
    return next(iter(found)) if len(found) == 1 else model


def request_windows(
    instance: str, gateway: _GatewayCounters, from_us: int, serving: Callable[[str], str]
) -> Iterator[RequestRecord]:
    """Windows that end from ``from_us`` on, by model and use case."""
    scrapes = sorted(gateway.scrapes)
    gained: dict[ModelAndUseCase, dict[int, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for whose, measure, points in gateway.series:
        before: int | None = 0 if points and scrapes and points[0][0] > scrapes[0] else None
        for at_us, value in points:
            if before is not None:
                gained[whose][at_us][measure] += value - before if value >= before else value
            before = value
    for (model, use_case), by_time in sorted(gained.items()):
        yield from _windows_of_use_case(instance, model, use_case, by_time, scrapes, from_us, serving(model))


def _windows_of_use_case(
    instance: str,
    model: str,
    use_case: str,
    by_time: Mapping[int, Mapping[str, int]],
    scrapes: list[int],
    from_us: int,
    service: str,
) -> Iterator[RequestRecord]:
    # Tokens may be counted a scrape before their request is: they wait for it.
    waiting: dict[str, int] = defaultdict(int)
    start_us = scrapes[0]
    for before_us, at_us in itertools.pairwise(scrapes):
        found = by_time.get(at_us, {})
        if not any(waiting.values()):
            start_us = before_us
        for measure, value in found.items():
            waiting[measure] += value
        if not waiting["requests"]:
            continue
        if at_us >= from_us:
            cached, given = waiting["cached_input_tokens"], waiting["input_tokens"]
            yield RequestRecord(
                start_us,
                service,
                use_case,
                at_us,
                model=model,
                requests=waiting["requests"],
                input_tokens=given,
                cached_input_tokens=min(cached, given) if cached else None,
                output_tokens=waiting["output_tokens"],
                id=f"{instance}/{model}/{use_case}/{at_us}",
            )
        waiting.clear()
