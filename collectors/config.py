"""Configuration of the agent from footprint.toml and the environment; standard library only."""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from footprint.core.limits import insecure_url_fault, name_fault, printable

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


MAX_SCRAPE_MB = 32


class BadConfig(Exception):
    """An invalid configuration; the message names the file or the variable, and the remedy."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Log of a gateway on this host: its path or pattern, its field map, and defaults for missing fields."""

    log: str
    field_map: str
    service: str = ""
    use_case: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """An exporter: its address, and how to trust it and be let in; secrets stand in files of their own."""

    url: str
    ca_file: Path | None = None
    token_file: Path | None = None  # Authorization: Bearer
    user: str = ""  # Authorization: Basic
    password_file: Path | None = None
    cert_file: Path | None = None  # of the client, for exporters that ask for one
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Options of the [agent] section, with their defaults; ``sysfs`` and ``proc`` are the roots of the kernel's trees."""

    server: str = "http://127.0.0.1:8050"
    token_file: Path = Path("agent.token")
    host: str = "localhost"
    sample_s: float = 1.0
    interval_s: float = 10.0
    spool: Path = Path("spool")
    spool_max_mb: float = 512
    ca_file: Path | None = None
    metrics_port: int = 0
    processes: tuple[str, ...] = ()
    discover: bool = True
    nvml_power: str = "average"
    nvml_scope: str = "auto"
    rapl_zone: str = "package"
    bmc_s: float = 10.0
    redfish_url: str = ""
    redfish_user: str = ""
    redfish_password_file: Path | None = None
    redfish_ca_file: Path | None = None
    redfish_chassis: tuple[str, ...] = ()
    redfish_control: str = ""
    otlp_port: int = 0
    scrape: tuple[str | ScrapeTarget, ...] = ()
    scrape_s: float = 10.0
    scrape_ca_file: Path | None = None
    scrape_max_mb: float = 1.0
    scrape_exporters: Path | None = None
    otlp_tokens: str = "spans"
    otlp_token_file: Path | None = None
    otlp_devices: tuple[str, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    sysfs: Path = Path("/sys")
    proc: Path = Path("/proc")

    @property
    def scrape_targets(self) -> tuple[ScrapeTarget, ...]:
        """Exporters to read; an address alone has the authority of ``scrape_ca_file``."""
        targets = (ScrapeTarget(target) if isinstance(target, str) else target for target in self.scrape)
        return tuple(replace(target, ca_file=target.ca_file or self.scrape_ca_file) for target in targets)

    @property
    def sample_us(self) -> int:
        """Sampling period of the sensors [µs]."""
        return round(self.sample_s * 1e6)


@dataclass(frozen=True, slots=True)
class Organisation:
    """Facts that a reader of logs needs: the time zone of months, and the service of each model that only one serves."""

    zone: ZoneInfo
    service_of_model: dict[str, str]


def load_organisation(config_file: str | None) -> Organisation:
    """Organisation of the same file as the [agent] section.

    Raises
    ------
    BadConfig
        If the file is invalid.
    """
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only a reader of logs needs it

    path = _find_file(config_file)
    document = _parse_file(path)
    try:
        zone = ZoneInfo(str(document.get("organisation", {}).get("timezone", "Europe/Paris")))
    except (KeyError, ValueError, OSError):
        raise BadConfig(f"{path}: [organisation] timezone is no zone of the tz database") from None
    serving: dict[str, set[str]] = {}
    for block in document.get("service", []):
        serving.setdefault(str(block.get("model", "")), set()).add(str(block.get("name", "")))
    return Organisation(zone, {model: next(iter(names)) for model, names in serving.items() if model and len(names) == 1})


_CHOICES = {
    "nvml_power": ("average", "instant"),
    "nvml_scope": ("auto", "gpu", "module"),
    "rapl_zone": ("package", "psys"),
    "otlp_tokens": ("spans", "metrics"),
}
_KEYS = {field.name: field for field in fields(AgentConfig) if field.name not in ("sysfs", "proc", "gateways")}


def load_config(config_file: str | None) -> AgentConfig:
    """Configuration from a file, by default that of FOOTPRINT_CONFIG, ./footprint.toml, the user's or the machine's.

    The environment overrides it.

    Raises
    ------
    BadConfig
        If the configuration is invalid.
    """
    path = _find_file(config_file)
    document = _parse_file(path)
    values = _agent_section(path, document) | _environment_values()
    unknown = set(values) - set(_KEYS)
    if unknown:
        raise BadConfig(f"{path or 'environment'}: unknown key in [agent]: {', '.join(sorted(unknown))}")
    base = path.resolve().parent if path else Path.cwd()
    try:
        config = AgentConfig(
            **{name: _parse_value(name, values.get(name, _KEYS[name].default), base) for name in _KEYS},
            gateways=tuple(_gateways(path, document, base)),
            sysfs=Path(os.environ.get("FOOTPRINT_SYSFS", "/sys")),
            proc=Path(os.environ.get("FOOTPRINT_PROC", "/proc")),
        )
    except (TypeError, ValueError) as error:
        raise BadConfig(f"{path or 'environment'}: [agent]: {error}") from None
    return _validate(config, path)


def _parse_value(name: str, value: Any, base: Path) -> Any:
    """Convert a value to the type of its key; paths are relative to the file's folder."""
    kind = str(_KEYS[name].type)
    if name == "host":
        return socket.gethostname() if value in ("", "localhost") else str(value)
    if kind.startswith("Path"):
        return base / str(value) if value else None
    if kind.startswith("tuple"):
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name} must be a list")
        if name == "scrape":
            return tuple(_scrape_target(entry, base) for entry in value)
        return tuple(map(str, value))
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false")
        return value
    return {"float": float, "int": int, "str": str}[kind](value)


