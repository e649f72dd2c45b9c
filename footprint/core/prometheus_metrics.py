"""Prometheus metrics of known exporters: energy and power of devices, requests and tokens of inference servers. Pure.

The table is ``data/exporters.csv``: for each metric name its unit, kind, wrap range, device label, duplicate rule and
overlap group. Two exporters of one group on one host would count its energy twice, so they are refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from footprint.core.records import COMPONENTS, FootprintError
from footprint.core.resources import data_path
from footprint.core.units import UJ_PER_J

# Of the pseudo-device of an inference server's own counters, by model and instance.
SERVER_DEVICE_PREFIX = "served:"
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
HOST_LABELS = ("hostname", "Hostname", "node_name", "node", "host", "exported_instance", "instance")
# DCGM's blank values start at 0x7ffffffffffffff0; no real counter of energy comes close.
_BLANK = 9.2e18


class OverlappingExporters(FootprintError):
    """Two exporters report the same energy of one host."""


class SourceUnavailable(FootprintError):
    """A server that cannot be reached, or does not answer like Prometheus."""


@dataclass(frozen=True, slots=True)
class ExporterMetric:
    """One row of the table; ``micro`` is the factor from the metric's unit to µJ or µW, ``rank`` its place in the table.

    ``kind`` is ``counter``, ``gauge``, ``delta`` (a missed sample is lost for good: not read) or ``part`` (contained in
    another metric of its exporter: not read).
    """

    exporter: str
    name: re.Pattern[str]
    quantity: str
    kind: str
    micro: int
    component: str
    device: tuple[str, ...]
    identity: tuple[str, ...]
    where: tuple[tuple[str, re.Pattern[str]], ...]
    duplicates: str
    group: str
    wrap_uj: int | None
    limit_uw: int
    trap: str
    order: int

    @property
    def is_read(self) -> bool:
        """Whether its samples are of use; the others are known, so that they are not taken for unknown ones."""
        return self.kind in ("counter", "gauge")

    @property
    def is_positional(self) -> bool:
        """Whether its devices are named by their place, such as an index, which two devices of a host may share."""
        return bool(self.device) and not self.device[0].startswith("GPU-{")

    def is_of(self, labels: Mapping[str, str]) -> bool:
        """Whether the conditions of the row hold for a series."""
        return all(pattern.fullmatch(labels.get(label, "")) for label, pattern in self.where)

    def device_of(self, labels: Mapping[str, str], name: str = "") -> str | None:
        """Device that a series belongs to; None if the metric is not one of a device, or its condition excludes the series."""
        if self.quantity.startswith("asked_") or not self.is_read:
            return None
        values = dict(labels)
        if name and (match := self.name.fullmatch(name)):
            values |= {key: text for key, text in match.groupdict().items() if text}
        for label, pattern in self.where:
            match = pattern.fullmatch(labels.get(label, ""))
            if match is None:
                return None
            values |= {key: text for key, text in match.groupdict().items() if text}
        for number, template in enumerate(self.device, 1):
            if number == len(self.device) or all(values.get(key) for key in _PLACEHOLDER.findall(template)):
                return _GPU_TWICE.sub("", _PLACEHOLDER.sub(lambda key: values.get(key[1], ""), template)).rstrip(":") or None
        return next((values[label] for label in self.identity if values.get(label)), None)

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


def unnamed_device(name: str, labels: Mapping[str, str]) -> str:
    """Labels that a series of a known metric lacks to name its device; empty if it lacks none, or is not of a device."""
    rows = [row for row in metrics_named(name) if row.quantity in ("energy", "power") and row.is_read and row.is_of(labels)]
    if not rows or any(row.device_of(labels, name) for row in rows):
        return ""
    return " or ".join(dict.fromkeys(label for row in rows for label in row.identity))


_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_GPU_TWICE = re.compile(r"^GPU-(?=GPU-|MIG-)")  # some exporters cut the prefix of a UUID, and others do not
_extra_rows: list[ExporterMetric] = []


@cache
def _shipped_rows() -> tuple[ExporterMetric, ...]:
    return _read_table(data_path("exporters.csv"))


def exporter_metrics() -> tuple[ExporterMetric, ...]:
    """All rows of the table: those of a file of the operator's first, then those that are shipped."""
    return (*_extra_rows, *_shipped_rows())


