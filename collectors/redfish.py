"""Redfish collector: whole-server power from the service processor.

Requirements: ``[agent] redfish_url``, ``redfish_user`` and a file with the password that only the agent can read; a
certificate that can be verified (``redfish_ca_file``). Redirects are not followed, and answers are bounded.

Metrics
-------
power   EnvironmentMetrics.PowerWatts.Reading, else Power.PowerControl[0].PowerConsumedWatts [W], every ``[agent] bmc_s``;
        device wall:<chassis>, source redfish

Several chassis that report a power may overlap (a tray within a server): they are read together only if
``redfish_chassis`` names them. Zero and null mean "not supported" and give no sample.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from collectors.background_reader import BackgroundReader
from collectors.base import Collector, Unavailable
from collectors.clocks import wall_and_monotonic_us
from collectors.config import AgentConfig
from collectors.http_client import HttpClient, HttpError
from footprint.core.limits import name_fault
from footprint.core.samples import Channel, Sample
from footprint.core.secret_files import exposure

TIMEOUT_S = 20
MAX_BYTES = 1_000_000  # of one document; a chassis has some kilobytes
MAX_CHASSIS = 64
_OK = 200
MAX_W = 200_000


class RedfishCollector(Collector):
    """Power of the chassis of the server."""

    name = "redfish"
    covers = "wall"

    def __init__(self, config: AgentConfig) -> None:
        if not config.redfish_url:
            raise Unavailable('Redfish: not configured ([agent] redfish_url = "https://bmc…")')
        self._password_file = config.redfish_password_file
        self._client = _open_client(config)
        self._headers = _authorization(config)
        self._period_us = round(config.bmc_s * 1e6)
        self._chassis = list(config.redfish_chassis) or self._only_chassis()
        self._first_samples = self._read(*wall_and_monotonic_us())
        self._reader = BackgroundReader(self._read, config.bmc_s)

    def _only_chassis(self) -> list[str]:
        members = self._get("/redfish/v1/Chassis").get("Members")
        names = [_name_of(member) for member in (members if isinstance(members, list) else [])[:MAX_CHASSIS]]
        powered = [name for name in names if name and self._power_w(name) is not None]
        if len(powered) == 1:
            return powered
        if not powered:
            raise Unavailable("Redfish: no chassis reports a power")
        raise Unavailable(f"Redfish: several chassis report a power; name those of this server in redfish_chassis: {powered}")

    def _get(self, path: str) -> dict[str, Any]:
        base = self._client.url.path.rstrip("/")
        try:
            response = self._client.request("GET", base + path, headers=self._headers)
            if response.status != _OK:
                raise ValueError(f"answers {response.describe_status()}")
            document = json.loads(response.body)
        except RecursionError:
            raise Unavailable(f"Redfish: {path}: nested too deeply") from None
        except HttpError as error:
            raise Unavailable(f"Redfish: {path}: {error or type(error).__name__}") from None
        return document if isinstance(document, dict) else {}

    def _power_w(self, chassis: str) -> float | None:
        folder = f"/redfish/v1/Chassis/{quote(chassis, safe='')}"
        for path in (f"{folder}/EnvironmentMetrics", f"{folder}/Power"):
            try:
                power_w = parse_power(self._get(path))
            except Unavailable:
                continue  # older processors have the second only
            if power_w is not None:
                return power_w
        return None

    def _read(self, at_us: int, mono_us: int) -> list[Sample]:
        samples = []
        for name in self._chassis:
            power_w = self._power_w(name)
            if power_w is None:
                # The sum of the other chassis would be taken for the server.
                raise Unavailable(f"Redfish: chassis {name} reports no power")
            channel = Channel(f"wall:{name}", "host", "redfish", limit_uw=MAX_W * 1_000_000, period_us=self._period_us)
            samples.append(Sample(channel, at_us, mono_us, None, round(power_w * 1e6)))
        return samples

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """Samples since the last call."""
        first, self._first_samples = self._first_samples, []
        yield from first
        yield from self._reader.take()

    def remarks(self) -> Iterator[str]:
        """A password that others may read."""
        if self._password_file is not None and (reason := exposure(self._password_file)):
            yield f"{self._password_file}: the password of Redfish: {reason}"

    def close(self) -> None:
        """Stop reading."""
        self._reader.stop()
        self._client.close()


def parse_power(document: dict[str, Any]) -> float | None:
    """Current power [W] from an EnvironmentMetrics or a Power resource (DMTF DSP0268); None if it has none."""
    environment, controls = document.get("PowerWatts"), document.get("PowerControl")
    reading: Any = environment.get("Reading") if isinstance(environment, dict) else None
    if reading is None and isinstance(controls, list) and controls and isinstance(controls[0], dict):
        reading = controls[0].get("PowerConsumedWatts")
    if isinstance(reading, bool) or not isinstance(reading, int | float) or not 0 < reading <= MAX_W:
        return None
    return float(reading)


def _name_of(member: Any) -> str:
    """Name of a chassis from its link; empty if it has none that can be one."""
    link = member.get("@odata.id") if isinstance(member, dict) else None
    name = link.rstrip("/").rpartition("/")[2] if isinstance(link, str) else ""
    return "" if name_fault(name) else name


def _open_client(config: AgentConfig) -> HttpClient:
    try:
        return HttpClient(
            config.redfish_url, config.redfish_ca_file, max_bytes=MAX_BYTES, wait_s=TIMEOUT_S, deadline_s=2 * TIMEOUT_S
        )
    except (OSError, ValueError) as error:
        raise Unavailable(f"Redfish: {error}") from None


def _authorization(config: AgentConfig) -> dict[str, str]:
    if not config.redfish_user:
        return {}
    password = ""
    if config.redfish_password_file is not None:
        try:
            password = config.redfish_password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"Redfish: {error}") from None
    credentials = base64.b64encode(f"{config.redfish_user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}
