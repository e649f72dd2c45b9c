"""Logs through every rotation: each line exactly once, or counted as lost. Simulated ones, and those of the real logrotate."""

import bz2
import gzip
import json
import lzma
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.checkpoint import Checkpoint, load, save
from collectors.config import Gateway as GatewayBlock
from collectors.log_tailer import LogTailer
from collectors.rotated_logs import MAX_LINE_BYTES, QUIET_S, RotatedLogs, is_rotated_name


class Reader:
    """A reader of one pattern with its checkpoint, and all that it has confirmed so far."""

    def __init__(self, folder: Path, pattern: str) -> None:
        self.folder, self.pattern, self.now_s = folder, pattern, 0.0
        self.lines: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.gaps = self.long_lines = 0
        self.logs = RotatedLogs(pattern, lambda: self.now_s)

    def look(self, *, is_stored: bool = True) -> list[str]:
        lines = list(self.logs.read())
        if is_stored:
            save(self.folder, "boot", Checkpoint(logs={self.pattern: self.logs.pending_state()}))
            self.logs.commit()
            self.lines.update(line.raw.decode("utf-8", "replace") for line in lines)
            self.ids.update(line.identity for line in lines)
        return [line.raw.decode("utf-8", "replace") for line in lines]

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        self.gaps += self.logs.gaps
        self.long_lines += self.logs.long_lines
        self.logs.close()

    def start(self) -> None:
        self.logs = RotatedLogs(self.pattern, lambda: self.now_s)
        self.logs.restore(load(self.folder, "boot").logs.get(self.pattern, {}))


class Gateway:
    """A program that writes lines, each another one, and the files that its rotation leaves."""

    def __init__(self, log: Path) -> None:
        self.log, self.number = log, 0
        self.written: list[str] = []
        self.file = log.open("ab")

    def write(self, count: int, padding: int = 0) -> None:
        for _ in range(count):
            self.number += 1
            line = json.dumps({"n": self.number, "pad": "x" * padding})
            self.written.append(line)
            self.file.write(line.encode() + b"\n")
        self.file.flush()

    def reopen(self) -> None:
        self.file.close()
        self.file = self.log.open("ab")

    def shift(self) -> Path:
        """Make room for LOG.1, as logrotate does."""
        for number in range(20, 0, -1):
            for suffix in ("", ".gz"):
                old = Path(f"{self.log}.{number}{suffix}")
                if old.exists():
                    old.rename(f"{self.log}.{number + 1}{suffix}")
        return Path(f"{self.log}.1")


def compress(path: Path) -> None:
    with gzip.open(f"{path}.gz", "wb") as packed:
        packed.write(path.read_bytes())
    os.utime(f"{path}.gz", (path.stat().st_atime, path.stat().st_mtime))
    path.unlink()


OPERATIONS = (
    "write",
    "look",
    "look and fail to store",
    "restart",
    "rotate",
    "rotate and write late",
    "rotate and compress",
    "compress the rotated",
    "copy and cut",
    "copy, cut, compress",
    "copy, cut, grow back",
    "rotate to a date",
    "rotate to a folder",
    "replace by a copy of itself",
    "time passes",
    "cut",
    "delete and begin again",
)
LOSSY = {"cut", "delete and begin again"}


def act(operation: str, size: int, gateway: Gateway, reader: Reader) -> None:
    if operation == "write":
        gateway.write(size, padding=size * 7)
    elif operation == "look":
        reader.look()
    elif operation == "look and fail to store":
        reader.look(is_stored=False)
    elif operation == "restart":
        reader.restart()
    elif operation == "time passes":
        reader.now_s += QUIET_S + 1
    elif operation in LOSSY:
        lose(operation, size, gateway, reader)
    elif operation == "compress the rotated":
        rotated = Path(f"{gateway.log}.1")
        if rotated.exists():
            compress(rotated)
    elif operation == "replace by a copy of itself":
        gateway.write(1)
        reader.look()  # what was not read yet is read from both, with one identity
        shutil.copy(gateway.log, f"{gateway.log}.new")
        os.replace(f"{gateway.log}.new", gateway.log)
        gateway.reopen()
    elif operation.startswith("rotate to"):
        folder = gateway.log.parent / ("old" if "folder" in operation else "")
        folder.mkdir(exist_ok=True)
        gateway.log.rename(folder / f"{gateway.log.name}-20261130{gateway.number:04d}{len(os.listdir(folder)):02d}")
        gateway.reopen()
    elif operation.startswith("copy"):
        copy_and_cut(operation, gateway)
    else:
        rename(operation, size, gateway)


