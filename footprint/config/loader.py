"""Configuration loader: a TOML document to validated facts."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from footprint.config.access import KEYS as ACCESS_KEYS
from footprint.config.access import read_access
from footprint.config.disclosure import KEYS as DISCLOSURE_KEYS
from footprint.config.disclosure import read_disclosure
from footprint.config.editions import KEYS as EDITION_KEYS
from footprint.config.editions import EditionRules, read_editions
from footprint.config.evaluations import ACTION_KEYS, EVALUATION_KEYS, read_actions, read_evaluations
from footprint.config.models import (
    ALWAYS,
    ASSUMED_SITE,
    FOREVER_US,
    OWN_SERVICE,
    OWN_SERVICE_RESERVED,
    Annotation,
    Config,
    GatewayFact,
    HostFact,
    Placement,
    ServiceFact,
    SiteFact,
    UseCaseFact,
)
from footprint.config.notify import KEYS as NOTIFY_KEYS
from footprint.config.notify import read_notify
from footprint.config.objectives import KEYS as OBJECTIVE_KEYS
from footprint.config.objectives import read_objectives
from footprint.config.toml_document import ConfigError, Document, parse_document, read_document, resolve_path
from footprint.core.assumptions import assumption
from footprint.core.estimate import Estimate
from footprint.core.limits import name_fault, printable
from footprint.core.timestamps import BadTimestamp, from_datetime, parse_instant
from footprint.core.units import S_PER_HOUR
from footprint.core.zones import is_zone

CHARTER_STATUSES = ("recommended", "authorised", "under-study", "proscribed")
MIN_KEEP_DAYS = 3  # the current day may be incomplete, and attribution reads the days around it
PUE_CATEGORIES = (1, 2, 3)
IDLE_POLICIES = ("by-use", "by-reservation", "equal")
_DATES = {"since", "until"}
LIVE_SOURCES = {"eco2mix", "electricity-maps", "neso", "watttime-marginal"}  # a test compares them with footprint.ledger.sources
# What people write at length; rules and paths of a log are not names either. Every other text of a block is one.
_PROSE = {"text", "fr", "en", "source", "pue_evidence", "market_evidence", "decided"}
_LOG_RULES = {("gateway", "log"), ("gateway", "use_case")}
_EMBODIED = {"server_kgco2e", "accelerator_kgco2e", "lifetime_years", "in_service"}

# All valid keys. Any other is refused: a misspelt "pue" that silently became the default would
# make figures wrong.
SECTIONS: dict[str, set[str]] = {
    "organisation": {"name", "timezone", "zone", "demo"},
    "store": {"url", "sealed", "seal_after_days", "keep_days", "mirror", "signing_key"},
    "fleet": {"memory_mb", "scheduler", "workers"},
    "server": {"bind", "port", "log", "count_itself"},
    "agent": {
        "server",
        "token_file",
        "host",
        "sample_s",
        "interval_s",
        "spool",
        "spool_max_mb",
        "ca_file",
        "metrics_port",
        "processes",
        "discover",
        "nvml_power",
        "nvml_scope",
        "rapl_zone",
        "bmc_s",
        "redfish_url",
        "redfish_user",
        "redfish_password_file",
        "redfish_ca_file",
        "redfish_chassis",
        "redfish_control",
        "otlp_port",
        "otlp_tokens",
        "otlp_token_file",
        "otlp_devices",
        "scrape",
        "scrape_s",
        "scrape_ca_file",
        "scrape_max_mb",
        "scrape_exporters",
    },
    "attribution": {"idle_policy", "window_s"},
    "factors": {"electricity", "live"},
    "editions": EDITION_KEYS,
    "disclosure": DISCLOSURE_KEYS,
    "notify": NOTIFY_KEYS,
    "access": ACCESS_KEYS,
}
BLOCKS: dict[str, set[str]] = {
    "site": {"name", "zone", "pue", "pue_category", "pue_evidence", "wue_l_per_kwh", "market_factor_g_per_kwh", "market_evidence"}
    | _DATES,
    "host": {"name", "site", "uplift", "embodied"} | _DATES,
    "service": {"name", "model", "devices", "processes", "modelled_as", "replicas"} | _DATES,
    "placement": {"service", "devices", "share"} | _DATES,
    "use_case": {"name", "charter", "decided", "owner"} | _DATES,
    "gateway": {"name", "as", "log", "service", "use_case"},
    "annotation": {"at", "until", "text", "fr", "en", "service", "use_case", "host", "model"},
    "evaluation": EVALUATION_KEYS,
    "action": ACTION_KEYS,
    "objective": OBJECTIVE_KEYS,
}


def find_config(filename: str | None = None) -> Path | None:
    """Find the configuration file: the given one or that of FOOTPRINT_CONFIG, else of this folder, the user or the machine.

    None if there is none.

    Raises
    ------
    ConfigError
        If the given file does not exist.
    """
    if filename := filename or os.environ.get("FOOTPRINT_CONFIG"):
        path = Path(filename)
        if not path.is_file():
            raise ConfigError(f"{path}: no such file; `footprint init` writes one")
        return path
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    for path in (Path("footprint.toml"), Path(home) / "footprint" / "footprint.toml", Path("/etc/footprint/footprint.toml")):
        if os.path.isfile(path):  # False also without permission to look
            return path
    return None


def load_config(filename: str | None = None) -> Config:
    """Load the configuration from its file and the environment.

    Raises
    ------
    ConfigError
        If it is invalid.
    """
    path = find_config(filename)
    return _config(read_document(path), path)


def parse_config(text: str, name: str = "footprint.toml", environ: Mapping[str, str] | None = None) -> Config:
    """Parse the text of a configuration, for tests and notebooks.

    Raises
    ------
    ConfigError
        If it is invalid.
    """
    return _config(parse_document(text, name, environ), None)


def _config(document: Document, path: Path | None) -> Config:
    _check_all_keys(document)
    organisation = document.data.get("organisation", {})
    timezone = _timezone(document, organisation.get("timezone", "Europe/Paris"))
    zone = _zone(document, organisation.get("zone", "FR"), "organisation")
    reader = _ConfigReader(document, timezone, zone)
    services = reader.services()
    config = Config(
        organisation=document.read_text("organisation", "name", ""),
        timezone=timezone,
        zone=zone,
        demo=bool(organisation.get("demo", False)),
        store_url=_store_url(document.read_text("store", "url", "sqlite:///footprint.db"), path),
        sealed=resolve_path(document.read_text("store", "sealed", ""), path),
        seal_after_days=document.read_integer("store", "seal_after_days", 2, 0),
        keep_days=document.read_integer("store", "keep_days", 62, MIN_KEEP_DAYS),
        mirror=resolve_path(document.read_text("store", "mirror", ""), path),
        signing_key=resolve_path(document.read_text("store", "signing_key", ""), path),
        fleet_scheduler=document.read_text("fleet", "scheduler", ""),
        fleet_workers=document.read_integer("fleet", "workers", 1, 1),
        fleet_memory_mb=document.read_integer("fleet", "memory_mb", 256, 1),
        bind=document.read_text("server", "bind", "127.0.0.1"),
        port=document.read_integer("server", "port", 8050, 0, 65535),
        log_form=document.read_choice("server", "log", ("text", "json"), "text"),
        count_itself=_count_itself(document),
        idle_policy=document.read_choice("attribution", "idle_policy", IDLE_POLICIES, "by-use"),
        window_s=_window(document),
        electricity=document.read_text("factors", "electricity", "carbon_intensity"),
        live=_live(document),
        sites=reader.sites(),
        hosts=reader.hosts(),
        services=services,
        placements=reader.placements(),
        use_cases=reader.use_cases(),
        gateways=reader.gateways(),
        annotations=reader.annotations(),
        editions=_editions(document, path),
        disclosure=read_disclosure(document),
        objectives=read_objectives(reader),
        evaluations=read_evaluations(reader),
        actions=read_actions(reader),
        notify=read_notify(document, path),
        access=read_access(document, path),
        agent=document.data.get("agent", {}),
        path=path,
    )
    _check_mirror(document, config)
    for index, host in enumerate(document.data.get("host", [])):
        if host.get("site") and not any(site.name == host["site"] for site in config.sites):
            raise document.error(
                f"host {host.get('name')!r} stands at site {host['site']!r}, which no [[site]] declares; add one",
                "host",
                index,
                "site",
            )
    return config


def _check_mirror(document: Document, config: Config) -> None:
    """Refuse a mirror in a folder with other contents: it holds unprotected cells, and editions are published."""
    if not config.mirror:
        return
    mirror = _folder_text(config.mirror)
    for other, url in (("editions", config.editions_url()), ("sealed days", config.sealed_url())):
        folder = _folder_text(url)
        if mirror.startswith(folder) or folder.startswith(mirror):
            raise document.error(
                f"mirror = {config.mirror!r} shares a folder with the {other} ({url}); the mirror holds unprotected cells, so "
                "give it a folder of its own",
                "store",
                0,
                "mirror",
            )


def _folder_text(url: str) -> str:
    """A folder or URL in a form in which a folder is a prefix of what it contains."""
    return (url if "://" in url else str(Path(url).resolve())).rstrip("/") + "/"


def _count_itself(document: Document) -> bool:
    value = document.data.get("server", {}).get("count_itself", True)
    if not isinstance(value, bool):
        raise document.error(f"count_itself is {value!r}; it must be true or false", "server", 0, "count_itself")
    return value


def _editions(document: Document, path: Path | None) -> EditionRules:
    rules = read_editions(document)
    return replace(rules, folder=resolve_path(rules.folder, path), decisions=resolve_path(rules.decisions, path))


def _live(document: Document) -> tuple[str, ...]:
    sources = document.data.get("factors", {}).get("live", [])
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise document.error('live must be a list of sources, such as ["eco2mix"]', "factors", 0, "live")
    names = sorted(LIVE_SOURCES)
    if set(sources) - LIVE_SOURCES:
        raise document.error(f"live names a source that is not known; there are {', '.join(names)}", "factors", 0, "live")
    return tuple(sources)


def _check_all_keys(document: Document) -> None:
    for table, content in document.data.items():
        if table in SECTIONS:
            if not isinstance(content, dict):
                raise document.error(f"[{table}] must be a table", table)
            _check_keys(document, table, 0, content, SECTIONS[table])
            if table == "organisation":
                _check_names(document, table, 0, content)
        elif table in BLOCKS:
            if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
                raise document.error(f"write [[{table}]] with double brackets: there may be several", table)
            for index, block in enumerate(content):
                _check_keys(document, table, index, block, BLOCKS[table])
                _check_names(document, table, index, block)
        else:
            valid = ", ".join([*SECTIONS, *BLOCKS])
            raise document.error(f"unknown section {table!r}; known are {valid}", table)


def _check_keys(document: Document, table: str, index: int, content: dict[str, Any], valid: set[str]) -> None:
    for key in content:
        if key not in valid:
            names = ", ".join(sorted(valid))
            raise document.error(f"unknown key {key!r} in {table}; known are {names}", table, index, key)


def _check_names(document: Document, table: str, index: int, content: dict[str, Any]) -> None:
    """Refuse names that a page, a terminal or a database does not show as they are."""
    for key, value in content.items():
        if key in _PROSE or (table, key) in _LOG_RULES:
            continue
        for text in _texts_in(value):
            if fault := name_fault(text):
                raise document.error(f"{key} {printable(text[:80])!r} {fault}; write another name", table, index, key)


def _texts_in(value: Any) -> Iterable[str]:
    """Texts of a value, of a list or of a table, the keys of the latter included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for key, item in value.items() for text in (key, *_texts_in(item)))
    elif isinstance(value, list):
        yield from (text for item in value for text in _texts_in(item))


