"""Coverage of device time by day and site, and the longest gaps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from footprint.config import FOREVER_US
from footprint.core.units import S_PER_HOUR, US_PER_HOUR, US_PER_S
from footprint.editions.edition_data import CoverageReport, DeviceSeconds, Gap
from footprint.figures.coverage import CoverageIndex, DeviceTime, coverage_state

MAX_GAPS = 5
Day = tuple[str, int, int]  # date, start, end [µs]


def coverage_report(watched: CoverageIndex, days: Sequence[Day], sites: dict[str, str]) -> CoverageReport:
    """Coverage of [first day, last day) from the slots that were read; ``sites`` maps hosts to sites."""
    by_day: dict[str, DeviceSeconds] = defaultdict(DeviceSeconds)
    by_site: dict[str, DeviceSeconds] = defaultdict(DeviceSeconds)
    by_host_day: dict[tuple[str, str], DeviceSeconds] = defaultdict(DeviceSeconds)
    gaps: list[Gap] = []
    for (host, device), time in sorted(watched.devices.items()):
        unread_range = [days[-1][2], days[0][1]]
        measured = watched.measure_periods([((host, device), 0, FOREVER_US)], [(start, end) for _, start, end in days])
        for (date, start, end), times_us in zip(days, measured.tolist(), strict=True):
            seconds = _device_seconds(*times_us)
            by_day[date] += seconds
            by_site[sites.get(host, "")] += seconds
            by_host_day[date, host] += seconds
            if seconds.missing + seconds.bridged >= S_PER_HOUR:
                unread_range = [min(unread_range[0], start), max(unread_range[1], end)]
        if unread_range[0] < unread_range[1]:
            gaps += [Gap(host, device, start, end) for start, end in _gaps(time, *unread_range)]
    day_states = {date: "measured" for date, seconds in by_day.items() if seconds.expected}
    for (date, _), seconds in by_host_day.items():
        state = _state(seconds) if seconds.expected else "measured"
        if state == "missing" or (state == "estimated" and day_states[date] == "measured"):
            day_states[date] = state
    total = sum(by_day.values(), DeviceSeconds())
    longest_first = sorted(gaps, key=lambda gap: (gap.start_us - gap.end_us, gap.host, gap.device))
    longest_by_host: dict[str, Gap] = {}
    for gap in longest_first:
        longest_by_host.setdefault(gap.host, gap)
    return CoverageReport(total, dict(by_day), day_states, dict(by_site), tuple(longest_by_host.values())[:MAX_GAPS])


def _state(seconds: DeviceSeconds) -> str:
    read = seconds.measured + seconds.modelled
    return coverage_state(read, read + seconds.bridged, seconds.expected, seconds.modelled)


def _device_seconds(read: int, known: int, expected: int, modelled: int) -> DeviceSeconds:
    return DeviceSeconds(expected / US_PER_S, (read - modelled) / US_PER_S, modelled / US_PER_S, (known - read) / US_PER_S)


def _gaps(time: DeviceTime, start_us: int, end_us: int) -> Iterable[tuple[int, int]]:
    """Ranges of more than an hour in which a device was expected and not read."""
    for low, high in time.expected:
        read_until, last_us = max(low, start_us), min(high, end_us)
        for start, end, _, known, *_ in time.read:
            if end <= read_until or start >= last_us or not known:  # a sensor that is not believed reads nothing
                continue
            if start - read_until > US_PER_HOUR:
                yield read_until, start
            read_until = max(read_until, end)
        if last_us - read_until > US_PER_HOUR:
            yield read_until, last_us
