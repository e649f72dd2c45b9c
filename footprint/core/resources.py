"""This file finds what is shipped under ``data/``: inside an installed package, else in the checkout."""

from __future__ import annotations

from pathlib import Path

from footprint.core.records import FootprintError


def data_path(name: str) -> Path:
    """Path of a shipped file or folder, such as ``factors`` or ``assumptions.csv``.

    Raises
    ------
    FootprintError
        If the installation is incomplete.
    """
    here = Path(__file__).resolve().parents[1]
    for root in (here / "_data", here.parent / "data"):
        if (root / name).exists():
            return root / name
    raise FootprintError(f"shipped data not found: {name} (reinstall footprint)")
