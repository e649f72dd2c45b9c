"""Alert rules: silent agents, sensors in doubt, expired certificates, failed and late jobs, objectives, and news of editions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from footprint.calendar.periods import parse_period, period_at
from footprint.config import Config
from footprint.core.timestamps import format_instant, parse_instant
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.editions.publication import DRAFTS_FOLDER
from footprint.editions.release_calendar import calendar_of_store
from footprint.editions.repository import PublishedEdition, edition_files, edition_folder, published_editions
from footprint.editions.texts import long_period
from footprint.i18n.formatting import format_local_time
from footprint.ledger.certificates import certified_config
from footprint.ledger.object_store import ObjectStore
from footprint.queries.agent_liveness import RETIRED, SILENT, host_liveness
from footprint.queries.aggregation_lag import BEHIND_AFTER_S, waiting_since_us
from footprint.queries.energy_balance import energy_balance
from footprint.queries.objectives import EXCEEDED, objective_statuses
from footprint.queries.sensor_quality import GONE, IN_DOUBT, LASTING_US, STANDS_STILL, sensor_findings
from footprint.server.job_runs import ALERT_JOB, FAILED, latest_runs
from footprint.server.notifications import Attachment
from footprint.storage.database import Store

MAX_NEWS_AGE_US = 14 * US_PER_DAY  # older editions are no news to recipients who are added later
_PDFS = ("fr/report.pdf", "en/report.pdf")
Pair = tuple[str, str]  # French, English


@dataclass(frozen=True, slots=True)
class Alert:
    """Condition that people should know of while it lasts; ``key`` identifies it for its whole duration."""

    key: str
    event: str
    subject: Pair
    text: Pair
    attachments: tuple[Attachment, ...] = ()


def silent_agents(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Hosts whose agent has sent no reading for ``[notify] silent_after_s``."""
    for liveness in host_liveness(store, config, now_us):
        if liveness.state == SILENT:
            host, last_reading = liveness.host, format_instant(liveness.last_us)
            local_times = [format_local_time(last_reading, config.timezone, language) for language in ("fr", "en")]
            yield Alert(
                f"silent-agent {host}",
                "silent-agent",
                (f"{host} : aucun relevé depuis le {local_times[0]}", f"{host}: no reading since {local_times[1]}"),
                (
                    (
                        f"Le dernier relevé de {host} date du {local_times[0]} ({config.timezone}). Ce qui suit manque : la "
                        f"couverture baisse, aucune valeur n’est supposée.\n"
                        f"Sur {host} : systemctl status footprint-agent ; footprint-agent probe"
                    ),
                    (
                        f"The last reading of {host} is of {local_times[1]} ({config.timezone}). What follows is missing: "
                        "coverage falls, and no value is supposed.\n"
                        f"On {host}: systemctl status footprint-agent; footprint-agent probe"
                    ),
                ),
            )


_TROUBLES: dict[str, Pair] = {
    IN_DOUBT: ("capteur en doute", "sensor in doubt"),
    STANDS_STILL: ("capteur immobile", "sensor stands still"),
    GONE: ("appareil disparu", "device gone"),
}