def lose(operation: str, size: int, gateway: Gateway, reader: Reader) -> None:
    gateway.write(1)
    reader.look()  # of a file that was never seen nobody can know what it held
    gateway.write(size)
    if operation == "cut":
        os.truncate(gateway.log, 0)
    else:
        gateway.log.unlink()
        gateway.reopen()


def copy_and_cut(operation: str, gateway: Gateway) -> None:
    copy = gateway.shift()
    shutil.copy(gateway.log, copy)
    before = gateway.log.stat().st_size
    os.truncate(gateway.log, 0)
    if "compress" in operation:
        compress(copy)
    while "grow" in operation and gateway.log.stat().st_size <= before:
        gateway.write(1, padding=40)


def rename(operation: str, size: int, gateway: Gateway) -> None:
    rotated = gateway.shift()
    gateway.log.rename(rotated)
    gateway.log.touch()
    if "late" in operation:
        gateway.write(size)  # it has not heard of the rotation yet
    gateway.reopen()
    if "compress" in operation:
        compress(rotated)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 5)), max_size=25),
    pattern=st.sampled_from(["requests.jsonl", "requests*", "*.jsonl"]),
)
def test_each_line_is_read_exactly_once_or_counted_as_lost(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], pattern: str
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    (folder / "log").mkdir()
    gateway = Gateway(folder / "log" / "requests.jsonl")
    reader = Reader(folder, str(folder / "log" / pattern))
    reader.look()
    for operation, size in steps:
        act(operation, size, gateway, reader)
    for _ in range(2):
        reader.look()
        reader.now_s += QUIET_S + 1
    reader.stop()
    gateway.file.close()
    # A line has one identity, so the server stores it once. Only a file that was replaced by its copy may be read from both.
    assert len(reader.ids) == len(reader.lines)
    if "replace by a copy of itself" not in {operation for operation, _ in steps}:
        assert max(reader.lines.values(), default=1) == 1
    assert set(reader.lines) <= set(gateway.written)
    lost = set(gateway.written) - set(reader.lines)
    if lost:
        assert {operation for operation, _ in steps} & LOSSY
        assert reader.gaps


@pytest.fixture
def followed(tmp_path: Path) -> tuple[Gateway, Reader]:
    (tmp_path / "log").mkdir()
    gateway = Gateway(tmp_path / "log" / "requests.jsonl")
    reader = Reader(tmp_path, str(gateway.log))
    gateway.write(3)
    reader.look()
    return gateway, reader


LOGROTATE = shutil.which("logrotate") or "/usr/sbin/logrotate"
MODES = {
    "create": "create",
    "compress": "create\ncompress",
    "delaycompress": "create\ncompress\ndelaycompress",
    "copytruncate": "copytruncate",
    "copytruncate compress": "copytruncate\ncompress",
    "copytruncate delaycompress": "copytruncate\ncompress\ndelaycompress",
    "dateext": "create\ndateext\ndateformat -%Y%m%d-%s",
    "dateext compress": "create\ncompress\ndateext\ndateformat .%Y-%m-%d-%s",
    "extension": "create\nextension .jsonl",
    "extension dateext compress": "create\nextension .jsonl\ndateext\ndateformat -%Y%m%d-%s\ncompress",
    "nocreate": "nocreate",
    "copy": "copy",
    "renamecopy": "nocreate\nrenamecopy",
    "olddir": "create\nolddir old",
    "olddir copytruncate compress": "olddir old\ncopytruncate\ncompress",
    "bzip2": "create\ncompress\ncompresscmd /bin/bzip2\ncompressext .bz2",
    "xz": "create\ncompress\ncompresscmd /usr/bin/xz\nuncompresscmd /usr/bin/unxz\ncompressext .xz",
    "start": "create\nstart 0",
    "rotate 0": "rotate 0\ncreate",
    "shred": "rotate 0\nshred\ncreate",
}


