"""This file keeps the factors that an operator imported: bundles, never changed, beside those that are shipped."""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert, select

from footprint.impact.factor_book import COLUMNS, BadFactor, Factor, FactorBook, parse_factors, shipped_book
from footprint.storage import schema
from footprint.storage.database import Store, table


@dataclass(frozen=True, slots=True)
class ImportedBundle:
    """What an import did: the bundle's name, its digest, how many rows; ``known`` where the same file was there already."""

    bundle: str
    sha256: str
    rows: int
    known: bool


def read_bundle(path: str, bundle: str | None, imported_us: int) -> tuple[list[Factor], str, str]:
    """Factors of a file, the name of its bundle (default: the file's name and the first eight digits of its digest), its sha256.

    Raises
    ------
    BadFactor
        If the file cannot be read or a row cannot be right; nothing of it counts then.
    """
    try:
        raw = Path(path).read_bytes()
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as bad:
        raise BadFactor(f"{path}: cannot be read: {bad}") from None
    sha256 = hashlib.sha256(raw).hexdigest()
    name = bundle or f"{Path(path).stem}-{sha256[:8]}"
    factors = parse_factors(io.StringIO(text, newline=""), path, name, imported_us=imported_us, sha256=sha256)
    if not factors:
        raise BadFactor(f"{path}: holds no factor")
    return factors, name, sha256


def import_factors(store: Store, path: str, bundle: str | None, now_us: int) -> ImportedBundle:
    """Keep the factors of a file as one bundle.

    Raises
    ------
    BadFactor
        If a row cannot be right, or the bundle's name stands for another file: a bundle never changes.
    """
    factors, name, sha256 = read_bundle(path, bundle, now_us)
    target = table(schema.StoredFactor)
    with store.begin() as connection:
        known = connection.execute(select(target.c.sha256).where(target.c.bundle == name).limit(1)).scalar()
        if known == sha256:
            return ImportedBundle(name, sha256, len(factors), known=True)
        if known is not None:
            raise BadFactor(f"{path}: the bundle {name} stands for another file; bundles never change, give it a new --bundle")
        connection.execute(
            insert(target),
            [
                {"bundle": name, "number": number, "sha256": sha256, "imported_us": now_us, "line": _to_csv_line(factor)}
                for number, factor in enumerate(factors)
            ],
        )
    return ImportedBundle(name, sha256, len(factors), known=False)


_FIELDS = COLUMNS  # a row may name a bundle of its own


def _to_csv_line(factor: Factor) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([_text(getattr(factor, name)) for name in _FIELDS])
    return out.getvalue()


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime.date) else str(value)


def stored_factors(store: Store) -> list[Factor]:
    """Every factor that was imported, in order of import."""
    target = table(schema.StoredFactor)
    with store.read() as connection:
        rows = connection.execute(select(target).order_by(target.c.imported_us, target.c.bundle, target.c.number)).all()
    found: list[Factor] = []
    for row in rows:
        lines = [",".join(_FIELDS), row.line]
        found += parse_factors(lines, row.bundle, row.bundle, imported_us=row.imported_us, sha256=row.sha256)
    return found


def load_factor_book(store: Store) -> FactorBook:
    """The book of a store: what is shipped, and what was imported, which takes over where both speak of one time."""
    found = stored_factors(store)
    return FactorBook([*shipped_book().factors, *found]) if found else shipped_book()
