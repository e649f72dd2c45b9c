"""IPMI collector: whole-server power from the service processor through DCMI.

Requirements: ipmitool or FreeIPMI's ipmi-dcmi in the path, and permission to open /dev/ipmi0.

Metrics
-------
power   "Instantaneous power reading" [W], quantised at 1 to 10 W, every ``[agent] bmc_s``; device wall, source ipmi

The mean over the sampling period is not used: some processors never reset it, and it spans months. Zero and an
inactive state mean "not supported" and give no sample.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

from collectors.background_reader import BackgroundReader
from collectors.base import Collector, Unavailable
from collectors.clocks import wall_and_monotonic_us
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
        try:
            process = subprocess.run(self._command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"IPMI: {error}") from None
        if process.returncode:
            output_lines = (process.stderr.strip() or process.stdout.strip()).splitlines()
            raise Unavailable(f"IPMI: {self._command[0]}: {output_lines[0] if output_lines else f'exit {process.returncode}'}")
        return [Sample(self._channel, at_us, mono_us, None, parse_dcmi_w(process.stdout) * 1_000_000)]

    def close(self) -> None:
        """Stop reading."""
        self._reader.stop()


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
