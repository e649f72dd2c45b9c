"""Redfish collector: whole-server power from the service processor.

Requirements: the extra ``bmc`` (httpx, BSD-3-Clause); ``[agent] redfish_url``, ``redfish_user`` and a file with the
password that only the agent can read; a certificate that can be verified (``redfish_ca_file``).

Metrics
-------
power   EnvironmentMetrics.PowerWatts.Reading, else Power.PowerControl[0].PowerConsumedWatts [W], every ``[agent] bmc_s``;
        device wall:<chassis>, source redfish

Several chassis that report a power may overlap (a tray within a server): they are read together only if
``redfish_chassis`` names them. Zero and null mean "not supported" and give no sample.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from collectors.background_reader import BackgroundReader
from collectors.base import Collector, Unavailable
from collectors.clocks import wall_and_monotonic_us
from collectors.config import AgentConfig
from footprint.core.samples import Channel, Sample

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 20
MAX_W = 200_000


class RedfishCollector(Collector):
    """Power of the chassis of the server."""

    name = "redfish"
    covers = "wall"

    def __init__(self, config: AgentConfig) -> None:
        if not config.redfish_url:
            raise Unavailable('Redfish: not configured ([agent] redfish_url = "https://bmc…")')
        self._client = _open_client(config)
        self._period_us = round(config.bmc_s * 1e6)
        self._chassis = list(config.redfish_chassis) or self._only_chassis()
        self._first_samples = self._read(*wall_and_monotonic_us())
        self._reader = BackgroundReader(self._read, config.bmc_s)

    def _only_chassis(self) -> list[str]:
        members = self._get("/redfish/v1/Chassis").get("Members") or []
        names = [str(member.get("@odata.id", "")).rstrip("/").rpartition("/")[2] for member in members]
        powered = [name for name in names if self._power_w(name) is not None]
        if len(powered) == 1:
            return powered
        if not powered:
            raise Unavailable("Redfish: no chassis reports a power")
        raise Unavailable(f"Redfish: several chassis report a power; name those of this server in redfish_chassis: {powered}")

    def _get(self, path: str) -> dict[str, Any]:
        import httpx  # noqa: PLC0415 - optional

        try:
            response = self._client.get(path)
            response.raise_for_status()
            document = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"Redfish: {path}: {error}") from None
        return document if isinstance(document, dict) else {}

    def _power_w(self, chassis: str) -> float | None:
        for path in (f"/redfish/v1/Chassis/{chassis}/EnvironmentMetrics", f"/redfish/v1/Chassis/{chassis}/Power"):
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

    def close(self) -> None:
        """Stop reading."""
        self._reader.stop()
        self._client.close()


def parse_power(document: dict[str, Any]) -> float | None:
    """Current power [W] from an EnvironmentMetrics or a Power resource (DMTF DSP0268); None if it has none."""
    reading: Any = (document.get("PowerWatts") or {}).get("Reading")
    controls = document.get("PowerControl") or []
    if reading is None and controls:
        reading = controls[0].get("PowerConsumedWatts")
    if isinstance(reading, bool) or not isinstance(reading, int | float) or not 0 < reading <= MAX_W:
        return None
    return float(reading)


def _open_client(config: AgentConfig) -> httpx.Client:
    try:
        import httpx  # noqa: PLC0415 - optional
    except ModuleNotFoundError:
        raise Unavailable("Redfish: pip install 'footprint[bmc]' reads the service processor") from None
    password = ""
    if config.redfish_password_file is not None:
        try:
            password = config.redfish_password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Unavailable(f"Redfish: {error}") from None
    auth = (config.redfish_user, password) if config.redfish_user else None
    tls = ssl.create_default_context(cafile=config.redfish_ca_file)
    return httpx.Client(base_url=config.redfish_url, auth=auth, timeout=TIMEOUT_S, verify=tls)
