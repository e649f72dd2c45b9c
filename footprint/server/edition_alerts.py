"""This file says what people should know of editions: one is drafted, one is published, one is late."""

from __future__ import annotations

from collections.abc import Iterator

from footprint.calendar.periods import parse_period, period_at
from footprint.config import Config
from footprint.core.timestamps import parse_instant
from footprint.core.units import US_PER_DAY
from footprint.editions.publication import DRAFTS_FOLDER
from footprint.editions.release_calendar import release_rows
from footprint.editions.repository import PublishedEdition, edition_folder, edition_store, published_editions
from footprint.editions.texts import long_period
from footprint.i18n.formatting import format_local_time
from footprint.ledger.object_store import ObjectStore
from footprint.server.alert_rules import Alert
from footprint.server.notifications import Attachment
from footprint.storage.database import Store

NEWS_US = 14 * US_PER_DAY  # an edition that is older is no news to who asks to be told only now
_PDFS = ("fr/report.pdf", "en/report.pdf")


def drafted(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """The draft of the quarter that has ended, with its PDF, once the job has written it."""
    period = period_at(now_us, config.timezone).shifted(-1)
    vault, folder = edition_store(config), f"{DRAFTS_FOLDER}/{period}"
    if not published_editions(store, str(period)) and vault.exists(f"{folder}/report.json"):
        name = long_period(period)
        yield Alert(
            f"draft {period}",
            "draft",
            (f"Projet d’édition : {name.fr}", f"Draft edition: {name.en}"),
            (
                f"Le projet est prêt à relire. Pour le publier : footprint report publish {period}",
                f"The draft is ready to be read. To publish it: footprint report publish {period}",
            ),
            _attached(vault, folder, f"{period}-draft"),
        )


def released(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Versions published of late, with their PDFs."""
    for each in published_editions(store):
        if now_us - each.released_us < NEWS_US:
            name, at = long_period(parse_period(each.period)), _address(config, each)
            yield Alert(
                f"published {each.name}",
                "published",
                (f"Édition parue : {name.fr}, version {each.version}", f"Edition published: {name.en}, version {each.version}"),
                (f"{name.fr}, version {each.version}. {at}".strip(), f"{name.en}, version {each.version}. {at}".strip()),
                _attached(edition_store(config), edition_folder(each.period, each.version), each.name),
            )


def late(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Announced releases that did not come, of periods that there is an edition or a draft of."""
    published, vault = published_editions(store), edition_store(config)
    for row in release_rows(config, published, now_us):
        period, due = row["period"], parse_instant(row["announced"])
        known = bool(published) or vault.exists(f"{DRAFTS_FOLDER}/{period}/report.json")
        if row["state"] != "late" or not known or now_us - due > NEWS_US:
            continue
        name, french = long_period(parse_period(period)), "provisoire" if row["release"] == "provisional" else "définitive"
        when = [format_local_time(row["announced"], config.timezone, language) for language in ("fr", "en")]
        yield Alert(
            f"release-missed {period} {row['release']}",
            "release-missed",
            (f"Parution manquée : {name.fr}, version {french}", f"Release missed: {name.en}, {row['release']} version"),
            (
                f"Annoncée pour le {when[0]}, elle n’a pas paru. footprint report publish {period} dit ce qui l’empêche.",
                f"Announced for {when[1]}, it did not come. footprint report publish {period} says what is in the way.",
            ),
        )


def _address(config: Config, each: PublishedEdition) -> str:
    base = config.editions.address.rstrip("/")
    return f"{base}/editions/{each.period}/v{each.version}" if base else ""


def _attached(vault: ObjectStore, folder: str, stem: str) -> tuple[Attachment, ...]:
    """The PDFs of an edition, named after it and its language."""
    found = []
    for name in _PDFS:
        if vault.exists(f"{folder}/{name}"):
            raw = vault.read(f"{folder}/{name}")
            found.append(Attachment(f"{stem}.{name[:2]}.pdf", "application/pdf", raw))
    return tuple(found)
