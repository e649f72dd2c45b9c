"""An organisation of two months, made once; each test has a copy of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from footprint.config import Config, load_config
from footprint.editions import provenance
from footprint.editions.document import Edition
from footprint.storage.database import Store
from tests.support.quarters import instant, organisation


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "office"
    _, store = organisation(folder, "2026-07-31", "2026-10-01", growth=0.4)
    store.close()
    return folder


@pytest.fixture(scope="session")
def drafted(made: Path) -> Edition:
    """The draft of its third quarter."""
    config = load_config(str(made / "footprint.toml"))
    store = Store(config.store_url, demo=config.demo)
    try:
        return provenance.draft(store, config, "2026-Q3", instant("2026-10-12")).edition
    finally:
        store.close()


@pytest.fixture
def office(made: Path, tmp_path: Path) -> tuple[Config, Store, Path]:
    """Configuration, store and folder."""
    folder = tmp_path / "office"
    shutil.copytree(made, folder)
    config = load_config(str(folder / "footprint.toml"))
    return config, Store(config.store_url, demo=config.demo), folder
