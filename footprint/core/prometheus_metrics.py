"""Prometheus metrics of known exporters: energy and power of devices, requests and tokens of inference servers. Pure.

The table is ``data/exporters.csv``: for each metric name its unit, kind, wrap range, device label, duplicate rule and
overlap group. Two exporters of one group on one host would count its energy twice, so they are refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice

from footprint.core.records import FootprintError
from footprint.core.resources import data_path
from footprint.core.units import PJ_PER_UJ, UJ_PER_J, US_PER_S

# Of the pseudo-device of an inference server's own counters, by model and instance.
SERVER_DEVICE_PREFIX = "served:"
HOST_LABELS = ("hostname", "Hostname", "node_name", "node", "host", "exported_instance", "instance")
# DCGM's blank values start at 0x7ffffffffffffff0; no real counter of energy comes close.
_BLANK = 9.2e18
REFRESH_US = US_PER_S // 4


class OverlappingExporters(FootprintError):
    """Two exporters report the same energy of one host."""


class SourceUnavailable(FootprintError):
    """A server that cannot be reached, or does not answer like Prometheus."""


@dataclass(frozen=True, slots=True)
class ExporterMetric:
    """One row of the table; ``micro`` is the factor from the metric's unit to µJ or µW."""

    exporter: str
    name: re.Pattern[str]
    quantity: str
    kind: str
    micro: int
    component: str
    device: str
    identity: tuple[str, ...]
    where: tuple[str, re.Pattern[str]] | None
    duplicates: str
    group: str
    wrap_uj: int | None
    limit_uw: int

    def device_of(self, labels: Mapping[str, str]) -> str | None:
        """Device that a series belongs to; None if the metric is not one of a device, or its condition excludes the series."""
        if self.quantity.startswith("asked_") or self.kind == "delta":
            # Counters of a gateway (ledger.prometheus_request_import), or deltas, of which a missed sample is lost for good.
            return None
        if self.where is not None and not self.where[1].fullmatch(labels.get(self.where[0], "")):
            return None
        if self.device:
            return re.sub(r"\{(\w+)\}", lambda match: labels.get(match[1], ""), self.device).rstrip(":") or None
        return next((labels[name] for name in self.identity if labels.get(name)), None)

    def rank(self, labels: Mapping[str, str]) -> int:
        """Preference among series that show one device through several interfaces; the lowest rank counts."""
        kind, _, preferred = self.duplicates.partition(":")
        return 0 if kind != "prefer" or preferred in labels.get("path", preferred) else 1

    def combine(self, first: int, second: int) -> int:
        """Value of a device from two series of equal rank at one instant."""
        return first + second if self.duplicates == "sum" else max(first, second)

    def to_micro(self, value: float) -> int | None:
        """Value in whole µJ or µW; None for blanks, NaN, negative values, and the zero of a wall meter without a reading."""
        if not 0 <= value < _BLANK or (self.kind == "gauge" and self.group == "wall" and value == 0):
            return None
        micro = round(value * self.micro)
        return None if self.kind == "gauge" and micro > self.limit_uw else micro


@cache
def exporter_metrics() -> tuple[ExporterMetric, ...]:
    """All rows of the table."""
    with data_path("exporters.csv").open(encoding="utf-8", newline="") as file:
        return tuple(map(_exporter_metric, csv.DictReader(file)))


def _exporter_metric(row: dict[str, str]) -> ExporterMetric:
    label, _, pattern = row["where"].partition("=")
    return ExporterMetric(
        row["exporter"],
        re.compile(row["name"]),
        row["quantity"],
        row["kind"],
        int(row["to_micro"]),
        row["component"],
        row["device"],
        tuple(filter(None, row["identity"].split("|"))),
        (label, re.compile(pattern)) if label else None,
        row["duplicates"],
        row["group"],
        round(float(row["wrap_j"]) * UJ_PER_J) if row["wrap_j"] else None,
        int(row["limit_w"]) * UJ_PER_J,
    )


@lru_cache(4096)
def metrics_named(name: str) -> tuple[ExporterMetric, ...]:
    """Rows of the table for an exact metric name; empty if the name is unknown."""
    return tuple(metric for metric in exporter_metrics() if metric.name.fullmatch(name))


