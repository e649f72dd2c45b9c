"""Probe: what a short trial says of a source beside the other sources of its device."""

from __future__ import annotations

import pytest

from collectors import probe
from footprint.core.samples import Channel, Sample

S = 1_000_000


def counter(power_w: float, readings: int = 7) -> list[Sample]:
    channel = Channel("gpu:0", "gpu", "nvml-energy")
    return [Sample(channel, 0, tick * S // 4, counter_uj=round(power_w * 1e6 * tick / 4)) for tick in range(readings)]


def power(power_w: float) -> list[Sample]:
    channel = Channel("gpu:0", "gpu", "nvml-power")
    return [Sample(channel, 0, tick * S // 4, power_uw=round(power_w * 1e6)) for tick in range(7)]


@pytest.mark.parametrize(
    ("trial", "others", "is_doubted", "words"),
    [
        pytest.param(power(300), [counter(300)], False, "agrees with its second source", id="alike"),
        pytest.param(power(300), [counter(170)], True, "another source shows 170.0 W", id="apart"),
        pytest.param(power(300), [counter(0)], False, "its second source shows 0.0 W", id="beside a counter that stands"),
        pytest.param(power(300), [counter(300, readings=1)], False, "shows no power yet", id="beside one reading"),
        pytest.param(counter(0), [power(300)], True, "stood still", id="a counter that stands"),
        pytest.param(power(300), [], False, "no second source", id="alone"),
    ],
)
def test_a_trial_says_what_was_seen(trial: list[Sample], others: list[list[Sample]], is_doubted: bool, words: str) -> None:
    doubt, text = probe._result(trial, others)
    assert (doubt, words in text) == (is_doubted, True), text
