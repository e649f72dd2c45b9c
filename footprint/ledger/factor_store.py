"""Imported emission factors: immutable bundles beside the shipped ones."""

from __future__ import annotations

import datetime
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert, select

from footprint.core.csv_text import csv_line
from footprint.impact.factor_book import COLUMNS, BadFactor, Factor, FactorBook, parse_factors, shipped_book
from footprint.storage import schema
from footprint.storage.database import Store, table


@dataclass(frozen=True, slots=True)
class ImportedBundle:
    """Result of an import: bundle name, digest and number of rows; ``known`` if the same file was imported before."""

    bundle: str
    sha256: str
    rows: int
    known: bool


def read_bundle(path: str, bundle: str | None, imported_us: int) -> tuple[list[Factor], str, str]:
    """Factors of a file, its bundle name (default: file name and the first eight digits of its sha256), and its sha256.

    Raises
    ------
    BadFactor
        If the file cannot be read or a row is invalid; the whole file is rejected.
    """
    try:
        raw = Path(path).read_bytes()
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFactor(f"{path}: cannot be read: {error}") from None
    sha256 = hashlib.sha256(raw).hexdigest()
    name = bundle or f"{Path(path).stem}-{sha256[:8]}"
    factors = parse_factors(io.StringIO(text, newline=""), path, name, imported_us=imported_us, sha256=sha256)
    if not factors:
        raise BadFactor(f"{path}: holds no factor")
    return factors, name, sha256


def import_factors(store: Store, path: str, bundle: str | None, now_us: int) -> ImportedBundle:
    """Store the factors of a file as one bundle.

    Raises
    ------
    BadFactor
        If a row is invalid, or the bundle name belongs to another file: bundles are immutable.
    """
    factors, name, sha256 = read_bundle(path, bundle, now_us)
    target = table(schema.StoredFactor)
    with store.begin() as connection:
        stored_sha256 = connection.execute(select(target.c.sha256).where(target.c.bundle == name).limit(1)).scalar()
        if stored_sha256 == sha256:
            return ImportedBundle(name, sha256, len(factors), known=True)
        if stored_sha256 is not None:
            raise BadFactor(
                f"{path}: the bundle {name} was imported from another file; bundles never change, choose a new --bundle"
            )
        connection.execute(
            insert(target),
            [
                {"bundle": name, "number": number, "sha256": sha256, "imported_us": now_us, "line": _to_csv_line(factor)}
                for number, factor in enumerate(factors)
            ],
        )
    return ImportedBundle(name, sha256, len(factors), known=False)


def _to_csv_line(factor: Factor) -> str:
    return csv_line(_text(getattr(factor, name)) for name in COLUMNS)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime.date) else str(value)


def stored_factors(store: Store) -> list[Factor]:
    """All imported factors, in order of import."""
    target = table(schema.StoredFactor)
    with store.read() as connection:
        rows = connection.execute(select(target).order_by(target.c.imported_us, target.c.bundle, target.c.number)).all()
    factors: list[Factor] = []
    for row in rows:
        lines = [",".join(COLUMNS), row.line]
        factors += parse_factors(lines, row.bundle, row.bundle, imported_us=row.imported_us, sha256=row.sha256)
    return factors


def load_factor_book(store: Store | None) -> FactorBook:
    """The factor book of a store: shipped and imported factors; imported ones win for the same period."""
    imported = [] if store is None else stored_factors(store)
    return FactorBook([*shipped_book().factors, *imported]) if imported else shipped_book()
