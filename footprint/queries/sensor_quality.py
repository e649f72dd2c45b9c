"""Sensor quality: what witnesses say of each sensor, and how much energy of a period rests on it.

The latest verdict and state of each source of each device come from the ledger, the energies of a period from the figures. A
device that was seen and is gone, or that never opened, has a row with its reason although it has no energy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, func, select, text

from footprint.attribution.row_columns import HOST_DEVICE
from footprint.calendar.slots import slot_length_us
from footprint.config import Config
from footprint.core.sensor_verdicts import (
    Reason,
    SensorState,
    SensorVerdict,
    Verdict,
    Witness,
    states_from_values,
    verdicts_from_values,
)
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_HOUR, US_PER_S, kwh_from_uj
from footprint.figures.dataset import Dataset
from footprint.i18n.catalogue import NBSP
from footprint.i18n.sensor_words import sensor_word
from footprint.storage import schema
from footprint.storage.database import Store, table

CURRENT_US = 2 * US_PER_HOUR  # agents repeat verdicts every hour; older ones are of a host that is silent
LASTING_US = 60 * US_PER_S  # doubt that lasts longer is a state of the sensor, of which people are to know
STANDS_STILL, IN_DOUBT, GONE, UNREAD = "sensor-stands-still", "sensor-in-doubt", "device-gone", "device-unread"
COLUMNS = (
    "host",
    "device",
    "source",
    "state",
    "verdict",
    "witness",
    "reason",
    "since",
    "at",
    "judged_kwh",
    "witness_low_kwh",
    "witness_high_kwh",
    "window_s",
    "ratio",
    "doubt_kwh",
    "doubt_since",
    "energy_kwh",
    "confirmed_kwh",
    "disputed_kwh",
    "may_be_high_kwh",
    "may_be_low_kwh",
    "standing_s",
    "implausible_s",
)
# The latest value of each context stream of verdicts and states: one look-up in the primary key of readings for each.
_LATEST = (
    "SELECT s.id, h.text, d.text, s.quantity, r.time_us, r.value FROM stream s JOIN name h ON h.id = s.host_id "
    "JOIN name d ON d.id = s.device_id JOIN reading r ON r.stream_id = s.id "
    "AND r.time_us = (SELECT MAX(x.time_us) FROM reading x WHERE x.stream_id = s.id AND x.time_us <= :now_us) "
    "WHERE s.quantity LIKE 'verdict%/%' OR s.quantity LIKE 'witness%/%' OR s.quantity LIKE 'judged_uj/%' "
    "OR s.quantity LIKE 'doubt%/%' OR s.quantity LIKE 'sensor_%/%'"
)
_JUDGED_GRADES = ("counter", "power", "witness")  # a share and an estimate are no sensors
_OTHER_BEFORE = "SELECT MAX(time_us) FROM reading WHERE stream_id = {stream:d} AND value <> {value:d} AND time_us < {at:d}"
_FIRST_AFTER = "SELECT MIN(time_us) FROM reading WHERE stream_id = {stream:d} AND time_us > {after:d}"


@dataclass(frozen=True, slots=True)
class SensorFinding:
    """What is known now of one source of one device.

    ``state`` is None where the agent says none; ``since_us`` is when the verdict, or without one the state, began.
    """

    host: str
    device: str
    source: str
    at_us: int
    since_us: int
    verdict: SensorVerdict | None = None
    state: SensorState | None = None
    state_reason: Reason = Reason.NONE

    @property
    def reason(self) -> Reason:
        """Why the verdict is not good, else why the source does not read."""
        if self.verdict is not None and self.verdict.reason != Reason.NONE:
            return self.verdict.reason
        return self.state_reason

    @property
    def trouble(self) -> str:
        """What is wrong: one of ``STANDS_STILL``, ``IN_DOUBT``, ``GONE`` and ``UNREAD``; empty where nothing is.

        A source that gives way to another one that reads is not wrong.
        """
        if self.state == SensorState.GONE:
            return GONE
        if self.verdict is not None and self.verdict.verdict == Verdict.STANDS_STILL:
            return STANDS_STILL
        if self.state == SensorState.DOUBTED or (self.verdict is not None and not self.verdict.is_good):
            return IN_DOUBT
        return UNREAD if self.state in (SensorState.SILENT, SensorState.UNREADABLE, SensorState.NOT_PERMITTED) else ""

    def words(self, language: str = "en") -> str:
        """Device and source, what is wrong with it and why, in a phrase."""
        code = self.state if self.trouble in (GONE, UNREAD) or self.verdict is None else self.verdict.verdict
        if self.trouble == IN_DOUBT and code in (Verdict.AGREES, Verdict.NO_WITNESS):
            code = SensorState.DOUBTED
        parts = [f"{self.device}, {self.source}", sensor_word(code, language) if code is not None else ""]
        reason = sensor_word(self.reason, language)
        return f"{parts[0]}{NBSP if language == 'fr' else ''}: {parts[1]}" + (f" ({reason})" if reason else "")


@dataclass(slots=True)
class _Latest:
    """Latest values of one source: (stream, instant, value) by name."""

    values: dict[str, tuple[int, int, int]] = field(default_factory=dict)


def sensor_findings(store: Store, now_us: int) -> list[SensorFinding]:
    """What is known now of every source, by host, device and source.

    The only source of a device that no agent judged has no witness. Several of such a device witness for each other in the
    figures of a period (``device_evidence``); of now nothing is known of them.
    """
    by_source: dict[tuple[str, str, str], _Latest] = defaultdict(_Latest)
    with store.read() as connection:
        for stream, host, device, quantity, at_us, value in connection.execute(text(_LATEST), {"now_us": now_us}):
            name, _, source = quantity.partition("/")
            by_source[host, device, source].values[name] = stream, at_us, value
        findings = [
            finding
            for key, latest in sorted(by_source.items())
            if (finding := _finding(connection, *key, latest.values)) is not None
        ]
        alone = _unjudged(store, connection, {(host, device) for host, device, _ in by_source}, now_us)
    return sorted([*findings, *alone], key=lambda finding: (finding.host, finding.device, finding.source))


def _unjudged(store: Store, connection: Connection, judged: Set[tuple[str, str]], now_us: int) -> list[SensorFinding]:
    """The only source of each device of which no agent says anything, as files and servers are imported: it has no witness."""
    stream, day = table(schema.Stream), table(schema.StreamDay)
    last = select(day.c.stream_id, func.max(day.c.last_us).label("last_us")).group_by(day.c.stream_id).subquery()
    is_sensor = stream.c.quantity.in_(("energy", "power")) & stream.c.grade.in_(_JUDGED_GRADES)
    rows = connection.execute(select(stream, last.c.last_us).join(last, last.c.stream_id == stream.c.id).where(is_sensor)).all()
    names = store.texts(connection, {name_id for row in rows for name_id in (row.host_id, row.device_id)})
    by_device: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in rows:
        by_device[names[row.host_id], names[row.device_id]].append(row)
    return [
        SensorFinding(*key, sources[0].source or sources[0].grade, at_us, at_us, SensorVerdict(at_us))
        for key, sources in by_device.items()
        if key not in judged and len(sources) == 1
        for at_us in (min(sources[0].last_us, now_us),)
    ]


def troubled_sensors(store: Store, now_us: int) -> list[SensorFinding]:
    """Sources with something wrong for longer than a minute, of agents that are heard."""
    return [
        finding
        for finding in sensor_findings(store, now_us)
        if finding.trouble and now_us - finding.at_us <= CURRENT_US and now_us - finding.since_us > LASTING_US
    ]


def _finding(
    connection: Connection, host: str, device: str, source: str, values: Mapping[str, tuple[int, int, int]]
) -> SensorFinding | None:
    judged = None
    if "verdict" in values:
        at_us = values["verdict"][1]
        of_instant = {f"{name}/{source}": value for name, (_, time_us, value) in values.items() if time_us == at_us}
        judged = verdicts_from_values(of_instant, at_us).get(source)
    plain = {f"{name}/{source}": value for name, (_, _, value) in values.items()}
    state, reason = states_from_values(plain).get(source, (None, Reason.NONE))
    if judged is None and state is None:
        return None
    at_us = max(values[name][1] for name in values)
    finding = SensorFinding(host, device, source, at_us, at_us, judged, state, reason)
    is_of_state = finding.trouble in (GONE, UNREAD) or (judged is None or judged.is_good)
    name = "sensor_state" if is_of_state else "verdict"
    if not finding.trouble or name not in values:
        return finding
    since_us = _since_us(connection, *values[name])
    if judged is not None and not is_of_state:
        since_us = min(since_us, judged.doubt_since_us or since_us)
    return replace(finding, since_us=since_us)


def _since_us(connection: Connection, stream: int, at_us: int, value: int) -> int:
    """First instant from which a stream has had its latest value."""
    before = connection.exec_driver_sql(_OTHER_BEFORE.format(stream=stream, value=value, at=at_us)).scalar()
    first = connection.exec_driver_sql(_FIRST_AFTER.format(stream=stream, after=-1 if before is None else before)).scalar()
    return at_us if first is None else int(first)


def sensor_rows(
    store: Store, config: Config, from_us: int | None, to_us: int | None, now_us: int, language: str = "en"
) -> list[dict[str, Any]]:
    """Rows with ``COLUMNS`` by host, device and source: findings of now, energies of the period by device.

    ``is_troubled`` says whether something is wrong now. Energies stand in the first row of a device. Devices that no agent
    judges bear the worst verdict of the server in the period; of several sources of one it is not said which it is about.
    """
    energies = device_evidence(store, config, from_us, to_us)
    rows: list[dict[str, Any]] = []
    for finding in sensor_findings(store, now_us):
        evidence = energies.pop((finding.host, finding.device), None)
        row = _row(finding, language) | (evidence.row() if evidence is not None else {})
        if evidence is not None and finding.state is None and finding.verdict == SensorVerdict(finding.at_us):
            row["verdict"] = sensor_word(evidence.verdict, language)  # no agent judged it
        rows.append(row)
    for (host, device), evidence in energies.items():
        if device != HOST_DEVICE:
            named = {"host": host, "device": device, "source": "", "is_troubled": False}
            named["verdict"] = sensor_word(evidence.verdict, language)
            rows.append(dict.fromkeys(COLUMNS) | named | evidence.row())
    return sorted(rows, key=lambda row: (row["host"], row["device"], row["source"]))


def _row(finding: SensorFinding, language: str) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"host": finding.host, "device": finding.device, "source": finding.source, "is_troubled": bool(finding.trouble)}
    row |= {"since": format_instant(finding.since_us), "at": format_instant(finding.at_us)}
    row["state"] = None if finding.state is None else sensor_word(finding.state, language)
    row["reason"] = sensor_word(finding.reason, language) or None
    verdict = finding.verdict
    if verdict is not None:
        row["verdict"] = sensor_word(verdict.verdict, language)
        row["witness"] = sensor_word(verdict.witness, language) or None
        if verdict.verdict != Verdict.NO_WITNESS and verdict.witness != Witness.NONE:
            row |= {
                "judged_kwh": kwh_from_uj(verdict.judged_uj),
                "witness_low_kwh": kwh_from_uj(verdict.low_uj),
                "witness_high_kwh": kwh_from_uj(verdict.high_uj),
                "window_s": verdict.window_us / US_PER_S,
                "ratio": verdict.ratio,
            }
        if verdict.doubt_since_us:
            row |= {"doubt_kwh": kwh_from_uj(verdict.doubt_uj), "doubt_since": format_instant(verdict.doubt_since_us)}
    return row


@dataclass(slots=True)
class DeviceEvidence:
    """IT energy of a device in a period [µJ]: all, confirmed and disputed by a witness, and by how much it may be wrong.

    ``standing_us`` and ``implausible_us`` are missing times [µs] in which its only source was not believed.
    """

    energy_uj: int = 0
    confirmed_uj: int = 0
    disputed_uj: int = 0
    low_uj: int = 0
    high_uj: int = 0
    standing_us: int = 0
    implausible_us: int = 0

    @property
    def verdict(self) -> Verdict:
        """The worst that the server itself says of it."""
        if any((self.disputed_uj, self.low_uj, self.high_uj, self.implausible_us)):
            return Verdict.DISAGREES
        if self.standing_us:
            return Verdict.STANDS_STILL
        return Verdict.AGREES if self.confirmed_uj else Verdict.NO_WITNESS

    def row(self) -> dict[str, Any]:
        """The columns of a period."""
        return {
            "energy_kwh": kwh_from_uj(self.energy_uj),
            "confirmed_kwh": kwh_from_uj(self.confirmed_uj),
            "disputed_kwh": kwh_from_uj(self.disputed_uj),
            "may_be_high_kwh": kwh_from_uj(self.low_uj),
            "may_be_low_kwh": kwh_from_uj(self.high_uj),
            "standing_s": self.standing_us / US_PER_S,
            "implausible_s": self.implausible_us / US_PER_S,
        }


def device_evidence(
    store: Store, config: Config, from_us: int | None, to_us: int | None
) -> dict[tuple[str, str], DeviceEvidence]:
    """What the energy of each host and device rests on, over the whole slots that [from, to) [µs] touches."""
    grain = slot_length_us(config.timezone)
    evidence: dict[tuple[str, str], DeviceEvidence] = defaultdict(DeviceEvidence)
    with store.read() as connection:
        dataset = Dataset(store, connection, config.timezone)
        extent = dataset.extent_s()
        if extent is None:
            return {}
        first_s = extent[0] if from_us is None else (from_us - from_us % grain) // US_PER_S
        last_s = extent[1] if to_us is None else (to_us + -to_us % grain) // US_PER_S
        ranges = [(0, first_s, last_s)] if first_s < last_s else []
        columns = {
            "energy_uj": "active_uj + idle_uj + host_uj",
            "confirmed_uj": "confirmed_uj",
            "disputed_uj": "disputed_uj",
            "low_uj": "doubt_low_uj",
            "high_uj": "doubt_high_uj",
        }
        measures = {name: f"SUM({sql})" for name, sql in columns.items()}
        times = {name: f"SUM({name})" for name in ("standing_us", "implausible_us")}
        sums = [
            *dataset.sums("energy", ranges, ["host", "device"], measures).to_pylist(),
            *dataset.sums("coverage", ranges, ["host", "device"], times).to_pylist(),
        ]
        names = store.texts(connection, {row[key] for row in sums for key in ("key0", "key1")})
    for row in sums:
        of_device = evidence[names[row["key0"]], names[row["key1"]]]
        for name in (*columns, *times):
            if name in row:
                setattr(of_device, name, int(row[name]))
    return dict(evidence)
