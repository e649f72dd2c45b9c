"""Probe of a host: what can be measured, at which quality, and the remedy for the rest."""

from __future__ import annotations

import sys
import time

from collectors.base import Collector
from collectors.clocks import sync_state, wall_and_monotonic_us
from collectors.config import AgentConfig
from collectors.registry import COLLECTORS
from collectors.sensor_set import SensorSet
from footprint.core.records import grade_of
from footprint.core.samples import Sample

WAIT_S = 0.25  # the power of a counter is a difference between two samples
QUALITY_TEXTS = {
    "counter": "A, counter",
    "power": "A, polled power",
    "modelled": "B, shared by a model",
    "estimate": "C, estimated",
}


def probe(config: AgentConfig) -> bool:
    """Print one line per device, then remarks and missing sensors; return whether anything can be measured."""
    sensors = SensorSet(config, COLLECTORS)
    sensors.open_missing(0)
    before = {(s.channel.device, s.channel.source): s for s in sensors.collect(*wall_and_monotonic_us())}
    time.sleep(WAIT_S)
    after = list(sensors.collect(*wall_and_monotonic_us()))
    for sample in after or before.values():
        print(_line(sample, before.get((sample.channel.device, sample.channel.source))))
    for remark in sensors.remarks():
        print(f"note: {remark}", file=sys.stderr)
    for reason in sensors.reasons.values():
        print(f"not measured: {reason}", file=sys.stderr)
    if sync_state() == "unsynchronised":
        print("note: the clock is not synchronised, so requests may miss their energy: timedatectl set-ntp true", file=sys.stderr)
    sensors.close()
    return bool(after or before)


def _line(sample: Sample, before: Sample | None) -> str:
    channel = sample.channel
    reading = ""
    if sample.counter_uj is not None:
        reading = f"{sample.counter_uj / 1e6:.3f} J"
        if before is not None and before.counter_uj is not None and sample.mono_us > before.mono_us:
            power_w = (sample.counter_uj - before.counter_uj) / (sample.mono_us - before.mono_us)
            reading += f" ({power_w:.1f} W)" if power_w >= 0 else ""
    elif sample.power_uw is not None:
        reading = f"{sample.power_uw / 1e6:.1f} W"
    quality = QUALITY_TEXTS[grade_of(channel.source, counter=sample.counter_uj is not None)]
    name = channel.alias or channel.device
    return f"{name:10} {channel.component:5} {reading:>28}  {quality:21} {channel.source:19} {channel.model}".rstrip()


def list_collectors() -> list[str]:
    """One line per collector: its name, what it covers, and its summary."""
    return [
        f"{collector_type.name:8} {collector_type.covers:11} {_first_sentence(collector_type)}" for collector_type in COLLECTORS
    ]


def _first_sentence(collector_type: type[Collector]) -> str:
    text = sys.modules[collector_type.__module__].__doc__ or ""
    return text.partition("\n\n")[0].replace("\n", " ")
