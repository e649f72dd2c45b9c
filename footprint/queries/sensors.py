"""Sensors of hosts: what is read, what its witness says, what the last self-test found, and which calibration holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select

from footprint.aggregation.wall_balance import wall_balance
from footprint.attribution.array_types import Floats
from footprint.attribution.wall_calibration import component_slopes
from footprint.config import Config
from footprint.config.certificates import CalibrationCertificate, certificate_at, expanded
from footprint.core.estimate import COVERAGE_FACTOR
from footprint.core.timestamps import format_instant
from footprint.core.units import UJ_PER_J, US_PER_DAY, US_PER_S
from footprint.i18n.sensor_words import sensor_word
from footprint.ledger.certificates import stored_certificates
from footprint.ledger.ledger_view import LedgerView
from footprint.ledger.selftests import latest_selftests
from footprint.queries.sensor_quality import SensorFinding, sensor_findings
from footprint.storage import schema
from footprint.storage.database import Store, table

WALL_DAYS = 7  # of the comparison of the parts with the whole server
COLUMNS = (
    "host",
    "device",
    "component",
    "source",
    "quantity",
    "grade",
    "model",
    "last_reading",
    "age_s",
    "state",
    "verdict",
    "witness",
    "reason",
    "since",
    "judged_j",
    "witness_low_j",
    "witness_high_j",
    "window_s",
    "doubt_j",
    "doubt_since",
    "selftest_at",
    "selftest_verdict",
    "update_period_s",
    "resolution",
    "resolution_unit",
    "jitter_ms",
    "lag_s",
    "noise_w",
    "gain",
    "gain_low",
    "gain_high",
    "serial",
    "valid_until",
)


def sensor_table(
    store: Store, config: Config, now_us: int, language: str = "en", *, host: str | None = None
) -> list[dict[str, Any]]:
    """Rows with ``COLUMNS`` of every source that was ever read, and of those that an agent names without reading them."""
    with store.read() as connection:
        rows = _stream_rows(store, connection, now_us, host)
        certificates, selftests = stored_certificates(connection), latest_selftests(connection)
    by_source = {(row["host"], row["device"], row["source"]): row for row in rows}
    for finding in sensor_findings(store, now_us):
        if host is not None and finding.host != host:
            continue
        key = finding.host, finding.device, finding.source
        if key not in by_source:
            by_source[key] = dict.fromkeys(COLUMNS) | dict(zip(("host", "device", "source"), key, strict=True))
        by_source[key] |= _finding_columns(finding, language)
    for row in by_source.values():
        row.update(_selftest_columns(row, selftests.get(row["host"])))
        row.update(_gain_columns(row, certificate_at(certificates, row["host"], now_us)))
    return [by_source[key] for key in sorted(by_source)]


def _stream_rows(store: Store, connection: Connection, now_us: int, host: str | None) -> list[dict[str, Any]]:
    stream, day = table(schema.Stream), table(schema.StreamDay)
    last = select(day.c.stream_id, func.max(day.c.last_us).label("last_us")).group_by(day.c.stream_id).subquery()
    energies = stream.c.quantity.in_(("energy", "power"))
    streams = connection.execute(select(stream, last.c.last_us).join(last, last.c.stream_id == stream.c.id).where(energies)).all()
    names = store.texts(connection, {name_id for row in streams for name_id in (row.host_id, row.device_id)})
    rows = []
    for row in streams:
        if host is None or names[row.host_id] == host:
            described = {name: getattr(row, name) or None for name in ("component", "quantity", "grade", "model")}
            described |= {"host": names[row.host_id], "device": names[row.device_id], "source": row.source or row.grade}
            described |= {"last_reading": format_instant(row.last_us), "age_s": max(now_us - row.last_us, 0) / US_PER_S}
            rows.append(dict.fromkeys(COLUMNS) | described)
    return rows


def _finding_columns(finding: SensorFinding, language: str) -> dict[str, Any]:
    columns: dict[str, Any] = {"since": format_instant(finding.since_us) if finding.trouble else None}
    columns["state"] = None if finding.state is None else sensor_word(finding.state, language)
    columns["reason"] = sensor_word(finding.reason, language) or None
    verdict = finding.verdict
    if verdict is None:
        return columns
    columns |= {"verdict": sensor_word(verdict.verdict, language), "witness": sensor_word(verdict.witness, language) or None}
    if verdict.witness:
        columns |= {
            "judged_j": verdict.judged_uj / UJ_PER_J,
            "witness_low_j": verdict.low_uj / UJ_PER_J,
            "witness_high_j": verdict.high_uj / UJ_PER_J,
            "window_s": verdict.window_us / US_PER_S,
        }
    if verdict.doubt_since_us:
        columns |= {"doubt_j": verdict.doubt_uj / UJ_PER_J, "doubt_since": format_instant(verdict.doubt_since_us)}
    return columns


def _selftest_columns(row: dict[str, Any], report: dict[str, Any] | None) -> dict[str, Any]:
    if report is None:
        return {}
    names = ("update_period_s", "resolution", "resolution_unit", "jitter_ms", "lag_s", "noise_w")
    for sensor in report["sensors"]:
        if sensor["source"] == row["source"] and row["device"] in (sensor["device"], sensor["alias"]):
            return {"selftest_at": report["at"], "selftest_verdict": sensor["verdict"], **{name: sensor[name] for name in names}}
    return {}


def _gain_columns(row: dict[str, Any], certificate: CalibrationCertificate | None) -> dict[str, Any]:
    if certificate is None:
        return {}
    columns: dict[str, Any] = {"serial": certificate.serial, "valid_until": format_instant(certificate.until_us)}
    gain = certificate.gain_of(row["component"] or "", row["device"])
    if gain is not None:
        low, high = expanded(gain.estimate)
        columns |= {"gain": gain.value, "gain_low": low, "gain_high": high}
    return columns


def sensor_hosts(store: Store) -> list[str]:
    """Hosts that have readings of energy, by name."""
    stream = table(schema.Stream)
    with store.read() as connection:
        ids = set(
            connection.execute(select(stream.c.host_id).where(stream.c.quantity.in_(("energy", "power"))).distinct()).scalars()
        )
        return sorted(store.texts(connection, ids).values())


@dataclass(frozen=True, slots=True)
class WallComparison:
    """Mean powers [W] of a host by window: the whole server and the sum of its parts; the slope between them with U = 2u."""

    wall_w: Floats
    parts_w: Floats
    slope: float | None
    slope_half_width: float
    intercept_w: float


def wall_comparison(store: Store, config: Config, host: str, end_us: int) -> WallComparison | None:
    """The whole server beside its parts in the days before an instant; None where not both were read."""
    with store.read() as connection:
        view = LedgerView(store, connection)
        balance = wall_balance(view, host, config.window_s * US_PER_S, end_us - WALL_DAYS * US_PER_DAY, end_us)
    if balance is None or not len(balance.wall_uj):
        return None
    window_uj = config.window_s * UJ_PER_J
    wall_w, parts_w = balance.wall_uj / window_uj, balance.parts_uj / window_uj
    slope = component_slopes(wall_w, {"parts": parts_w}, 0.0)[0]
    if slope.value is None:
        return WallComparison(wall_w, parts_w, None, 0.0, 0.0)
    intercept = float(np.mean(wall_w) - slope.value * np.mean(parts_w))
    return WallComparison(wall_w, parts_w, slope.value, COVERAGE_FACTOR * slope.u, intercept)
