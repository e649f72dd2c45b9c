"""Records that the agent sends to the server, and their JSON lines.

Standard library only, because the agent runs beside the GPUs. Records hold cumulative counters at
instants, never energy per interval: a lost record costs resolution but no joules, and retries,
reordering and ``kill -9`` need no special code.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from footprint.core.limits import MAX_COUNT, energy_fault, instant_fault, name_fault, personal_name_fault
from footprint.core.request_checks import (
    IMPLAUSIBLE,
    MENDED,
    REFUSED,
    STATUSES,
    UNKNOWN,
    WITHOUT_WORK,
    RequestNumbers,
    count_findings,
    examine,
)
from footprint.core.sensor_verdicts import VALUE_NAMES
from footprint.core.stored_forms import keys_of, stored_as
from footprint.core.timestamps import BadTimestamp, format_instant, parse_instant
from footprint.core.units import INT64_MAX

COMPONENTS = ("gpu", "cpu", "dram", "host")

# The source of a reading states its method; it is never guessed from values. A source in none of
# these sets is graded by its quantity.
ESTIMATE_SOURCES = frozenset({"estimate", "tdp"})
POWER_SOURCES = frozenset({"ipmi", "redfish"})  # and every source that ends in "-power"
MODELLED = "-mig"  # suffix of the source of a GPU instance that gets a share of its board's energy
WITNESS = "-witness"  # suffix of a second source of a grade that another source of the device has already

# Context of a device: state stored beside its energy. A name may be followed by ``/`` and a process group.
# Verdicts on sensors and their states are followed by ``/`` and the source of the energy.
CONTEXT = VALUE_NAMES | {"power_limit_uw", "clock_sm_hz", "clock_memory_hz", "memory_used_bytes", "busy_us", "holding"}

# Status of a record, stored as bits with the reading.
FLAG_GAP, FLAG_RESET, FLAG_CLOSED, FLAG_UNSYNCHRONISED = 1, 2, 4, 8
FLAG_ANYWAY = 16  # implausible, and imported with --anyway
_FLAGS = {"gap": FLAG_GAP, "reset": FLAG_RESET, "closed": FLAG_CLOSED, "unsynchronised": FLAG_UNSYNCHRONISED}

COUNT_COLUMNS = ("requests", "input_tokens", "cached_input_tokens", "output_tokens")
MAX_ATTEMPT = 999


class FootprintError(Exception):
    """Base of errors that the user can act on; the message gives the problem, the reason and the remedy."""


class BadLine(FootprintError):
    """An invalid line: the column and the reason, never the content of the line."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column}: {reason}")
        self.column = column
        self.reason = reason


def grade_of(source: str, *, counter: bool) -> str:
    """Grade of a stream: ``counter``, ``power``, ``modelled``, ``witness`` or ``estimate``; only the best of a device counts.

    A ``witness`` measures what another source of the device measures already; it counts only if no other source is good.
    """
    if source.endswith(WITNESS):
        return "witness"
    if source in ESTIMATE_SOURCES or source.startswith("estimate"):
        return "estimate"
    if source.endswith(MODELLED):
        return "modelled"
    if source in POWER_SOURCES or source.startswith("nvml-power") or source.endswith("-power") or not counter:
        return "power"
    return "counter"


def flags_of(status: str, sync: str) -> int:
    """Status and clock synchronisation of a record, as bits."""
    return _FLAGS.get(status, 0) | _FLAGS.get(sync, 0)


@stored_as("energy", "host device component source epoch seq at energy_uj covered_us mono_us alias model sync status agent")
@dataclass(frozen=True, slots=True)
class EnergyReading:
    """Corrected cumulative energy of a device at an instant: wraps undone, one epoch per boot or driver load.

    ``energy_uj`` and ``covered_us`` count from the start of the epoch: the difference of two
    readings of one epoch is the energy [µJ] between them, and how much of that time [µs] was
    measured. ``mono_us`` is the monotonic clock, which NTP steps do not move. ``device`` is the
    identity of the device, ``alias`` the position that people know it by (``gpu:0``).
    """

    KIND: ClassVar[str] = "energy"

    host: str
    device: str
    component: str
    source: str
    epoch: str
    seq: int
    at_us: int
    energy_uj: int
    covered_us: int
    mono_us: int = 0
    alias: str = ""
    model: str = ""
    sync: str = "unknown"
    status: str = "ok"
    agent: str = ""