def logrotate(gateway: Gateway, mode: str) -> None:
    log = gateway.log
    (log.parent / "old").mkdir(exist_ok=True)
    tools = {"compresscmd /bin/bzip2": "bzip2", "compresscmd /usr/bin/xz": "xz"}
    for text, tool in tools.items():
        if text in MODES[mode] and not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    rotate = "" if "rotate 0" in MODES[mode] else "rotate 9\n"
    owner = "" if os.getuid() else "su root root\n"
    (log.parent.parent / "logrotate.conf").write_text(f"{log} {{\n{owner}{rotate}{MODES[mode]}\n}}\n")
    (log.parent.parent / "logrotate.conf").chmod(0o644)
    command = [LOGROTATE, "-f", "-s", str(log.parent.parent / "state"), str(log.parent.parent / "logrotate.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if "copy" not in mode or mode == "renamecopy":
        gateway.reopen()


@pytest.mark.external
@pytest.mark.parametrize("situation", ["running", "stopped", "several in one interval"])
@pytest.mark.parametrize("mode", MODES)
def test_the_real_logrotate_loses_nothing(followed: tuple[Gateway, Reader], mode: str, situation: str) -> None:
    gateway, reader = followed
    for round_ in range(1 if "dateformat" in MODES[mode] else 3):  # the same second would be the same name
        if situation == "stopped":
            reader.stop()
        gateway.write(4)  # not read yet when the rotation comes
        logrotate(gateway, mode)
        if situation == "several in one interval" and mode not in ("rotate 0", "shred"):
            gateway.write(5, padding=30)
            if "dateformat" not in MODES[mode]:
                logrotate(gateway, mode)
        gateway.write(3 + 4 * round_)  # so that a cut file grows beyond where it was read
        if situation == "stopped":
            reader.start()
        reader.look()
    reader.stop()
    lost = set(gateway.written) - set(reader.lines)
    if mode == "shred" or (mode == "rotate 0" and situation == "stopped"):
        assert len(lost) <= 3 * 4
        assert reader.gaps == 3  # deleted, or overwritten, before they could be read: counted
    else:
        assert (lost, reader.gaps) == (set(), 0)
    assert max(reader.lines.values()) == 1
    assert max(reader.ids.values()) == 1


def test_a_cut_without_a_copy_is_a_gap_and_says_so(followed: tuple[Gateway, Reader], capsys: pytest.CaptureFixture[str]) -> None:
    gateway, reader = followed
    gateway.write(5)
    os.truncate(gateway.log, 0)
    gateway.write(50)  # beyond where it was read
    assert len(reader.look()) == 50
    assert reader.logs.gaps == 1
    reader.look()
    assert reader.logs.gaps == 1
    assert "lines may be lost (logrotate: use delaycompress" in capsys.readouterr().err


def test_a_writer_that_does_not_reopen_is_followed_where_it_writes(followed: tuple[Gateway, Reader]) -> None:
    gateway, reader = followed
    gateway.log.rename(f"{gateway.log}.1")
    for _ in range(5):
        gateway.write(1)
        assert len(reader.look()) == 1
        reader.now_s += 2 * QUIET_S
    compress(Path(f"{gateway.log}.1"))
    gateway.write(1)  # into a file without a name
    assert len(reader.look()) == 1


def test_a_symbolic_link_that_moves_on_is_followed(tmp_path: Path) -> None:
    (tmp_path / "first.log").write_text('{"n": 1}\n')
    link = tmp_path / "current.log"
    link.symlink_to("first.log")
    reader = Reader(tmp_path, str(link))
    assert reader.look() == ['{"n": 1}']
    with (tmp_path / "first.log").open("a") as file:
        file.write('{"n": 2}\n')
    (tmp_path / "second.log").write_text('{"n": 3}\n')
    link.unlink()
    link.symlink_to("second.log")
    assert reader.look() == ['{"n": 2}', '{"n": 3}']
    reader.restart()
    (tmp_path / "second.log").rename(tmp_path / "second.log.1")
    (tmp_path / "second.log").write_text('{"n": 4}\n')
    assert reader.look() == ['{"n": 4}']
    assert reader.logs.gaps == 0


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_rests_are_read_from_compressed_files(followed: tuple[Gateway, Reader], pack: object) -> None:
    gateway, reader = followed
    reader.stop()
    gateway.write(2)
    packed = pack(gateway.log.read_bytes())  # type: ignore[operator]
    gateway.log.unlink()
    Path(f"{gateway.log}.1.gz").write_bytes(packed)
    gateway.reopen()
    gateway.write(1)
    reader.start()
    assert len(reader.look()) == 3


def test_a_damaged_archive_is_waited_for_and_then_a_gap(followed: tuple[Gateway, Reader]) -> None:
    gateway, reader = followed
    reader.stop()
    gateway.write(200, padding=100)
    content = gzip.compress(gateway.log.read_bytes())
    gateway.log.unlink()
    gateway.reopen()
    archive = Path(f"{gateway.log}.1.gz")
    archive.write_bytes(content[:-20])
    reader.start()
    assert reader.look() == []
    assert reader.logs.gaps == 0
    archive_inode = archive.stat().st_ino
    with archive.open("r+b") as file:
        file.write(content)  # it is complete now
    assert archive.stat().st_ino == archive_inode
    assert len(reader.look()) == 200
    with archive.open("r+b") as file:
        file.truncate(30)


def test_an_archive_that_stays_damaged_is_one_gap(followed: tuple[Gateway, Reader]) -> None:
    gateway, reader = followed
    reader.stop()
    gateway.write(200, padding=100)
    content = gzip.compress(gateway.log.read_bytes())
    gateway.log.unlink()
    gateway.reopen()
    Path(f"{gateway.log}.1.gz").write_bytes(content[:-20])
    reader.start()
    for _ in range(4):
        reader.look()
        reader.now_s += QUIET_S
    assert reader.logs.gaps == 1


def test_half_lines_long_lines_and_binary_garbage(followed: tuple[Gateway, Reader]) -> None:
    gateway, reader = followed
    file = gateway.file
    file.write(b'{"half": ')
    file.flush()
    assert reader.look() == []
    file.write(b"1}\n" + bytes(range(1, 10)) + b"\xff\xfe\n" + b"\0" * 500 + b"\n")
    file.flush()
    assert reader.look()[0] == '{"half": 1}'
    for _ in range(5):
        file.write(b"x" * MAX_LINE_BYTES)
    file.write(b'{"n": "the end of a long line"}\n{"n": "after"}\n')
    file.flush()
    found = [line for _ in range(8) for line in reader.look()]
    assert found == ['{"n": "after"}']
    assert reader.logs.long_lines == 1
    gateway.log.rename(f"{gateway.log}.1")
    file.write(b'{"n": "without an end"}')
    file.flush()
    gateway.reopen()
    gateway.write(1)
    assert len(reader.look()) == 1
    reader.now_s += QUIET_S + 1
    assert reader.look() == ['{"n": "without an end"}']  # nobody goes on writing there


def test_what_stood_there_before_the_first_look_is_not_read(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    for name in ("requests.jsonl.1", "requests.jsonl-20261129", "requests-20261128.jsonl"):
        (tmp_path / name).write_text(f'{{"old": "{name}"}}\n')
    (tmp_path / "requests.jsonl.2.gz").write_bytes(gzip.compress(b'{"old": 2}\n'))
    log.write_text('{"n": 1}\n')
    reader = Reader(tmp_path, str(log))
    assert reader.look() == ['{"n": 1}']
    for number in (3, 2, 1):
        for suffix in ("", ".gz"):
            old = tmp_path / f"requests.jsonl.{number}{suffix}"
            if old.exists():
                old.rename(tmp_path / f"requests.jsonl.{number + 1}{suffix}")
    log.rename(tmp_path / "requests.jsonl.1")
    log.write_text('{"n": 2}\n')
    reader.restart()
    assert reader.look() == ['{"n": 2}']


def test_the_state_of_earlier_agents_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    log.write_text('{"n": 1}\n{"n": 2}\n')
    (tmp_path / "requests.jsonl.1").write_text('{"n": 0}\n')
    logs = RotatedLogs(str(log))
    logs.restore({str(log): [log.stat().st_ino, 9]})
    assert [line.raw for line in logs.read()] == [b'{"n": 2}']
    logs.commit()
    log.rename(tmp_path / "requests.jsonl.2")
    log.write_text('{"n": 3}\n')
    assert [line.raw for line in logs.read()] == [b'{"n": 3}']
    logs.commit()
    assert logs.gaps == 0


@pytest.mark.parametrize("state", [{"files": 3}, {"files": [{}]}, {"files": [{"key": 1}]}, 5, None, [], {"x": "y"}, {"x": [1]}])
def test_a_damaged_state_begins_again(tmp_path: Path, state: object) -> None:
    (tmp_path / "a.log").write_text('{"n": 1}\n')
    logs = RotatedLogs(str(tmp_path / "a.log"))
    logs.restore(state)
    assert len(list(logs.read())) == 1


@pytest.mark.parametrize(
    ("name", "is_rotated"),
    [
        ("a.log.1", True),
        ("a.log.12.gz", True),
        ("a.log-20261130", True),
        ("a.log-20261130.gz", True),
        ("a.log.2026-11-30T06.xz", True),
        ("a-20261130.log", True),
        ("a.1.log.gz", True),
        ("a.log.old", True),
        ("a.log", False),
        ("a-2.log", False),
        ("a.log-errors", False),
        ("a.login", False),
        ("b.log.1", False),
        ("a-errors.log", False),
    ],
)
def test_names_of_rotations(name: str, is_rotated: bool) -> None:
    assert is_rotated_name(name, "a.log") == is_rotated


def test_a_pipe_or_a_folder_at_the_path_holds_up_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "a.log")
    (tmp_path / "b.log").mkdir()
    (tmp_path / "c.log").write_text('{"n": 1}\n')
    reader = Reader(tmp_path, str(tmp_path / "*.log"))
    assert reader.look() == ['{"n": 1}']
    reader.look()
    assert capsys.readouterr().err.count("a.log cannot be read: not a file") == 1


def test_a_look_that_fails_loses_nothing_and_does_not_stop_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "requests.jsonl"
    line = '{"start": "2026-07-01T00:00:00Z", "service": "chat", "id": "%s"}\n'
    log.write_text(line % "a")
    tailer = LogTailer(GatewayBlock(str(log), "footprint"))
    assert len(tailer.read()) == 1
    tailer.commit()
    log.write_text(line % "a" + line % "b")
    monkeypatch.setattr("collectors.rotated_logs._split_lines", lambda *_, **__: 1 / 0)
    assert tailer.read() == []
    tailer.commit()
    assert "cannot be read: ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.undo()
    assert [json.loads(request)["id"] for request in tailer.read()] == ["b"]


def test_reading_a_broken_file_by_hand_ends_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 10_000)[:-30])
    (tmp_path / "no.jsonl.gz").write_bytes(b"no archive")
    for name, status in (("cut.jsonl.gz", 5), ("no.jsonl.gz", 1)):  # what stands before a cut is read
        done = subprocess.run(
            [sys.executable, "-m", "collectors", "read", "--as", "litellm", name],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status
        assert name in done.stderr
        assert "Traceback" not in done.stderr


def test_a_log_that_came_and_was_rotated_between_two_looks_is_read(tmp_path: Path) -> None:
    """Logrotate with ``nocreate``: for a time there is no file of the pattern."""
    log = tmp_path / "requests.jsonl"
    log.write_text("a\n")
    reader = Reader(tmp_path, str(log))
    assert reader.look() == ["a"]
    log.rename(tmp_path / "requests.jsonl.1")
    assert reader.look() == []
    (tmp_path / "requests.jsonl.1").rename(tmp_path / "requests.jsonl.2")
    (tmp_path / "requests.jsonl.1").write_text("b\n")
    assert reader.look() == ["b"]
    assert reader.look() == []
    assert reader.logs.gaps == 0


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_log_that_was_read_but_not_stored_is_found_after_its_rotation(comes_back: bool, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    log.write_text("a\n")
    reader = Reader(tmp_path, str(log))
    assert reader.look() == ["a"]
    log.rename(tmp_path / "requests.jsonl.1")
    assert reader.look() == []
    log.write_text("b\n")
    assert reader.look(is_stored=False) == ["b"]
    (tmp_path / "requests.jsonl.1").rename(tmp_path / "requests.jsonl.2")
    log.rename(tmp_path / "requests.jsonl.1")
    if comes_back:
        log.write_text("c\n")
    assert sorted(reader.look()) == (["b", "c"] if comes_back else ["b"])
    assert reader.logs.gaps == 0


def test_an_archive_that_is_not_read_counts_as_lost_unless_its_lines_were_read(tmp_path: Path) -> None:
    zstd = b"\x28\xb5\x2f\xfd"
    log = tmp_path / "requests.jsonl"
    (tmp_path / "requests.jsonl.7.zst").write_bytes(zstd + b"before the first look")
    gateway = Gateway(log)
    reader = Reader(tmp_path, str(log))
    reader.look()
    gateway.write(3)
    log.unlink()  # as zstd --rm does; the open descriptor holds its lines
    (tmp_path / "requests.jsonl.1.zst").write_bytes(zstd + b"one")
    gateway.reopen()
    assert len(reader.look()) == 3
    assert reader.logs.gaps == 0
    log.unlink()
    (tmp_path / "requests.jsonl.1.zst").rename(tmp_path / "requests.jsonl.3.zst")
    (tmp_path / "requests.jsonl.2.zst").write_bytes(zstd + b"two")
    (tmp_path / "requests.jsonl.1.zst").write_bytes(zstd + b"three: of a file that was never seen")
    gateway.reopen()
    reader.look()
    assert reader.logs.gaps == 1
    reader.look()
    assert reader.logs.gaps == 1
