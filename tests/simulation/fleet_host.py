"""A fleet machine under the real agent: its trees on disk, its libraries, commands and HTTP servers, on a simulated clock."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import pynvml

import collectors.clocks
from collectors.agent import Agent
from collectors.base import Unavailable
from collectors.config import AgentConfig
from collectors.main_loop import _print_summary, _start_scraper, make_agent
from footprint.core.samples import Sample
from tests.simulation.fleet_machine import ABSENT, DENIED, LINK, UNREADABLE, US, Machine, SensorError, step_at
from tests.simulation.fleet_nvml import FleetNvml
from tests.support.privileges import without_override

START_US = 1_790_000_100 * US  # an edge of a slot of figures
WIDTH = 40  # of a file's content; the rest is filled with line ends, so that a rewrite in place is never read in parts
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class MachineRun:
    """What an agent left behind: its lines, all that it said, and what its probe says, if it was asked."""

    host: str
    lines: list[bytes] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    probed: list[str] = field(default_factory=list)


class SimulatedReader:
    """A background reader without its thread: it reads when its samples are taken and its period is over."""

    def __init__(self, clock: Callable[[], tuple[int, int]], read: Callable[[int, int], list[Sample]], period_s: float) -> None:
        self._clock, self._read, self._period_us = clock, read, round(period_s * US)
        self._due_us = clock()[1] + self._period_us

    def take(self) -> Iterator[Sample]:
        """Samples since the last call."""
        at_us, mono_us = self._clock()
        if mono_us < self._due_us:
            return
        self._due_us = mono_us + self._period_us
        try:
            yield from self._read(at_us, mono_us)
        except Exception as error:
            raise Unavailable(str(error)) from None

    def stop(self) -> None:
        """Nothing to stop."""


class SimulatedHost:
    """A machine on disk and behind its libraries; ``set_time_s`` moves all of it."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine, self.folder, self.at_s = machine, folder, 0.0
        self._open: dict[str, int] = {}
        self._shown: dict[str, Any] = {}
        self._templates = dict(machine.files()) | self._proc_files()
        self._moving: list[str] = []
        self._servers: list[ThreadingHTTPServer] = []
        self.nvml = FleetNvml(machine)

    def _proc_files(self) -> dict[str, Any]:
        cpu = self.machine.table.get("cpu", {})
        processors = int(cpu.get("processors", 32))
        block = f"vendor_id\t: {cpu.get('vendor', 'GenuineIntel')}\nmodel name\t: {cpu.get('model', 'Intel(R) Xeon(R)')}\n\n"
        return {
            "proc/cpuinfo": "".join(f"processor\t: {number}\n{block}" for number in range(processors)),
            "proc/meminfo": f"MemTotal: {cpu.get('memory_gb', 256) * 1_000_000} kB\n",
            "proc/sys/kernel/random/boot_id": f"boot-{self.machine.name}",
        }

    def build(self) -> None:
        """Create all files as they are at the start."""
        (self.folder / "sys").mkdir(parents=True)
        (self.folder / "proc").mkdir(exist_ok=True)
        for path, template in self._templates.items():
            if isinstance(template, list) or "@" in str(template):
                self._moving.append(path)
            self._show(path, template)
        for number, _ in enumerate(self.machine.table.get("nvml", [])):
            if self.machine.table.get("nvml_listed", True):
                (self.folder / "proc/driver/nvidia/gpus" / f"0000:{number:02x}:00.0").mkdir(parents=True)
        self._moving.append("proc/stat")
        self._templates["proc/stat"] = None
        for command in self.machine.table.get("command", {}):
            script = self.folder / "bin" / command
            script.parent.mkdir(exist_ok=True)
            script.write_text(f'#!/bin/sh\n/bin/cat "{script}.out"\nexit $(/bin/cat "{script}.status")\n')
            script.chmod(0o755)
        self.set_time_s(0)

    def set_time_s(self, at_s: float) -> None:
        """Move the machine to an instant."""
        self.at_s = self.nvml.at_s = at_s
        for path in self._moving:
            self._show(path, self._stat() if path == "proc/stat" else self._templates[path])
        for command, answer in self.machine.table.get("command", {}).items():
            text, status = step_at(answer["output"], at_s), int(step_at(answer.get("status", 0), at_s))
            output = self.folder / "bin" / f"{command}.out"
            output.write_text(self.machine.render(text, at_s) or "")
            output.with_suffix(".status").write_text(str(status))

    def _stat(self) -> str:
        busy, ticks = self.machine.host_load(self.at_s), 32 * TICKS_PER_S
        return f"cpu {round((50 + busy) * ticks)} 0 0 {round((500 + self.at_s - busy) * ticks)} 0 0 0 0 0 0"

    def _show(self, path: str, template: Any) -> None:
        template = step_at(template, self.at_s)
        special = template if template in (UNREADABLE, DENIED) or str(template).startswith(LINK) else None
        try:
            text = special or self.machine.render(template, self.at_s)
        except SensorError:
            text = UNREADABLE
        if self._shown.get(path, ABSENT) == (ABSENT if text is None else text):
            return
        target = self.folder / path
        self._shown[path] = ABSENT if text is None else text
        if text is None or special or text == UNREADABLE:
            self._remove(path, target)
        if text is None:
            return
        if text == UNREADABLE:
            target.symlink_to("/proc/self/mem")  # the kernel answers EIO at its start
        elif text.startswith(LINK):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(self.folder / text.removeprefix(LINK))
            (self.folder / text.removeprefix(LINK)).mkdir(parents=True, exist_ok=True)
        else:
            self._write(path, target, "" if text == DENIED else text)
            if text == DENIED:
                target.chmod(0)

    def _write(self, path: str, target: Path, text: str) -> None:
        if path not in self._open:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_symlink():
                target.unlink()
            self._open[path] = os.open(target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        content = f"{text}\n".encode().ljust(WIDTH, b"\n")
        os.pwrite(self._open[path], content, 0)

    def _remove(self, path: str, target: Path) -> None:
        """Remove a file; a reader that still holds it open reads nothing, as from a device that is gone."""
        descriptor = self._open.pop(path, None)
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            os.close(descriptor)
        with contextlib.suppress(FileNotFoundError):
            target.unlink()
        target.parent.mkdir(parents=True, exist_ok=True)

    def serve(self, answer: Callable[[str], tuple[int, dict[str, str], bytes]]) -> str:
        """Serve answers by path on this machine; return the address."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = answer(self.path)
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self._servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    def exposition(self, exporter: dict[str, Any]) -> Callable[[str], tuple[int, dict[str, str], bytes]]:
        """Answers of a Prometheus exporter: its lines, without those whose signal is absent."""

        def answer(_: str) -> tuple[int, dict[str, str], bytes]:
            status = int(step_at(exporter.get("status", 200), self.at_s))
            lines = []
            for template in exporter["text"].strip().splitlines():
                with contextlib.suppress(SensorError):
                    rendered = self.machine.render(template.replace("%now%", f"{START_US / US + self.at_s:.3f}"), self.at_s)
                    lines += [] if rendered is None else [rendered]
            headers = {"Content-Type": exporter.get("type", "text/plain; version=0.0.4")}
            return status, headers, ("\n".join(lines) + "\n").encode() if status == 200 else b""

        return answer

    def redfish(self, table: dict[str, Any]) -> Callable[[str], tuple[int, dict[str, str], bytes]]:
        """Answers of a service processor: JSON templates by path; a number is a status, ``slash`` redirects to a path with one."""

        def answer(path: str) -> tuple[int, dict[str, str], bytes]:
            if table.get("slash") and not path.endswith("/"):
                return 308, {"Location": path + "/"}, b""
            template = step_at(table["resources"].get(path.rstrip("/"), 404), self.at_s)
            if isinstance(template, int):
                return template, {}, b"{}"
            try:
                text = self.machine.render(template, self.at_s)
            except SensorError:
                return 503, {}, b"{}"
            body = json.dumps(json.loads(text or "{}")).encode()
            return 200, {"Content-Type": "application/json"}, body

        return answer

    def config(self) -> AgentConfig:
        """Configuration of the agent for this machine."""
        table = self.machine.table
        options: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in table.get("agent", {}).items()
        }
        if "redfish" in table:
            password = self.folder / "bmc.password"
            password.write_text("secret\n")
            password.chmod(0o600)
            options |= {
                "redfish_url": self.serve(self.redfish(table["redfish"])),
                "redfish_user": "reader",
                "redfish_password_file": password,
            }
        exporters = [f"{self.serve(self.exposition(exporter))}/metrics" for exporter in table.get("exporter", [])]
        return AgentConfig(
            host=self.machine.name,
            spool=self.folder / "spool",
            sysfs=self.folder / "sys",
            proc=self.folder / "proc",
            scrape=tuple(exporters),
            discover=False,
            **options,
        )

    def close(self) -> None:
        """Stop the servers and close the files."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()


def _amdsmi(machine: Machine, host: SimulatedHost) -> types.ModuleType | None:
    """The library amdsmi of a machine; None if it is not installed."""
    boards = machine.table.get("amdsmi")
    if boards is None:
        return None
    library = types.ModuleType("amdsmi")

    def query(index: int, name: str) -> Any:
        value = step_at(boards[index].get(name, "N/A"), host.at_s)
        if isinstance(value, str) and value in machine.signals:
            text = machine.signals[value].value(host.at_s)
            return "N/A" if text is None else float(text)
        if isinstance(value, str) and value.startswith("!"):
            raise SensorError(value)
        return value

    def power_info(index: int) -> dict[str, Any]:
        names = ("current_socket_power", "average_socket_power", "socket_power")
        return {name: query(index, name) for name in names}

    def energy_count(index: int) -> dict[str, Any]:
        resolution = boards[index].get("counter_resolution", 15.259)
        energy_uj = query(index, "energy")
        ticks = "N/A" if energy_uj == "N/A" else int(energy_uj / resolution)
        return {boards[index].get("energy_key", "energy_accumulator"): ticks, "counter_resolution": resolution, "timestamp": 0}

    functions = {
        "amdsmi_init": lambda *_: None,
        "amdsmi_shut_down": lambda: None,
        "amdsmi_get_processor_handles": lambda: list(range(len(boards))),
        "amdsmi_get_gpu_device_uuid": lambda index: query(index, "uuid"),
        "amdsmi_get_gpu_device_bdf": lambda index: query(index, "bdf"),
        "amdsmi_get_gpu_asic_info": lambda index: {"market_name": query(index, "name")},
        "amdsmi_get_power_cap_info": lambda index: {"max_power_cap": query(index, "cap_uw")},
        "amdsmi_get_gpu_activity": lambda index: {
            "gfx_activity": round(100 * machine.things[boards[index]["of"]].load(host.at_s)) if "of" in boards[index] else "N/A"
        },
        "amdsmi_get_power_info": power_info,
        "amdsmi_get_energy_count": energy_count,
    }
    for name, function in functions.items():
        setattr(library, name, function)
    return library


def _codecarbon(machine: Machine) -> dict[str, types.ModuleType | None]:
    """CodeCarbon's table of TDP, if the machine has it."""
    tdp_w = machine.table.get("codecarbon_tdp_w")
    if tdp_w is None:
        return {"codecarbon": None, "codecarbon.core.cpu": None}
    package, core, cpu = (types.ModuleType(name) for name in ("codecarbon", "codecarbon.core", "codecarbon.core.cpu"))
    cpu.TDP = type("TDP", (), {"tdp": tdp_w, "model": "Simulated CPU"})  # type: ignore[attr-defined]
    return {"codecarbon": package, "codecarbon.core": core, "codecarbon.core.cpu": cpu}


def wall_step_s(machine: Machine, at_s: float) -> float:
    """By how much somebody had set the wall clock until an instant (``wall_steps`` of ``[at_s, step_s]``) [s]."""
    return float(sum(step_s for step_at_s, step_s in machine.table.get("wall_steps", []) if step_at_s <= at_s))


def slept_s(machine: Machine, at_s: float) -> float:
    """For how long the machine had slept until an instant (``sleeps`` of ``[from_s, to_s]``) [s]."""
    return float(sum(max(min(at_s, to_s) - from_s, 0.0) for from_s, to_s in machine.table.get("sleeps", [])))


@contextlib.contextmanager
def simulated(machine: Machine, folder: Path) -> Iterator[SimulatedHost]:
    """Give this process the machine's libraries, commands and clock."""
    host = SimulatedHost(machine, folder)
    host.build()
    clock = types.SimpleNamespace(
        time_ns=lambda: START_US * 1000 + round((host.at_s + wall_step_s(machine, host.at_s)) * 1e9),
        monotonic_ns=lambda: 10**12 + round((host.at_s - slept_s(machine, host.at_s)) * 1e9),
    )
    wall_and_monotonic_us = collectors.clocks.wall_and_monotonic_us

    def reader(read: Callable[[int, int], list[Sample]], period_s: float) -> SimulatedReader:
        return SimulatedReader(wall_and_monotonic_us, read, period_s)

    modules = {"amdsmi": _amdsmi(machine, host), **_codecarbon(machine)}
    library = host.nvml if "nvml" in machine.table else None
    path = str(folder / "bin")
    with contextlib.ExitStack() as stack:
        stack.callback(host.close)
        stack.enter_context(mock.patch.object(collectors.clocks, "time", clock))
        for module in ("redfish", "ipmi", "prometheus_scraper"):
            stack.enter_context(mock.patch(f"collectors.{module}.BackgroundReader", reader))
        stack.enter_context(mock.patch.dict(sys.modules, modules))  # type: ignore[arg-type]
        stack.enter_context(mock.patch.dict(os.environ, {"PATH": path}))
        stack.enter_context(mock.patch.object(pynvml, "nvmlLib", library))
        stack.enter_context(mock.patch.dict(pynvml._nvmlGetFunctionPointer_cache, clear=True))
        if library is None:
            stack.enter_context(mock.patch.object(pynvml, "CDLL", _no_library))
        yield host


def _no_library(name: str) -> Any:
    raise OSError(f"{name}: cannot open shared object file")


def run_machine(machine: Machine, folder: Path) -> MachineRun:
    """Run the agent over a machine's time; record every ten seconds, at the start and at the end."""
    if any(template == DENIED for _, template in machine.files()):
        return without_override(lambda: _run(machine, folder))
    return _run(machine, folder)


def _run(machine: Machine, folder: Path) -> MachineRun:
    run, output = MachineRun(machine.name), io.StringIO()
    with simulated(machine, folder) as host, contextlib.redirect_stderr(output):
        config = host.config()
        agent = _start_agent(config)
        messages = set()
        gaps = [*machine.table.get("agent_stops", []), *machine.table.get("sleeps", [])]
        restarts = machine.table.get("agent_restarts", [])
        for tick in range(round(machine.seconds / config.sample_s) + 1):
            at_s = tick * config.sample_s
            host.set_time_s(at_s)
            if any(low < at_s < high for low, high in gaps):
                continue
            if at_s in restarts:
                agent.write_records(*collectors.clocks.wall_and_monotonic_us())
                agent.sensors.close()
                agent = _start_agent(config)
                continue  # a start takes a second
            agent.read_sensors(*collectors.clocks.wall_and_monotonic_us())
            if at_s % config.interval_s == 0:
                agent.write_records(*collectors.clocks.wall_and_monotonic_us())
                messages |= _messages(agent)
        run.lines = [line.encode() if isinstance(line, str) else line for line in agent.spool.read(10**12)[1]]
        agent.sensors.close()
    run.messages = sorted({*output.getvalue().splitlines(), *messages})
    return run


def _start_agent(config: AgentConfig) -> Agent:
    agent = make_agent(config)
    agent.sensors.open_missing(collectors.clocks.wall_and_monotonic_us()[1])
    _print_summary(agent.sensors)
    if config.scrape:
        _start_scraper(config, agent)
    return agent


def _messages(agent: Agent) -> set[str]:
    return {*agent.sensors.reasons.values(), *agent.sensors.remarks()}
