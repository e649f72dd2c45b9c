"""Verdicts of agents on the sensors of a host, read from the context of its devices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from footprint.attribution.sensor_doubt import VerdictWindows
from footprint.core.records import grade_of
from footprint.core.sensor_verdicts import VERDICT_VALUES, SensorVerdict, Verdict, verdicts_from_rows
from footprint.core.units import US_PER_DAY
from footprint.ledger.ledger_view import LedgerView, StreamInfo

_VERDICT, _DOUBT_SINCE = "verdict", "doubt_since_us"
DeviceVerdicts = Mapping[str, VerdictWindows]  # by the source that was judged


def read_verdicts(view: LedgerView, host: str, day: int, since_us: int | None = None) -> dict[str, DeviceVerdicts]:
    """Verdicts by device and source that touch a UTC day (from ``since_us`` on).

    Where all of them are good, their figures are not read.
    """
    streams: dict[tuple[str, str], dict[str, StreamInfo]] = defaultdict(dict)
    for stream in view.streams().get(host, []):
        name, _, source = stream.quantity.partition("/")
        if name in VERDICT_VALUES and source:
            streams[stream.device, source][name] = stream
    verdicts: dict[str, dict[str, VerdictWindows]] = defaultdict(dict)
    for (device, source), values in streams.items():
        if _VERDICT in values:
            windows = _windows(view, source, values, day, since_us)
            if len(windows):
                verdicts[device][source] = windows
    return dict(verdicts)


def verdicts_on(stream: StreamInfo, verdicts: DeviceVerdicts) -> VerdictWindows | None:
    """Verdicts on the source of a stream: by its name, else by its grade, which identifies a stream of a device.

    The energy of a part of a board is as good as the sensor of the board: any verdict on a part holds for it.
    """
    if stream.source in verdicts:
        return verdicts[stream.source]
    for source, windows in sorted(verdicts.items()):
        if stream.grade in ("modelled", grade_of(source, counter=stream.quantity == "energy")):
            return windows
    return None


def _windows(view: LedgerView, source: str, streams: Mapping[str, StreamInfo], day: int, since_us: int | None) -> VerdictWindows:
    values = {name: _values(view, streams[name], day, since_us) for name in (_VERDICT, _DOUBT_SINCE) if name in streams}
    is_good = set(values[_VERDICT].values()) <= {Verdict.AGREES, Verdict.NO_WITNESS}
    if is_good and not any(values.get(_DOUBT_SINCE, {}).values()):
        at_us = sorted(values[_VERDICT])
        windows_us = np.diff(at_us, prepend=at_us[:1] or [0]).tolist()
        return VerdictWindows.of(
            [
                SensorVerdict(at, Verdict(values[_VERDICT][at]), window_us=window)
                for at, window in zip(at_us, windows_us, strict=True)
            ]
        )
    for name in streams.keys() - values.keys():
        values[name] = _values(view, streams[name], day, since_us)
    rows = [(at, f"{name}/{source}", value) for name, of_name in values.items() for at, value in of_name.items()]
    return VerdictWindows.of(verdicts_from_rows(rows).get(source, []))


def _values(view: LedgerView, stream: StreamInfo, day: int, since_us: int | None) -> dict[int, int]:
    """Values by instant [µs] of a stream around a day; none where all its readings are before the day, or all after it."""
    days = view.stream_days(stream.id)
    has_readings = days.last_us >= days.first_us
    if not (has_readings & (days.day <= day)).any() or not (has_readings & (days.day >= day)).any():
        return {}
    start_us = day * US_PER_DAY if since_us is None else since_us
    samples = view.samples(stream.id, start_us, (day + 1) * US_PER_DAY)
    return dict(zip(samples.time_us.tolist(), samples.value.tolist(), strict=True))
