"""This file reads the [agent] section of footprint.toml and the environment; the standard library only."""

from __future__ import annotations

import os
import socket
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BadConfig(Exception):
    """A configuration that cannot be right, with its file or variable and the remedy."""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What the agent is told."""

    server: str
    token_file: Path
    host: str
    sample_s: float
    interval_s: float
    spool: Path
    spool_max_mb: int
    ca_file: Path | None
    metrics_port: int
    processes: tuple[str, ...]


_DEFAULTS: dict[str, Any] = {
    "server": "http://127.0.0.1:8050", "token_file": "agent.token", "host": "", "sample_s": 1, "interval_s": 10,
    "spool": "spool", "spool_max_mb": 512, "ca_file": "", "metrics_port": 0, "processes": [],
}  # fmt: skip


def load(given: str | None) -> AgentConfig:
    """From the file given, else ./footprint.toml, the user's or the machine's; the environment overrides.

    Raises
    ------
    BadConfig
        If it cannot be right.
    """
    path = _find(given)
    values = _DEFAULTS | _section(path) | _environment()
    unknown = set(values) - set(_DEFAULTS)
    if unknown:
        raise BadConfig(f"{path or 'environment'}: unknown key in [agent]: {', '.join(sorted(unknown))}")
    base = path.resolve().parent if path else Path.cwd()
    try:
        config = AgentConfig(
            server=str(values["server"]), token_file=base / str(values["token_file"]),
            host=str(values["host"] or socket.gethostname()), sample_s=float(values["sample_s"]),
            interval_s=float(values["interval_s"]), spool=base / str(values["spool"]),
            spool_max_mb=int(values["spool_max_mb"]), ca_file=base / values["ca_file"] if values["ca_file"] else None,
            metrics_port=int(values["metrics_port"]), processes=tuple(map(str, values["processes"])),
        )  # fmt: skip
    except (TypeError, ValueError) as bad:
        raise BadConfig(f"{path or 'environment'}: [agent]: {bad}") from None
    return _checked(config, path)


def _checked(config: AgentConfig, path: Path | None) -> AgentConfig:
    problem = ""
    if not config.server.startswith(("http://", "https://")):
        problem = f"server {config.server!r} must begin with https:// or http://"
    elif not 0.1 <= config.sample_s <= 5:
        problem = "sample_s must be from 0.1 to 5 seconds"
    elif config.interval_s < config.sample_s:
        problem = "interval_s must be at least sample_s"
    elif config.spool_max_mb < 1:
        problem = "spool_max_mb must be at least 1"
    if problem:
        raise BadConfig(f"{path or 'environment'}: [agent]: {problem}")
    return config


def _find(given: str | None) -> Path | None:
    if given:
        if not Path(given).is_file():
            raise BadConfig(f"{given}: no such file")
        return Path(given)
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    places = (Path("footprint.toml"), Path(home, "footprint", "footprint.toml"), Path("/etc/footprint/footprint.toml"))
    return next((path for path in places if path.is_file()), None)


def _section(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("agent", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as bad:
        raise BadConfig(f"{path}: {bad}") from None
    if not isinstance(found, dict):
        raise BadConfig(f"{path}: [agent] must be a table")
    return found


def _environment() -> dict[str, Any]:
    prefix = "FOOTPRINT_AGENT__"
    found: dict[str, Any] = {}
    for name, text in os.environ.items():
        if name.startswith(prefix):
            try:
                found[name.removeprefix(prefix).lower()] = tomllib.loads(f"value = {text}")["value"]
            except tomllib.TOMLDecodeError:
                found[name.removeprefix(prefix).lower()] = text
    return found
