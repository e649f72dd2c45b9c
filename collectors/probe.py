"""Probe of a host: what can be measured, at which quality, and the remedy for the rest."""

from __future__ import annotations

import sys
import time

from collectors.base import Collector
from collectors.clocks import sync_state, wall_and_monotonic_us
from collectors.config import AgentConfig
from collectors.prometheus_scraper import open_scraper
from collectors.registry import COLLECTORS
from collectors.sensor_set import SensorSet
from footprint.core.records import grade_of
from footprint.core.samples import Sample
from footprint.core.units import US_PER_S, UW_PER_W

ROUNDS, WAIT_S = 7, 0.25  # a trial of a second and a half: counters are refreshed up to ten times a second
TRIAL_DIFFERENCE = 0.25  # a power is a mean of the last second, so a short trial says less than that of the agent
MIN_TRIAL_W = 1.0
QUALITY_TEXTS = {
    "counter": "A, counter",
    "power": "A, polled power",
    "witness": "A, second source",
    "modelled": "B, shared by a model",
    "estimate": "C, estimated",
}
DOUBTED = "doubted"
Trial = list[Sample]  # samples of one source, in order of time


def probe(config: AgentConfig) -> bool:
    """Print one line per device and source with its short trial, then remarks and missing sensors.

    Returns whether anything can be measured.
    """
    sensors = SensorSet(config, COLLECTORS)
    sensors.open_missing(0)
    scraper = open_scraper(config) if config.scrape else None
    trials: dict[tuple[str, str], Trial] = {}
    for number in range(ROUNDS):
        if number:
            time.sleep(WAIT_S)
        # An exporter is asked at the start and the end of the trial: it is slower than a sensor.
        external = scraper.read(*wall_and_monotonic_us()) if scraper is not None and number in (0, ROUNDS - 1) else ()
        for sample in sensors.collect(*wall_and_monotonic_us(), external):
            trials.setdefault((sample.channel.device, sample.channel.source), []).append(sample)
    results = {key: _result(trial, _others(trials, *key)) for key, trial in trials.items()}
    width = max((len(text) for _, text in results.values()), default=0)
    for key, trial in trials.items():
        print(_line(trial, *results[key], width))
    for remark in sensors.remarks():
        print(f"note: {remark}", file=sys.stderr)
    for reason in sensors.reasons.values():
        print(f"not measured: {reason}", file=sys.stderr)
    if sync_state() == "unsynchronised":
        print("note: the clock is not synchronised, so requests may miss their energy: timedatectl set-ntp true", file=sys.stderr)
    sensors.close()
    if scraper is not None:
        scraper.close()
    return bool(trials)


def _others(trials: dict[tuple[str, str], Trial], device: str, source: str) -> list[Trial]:
    return [trial for key, trial in trials.items() if key[0] == device and key[1] != source]


def _line(trial: Trial, is_doubted: bool, result: str, width: int) -> str:
    last, channel = trial[-1], trial[-1].channel
    power_w = _mean_w(trial)
    reading = f"{last.counter_uj / 1e6:.3f} J" if last.counter_uj is not None else ""
    if power_w is not None:
        reading += f" ({power_w:.1f} W)" if reading else f"{power_w:.1f} W"
    quality = DOUBTED if is_doubted else QUALITY_TEXTS[grade_of(channel.source, counter=last.counter_uj is not None)]
    name = channel.alias or channel.device
    head = f"{name:10} {channel.component:5} {reading:>28}  {quality:21}"
    return f"{head} {result:{width}}  {channel.source:19} {channel.model}".rstrip()


def _mean_w(trial: Trial) -> float | None:
    """Mean power of a trial [W]; None if one sample of a counter is all, or it decreased."""
    first, last = trial[0], trial[-1]
    if last.counter_uj is None or first.counter_uj is None:
        return sum(sample.power_uw or 0 for sample in trial) / len(trial) / UW_PER_W
    elapsed_us, wrap_uj = last.mono_us - first.mono_us, last.channel.wrap_uj
    delta_uj = last.counter_uj - first.counter_uj
    if delta_uj < 0 and wrap_uj is not None:
        delta_uj += wrap_uj
    return delta_uj / elapsed_us if elapsed_us > 0 and delta_uj >= 0 else None


def _result(trial: Trial, others: list[Trial]) -> tuple[bool, str]:
    """Whether a trial gives reason for doubt, and what it showed: only what was seen in its time."""
    last, power_w = trial[-1], _mean_w(trial)
    if power_w is None:
        return False, "one reading" if len(trial) == 1 else "its counter decreased"
    duration_s = (last.mono_us - trial[0].mono_us) / US_PER_S
    if power_w * UW_PER_W > last.channel.ceiling_uw:
        return True, f"above {last.channel.ceiling_uw / UW_PER_W:,.0f} W, which it cannot draw"
    shown_w = [other_w for other in others if (other_w := _mean_w(other)) is not None]
    powers_w = [other_w for other_w in shown_w if other_w >= MIN_TRIAL_W]
    if not power_w:
        beside = f", and another source shows {powers_w[0]:.1f} W" if powers_w else ""
        what = "stood still" if last.counter_uj is not None else "showed nothing"
        return True, f"{what} for {duration_s:.1f} s{beside}"
    if not powers_w:
        return False, _without_witness(others, shown_w)
    nearest_w = min(powers_w, key=lambda other_w: abs(other_w - power_w))
    if abs(nearest_w - power_w) <= TRIAL_DIFFERENCE * max(nearest_w, power_w):
        return False, f"agrees with its second source for {duration_s:.1f} s"
    return True, f"another source shows {nearest_w:.1f} W"


def _without_witness(others: list[Trial], shown_w: list[float]) -> str:
    if shown_w:
        return f"its second source shows {max(shown_w):.1f} W"
    return "its second source shows no power yet" if others else "no second source"


def list_collectors() -> list[str]:
    """One line per collector: its name, what it covers, and its summary."""
    return [
        f"{collector_type.name:8} {collector_type.covers:11} {_first_sentence(collector_type)}" for collector_type in COLLECTORS
    ]


def _first_sentence(collector_type: type[Collector]) -> str:
    text = sys.modules[collector_type.__module__].__doc__ or ""
    return text.partition("\n\n")[0].replace("\n", " ")