def series_host(labels: Mapping[str, str], host_label: str = "") -> str:
    """Host of a series, without port: from the given label, else from the first usual one."""
    host = labels.get(host_label, "") if host_label else next((labels[name] for name in HOST_LABELS if labels.get(name)), "")
    return re.sub(r":\d+$", "", host)


def check_overlap(exporters_by_group: Mapping[tuple[str, str], set[str]]) -> None:
    """Refuse two exporters that report one group of one host; ``exporters_by_group`` has them by (host, group).

    Raises
    ------
    Overlap
        If there are.
    """
    for (host, group), exporters in sorted(exporters_by_group.items()):
        if group and len(exporters) > 1:
            raise OverlappingExporters(
                f"{host}: {' and '.join(sorted(exporters))} both show its {group}; they would be counted twice. "
                "Choose one with --exporter"
            )


@dataclass(frozen=True, slots=True)
class CorrectedCounter:
    """State of a corrected counter: last raw value [µJ] and instant [µs], corrected value [µJ] and start of its epoch [µs]."""

    raw_uj: int
    at_us: int
    value_uj: int
    epoch_us: int


def start_counter(raw_uj: int, at_us: int) -> CorrectedCounter:
    """Counter at its first sample, which starts the epoch."""
    return CorrectedCounter(raw_uj, at_us, raw_uj, at_us)


def update_counter(before: CorrectedCounter, raw_uj: int, at_us: int, metric: ExporterMetric) -> CorrectedCounter:
    """Counter after one more raw sample: a wrap is undone if it is unambiguous, else a new epoch starts."""
    elapsed_us = at_us - before.at_us
    max_uj = metric.limit_uw * (elapsed_us + REFRESH_US) // PJ_PER_UJ
    delta = raw_uj - before.raw_uj
    if delta < 0 and metric.wrap_uj is not None:
        delta += metric.wrap_uj
    is_ambiguous = metric.wrap_uj is not None and max_uj >= metric.wrap_uj  # it may have wrapped more than once
    if is_ambiguous or not 0 <= delta <= max_uj:
        return start_counter(raw_uj, at_us)
    return CorrectedCounter(raw_uj, at_us, before.value_uj + delta, before.epoch_us)


Series = tuple[str, dict[str, str], float]
MAX_SERIES = 20_000  # of wanted names in one exposition
# Each expression is anchored and possessive: it reads a character once, so a line costs its length and no more.
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*+")
_LABEL = re.compile(r'[ \t]*+([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"([^"\\]*+(?:\\.[^"\\]*+)*+)"[ \t]*+(,|(?=\}))')
_VALUE = re.compile(r"[ \t]*+([-+0-9.eEinfINFtyaA]++)(?:[ \t]++-?[0-9.]++)?[ \t]*+(?:#.*+)?")
_ESCAPE = re.compile(r'\\[\\"n]')
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def parse_exposition(text: str, is_wanted: Callable[[str], object] = bool) -> Iterator[Series]:
    """Name, labels and value of the samples of a Prometheus text whose name is wanted; malformed lines are skipped.

    The name decides before the rest of a line is read. At most ``MAX_SERIES`` samples are given.
    """
    samples = (sample for line in text.split("\n") if (sample := _parse_sample(line.strip(" \t\r"), is_wanted)) is not None)
    yield from islice(samples, MAX_SERIES)


def _parse_sample(line: str, is_wanted: Callable[[str], object]) -> Series | None:
    name = _NAME.match(line)
    if name is None or not is_wanted(name[0]):
        return None
    labels: dict[str, str] = {}
    position = name.end()
    if line.startswith("{", position):
        position += 1
        while not line.startswith("}", position):
            label = _LABEL.match(line, position)
            if label is None:
                return None
            labels[label[1]] = _ESCAPE.sub(lambda escape: _ESCAPES[escape[0]], label[2])
            position = label.end()
        position += 1
    elif not line.startswith((" ", "\t"), position):
        return None
    value = _VALUE.fullmatch(line, position)
    try:
        return None if value is None else (name[0], labels, float(value[1]))
    except ValueError:
        return None
