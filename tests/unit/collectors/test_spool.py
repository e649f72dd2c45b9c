"""The spool through kills, torn files and full disks."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from collectors.spool import Spool, SpoolFull


def test_what_the_spool_took_survives_kill_9(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from collectors.spool import Spool
s = Spool(Path({str(tmp_path)!r}), 10)
n = 0
while True:
    s.append([f'{{{{"n": {{n}}}}}}']); n += 1
    print(n, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(20):
        told = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    paths, lines = Spool(tmp_path, 10).read(10**9)
    assert len(lines) >= told
    assert lines[0] == b'{"n": 0}'
    Spool(tmp_path, 10).delete(paths[:5])
    assert len(Spool(tmp_path, 10).read(10**9)[0]) == len(paths) - 5


def test_a_full_spool_keeps_the_oldest_and_refuses_the_newest(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1)
    taken = 9
    for number in range(taken):
        spool.append([f"{number:02d}" * 50_000])
    with pytest.raises(SpoolFull, match="holds its 1 MB"):
        spool.append(["xx" * 50_000])
    assert [line[:2] for line in spool.read(10**9)[1]] == [f"{n:02d}".encode() for n in range(taken)]
    assert spool.size_bytes() <= 10**6
    spool.delete(spool.segments()[:1])
    spool.append(["99" * 50_000])  # room again
    assert Spool(tmp_path, 1).read(10**9)[1][-1][:2] == b"99"


def test_a_disk_that_is_full_leaves_what_was_there_whole(tmp_path: Path) -> None:
    """A limit on the size of files is what a full disk is to write(2): some bytes are taken, then none."""
    child = os.fork()
    if not child:
        spool = Spool(tmp_path, 100)
        spool.append(["whole"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            spool.append(["x" * 5000])
        except OSError:
            spool.append(["small"])
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert Spool(tmp_path, 100).read(10**9)[1] == [b"whole", b"small"]
    assert not list(tmp_path.glob("*.part"))


def test_a_torn_segment_of_before_is_removed_and_a_torn_line_left_out(tmp_path: Path) -> None:
    Spool(tmp_path, 1).append(["one", "two"])
    (tmp_path / "000000000001.part").write_bytes(b"never nam")
    (tmp_path / "000000000002.ndjson").write_bytes(b"three\nfou")
    spool = Spool(tmp_path, 1)
    assert not list(tmp_path.glob("*.part"))
    assert spool.read(10**9)[1] == [b"one", b"two", b"three"]
    spool.append(["five"])
    assert spool.segments()[-1].name == "000000000003.ndjson"  # a number is never used twice


def test_a_segment_that_cannot_be_read_does_not_hold_up_the_others(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1)
    for text in ("one", "two", "three"):
        spool.append([text])
    second = spool.segments()[1]
    second.unlink()
    second.mkdir()
    assert spool.read(10**9)[1] == [b"one", b"three"]
    assert spool.unreadable == 1
    assert second.with_suffix(".unreadable").exists()


def test_reading_is_by_whole_segments_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1)
    for number in range(10):
        spool.append([str(number) * 100])
    paths, lines = spool.read(350)
    assert [line[:1] for line in lines] == [b"0", b"1", b"2"]
    assert paths == spool.segments()[:3]
    assert len(spool.read(1)[0]) == 1  # at least one, however large
    spool.append([])
    assert len(spool.segments()) == 10
