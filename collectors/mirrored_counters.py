"""Detection of devices that mirror one counter, so that none is counted twice; pure arithmetic.

On some AMD processors with several dies, each die shows the counter of the whole package (Threadripper 68 W + 68 W); two
GPUs of one module may both show the module's. Counters of two real devices drift apart as soon as anything runs; mirrored
counters never do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

from footprint.core.samples import Sample

MIN_COMPARED_UJ = 20 * 1_000_000  # energy over which two counters are compared
MAX_DIFFERENCE_UJ = 100_000  # the two files are not read at one instant: 0.1 J is a kilowatt for 0.1 ms


class MirroredCounters:
    """Withholds samples of the other devices of a group as long as their counters equal the first one's.

    ``groups`` gives the group of each device, such as the package of a die; the first device of a group always counts.
    """

    def __init__(self, groups: Mapping[str, Hashable]) -> None:
        members: dict[Hashable, list[str]] = defaultdict(list)
        for device, group in groups.items():
            members[group].append(device)
        self._first_of = {device: devices[0] for devices in members.values() for device in devices[1:]}
        self._pending: dict[str, list[tuple[Sample, Sample]]] = {device: [] for device in self._first_of}
        self.mirrors: dict[str, str] = {}
        self.decided = not self._first_of

    def is_withheld(self, device: str) -> bool:
        """Whether a device is under comparison, or mirrors another."""
        return device in self._pending

    def filter(self, samples: Sequence[Sample]) -> list[Sample]:
        """Samples that may be counted; once a device proves to be real, its withheld samples as well."""
        now = {sample.channel.device: sample for sample in samples}
        accepted = [sample for sample in samples if sample.channel.device not in self._pending]
        for device, first in self._first_of.items():
            if device in self._pending and device in now and first in now:
                accepted += self._compare(device, now[first], now[device])
        return accepted

    def _compare(self, device: str, first: Sample, own: Sample) -> list[Sample]:
        """Samples that may be counted after one more pair; one that looks mirrored stays under comparison."""
        pairs = self._pending[device]
        if not pairs:
            pairs.append((first, own))
            return []
        pairs[1:] = [(first, own)]  # the first and the last pair suffice: the counter holds all energy between them
        first_start, own_start = pairs[0]
        difference_uj = abs(_delta_uj(own_start, own) - _delta_uj(first_start, first))
        if own.channel.wrap_uj is not None:  # one of them may have wrapped just now
            difference_uj = min(difference_uj, abs(own.channel.wrap_uj - difference_uj))
        if difference_uj > MAX_DIFFERENCE_UJ:
            del self._pending[device]
            self.mirrors.pop(device, None)
            self.decided = not self._pending
            return [sample for _, sample in pairs]
        if _delta_uj(own_start, own) >= MIN_COMPARED_UJ:
            self.mirrors[device] = self._first_of[device]
        return []


def _delta_uj(before: Sample, after: Sample) -> int:
    assert before.counter_uj is not None
    assert after.counter_uj is not None
    delta_uj = after.counter_uj - before.counter_uj
    return delta_uj if delta_uj >= 0 else delta_uj + (before.channel.wrap_uj or 0)
