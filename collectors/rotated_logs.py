"""Logs that a pattern names, followed through rotations: each complete line once, or counted as lost.

A file is known by its content: digests of its first bytes and of those before the position read up to. So a file is found
again after a rename, a copy or a compression, and a file that was cut and grew back is told from one that only grew. The
descriptor of a file stays open until its end, which outlives renames and deletion. A file that was rotated before it was
ever seen is one whose content is unknown; it is read from its start.

Nothing else of the content is stored: digests only.
"""

from __future__ import annotations

import glob
import gzip
import os
import re
import stat
import sys
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

from footprint.core.limits import printable

MAX_FILE_BYTES = 2_000_000  # of one file per look: a log of days is read over minutes, not at once
MAX_LOOK_BYTES = 8_000_000  # of all files per look
MAX_LINE_BYTES = 1_000_000
MARK_BYTES = 1024
MAX_OPEN = 200
MAX_SIBLINGS = 400  # rotated files that are looked at
MAX_ENTRIES = 20_000  # of one folder
QUIET_S = 600.0  # after which a rotated file is taken to be complete
NONE_OF_OURS = -1  # offset of a file that was rotated before the first look: it is not read

# What rotations append to a name, or insert before its extension: .1, -20261130, -2026-11-30T06.gz, .old
_ROTATED = re.compile(r"(?:\.\d{1,5}|[._-]?\d[\d.:T_-]{5,30})(?:\.[A-Za-z0-9]{1,5})?|\.(?:gz|bz2|xz|tmp|old|bak)|~")
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "lzma"}
_UNREADABLE_MAGIC = (b"\x28\xb5\x2f\xfd", b"\x1f\x9d")  # zstd, compress
Key = tuple[int, int]  # device and inode


class UnreadableForm(OSError):
    """A file compressed in a form that is not read."""


Damaged = (OSError, EOFError, ValueError, zlib.error)


class Line(NamedTuple):
    """One line without its end, and an identity that is the same whenever and from whichever copy it is read."""

    raw: bytes
    identity: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Digest of some bytes of a file."""

    length: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file, how far it is read, and the marks by which it is found again.

    ``is_live``: it stands at a path of the pattern. ``is_skipping``: the position is within a line that is too long.
    ``is_ended``: it was rotated, and has been read to its end.
    """

    path: str
    key: Key
    offset: int = 0
    head: Mark = Mark()
    tail: Mark = Mark()
    name: str = ""
    is_live: bool = True
    is_skipping: bool = False
    is_ended: bool = False


