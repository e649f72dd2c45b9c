"""Calibration of a host: its sensors in the ledger against the readings of a wall meter, as a certificate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from footprint.aggregation.device_energy import device_energies
from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.energy_intervals import EnergyIntervals, in_order
from footprint.attribution.wall_calibration import (
    MIN_WINDOWS,
    CannotCalibrate,
    Ratio,
    check_follows,
    component_slopes,
    energy_ratio,
    estimate_lag_s,
    mean_powers,
)
from footprint.config.certificates import CalibrationCertificate, SensorGain, from_uncertainties
from footprint.core.assumptions import assumption
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.ledger.ledger_view import LedgerView
from footprint.ledger.meter_file import MeterReadings
from footprint.storage.database import Store

METHOD = "ratio of sums over windows; GUM, U = 2u: meter class, repeatability, load"
WINDOWS_S = (300, 120, 60)  # the longest of which there are enough
MAX_LAG_WINDOWS = 50_000
MAX_LAG_STEP_US = 60 * US_PER_S  # readings that are further apart cannot show the lag of a clock
MIN_READINGS_A_WINDOW = 3
SEEN_DAYS = 7  # in which the range of load is looked up
ALONE, WHOLE, STEPS = "alone", "whole", "steps"


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """What a person states of a calibration; ``device`` is the only one that the meter feeds, empty for the whole server."""

    host: str
    serial: str
    until_us: int
    meter_class_percent: float
    from_us: int | None = None
    to_us: int | None = None
    device: str = ""
    role: str = "administrator"


@dataclass(frozen=True, slots=True)
class Calibration:
    """A certificate with what led to it: ratios by what was compared, and what could not be measured, with the reason."""

    certificate: CalibrationCertificate
    ratios: Mapping[str, Ratio]
    notes: tuple[str, ...]
    correlation: float | None  # None where the readings are too far apart to show the lag of the meter


@dataclass(slots=True)
class _Sensors:
    """Energy intervals by device of a host over a range of time, and the component of each."""

    intervals: dict[str, EnergyIntervals] = field(default_factory=dict)
    components: dict[str, str] = field(default_factory=dict)

    def parts(self) -> list[str]:
        return sorted(device for device, component in self.components.items() if component != "host")

    def whole(self) -> list[str]:
        return sorted(device for device, component in self.components.items() if component == "host")

    def powers_w(self, devices: list[str], edges: Ints) -> Floats:
        """Sum of mean powers in windows; NaN where one of the devices is not covered."""
        return np.sum([mean_powers(self.intervals[device], edges) for device in devices], axis=0)


def calibrate(store: Store, request: CalibrationRequest, meter: MeterReadings, now_us: int) -> Calibration:
    """Compare a host with a meter; nothing is stored.

    Raises
    ------
    CannotCalibrate
        If the readings support no certificate; the message says why and what would help.
    """
    start_us = max(int(meter.intervals.start_us[0]) if len(meter.intervals) else 0, request.from_us or 0)
    end_us = min(int(meter.intervals.end_us[-1]) if len(meter.intervals) else 0, request.to_us or 2**62)
    with store.read() as connection:
        view = LedgerView(store, connection)
        if request.host not in view.streams():
            known = ", ".join(sorted(view.streams())) or "none"
            raise CannotCalibrate(f"the ledger has no reading of {request.host!r}; it has readings of: {known}")
        sensors = _sensors(view, request.host, start_us, end_us)
        compared = [request.device] if request.device else sensors.parts() or sensors.whole()
        if not compared or any(device not in sensors.intervals for device in compared):
            names = ", ".join(sorted(sensors.intervals)) or "no device"
            what = f"device {request.device!r}" if request.device else "sensor"
            raise CannotCalibrate(f"no {what} of {request.host} was read while the meter read; there: {names}")
        bounds_us, compared_intervals = (start_us, end_us), [sensors.intervals[device] for device in compared]
        lag_s, correlation = _lag(meter.intervals, compared_intervals, bounds_us)
        windows = _windows(meter.intervals, sensors, compared, bounds_us, round(lag_s * US_PER_S))
        check_follows(windows.wall_w, windows.parts_w)
        seen_w = _seen_range_w(view, request.host, compared, windows.edges)
    return _certify(request, meter, sensors, compared, windows, seen_w, (lag_s, correlation), now_us)


@dataclass(frozen=True, slots=True)
class _Windows:
    edges: Ints
    covered: Ints  # indices of windows that the meter and the compared sensors cover
    wall_w: Floats
    parts_w: Floats
    length_s: int


def _sensors(view: LedgerView, host: str, start_us: int, end_us: int) -> _Sensors:
    sensors = _Sensors()
    pieces: dict[str, list[EnergyIntervals]] = {}
    for day in range(start_us // US_PER_DAY, -(-end_us // US_PER_DAY)):
        for device in device_energies(view, host, day):
            # An interval across midnight belongs to both days.
            pieces.setdefault(device.device, []).append(device.intervals[device.intervals.start_us // US_PER_DAY == day])
            sensors.components[device.device] = device.component
    for name_of_device, parts in pieces.items():
        sensors.intervals[name_of_device] = in_order(*parts)
    sensors.intervals = {device: intervals for device, intervals in sensors.intervals.items() if len(intervals)}
    sensors.components = {device: sensors.components[device] for device in sensors.intervals}
    return sensors


def _spacing_us(series: Iterable[EnergyIntervals]) -> int:
    """Spacing of the readings of the coarsest series."""
    return max((int(np.median(np.diff(intervals.start_us))) for intervals in series if len(intervals) > 1), default=0)


def _lag(meter: EnergyIntervals, sensors: Sequence[EnergyIntervals], bounds_us: tuple[int, int]) -> tuple[float, float | None]:
    """Lag of the meter [s] and correlation there; (0, None) where the readings are too far apart to show it."""
    start_us, end_us = bounds_us
    step_us = max(_spacing_us([meter, *sensors]), (end_us - start_us) // MAX_LAG_WINDOWS, US_PER_S)
    if step_us > MAX_LAG_STEP_US:
        return 0.0, None
    return estimate_lag_s(meter, sensors, np.arange(start_us, end_us + 1, step_us, dtype=np.int64))


def _windows(meter: EnergyIntervals, sensors: _Sensors, devices: list[str], bounds_us: tuple[int, int], lag_us: int) -> _Windows:
    shortest_s = MIN_READINGS_A_WINDOW * _spacing_us([meter, *(sensors.intervals[device] for device in devices)]) // US_PER_S
    lengths_s = [length_s for length_s in WINDOWS_S if length_s >= shortest_s] or [shortest_s]
    for length_s in lengths_s:
        length_us = length_s * US_PER_S
        first = -(-bounds_us[0] // length_us) * length_us
        edges = np.arange(first, bounds_us[1] + 1, length_us, dtype=np.int64)
        if len(edges) < 2:
            continue
        wall_w, parts_w = mean_powers(meter, edges, lag_us), sensors.powers_w(devices, edges)
        covered = np.flatnonzero(~(np.isnan(wall_w) | np.isnan(parts_w)))
        if len(covered) >= 2 * MIN_WINDOWS or length_s == lengths_s[-1]:
            return _Windows(edges, covered, wall_w[covered], parts_w[covered], length_s)
    raise CannotCalibrate(
        f"meter and sensors share {max(bounds_us[1] - bounds_us[0], 0) / US_PER_S:.0f} s, and a window alone takes "
        f"{lengths_s[-1]} s; "
        "read for an hour or longer, with steps of load"
    )


def _seen_range_w(view: LedgerView, host: str, devices: list[str], edges: Ints) -> tuple[float, float] | None:
    """Range of the load of these devices in the days before the end of a calibration [W]: 1 to 99 % of windows."""
    end_us = int(edges[-1])
    sensors = _sensors(view, host, end_us - SEEN_DAYS * US_PER_DAY, end_us)
    if any(device not in sensors.intervals for device in devices):
        return None
    length_us = int(edges[1] - edges[0])
    powers = sensors.powers_w(devices, np.arange(end_us - SEEN_DAYS * US_PER_DAY, end_us + 1, length_us, dtype=np.int64))
    powers = powers[~np.isnan(powers)]
    if len(powers) < MIN_WINDOWS:
        return None
    low, high = np.quantile(powers, [0.01, 0.99])
    return float(low), float(high)


def _certify(
    request: CalibrationRequest,
    meter: MeterReadings,
    sensors: _Sensors,
    compared: list[str],
    windows: _Windows,
    seen_w: tuple[float, float] | None,
    lag: tuple[float, float | None],
    now_us: int,
) -> Calibration:
    meter_class = request.meter_class_percent
    ratio = energy_ratio(windows.wall_w, windows.parts_w, meter_class, seen_w)
    gains: list[SensorGain] = []
    notes: list[str] = []
    ratios = {}
    uplift = None
    if request.device:
        ratios[request.device] = ratio
        gains.append(_gain(sensors.components[request.device], request.device, ratio, ALONE))
    elif not sensors.parts():
        ratios[compared[0]] = ratio
        gains += [_gain("host", compared[0], ratio, WHOLE)] if len(compared) == 1 else []
    else:
        if ratio.value <= 1:
            raise CannotCalibrate(
                f"the sensors of {request.host} read more than the wall (the meter reads {ratio.value:.3f} times "
                "their sum): a device is "
                "read twice, a sensor reads too much, or the meter is on another supply or writes another unit than W or J; "
                "`footprint sensors` shows the verdicts"
            )
        uplift = from_uncertainties(ratio.value, *ratio.u)
        ratios["uplift"] = ratio
        gains, notes = _part_gains(sensors, windows, meter_class)
        for device in sensors.whole():
            try:
                ratios[device] = _whole_ratio(sensors, device, windows, meter_class)
                gains.append(_gain("host", device, ratios[device], WHOLE))
            except CannotCalibrate as reason:
                notes.append(f"gain of {device}: {reason}")
    used = windows.edges[windows.covered]
    low_w, high_w = np.quantile(windows.parts_w, [0.05, 0.95])
    if request.until_us <= int(used[-1]):
        raise CannotCalibrate("the certificate would expire before its own measurement ends; give a later --expires")
    certificate = CalibrationCertificate(
        host=request.host,
        serial=request.serial,
        meter_class_percent=meter_class,
        made_us=now_us,
        since_us=int(used[0]),
        until_us=request.until_us,
        measured_from_us=int(used[0]),
        measured_to_us=int(used[-1]) + windows.length_s * US_PER_S,
        windows=len(used),
        window_s=windows.length_s,
        load_low_w=float(low_w),
        load_high_w=float(high_w),
        lag_s=lag[0],
        uplift=uplift,
        gains=tuple(gains),
        sha256=meter.sha256,
        method=METHOD,
        role=request.role,
    )
    return Calibration(certificate, ratios, tuple(notes), lag[1])


def _whole_ratio(sensors: _Sensors, device: str, windows: _Windows, meter_class: float) -> Ratio:
    whole_w = sensors.powers_w([device], windows.edges)[windows.covered]
    both = ~np.isnan(whole_w)
    return energy_ratio(windows.wall_w[both], whole_w[both], meter_class)


def _part_gains(sensors: _Sensors, windows: _Windows, meter_class: float) -> tuple[list[SensorGain], list[str]]:
    """Gains of components that steps of load separate: slope at the wall times the efficiency of the supply."""
    by_component: dict[str, Floats] = {}
    for device in sensors.parts():
        power = sensors.powers_w([device], windows.edges)[windows.covered]
        component = sensors.components[device]
        by_component[component] = by_component.get(component, 0.0) + power
    efficiency, gains, notes = assumption("supply_efficiency"), [], []
    for slope in component_slopes(windows.wall_w, by_component, meter_class):
        if slope.value is None:
            notes.append(f"gain of {slope.component}: {slope.reason}")
            continue
        u_low, u_high = (
            math.hypot(slope.u * efficiency.value, slope.value * side) for side in (efficiency.u_low, efficiency.u_high)
        )
        estimate = from_uncertainties(slope.value * efficiency.value, u_low, u_high)
        gains.append(SensorGain(slope.component, "", estimate.value, estimate.low, estimate.high, STEPS))
    return gains, notes


def _gain(component: str, device: str, ratio: Ratio, way: str) -> SensorGain:
    estimate = from_uncertainties(ratio.value, *ratio.u)
    return SensorGain(component, device, estimate.value, estimate.low, estimate.high, way)
