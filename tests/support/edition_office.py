"""Fixtures: an organisation of two months that publishes editions; it is built once, each test works on a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from footprint.config import Config, load_config
from footprint.storage.database import Store
from tests.support.quarters import organisation


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "office"
    _, store = organisation(folder, "2026-07-31", "2026-10-01", growth=0.4)
    store.close()
    return folder


@pytest.fixture
def office(made: Path, tmp_path: Path) -> tuple[Config, Store, Path]:
    """Configuration, store and folder."""
    folder = tmp_path / "office"
    shutil.copytree(made, folder)
    config = load_config(str(folder / "footprint.toml"))
    return config, Store(config.store_url, demo=config.demo), folder
