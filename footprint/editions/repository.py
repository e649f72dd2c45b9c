"""Repository of published editions: an SQL row with everything needed to rebuild one, and files that are never overwritten.

Files are PERIOD/vVERSION/… with a SHA256SUMS, in a folder or in object storage by URL.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select

from footprint.config import Config
from footprint.core.records import FootprintError
from footprint.core.timestamps import format_instant
from footprint.editions.release_context import ReleaseContext
from footprint.editions.revision_evidence import Evidence
from footprint.ledger.object_store import ObjectStore
from footprint.storage import schema
from footprint.storage.database import Store, table

CHECKSUMS_FILE = "SHA256SUMS"
LIST_COLUMNS = (
    "edition",
    "period",
    "version",
    "status",
    "kind",
    "released",
    "method_version",
    "factor_version",
    "code_version",
    "causes",
    "sha256",
)


class NoSuchEdition(FootprintError):
    """A period or version that was not published; the message lists the published ones."""


class ImmutableEdition(FootprintError):
    """Files of a published edition that differ from the published content."""


@dataclass(frozen=True, slots=True)
class PublishedEdition:
    """One published version; ``files`` are sha256 by name."""

    period: str
    version: int
    status: str
    kind: str
    released_us: int
    method_version: str
    factor_version: str
    code_version: str
    files: Mapping[str, str]
    context: ReleaseContext
    evidence: Evidence
    report: bytes
    figures: Mapping[str, str]  # key -> id

    @property
    def name(self) -> str:
        """2026-Q3.v1."""
        return f"{self.period}.v{self.version}"

    def digest(self) -> str:
        """Digest of all its files: the sha256 of its SHA256SUMS."""
        return hashlib.sha256(self.sums()).hexdigest()

    def sums(self) -> bytes:
        """Its SHA256SUMS, in the format of ``sha256sum -c``."""
        return "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items())).encode()


@dataclass(frozen=True, slots=True)
class Release:
    """A published version without its content: enough for a link."""

    period: str
    version: int
    status: str

    @property
    def name(self) -> str:
        """2026-Q3 v1."""
        return f"{self.period} v{self.version}"

    def address(self, language: str) -> str:
        """Path of its document on this server."""
        return f"/editions/{self.period}/v{self.version}/{language}/report.html"


def edition_files(config: Config) -> ObjectStore:
    """The store of published editions."""
    return ObjectStore(config.editions_url())


def edition_folder(period: str, version: int) -> str:
    """Folder of a version in the edition store."""
    return f"{period}/v{version}"


def write_files(store: ObjectStore, period: str, version: int, files: Mapping[str, bytes]) -> None:
    """Write missing files; existing ones must hold the same bytes.

    Raises
    ------
    ImmutableEdition
        If a file of that version differs: published files never change.
    """
    folder = edition_folder(period, version)
    for name, raw in sorted(files.items()):
        path = f"{folder}/{name}"
        if not store.exists(path):
            store.write(path, raw)
        elif store.read(path) != raw:
            raise ImmutableEdition(
                f"{store.url}/{path} differs from the published file; a published file never changes: move it away"
            )


def save(store: Store, published: PublishedEdition) -> None:
    """Save a published edition in SQL."""
    content = {
        "context": published.context.to_json(),
        "evidence": published.evidence.to_json(),
        "report": published.report.decode(),
        "figures": dict(published.figures),
    }
    row = {
        "period": published.period,
        "version": published.version,
        "status": published.status,
        "kind": published.kind,
        "released_us": published.released_us,
        "method_version": published.method_version,
        "factor_version": published.factor_version,
        "code_version": published.code_version,
        "files": json.dumps(dict(published.files), sort_keys=True),
        "content": zlib.compress(json.dumps(content, sort_keys=True, ensure_ascii=False).encode(), 9),
    }
    with store.begin() as connection:
        connection.execute(insert(table(schema.PublishedEditionRow)).values(**row))
        store.record_event(connection, published.released_us, "published", f"{published.name}, {published.status}")


def published_editions(store: Store, period: str | None = None) -> list[PublishedEdition]:
    """All published editions, by period and version."""
    editions = table(schema.PublishedEditionRow)
    query = select(editions).order_by(editions.c.period, editions.c.version)
    if period is not None:
        query = query.where(editions.c.period == period)
    with store.read() as connection:
        return [_published(row) for row in connection.execute(query)]


def latest_release(store: Store, period: str) -> Release | None:
    """The last version of a period, without its content; None if none was published."""
    editions = table(schema.PublishedEditionRow)
    query = (
        select(editions.c.version, editions.c.status)
        .where(editions.c.period == period)
        .order_by(editions.c.version.desc())
        .limit(1)
    )
    with store.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else Release(period, row.version, row.status)


def release_state(store: Store) -> tuple[int, int | None]:
    """Number of published versions and instant of the last one [µs]: changes with every publication."""
    editions = table(schema.PublishedEditionRow)
    with store.read() as connection:
        count, last_us = connection.execute(select(func.count(), func.max(editions.c.released_us))).one()
    return int(count), last_us


def _published(row: Any) -> PublishedEdition:
    content = json.loads(zlib.decompress(bytes(row.content)))
    return PublishedEdition(
        row.period,
        row.version,
        row.status,
        row.kind,
        row.released_us,
        row.method_version,
        row.factor_version,
        row.code_version,
        json.loads(row.files),
        ReleaseContext.from_json(content["context"]),
        Evidence.from_json(content["evidence"]),
        content["report"].encode(),
        content["figures"],
    )


def published_edition(store: Store, name: str) -> PublishedEdition:
    """An edition by its name: ``2026-Q3.v1``, or ``2026-Q3`` for its last version.

    Raises
    ------
    NoSuchEdition
        If it was not published.
    """
    period, _, version = name.partition(".v")
    versions = published_editions(store, period)
    matching = [edition for edition in versions if not version or str(edition.version) == version]
    if not matching:
        available = ", ".join(edition.name for edition in versions) or "no version of it"
        raise NoSuchEdition(f"{name} was not published; {available} was (`footprint report list`)")
    return matching[-1]


def edition_row(published: PublishedEdition) -> dict[str, Any]:
    """A version as a row of ``footprint report list`` and of the API."""
    return {
        "edition": published.name,
        "period": published.period,
        "version": published.version,
        "status": published.status,
        "kind": published.kind,
        "released": format_instant(published.released_us),
        "method_version": published.method_version,
        "factor_version": published.factor_version,
        "code_version": published.code_version,
        "causes": "+".join(change.cause for change in published.context.changes),
        "sha256": published.digest(),
    }