@stored_as("activity", "host group epoch seq at cpu_us capacity_us memory_bytes agent")
@dataclass(frozen=True, slots=True)
class ActivityReading:
    """Cumulative CPU time [µs] of one process group on a host at an instant, and its memory [bytes].

    The group ``(host)`` is all processes; ``capacity_us`` is the CPU time that the host could have given.
    """

    KIND: ClassVar[str] = "activity"

    host: str
    group: str
    epoch: str
    seq: int
    at_us: int
    cpu_us: int
    capacity_us: int
    memory_bytes: int | None = None
    agent: str = ""


@stored_as("context", "host device component source epoch seq at values agent")
@dataclass(frozen=True, slots=True)
class ContextReading:
    """State of a device at an instant: integers by name, the names in ``CONTEXT``.

    ``busy_us`` is its cumulative busy time; ``holding/GROUP`` is 1 while a process of that group uses the device,
    and 0 once it no longer does. Values that are not sent again have not changed.
    """

    KIND: ClassVar[str] = "context"

    host: str
    device: str
    component: str
    source: str
    epoch: str
    seq: int
    at_us: int
    values: dict[str, int]
    agent: str = ""


@stored_as(
    "request",
    "start service use_case end first_token model requests input_tokens cached_input_tokens output_tokens units unit status id "
    "replica attempt",
)
@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request, or a window of several: when, for which service and use case, how many tokens.

    ``end_us`` is None for an arrival of unknown duration. Cached tokens are a part of the input. ``replica`` names the host that
    served it, or what the configuration maps to one. ``attempt`` numbers the attempts of one ``id``.
    By design there is no field for the prompt, the answer or the user.
    """

    KIND: ClassVar[str] = "request"

    start_us: int
    service: str
    use_case: str
    end_us: int | None = None
    first_token_us: int | None = None
    model: str = ""
    requests: int = 1
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    output_tokens: int | None = None
    units: float | None = None
    unit: str = ""
    status: str = ""
    id: str = ""
    replica: str = ""
    attempt: int | None = None


Record = EnergyReading | ActivityReading | ContextReading | RequestRecord

MAX_TOTAL = INT64_MAX // 2  # of a cumulative value: differences and sums of two stay in 64 bits
_INSTANTS = ("at", "start", "end", "first_token")  # µs in a record, RFC 3339 on the wire
_PERSONAL = ("service", "use_case", "model", "unit", "replica")  # names that a log may fill with those of people


def to_line(record: Record) -> str:
    """Encode a record as one JSON line, without line end; empty fields are left out, instants are RFC 3339."""
    fields: dict[str, Any] = {"kind": record.KIND}
    for name, key in keys_of(type(record)):
        value = getattr(record, name)
        if value is None or value == "" or (key == "mono_us" and value == 0):
            continue
        fields[key] = format_instant(value) if key in _INSTANTS else value
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)


def from_line(line: str | bytes, now_us: int | None = None, mended: Counter[str] | None = None) -> Record:
    """Decode a record from a JSON line; with ``now_us`` [µs], refuse instants after it.

    ``mended`` counts, by reason, the fields of requests that cannot be and were left out or mended.

    Raises
    ------
    BadLine
        If the line is invalid; the error names the column and never repeats the content.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLine("line", "not JSON") from None
    if not isinstance(fields, dict):
        raise BadLine("line", "not a JSON object")
    kind = str(fields.get("kind", ""))
    if kind == RequestRecord.KIND:
        return read_request(fields, now_us, mended)
    parse = _PARSERS.get(kind)
    if parse is None:
        raise BadLine("kind", "must be energy, activity, context or request")
    record = parse(fields)
    if now_us is not None:
        check_instants(record, now_us)
    return record


def check_record(record: RequestRecord, now_us: int, mended: Counter[str] | None = None) -> RequestRecord:
    """Judge a request that was not read from a line, as ``from_line`` would; return it with its fields mended.

    Raises
    ------
    BadLine
        If it cannot be right.
    """
    for name in (*_PERSONAL, "id"):
        if fault := name_fault(getattr(record, name)):
            raise BadLine(name, fault)
    check_instants(record, now_us)
    return check_request(record, mended)


