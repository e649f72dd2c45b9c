"""Factor book: dated, sourced factors, and the lookup of the one that holds at a place and an instant."""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from footprint.core.assumptions import assumption
from footprint.core.csv_text import plain_text
from footprint.core.estimate import Estimate
from footprint.core.records import FootprintError
from footprint.core.resources import data_path
from footprint.core.stored_forms import digest_text, stored_as
from footprint.core.timestamps import from_datetime
from footprint.core.units import US_PER_S

COLUMNS = (
    "kind",
    "where",
    "valid_from",
    "valid_to",
    "value",
    "low",
    "high",
    "unit",
    "scope",
    "source",
    "licence",
    "retrieved",
    "bundle",
)


class MissingFactor(FootprintError):
    """No factor of a kind holds at a place and an instant."""


class BadFactor(FootprintError):
    """A factor row that cannot be right; the message names the file and the line."""


@stored_as("Factor", "kind where valid_from valid_to value low high unit scope source licence retrieved bundle imported_us -")
@dataclass(frozen=True, slots=True)
class Factor:
    """One row of the book; bounds are None where the source states none."""

    kind: str
    where: str
    valid_from: datetime.date
    valid_to: datetime.date | None
    value: float
    low: float | None
    high: float | None
    unit: str
    scope: str
    source: str
    licence: str
    retrieved: str
    bundle: str
    imported_us: int = 0  # 0: shipped
    sha256: str = ""  # of the imported file; no part of the content

    def estimate(self) -> Estimate:
        """The value with its bounds; without bounds from the source, those of the assumption ``factor_annual``."""
        if self.low is not None and self.high is not None:
            return Estimate(self.value, self.low, self.high)
        return assumption("factor_annual").scaled(self.value)


def _sort_key(factor: Factor) -> tuple[object, ...]:
    f = factor
    return f.kind, f.where, f.imported_us > 0, f.valid_from, f.imported_us, f.retrieved, f.bundle, f.source


