"""This file makes the files of an edition: what is published, and nothing else."""

from __future__ import annotations

from footprint.editions.document import Edition
from footprint.editions.serial import to_json

REPORT = "report.json"


def files_of(edition: Edition) -> dict[str, bytes]:
    """Bytes by name; the same edition gives the same bytes."""
    return {REPORT: to_json(edition)}