def check_instants(record: Record, now_us: int) -> None:
    """Refuse a record from before 2000, or from more than a day after ``now_us`` [µs].

    Raises
    ------
    BadLine
        If an instant is out of these bounds.
    """
    for name in ("at", "start", "end"):
        at_us = getattr(record, f"{name}_us", None)
        if at_us is not None and (fault := instant_fault(at_us, now_us)):
            raise BadLine(name, fault)


def _energy(fields: dict[str, Any]) -> EnergyReading:
    component = _text(fields, "component")
    if component not in COMPONENTS:
        raise BadLine("component", f"must be one of {', '.join(COMPONENTS)}")
    reading = EnergyReading(
        host=_machine_name(fields, "host"),
        device=_machine_name(fields, "device"),
        component=component,
        source=_text(fields, "source"),
        epoch=_text(fields, "epoch"),
        seq=_count(fields, "seq"),
        at_us=_instant(fields, "at"),
        energy_uj=_count(fields, "energy_uj"),
        covered_us=_count(fields, "covered_us"),
        mono_us=_count(fields, "mono_us", default=0),
        alias=_text(fields, "alias", default=""),
        model=_text(fields, "model", default=""),
        sync=_text(fields, "sync", default="unknown"),
        status=_text(fields, "status", default="ok"),
        agent=_text(fields, "agent", default=""),
    )
    # The epoch began after the boot, from which the monotonic clock counts.
    elapsed_us = max(reading.covered_us, reading.mono_us) or reading.at_us
    if fault := energy_fault(component, reading.energy_uj, elapsed_us):
        raise BadLine("energy_uj", fault)
    return reading


def _activity(fields: dict[str, Any]) -> ActivityReading:
    return ActivityReading(
        host=_machine_name(fields, "host"),
        group=_text(fields, "group"),
        epoch=_text(fields, "epoch"),
        seq=_count(fields, "seq"),
        at_us=_instant(fields, "at"),
        cpu_us=_count(fields, "cpu_us"),
        capacity_us=_count(fields, "capacity_us"),
        memory_bytes=_count(fields, "memory_bytes") if fields.get("memory_bytes") is not None else None,
        agent=_text(fields, "agent", default=""),
    )


def _context(fields: dict[str, Any]) -> ContextReading:
    component = _text(fields, "component")
    if component not in COMPONENTS:
        raise BadLine("component", f"must be one of {', '.join(COMPONENTS)}")
    values = fields.get("values")
    if not isinstance(values, dict) or not values:
        raise BadLine("values", "not an object, or empty")
    for name in values:
        if name.partition("/")[0] not in CONTEXT:
            raise BadLine("values", f"must be of {', '.join(sorted(CONTEXT))}")
        if fault := name_fault(name):
            raise BadLine("values", f"a name {fault}")
    return ContextReading(
        host=_machine_name(fields, "host"),
        device=_machine_name(fields, "device"),
        component=component,
        source=_text(fields, "source"),
        epoch=_text(fields, "epoch"),
        seq=_count(fields, "seq"),
        at_us=_instant(fields, "at"),
        values={name: _count(values, name) for name in values},
        agent=_text(fields, "agent", default=""),
    )


def read_request(fields: dict[str, Any], now_us: int | None = None, mended: Counter[str] | None = None) -> RequestRecord:
    """The request that fields by column name hold: judged, with the fields left out or mended that cannot be.

    Parameters
    ----------
    fields
        Values by column, as on the wire; others are not read.
    now_us
        Refuse instants more than a day after it [µs].
    mended
        Counts the fields left out or mended, by reason.

    Raises
    ------
    BadLine
        If it cannot be right.
    """
    mended = Counter() if mended is None else mended
    record = RequestRecord(
        start_us=_instant(fields, "start"),
        end_us=_instant(fields, "end") if fields.get("end") is not None else None,
        first_token_us=_or_left_out(partial(_instant, now_us=now_us), fields, "first_token", mended),
        service=_text(fields, "service", default=""),
        use_case=_text(fields, "use_case", default=""),
        model=_text(fields, "model", default=""),
        requests=_count(fields, "requests", default=1, maximum=MAX_COUNT),
        input_tokens=_optional_count(fields, "input_tokens"),
        cached_input_tokens=_or_left_out(_optional_count, fields, "cached_input_tokens", mended),
        output_tokens=_optional_count(fields, "output_tokens"),
        units=_or_left_out(_optional_number, fields, "units", mended),
        unit=_text(fields, "unit", default=""),
        status=_or_left_out(_status, fields, "status", mended) or "",
        id=_text(fields, "id", default=""),
        replica=_text(fields, "replica", default=""),
        attempt=_or_left_out(_attempt, fields, "attempt", mended),
    )
    if now_us is not None:
        check_instants(record, now_us)
    return check_request(record, mended)


