"""This file knows what other programs' metrics mean: one table by exact name, and the traps of each. Pure.

Energy and power of devices, and the tokens and requests that inference servers counted themselves.

The table is ``data/exporters.csv``: unit, kind, wrap range, identity, which of several rows counts, and the overlap
group. Two exporters that show one group of one host would count it twice: they are refused, never added.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from footprint.core.records import FootprintError
from footprint.core.resources import data_path
from footprint.core.units import PJ_PER_UJ, UJ_PER_J, US_PER_S

SERVER_DEVICE_PREFIX = "served:"  # devices that are no devices: an inference server's own counters, by model and instance
HOST_LABELS = ("hostname", "Hostname", "node_name", "node", "host", "exported_instance", "instance")
# DCGM's blanks (0x7ffffffffffffff0 and after) and everything else that no counter of energy reaches.
_BLANK = 9.2e18
REFRESH_US = US_PER_S // 4


class OverlappingExporters(FootprintError):
    """Two exporters that show the same energy of one host."""


class SourceUnavailable(FootprintError):
    """A server that cannot be reached or does not answer as Prometheus does."""


@dataclass(frozen=True, slots=True)
class ExporterMetric:
    """One row of the table; ``micro`` turns a value into µJ or µW."""

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
        """Name of the device that a series is of, None where the entry does not hold for it, or is of no device."""
        if self.quantity.startswith("asked_") or self.kind == "delta":
            return None  # a gateway's counters (ledger.prometheus_requests); or what a missed sample would lose for good
        if self.where is not None and not self.where[1].fullmatch(labels.get(self.where[0], "")):
            return None
        if self.device:
            return re.sub(r"\{(\w+)\}", lambda found: labels.get(found[1], ""), self.device).rstrip(":") or None
        return next((labels[name] for name in self.identity if labels.get(name)), None)

    def rank(self, labels: Mapping[str, str]) -> int:
        """Of rows that show one device through several interfaces, those with the lowest rank count."""
        kind, _, wanted = self.duplicates.partition(":")
        return 0 if kind != "prefer" or wanted in labels.get("path", wanted) else 1

    def together(self, first: int, second: int) -> int:
        """One value of two rows that show one device at one instant."""
        return first + second if self.duplicates == "sum" else max(first, second)

    def value_of(self, value: float) -> int | None:
        """A value in whole µJ or µW; None for what is none: blanks, NaN, negatives, and the zero of a meter that says nothing."""
        if not 0 <= value < _BLANK or (self.kind == "gauge" and self.group == "wall" and value == 0):
            return None
        found = round(value * self.micro)
        return None if self.kind == "gauge" and found > self.limit_uw else found


@cache
def exporter_metrics() -> tuple[ExporterMetric, ...]:
    """The table, as shipped."""
    with data_path("exporters.csv").open(encoding="utf-8", newline="") as file:
        return tuple(map(_entry, csv.DictReader(file)))


def _entry(row: dict[str, str]) -> ExporterMetric:
    where, _, wanted = row["where"].partition("=")
    return ExporterMetric(
        row["exporter"],
        re.compile(row["name"]),
        row["quantity"],
        row["kind"],
        int(row["to_micro"]),
        row["component"],
        row["device"],
        tuple(filter(None, row["identity"].split("|"))),
        (where, re.compile(wanted)) if where else None,
        row["duplicates"],
        row["group"],
        round(float(row["wrap_j"]) * UJ_PER_J) if row["wrap_j"] else None,
        int(row["limit_w"]) * UJ_PER_J,
    )


def metrics_named(name: str) -> list[ExporterMetric]:
    """Entries of a metric's exact name; none for a name that is not in the table."""
    return [entry for entry in exporter_metrics() if entry.name.fullmatch(name)]


def series_host(labels: Mapping[str, str], given: str = "") -> str:
    """The host of a series: the label named, else the first usual one; a port is left out."""
    found = labels.get(given, "") if given else next((labels[name] for name in HOST_LABELS if labels.get(name)), "")
    return re.sub(r":\d+$", "", found)


def check_overlap(seen: Mapping[tuple[str, str], set[str]]) -> None:
    """Refuse two exporters for one group of one host; ``seen`` names exporters by host and group.

    Raises
    ------
    Overlap
        If there are.
    """
    for (host, group), exporters in sorted(seen.items()):
        if group and len(exporters) > 1:
            raise OverlappingExporters(
                f"{host}: {' and '.join(sorted(exporters))} both show its {group}; they would be counted twice. "
                "Choose one with --exporter"
            )


@dataclass(frozen=True, slots=True)
class CorrectedCounter:
    """A raw counter followed so far: its last raw value and instant [µJ, µs], and the corrected value in its epoch."""

    raw_uj: int
    at_us: int
    value_uj: int
    epoch_us: int


def start_counter(raw_uj: int, at_us: int) -> CorrectedCounter:
    """A counter at its first sample, which names the epoch."""
    return CorrectedCounter(raw_uj, at_us, raw_uj, at_us)


def update_counter(before: CorrectedCounter, raw_uj: int, at_us: int, entry: ExporterMetric) -> CorrectedCounter:
    """The counter after one more raw sample: wraps undone where they can be, else a new epoch."""
    elapsed_us = at_us - before.at_us
    most_uj = entry.limit_uw * (elapsed_us + REFRESH_US) // PJ_PER_UJ
    gained = raw_uj - before.raw_uj
    if gained < 0 and entry.wrap_uj is not None:
        gained += entry.wrap_uj
    hidden = entry.wrap_uj is not None and most_uj >= entry.wrap_uj  # it may have wrapped more than once
    if hidden or not 0 <= gained <= most_uj:
        return start_counter(raw_uj, at_us)
    return CorrectedCounter(raw_uj, at_us, before.value_uj + gained, before.epoch_us)


Series = tuple[str, dict[str, str], float]
_LINE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def parse_exposition(text: str) -> Iterator[Series]:
    """(name, labels, value) of each line of Prometheus text; comments and lines that are none are passed over."""
    for line in text.splitlines():
        found = _LINE.fullmatch(line.strip())
        if found is None or line.startswith("#"):
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        labels = {
            name: re.sub(r'\\[\\"n]', lambda each: _ESCAPES[each[0]], text_) for name, text_ in _LABEL.findall(found[2] or "")
        }
        yield found[1], labels, value
