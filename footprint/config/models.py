"""Declared facts: sites, hosts, services, placements and use cases, and the whole configuration.

Facts are frozen. Each is valid over a half-open range of time ``[since_us, until_us)``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from footprint.config.access import AccessRules
from footprint.config.certificates import CalibrationCertificate, certificate_at
from footprint.config.disclosure import DisclosureRules
from footprint.config.editions import EditionRules
from footprint.config.evaluations import Action, Evaluation
from footprint.config.notify import NotificationRules
from footprint.config.objectives import Objective
from footprint.core.assumptions import assumption
from footprint.core.estimate import Estimate
from footprint.core.log_formats import FieldMap, Options, load_map
from footprint.core.stored_forms import digest_text, stored_as

ALWAYS = -(2**62)
FOREVER_US = 2**62
ASSUMED_SITE = "(undeclared)"  # site of a host that declares none
OWN_SERVICE = "footprint"  # this server itself, which is measured too; it alone writes requests of that name
OWN_SERVICE_RESERVED = f"{OWN_SERVICE!r} is kept for the requests of this server itself; give the service another name"
UNDECLARED = "(undeclared)"  # charter status of a use case without a decision


@stored_as(
    "SiteFact",
    "name zone pue pue_assumed pue_category pue_evidence wue_l_per_kwh market_factor_g_per_kwh market_evidence since_us until_us",
)
@dataclass(frozen=True, slots=True)
class SiteFact:
    """A building: its grid zone, PUE and water use."""

    name: str
    zone: str
    pue: Estimate
    pue_assumed: bool = False
    pue_category: int | None = None  # ISO/IEC 30134-2: IT energy metered at 1 the UPS, 2 the PDU, 3 the equipment
    pue_evidence: str = ""
    wue_l_per_kwh: Estimate | None = None
    market_factor_g_per_kwh: float | None = None
    market_evidence: str = ""
    since_us: int = ALWAYS
    until_us: int = FOREVER_US


@stored_as(
    "HostFact",
    "name site uplift uplift_assumed server_embodied_kgco2e lifetime_years in_service_us accelerator_embodied_kgco2e "
    "since_us until_us -",
)
@dataclass(frozen=True, slots=True)
class HostFact:
    """An inference server: its site, embodied emissions, and uplift (wall power over the sum of its sensors).

    ``certificate`` is the calibration that the uplift comes from, where one is valid.
    """

    name: str
    site: str
    uplift: Estimate
    uplift_assumed: bool = False
    server_embodied_kgco2e: float | None = None
    lifetime_years: float | None = None
    in_service_us: int | None = None
    accelerator_embodied_kgco2e: float | None = None
    since_us: int = ALWAYS
    until_us: int = FOREVER_US
    certificate: CalibrationCertificate | None = None


@stored_as("ServiceFact", "name model processes modelled_as since_us until_us -")
@dataclass(frozen=True, slots=True)
class ServiceFact:
    """A deployed model endpoint; ``processes`` names the process groups that run it.

    ``modelled_as`` is the EcoLogits provider and model that estimate a service which is not measured. ``replicas`` are (name,
    host): what its log calls the host that served a request.
    """

    name: str
    model: str = ""
    processes: tuple[str, ...] = ()
    modelled_as: str = ""
    since_us: int = ALWAYS
    until_us: int = FOREVER_US
    replicas: tuple[tuple[str, str], ...] = ()


@stored_as("Placement", "service host device share since_us until_us")
@dataclass(frozen=True, slots=True)
class Placement:
    """A service on a device of a host over a range of time; ``share`` 1.0 is the whole device."""

    service: str
    host: str
    device: str
    share: float = 1.0
    since_us: int = ALWAYS
    until_us: int = FOREVER_US


@stored_as("UseCaseFact", "name charter decided owner since_us until_us")
@dataclass(frozen=True, slots=True)
class UseCaseFact:
    """The business purpose of requests, and its status under the charter."""

    name: str
    charter: str = UNDECLARED
    decided: str = ""
    owner: str = ""
    since_us: int = ALWAYS
    until_us: int = FOREVER_US


@dataclass(frozen=True, slots=True)
class GatewayFact:
    """Log of a gateway: its field map, and the service and use-case rules that override those of the map."""

    name: str
    form: str
    service: str = ""
    use_case: tuple[str, ...] = ()


@stored_as("Annotation", "at_us text service until_us english use_case host model")
@dataclass(frozen=True, slots=True)
class Annotation:
    """An event that explains figures, such as a model upgrade or an incident, of one service, use case, host or model, or of all.

    It lasts from ``at_us`` until ``until_us``; an instantaneous event ends one microsecond after it starts.
    """

    at_us: int
    text: str  # in any language; the French text if there is an English one too
    service: str = ""
    until_us: int = 0
    english: str = ""
    use_case: str = ""
    host: str = ""
    model: str = ""

    def text_in(self, language: str) -> str:
        """Text in a language, or in the other one if it was not written in both."""
        return self.english if language == "en" and self.english else self.text

    def concerns(self, filters: Iterable[tuple[str, str]]) -> bool:
        """Whether the event falls within these filters."""
        for name in ("service", "use_case", "host", "model"):
            own, wanted = getattr(self, name), {value for column, value in filters if column == name}
            if own and wanted and own not in wanted:
                return False
        return True


def _replicas_text(facts: Iterable[object]) -> str:
    """Names of replicas as a part of digests; empty where no service has any, as in digests of before there were names."""
    named = [(fact.name, fact.since_us, fact.replicas) for fact in facts if isinstance(fact, ServiceFact) and fact.replicas]
    return digest_text(named) if named else ""


Dated = TypeVar("Dated", SiteFact, HostFact, ServiceFact, UseCaseFact)


def fact_at(facts: Iterable[Dated], name: str, instant_us: int) -> Dated | None:
    """Fact of a name that is valid at an instant, or None."""
    for fact in facts:
        if fact.name == name and fact.since_us <= instant_us < fact.until_us:
            return fact
    return None


@dataclass(frozen=True, slots=True)
class Config:
    """Content of ``footprint.toml``, with defaults."""

    organisation: str = ""
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Paris"))
    zone: str = "FR"
    store_url: str = "sqlite:///footprint.db"
    sealed: str = ""  # folder or URL of sealed days; empty: beside the store
    seal_after_days: int = 2
    keep_days: int = 62  # in SQL; attribution reads up to 28 days back
    mirror: str = ""  # folder or URL of the mirror of figures; empty: none
    signing_key: str = ""  # minisign key that signs the heads of the hash chains; empty: no signature
    fleet_scheduler: str = ""  # address of a Dask scheduler
    fleet_workers: int = 1  # local processes
    fleet_memory_mb: int = 256  # of the results of all tasks in flight [MiB]
    bind: str = "127.0.0.1"
    port: int = 8050
    log_form: str = "text"  # of the server's log: text or json
    count_itself: bool = True  # whether the server stores its own requests
    demo: bool = False
    idle_policy: str = "by-use"
    window_s: int = 300
    electricity: str = "carbon_intensity"
    live: tuple[str, ...] = ()  # sources of carbon intensity that the server polls
    sites: tuple[SiteFact, ...] = ()
    hosts: tuple[HostFact, ...] = ()
    services: tuple[ServiceFact, ...] = ()
    placements: tuple[Placement, ...] = ()
    use_cases: tuple[UseCaseFact, ...] = ()
    gateways: tuple[GatewayFact, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    editions: EditionRules = field(default_factory=EditionRules)
    access: AccessRules = field(default_factory=AccessRules)
    disclosure: DisclosureRules = field(default_factory=DisclosureRules)
    objectives: tuple[Objective, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    actions: tuple[Action, ...] = ()
    notify: NotificationRules = field(default_factory=NotificationRules)
    agent: Mapping[str, Any] = field(default_factory=dict)  # as written: the agent validates it
    path: Path | None = None
    certificates: tuple[CalibrationCertificate, ...] = ()  # of the ledger: `footprint.ledger.certificates` adds them

    def site_at(self, name: str, instant_us: int) -> SiteFact:
        """The declared site, or one with the assumed PUE in the organisation's grid zone."""
        fact = fact_at(self.sites, name, instant_us)
        if fact is not None:
            return fact
        return SiteFact(name or ASSUMED_SITE, self.zone, assumption("pue_assumed"), pue_assumed=True)

    def host_at(self, name: str, instant_us: int) -> HostFact:
        """The declared host, or one with the assumed uplift at an undeclared site.

        A certificate that is valid then replaces the uplift, declared or assumed: what was measured and is in date wins.
        """
        fact = fact_at(self.hosts, name, instant_us)
        if fact is None:
            fact = HostFact(name, ASSUMED_SITE, assumption("uplift_assumed"), uplift_assumed=True)
        certificate = certificate_at(self.certificates, name, instant_us)
        if certificate is None:
            return fact
        if certificate.uplift is None:
            return replace(fact, certificate=certificate)
        return replace(fact, uplift=certificate.uplift, uplift_assumed=False, certificate=certificate)

    def charter_at(self, use_case: str, instant_us: int) -> str:
        """Charter status of a use case at an instant; ``(undeclared)`` where none was decided."""
        fact = fact_at(self.use_cases, use_case, instant_us)
        return fact.charter if fact else UNDECLARED

    def model_at(self, service: str, instant_us: int) -> str:
        """The model that a service is declared to run at an instant, or an empty text."""
        fact = fact_at(self.services, service, instant_us)
        return fact.model if fact else ""

    def services_of_model(self, model: str) -> set[str]:
        """Names of the services declared to run a model."""
        return {service.name for service in self.services if service.model == model}

    def hosts_of_service(self, service: str) -> set[str]:
        """Hosts that a service is placed on at any time."""
        return {placement.host for placement in self.placements if placement.service == service}

    def field_map(self, name: str, options: Options | None = None) -> FieldMap:
        """Field map of a declared gateway, a packaged map, or a TOML file; ``options`` are those of a command.

        Raises
        ------
        BadMap
            If there is none, or it is invalid.
        """
        for gateway in self.gateways:
            if gateway.name == name:
                declared = replace(options or Options(), service=gateway.service, use_case=gateway.use_case)
                return load_map(gateway.form, declared)
        return load_map(name, options)

    def sealed_url(self) -> str:
        """Folder or URL of sealed days."""
        if self.sealed:
            return self.sealed
        if self.store_url.startswith("sqlite:///"):
            path = Path(self.store_url.removeprefix("sqlite:///"))
            return str(path.resolve().with_suffix(".sealed"))
        return str((self.path.resolve().parent if self.path else Path.cwd()) / "footprint.sealed")

    def editions_url(self) -> str:
        """Folder or URL of published editions."""
        if self.editions.folder:
            return self.editions.folder
        if self.store_url.startswith("sqlite:///"):
            path = Path(self.store_url.removeprefix("sqlite:///"))
            return str(path.resolve().with_suffix(".editions"))
        return str((self.path.resolve().parent if self.path else Path.cwd()) / "footprint.editions")

    def dated_digest(self, day_us: int, end_us: int) -> str:
        """Digest of the dated facts that apply to a range of time; edits of undated facts do not change it."""
        facts: tuple[Any, ...] = (*self.sites, *self.hosts, *self.services, *self.placements, *self.use_cases)
        dated = [fact for fact in facts if fact.since_us != ALWAYS and fact.since_us < end_us and fact.until_us > day_us]
        # Ignore ``until``: the end of a fact is implied by the next one.
        open_ended = [replace(fact, until_us=FOREVER_US) for fact in dated]
        text = digest_text(open_ended) + _replicas_text(dated)
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    def facts_digest(self) -> str:
        """Digest of all facts that result rows depend on."""
        facts = (
            str(self.timezone),
            self.zone,
            self.window_s,
            self.electricity,
            self.sites,
            self.hosts,
            self.services,
            self.placements,
            self.use_cases,
        )
        text = digest_text(facts) + _replicas_text(self.services)
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    def edges_us(self) -> list[int]:
        """Sorted instants [µs] at which a dated fact starts or ends."""
        facts: tuple[Any, ...] = (*self.sites, *self.hosts, *self.services, *self.placements, *self.use_cases)
        edges = {edge for fact in facts for edge in (fact.since_us, fact.until_us)}
        return sorted(edges - {ALWAYS, FOREVER_US})