def check_request(record: RequestRecord, mended: Counter[str] | None = None) -> RequestRecord:
    """Judge a request (``footprint.core.request_checks``); return it with its fields mended, each counted by reason.

    Raises
    ------
    BadLine
        If it cannot be right, is implausible, or bears a name that may be a person's.
    """
    for name in _PERSONAL:
        if fault := personal_name_fault(getattr(record, name), is_host=name == "replica"):
            raise BadLine(name, fault)
    counts = {name: _or_unknown(getattr(record, name)) for name in _NUMBERS}
    numbers, findings = examine(RequestNumbers(**counts, works=record.status not in WITHOUT_WORK))
    for finding in findings:
        if finding.rows and finding.outcome in (REFUSED, IMPLAUSIBLE):
            raise BadLine(finding.column, finding.reason)
    if not any(finding.rows and finding.outcome == MENDED for finding in findings):
        return record
    if mended is not None:
        count_findings(findings, MENDED, mended)
    values = ((name, getattr(numbers, name)) for name in _NUMBERS)
    changes: dict[str, Any] = {name: None if value == UNKNOWN else value for name, value in values}
    return replace(record, **changes)


_NUMBERS = ("start_us", "end_us", "first_token_us", *COUNT_COLUMNS)


def _or_unknown(value: int | None) -> int:
    return UNKNOWN if value is None else value


def _or_left_out(parse: Callable[[dict[str, Any], str], Any], fields: dict[str, Any], name: str, mended: Counter[str]) -> Any:
    """An optional field; None where it is absent or cannot be; a negative count costs the row."""
    if fields.get(name) is None:
        return None
    try:
        return parse(fields, name)
    except BadLine as bad:
        if bad.reason == "negative":  # a count of a broken log
            raise
        mended[f"{name}: {bad.reason}, left out"] += 1
        return None


def _status(fields: dict[str, Any], name: str) -> str:
    status = _text(fields, name, default="")
    if status not in ("", *STATUSES):
        raise BadLine(name, f"none of {', '.join(STATUSES)}")
    return status


def _attempt(fields: dict[str, Any], name: str) -> int:
    return _count(fields, name, maximum=MAX_ATTEMPT)


def _text(fields: dict[str, Any], name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if value is None:
        raise BadLine(name, "missing")
    if not isinstance(value, str):
        raise BadLine(name, "not a text")
    if default is None and not value.strip():
        raise BadLine(name, "empty")
    text = value.strip(" \t\r\n")
    if fault := name_fault(text):
        raise BadLine(name, fault)
    return text.strip()


def _machine_name(fields: dict[str, Any], name: str) -> str:
    text = _text(fields, name)
    if fault := personal_name_fault(text, is_host=True):
        raise BadLine(name, fault)
    return text


def _count(fields: dict[str, Any], name: str, default: int | None = None, maximum: int = MAX_TOTAL) -> int:
    value = fields.get(name, default)
    if value is None:
        raise BadLine(name, "missing")
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadLine(name, "not a whole number")
    if not 0 <= value <= maximum:
        raise BadLine(name, "negative" if value < 0 else "too large")
    return value


def _optional_count(fields: dict[str, Any], name: str) -> int | None:
    return _count(fields, name, maximum=MAX_COUNT) if fields.get(name) is not None else None


def _optional_number(fields: dict[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise BadLine(name, "not a number of at least 0")
    return float(value)


def _instant(fields: dict[str, Any], name: str, now_us: int | None = None) -> int:
    value = fields.get(name)
    if value is None:
        raise BadLine(name, "missing")
    try:
        instant_us = parse_instant(value if isinstance(value, str) else repr(value))
    except BadTimestamp as bad:
        raise BadLine(name, str(bad)) from None
    if fault := instant_fault(instant_us, instant_us if now_us is None else now_us):
        raise BadLine(name, fault)
    return instant_us


_PARSERS: dict[str, Callable[[dict[str, Any]], Record]] = {"energy": _energy, "activity": _activity, "context": _context}
