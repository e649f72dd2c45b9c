"""This file tells what can be measured on this host, at which quality, and the remedy for the rest."""

from __future__ import annotations

import sys
import time

from collectors.base import Collector
from collectors.clocks import now_us, sync_state
from collectors.config import AgentConfig
from collectors.registry import COLLECTORS
from collectors.sensor_set import Sensors
from footprint.core.records import grade_of
from footprint.core.samples import Sample

WAIT_S = 0.25  # a power from a counter is a difference: it needs two instants
QUALITY = {"counter": "A, counter", "power": "A, polled power", "modelled": "B, shared by a model", "estimate": "C, estimated"}


def probe(config: AgentConfig) -> bool:
    """Print one line a device, then remarks and what is missing; whether anything can be measured."""
    sensors = Sensors(config, COLLECTORS)
    sensors.look(0)
    before = {(s.channel.device, s.channel.source): s for s in sensors.collect(*now_us())}
    time.sleep(WAIT_S)
    after = list(sensors.collect(*now_us()))
    for sample in after or before.values():
        print(_line(sample, before.get((sample.channel.device, sample.channel.source))))
    for remark in sensors.remarks():
        print(f"note: {remark}", file=sys.stderr)
    for why in sensors.reasons.values():
        print(f"not measured: {why}", file=sys.stderr)
    if sync_state() == "unsynchronised":
        print("note: the clock is not synchronised, so requests may miss their energy: timedatectl set-ntp true", file=sys.stderr)
    sensors.close()
    return bool(after or before)


def _line(sample: Sample, before: Sample | None) -> str:
    channel = sample.channel
    said = ""
    if sample.counter_uj is not None:
        said = f"{sample.counter_uj / 1e6:.3f} J"
        if before is not None and before.counter_uj is not None and sample.mono_us > before.mono_us:
            power_w = (sample.counter_uj - before.counter_uj) / (sample.mono_us - before.mono_us)
            said += f" ({power_w:.1f} W)" if power_w >= 0 else ""
    elif sample.power_uw is not None:
        said = f"{sample.power_uw / 1e6:.1f} W"
    quality = QUALITY[grade_of(channel.source, counter=sample.counter_uj is not None)]
    place = channel.alias or channel.device
    return f"{place:10} {channel.component:5} {said:>28}  {quality:21} {channel.source:19} {channel.model}".rstrip()


def listing() -> list[str]:
    """One line a collector: its name, what it covers, and what it reads."""
    return [f"{make.name:8} {make.covers:11} {_first_sentence(make)}" for make in COLLECTORS]


def _first_sentence(make: type[Collector]) -> str:
    text = sys.modules[make.__module__].__doc__ or ""
    return text.partition("\n\n")[0].replace("\n", " ").removeprefix("This file ")
