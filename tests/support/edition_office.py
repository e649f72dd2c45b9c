"""Fixtures: an organisation with two months of data for editions; built once, copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from footprint.config import Config, load_config
from footprint.storage.database import Store
from tests.support.quarters import organisation


@pytest.fixture(scope="session")
def office_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the organisation that the tests copy."""
    folder = tmp_path_factory.mktemp("template") / "office"
    _, store = organisation(folder, "2026-07-31", "2026-10-01", growth=0.4)
    store.close()
    return folder


@pytest.fixture
def office(office_template: Path, tmp_path: Path) -> tuple[Config, Store, Path]:
    """Configuration, store and folder of a copy."""
    folder = tmp_path / "office"
    shutil.copytree(office_template, folder)
    config = load_config(str(folder / "footprint.toml"))
    return config, Store(config.store_url, demo=config.demo), folder
