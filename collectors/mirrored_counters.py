"""This file finds dies of one package that show the same counter, so that none is counted twice; pure arithmetic.

Some AMD processors with several dies give each die the counter of the whole package (Threadripper 68 W + 68 W).
Counters of two real dies drift apart as soon as anything runs; those of mirrors never do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from footprint.core.samples import Sample

ENOUGH_UJ = 20 * 1_000_000  # energy over which two counters are compared
SAME_UJ = 100_000  # the two files are not read at one instant: 0.1 J is a kilowatt for 0.1 ms


class MirroredCounters:
    """Holds back the later dies of each package for as long as they show what the first shows."""

    def __init__(self, packages: Mapping[str, int]) -> None:
        dies: dict[int, list[str]] = defaultdict(list)
        for device, package in sorted(packages.items(), key=lambda item: int(item[0].partition(":")[2])):
            dies[package].append(device)
        self._first = {device: group[0] for group in dies.values() for device in group[1:]}
        self._held: dict[str, list[tuple[Sample, Sample]]] = {device: [] for device in self._first}
        self.mirrors: dict[str, str] = {}
        self.decided = not self._first

    def sort_out(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples that may be counted: of a die found to be real, those held back until now as well."""
        now = {sample.channel.device: sample for sample in samples}
        found = [sample for sample in samples if sample.channel.device not in self._held]
        for device, first in self._first.items():
            if device in self._held and device in now and first in now:
                found += self._judge(device, now[first], now[device])
        return found

    def _judge(self, device: str, first: Sample, own: Sample) -> list[Sample]:
        """Samples that may be counted after one more pair; a die called a mirror is looked at on and on."""
        held = self._held[device]
        if not held:
            held.append((first, own))
            return []
        held[1:] = [(first, own)]  # ends are enough: what lies between is in the counter
        first_then, then = held[0]
        apart_uj = abs(_raised(then, own) - _raised(first_then, first))
        if min(apart_uj, (own.channel.wrap_uj or apart_uj) - apart_uj) > SAME_UJ:
            del self._held[device]
            self.mirrors.pop(device, None)
            self.decided = not self._held
            return [sample for _, sample in held]
        if _raised(then, own) >= ENOUGH_UJ:
            self.mirrors[device] = self._first[device]
        return []


def _raised(before: Sample, after: Sample) -> int:
    assert before.counter_uj is not None
    assert after.counter_uj is not None
    raised = after.counter_uj - before.counter_uj
    return raised if raised >= 0 else raised + (before.channel.wrap_uj or 0)
