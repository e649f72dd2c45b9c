"""Redfish collector: whole-server power from the service processor.

Requirements: ``[agent] redfish_url``, ``redfish_user`` and a file with the password that only the agent can read; a
certificate that can be verified (``redfish_ca_file``). Redirects are followed on the same host only, and answers are bounded.
A processor that takes no password with each request is asked for a session, which is closed at the end.

Metrics
-------
power   [W], every ``[agent] bmc_s``; device wall:<chassis>, source redfish. The first of these that has one: the chassis's
        EnvironmentMetrics, the control of its Power resource that is the whole, the sum of all its supplies (Power, or
        PowerSubsystem), its sensor of total power, a vendor's block

Of several power controls the parts (processors, memory, …) are left out; if more than one whole remains, only the sum of the
supplies can tell which it is, else the collector asks for ``redfish_control``. A chassis within another one that reports a
power is a part of it. Several others may overlap (a tray within a server): they are read together only if ``redfish_chassis``
names them. Zero and null mean "not supported"
and give no sample.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from collectors.background_reader import BackgroundReader
from collectors.base import Collector, PermissionRequired, Unavailable
from collectors.clocks import wall_and_monotonic_us
from collectors.config import AgentConfig
from collectors.http_client import HttpClient, HttpError, Response, describe_error
from footprint.core.limits import MAX_POWER_W, name_fault, printable
from footprint.core.samples import Channel, Sample
from footprint.core.secret_files import exposure

TIMEOUT_S = 20
MAX_BYTES = 1_000_000  # of one document; a chassis has some kilobytes
MAX_CHASSIS = 64
MAX_PARTS = 32  # supplies or sensors of a chassis
MAX_REDIRECTS = 3
MAX_W = MAX_POWER_W["host"]
_OK, _CREATED = 200, 201
_ROOT = "/redfish/v1"
_PART = re.compile(
    r"cpu|processor|memory|dimm|dram|gpu|accelerator|fan|cooling|storage|drive|disk|pcie|sub-?system|other|board\b", re.IGNORECASE
)
_WHOLE_SENSOR = re.compile(
    r"total.?power|power.?total|(?:system|server|node|chassis).?(?:input.?)?power|(?:input|consumed).?power|pwr.?consumption",
    re.IGNORECASE,
)
_PART_SENSOR = re.compile(_PART.pattern.replace(r"|board\b", "") + r"|ps\d|psu|supply", re.IGNORECASE)
# Blocks of vendors that have the power of the chassis where their standard resource has none.
_VENDOR_PATHS = (("Oem", "ts_fujitsu", "ChassisPowerConsumption", "CurrentPowerConsumptionW"),)
_CAUSES = {
    401: "refuses user and password (401)",
    403: "does not let the user read it (403): give the user a role that may read the sensors (ReadOnly)",
    404: "does not have it (404)",
    503: "is busy (503)",
}


class _Absent(Unavailable):
    """A resource that the service processor does not have."""


class RedfishCollector(Collector):
    """Power of the chassis of the server."""

    name = "redfish"
    covers = "wall"

    def __init__(self, config: AgentConfig) -> None:
        if not config.redfish_url:
            raise Unavailable('Redfish: not configured ([agent] redfish_url = "https://bmc…")')
        self._password_file, self._control = config.redfish_password_file, config.redfish_control
        self._service = _Service(config)
        self._links: dict[str, dict[str, Any]] = {}  # documents of the chassis
        self._absent: set[str] = set()
        self._period_us = round(config.bmc_s * 1e6)
        try:
            self._chassis = list(config.redfish_chassis) or self._only_chassis()
            self._first_samples = self._read(*wall_and_monotonic_us())
        except Unavailable:
            self._service.close()
            raise
        self._reader = BackgroundReader(self._read, config.bmc_s)

    def _only_chassis(self) -> list[str]:
        members = self._service.get(f"{_ROOT}/Chassis").get("Members")
        members = members if isinstance(members, list) else [members]
        names = list(filter(None, map(_name_of, members[:MAX_CHASSIS])))
        reasons: dict[str, str] = {}
        powered = []
        for name in names:
            try:
                self._power_w(name)
            except Unavailable as reason:
                reasons.setdefault(_cause(reason), name)
            else:
                powered.append(name)
        outer = [name for name in powered if self._container(name) not in powered]
        if len(outer) == 1:
            return outer
        if powered:
            raise Unavailable(f"Redfish: several chassis report a power; name those of this server in redfish_chassis: {powered}")
        if not names:
            raise Unavailable(f"Redfish: {_ROOT}/Chassis lists no chassis")
        causes = "; ".join(f"chassis {name}: {cause}" for cause, name in list(reasons.items())[:3])
        error = PermissionRequired if any("40" in cause and "(40" in cause for cause in reasons) else Unavailable
        raise error(f"Redfish: no power could be read: {causes}")

    def _container(self, chassis: str) -> str:
        """Chassis that contains another (a board with its GPUs within the server); empty if none does."""
        links = self._links.get(chassis, {}).get("Links")
        return _name_of(links.get("ContainedBy")) if isinstance(links, dict) else ""

    def _power_w(self, chassis: str) -> float:
        """Power of a chassis [W].

        Raises
        ------
        Unavailable
            If none of its resources has one; the reason names what each said.
        """
        folder = f"{_ROOT}/Chassis/{quote(chassis, safe='')}"
        if chassis not in self._links:
            try:
                self._links[chassis] = self._service.get(folder)
            except _Absent:
                self._links[chassis] = {}
        links, reasons = self._links[chassis], []
        for resource, read in (
            ("EnvironmentMetrics", self._environment_w),
            ("Power", self._controls_w),
            ("PowerSubsystem", self._supplies_w),
            ("Sensors", self._sensor_w),
        ):
            path = _link(links.get(resource)) or f"{folder}/{resource}"
            if path in self._absent:
                continue
            try:
                return read(self._service.get(path), path)
            except _Absent:
                self._absent.add(path)  # each processor has some of them; a slow one is not asked for the others again
            except Unavailable as reason:
                reasons.append(f"{resource}: {_cause(reason)}")
        self._absent.clear()
        raise Unavailable("Redfish: " + ("; ".join(reasons) or "it has none of the resources that give a power"))

    def _environment_w(self, document: dict[str, Any], _: str) -> float:
        power_w = parse_watts(document.get("PowerWatts"))
        if power_w is None:
            raise Unavailable("no PowerWatts")
        return power_w

    def _controls_w(self, document: dict[str, Any], _: str) -> float:
        return parse_power(document, self._control)

    def _supplies_w(self, document: dict[str, Any], path: str) -> float:
        supplies = self._members(_link(document.get("PowerSupplies")) or f"{path}/PowerSupplies")
        powers_w = []
        for supply in supplies:
            metrics = self._service.get(_link(supply.get("Metrics")) or f"{supply.get('@odata.id', '')}/Metrics")
            powers_w.append(parse_watts(metrics.get("InputPowerWatts")))
        return _sum_of_supplies(powers_w)

    def _sensor_w(self, document: dict[str, Any], _: str) -> float:
        links = document.get("Members")
        names = [path for link in (links if isinstance(links, list) else []) if (path := _link(link) or _text(link))]
        last_parts = ((name, name.rpartition("/")[2]) for name in names)
        total = [name for name, last in last_parts if _WHOLE_SENSOR.search(last) and not _PART_SENSOR.search(last)][:MAX_PARTS]
        powers_w: dict[str, float] = {}
        for name in total:
            sensor = self._service.get(name)
            power_w = parse_watts(sensor)
            if sensor.get("ReadingUnits") in (None, "W") and power_w is not None:
                powers_w[name.rpartition("/")[2]] = power_w
        if len(powers_w) != 1:
            raise Unavailable(
                f"several sensors could be the whole: {sorted(powers_w)}" if powers_w else "no sensor of total power"
            )
        return next(iter(powers_w.values()))

    def _members(self, path: str) -> list[dict[str, Any]]:
        members = self._service.get(path).get("Members")
        links = [link for member in (members if isinstance(members, list) else [])[:MAX_PARTS] if (link := _link(member))]
        return [{"@odata.id": link} | self._service.get(link) for link in links]

    def _read(self, at_us: int, mono_us: int) -> list[Sample]:
        samples = []
        for name in self._chassis:
            try:
                power_w = self._power_w(name)
            except Unavailable as reason:
                # The sum of the other chassis would be taken for the server.
                raise Unavailable(f"Redfish: chassis {name}: {_cause(reason)}") from None
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
        """Stop reading, and close the session."""
        self._reader.stop()
        self._service.close()


class _Service:
    """Documents of a service processor: with a password or a session, and with redirects on the same host."""

    def __init__(self, config: AgentConfig) -> None:
        self._client = _open_client(config)
        self._user, self._password = config.redfish_user, _password(config)
        self._headers = _basic(self._user, self._password) if self._user else {}
        self._moved: dict[str, str] = {}  # path -> where it was found
        self._session = ""  # path of the open session
        self._may_open_session = True  # a processor locks an account after some failures

    def get(self, path: str) -> dict[str, Any]:
        """Document of a path.

        Raises
        ------
        Unavailable
            With the cause, if there is none.
        """
        try:
            response = self._request(path)
            if response.status == 401 and self._user and self._may_open_session:
                self._open_session()
                response = self._request(path)
            if response.status != _OK:
                cause = _CAUSES.get(response.status, f"answers {response.describe_status()}")
                raise (_Absent if response.status == 404 else Unavailable)(f"Redfish: {path}: {cause}")
            document = json.loads(response.body)
        except RecursionError:
            raise Unavailable(f"Redfish: {path}: nested too deeply") from None
        except ValueError as error:
            raise Unavailable(f"Redfish: {path}: {error or 'no JSON'}") from None
        except HttpError as error:
            cause = describe_error(error, self._client.url.geturl()).replace("in ca_file", "in redfish_ca_file")
            raise Unavailable(f"Redfish: {path}: {cause}") from None
        if not isinstance(document, dict):
            raise Unavailable(f"Redfish: {path}: it is no JSON object")
        return document

    def _request(self, path: str) -> Response:
        target = self._moved.get(path, path)
        for _ in range(MAX_REDIRECTS):
            response = self._client.request("GET", self._client.url.path.rstrip("/") + target, headers=self._headers)
            moved = self._same_host(response.location) if 300 <= response.status < 400 else ""
            if not moved or moved == target:
                break
            target = self._moved[path] = moved
        return response

    def _same_host(self, location: str) -> str:
        """Path of a redirect that stays on this host; empty if it leads elsewhere."""
        try:
            parts = urlsplit(location)
            own = self._client.url
            if parts.netloc and (parts.scheme, parts.hostname, parts.port) != (own.scheme, own.hostname, own.port):
                return ""
        except ValueError:
            return ""
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return path if re.fullmatch(r"/[!-~]{0,1000}", path) and not path.startswith("//") else ""

    def _open_session(self) -> None:
        """Ask for a session, for processors that take no password with each request."""
        self._end_session()
        body = json.dumps({"UserName": self._user, "Password": self._password}).encode()
        path = f"{self._client.url.path.rstrip('/')}{_ROOT}/SessionService/Sessions"
        response = self._client.request("POST", path, body, {"Content-Type": "application/json"})
        token = next((text for name, text in response.headers.items() if name.lower() == "x-auth-token"), "")
        self._may_open_session = response.status in (_OK, _CREATED)
        if not self._may_open_session or not re.fullmatch(r"[!-~]{1,4096}", token):
            raise PermissionRequired(
                f"Redfish: user and password are refused (401), and a session too ({response.status}): are they right, and may "
                "the user open sessions?"
            )
        self._session = self._same_host(response.location)
        self._headers = {"X-Auth-Token": token}

    def _end_session(self) -> None:
        """Close the session: processors have few of them."""
        if self._session:
            session, self._session = self._session, ""
            self._client.request("DELETE", session, headers=self._headers)

    def close(self) -> None:
        """Close the session and the connection."""
        with contextlib.suppress(*HttpError):  # without it the session ends by itself after some minutes
            self._end_session()
        self._client.close()


def parse_watts(value: Any) -> float | None:
    """Power [W] of a number, a number as text, or an object with a Reading (DMTF DSP0268); None for zero and what is none."""
    reading = value.get("Reading") if isinstance(value, dict) else value
    if isinstance(reading, str) and re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?(?: ?W(?:atts?)?)?", reading.strip(), re.IGNORECASE):
        reading = float(reading.strip().rstrip("WwAaTtSs "))
    if isinstance(reading, bool) or not isinstance(reading, int | float) or not 0 < reading <= MAX_W:
        return None
    return float(reading)


def parse_power(document: dict[str, Any], control: str = "") -> float:
    """Power [W] of the whole from a Power resource (DMTF DSP0268); ``control`` names the entry that is the whole.

    Raises
    ------
    Unavailable
        If it has none, or several that could be the whole.
    """
    supplies = _dictionaries(document.get("PowerSupplies"))
    supplies_w = [parse_watts(supply.get("PowerInputWatts")) for supply in supplies]
    powers_w = [
        (str(entry.get("Name", "")), str(entry.get("MemberId", "")), str(entry.get("PhysicalContext", "")), power_w)
        for entry in _dictionaries(document.get("PowerControl"))
        if (power_w := parse_watts(entry.get("PowerConsumedWatts"))) is not None
    ]
    if control:
        named = [power_w for name, member, _, power_w in powers_w if control in (name, member)]
        if len(named) != 1:
            raise Unavailable(f"{len(named)} power controls are called {control} (redfish_control)")
        return named[0]
    wholes = [(name, power_w) for name, _, context, power_w in powers_w if not _PART.search(name) and not _PART.search(context)]
    if len(wholes) == 1:
        return wholes[0][1]
    if wholes:
        return _whole_by_supplies(wholes, supplies_w)
    if supplies and (not powers_w or all(supplies_w)):
        return _sum_of_supplies(supplies_w)
    if powers_w:
        raise Unavailable("only parts of the server: " + _listed([(name, power_w) for name, _, _, power_w in powers_w]))
    return _vendor_power(document)


def _whole_by_supplies(wholes: list[tuple[str, float]], supplies_w: list[float | None]) -> float:
    """The control, or the sum of all, that agrees with the sum of the supplies to within a tenth."""
    total_w = sum(power_w for power_w in supplies_w if power_w is not None)
    if supplies_w and None not in supplies_w:
        sums_w = {*(power_w for _, power_w in wholes), sum(power_w for _, power_w in wholes)}
        near = [power_w for power_w in sums_w if abs(power_w - total_w) <= 0.1 * total_w]
        if len(near) == 1:
            return near[0]
    raise Unavailable(
        f"several power controls could be the whole: {_listed(wholes)}; name it in [agent] redfish_control (Name or MemberId)"
    )


def _sum_of_supplies(powers_w: list[float | None]) -> float:
    known = [power_w for power_w in powers_w if power_w is not None]
    if not known or len(known) < len(powers_w):
        raise Unavailable(f"{len(known)} of {len(powers_w)} supplies show an input power" if powers_w else "no power")
    return sum(known)


def _vendor_power(document: dict[str, Any]) -> float:
    for path in _VENDOR_PATHS:
        value: Any = document
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if (power_w := parse_watts(value)) is not None:
            return power_w
    block = document.get("Oem")
    raise Unavailable(
        f"no PowerConsumedWatts; a block of the vendor ({', '.join(sorted(map(str, block))[:3])}) is not read"
        if isinstance(block, dict) and block
        else "no PowerConsumedWatts"
    )


def _listed(powers: list[tuple[str, float]]) -> str:
    return printable(", ".join(f"{name or '(no name)'} {power_w:g} W" for name, power_w in powers[:MAX_PARTS])[:500])


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    """Objects of a list; one object stands for a list of one, as some processors write it."""
    values = value if isinstance(value, list) else [value]
    return [entry for entry in values[:MAX_PARTS] if isinstance(entry, dict)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"/[!-~]{1,1000}", value) and not value.startswith("//") else ""


def _link(value: Any) -> str:
    """Path of a link to a resource of the same host; empty if it is none."""
    return _text(value.get("@odata.id")) if isinstance(value, dict) else ""


def _name_of(member: Any) -> str:
    """Name of a chassis from its link; empty if it has none that can be one."""
    link = member.get("@odata.id") if isinstance(member, dict) else member
    name = link.rstrip("/").rpartition("/")[2] if isinstance(link, str) else ""
    return "" if name_fault(name) else name


def _cause(reason: Unavailable) -> str:
    return str(reason).removeprefix("Redfish: ")


def _open_client(config: AgentConfig) -> HttpClient:
    try:
        return HttpClient(
            config.redfish_url, config.redfish_ca_file, max_bytes=MAX_BYTES, wait_s=TIMEOUT_S, deadline_s=2 * TIMEOUT_S
        )
    except (OSError, ValueError) as error:
        raise Unavailable(f"Redfish: {error}") from None


def _password(config: AgentConfig) -> str:
    if config.redfish_password_file is None:
        return ""
    try:
        return config.redfish_password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"Redfish: {error}") from None


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
