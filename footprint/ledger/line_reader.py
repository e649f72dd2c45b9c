"""Line reader: a stream of bytes, plain or gzip, in chunks of complete numbered lines."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from typing import IO, Any

from footprint.core.limits import MAX_LINE_BYTES, Reject, RejectList
from footprint.ledger.record_batch import CHUNK_BYTES
from footprint.ledger.rejects import file_rejects

READ_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


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

    def __init__(self, stream: HashedStream) -> None:
        self._stream = stream
        self._rest = b""
        self._ended = False
        self.number = 1
        self.rejects = file_rejects()
        self._fill(len(codecs.BOM_UTF8))
        self._rest = self._rest.removeprefix(codecs.BOM_UTF8)

    @property
    def truncation(self) -> str:
        """Why the stream ends early; empty if it does not, as far as it was read."""
        return self._stream.truncation

    def peek(self) -> bytes:
        """The first non-blank line, without consuming it."""
        while True:
            while b"\n" not in self._rest and not self._ended and len(self._rest) <= MAX_LINE_BYTES:
                self._read_more()
            line, end, rest = self._rest.partition(b"\n")
            if line.strip() or not end:
                return line
            self._rest, self.number = rest, self.number + 1

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
        self._rest += data

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """(number of the first line, complete lines); only the last line of the stream may lack its line end."""
        while True:
            self._fill(CHUNK_BYTES)
            cut = self._rest.rfind(b"\n") + 1
            if not cut and len(self._rest) > MAX_LINE_BYTES:
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
        rejects, self.rejects = self.rejects, file_rejects()
        return rejects

    def _skip_long_line(self) -> None:
        self.rejects.append(Reject(self.number, "line", f"longer than {MAX_LINE_BYTES} bytes"))
        while b"\n" not in self._rest and not self._ended:
            self._rest = b""
            self._read_more()
        _, _, self._rest = self._rest.partition(b"\n")
        self.number += 1
