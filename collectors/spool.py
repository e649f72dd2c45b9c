"""Spool of records on disk until the server acknowledges them.

A segment is a file of JSON lines, written in full, synchronised, and then renamed: ``kill -9`` or a power failure leaves
a segment complete or absent. If the spool or the disk is full, older records stay and new ones are refused, which the
caller reports: energy remains in the cumulative counters, and the next record that fits includes it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path

BYTES_PER_MB = 1_000_000


class SpoolFull(OSError):
    """The spool has no room for more records; the stored ones stay."""


class Spool:
    """Folder of segments in the order of the numbers in their names."""

    def __init__(self, folder: Path, max_mb: float) -> None:
        self.folder = folder
        self._max_bytes = int(max_mb * BYTES_PER_MB)
        self.unreadable = 0
        self._lock = threading.Lock()  # the OTLP receiver appends from another thread
        folder.mkdir(parents=True, exist_ok=True)
        for partial in folder.glob("*.part"):
            partial.unlink(missing_ok=True)
        segments = sorted(folder.glob("*.ndjson"))
        self._next = int(segments[-1].stem) + 1 if segments else 0
        self._sizes = {path: path.stat().st_size for path in segments}  # in order, oldest first

    def append(self, lines: Sequence[str]) -> None:
        """Write lines as one segment; they are on disk on return.

        Raises
        ------
        SpoolFull
            If they would exceed the size of the spool.
        OSError
            If the disk cannot take them; then none is stored.
        """
        if not lines:
            return
        with self._lock:
            self._append(("\n".join(lines) + "\n").encode())

    def _append(self, data: bytes) -> None:
        if self.size_bytes() + len(data) > self._max_bytes:
            raise SpoolFull(f"the spool {self.folder} holds its {self._max_bytes / BYTES_PER_MB:g} MB")
        path = self.folder / f"{self._next:012d}.ndjson"
        part = path.with_suffix(".part")
        try:
            _write(part, data)
            os.rename(part, path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        _synchronise(self.folder)
        self._next += 1
        self._sizes[path] = len(data)

    def size_bytes(self) -> int:
        """Size of all segments [bytes]."""
        return sum(list(self._sizes.values()))

    def segments(self) -> list[Path]:
        """Segments, oldest first."""
        return list(self._sizes)

    def read(self, max_bytes: int) -> tuple[list[Path], list[bytes]]:
        """The oldest segments up to about ``max_bytes`` (at least one), and their complete lines."""
        chosen: list[Path] = []
        lines: list[bytes] = []
        size = 0
        for path in self.segments():
            try:
                data = path.read_bytes()
            except OSError:
                self._quarantine(path)
                continue
            if chosen and size + len(data) > max_bytes:
                break
            chosen.append(path)
            size += len(data)
            lines += [line for line in data.split(b"\n")[:-1] if line]
        return chosen, lines

    def _quarantine(self, path: Path) -> None:
        """Rename an unreadable segment, so that it does not block the next ones."""
        self.unreadable += 1
        self._sizes.pop(path, None)
        with contextlib.suppress(OSError):
            path.rename(path.with_suffix(".unreadable"))

    def delete(self, paths: Sequence[Path]) -> None:
        """Remove acknowledged segments."""
        for path in paths:
            path.unlink(missing_ok=True)
            self._sizes.pop(path, None)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _synchronise(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