def _window(document: Document) -> int:
    value = document.data.get("attribution", {}).get("window_s", 300)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1 or S_PER_HOUR % value:
        raise document.error(
            "window_s must be a whole number of seconds that divides an hour, such as 60, 300 or 900",
            "attribution",
            0,
            "window_s",
        )
    return value


def _timezone(document: Document, name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        raise document.error(
            f"unknown time zone {name!r}; write an IANA name such as Europe/Paris", "organisation", 0, "timezone"
        ) from None


def _zone(document: Document, zone: Any, table: str, index: int = 0) -> str:
    if not isinstance(zone, str) or not is_zone(zone):
        raise document.error(
            f"unknown electricity zone {zone!r}; write an ISO 3166-1 code such as FR, "
            "or a zone of the factor book (`footprint factors list`)",
            table,
            index,
            "zone",
        )
    return zone


def _store_url(url: str, path: Path | None) -> str:
    """Store URL, with a relative SQLite path resolved against the folder of the configuration."""
    prefix = "sqlite:///"
    if not url.startswith(prefix) or url.startswith(prefix + "/") or path is None:
        return url
    return f"{prefix}{path.resolve().parent / url.removeprefix(prefix)}"


class _ConfigReader:
    """Reader of the repeated blocks, with the defaults that they share."""

    def __init__(self, document: Document, timezone: ZoneInfo, zone: str) -> None:
        self.document = document
        self.timezone = timezone
        self.zone = zone

    def blocks(self, table: str) -> Iterable[tuple[int, dict[str, Any]]]:
        """Blocks of a table with their index."""
        return enumerate(self.document.data.get(table, []))

    def name_of(self, table: str, index: int, block: dict[str, Any], key: str = "name") -> str:
        """Name of a block, which must not start with a bracket."""
        name = block.get(key)
        if not isinstance(name, str) or not name:
            raise self.document.error(f'{table} without {key}; add {key} = "…"', table, index, key)
        if name.startswith("("):
            raise self.document.error(
                f"{key} {name!r} begins with a bracket, which is kept for (idle) and (unattributed); rename it", table, index, key
            )
        return name

    def service_name(self, table: str, index: int, block: dict[str, Any], key: str = "name") -> str:
        """Name of a service in a block, which must not be that of this server itself."""
        name = self.name_of(table, index, block, key)
        if name == OWN_SERVICE:
            raise self.document.error(OWN_SERVICE_RESERVED, table, index, key)
        return name

    def _dates(self, table: str, index: int, block: dict[str, Any]) -> tuple[int, int]:
        since = self._date(table, index, block, "since", ALWAYS)
        until = self._date(table, index, block, "until", FOREVER_US)
        if since >= until:
            raise self.document.error(f"{table} ends (until) before it begins (since)", table, index, "until")
        return since, until

    def _date(self, table: str, index: int, block: dict[str, Any], key: str, default: int) -> int:
        value = block.get(key)
        if value is None:
            return default
        if isinstance(value, str):
            try:
                if len(value) == len("2026-01-01"):
                    value = datetime.date.fromisoformat(value)
                else:
                    return parse_instant(value)
            except (ValueError, BadTimestamp) as bad:
                raise self.document.error(f"{key}: {bad}", table, index, key) from None
        if isinstance(value, datetime.datetime):
            return from_datetime(value if value.tzinfo else value.replace(tzinfo=self.timezone))
        if isinstance(value, datetime.date):
            midnight = datetime.datetime(value.year, value.month, value.day, tzinfo=self.timezone)
            return from_datetime(midnight)
        raise self.document.error(f'{key} must be a date such as "2026-07-01"', table, index, key)

    def _number(self, table: str, index: int, block: dict[str, Any], key: str) -> float | None:
        value = block.get(key)
        if value is None:
            return None
        if not _is_number(value) or value < 0:
            raise self.document.error(f"{key} must be a number of at least 0", table, index, key)
        return float(value)

    def _estimate(
        self, table: str, index: int, block: dict[str, Any], key: str, spread: str | None, floor: float
    ) -> Estimate | None:
        """Read an estimate: [low, value, high], or a number with the assumed spread of its kind."""
        value = block.get(key)
        if value is None:
            return None
        error = self.document.error(
            f"{key} must be a number of at least {floor:g}, or [low, value, high] in that order", table, index, key
        )
        if isinstance(value, list):
            if len(value) != 3 or not all(_is_number(v) for v in value):
                raise error
            low, middle, high = map(float, value)
            if not floor <= low <= middle <= high:
                raise error
            return Estimate(middle, low, high)
        if not _is_number(value) or value < floor:
            raise error
        if spread is None:
            return Estimate.exactly(float(value))
        spread_estimate = assumption(spread).scaled(float(value))
        return Estimate(spread_estimate.value, max(spread_estimate.low, floor), spread_estimate.high)

    def _category(self, index: int, block: dict[str, Any]) -> int | None:
        category = block.get("pue_category")
        if category is not None and category not in PUE_CATEGORIES:
            raise self.document.error(
                "pue_category must be 1, 2 or 3, the category of ISO/IEC 30134-2: IT energy metered at the UPS, the PDU, or the "
                "equipment itself",
                "site",
                index,
                "pue_category",
            )
        if category is not None and "pue" not in block:
            raise self.document.error("pue_category says how a pue was metered; add pue = …", "site", index, "pue_category")
        return category

    def sites(self) -> tuple[SiteFact, ...]:
        """Read the [[site]] blocks."""
        facts = []
        for index, block in self.blocks("site"):
            name = self.name_of("site", index, block)
            pue = self._estimate("site", index, block, "pue", "pue_declared", 1.0)
            market = self._number("site", index, block, "market_factor_g_per_kwh")
            if market is not None and not block.get("market_evidence"):
                raise self.document.error(
                    'market_factor_g_per_kwh counts only with its evidence; add market_evidence = "…"',
                    "site",
                    index,
                    "market_factor_g_per_kwh",
                )
            since, until = self._dates("site", index, block)
            fact = SiteFact(
                name=name,
                zone=_zone(self.document, block.get("zone", self.zone), "site", index),
                pue=pue or assumption("pue_assumed"),
                pue_assumed=pue is None,
                pue_category=self._category(index, block),
                pue_evidence=str(block.get("pue_evidence", "")),
                wue_l_per_kwh=self._estimate("site", index, block, "wue_l_per_kwh", None, 0.0),
                market_factor_g_per_kwh=market,
                market_evidence=str(block.get("market_evidence", "")),
                since_us=since,
                until_us=until,
            )
            facts.append((index, fact))
        return self._end_at_successor("site", facts)

    def hosts(self) -> tuple[HostFact, ...]:
        """Read the [[host]] blocks."""
        facts = []
        for index, block in self.blocks("host"):
            uplift = self._estimate("host", index, block, "uplift", "uplift_declared", 1.0)
            since, until = self._dates("host", index, block)
            fact = HostFact(
                name=self.name_of("host", index, block),
                site=str(block.get("site", ASSUMED_SITE)),
                uplift=uplift or assumption("uplift_assumed"),
                uplift_assumed=uplift is None,
                **self._embodied(index, block),
                since_us=since,
                until_us=until,
            )
            facts.append((index, fact))
        return self._end_at_successor("host", facts)

    def _embodied(self, index: int, block: dict[str, Any]) -> dict[str, Any]:
        embodied = block.get("embodied", {})
        if not isinstance(embodied, dict) or set(embodied) - _EMBODIED:
            raise self.document.error(
                "embodied must be { server_kgco2e = …, accelerator_kgco2e = …, lifetime_years = …, in_service = … }",
                "host",
                index,
                "embodied",
            )
        years = self._number("host", index, embodied, "lifetime_years")
        if years == 0:
            raise self.document.error("lifetime_years must be above 0", "host", index, "embodied")
        return {
            "server_embodied_kgco2e": self._number("host", index, embodied, "server_kgco2e"),
            "accelerator_embodied_kgco2e": self._number("host", index, embodied, "accelerator_kgco2e"),
            "lifetime_years": years,
            "in_service_us": self._date("host", index, embodied, "in_service", ALWAYS) if "in_service" in embodied else None,
        }

    def services(self) -> tuple[ServiceFact, ...]:
        """Read the [[service]] blocks, and add this server itself."""
        facts = []
        for index, block in self.blocks("service"):
            since, until = self._dates("service", index, block)
            fact = ServiceFact(
                name=self.service_name("service", index, block),
                model=str(block.get("model", "")),
                processes=tuple(self._texts("service", index, block, "processes")),
                modelled_as=str(block.get("modelled_as", "")),
                since_us=since,
                until_us=until,
                replicas=self._replicas(index, block),
            )
            facts.append((index, fact))
        own = ServiceFact(OWN_SERVICE, processes=(OWN_SERVICE, f"{OWN_SERVICE}-agent"))
        return (*self._end_at_successor("service", facts), own)

    def _replicas(self, index: int, block: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        """Names under which the log of a service knows its hosts: ``replicas = { NAME = "host" }``."""
        replicas = block.get("replicas", {})
        if not isinstance(replicas, dict) or not all(isinstance(host, str) and host for host in replicas.values()):
            raise self.document.error('replicas must be { NAME = "host", … }', "service", index, "replicas")
        placed = {
            device.partition("/")[0]
            for table, key in (("service", "name"), ("placement", "service"))
            for _, other in self.blocks(table)
            if other.get(key) == block.get("name")
            for device in other.get("devices", ())
            if isinstance(device, str)
        }
        for name, host in replicas.items():
            if placed and host not in placed:
                raise self.document.error(
                    f"replicas: {name} is {host}, on which the service has no device; its hosts are {', '.join(sorted(placed))}",
                    "service",
                    index,
                    "replicas",
                )
        return tuple(sorted(replicas.items()))

    def gateways(self) -> tuple[GatewayFact, ...]:
        """Read the [[gateway]] blocks, without ``log``, which only the agent on the gateway's host reads."""
        gateways = []
        for index, block in self.blocks("gateway"):
            if not isinstance(block.get("as"), str):
                raise self.document.error("as is missing: the field map that reads the log", "gateway", index)
            gateways.append(
                GatewayFact(
                    self.name_of("gateway", index, block),
                    block["as"],
                    self.service_name("gateway", index, block, "service") if block.get("service") else "",
                    tuple(self._texts("gateway", index, block, "use_case")),
                )
            )
        return tuple(gateways)

    def annotations(self) -> tuple[Annotation, ...]:
        """Read the [[annotation]] blocks, sorted by time."""
        annotations = []
        for index, block in self.blocks("annotation"):
            texts = {key: block[key] for key in ("text", "fr", "en") if key in block}
            if not texts or "at" not in block or not all(isinstance(text, str) and text for text in texts.values()):
                raise self.document.error(
                    'an annotation needs at = "2026-07-01" and text = "…", or fr = "…" and en = "…"', "annotation", index
                )
            at_us = self._date("annotation", index, block, "at", 0)
            until_us = self._date("annotation", index, block, "until", at_us + 1)
            if until_us <= at_us:
                raise self.document.error("an annotation ends (until) before it begins (at)", "annotation", index, "until")
            scope = {key: str(block.get(key, "")) for key in ("service", "use_case", "host", "model")}
            french = texts.get("fr", texts.get("text", texts.get("en", "")))
            annotations.append(
                Annotation(at_us, french, until_us=until_us, english=texts.get("en", texts.get("text", "")), **scope)
            )
        return tuple(sorted(annotations, key=lambda annotation: (annotation.at_us, annotation.text)))

    def use_cases(self) -> tuple[UseCaseFact, ...]:
        """Read the [[use_case]] blocks."""
        facts = []
        for index, block in self.blocks("use_case"):
            charter = block.get("charter", "under-study")
            if charter not in CHARTER_STATUSES:
                raise self.document.error(
                    f"charter is {charter!r}; it must be one of {', '.join(CHARTER_STATUSES)}", "use_case", index, "charter"
                )
            since, until = self._dates("use_case", index, block)
            fact = UseCaseFact(
                name=self.name_of("use_case", index, block),
                charter=charter,
                decided=str(block.get("decided", "")),
                owner=str(block.get("owner", "")),
                since_us=since,
                until_us=until,
            )
            facts.append((index, fact))
        return self._end_at_successor("use_case", facts)

    def _end_at_successor(self, table: str, facts: list[tuple[int, Any]]) -> tuple[Any, ...]:
        """End each fact where the next of its name starts; refuse two that are valid at one time."""
        ordered = sorted(facts, key=lambda item: (item[1].name, item[1].since_us, item[0]))
        result = []
        for (_, fact), following in zip_longest(ordered, ordered[1:]):
            limited = fact
            if following is not None and following[1].name == fact.name:
                index, later = following
                if later.since_us == fact.since_us:
                    raise self.document.error(
                        f'{table} {fact.name!r} is declared twice for one time; give one of them since = "…"',
                        table,
                        index,
                        "name",
                    )
                if fact.until_us != FOREVER_US and later.since_us < fact.until_us:
                    raise self.document.error(
                        f"{table} {fact.name!r} begins (since) before the block before it ends (until)", table, index, "since"
                    )
                limited = replace(fact, until_us=min(fact.until_us, later.since_us))
            result.append(limited)
        return tuple(result)

    def _texts(self, table: str, index: int, block: dict[str, Any], key: str) -> list[str]:
        value = block.get(key, [])
        if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
            raise self.document.error(f"{key} must be a list of texts", table, index, key)
        return value

    def placements(self) -> tuple[Placement, ...]:
        """Read devices of the [[service]] and [[placement]] blocks; refuse overlaps that exceed a whole device."""
        placements: list[tuple[str, int, Placement]] = []
        for table, name_key in (("service", "name"), ("placement", "service")):
            for index, block in self.blocks(table):
                service = self.service_name(table, index, block, name_key)
                since, until = self._dates(table, index, block)
                for device in self._texts(table, index, block, "devices"):
                    host, slash, local = device.partition("/")
                    if not (host and slash and local):
                        raise self.document.error(
                            f"device {device!r} must be written host/device, such as inf-01/gpu:0", table, index, "devices"
                        )
                    share = self._share(index, block) if table == "placement" else 1.0
                    placements.append((table, index, Placement(service, host, local, share, since, until)))
        self._refuse_overlaps(placements)
        return tuple(placement for _, _, placement in placements)

    def _share(self, index: int, block: dict[str, Any]) -> float:
        share = block.get("share", 1.0)
        if not _is_number(share) or not 0 < share <= 1:
            raise self.document.error("share must be above 0 and at most 1", "placement", index, "share")
        return float(share)

    def _refuse_overlaps(self, placements: list[tuple[str, int, Placement]]) -> None:
        for position, (table, index, placement) in enumerate(placements):
            overlapping = [
                other
                for _, _, other in placements[:position]
                if (other.host, other.device) == (placement.host, placement.device)
                and other.since_us < placement.until_us
                and placement.since_us < other.until_us
            ]
            total = placement.share + _peak_share(overlapping, placement)
            if total > 1 + 1e-9:
                names = ", ".join(sorted({placement.service, *(other.service for other in overlapping)}))
                raise self.document.error(
                    f"device {placement.host}/{placement.device} is placed {total:g} times over at one time "
                    f"({names}); give dates (since, until) or shares that sum to at most 1",
                    table,
                    index,
                    "devices",
                )


def _peak_share(others: list[Placement], placement: Placement) -> float:
    """Largest sum of shares of other placements at one instant within a placement."""
    instants = [max(other.since_us, placement.since_us) for other in others]
    return max((sum(o.share for o in others if o.since_us <= instant < o.until_us) for instant in instants), default=0.0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
