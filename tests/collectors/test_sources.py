"""Collectors on fixture trees and a simulated library; the spool through a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collectors.base import Unavailable
from collectors.proc import Activity, BadGroup
from collectors.rapl import RaplCollector
from collectors.spool import Spool
from tests.simulation.sensors import build_nvml, powercap


def test_rapl_reads_each_package_and_its_memory_once_and_never_psys(tmp_path: Path) -> None:
    powercap(tmp_path, sockets=2, dram=True, mmio=True, psys=True)
    found = list(RaplCollector(tmp_path).collect(1, 1))
    assert [(s.device, s.component) for s in found] == [
        ("cpu:0", "cpu"), ("dram:0", "dram"), ("cpu:1", "cpu"), ("dram:1", "dram"),
    ]  # fmt: skip
    assert all(s.wrap_uj == 262_143_328_850 for s in found)


def test_no_rapl_says_why(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no package zone"):
        RaplCollector(tmp_path)


def test_a_zone_that_goes_away_gives_no_sample(tmp_path: Path) -> None:
    powercap(tmp_path, sockets=1, dram=True)
    collector = RaplCollector(tmp_path)
    (tmp_path / "class/powercap/intel-rapl:0/energy_uj").write_text("nonsense")
    assert [s.device for s in collector.collect(1, 1)] == ["dram:0"]


def test_nvml_counts_by_uuid_and_survives_a_lost_gpu(tmp_path: Path) -> None:
    library = build_nvml(tmp_path)
    if library is None:
        pytest.skip("no C compiler for the simulated library")
    script = """
import os
from collectors.nvml import NvmlCollector
c = NvmlCollector()
a = list(c.collect(1, 1)); b = list(c.collect(2, 2))
print([(s.device, s.alias, s.source) for s in a], all(y.counter_uj > x.counter_uj for x, y in zip(a, b)))
os.environ["NVML_SIM_LOST"] = "1"
import ctypes; ctypes.CDLL("libnvidia-ml.so.1").sim_lose(1)
print([s.alias for s in c.collect(3, 3)])
"""
    env = os.environ | {"LD_LIBRARY_PATH": str(library.parent), "NVML_SIM_GPUS": "2"}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "[('GPU-sim-0', 'gpu:0', 'nvml-energy'), ('GPU-sim-1', 'gpu:1', 'nvml-energy')] True"
    assert second == "['gpu:0']"


def test_the_time_of_processes_that_ended_stays_counted(tmp_path: Path) -> None:
    script = "import time\nt=time.time()\nwhile time.time()-t<0.6: pass"
    activity = Activity([f"own=pid:{os.getpid()}"])
    list(activity.collect("a", "e", 0, 1))
    child = subprocess.Popen([sys.executable, "-c", script])
    time.sleep(0.4)
    during = next(r for r in activity.collect("a", "e", 1, 2) if r.group == "own")
    child.wait()
    after = next(r for r in activity.collect("a", "e", 2, 3) if r.group == "own")
    assert after.cpu_us >= during.cpu_us > 0


@pytest.mark.parametrize("text", ["x", "x=pid:", "x=pid:abc", "x=cmd:(", "=pid:1", "x=other:1"])
def test_a_group_that_cannot_be_understood_is_refused(text: str) -> None:
    with pytest.raises(BadGroup):
        Activity([text])


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


def test_a_full_spool_drops_the_oldest_and_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1)
    for n in range(15):
        spool.append([str(n) * 100_000])
    assert spool.lost_segments > 0
    assert spool.read(10**9)[1][-1][:2] == b"14"
