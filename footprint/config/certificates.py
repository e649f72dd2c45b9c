"""Calibration certificates: uplift and sensor gains of a host, measured against a wall meter, with interval, serial and expiry.

A certificate is a dated fact that comes from the ledger instead of ``footprint.toml``. While it is valid, it replaces the uplift
that the configuration declares or assumes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

from footprint.core.estimate import COVERAGE_FACTOR, Estimate
from footprint.core.stored_forms import digest_text, from_plain, stored_as, to_plain

VALID, EXPIRED, SUPERSEDED, FUTURE = "valid", "expired", "superseded", "not yet valid"


@stored_as("SensorGain", "component device value low high way")
@dataclass(frozen=True, slots=True)
class SensorGain:
    """True over read energy of a device, or of all devices of a component where ``device`` is empty.

    The bounds are those of a rectangular distribution (u = a / sqrt(3)), as of every `Estimate`. ``way`` is ``alone`` where the
    meter fed nothing else, ``whole`` for a whole-server sensor, ``steps`` where steps of load separated the component.
    """

    component: str
    device: str
    value: float
    low: float
    high: float
    way: str

    @property
    def estimate(self) -> Estimate:
        """The gain with its bounds."""
        return Estimate(self.value, self.low, self.high)


@stored_as(
    "Certificate",
    "host serial meter_class_percent made_us since_us until_us measured_from_us measured_to_us windows window_s load_low_w "
    "load_high_w lag_s uplift gains sha256 method role",
)
@dataclass(frozen=True, slots=True)
class CalibrationCertificate:
    """Result of one comparison of a host with a wall meter; it is never changed, and the newest one that is valid counts.

    ``uplift`` is None where only a gain could be measured. ``meter_class_percent`` is the limit of error of the meter;
    ``load_low_w`` to ``load_high_w`` is the range of the sum of the parts that the windows cover [W]; ``lag_s`` is how far the
    meter's clock was behind the sensors' before it was corrected; ``sha256`` is that of the meter's file.
    """

    host: str
    serial: str
    meter_class_percent: float
    made_us: int
    since_us: int
    until_us: int
    measured_from_us: int
    measured_to_us: int
    windows: int
    window_s: int
    load_low_w: float
    load_high_w: float
    lag_s: float
    uplift: Estimate | None
    gains: tuple[SensorGain, ...]
    sha256: str
    method: str
    role: str

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(to_plain(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> CalibrationCertificate:
        """Certificate from the output of ``to_json``."""
        plain = json.loads(text)
        uplift = plain["uplift"]
        plain["uplift"] = None if uplift is None else from_plain(Estimate, uplift)
        plain["gains"] = tuple(from_plain(SensorGain, gain) for gain in plain["gains"])
        return from_plain(cls, plain)

    def gain_of(self, component: str, device: str) -> SensorGain | None:
        """Gain of a device: its own before that of its component."""
        gains = [gain for gain in self.gains if gain.component == component and gain.device in ("", device)]
        return max(gains, key=lambda gain: gain.device, default=None)

    def state_at(self, instant_us: int, certificates: Iterable[CalibrationCertificate]) -> str:
        """``valid``, ``expired``, ``not yet valid``, or ``superseded`` by a newer one of the host that is valid then."""
        if instant_us >= self.until_us:
            return EXPIRED
        if instant_us < self.since_us:
            return FUTURE
        return VALID if certificate_at(certificates, self.host, instant_us) == self else SUPERSEDED


def expanded(estimate: Estimate) -> tuple[float, float]:
    """Bounds at U = 2u of an estimate whose own bounds are rectangular (about 95 %)."""
    return (estimate.value - COVERAGE_FACTOR * estimate.u_low, estimate.value + COVERAGE_FACTOR * estimate.u_high)


def from_uncertainties(value: float, u_low: float, u_high: float) -> Estimate:
    """Estimate whose rectangular bounds stand for these standard uncertainties."""
    return Estimate(value, value - math.sqrt(3) * u_low, value + math.sqrt(3) * u_high)


def certificate_at(certificates: Iterable[CalibrationCertificate], host: str, instant_us: int) -> CalibrationCertificate | None:
    """The newest certificate of a host that is valid at an instant, or None."""
    valid = [c for c in certificates if c.host == host and c.since_us <= instant_us < c.until_us]
    return max(valid, key=lambda certificate: (certificate.made_us, certificate.since_us), default=None)


def certificates_of_host(
    certificates: Iterable[CalibrationCertificate], host: str, start_us: int, end_us: int
) -> list[CalibrationCertificate]:
    """Certificates of a host that are valid at some instant of [start, end)."""
    return [c for c in certificates if c.host == host and c.since_us < end_us and c.until_us > start_us]


def certificates_text(certificates: Iterable[CalibrationCertificate]) -> list[str]:
    """Certificates as parts of a fingerprint; none where there is none, as in fingerprints of before there were certificates."""
    listed = list(certificates)
    return [digest_text(listed)] if listed else []
