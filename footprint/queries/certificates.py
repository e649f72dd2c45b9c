"""Calibration certificates of hosts: what was measured with which meter, until when, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from footprint.config.certificates import CalibrationCertificate, expanded
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY

COLUMNS = (
    "host",
    "quantity",
    "value",
    "low",
    "high",
    "way",
    "state",
    "serial",
    "meter_class_percent",
    "made_at",
    "valid_from",
    "valid_until",
    "days_left",
    "measured_from",
    "measured_to",
    "windows",
    "load_low_w",
    "load_high_w",
    "lag_s",
    "role",
    "sha256",
    "method",
)


def certificate_rows(
    certificates: Iterable[CalibrationCertificate], now_us: int, host: str | None = None
) -> list[dict[str, Any]]:
    """One row a measured quantity (``uplift``, ``gain DEVICE``), the newest certificate of a host first; bounds at U = 2u."""
    listed = list(certificates)
    rows = []
    for certificate in sorted(listed, key=lambda c: (c.host, -c.made_us)):
        if host is not None and certificate.host != host:
            continue
        common = {
            "host": certificate.host,
            "state": certificate.state_at(now_us, listed),
            "serial": certificate.serial,
            "meter_class_percent": certificate.meter_class_percent,
            "made_at": format_instant(certificate.made_us),
            "valid_from": format_instant(certificate.since_us),
            "valid_until": format_instant(certificate.until_us),
            "days_left": max((certificate.until_us - now_us) // US_PER_DAY, 0),
            "measured_from": format_instant(certificate.measured_from_us),
            "measured_to": format_instant(certificate.measured_to_us),
            "windows": certificate.windows,
            "load_low_w": certificate.load_low_w,
            "load_high_w": certificate.load_high_w,
            "lag_s": certificate.lag_s,
            "role": certificate.role,
            "sha256": certificate.sha256,
            "method": certificate.method,
        }
        quantities = [] if certificate.uplift is None else [("uplift", certificate.uplift, "whole")]
        quantities += [(f"gain {gain.device or gain.component}", gain.estimate, gain.way) for gain in certificate.gains]
        for name, estimate, way in quantities:
            low, high = expanded(estimate)
            rows.append({**common, "quantity": name, "value": estimate.value, "low": low, "high": high, "way": way})
    return rows
