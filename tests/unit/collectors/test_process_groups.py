"""Who used the host: groups of processes by control group, by declaration, and what they used."""

import subprocess
import sys
from pathlib import Path

import pytest

from collectors.cgroups import name_of, path_of, pod_names
from collectors.process_groups import BadGroup, GroupUsage, ProcessGroups
from collectors.procfs import ProcessTable
from tests.simulation.sensors import host_time, process

S = 1_000_000
ID = "0123456789abcdef" * 4
POD = "7e1f3a0c-1111-2222-3333-444455556666"
POD_ = POD.replace("-", "_")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/system.slice/vllm.service", "unit:vllm.service"),
        ("/system.slice/system-vllm.slice/vllm@large.service", "unit:vllm@large.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/notebook.service", "unit:notebook.service"),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", None),
        ("/user.slice/user-1000.slice/session-3.scope", None),
        (f"/docker/{ID}", "container:0123456789ab"),
        (f"/system.slice/docker-{ID}.scope", "container:0123456789ab"),
        (f"/machine.slice/libpod-{ID}.scope/container", "container:0123456789ab"),
        ("/lxc.payload.llm/system.slice/x.service", "container:llm"),
        ("/lxc/llm", "container:llm"),
        (
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD.replace('-', '_')}.slice/cri-containerd-{ID}.scope",
            f"pod:{POD}",
        ),
        (f"/kubepods/besteffort/pod{POD}/{ID}", f"pod:{POD}"),
        (f"/kubepods/pod{POD}/crio-{ID}", f"pod:{POD}"),
        ("/slurm/uid_1000/job_4711/step_0", "job:4711"),
        # containerd without systemd's scopes: slice, runtime and container in one part
        (f"/system.slice/containerd.service/kubepods-burstable-pod{POD_}.slice:cri-containerd:{ID}", f"pod:{POD}"),
        (f"/kubepods-besteffort-pod{POD_}.slice:cri-containerd:{ID}", f"pod:{POD}"),
        (f"/kubepods-pod{POD.replace('-', '')}.slice:cri-containerd:{ID}", f"pod:{POD}"),
        (f"/system.slice:cri-containerd:{ID}", "container:0123456789ab"),
        (f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{POD_}.slice/crio-{ID}.scope/container", f"pod:{POD}"),
        (f"/docker/{'d6' * 32}/kubepods/besteffort/pod{POD}/{ID}", f"pod:{POD}"),
        (f"/../../kubepods.slice/kubepods-pod{POD_}.slice/cri-containerd-{ID}.scope", f"pod:{POD}"),
        (f"/system.slice/nerdctl-{ID}.scope", "container:0123456789ab"),
        (f"/nerdctl/{ID}", "container:0123456789ab"),
        (f"/user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-{ID}.scope", "container:0123456789ab"),
        (f"/user.slice/user-7.slice/user@7.service/user.slice/libpod-{ID}.scope/container", "container:0123456789ab"),
        (f"/machine.slice/machine-libpod_pod_{'ab' * 32}.slice/libpod-{ID}.scope", "container:0123456789ab"),
        (f"/libpod_parent/libpod-{ID}", "container:0123456789ab"),
        (f"/docker/{'d6' * 32}/docker/{ID}", "container:0123456789ab"),
        ("/lxc/101/ns/system.slice/ollama.service", "container:101"),
        (f"/lxc/101/ns/system.slice/docker-{ID}.scope", "container:0123456789ab"),
        ("/lxc.payload.project_llm/init.scope", "container:project_llm"),
        ("/lxc.monitor/101", None),
        ("/lxc.monitor.llm", None),
        ("/ecs/0aa5b1c2d3e4f5061728394a5b6c7d8e/0aa5b1c2d3e4f506-25316", "container:0aa5b1c2d3e4f5061728394a5b6c7d8e"),
        (f"/ecs/0aa5b1c2d3e4f5061728394a5b6c7d8e/{ID}", "container:0123456789ab"),
        ("/machine.slice/machine-web.scope/payload", "container:web"),
        ("/machine.slice/machine-qemu\\x2d1\\x2dinstance\\x2d00000abc.scope/libvirt/emulator", "vm:instance-00000abc"),
        ("/machine/qemu-12-llm.libvirt-qemu/vcpu0", "vm:llm"),
        ("/qemu.slice/104.scope", "vm:104"),
        ("/slurm_node07/uid_1000/job_4711/step_batch", "job:4711"),
        ("/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0", "job:4711"),
        ("/compute.slice/node07_slurmstepd.scope/job_4711/step_extern/user/task_special", "job:4711"),
        ("/system.slice/slurmstepd.scope/s5K1KKYAYG5D00/step_0/user/task_0", "job:s5K1KKYAYG5D00"),
        ("/system.slice/slurmstepd.scope/system", None),
        ("/system.slice/slurmd.service", "unit:slurmd.service"),
        ("/pbspro.service/jobid/1234.pbs01", "job:1234.pbs01"),
        ("/pbs_jobs.service/jobid/1234[7].pbs01", "job:1234[7].pbs01"),
        ("/pbspro/1234.pbs01", "job:1234.pbs01"),
        ("/pbspro.slice/pbspro-1234.pbs01.slice", "job:1234.pbs01"),
        ("/htcondor/condor_var_lib_condor_execute_slot1_3@node.example", "job:slot1_3"),
        ("/system.slice/condor.service/htcondor/condor_home_condor_slot2@node", "job:slot2"),
        ("/lsf/cluster1/job.1234.7.1600000000", "job:1234.7"),
        ("/lsf/cluster1/job.1234.1600000000", "job:1234"),
        ("/UGE/1234.1", "job:1234.1"),
        ("/oar/jdoe_1234", "job:1234"),
        (f"/nomad.slice/share.slice/{POD}.vllm.scope", f"job:{POD}.vllm"),
        (f"/nomad/{POD}.vllm", f"job:{POD}.vllm"),
        ("/system.slice/containerd.service", "unit:containerd.service"),
        ("/", None),
        ("/init.scope", None),
    ],
)
def test_the_name_of_a_control_group(path: str, name: str | None) -> None:
    assert name_of(path) == name


