"""Fixtures of edition tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from footprint.config import load_config
from footprint.editions.document import Edition
from footprint.editions.publication import draft_edition
from footprint.storage.database import Store
from tests.support.edition_office import office, office_template
from tests.support.quarters import instant

__all__ = ["office", "office_template"]


@pytest.fixture(scope="session")
def drafted(office_template: Path) -> Edition:
    """The draft of its third quarter."""
    config = load_config(str(office_template / "footprint.toml"))
    store = Store(config.store_url, demo=config.demo)
    try:
        return draft_edition(store, config, "2026-Q3", instant("2026-10-12")).edition
    finally:
        store.close()
