"""File of the records that the server rejected, for ``footprint-agent resend`` after a mend.

Its size is bounded: at half of the limit it becomes the older file, and the older file before it is dropped and counted.
The lock lets ``resend`` take the files away beside a running agent.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

MAX_BYTES = 16_000_000
_CURRENT, _OLDER, _TAKEN = "rejected.jsonl", "rejected.1.jsonl", "rejected.resending.jsonl"


class RejectedRecords:
    """Rejected records of one spool, with their reasons, oldest first."""

    def __init__(self, spool_folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._max_bytes = spool_folder, max_bytes
        self.dropped = 0
        self._count = sum(1 for _ in self._read(_OLDER, _CURRENT))

    @property
    def waiting(self) -> int:
        """Number of records that wait for a mend; none once another process took them."""
        return self._count if any((self._folder / name).exists() for name in (_OLDER, _CURRENT)) else 0

    def append(self, rejects: Iterable[tuple[bytes, str]]) -> None:
        """Store (record, reason) pairs.

        Raises
        ------
        OSError
            If the disk cannot take them.
        """
        lines = [_encode(record, reason) for record, reason in rejects]
        if not lines:
            return
        with self._lock():
            self._count = self.waiting
            path = self._folder / _CURRENT
            size = path.stat().st_size if path.exists() else 0
            if size and size + sum(map(len, lines)) > self._max_bytes // 2:
                self._rotate(path)
            with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
        self._count += len(lines)

    def _rotate(self, path: Path) -> None:
        older = self._folder / _OLDER
        count = sum(1 for _ in self._read(_OLDER))
        path.replace(older)
        if count:
            self.dropped += count
            self._count -= count
            print(
                f"footprint-agent: rejected records exceed {self._max_bytes} bytes; the oldest {count} are dropped "
                "(mend their reason, then footprint-agent resend)",
                file=sys.stderr,
            )

    def read(self) -> Iterator[tuple[bytes, str]]:
        """(record, reason) pairs, oldest first; a damaged line is left out."""
        yield from self._read(_TAKEN, _OLDER, _CURRENT)

    def _read(self, *names: str) -> Iterator[tuple[bytes, str]]:
        for name in names:
            try:
                file = (self._folder / name).open("rb")
            except OSError:
                continue
            with file:
                yield from filter(None, map(_decode, file))

    def take(self) -> list[tuple[bytes, str]]:
        """Move all records out of the way of new ones and return them; ``settle`` ends that."""
        with self._lock():
            lines = [_encode(record, reason) for record, reason in self.read()]
            taken = self._folder / _TAKEN
            part = taken.with_suffix(".part")
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
            part.replace(taken)
            for name in (_OLDER, _CURRENT):
                (self._folder / name).unlink(missing_ok=True)
        self._count = 0
        return list(self._read(_TAKEN))

    def settle(self) -> None:
        """Delete the records that ``take`` returned: all are sent, or rejected and stored again."""
        (self._folder / _TAKEN).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        descriptor = os.open(self._folder / "rejected.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _encode(record: bytes, reason: str) -> bytes:
    return json.dumps({"reason": reason}).encode()[:-1] + b', "record": ' + record + b"}\n"


def _decode(line: bytes) -> tuple[bytes, str] | None:
    head, separator, record = line.rstrip(b"\n").partition(b', "record": ')
    try:
        reason = json.loads(head + b"}")["reason"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (record[:-1], str(reason)) if separator and record.endswith(b"}") else None
