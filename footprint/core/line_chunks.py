"""Chunks of complete numbered lines of a stream of bytes: plain or gzip, UTF-8 or UTF-16 with its mark.

Standard library only, because agents read logs with it.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from typing import IO, Any

from footprint.core.limits import MAX_LINE_BYTES, Reject, RejectList
from footprint.core.records import FootprintError

CHUNK_BYTES = 4 << 20
READ_BYTES = 1 << 20
MAX_FILE_REJECTS_LISTED = 100_000
_GZIP_MAGIC = b"\x1f\x8b"


class UnreadableFile(FootprintError):
    """The file cannot be read in its format, or lacks a required column."""


class HashedStream:
    """A byte stream, hashed while it is read and decompressed if it is gzip."""

    def __init__(self, raw: IO[bytes], digest: Any = None) -> None:
        self._raw, self._digest = raw, digest
        self._pending = self._read(len(_GZIP_MAGIC))
        self._gzip: Any = _new_decompressor() if self._pending == _GZIP_MAGIC else None
        self.truncation = ""  # why the stream ends early; empty if it does not

    def _read(self, size: int) -> bytes:
        data = self._raw.read(size)
        if self._digest is not None:
            self._digest.update(data)
        return data

    def read(self) -> bytes:
        """The next bytes; empty at the end."""
        while not self.truncation:
            data, self._pending = self._pending or self._read(READ_BYTES), b""
            if self._gzip is None:
                return data
            unpacked = self._decompress(data) if data else self._gzip.flush()
            if not (unpacked or data or self._gzip.eof):
                self.truncation = "the gzip file ends in the middle"
            if unpacked or not data:
                return bytes(unpacked)
        return b""

    def _decompress(self, data: bytes) -> bytes:
        if self._gzip.eof:  # the next member, as in `cat a.gz b.gz`; padding is skipped
            if not data.startswith(_GZIP_MAGIC):
                return b""
            self._gzip = _new_decompressor()
        try:
            unpacked = bytes(self._gzip.decompress(data, CHUNK_BYTES))
        except zlib.error:
            self.truncation = "the gzip file is damaged from here on"
            while self._read(READ_BYTES):  # the digest covers the whole file
                pass
            return b""
        self._pending = self._gzip.unconsumed_tail or self._gzip.unused_data
        return unpacked


def _new_decompressor() -> Any:
    return zlib.decompressobj(wbits=31)


class LineChunks:
    """Chunks of complete lines, each with the number of its first line; an overlong line is rejected."""

    def __init__(self, stream: HashedStream, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._stream = stream
        self.max_line_bytes = max_line_bytes
        self._rest = b""
        self._ended = False
        self._decoder: Any = None  # of a stream in UTF-16
        self.number = 1
        self.rejects = RejectList(MAX_FILE_REJECTS_LISTED)
        self._fill(len(codecs.BOM_UTF8))
        if self._rest.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
            self._rest = self._decoder.decode(self._rest).encode()
        self._rest = self._rest.removeprefix(codecs.BOM_UTF8)

    @property
    def truncation(self) -> str:
        """Why the stream ends early; empty if it does not, as far as it was read."""
        return self._stream.truncation

    def peek(self) -> bytes:
        """The first non-blank line, without consuming it."""
        while True:
            while b"\n" not in self._rest and not self._ended and len(self._rest) <= self.max_line_bytes:
                self._read_more()
            line, end, rest = self._rest.partition(b"\n")
            if line.strip() or not end:
                return line
            self._rest, self.number = rest, self.number + 1

    def head(self) -> bytes:
        """The first lines, without consuming them."""
        self.peek()
        return self._rest[:READ_BYTES]

    def take(self) -> bytes:
        """Consume and return the first non-blank line."""
        line = self.peek()
        self._rest = self._rest[len(line) + 1 :]
        self.number += 1
        return line

    def _fill(self, size: int) -> None:
        while len(self._rest) < size and not self._ended:
            self._read_more()

    def _read_more(self) -> None:
        data = self._stream.read()
        self._ended = not data
        self._rest += data if self._decoder is None else self._decoder.decode(data, final=self._ended).encode()

    def blocks(self) -> Iterator[bytes]:
        """The rest of the stream, whatever its lines."""
        while True:
            self._fill(1)
            if not self._rest:
                return
            data, self._rest = self._rest, b""
            yield data

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """(number of the first line, complete lines); only the last line of the stream may lack its line end."""
        while True:
            self._fill(CHUNK_BYTES)
            while not self._ended and len(self._rest) <= self.max_line_bytes and b"\n" not in self._rest:
                self._read_more()
            cut = self._rest.rfind(b"\n") + 1
            if not cut and len(self._rest) > self.max_line_bytes:
                self._skip_long_line()
                continue
            data, self._rest = self._rest[:cut] or self._rest, self._rest[cut:] if cut else b""
            if not data:
                break
            number = self.number
            self.number += data.count(b"\n")
            yield number, data
        if self.truncation:
            self.rejects.append(Reject(self.number, "line", self.truncation))

    def take_rejects(self) -> RejectList:
        """The lines rejected since the last call."""
        rejects, self.rejects = self.rejects, RejectList(MAX_FILE_REJECTS_LISTED)
        return rejects

    def _skip_long_line(self) -> None:
        self.rejects.append(Reject(self.number, "line", f"longer than {self.max_line_bytes} bytes"))
        while b"\n" not in self._rest and not self._ended:
            self._rest = b""
            self._read_more()
        _, _, self._rest = self._rest.partition(b"\n")
        self.number += 1
