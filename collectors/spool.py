"""Spool of records on disk until the server acknowledges them.

A segment is a file of JSON lines, written in full, synchronised, and then renamed: ``kill -9`` or a power failure leaves
a segment complete or absent. If the spool or the disk is full, older records stay and new ones are refused, which the
caller reports: energy remains in the cumulative counters, and the next record that fits includes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

BYTES_PER_MB = 1_000_000
MAX_SEGMENT_BYTES = 64_000_000  # a larger one is none of ours, and would not fit into memory
LOCK_WAIT_S = 5.0  # an agent that was told to stop may still be writing its last records


class SpoolFull(OSError):
    """The spool has no room for more records; the stored ones stay."""


class SpoolInUse(OSError):
    """Another agent writes to the spool; the message names the remedy."""


class Spool:
    """Folder of segments in the order of the numbers in their names.

    ``unreadable`` counts segments that were put aside as ``.unreadable``, whole or up to their last whole line.
    """

    def __init__(self, folder: Path, max_mb: float) -> None:
        self.folder = folder
        self.max_mb = max_mb
        self._max_bytes = int(max_mb * BYTES_PER_MB)
        self.unreadable = 0
        self._lock = threading.Lock()  # the OTLP receiver appends from another thread
        self._torn: set[Path] = set()
        folder.mkdir(parents=True, exist_ok=True)
        for partial in folder.glob("*.part"):
            partial.unlink(missing_ok=True)
        segments = sorted((path for path in folder.glob("*.ndjson") if _is_number(path.stem)), key=lambda path: int(path.stem))
        numbers = [int(path.stem) for path in folder.iterdir() if _is_number(path.stem)]
        self._next = max(numbers, default=-1) + 1  # a number is never used twice, not even that of an unreadable segment
        self._sizes = {path: path.lstat().st_size for path in segments}  # in order, oldest first

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
            if chosen and size + self._sizes.get(path, 0) > max_bytes:
                break
            try:
                data = _read(path)
            except OSError:
                self._quarantine(path)
                continue
            if chosen and size + len(data) > max_bytes:
                break
            whole, _, torn = data.rpartition(b"\n")
            if torn and not whole:
                self._quarantine(path)
                continue
            if torn and path not in self._torn:
                self._torn.add(path)
                self.unreadable += 1
            chosen.append(path)
            size += len(data)
            lines += [line for line in whole.split(b"\n") if line]
        return chosen, lines

    def _quarantine(self, path: Path) -> None:
        """Rename an unreadable segment, so that it does not block the next ones."""
        self.unreadable += 1
        self._sizes.pop(path, None)
        with contextlib.suppress(OSError):
            path.rename(path.with_suffix(".unreadable"))
        print(f"footprint-agent: {path}: damaged, put aside as {path.stem}.unreadable", file=sys.stderr)

    def delete(self, paths: Sequence[Path]) -> None:
        """Remove acknowledged segments; of a torn one the server has the whole lines, and the file is put aside."""
        for path in paths:
            self._sizes.pop(path, None)
            if path in self._torn:
                self._torn.discard(path)
                self.unreadable -= 1
                self._quarantine(path)
            else:
                path.unlink(missing_ok=True)


def lock_spool(folder: Path, wait_s: float = LOCK_WAIT_S) -> int:
    """Claim a spool for this process until it ends; return the descriptor that holds the claim.

    Raises
    ------
    SpoolInUse
        If another process claims it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise SpoolInUse(
                f"the spool {folder} is in use by another agent (process {owner}); stop that one, "
                "or give each agent a spool of its own ([agent] spool)"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _read(path: Path) -> bytes:
    """Content of a segment, unless it is larger than any that the agent writes."""
    with path.open("rb") as file:
        data = file.read(MAX_SEGMENT_BYTES + 1)
    if len(data) > MAX_SEGMENT_BYTES:
        raise OSError("too large")
    return data


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