def add_exporters(path: Path) -> None:
    """Put the rows of a file in the form of ``data/exporters.csv`` before those that are shipped; they hold for this process.

    Raises
    ------
    BadExporterTable
        If the file cannot be read, or a row is not valid; the message names the line.
    """
    _extra_rows[:] = _read_table(path)
    metrics_named.cache_clear()


def _read_table(path: Path) -> tuple[ExporterMetric, ...]:
    rows: list[ExporterMetric] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            for row in reader:
                rows.append(_exporter_metric(row, len(rows)))
    except OSError as error:
        raise BadExporterTable(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        problem = f"no column {error}" if isinstance(error, KeyError) else str(error)
        raise BadExporterTable(f"{path}:{len(rows) + 2}: {problem} (columns and examples: data/exporters.csv)") from None
    return tuple(rows)


class BadExporterTable(FootprintError):
    """A table of exporters that cannot be used."""


_QUANTITIES = re.compile(r"energy|power|(?:served|asked)_\w+")
_KINDS = ("counter", "gauge", "delta", "part")
_DUPLICATES = re.compile(r"|max|sum|prefer:.+")


def _exporter_metric(row: dict[str, str], order: int) -> ExporterMetric:
    for column, is_valid in (
        ("component", row["component"] in COMPONENTS),
        ("kind", row["kind"] in _KINDS),
        ("quantity", _QUANTITIES.fullmatch(row["quantity"]) is not None),
        ("duplicates", _DUPLICATES.fullmatch(row["duplicates"]) is not None),
        ("to_micro", int(row["to_micro"]) > 0),
        ("limit_w", int(row["limit_w"]) > 0),
        ("name", bool(row["name"])),
        ("device or identity", bool(row["device"] or row["identity"]) or row["kind"] in ("delta", "part")),
    ):
        if not is_valid:
            raise ValueError(f"{column} is not valid")
    conditions = (text.partition("=") for text in row["where"].split("&") if text)
    return ExporterMetric(
        row["exporter"],
        re.compile(row["name"]),
        row["quantity"],
        row["kind"],
        int(row["to_micro"]),
        row["component"],
        tuple(filter(None, row["device"].split(" else "))),
        tuple(filter(None, row["identity"].split("|"))),
        tuple((label, re.compile(pattern)) for label, _, pattern in conditions),
        row["duplicates"] or "max",
        row["group"],
        round(float(row["wrap_j"]) * UJ_PER_J) if row["wrap_j"] else None,
        int(row["limit_w"]) * UJ_PER_J,
        row["trap"],
        order,
    )


@lru_cache(4096)
def metrics_named(name: str) -> tuple[ExporterMetric, ...]:
    """Rows of the table for an exact metric name; empty if the name is unknown."""
    return tuple(metric for metric in exporter_metrics() if metric.name.fullmatch(name))


_ENERGY_NAME = re.compile(r"energy|joule|watt|power|(?:^|_)[kmu]?wh?(?:_total)?$", re.IGNORECASE)
_OTHER_NAME = re.compile(
    r"limit|capacity|rated|threshold|max|min(?!ute)|_avg|violation|throttl|state|_status$|health|efficien|factor|_created$|"
    r"_bucket$|_info$|_count$|enabled|supported|cycles|interval|_seconds|volt|ampere|celsius|power_?(?:on|off|ed|shell|cycle)|"
    r"predicted|price|cost|process_|container_|pod_|vm_",
    re.IGNORECASE,
)


def looks_like_energy(name: str) -> bool:
    """Whether a metric, by its name, may be an energy or a power that the table does not know."""
    return bool(_ENERGY_NAME.search(name)) and not _OTHER_NAME.search(name) and not metrics_named(name)


def series_host(labels: Mapping[str, str], host_label: str = "") -> str:
    """Host of a series, without port: from the given label, else from the first usual one that does not name itself."""
    names = [re.sub(r":\d+$", "", labels[name]) for name in ((host_label,) if host_label else HOST_LABELS) if labels.get(name)]
    return next((name for name in names if name not in _OWN_NAMES), names[0] if names else "")


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
