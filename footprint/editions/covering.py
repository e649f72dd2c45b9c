"""This file says of every day and site how much of the devices' time was read, and where the longest gaps are."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence

from footprint.editions.facts import Cover, Gap, Seconds
from footprint.querying.coverage import DeviceTime, Watch
from footprint.units import US_PER_HOUR, US_PER_S

LACKING = 0.02  # share of a host's day from which on it is said to be in part missing, or in part estimated
KEPT_GAPS = 5


def cover_of(watched: Watch, days: Sequence[tuple[str, int, int]], sites: dict[str, str]) -> Cover:
    """Coverage of [first day, last day): ``days`` are (date, start, end) in µs, in order; ``sites`` by host."""
    starts, ends = [start for _, start, _ in days], days[-1][2]
    of_day: dict[str, Seconds] = defaultdict(Seconds)
    of_site: dict[str, Seconds] = defaultdict(Seconds)
    of_host: dict[tuple[str, str], Seconds] = defaultdict(Seconds)
    gaps: list[Gap] = []
    for (host, device), time in sorted(watched.devices.items()):
        for index, amount in _by_day(time, starts, ends):
            of_day[days[index][0]] += amount
            of_site[sites.get(host, "")] += amount
            of_host[days[index][0], host] += amount
        gaps += [Gap(host, device, start, end) for start, end in _gaps(time, starts[0], ends)]
    worst = dict.fromkeys(of_day, "measured")
    for (date, _), amount in of_host.items():
        state = _state(amount)
        if state == "missing" or (state == "estimated" and worst[date] == "measured"):
            worst[date] = state
    whole = sum(of_day.values(), Seconds())
    ranked = sorted(gaps, key=lambda gap: (gap.start_us - gap.end_us, gap.host, gap.device))
    of_a_host: dict[str, Gap] = {}
    for gap in ranked:
        of_a_host.setdefault(gap.host, gap)
    return Cover(whole, dict(of_day), worst, dict(of_site), tuple(of_a_host.values())[:KEPT_GAPS])


def _state(amount: Seconds) -> str:
    if not amount.expected or amount.missing > LACKING * amount.expected:
        return "missing"
    return "estimated" if amount.modelled + amount.bridged > LACKING * amount.expected else "measured"


def _by_day(time: DeviceTime, starts: Sequence[int], end_us: int) -> Iterable[tuple[int, Seconds]]:
    for low, high in time.expected:
        for index in range(max(bisect_right(starts, low) - 1, 0), len(starts)):
            day_end = starts[index + 1] if index + 1 < len(starts) else end_us
            part = min(high, day_end) - max(low, starts[index])
            if starts[index] >= high:
                break
            if part > 0:
                yield index, Seconds(expected=part / US_PER_S)
    for start, _, read, known, modelled in time.read:
        index = bisect_right(starts, start) - 1
        if index >= 0 and start < end_us:
            yield index, Seconds(0.0, (read - modelled) / US_PER_S, modelled / US_PER_S, (known - read) / US_PER_S)


def _gaps(time: DeviceTime, start_us: int, end_us: int) -> Iterable[tuple[int, int]]:
    """Stretches of more than an hour in which a device was expected and not read."""
    for low, high in time.expected:
        reached = max(low, start_us)
        for start, end, *_ in sorted(time.read):
            if end <= reached or start >= min(high, end_us):
                continue
            if start - reached > US_PER_HOUR:
                yield reached, start
            reached = max(reached, end)
        if min(high, end_us) - reached > US_PER_HOUR:
            yield reached, min(high, end_us)
