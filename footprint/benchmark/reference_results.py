"""Public reference measurements: other hardware, load and boundary; never ranked with the organisation's own.

Rows of ``data/references.csv``, each with its source. None is unknown.
"""

from __future__ import annotations

import csv
from typing import Any

from footprint.core.resources import data_path

NUMBERS = (
    "devices",
    "concurrency",
    "batch",
    "j_per_request",
    "j_per_output_token",
    "output_tokens_per_request",
    "itl_p50_s",
    "itl_p95_s",
    "tokens_per_s",
)
COLUMNS = ("model", "hardware", *NUMBERS, "weights", "task", "boundary", "source", "licence", "retrieved", "label")
LABEL = "other hardware, other load"


def reference_rows() -> list[dict[str, Any]]:
    """Every shipped reference, in the order of the file; energies in J, times in s."""
    with data_path("references.csv").open(encoding="utf-8", newline="") as file:
        return [_reference_row(row) for row in csv.DictReader(file)]


def _reference_row(record: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {"label": LABEL, **record}
    row |= {name: float(record[name]) if record[name] else None for name in NUMBERS}
    return {name: row[name] for name in COLUMNS}