def test_the_path_in_v2_in_v1_and_in_both() -> None:
    assert path_of("0::/system.slice/a.service\n") == "/system.slice/a.service"
    assert path_of("11:memory:/m\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x/longer\n0::/\n") == "/docker/x"
    assert path_of("") == ""


def test_pods_by_the_names_of_their_log_folders(tmp_path: Path) -> None:
    (tmp_path / f"llm_vllm-large-7_{POD}").mkdir()
    (tmp_path / "nonsense").mkdir()
    assert pod_names(tmp_path) == {f"pod:{POD}": "pod:llm/vllm-large-7"}
    assert pod_names(tmp_path / "none") == {}


def groups(root: Path, *declared: str, discover: bool = True) -> ProcessGroups:
    return ProcessGroups(declared, root / "proc", root / "sys", discover=discover, pods=root / "pods")


def v2(root: Path, path: str, used_us: int, memory: int) -> None:
    base = root / "sys/fs/cgroup"
    (base / path.strip("/")).mkdir(parents=True, exist_ok=True)
    (base / "cgroup.controllers").write_text("cpu memory\n")
    (base / path.strip("/") / "cpu.stat").write_text(f"usage_usec {used_us}\nuser_usec 1\nsystem_usec 1\n")
    (base / path.strip("/") / "memory.current").write_text(f"{memory}\n")


def v1(root: Path, path: str, used_us: int, memory: int) -> None:
    for hierarchy, name, value in (("cpuacct", "cpuacct.usage", used_us * 1000), ("memory", "memory.usage_in_bytes", memory)):
        folder = root / "sys/fs/cgroup" / hierarchy / path.strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{value}\n")


@pytest.mark.parametrize(("write", "line"), [(v2, "0::{}\n"), (v1, "4:cpu,cpuacct:{0}\n3:memory:{0}\n")])
def test_a_control_group_tells_its_time_with_that_of_processes_that_ended(tmp_path: Path, write, line: str) -> None:  # type: ignore[no-untyped-def]
    path = "/system.slice/vllm.service"
    process(tmp_path / "proc", 10, ticks=1, cgroup=line.format(path))
    write(tmp_path, path, 5 * S, 111)
    found = groups(tmp_path)
    assert found.scan(0) == {}
    write(tmp_path, path, 9 * S, 222)  # four seconds, of which the process itself shows nothing
    told = found.scan(10 * S)
    assert {name: (usage.cpu_us, usage.memory_bytes) for name, usage in told.items()} == {"unit:vllm.service": (4 * S, 222)}
    assert found.group_of(10) == "unit:vllm.service"


def test_without_readable_control_groups_processes_are_summed(tmp_path: Path) -> None:
    for pid in (10, 11):
        process(tmp_path / "proc", pid, ticks=100, pages=3, cgroup="0::/system.slice/vllm.service\n")
    found = groups(tmp_path)
    found.scan(0)
    process(tmp_path / "proc", 10, ticks=150, pages=3, cgroup="0::/system.slice/vllm.service\n")
    process(tmp_path / "proc", 12, ticks=30, start=9, pages=4, cgroup="0::/system.slice/vllm.service\n")
    usage = found.scan(10 * S)["unit:vllm.service"]
    assert usage.cpu_us == 80 * 10_000
    assert usage.memory_bytes == 10 * 4096
    (tmp_path / "proc/12/stat").unlink()  # it ended: what it used stays counted
    process(tmp_path / "proc", 10, ticks=151, pages=3)
    assert found.scan(20 * S)["unit:vllm.service"].cpu_us == 81 * 10_000


