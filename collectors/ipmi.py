"""IPMI collector: whole-server power from the service processor through DCMI.

Requirements: ipmitool or FreeIPMI's ipmi-dcmi in the path, and permission to open /dev/ipmi0.

Metrics
-------
power   "Instantaneous power reading" [W], quantised at 1 to 10 W, every ``[agent] bmc_s``; device wall, source ipmi

The mean over the sampling period is not used: some processors never reset it, and it spans months. Zero and an
inactive state mean "not supported" and give no sample.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence

from collectors.background_reader import BackgroundReader
from collectors.base import Collector, Unavailable
from collectors.clocks import wall_and_monotonic_us
from collectors.config import AgentConfig
from footprint.core.limits import printable
from footprint.core.samples import Channel, Sample

COMMANDS = (("ipmitool", "dcmi", "power", "reading"), ("ipmi-dcmi", "--get-system-power-statistics"))
TIMEOUT_S = 20
MAX_W = 30_000  # no server of a rack draws 30 kW; 24-bit overflows lie above
MAX_BYTES = 65_536  # of the output of a command
_FLAGS = re.MULTILINE | re.IGNORECASE | re.ASCII
_POWER = re.compile(r"^[ \t]*+(?:Instantaneous power reading|Current Power)[ \t]*+:[ \t]*+(\d{1,12})\b", _FLAGS)
_STATE = re.compile(r"^[ \t]*+(?:Power reading state is|Power Measurement)[ \t]*+:[ \t]*+(\w{1,40})", _FLAGS)


class IpmiCollector(Collector):
    """Power of the whole server."""

    name = "ipmi"
    covers = "wall"

    def __init__(self, config: AgentConfig) -> None:
        available = next((command for command in COMMANDS if shutil.which(command[0])), None)
        if available is None:
            raise Unavailable("IPMI: neither ipmitool nor ipmi-dcmi is installed (apt-get install ipmitool)")
        self._command = available
        self._channel = Channel("wall", "host", "ipmi", limit_uw=MAX_W * 1_000_000, period_us=round(config.bmc_s * 1e6))
        self._first_samples = self._read(*wall_and_monotonic_us())
        self._reader = BackgroundReader(self._read, config.bmc_s)

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """Samples since the last call, at most one per ``bmc_s``."""
        first, self._first_samples = self._first_samples, []
        yield from first
        yield from self._reader.take()

    def _read(self, at_us: int, mono_us: int) -> list[Sample]:
        status, output = run_command(self._command)
        if status:
            lines = output.strip().splitlines()
            raise Unavailable(f"IPMI: {self._command[0]}: {printable(lines[0][:200]) if lines else f'exit {status}'}")
        return [Sample(self._channel, at_us, mono_us, None, parse_dcmi_w(output) * 1_000_000)]

    def close(self) -> None:
        """Stop reading."""
        self._reader.stop()


def run_command(command: Sequence[str], timeout_s: float = TIMEOUT_S) -> tuple[int, str]:
    """Exit status and output of a command, errors included.

    Raises
    ------
    Unavailable
        If it cannot run, takes too long, or prints more than ``MAX_BYTES``. It and its children are ended then.
    """
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError as error:
        raise Unavailable(f"IPMI: {error}") from None
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        _kill_group(process.pid)

    timer = threading.Timer(timeout_s, end)
    timer.start()
    try:
        output = process.stdout.read(MAX_BYTES + 1) if process.stdout is not None else b""
        if len(output) > MAX_BYTES:
            _kill_group(process.pid)
        status = process.wait()
    finally:
        timer.cancel()
        if process.stdout is not None:
            process.stdout.close()
    if is_late.is_set():
        raise Unavailable(f"IPMI: {command[0]} gives no answer within {timeout_s:g} s")
    if len(output) > MAX_BYTES:
        raise Unavailable(f"IPMI: {command[0]} prints more than {MAX_BYTES} bytes")
    return status, output.decode("utf-8", "replace")


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def parse_dcmi_w(text: str) -> int:
    """Current power [W] from the output of ipmitool or ipmi-dcmi.

    Raises
    ------
    Unavailable
        If the output has no power, or no plausible one.
    """
    power, state = _POWER.search(text), _STATE.search(text)
    if power is None:
        raise Unavailable("IPMI: no power reading (DCMI is not supported by this service processor)")
    if state is not None and state[1].lower() not in ("activated", "active"):
        raise Unavailable(f"IPMI: power reading is {state[1]} (activate it in the service processor)")
    if not 0 < int(power[1]) <= MAX_W:
        raise Unavailable(f"IPMI: {power[1]} W is no power of a running server (not supported, or overflowed)")
    return int(power[1])
