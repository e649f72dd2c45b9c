"""This file keeps records on disk until the server has answered for them.

Plain files of JSON lines, one a segment, each written once and synchronised before its records count.
A torn last line (the power failed) is left out; ``kill -9`` loses nothing that was written. When the
spool is full the oldest segment goes, counted and said: energy stays in the cumulative counters.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

BYTES_PER_MB = 1_000_000


class Spool:
    """A folder of segments; the numbers in their names give the order."""

    def __init__(self, folder: Path, max_mb: int) -> None:
        self._folder = folder
        self._max_bytes = max_mb * BYTES_PER_MB
        self.lost_segments = 0
        folder.mkdir(parents=True, exist_ok=True)
        for torn in folder.glob("*.part"):
            torn.unlink(missing_ok=True)
        found = self.segments()
        self._next = int(found[-1].stem) + 1 if found else 0
        self._sizes = {path: path.stat().st_size for path in found}

    def append(self, lines: Sequence[str]) -> None:
        """Write lines as one segment; they are on disk when this returns.

        Raises
        ------
        OSError
            If the disk cannot take them; nothing counts then.
        """
        if not lines:
            return
        data = ("\n".join(lines) + "\n").encode()
        path = self._folder / f"{self._next:012d}.ndjson"
        part = path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(part, path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._next += 1
        self._sizes[path] = len(data)
        self._make_room()

    def _make_room(self) -> None:
        while self.size_bytes() > self._max_bytes and len(self._sizes) > 1:
            self.delete([min(self._sizes)])
            self.lost_segments += 1

    def size_bytes(self) -> int:
        """Bytes that wait."""
        return sum(self._sizes.values())

    def segments(self) -> list[Path]:
        """Segments in order, oldest first."""
        return sorted(self._folder.glob("*.ndjson"))

    def read(self, max_bytes: int) -> tuple[list[Path], list[bytes]]:
        """The oldest segments up to about ``max_bytes`` (at least one), and their whole lines."""
        chosen: list[Path] = []
        lines: list[bytes] = []
        size = 0
        for path in self.segments():
            data = path.read_bytes()
            if chosen and size + len(data) > max_bytes:
                break
            chosen.append(path)
            size += len(data)
            lines += [line for line in data.split(b"\n")[:-1] if line]
        return chosen, lines

    def delete(self, paths: Sequence[Path]) -> None:
        """Remove segments that were answered for."""
        for path in paths:
            path.unlink(missing_ok=True)
            self._sizes.pop(path, None)
