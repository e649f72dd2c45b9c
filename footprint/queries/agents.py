"""Agents: what the ledger knows of each host, and what its agent said last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_S
from footprint.ledger.agent_status import AgentStatus, agent_statuses
from footprint.ledger.refusals import IMPORT_SOURCE, refusal_rows
from footprint.queries.agent_liveness import RETIRED, SILENT, HostLiveness, host_liveness
from footprint.queries.sensor_quality import troubled_sensors
from footprint.storage import schema
from footprint.storage.database import Store, table

NEVER = "never"  # a host that is declared or has a token, and sent nothing
COLUMNS = (
    "host",
    "declared",
    "state",
    "version",
    "last_reading",
    "age_s",
    "last_contact",
    "backlog_bytes",
    "clock_offset_s",
    "problems",
    "refused",
    "sensors",
)


def agent_rows(store: Store, config: Config, now_us: int) -> list[dict[str, Any]]:
    """One row a host that is declared, reads, has a token or was heard of; seconds and bytes, None where nothing is known."""
    readings = {host.host: host for host in host_liveness(store, config, now_us)}
    statuses, declared = agent_statuses(store), declared_hosts(config, now_us)
    token = table(schema.Token)
    with store.read() as connection:
        tokens = set(connection.execute(select(token.c.host).where(token.c.revoked_us.is_(None))).scalars())
    refused: dict[str, dict[str, int]] = {}
    for row in refusal_rows(store):
        if row["source"] != IMPORT_SOURCE and row["source"]:
            refused.setdefault(row["source"], {})[row["reason"]] = row["count"]
    sensors: dict[str, list[str]] = {}
    for finding in troubled_sensors(store, now_us):
        sensors.setdefault(finding.host, []).append(finding.words())
    hosts = sorted({*readings, *statuses, *declared, *tokens, *refused})
    return [
        _row(host, host in declared, readings.get(host), statuses.get(host), refused.get(host, {}))
        | {"sensors": "; ".join(sensors.get(host, ())) or None}
        for host in hosts
    ]


def declared_hosts(config: Config, now_us: int) -> set[str]:
    """Hosts that the configuration declares for now, by a block of their own or by a placement."""
    facts = [(fact.name, fact) for fact in config.hosts] + [(fact.host, fact) for fact in config.placements]
    return {name for name, fact in facts if fact.since_us <= now_us < fact.until_us}


def unwell_hosts(rows: list[dict[str, Any]]) -> list[str]:
    """Hosts that should send and do not: declared ones that never did, and silent ones that are not retired."""
    return [row["host"] for row in rows if row["state"] == SILENT or (row["declared"] and row["state"] in (NEVER, RETIRED))]


def _row(
    host: str, is_declared: bool, reading: HostLiveness | None, status: AgentStatus | None, refused: Mapping[str, int]
) -> dict[str, Any]:
    offset_us = None if status is None else status.clock_offset_us
    return {
        "host": host,
        "declared": is_declared,
        "state": NEVER if reading is None else reading.state,
        "version": (status.version if status else "") or None,
        "last_reading": None if reading is None else format_instant(reading.last_us),
        "age_s": None if reading is None else reading.silent_us / US_PER_S,
        "last_contact": None if status is None else format_instant(status.at_us),
        "backlog_bytes": None if status is None else status.backlog_bytes,
        "clock_offset_s": None if offset_us is None else offset_us / US_PER_S,
        "problems": _counts(status.problems if status else {}),
        "refused": _counts(refused),
    }


def _counts(counts: Mapping[str, int]) -> str | None:
    return "; ".join(f"{reason}: {count}" for reason, count in sorted(counts.items())) or None
