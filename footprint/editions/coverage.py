"""This file says of every day and site how much of the devices' time was read, and where the longest gaps are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from footprint.core.units import S_PER_HOUR, US_PER_HOUR, US_PER_S
from footprint.editions.edition_data import CoverageReport, DeviceSeconds, Gap
from footprint.figures.coverage import CoverageIndex, DeviceTime, coverage_state

MAX_GAPS = 5
Day = tuple[str, int, int]  # date, start, end [µs]


def coverage_report(watched: CoverageIndex, days: Sequence[Day], sites: dict[str, str]) -> CoverageReport:
    """Coverage of [first day, last day), from what was read slot by slot; ``sites`` by host."""
    of_day: dict[str, DeviceSeconds] = defaultdict(DeviceSeconds)
    of_site: dict[str, DeviceSeconds] = defaultdict(DeviceSeconds)
    of_host: dict[tuple[str, str], DeviceSeconds] = defaultdict(DeviceSeconds)
    gaps: list[Gap] = []
    for (host, device), time in sorted(watched.devices.items()):
        lacking = [days[-1][2], days[0][1]]
        for date, start, end in days:
            amount = _of_day(time, start, end)
            of_day[date] += amount
            of_site[sites.get(host, "")] += amount
            of_host[date, host] += amount
            if amount.missing + amount.bridged >= S_PER_HOUR:
                lacking = [min(lacking[0], start), max(lacking[1], end)]
        if lacking[0] < lacking[1]:
            gaps += [Gap(host, device, start, end) for start, end in _gaps(time, *lacking)]
    worst = {date: "measured" for date, amount in of_day.items() if amount.expected}
    for (date, _), amount in of_host.items():
        state = _state(amount) if amount.expected else "measured"
        if state == "missing" or (state == "estimated" and worst[date] == "measured"):
            worst[date] = state
    whole = sum(of_day.values(), DeviceSeconds())
    ranked = sorted(gaps, key=lambda gap: (gap.start_us - gap.end_us, gap.host, gap.device))
    of_a_host: dict[str, Gap] = {}
    for gap in ranked:
        of_a_host.setdefault(gap.host, gap)
    return CoverageReport(whole, dict(of_day), worst, dict(of_site), tuple(of_a_host.values())[:MAX_GAPS])


def _state(amount: DeviceSeconds) -> str:
    read = amount.measured + amount.modelled
    return coverage_state(read, read + amount.bridged, amount.expected, amount.modelled)


def _of_day(time: DeviceTime, start_us: int, end_us: int) -> DeviceSeconds:
    expected = sum(max(min(high, end_us) - max(low, start_us), 0) for low, high in time.expected)
    read, known, modelled = time.seen(start_us, end_us)
    return DeviceSeconds(expected / US_PER_S, (read - modelled) / US_PER_S, modelled / US_PER_S, (known - read) / US_PER_S)


def _gaps(time: DeviceTime, start_us: int, end_us: int) -> Iterable[tuple[int, int]]:
    """Times of more than an hour in which a device was expected and not read."""
    for low, high in time.expected:
        reached, last = max(low, start_us), min(high, end_us)
        for start, end, *_ in time.read:
            if end <= reached or start >= last:
                continue
            if start - reached > US_PER_HOUR:
                yield reached, start
            reached = max(reached, end)
        if last - reached > US_PER_HOUR:
            yield reached, last
