"""Packaged resources: files under ``data/``, of the installed package or of the checkout."""

from __future__ import annotations

from pathlib import Path

from footprint.core.records import FootprintError


def data_path(name: str) -> Path:
    """Path of a packaged file or folder, such as ``factors`` or ``assumptions.csv``.

    Raises
    ------
    FootprintError
        If the installation is incomplete.
    """
    package = Path(__file__).resolve().parents[1]
    for root in (package / "_data", package.parent / "data"):
        if (root / name).exists():
            return root / name
    raise FootprintError(f"shipped data not found: {name} (reinstall footprint)")
