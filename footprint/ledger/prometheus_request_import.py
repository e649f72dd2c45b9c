"""Gateway counter import: request windows by model and use case from the counters that Prometheus scraped.

For sites without a request log. Each pair of scrapes is one window. A counter that falls was reset, and its new value counts
from zero; a series that appears between two scrapes started at zero. A restart loses at most the counts after the last scrape.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from footprint.config import Config
from footprint.config.models import OWN_SERVICE, OWN_SERVICE_RESERVED
from footprint.core.limits import Reject, personal_name_fault
from footprint.core.prometheus_metrics import ExporterMetric, metrics_named
from footprint.core.records import BadLine, RequestRecord, check_record
from footprint.ledger.importers import ImportResult, import_request_records
from footprint.ledger.prometheus_import import (
    LOOK_BACK_US,
    Fetch,
    Remarks,
    fetch_samples,
    http_fetcher,
    metric_names,
    without_credentials,
)
from footprint.ledger.request_file import UNKNOWN_USE_CASE
from footprint.storage.database import Store

REQUEST_QUANTITY_PREFIX = "asked_"
ModelAndUseCase = tuple[str, str]


@dataclass(slots=True)
class _GatewayCounters:
    """Counters of one gateway: scrape instants [µs], and (model and use case, measure, points) of each series."""

    scrapes: set[int] = field(default_factory=set)
    series: list[tuple[ModelAndUseCase, str, list[tuple[int, int]]]] = field(default_factory=list)


def import_gateway_counters(
    store: Store,
    config: Config,
    url: str,
    from_us: int,
    to_us: int,
    now_us: int,
    fetch: Fetch | None = None,
    remarks: Remarks | None = None,
) -> ImportResult:
    """Import the request windows in [from, to) of every gateway that the server scraped.

    Raises
    ------
    SourceUnavailable
        If the server does not answer.
    """
    send = fetch or http_fetcher(url)
    names = [
        name for name in metric_names(send, from_us, to_us, "") if any(_counts_requests(metric) for metric in metrics_named(name))
    ]
    gateways: dict[str, _GatewayCounters] = defaultdict(_GatewayCounters)
    for name in names:
        for labels, points in fetch_samples(send, name, from_us - LOOK_BACK_US, to_us, remarks):
            for metric in filter(_counts_requests, metrics_named(name)):
                _add(gateways, metric, labels, points)
    service_of = partial(_service_of_model, config.services_of_model)
    records = [
        record
        for instance, gateway in sorted(gateways.items())
        for record in request_windows(instance, gateway, from_us, service_of)
    ]
    lines = np.arange(len(records), dtype=np.int64)
    rejects, accepted, mended = [], [], Counter[str]()
    for line, record in enumerate(records):
        try:
            if not record.service:
                raise BadLine("service", "empty, and so is the model")
            if record.service == OWN_SERVICE:
                raise BadLine("service", OWN_SERVICE_RESERVED)
            records[line] = check_record(record, now_us, mended)
        except BadLine as error:
            rejects.append(Reject(line, error.column, error.reason))
        else:
            accepted.append(line)
    taken = [records[line] for line in accepted]
    return import_request_records(store, f"{without_credentials(url)} gateways", taken, lines[accepted], now_us, rejects, mended)


def _counts_requests(metric: ExporterMetric) -> bool:
    return metric.quantity.startswith(REQUEST_QUANTITY_PREFIX)


def _add(
    gateways: dict[str, _GatewayCounters], metric: ExporterMetric, labels: Mapping[str, str], points: list[tuple[int, float]]
) -> None:
    gateway = gateways[labels.get("instance", "")]
    gateway.scrapes.update(at_us for at_us, _ in points)
    if not metric.is_of(labels):
        return
    names = (labels[name] for name in metric.identity if labels.get(name) not in (None, "", "None"))
    use_case = next((name for name in names if not personal_name_fault(name)), UNKNOWN_USE_CASE)
    model_and_use_case = labels.get("requested_model", ""), use_case
    values = [(at_us, round(value)) for at_us, value in points]
    gateway.series.append((model_and_use_case, metric.quantity.removeprefix(REQUEST_QUANTITY_PREFIX), values))


def _service_of_model(services_of_model: Callable[[str], set[str]], model: str) -> str:
    services = services_of_model(model) if model else set()
    return next(iter(services)) if len(services) == 1 else model


def request_windows(
    instance: str, gateway: _GatewayCounters, from_us: int, service_of: Callable[[str], str]
) -> Iterator[RequestRecord]:
    """Request windows that end at or after ``from_us``, by model and use case."""
    scrapes = sorted(gateway.scrapes)
    increments: dict[ModelAndUseCase, dict[int, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for model_and_use_case, measure, points in gateway.series:
        previous: int | None = 0 if points and scrapes and points[0][0] > scrapes[0] else None
        for at_us, value in points:
            if previous is not None:
                increments[model_and_use_case][at_us][measure] += value - previous if value >= previous else value
            previous = value
    for (model, use_case), by_time in sorted(increments.items()):
        yield from _windows_of_use_case(instance, model, use_case, by_time, scrapes, from_us, service_of(model))


def _windows_of_use_case(
    instance: str,
    model: str,
    use_case: str,
    by_time: Mapping[int, Mapping[str, int]],
    scrapes: list[int],
    from_us: int,
    service: str,
) -> Iterator[RequestRecord]:
    # Tokens may be counted a scrape before their request, so they are pending until then.
    pending: dict[str, int] = defaultdict(int)
    start_us = scrapes[0]
    for before_us, at_us in itertools.pairwise(scrapes):
        increments = by_time.get(at_us, {})
        if not any(pending.values()):
            start_us = before_us
        for measure, value in increments.items():
            pending[measure] += value
        if not pending["requests"]:
            continue
        if at_us >= from_us:
            cached_tokens, input_tokens = pending["cached_input_tokens"], pending["input_tokens"]
            yield RequestRecord(
                start_us,
                service,
                use_case,
                at_us,
                model=model,
                requests=pending["requests"],
                input_tokens=input_tokens,
                cached_input_tokens=min(cached_tokens, input_tokens) if cached_tokens else None,
                output_tokens=pending["output_tokens"],
                id=f"{instance}/{model}/{use_case}/{at_us}",
            )
        pending.clear()