class FactorBook:
    """A collection of factors. Of one kind and place, later rows replace earlier ones, and imported rows shipped ones."""

    def __init__(self, factors: Iterable[Factor]) -> None:
        self.factors = tuple(sorted(factors, key=_sort_key))
        self._by_place: dict[tuple[str, str], list[Factor]] = {}
        self._digest = ""
        for factor in self.factors:
            self._by_place.setdefault((factor.kind, factor.where), []).append(factor)

    def find(self, kind: str, where: str, instant_us: int, zone: ZoneInfo) -> Factor:
        """Factor of a kind that holds at a place and an instant.

        Parameters
        ----------
        kind, where
            Kind and place of the factor, such as ``carbon_intensity_ecologits`` and ``FR``.
        instant_us
            Instant [µs since 1970].
        zone
            Time zone in which the dates of factors are days.

        Raises
        ------
        MissingFactor
            If no factor holds there; a world average never replaces it.
        """
        day = datetime.datetime.fromtimestamp(instant_us // US_PER_S, tz=zone).date()
        valid = [
            factor
            for factor in self._by_place.get((kind, where), ())
            if factor.valid_from <= day and (factor.valid_to is None or day < factor.valid_to)
        ]
        if not valid:
            raise MissingFactor(
                f"no {kind} for {where} at {day}; add a row with its source "
                "(`footprint factors import FILE`, columns as in data/factors)"
            )
        return valid[-1]

    def edges_us(self, kinds: Iterable[str], zone: ZoneInfo, places: Iterable[str]) -> list[int]:
        """Instants [µs since 1970], in order, at which a factor of these kinds and places begins or ends.

        Dates are days of ``zone``.
        """
        keys = {(kind, place) for kind in kinds for place in places}
        days = {
            day
            for key in keys
            for factor in self._by_place.get(key, ())
            for day in (factor.valid_from, factor.valid_to)
            if day is not None
        }
        return sorted(from_datetime(datetime.datetime(day.year, day.month, day.day, tzinfo=zone)) for day in days)

    def digest(self) -> str:
        """Digest of the content: equal for books with equal factors."""
        if not self._digest:
            self._digest = hashlib.blake2b(digest_text(self.factors).encode(), digest_size=12).hexdigest()
        return self._digest

    def places(self) -> set[str]:
        """Every place that a factor names."""
        return {where for _, where in self._by_place if where}


def parse_factors(lines: Iterable[str], name: str, bundle: str, *, imported_us: int = 0, sha256: str = "") -> list[Factor]:
    """Factors from the lines of a CSV file with the columns of ``data/factors``.

    Parameters
    ----------
    lines
        Lines of the file, the header first.
    name
        Name of the file, for error messages.
    bundle
        Bundle of the rows that name none.
    imported_us
        Instant of the import [µs since 1970]; 0 for shipped files.
    sha256
        Digest of the file.

    Raises
    ------
    BadFactor
        If a column is missing or a row is invalid; the message names the file and the line.
    """
    reader = csv.DictReader(lines)
    missing = set(COLUMNS) - {"bundle", "low", "high", "valid_to"} - set(reader.fieldnames or ())
    if missing:
        raise BadFactor(f"{name}:1: columns missing: {', '.join(sorted(missing))}")
    factors = []
    for row in reader:
        try:
            factors.append(
                replace(
                    _parse_row({name: _plain_cell(cell) for name, cell in row.items()}, bundle),
                    imported_us=imported_us,
                    sha256=sha256,
                )
            )
        except (ValueError, TypeError) as error:
            raise BadFactor(f"{name}:{reader.line_num}: {error}") from None
    return factors


def _plain_cell(cell: Any) -> Any:
    return plain_text(cell) if isinstance(cell, str) else cell  # a row may have too many or too few cells


def _parse_row(row: dict[str, str], bundle: str) -> Factor:
    for column in ("kind", "unit", "source", "licence", "retrieved"):
        if not row[column]:
            raise ValueError(f"{column} is empty; every factor states it")
    value = float(row["value"])
    low = float(row["low"]) if row.get("low") else None
    high = float(row["high"]) if row.get("high") else None
    if not math.isfinite(value) or (low is None) != (high is None):
        raise ValueError("value must be a number, low and high both given or both empty")
    if low is not None and high is not None and not low <= value <= high:
        raise ValueError("low <= value <= high expected")
    valid_from = datetime.date.fromisoformat(row["valid_from"])
    valid_to = datetime.date.fromisoformat(row["valid_to"]) if row.get("valid_to") else None
    if valid_to is not None and valid_to <= valid_from:
        raise ValueError("valid_to must be after valid_from")
    return Factor(
        row["kind"],
        row["where"],
        valid_from,
        valid_to,
        value,
        low,
        high,
        row["unit"],
        row["scope"],
        row["source"],
        row["licence"],
        row["retrieved"],
        row.get("bundle") or bundle,
    )


def read_factors(path: Path, bundle: str) -> list[Factor]:
    """Factors of one CSV file.

    Raises
    ------
    BadFactor
        If the file cannot be read or a row is invalid.
    """
    try:
        raw = path.read_bytes()
        text = io.StringIO(raw.decode("utf-8"), newline="")
        return parse_factors(text, str(path), bundle, sha256=hashlib.sha256(raw).hexdigest())
    except (OSError, UnicodeDecodeError) as error:
        raise BadFactor(f"{path}: cannot be read: {error}") from None


@cache
def shipped_book() -> FactorBook:
    """The factor book shipped under ``data/factors``, one bundle."""
    folder = data_path("factors")
    bundle = (folder / "BUNDLE").read_text(encoding="utf-8").strip()
    return FactorBook(factor for path in sorted(folder.glob("*.csv")) for factor in read_factors(path, bundle))