class Source:
    """An open file, plain or compressed."""

    def __init__(self, path: str, now_s: float) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError("not a file")
            start = os.pread(self._descriptor, MARK_BYTES, 0)
            if start.startswith(_UNREADABLE_MAGIC):
                raise UnreadableForm("compressed in a form that is not read (gzip, bzip2 and xz are)")
            self._module = next((module for magic, module in _MAGIC.items() if start.startswith(magic)), "")
            self._unpacked: Any = None
            self.rewind()
        except BaseException:
            os.close(self._descriptor)
            raise
        self.key: Key = status.st_dev, status.st_ino
        self.is_packed = bool(self._module)
        self.checked: tuple[int, int] = -1, -1  # size and time of change when its marks were last compared
        self.changed_s = now_s  # when it last grew, on the clock of the caller
        self.rest_bytes = 0  # of an incomplete line at its end
        self._start = b""  # of a compressed file, which does not change

    def rewind(self) -> None:
        """Begin decompression again, after an error."""
        if self._unpacked is not None:
            self._unpacked.close()
        self._unpacked = _decompressor(self._module, self._descriptor) if self._module else None

    def status(self) -> os.stat_result:
        """Status of the file."""
        return os.fstat(self._descriptor)

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes of the content, fewer at its end; decompressed ones are best read in order."""
        if self._unpacked is None:
            return os.pread(self._descriptor, size, offset)
        self._unpacked.seek(offset)
        return bytes(self._unpacked.read(size)) if self._unpacked.tell() == offset else b""

    def first_bytes(self, size: int) -> bytes:
        """The first bytes of the content, at most ``MARK_BYTES``; none of a damaged file."""
        if self._unpacked is None:
            return self.read_at(0, size)
        if len(self._start) < size:
            try:
                self._start = self.read_at(0, MARK_BYTES)
            except Damaged:
                self.rewind()
        return self._start[:size]

    def close(self) -> None:
        """Close the file."""
        if self._unpacked is not None:
            self._unpacked.close()
        os.close(self._descriptor)


def _decompressor(module: str, descriptor: int) -> Any:
    os.lseek(descriptor, 0, os.SEEK_SET)
    file = os.fdopen(os.dup(descriptor), "rb")
    if module == "gzip":
        return gzip.GzipFile(fileobj=file)
    if module == "bz2":
        import bz2  # noqa: PLC0415 - few logs

        return bz2.BZ2File(file)
    import lzma  # noqa: PLC0415 - few logs

    return lzma.LZMAFile(file)


@dataclass(slots=True)
class _Look:
    """State after a look, which ``commit`` makes that of the next one."""

    files: list[LogFile]
    gaps: int
    long_lines: int
    budget_bytes: int = MAX_LOOK_BYTES
    is_abandoned: bool = False
    unreadable: set[Key] = field(default_factory=set)  # archives in a form that is not read
    checks: list[tuple[Source, tuple[int, int], int]] = field(default_factory=list)  # of files whose marks were compared


class RotatedLogs:
    """Files of one pattern. Positions advance only when ``commit`` confirms that the lines are on disk.

    ``gaps`` counts how often lines may be lost: a file was cut or deleted before its end was read, or is damaged. How many
    they were is not known. ``long_lines`` counts lines that are too long to be read.
    """

    def __init__(self, pattern: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.pattern = pattern
        self._clock = clock
        self._files: list[LogFile] = []
        self._has_looked = False
        self._must_search = True  # for what happened while no agent ran
        self._sources: dict[Key, Source] = {}
        self._logged: set[str] = set()
        self._unreadable: set[Key] | None = None  # archives of the last look; None before the first look of this process
        self.gaps = self.long_lines = 0
        self._look = _Look([], 0, 0)

    def read(self) -> Iterator[Line]:
        """All new lines; without a ``commit`` they are read again."""
        look = self._look = _Look([], self.gaps, self.long_lines)
        self._place(look, *_split_paths(self.pattern))
        self._must_search = True  # until a commit: what this look found may be renamed before the next one
        look.files.sort(key=lambda file: file.is_live)  # rotated ones first: their lines are the older ones
        for index, file in enumerate(look.files):
            source = None if file.is_ended else self._source(file)
            if source is not None:
                look.files[index] = yield from self._read_file(look, file, source)

    def abandon(self, error: Exception) -> None:
        """Give up a look that an error ended; the next one begins where this one did."""
        self._look = _Look(list(self._files), self.gaps, self.long_lines, is_abandoned=True)
        self._log_once(f"{self.pattern} cannot be read: {type(error).__name__}: {error}")

    def commit(self) -> None:
        """Confirm that all lines read are on disk."""
        look = self._look
        if look.is_abandoned:
            return
        # Of an empty file that ended nothing is known but an inode, which another file may have by now.
        self._files = [file for file in look.files if file.offset or not file.is_ended]
        self.gaps, self.long_lines = look.gaps, look.long_lines
        self._has_looked, self._must_search = True, False
        self._unreadable = look.unreadable | (self._unreadable or set())
        for source, checked, rest_bytes in look.checks:
            source.checked, source.rest_bytes = checked, rest_bytes
        wanted = {file.key for file in self._files if not file.is_ended}
        for key in [key for key in self._sources if key not in wanted]:
            self._sources.pop(key).close()
        for file in self._files:  # a file at its path can be opened again
            if len(self._sources) <= MAX_OPEN:
                break
            if file.is_live and file.key in self._sources:
                self._sources.pop(file.key).close()

    def pending_state(self) -> dict[str, Any]:
        """State after the next ``commit``, as JSON."""
        return {"files": [asdict(file) for file in self._look.files]}

    def restore(self, state: Any) -> None:
        """Continue from an earlier state; also from that of agents that stored an inode and an offset by path."""
        try:
            if "files" in state:
                self._files = [_from_state(entry) for entry in state["files"]]
                self._has_looked = True
            else:
                self._files = [
                    LogFile(str(path), (_device(path), int(inode)), int(offset)) for path, (inode, offset) in state.items()
                ]
        except (KeyError, TypeError, ValueError, AttributeError):
            self._files, self._has_looked = [], False

    def _place(self, look: _Look, paths: list[str], rotated_paths: list[str]) -> None:
        """Find every known file and every new one; what cannot be found is a gap."""
        orphans = {file.key: file for file in self._files if file.offset != NONE_OF_OURS}
        ignored = [file for file in self._files if file.offset == NONE_OF_OURS]
        newcomers: dict[str, Source] = {}
        for path in paths:
            source = self._open(path)
            if source is None:
                continue
            file = orphans.get(source.key)
            # The inode of a file that ended may be that of another one by now.
            if file is not None and not file.is_ended and self._continues(file, source):
                look.files.append(replace(file, path=os.path.realpath(path), is_live=True, is_ended=False))
                del orphans[file.key]
            elif source.is_packed:
                rotated_paths.append(path)
            elif source.key not in {file.key for file in look.files}:  # two links to one file are one file
                newcomers[path] = source
        # Without a live file, one may have come and been rotated since the last look.
        must_search = self._must_search or not paths or bool(newcomers) or any(file.is_live for file in orphans.values())
        # A file of which nothing was read may have been cut unseen.
        must_search |= any(file.offset == 0 and self._has_changed(file) for file in look.files)
        known = sorted(orphans.values(), key=lambda file: -file.offset)
        cut = {source.key for source in newcomers.values()}
        for file in known:
            source = self._sources.get(file.key)
            if source is not None and file.key not in cut and self._continues(file, source):
                look.files.append(replace(file, is_live=False, is_ended=False))
                del orphans[file.key]
        for path, source in newcomers.items():
            # The same content under another inode: a file that was restored or rewritten, or a device with another number.
            again = next((file for file in known if file.head.length and _has_content_of(file, source, whole=True)), None)
            file = LogFile("", source.key) if again is None else replace(again, key=source.key, is_live=True, is_ended=False)
            look.files.append(replace(file, path=os.path.realpath(path)))
            if again is not None:
                orphans.pop(again.key, None)
        if must_search:
            self._search(look, orphans, ignored, self._open_candidates(look, paths, rotated_paths), set(rotated_paths))
        else:
            look.files += [*orphans.values(), *ignored]  # these orphans are ended, or cannot be opened now

    def _open_candidates(self, look: _Look, paths: list[str], rotated_paths: list[str]) -> list[tuple[str, Source]]:
        """(path, file) of each file beside the live ones that may be a rotated one: plain ones first, the longest first."""
        placed = {file.key for file in look.files}
        candidates: dict[Key, tuple[str, Source]] = {}
        for path in self._candidate_paths(paths, rotated_paths):
            source = self._open(path)
            if source is not None and source.key not in placed:
                candidates.setdefault(source.key, (path, source))
        return sorted(candidates.values(), key=lambda candidate: (candidate[1].is_packed, -candidate[1].status().st_size))

    def _candidate_paths(self, paths: list[str], rotated_paths: list[str]) -> list[str]:
        """Paths beside each log and its target, one folder below, and where files were last seen."""
        last_paths = {file.path for file in self._files if file.offset != NONE_OF_OURS}
        folders: dict[str, set[str]] = {}
        for path in {*paths, *map(os.path.realpath, paths), *last_paths}:
            folder, base = os.path.split(path)
            folders.setdefault(folder or ".", set()).add(base)
        candidates = {*rotated_paths, *last_paths}
        for folder, names in folders.items():
            for entry in _entries(folder):
                inner = _entries(entry.path) if _is_folder(entry) else [entry]
                candidates |= {file.path for file in inner if any(is_rotated_name(file.name, name) for name in names)}
        return sorted(candidates - (set(paths) - set(rotated_paths)))[:MAX_SIBLINGS]

    def _search(
        self,
        look: _Look,
        orphans: dict[Key, LogFile],
        ignored: list[LogFile],
        candidates: list[tuple[str, Source]],
        rotated_paths: set[str],
    ) -> None:
        """Find the rests of known files among candidates, by inode and by content, and files that were never seen."""
        left = dict(candidates)
        by_position = sorted(orphans.values(), key=lambda file: -file.offset)
        for is_same in (self._is_same_file, _is_copy):
            for file in by_position:
                path = next((path for path, source in left.items() if file.key in orphans and is_same(file, source)), None)
                if path is not None:
                    source = left.pop(path)
                    is_ended = file.is_ended and source.is_packed and source.key == file.key  # compressed files do not grow
                    look.files.append(replace(file, path=path, key=source.key, is_live=False, is_ended=is_ended))
                    del orphans[file.key]
        unseen = 0
        for path, source in left.items():
            copied = [file for file in (*look.files, *ignored) if self._is_start_of(file, source)]
            longer = self._longer_than_known(copied, source)
            if longer is not None:
                look.files.append(replace(longer, path=path, key=source.key, is_live=False, is_ended=False))
            elif copied or not source.first_bytes(1):
                continue  # a copy of a known file, or empty
            elif self._has_looked or (path in rotated_paths and not source.is_packed):
                look.files.append(LogFile(path, source.key, is_live=False))
                unseen += 1
            else:
                head = _mark(source.first_bytes(MARK_BYTES))
                look.files.append(LogFile(path, source.key, NONE_OF_OURS, head, is_live=False, is_ended=True))
        look.files += [file for file in ignored if any(_has_head_of(file, source) for _, source in candidates)]
        for file in orphans.values():
            # A file of which nothing was read is one of those that were never seen; an ended one was deleted in its time.
            if not file.is_ended and (file.offset or not unseen):
                self._count_gap(look, f"{file.path} was cut or deleted before its end was read")
        if self._unreadable is not None:
            # Of each file that was open, the archive is of what is read anyway; one more is of a file that was never seen.
            was_live = {file.key for file in self._files if file.is_live}
            rotated = sum(file.key in was_live and not file.is_live for file in look.files)
            if len(look.unreadable - self._unreadable) > rotated:
                self._count_gap(look, f"{self.pattern} was rotated into an archive that is not read")

    def _is_start_of(self, file: LogFile, source: Source) -> bool:
        """Whether a file begins as a known one does; of one that is hardly read yet, the first lines are compared."""
        known = self._sources.get(file.key)
        if _has_head_of(file, source):
            return True
        if known is None or known is source or file.head.length == MARK_BYTES:
            return False
        start, other = known.first_bytes(MARK_BYTES), source.first_bytes(MARK_BYTES)
        common = min(len(start), len(other))
        return start[:common] == other[:common] and (start == other or b"\n" in start[:common] or common == MARK_BYTES)

    def _longer_than_known(self, copied: list[LogFile], source: Source) -> LogFile | None:
        """The file that another one is a copy of and goes beyond, such as one that was rewritten and then rotated."""
        if not copied or any(file.offset == NONE_OF_OURS for file in copied):
            return None
        known = [self._sources[file.key].status().st_size if file.key in self._sources else file.offset for file in copied]
        whole = [file for file in copied if file.head.length and _has_content_of(file, source, whole=True)]
        try:
            return max(whole, key=lambda file: file.offset) if whole and source.read_at(max(known), 1) else None
        except Damaged:
            source.rewind()
            return None

    def _is_same_file(self, file: LogFile, source: Source) -> bool:
        return file.key == source.key and (_has_head_of(file, source) if source.is_packed else self._continues(file, source))

    def _open(self, path: str) -> Source | None:
        """The open file at a path, the same object while it is open; None if it cannot be opened."""
        try:
            status = os.stat(path)
            key = status.st_dev, status.st_ino
            if key not in self._sources:
                source = Source(path, self._clock())
                key = source.key
                if key in self._sources:  # replaced in between
                    source.close()
                else:
                    self._sources[key] = source
            return self._sources[key]
        except FileNotFoundError:
            return None
        except Damaged as error:
            if isinstance(error, UnreadableForm):
                self._look.unreadable.add(key)
            self._log_once(f"{path} cannot be read: {error}")
            return None

    def _source(self, file: LogFile) -> Source | None:
        if file.key in self._sources:
            return self._sources[file.key]
        source = self._open(file.path)
        return source if source is not None and source.key == file.key else None

    def _continues(self, file: LogFile, source: Source) -> bool:
        """Whether the position in a file still makes sense: the bytes before it are the same."""
        if source.is_packed:
            return not file.is_live
        status = source.status()
        if status.st_size < file.offset:
            return False
        return source.checked == (status.st_size, status.st_mtime_ns) or _has_content_of(file, source, whole=True)

    def _has_changed(self, file: LogFile) -> bool:
        source = self._sources.get(file.key)
        if source is None:
            return False
        status = source.status()
        return source.checked != (status.st_size, status.st_mtime_ns)

    def _read_file(self, look: _Look, file: LogFile, source: Source) -> Generator[Line, None, LogFile]:
        """Lines after the position of a file; returns the file at its new position."""
        size = min(MAX_FILE_BYTES, look.budget_bytes)
        if size <= 0:
            return file
        status, before = source.status(), file.tail.length
        try:
            data = source.read_at(file.offset - before, before + size)
        except Damaged as error:  # it may be compressed at this moment
            source.rewind()
            self._log_once(f"{file.path} is damaged, or not complete yet: {error}")
            if self._clock() - source.changed_s < QUIET_S:
                return file
            self._count_gap(look, f"{file.path} is damaged")
            return replace(file, is_ended=True)
        if _mark(data[:before]) != file.tail:
            return file  # cut at this moment: the next look finds out
        new_bytes = len(data) - before
        look.budget_bytes -= new_bytes
        if new_bytes > source.rest_bytes:
            source.changed_s = self._clock()
        is_last = new_bytes < size and not file.is_live and (source.is_packed or self._is_given_up(look, source))
        lines, after, long_lines = _split_lines(data[before:], file, is_last=is_last)
        consumed = before + after.offset - file.offset
        look.checks.append((source, (status.st_size, status.st_mtime_ns), len(data) - consumed))
        look.long_lines += long_lines
        after = _marked(after, data[:consumed], source)
        for position, raw in lines:
            yield Line(raw, f"{_digest(after.name.encode() + raw)}-{position:x}")
        return replace(after, is_ended=is_last)

    def _is_given_up(self, look: _Look, source: Source) -> bool:
        """Whether a rotated file is complete: quiet, and its writer has gone on elsewhere, or it is deleted."""
        if self._clock() - source.changed_s < QUIET_S:
            return False
        return source.status().st_nlink == 0 or any(file.is_live and file.offset for file in look.files)

    def _count_gap(self, look: _Look, problem: str) -> None:
        look.gaps += 1
        self._log_once(f"{problem}: lines may be lost (logrotate: use delaycompress, and copytruncate only if needed)")

    def _log_once(self, problem: str) -> None:
        if problem not in self._logged and len(self._logged) < MAX_SIBLINGS:
            self._logged.add(problem)
            print(f"footprint-agent: {printable(problem)}", file=sys.stderr)

    def close(self) -> None:
        """Close all files."""
        for source in self._sources.values():
            source.close()
        self._sources.clear()


def is_rotated_name(name: str, base: str) -> bool:
    """Whether a name is one that rotations give to a file: a suffix, or a part before its extension."""
    if name.startswith(base):
        return bool(_ROTATED.fullmatch(name[len(base) :]))
    root, extension = os.path.splitext(base)
    if not root or not extension or not name.startswith(root):
        return False
    middle, separator, rest = name[len(root) :].partition(extension)
    return bool(separator and _ROTATED.fullmatch(middle + rest))


def _split_paths(pattern: str) -> tuple[list[str], list[str]]:
    """Paths of the live logs, and those that the pattern names although they are rotated files of others."""
    paths = sorted(glob.glob(pattern))
    folders: dict[str, set[str]] = {}
    for path in paths:
        folder, name = os.path.split(path)
        folders.setdefault(folder, set()).add(name)
    rotated = [path for path in paths if _is_rotated_path(path, folders)]
    return [path for path in paths if path not in set(rotated)], rotated


def _is_rotated_path(path: str, folders: dict[str, set[str]]) -> bool:
    folder, name = os.path.split(path)
    stems = {name[:length] for length in range(1, len(name))}
    root, extension = os.path.splitext(name)
    candidates = stems | {stem + extension for stem in {root[:length] for length in range(1, len(root))}}
    return any(base in folders[folder] and base != name and is_rotated_name(name, base) for base in candidates)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(islice(entries, MAX_ENTRIES))
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _device(path: str) -> int:
    try:
        return os.stat(os.path.dirname(path) or ".").st_dev
    except OSError:
        return 0


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()


def _mark(data: bytes) -> Mark:
    return Mark(len(data), _digest(data)) if data else Mark()


def _has_head_of(file: LogFile, source: Source) -> bool:
    """Whether a file begins as a known one does, of which it may be a copy."""
    return bool(file.head.length) and _mark(source.first_bytes(file.head.length)) == file.head


def _has_content_of(file: LogFile, source: Source, *, whole: bool = False) -> bool:
    """Whether a file has the content of a known one up to its position; unless ``whole``, a shorter copy has it too."""
    if file.head.length and not _has_head_of(file, source):
        return False
    try:
        end = source.read_at(file.offset - file.tail.length, file.tail.length)
    except Damaged:
        source.rewind()
        return False
    return (len(end) < file.tail.length and not whole) or _mark(end) == file.tail


def _is_copy(file: LogFile, source: Source) -> bool:
    return bool(file.head.length) and _has_content_of(file, source)


def _marked(file: LogFile, data: bytes, source: Source) -> LogFile:
    """The file with marks at its position, of which ``data`` are the bytes before it."""
    if not file.offset or not data:
        return file
    head, name = file.head, file.name
    if head.length < min(MARK_BYTES, file.offset):
        start = data if len(data) == file.offset else source.first_bytes(MARK_BYTES)  # an earlier agent stored no marks
        head = _mark(start[: min(MARK_BYTES, file.offset)])
        name = name or _digest(start[:MARK_BYTES].partition(b"\n")[0])
    return replace(file, head=head, name=name, tail=_mark(data[-MARK_BYTES:]))


def _split_lines(data: bytes, file: LogFile, *, is_last: bool) -> tuple[list[tuple[int, bytes]], LogFile, int]:
    """(position, line) of the complete lines, the file after them, and how many lines were too long."""
    lines, position, long_lines, is_skipping = [], file.offset, 0, file.is_skipping
    *complete, rest = data.split(b"\n")
    for raw in complete:
        if is_skipping:
            is_skipping = False
        elif len(raw) > MAX_LINE_BYTES:
            long_lines += 1
        elif raw:
            lines.append((position, raw))
        position += len(raw) + 1
    if len(rest) > MAX_LINE_BYTES or (rest and is_skipping):
        long_lines += not is_skipping
        is_skipping = True
        position += len(rest)
    elif rest and is_last:
        lines.append((position, rest))
        position += len(rest)
    return lines, replace(file, offset=position, is_skipping=is_skipping), long_lines


def _from_state(entry: dict[str, Any]) -> LogFile:
    device, inode = entry["key"]
    return LogFile(
        str(entry["path"]),
        (int(device), int(inode)),
        int(entry["offset"]),
        Mark(**entry["head"]),
        Mark(**entry["tail"]),
        str(entry["name"]),
        bool(entry["is_live"]),
        bool(entry["is_skipping"]),
        bool(entry["is_ended"]),
    )
