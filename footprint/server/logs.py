"""Log of the server on standard error: one line an event, as text or as JSON for journald and collectors of logs.

What comes from elsewhere (names, messages of errors, requests) is written with its control characters visible, so that
nobody outside can end a line, write another, or colour a terminal.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from enum import StrEnum
from typing import TextIO

from footprint.core.limits import printable

MAX_MESSAGE_CHARACTERS = 2000


class LogForm(StrEnum):
    """Forms of a line."""

    text = "text"
    json = "json"


class _LineFormatter(logging.Formatter):
    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        instant = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        message = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            message += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        if len(message) > MAX_MESSAGE_CHARACTERS:
            message = message[:MAX_MESSAGE_CHARACTERS] + "…"
        return {
            "time": f"{instant}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(message),
        }


class TextFormatter(_LineFormatter):
    """``2026-11-30T06:50:00.123Z WARNING footprint.jobs: message``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of text."""
        fields = self._fields(record)
        where = f" ({_innermost_line(record)})" if record.exc_info else ""
        return f"{fields['time']} {record.levelname} {fields['logger']}: {fields['message']}{where}"


class JsonFormatter(_LineFormatter):
    """One JSON object a line: time, level, logger, message, and ``at`` with the source line of an unexpected error."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        fields = self._fields(record)
        if record.exc_info:
            fields["at"] = _innermost_line(record)
        return json.dumps(fields, ensure_ascii=False)


def _innermost_line(record: logging.LogRecord) -> str:
    trace = record.exc_info[2] if record.exc_info else None
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def configure_logs(form: str, level: int = logging.INFO, out: TextIO | None = None) -> None:
    """Send all log records of this process from a level on to standard error."""
    handler = logging.StreamHandler(out or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == LogForm.json else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.INFO))  # libraries say much in detail; -v is about this program
    logging.getLogger("footprint").setLevel(level)
    for name in ("apscheduler", "httpx", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)


class FaultLog:
    """Says each lasting fault when it starts, when it changes, and when it is over."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._faults: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def failed(self, name: str, reason: str) -> None:
        """Note a failure; the same reason is said once."""
        self._counts[name] = self._counts.get(name, 0) + 1
        if self._faults.get(name) != reason:
            self._faults[name] = reason
            self._log.error("%s failed: %s", name, reason)

    def succeeded(self, name: str) -> None:
        """Note a success; the first after a failure is said."""
        if self._faults.pop(name, None) is not None:
            count = self._counts.pop(name)
            self._log.warning("%s succeeds again after %d failure%s", name, count, "" if count == 1 else "s")

    def failures_in_a_row(self, name: str) -> int:
        """Failures since the last success."""
        return self._counts.get(name, 0)

    def reason(self, name: str) -> str:
        """Reason of the current fault; empty if there is none."""
        return self._faults.get(name, "")