def _scrape_target(entry: Any, base: Path) -> str | ScrapeTarget:
    """An entry of ``scrape``: an address, or a table of settings; paths are relative to the file's folder."""
    if not isinstance(entry, dict):
        return str(entry)
    known = {field.name: str(field.type) for field in fields(ScrapeTarget)}
    if unknown := sorted(set(entry) - set(known)):
        raise ValueError(f"scrape: unknown key {', '.join(unknown)}; known are {', '.join(known)}")
    if "url" not in entry:
        raise ValueError('scrape: a table without url = "https://…"')
    for key, other in (("user", "password_file"), ("password_file", "user"), ("key_file", "cert_file")):
        if entry.get(key) and not entry.get(other):
            raise ValueError(f"scrape {entry['url']}: {key} without {other}")
    if entry.get("user") and entry.get("token_file"):
        raise ValueError(f"scrape {entry['url']}: user and token_file exclude each other")
    values: dict[str, Any] = {
        key: base / str(value) if known[key].startswith("Path") else str(value) for key, value in entry.items() if value
    }
    return ScrapeTarget(**values)


def _validate(config: AgentConfig, path: Path | None) -> AgentConfig:
    problem = _address_problem(config)
    if not 0.1 <= config.sample_s <= 5:
        problem = "sample_s must be from 0.1 to 5 seconds"
    elif config.interval_s < config.sample_s:
        problem = "interval_s must be at least sample_s"
    elif config.spool_max_mb <= 0:
        problem = "spool_max_mb must be above 0"
    elif not 0 < config.scrape_max_mb <= MAX_SCRAPE_MB:
        problem = f"scrape_max_mb must be above 0, and at most {MAX_SCRAPE_MB}"
    elif config.bmc_s < 1 or config.scrape_s < 1:
        problem = "bmc_s and scrape_s must be at least 1"
    for name, choices in _CHOICES.items():
        if getattr(config, name) not in choices:
            problem = f"{name} is {getattr(config, name)!r}; it must be one of {', '.join(choices)}"
    for name, text in (("host", config.host), *(("otlp_devices", device) for device in config.otlp_devices)):
        if fault := name_fault(text):
            problem = f"{name} {printable(text)!r} {fault}; rename it"
    if problem:
        raise BadConfig(f"{path or 'environment'}: [agent]: {problem}")
    return config


def _address_problem(config: AgentConfig) -> str:
    """Why an address may not be asked: the token, the password and what is believed go over https, or stay on this machine."""
    addresses = [("server", config.server), *(("scrape", target.url) for target in config.scrape_targets)]
    if config.redfish_url:
        addresses.append(("redfish_url", config.redfish_url))
    for name, url in addresses:
        if not url.startswith(("http://", "https://")):
            return f"{name} {printable(url)!r} must begin with https:// or http://"
        fault = insecure_url_fault(url)
        if fault:
            return f"{name} {printable(url)}: {fault}"
        if "@" in urlsplit(url).netloc:
            return f"{name}: an address with a password in it; a secret stands in a file of its own"
    return ""


def _find_file(config_file: str | None) -> Path | None:
    if config_file := config_file or os.environ.get("FOOTPRINT_CONFIG"):
        if not Path(config_file).is_file():
            raise BadConfig(f"{config_file}: no such file")
        return Path(config_file)
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    default_paths = (Path("footprint.toml"), Path(home, "footprint", "footprint.toml"), Path("/etc/footprint/footprint.toml"))
    return next((path for path in default_paths if os.path.isfile(path)), None)  # also False without permission


def _parse_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfig(f"{path}: {error}") from None


def _gateways(path: Path | None, document: dict[str, Any], base: Path) -> Iterator[Gateway]:
    """Gateways of the [[gateway]] blocks that name a log of this host."""
    for block in document.get("gateway", []):
        if block.get("log"):
            if not isinstance(block.get("as"), str):
                raise BadConfig(f"{path}: [[gateway]] {block.get('name', '')}: as is missing, the field map that reads its log")
            rules = tuple(map(str, block.get("use_case", ())))
            yield Gateway(str(base / str(block["log"])), block["as"], str(block.get("service", "")), rules)


def _agent_section(path: Path | None, document: dict[str, Any]) -> dict[str, Any]:
    section = document.get("agent", {})
    if not isinstance(section, dict):
        raise BadConfig(f"{path}: [agent] must be a table")
    return section


def _environment_values() -> dict[str, Any]:
    prefix = "FOOTPRINT_AGENT__"
    values: dict[str, Any] = {}
    for name, text in os.environ.items():
        if name.startswith(prefix):
            try:
                values[name.removeprefix(prefix).lower()] = tomllib.loads(f"value = {text}")["value"]
            except tomllib.TOMLDecodeError:
                values[name.removeprefix(prefix).lower()] = text
    return values
