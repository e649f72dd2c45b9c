"""IPMI collector: whole-server power from the service processor through DCMI.

Requirements: ipmitool or FreeIPMI's ipmi-dcmi in the path, and permission to open /dev/ipmi0. If one tool reads nothing, the
other is tried.

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
from typing import NoReturn

from collectors.background_reader import BackgroundReader
from collectors.base import Collector, PermissionRequired, Unavailable
from collectors.clocks import wall_and_monotonic_us
from collectors.config import AgentConfig
from footprint.core.limits import printable
from footprint.core.samples import Channel, Sample

COMMANDS = (("ipmitool", "dcmi", "power", "reading"), ("ipmi-dcmi", "--get-system-power-statistics"))
TIMEOUT_S = 20
MAX_W = 30_000  # no server of a rack draws 30 kW; 24-bit overflows lie above
NO_READING_W = frozenset({0xFFFF, 0x7FFF, 0xFFFE})  # of a processor that has none now
MAX_BYTES = 65_536  # of the output of a command
ATTEMPTS = 2  # the first answer after a while may be empty
_FLAGS = re.MULTILINE | re.IGNORECASE | re.ASCII
_POWER = re.compile(r"^[ \t]*+(?:Instantaneous power reading|Current Power)[ \t]*+:[ \t]*+([\w.+-]{1,20})", _FLAGS)
_STATE = re.compile(r"^[ \t]*+(?:Power reading state is|Power Measurement)[ \t]*+:[ \t]*+(\S[^\n]{0,40})", _FLAGS)
_NO_DEVICE = "no IPMI device (/dev/ipmi0): no service processor, or its driver is not loaded (modprobe ipmi_si ipmi_devintf)"
_NOT_PERMITTED = "/dev/ipmi0 may not be opened by this user: give the agent's group the device (a udev rule), or run it as root"
# What tools print, and what it means; the first that is found holds.
_CAUSES: tuple[tuple[re.Pattern[str], str, bool], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), cause, is_permission)
    for pattern, cause, is_permission in (
        (
            r"insufficient privilege|privilege level|\(d4\)|\(0xd4\)",
            "the service processor refuses it for lack of privilege",
            True,
        ),
        (r"permission denied|must be root|not permitted|permission failure", _NOT_PERMITTED, True),
        (
            r"could not open device|no such file or directory|could not find inband|driver not found|device not found",
            _NO_DEVICE,
            False,
        ),
        (
            r"invalid command|command (?:is )?invalid|unsupported|not supported|\(c1\)|unrecognized|invalid data field",
            "the service processor does not support power readings by DCMI",
            False,
        ),
        (r"busy|\(c0\)|timed? ?out|timeout|\(c3\)", "the service processor is busy, or does not answer", False),
    )
)


class _NoAnswer(Unavailable):
    """An empty or fleeting answer, after which the same question may be answered."""


class IpmiCollector(Collector):
    """Power of the whole server."""

    name = "ipmi"
    covers = "wall"
    is_costly_to_open = True

    def __init__(self, config: AgentConfig) -> None:
        self._commands = [command for command in COMMANDS if shutil.which(command[0])]
        if not self._commands:
            raise Unavailable("IPMI: neither ipmitool nor ipmi-dcmi is installed (apt-get install ipmitool)")
        self._channel = Channel("wall", "host", "ipmi", limit_uw=MAX_W * 1_000_000, period_us=round(config.bmc_s * 1e6))
        self._first_samples = self._read(*wall_and_monotonic_us())
        self._reader = BackgroundReader(self._read, config.bmc_s)

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """Samples since the last call, at most one per ``bmc_s``."""
        first, self._first_samples = self._first_samples, []
        yield from first
        yield from self._reader.take()

    def _read(self, at_us: int, mono_us: int) -> list[Sample]:
        reasons: dict[str, list[str]] = {}
        is_permission = False
        for command in list(self._commands):
            try:
                power_w = read_power_w(command)
            except Unavailable as reason:
                reasons.setdefault(str(reason).removeprefix("IPMI: "), []).append(command[0])
                is_permission = is_permission or isinstance(reason, PermissionRequired)
                continue
            self._commands.sort(key=lambda other: other != command)  # the tool that reads is asked first
            return [Sample(self._channel, at_us, mono_us, None, power_w * 1_000_000)]
        causes = "; ".join(f"{' and '.join(tools)}: {cause}" for cause, tools in reasons.items())
        raise (PermissionRequired if is_permission else Unavailable)(f"IPMI: {causes}")

    def close(self) -> None:
        """Stop reading."""
        self._reader.stop()


def read_power_w(command: Sequence[str]) -> int:
    """Current power [W] by one tool; an empty or fleeting answer is asked for again.

    Raises
    ------
    Unavailable
        With the cause that the tool gives.
    """
    for attempt in range(1, ATTEMPTS + 1):
        status, output = run_command(command)
        try:
            return parse_dcmi_w(output, status)
        except _NoAnswer:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


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


def parse_dcmi_w(text: str, status: int = 0) -> int:
    """Current power [W] from the output of ipmitool or ipmi-dcmi, which ended with a status.

    Raises
    ------
    Unavailable
        If the output has no power, or no plausible one; the message gives the cause that the tool names.
    """
    power, state = _POWER.search(text), _STATE.search(text)
    if power is None:
        _raise_cause(text, status)
    state_text = state[1].strip() if state is not None else ""
    if state_text and state_text.lower() not in ("activated", "active", "on", "enabled"):
        raise Unavailable(
            f"IPMI: the service processor says that its power measurement is {printable(state_text)!r}: "
            "switch it on in its settings, if it has one"
        )
    power_w = _whole_watts(power[1])
    if power_w is None or power_w in NO_READING_W or not 0 < power_w <= MAX_W:
        raise _NoAnswer(f"IPMI: {printable(power[1])} W is no power of a running server (not supported, or overflowed)")
    return power_w


def _whole_watts(text: str) -> int | None:
    try:
        return int(text, 16) if text.lower().startswith("0x") else int(float(text))
    except (ValueError, OverflowError):
        return None


def _raise_cause(text: str, status: int) -> NoReturn:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise _NoAnswer(f"IPMI: the tool ends with status {status} and prints nothing")
    for line in lines[:50]:
        for pattern, cause, is_permission in _CAUSES:
            if pattern.search(line[:500]):
                error = PermissionRequired if is_permission else _NoAnswer if "busy" in cause else Unavailable
                raise error(f"IPMI: {cause} ({printable(line[:200])})")
    raise Unavailable(f"IPMI: no power reading in its answer ({printable(lines[0][:200])})")
