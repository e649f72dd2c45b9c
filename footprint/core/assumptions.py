"""Assumptions of the method: the rows of ``data/assumptions.csv``, each with bounds and source."""

from __future__ import annotations

import csv
from functools import cache

from footprint.core.estimate import Estimate
from footprint.core.records import FootprintError
from footprint.core.resources import data_path


@cache
def _rows() -> dict[str, dict[str, str]]:
    with data_path("assumptions.csv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def assumption(name: str) -> Estimate:
    """Assumed value of a name, with its bounds, in the unit of its row.

    Raises
    ------
    FootprintError
        If the table has no such row.
    """
    row = _rows().get(name)
    if row is None:
        raise FootprintError(f"no assumption named {name}; add a row with its source to data/assumptions.csv")
    return Estimate(float(row["value"]), float(row["low"]), float(row["high"]))


def assumptions() -> list[dict[str, str]]:
    """All rows of the table, for the pages and reports that cite them."""
    return list(_rows().values())
