"""What agents say of themselves with each shipment: version, backlog, clock and problems, the latest of each host.

Agents say it in headers, which are as untrusted as the records: each is checked and bounded, and what is not right is left out
and counted as a problem. It never delays or refuses a shipment.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from footprint.core.limits import MAX_COUNT, name_fault, personal_name_fault
from footprint.core.timestamps import BadTimestamp, parse_instant
from footprint.core.units import US_PER_S
from footprint.storage import schema
from footprint.storage.database import Store, table

STORE_INTERVAL_US = 30 * US_PER_S  # between two writes for a host whose state does not change
MAX_HOSTS = 10_000
_KEY = "agent "  # prefix of keys in Meta
_MAX_PROBLEMS, _MAX_PROBLEMS_CHARACTERS = 50, 4096
_MAX_OFFSET_US = 10 * 366 * 86_400 * US_PER_S
_VERSION = re.compile(r"[0-9A-Za-z][\w.+-]{0,39}", re.ASCII)
_PROBLEM = re.compile(r"[A-Za-z][\w .:/-]{0,59}", re.ASCII)
BAD_HEADER = "header not understood"


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """Latest word of the agent of a host: when it came [µs], bytes that waited, offset of its clock [µs], problems by reason."""

    at_us: int
    version: str = ""
    backlog_bytes: int | None = None
    clock_offset_us: int | None = None
    problems: dict[str, int] = field(default_factory=dict)


def parse_status(headers: Mapping[str, str], now_us: int) -> AgentStatus | None:
    """Status from the headers of a shipment; None if it has none of them."""
    version, backlog, clock, problems = (
        headers.get(f"footprint-agent-{name}") for name in ("version", "backlog", "clock", "problems")
    )
    if version is None and backlog is None and clock is None and problems is None:
        return None
    bad = 0
    counts: dict[str, int] = {}
    if problems is not None:
        counts, dropped = _parse_problems(problems)
        bad += dropped
    if version is not None and not _VERSION.fullmatch(version):
        version, bad = "", bad + 1
    backlog_bytes = _parse_count(backlog)
    offset_us = _parse_offset(clock, now_us)
    bad += (backlog is not None and backlog_bytes is None) + (clock is not None and offset_us is None)
    if bad:
        counts[BAD_HEADER] = bad
    return AgentStatus(now_us, version or "", backlog_bytes, offset_us, counts)


def _parse_count(text: str | None) -> int | None:
    if text is None or not re.fullmatch(r"[0-9]{1,16}", text, re.ASCII):
        return None
    return min(int(text), MAX_COUNT)


def _parse_offset(text: str | None, now_us: int) -> int | None:
    if text is None or len(text) > 40:
        return None
    try:
        offset_us = parse_instant(text) - now_us
    except (BadTimestamp, ValueError, OverflowError):
        return None
    return offset_us if abs(offset_us) <= _MAX_OFFSET_US else None


def _parse_problems(text: str) -> tuple[dict[str, int], int]:
    """Counts by reason, and the number of entries that are none."""
    if len(text) > _MAX_PROBLEMS_CHARACTERS:
        return {}, 1
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}, 1
    if not isinstance(document, dict):
        return {}, 1
    counts: dict[str, int] = {}
    dropped = 0
    for reason, count in document.items():
        is_name = _PROBLEM.fullmatch(reason) and not name_fault(reason) and not personal_name_fault(reason)
        is_count = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MAX_COUNT
        if is_name and is_count and len(counts) < _MAX_PROBLEMS:
            counts[reason] = count
        else:
            dropped += 1
    return {reason: count for reason, count in counts.items() if count}, dropped


class AgentStatusBook:
    """Stores the status of each host, at most every 30 seconds unless its version or its problems change."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stored: dict[str, AgentStatus] = {}
        self._lock = threading.Lock()

    def note(self, host: str, headers: Mapping[str, str], now_us: int) -> None:
        """Note the headers of a shipment that came with the token of a host; a store that takes no write loses no shipment."""
        status = parse_status(headers, now_us)
        if status is None:
            return
        with self._lock:
            before = self._stored.get(host)
            if before is not None and before.version == status.version and before.problems.keys() == status.problems.keys():
                if 0 <= now_us - before.at_us < STORE_INTERVAL_US:
                    return
            elif before is None and len(self._stored) >= MAX_HOSTS:
                return
            self._stored[host] = status
        with contextlib.suppress(DBAPIError), self._store.begin() as connection:
            value = json.dumps(asdict(status), separators=(",", ":"), sort_keys=True)
            self._store.upsert(connection, schema.Meta, [{"key": _KEY + host, "value": value}])


def agent_statuses(store: Store) -> dict[str, AgentStatus]:
    """Latest status of each host whose agent says one."""
    meta = table(schema.Meta)
    with store.read() as connection:
        rows = connection.execute(select(meta.c.key, meta.c.value).where(meta.c.key.startswith(_KEY, autoescape=True))).all()
    return {row.key.removeprefix(_KEY): AgentStatus(**_document(row.value)) for row in rows}


def _document(value: str) -> Any:
    return json.loads(value)
