"""Identity of series: which device each belongs to, what is told apart, what is one thing shown twice, and which meter counts.

Two series of one host that have one name are never reduced to the larger or the last: they are known for one counter, or
told apart by what their exporter says of them (path, zone, instance), or left out with a remark.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from footprint.core.prometheus_metrics import HOST_LABELS, ExporterMetric

# Labels of the target or of Prometheus, not of the device; they differ where two jobs scrape one exporter.
TARGET_LABELS = frozenset(
    {*HOST_LABELS, "__name__", "job", "instance", "prometheus", "prometheus_replica", "replica", "cluster", "endpoint"}
    | {"service", "namespace", "pod", "container", "uid", "exported_job", "exported_pod", "exported_namespace"}
    | {"exported_container", "pod_name", "pod_namespace", "container_name", "monitor", "datacenter", "region", "environment"}
)
# What tells two devices of one name apart, best first.
_TELLING = ("path", "zone", "rapl_zone", "pci_bus_id", "pci_bdf", "chip", "sensor", "socket", "die")
Remark = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DeviceSeries:
    """One series of a known metric, with its device; ``content`` is its value or its samples."""

    metric: ExporterMetric
    name: str
    labels: Mapping[str, str]
    device: str
    content: Any = None
    is_witness: bool = False

    @property
    def own(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What the exporter itself says of the series: its name, and its labels but those of the target."""
        return self.name, tuple(sorted((key, text) for key, text in self.labels.items() if key not in TARGET_LABELS))

    @property
    def source(self) -> str:
        """Source of its readings in the ledger."""
        return f"{self.metric.exporter}-{self.metric.quantity}" + ("-witness" if self.is_witness else "")


SameCounter = Callable[[Any, Any], bool | None]


def resolve_devices(host: str, series: Iterable[DeviceSeries], is_same: SameCounter, remark: Remark) -> list[list[DeviceSeries]]:
    """Series of one host by device and quantity; those of one list belong together by the rule of their metric."""
    resolved: list[list[DeviceSeries]] = []
    for group in _by(_preferred(series), lambda s: s.metric.group).values():
        apart: list[list[DeviceSeries]] = []
        for devices in _by(_meters(host, group, remark), lambda s: (s.device, s.source)).values():
            apart += _told_apart(host, devices, is_same, remark)
        resolved += _without_mirrors(host, apart, is_same, remark)
    return resolved


def _by(series: Iterable[DeviceSeries], key: Callable[[DeviceSeries], Any]) -> dict[Any, list[DeviceSeries]]:
    grouped: dict[Any, list[DeviceSeries]] = defaultdict(list)
    for one in series:
        grouped[key(one)].append(one)
    return grouped


def _preferred(series: Iterable[DeviceSeries]) -> list[DeviceSeries]:
    """Without the interfaces that show again what a better one of the host shows."""
    kinds = _by(series, lambda s: (s.metric.exporter, s.metric.component, s.metric.quantity, s.metric.group))
    chosen = []
    for alike in kinds.values():
        best = min(s.metric.rank(s.labels) for s in alike)
        chosen += [s for s in alike if s.metric.rank(s.labels) == best]
    return chosen


def _meters(host: str, group: list[DeviceSeries], remark: Remark) -> list[DeviceSeries]:
    """Series of one overlap group: counters, and of several meters of power the first of the table; the others are witnesses."""
    if not group or not group[0].metric.group:
        return group
    is_whole = group[0].metric.group == "wall"
    # The rows of one exporter are different meters where they measure the whole host (DCMI and Redfish).
    meters = _by(group, lambda s: (s.metric.quantity != "energy", s.metric.order if is_whole else s.metric.exporter))
    chosen: list[DeviceSeries] = []
    ordered = sorted(meters.items(), key=lambda item: (item[0][0], min(s.metric.order for s in item[1])))
    for number, (_, series) in enumerate(ordered):
        meter = series
        names, known = {s.device for s in meter}, {s.device for s in chosen}
        exporters = {s.metric.exporter for s in chosen}
        is_own = {s.metric.exporter for s in meter} <= exporters and not is_whole
        if number and is_whole and len(names) == len(known) == 1:
            meter = [replace(s, device=next(iter(known))) for s in meter]
        for one in meter:
            is_new = number > 0 and not is_own and one.device not in known
            if is_new and one.metric.is_positional:
                remark(
                    f"{host}: {one.name} is not read: {' and '.join(sorted(exporters))} shows the {one.metric.group} of the host "
                    "already, under other names"
                )
                continue
            again = any(s.device == one.device and s.metric.quantity == one.metric.quantity for s in chosen if s not in meter)
            chosen.append(replace(one, is_witness=again and number > 0))
    return chosen


