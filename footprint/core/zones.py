"""Electricity zones: ISO 3166-1 alpha-2 codes, grid zones within a country, and the places of the packaged factors."""

from __future__ import annotations

import csv
import re
from functools import cache

from footprint.core.resources import data_path


@cache
def factor_places() -> frozenset[str]:
    """Places that the packaged factors name."""
    places: set[str] = set()
    for path in data_path("factors").glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            places.update(row["where"].strip() for row in csv.DictReader(file))
    return frozenset(places - {""})


def is_zone(code: str) -> bool:
    """Whether a code is a country, a grid zone within one (``IT-NO``), or a place of the factor book."""
    places = factor_places()
    if code in places:
        return True
    country, _, part = code.partition("-")
    return bool(part) and country in places and re.fullmatch(r"[A-Z0-9-]{1,8}", part) is not None