def troubled_devices(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Sensors that have been in doubt or stood still, and devices that have been gone, for more than a minute.

    A sensor of a host that fell silent stays as its agent left it: nothing says that it is well.
    """
    for finding in sensor_findings(store, now_us):
        words = _TROUBLES.get(finding.trouble)
        if words is None or now_us - finding.since_us <= LASTING_US:
            continue
        since = format_instant(finding.since_us)
        french, english = (format_local_time(since, config.timezone, language) for language in ("fr", "en"))
        yield Alert(
            f"{finding.trouble} {finding.host} {finding.device} {finding.source}",
            finding.trouble,
            (f"{finding.host} : {words[0]} ({finding.device})", f"{finding.host}: {words[1]} ({finding.device})"),
            (
                (
                    f"{finding.words('fr')}, depuis le {french} ({config.timezone}). Une autre mesure de l’appareil compte à sa "
                    "place s’il y en a une ; sinon l’intervalle s’élargit ou le temps manque, et la qualité le dit.\n"
                    f"Sur {finding.host} : footprint-agent probe ; sur le serveur : footprint quality --doubted"
                ),
                (
                    f"{finding.words()}, since {english} ({config.timezone}). Another sensor of the device counts in its place "
                    "where there is one; else the interval widens or the time is missing, and quality says so.\n"
                    f"On {finding.host}: footprint-agent probe; on the server: footprint quality --doubted"
                ),
            ),
        )


def expired_certificates(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Hosts that still read, and whose last calibration on a wall meter has expired."""
    certificates = certified_config(store, config).certificates
    if not certificates:
        return
    in_service = {liveness.host for liveness in host_liveness(store, config, now_us) if liveness.state != RETIRED}
    for host in sorted({certificate.host for certificate in certificates} & in_service):
        last = max((c for c in certificates if c.host == host), key=lambda certificate: certificate.until_us)
        if last.until_us > now_us:
            continue
        local_times = [format_local_time(format_instant(last.until_us), config.timezone, language) for language in ("fr", "en")]
        yield Alert(
            f"certificate-expired {host} {last.serial}",
            "certificate-expired",
            (f"{host} : certificat d’étalonnage expiré", f"{host}: calibration certificate expired"),
            (
                (
                    f"Le certificat du compteur {last.serial} a expiré le {local_times[0]} ({config.timezone}). Le "
                    "surcoût déclaré ou supposé "
                    "vaut de nouveau, avec son intervalle.\nPour étalonner de nouveau : footprint calibrate "
                    f"{host} --meter FICHIER …"
                ),
                (
                    f"The certificate of meter {last.serial} expired on {local_times[1]} ({config.timezone}). The "
                    "declared or assumed uplift "
                    f"holds again, with its interval.\nTo calibrate again: footprint calibrate {host} --meter FILE …"
                ),
            ),
        )


def failed_jobs(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Jobs whose last completed run failed."""
    seen: set[str] = {ALERT_JOB}  # an alert of its own failure could not be sent
    for run in latest_runs(store, all_runs=True):
        name, message = run["name"], run["said"]
        if name in seen or run["ended_us"] is None:
            continue
        seen.add(name)
        if run["status"] == FAILED:
            yield Alert(
                f"job-failed {name}",
                "job-failed",
                (f"La tâche {name} a échoué", f"The job {name} failed"),
                (
                    f"La tâche {name} a échoué : {message}\nfootprint jobs en dit plus.",
                    f"The job {name} failed: {message}\nfootprint jobs says more.",
                ),
            )


def late_aggregation(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Days of the last week that wait to be computed for longer than ``BEHIND_AFTER_S``."""
    with store.read() as connection:
        since_us = waiting_since_us(connection)
    if since_us is None or now_us - since_us <= BEHIND_AFTER_S * US_PER_S:
        return
    balances = energy_balance(store, config, now_us - 7 * US_PER_DAY, None)
    days = sum(row["pending_days"] for row in balances)
    if days:
        local_times = [format_local_time(format_instant(since_us), config.timezone, language) for language in ("fr", "en")]
        yield Alert(
            "aggregation-behind aggregate",
            "aggregation-behind",
            ("Le calcul est en retard", "Aggregation is behind"),
            (
                (
                    f"Journées de serveurs en attente de calcul depuis le {local_times[0]} ({config.timezone}) : {days}. Les "
                    "chiffres restent ceux d’avant.\nfootprint jobs dit si la tâche aggregate tourne ou échoue."
                ),
                (
                    f"Days of hosts that wait to be computed since {local_times[1]} ({config.timezone}): {days}. The figures "
                    "stay what they were.\nfootprint jobs says whether the job aggregate runs or fails."
                ),
            ),
        )


def exceeded_objectives(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Budgets and targets whose whole 95 % interval is above the limit in the current period."""
    for status in objective_statuses(store, config, now_us):
        if status.state == EXCEEDED:
            name, period = status.objective.name, status.period
            yield Alert(
                f"objective {name} {period}",
                "objective-exceeded",
                (f"Objectif dépassé : {name}, {period}", f"Objective exceeded: {name}, {period}"),
                (
                    (
                        "Tout l’intervalle à 95 % est au-dessus de la limite. footprint objectives donne les valeurs "
                        f"de « {name} » pour {period}."
                    ),
                    (
                        "The whole 95 % interval is above the limit. footprint objectives gives the values of "
                        f"“{name}” in {period}."
                    ),
                ),
            )


def drafted_editions(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Draft of the last quarter, with its PDF, once the job has written it."""
    period = period_at(now_us, config.timezone).shifted(-1)
    stored_files, folder = edition_files(config), f"{DRAFTS_FOLDER}/{period}"
    if not published_editions(store, str(period)) and stored_files.exists(f"{folder}/report.json"):
        name = long_period(period)
        yield Alert(
            f"draft {period}",
            "draft",
            (f"Projet d’édition : {name.fr}", f"Draft edition: {name.en}"),
            (
                f"Le projet est prêt à relire. Pour le publier : footprint report publish {period}",
                f"The draft is ready to be read. To publish it: footprint report publish {period}",
            ),
            _pdf_attachments(stored_files, folder, f"{period}-draft"),
        )


def released_editions(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Recently published versions, with their PDFs."""
    for edition in published_editions(store):
        if now_us - edition.released_us < MAX_NEWS_AGE_US:
            name, url = long_period(parse_period(edition.period)), _edition_url(config, edition)
            yield Alert(
                f"published {edition.name}",
                "published",
                (
                    f"Édition parue : {name.fr}, version {edition.version}",
                    f"Edition published: {name.en}, version {edition.version}",
                ),
                (f"{name.fr}, version {edition.version}. {url}".strip(), f"{name.en}, version {edition.version}. {url}".strip()),
                _pdf_attachments(edition_files(config), edition_folder(edition.period, edition.version), edition.name),
            )


def late_releases(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Releases that missed their announced date, of periods with an edition or a draft."""
    published, stored_files = published_editions(store), edition_files(config)
    for row in calendar_of_store(store, config, published, now_us):
        period, due = row["period"], parse_instant(row["announced"])
        has_editions = bool(published) or stored_files.exists(f"{DRAFTS_FOLDER}/{period}/report.json")
        if row["state"] != "late" or not has_editions or now_us - due > MAX_NEWS_AGE_US:
            continue
        name, french = long_period(parse_period(period)), "provisoire" if row["release"] == "provisional" else "définitive"
        local_times = [format_local_time(row["announced"], config.timezone, language) for language in ("fr", "en")]
        yield Alert(
            f"release-missed {period} {row['release']}",
            "release-missed",
            (f"Parution manquée : {name.fr}, version {french}", f"Release missed: {name.en}, {row['release']} version"),
            (
                f"Annoncée pour le {local_times[0]}, elle n’a pas paru. footprint report publish {period} dit ce qui l’empêche.",
                f"Announced for {local_times[1]}, it did not come. footprint report publish {period} says what is in the way.",
            ),
        )


def _edition_url(config: Config, edition: PublishedEdition) -> str:
    base = config.editions.address.rstrip("/")
    return f"{base}/editions/{edition.period}/v{edition.version}" if base else ""


def _pdf_attachments(stored_files: ObjectStore, folder: str, stem: str) -> tuple[Attachment, ...]:
    """PDFs of an edition, named after it and their language."""
    attachments = []
    for name in _PDFS:
        if stored_files.exists(f"{folder}/{name}"):
            content = stored_files.read(f"{folder}/{name}")
            attachments.append(Attachment(f"{stem}.{name[:2]}.pdf", "application/pdf", content))
    return tuple(attachments)


AlertRule = Callable[[Store, Config, int], Iterable[Alert]]