def test_a_number_that_is_used_again_is_another_process(tmp_path: Path) -> None:
    process(tmp_path / "proc", 10, ticks=1000, start=1, cgroup="0::/system.slice/a.service\n")
    found = groups(tmp_path)
    found.scan(0)
    process(tmp_path / "proc", 10, ticks=40, start=2, cgroup="0::/system.slice/b.service\n")
    assert {name: usage.cpu_us for name, usage in found.scan(10 * S, [10]).items()} == {"unit:b.service": 0}
    process(tmp_path / "proc", 10, ticks=90, start=2, cgroup="0::/system.slice/b.service\n")
    assert found.scan(20 * S)["unit:b.service"].cpu_us == 50 * 10_000


def test_a_group_is_told_once_it_is_noticed_and_what_computes_at_once(tmp_path: Path) -> None:
    for pid, name in ((10, "busy"), (11, "quiet"), (12, "gpu")):
        process(tmp_path / "proc", pid, cgroup=f"0::/system.slice/{name}.service\n")
    process(tmp_path / "proc", 13, ticks=0, cgroup="0::/user.slice/user-1000.slice/session-3.scope\n")
    found = groups(tmp_path)
    found.scan(0)
    process(tmp_path / "proc", 10, ticks=20, cgroup="0::/system.slice/busy.service\n")
    process(tmp_path / "proc", 11, ticks=19, cgroup="0::/system.slice/quiet.service\n")
    process(tmp_path / "proc", 13, ticks=900, cgroup="0::/user.slice/user-1000.slice/session-3.scope\n")
    assert set(found.scan(10 * S, computing=[12])) == {"unit:busy.service", "unit:gpu.service"}
    assert set(found.scan(20 * S)) == {"unit:busy.service", "unit:gpu.service"}  # from then on, always


def test_declared_groups_by_every_rule(tmp_path: Path) -> None:
    (tmp_path / f"pods/llm_embed-1_{POD}").mkdir(parents=True)
    process(tmp_path / "proc", 10, command="python -m vllm serve m", cgroup="0::/system.slice/a.service\n")
    process(tmp_path / "proc", 11, parent=10, cgroup="0::/system.slice/vllm-large.service\n")
    process(tmp_path / "proc", 12, parent=11, cgroup=f"0::/kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice/x\n")
    rules = [
        "tree=pid:10",
        "shell=cmd:vllm +serve",
        "unit=unit:vllm-*.service",
        "pod=pod:llm/embed-*",
        "path=cgroup:/system.slice/",
    ]
    found = groups(tmp_path, *rules, discover=False)
    found.scan(0)
    for pid in (10, 11, 12):
        text = (
            (tmp_path / f"proc/{pid}/stat")
            .read_text()
            .replace(" 0 0 0 0 0 0 0 0 0 0 ", f" 0 0 0 0 0 0 0 0 0 {2 ** (pid - 10)} ", 1)
        )
        (tmp_path / f"proc/{pid}/stat").write_text(text)
    used = {name: usage.cpu_us // 10_000 for name, usage in found.scan(10 * S).items()}
    assert used == {"tree": 7, "shell": 1, "unit": 2, "pod": 4, "path": 3}


@pytest.mark.parametrize("text", ["x", "x=pid:", "x=pid:abc", "x=cmd:(", "=pid:1", "x=other:1"])
def test_a_group_that_cannot_be_understood_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadGroup):
        groups(tmp_path, text)


def test_the_host_and_a_process_whose_name_has_brackets(tmp_path: Path) -> None:
    host_time(tmp_path / "proc", 70, 30)
    process(tmp_path / "proc", 10, parent=4, ticks=5, start=77, pages=2)
    table = ProcessTable(tmp_path / "proc")
    assert table.host_us() == (700_000, S)
    assert dict(table.processes()) == {10: (4, 77, 5, 2 * 4096)}


def test_the_time_of_real_processes_that_ended_stays_counted() -> None:
    import os
    import time

    found = ProcessGroups([f"own=pid:{os.getpid()}"], Path("/proc"), Path("/sys"), discover=False)
    found.scan(0)
    child = subprocess.Popen([sys.executable, "-c", "import time\nt=time.time()\nwhile time.time()-t<0.6: pass"])
    time.sleep(0.4)
    during = found.scan(1)["own"].cpu_us
    child.wait()
    after = found.scan(2)["own"].cpu_us
    assert after >= during > 0


def test_a_scan_of_500_processes_opens_each_stat_once_and_each_control_group_once_ever(tmp_path: Path) -> None:
    for pid in range(1000, 1500):
        process(tmp_path / "proc", pid, cgroup=f"0::/system.slice/s{pid % 40}.service\n")
    script = f"""
import sys, time
from pathlib import Path
from collectors.process_groups import ProcessGroups
found = ProcessGroups([], Path({str(tmp_path / "proc")!r}), Path({str(tmp_path / "sys")!r}))
opened = {{}}
def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith(("/stat", "/cgroup")):
        kind = str(arguments[0]).rpartition("/")[2]
        opened[kind] = opened.get(kind, 0) + 1
sys.addaudithook(watch)
for at in range(1, 4):
    found.scan(at * 10**7)
print(opened["stat"], opened["cgroup"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1500", "500"]


def test_usage_begins_with_nothing() -> None:
    assert (GroupUsage().cpu_us, GroupUsage().reported) == (0, False)
