"""Reports of ``footprint-agent selftest`` in the ledger: events that are sealed with the others, never changed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from footprint.core.limits import instant_fault, name_fault, personal_name_fault
from footprint.core.records import FootprintError
from footprint.core.sensor_verdicts import Verdict
from footprint.core.timestamps import BadTimestamp, format_instant, parse_instant
from footprint.storage import schema
from footprint.storage.database import Store, table

SELFTEST = "selftest"  # kind of the event
FORM, FORM_VERSION = "footprint-selftest", 1
MAX_BYTES = 1 << 20
MAX_SENSORS = 1000
_VERDICTS = tuple(verdict.name.lower().replace("_", " ") for verdict in Verdict)
_TEXTS = ("device", "alias", "component", "source", "model", "grade", "verdict", "witness", "reason", "resolution_unit")
_NUMBERS = ("jitter_ms", "update_period_s", "resolution", "noise_w", "response_w", "lag_s", "judged_j", "readings")


class BadSelftest(FootprintError):
    """A file that is no report of a self-test; the message says why."""


def import_selftest(store: Store, path: str, now_us: int, host: str | None = None) -> dict[str, Any]:
    """Store the report of a file, of ``host`` if given; the same report again is stored once.

    Raises
    ------
    BadSelftest
        If the file cannot be read, or is no report of this form.
    """
    report = _checked(path, now_us)
    if host is not None and report["host"] != host:
        raise BadSelftest(f"{path}: is the self-test of {report['host']}, not of {host}; nothing was stored")
    text = json.dumps(report, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    event = table(schema.Event)
    with store.begin() as connection:
        same = (event.c.kind == SELFTEST) & (event.c.text == text)
        if connection.execute(select(event.c.id).where(same).limit(1)).first() is None:
            store.record_event(connection, now_us, SELFTEST, text)
    return report


def latest_selftests(connection: Connection) -> dict[str, dict[str, Any]]:
    """The newest report of each host, by the instant of the test."""
    event = table(schema.Event)
    latest: dict[str, dict[str, Any]] = {}
    for text in connection.execute(select(event.c.text).where(event.c.kind == SELFTEST).order_by(event.c.id)).scalars():
        report = json.loads(text)
        if report["host"] not in latest or report["at"] >= latest[report["host"]]["at"]:
            latest[report["host"]] = report
    return latest


def _checked(path: str, now_us: int) -> dict[str, Any]:
    """The parts of a report that are stored, checked one by one: a file is not trusted."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        document = json.loads(raw) if len(raw) <= MAX_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise BadSelftest(f"{path}: cannot be read: {error}") from None
    if not isinstance(document, dict) or document.get("form") != FORM or document.get("form_version") != FORM_VERSION:
        raise BadSelftest(f"{path}: is no report of `footprint-agent selftest --output FILE`, version {FORM_VERSION}")
    sensors = document.get("sensors")
    if not isinstance(sensors, list) or len(sensors) > MAX_SENSORS:
        raise BadSelftest(f"{path}: sensors is no list of at most {MAX_SENSORS}")
    try:
        at_us = parse_instant(str(document.get("at", "")))
    except BadTimestamp as bad:
        raise BadSelftest(f"{path}: at is {bad}") from None
    if fault := instant_fault(at_us, now_us):
        raise BadSelftest(f"{path}: at is {fault}")
    host = _text(path, document, "host")
    if not host or (fault := personal_name_fault(host, is_host=True)):
        raise BadSelftest(f"{path}: host is missing or no name of a host")
    return {
        "host": host,
        "at": format_instant(at_us),
        **{name: _text(path, document, name) for name in ("agent", "kernel")},
        "duration_s": _number(path, document, "duration_s"),
        "not_read": [_line(path, line) for line in _list(path, document, "not_read")],
        "notes": [_line(path, line) for line in _list(path, document, "notes")],
        "sensors": [_sensor(path, sensor) for sensor in sensors],
    }


def _sensor(path: str, sensor: Any) -> dict[str, Any]:
    if not isinstance(sensor, dict):
        raise BadSelftest(f"{path}: a sensor is no object")
    texts = {name: _text(path, sensor, name) for name in _TEXTS}
    numbers = {name: _number(path, sensor, name) for name in _NUMBERS}
    if texts["verdict"] not in _VERDICTS:
        raise BadSelftest(f"{path}: verdict is none of: {', '.join(_VERDICTS)}")
    follows = sensor.get("follows")
    return {**texts, **numbers, "follows": follows if isinstance(follows, bool) else None}


def _text(path: str, document: dict[str, Any], name: str) -> str:
    value = document.get(name, "")
    if not isinstance(value, str) or (value and (fault := name_fault(value))):
        raise BadSelftest(f"{path}: {name} {fault if isinstance(value, str) else 'is no text'}")
    return value


def _line(path: str, value: Any) -> str:
    """A sentence, without what no page shows; it may be longer than a name."""
    if not isinstance(value, str):
        raise BadSelftest(f"{path}: a remark is no text")
    return "".join(character if character.isprintable() else " " for character in value)[:500]


def _list(path: str, document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name, [])
    if not isinstance(value, list) or len(value) > MAX_SENSORS:
        raise BadSelftest(f"{path}: {name} is no list of at most {MAX_SENSORS}")
    return value


def _number(path: str, document: dict[str, Any], name: str) -> float | None:
    value = document.get(name)
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise BadSelftest(f"{path}: {name} is no number")
    return number
