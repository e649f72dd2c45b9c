"""This file reads the power of the whole server from its service processor, through IPMI DCMI.

Requirements: ipmitool or FreeIPMI's ipmi-dcmi in the path, and the right to open /dev/ipmi0.

Metrics
-------
power   "Instantaneous power reading" [W], quantised at 1 to 10 W, every ``[agent] bmc_s``; device wall, source ipmi

The mean over the sampling period is not used: some processors never reset it, and it spans months. Zero and an
inactive state are "not supported" said badly, and give no sample.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

from collectors.background_reader import SlowReader
from collectors.base import Collector, Unavailable
from collectors.clocks import now_us
from collectors.config import AgentConfig
from footprint.core.samples import Channel, Sample

COMMANDS = (("ipmitool", "dcmi", "power", "reading"), ("ipmi-dcmi", "--get-system-power-statistics"))
TIMEOUT_S = 20
MAX_W = 30_000  # no server of a rack draws 30 kW; 24-bit overflows lie above
_POWER = re.compile(r"^\s*(?:Instantaneous power reading|Current Power)\s*:\s*(\d+)", re.MULTILINE | re.IGNORECASE)
_STATE = re.compile(r"^\s*(?:Power reading state is|Power Measurement)\s*:\s*(\w+)", re.MULTILINE | re.IGNORECASE)


class IpmiCollector(Collector):
    """Power of the whole server."""

    name = "ipmi"
    covers = "wall"

    def __init__(self, config: AgentConfig) -> None:
        found = next((command for command in COMMANDS if shutil.which(command[0])), None)
        if found is None:
            raise Unavailable("IPMI: neither ipmitool nor ipmi-dcmi is installed (apt-get install ipmitool)")
        self._command = found
        self._channel = Channel("wall", "host", "ipmi", limit_uw=MAX_W * 1_000_000, period_us=round(config.bmc_s * 1e6))
        self._first = self._read(*now_us())
        self._reader = SlowReader(self._read, config.bmc_s)

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """What was read since the last call, at most one sample each ``bmc_s``."""
        first, self._first = self._first, []
        yield from first
        yield from self._reader.take()

    def _read(self, at_us: int, mono_us: int) -> list[Sample]:
        try:
            done = subprocess.run(self._command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as bad:
            raise Unavailable(f"IPMI: {bad}") from None
        if done.returncode:
            why = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise Unavailable(f"IPMI: {self._command[0]}: {why[0] if why else f'exit {done.returncode}'}")
        return [Sample(self._channel, at_us, mono_us, None, parse_dcmi(done.stdout) * 1_000_000)]

    def close(self) -> None:
        """End the reading."""
        self._reader.stop()


def parse_dcmi(text: str) -> int:
    """Power now [W] from what ipmitool or ipmi-dcmi prints.

    Raises
    ------
    Unavailable
        If it says none, or none that can be right.
    """
    power, state = _POWER.search(text), _STATE.search(text)
    if power is None:
        raise Unavailable("IPMI: no power reading (DCMI is not supported by this service processor)")
    if state is not None and state[1].lower() not in ("activated", "active"):
        raise Unavailable(f"IPMI: power reading is {state[1]} (activate it in the service processor)")
    if not 0 < int(power[1]) <= MAX_W:
        raise Unavailable(f"IPMI: {power[1]} W is no power of a running server (not supported, or overflowed)")
    return int(power[1])