def _told_apart(host: str, devices: list[DeviceSeries], is_same: SameCounter, remark: Remark) -> list[list[DeviceSeries]]:
    metric = devices[0].metric
    if len(devices) == 1 or metric.duplicates == "sum" or not metric.is_positional:
        return [devices]
    alike = _split_targets([_by_instance(same) for _, same in sorted(_by(devices, lambda s: s.own).items())], is_same)
    if len(alike) == 1:
        return alike
    if metric.quantity != "energy" or metric.group == "wall":
        values = ", ".join(sorted({_told(_difference([s[0] for s in alike]), s[0]) or s[0].name for s in alike}))
        remark(
            f"{host}: {len(alike)} series are all {devices[0].device} ({devices[0].name}: {values}); which of them is the whole "
            "is not known, so none is read"
        )
        return []
    return _renamed(host, alike, is_same, remark)


def _by_instance(series: list[DeviceSeries]) -> list[list[DeviceSeries]]:
    return [same for _, same in sorted(_by(series, lambda s: s.labels.get("instance", "")).items())]


def _split_targets(by_own: list[list[list[DeviceSeries]]], is_same: SameCounter) -> list[list[DeviceSeries]]:
    """Series with the same labels of their exporter: one, unless targets of other names show another counter."""
    alike: list[list[DeviceSeries]] = []
    for instances in by_own:
        distinct: list[list[DeviceSeries]] = []
        for instance in instances:
            for other in distinct:
                if is_same(other[0].content, instance[0].content) is not False:
                    other.extend(instance)
                    break
            else:
                distinct.append(list(instance))
        alike += distinct
    return alike


def _renamed(host: str, alike: list[list[DeviceSeries]], is_same: SameCounter, remark: Remark) -> list[list[DeviceSeries]]:
    """Devices of one name under names of their own; the first keeps its name."""
    label = _difference([series[0] for series in alike])
    first, *others = sorted(alike, key=lambda series: (_told(label, series[0]), series[0].name))
    renamed = [first]
    for series in others:
        base, value = series[0].device, _told(label, series[0])
        if value:
            renamed.append([replace(one, device=f"{base}@{value}") for one in series])
            remark(f"{host}: several series are all {base}; they are told apart by {label}")
        elif is_same(first[0].content, series[0].content) is not True:
            remark(f"{host}: several series are all {base}, and nothing tells them apart; only one is read")
    return renamed


def _without_mirrors(
    host: str, devices: list[list[DeviceSeries]], is_same: SameCounter, remark: Remark
) -> list[list[DeviceSeries]]:
    """Without packages and dies that show the counter of another one."""
    distinct: list[list[DeviceSeries]] = []
    for series in devices:
        one = series[0]
        mirrored = None
        if one.metric.is_positional and one.metric.quantity == "energy" and one.metric.duplicates != "sum":
            same_kind = (other for other in distinct if other[0].source == one.source)
            mirrored = next((other for other in same_kind if is_same(other[0].content, one.content)), None)
        if mirrored is None:
            distinct.append(series)
        else:
            remark(f"{host}: {one.device} shows the counter of {mirrored[0].device} again, and is counted once")
    return distinct


def _difference(series: list[DeviceSeries]) -> str:
    """The label that has another value in each series; empty if none has."""
    keys = {key for one in series for key in one.labels} - {"__name__"}
    own = sorted(key for key in keys if key not in TARGET_LABELS)
    for key in (*_TELLING, *own, "instance", *sorted(keys)):
        if len({one.labels.get(key, "") for one in series}) == len(series):
            return key
    return ""


def _told(label: str, series: DeviceSeries) -> str:
    return series.labels.get(label, "").rstrip("/").rpartition("/")[2]
