"""Recordings of real inference, converted to contract files, import without a rejected line."""

from pathlib import Path

import pytest

from footprint.config import parse_config
from footprint.ledger.importers import import_energy, import_requests
from footprint.storage.database import Store
from tests.support import recordings
from tests.support.contract_files import NOW_US


@recordings.needs_runs
@pytest.mark.parametrize("run", recordings.RUNS, ids=lambda run: run.name.partition("__")[0])
def test_a_matched_run_imports_completely(run: Path, tmp_path: Path) -> None:
    """All samples and phases are accepted."""
    store = Store(f"sqlite:///{tmp_path / 'ledger.db'}")
    config = parse_config(recordings.config_text(run))
    energy = import_energy(store, str(recordings.write_energy(run, tmp_path / "energy.csv", cpu=True)), NOW_US)
    requests = import_requests(store, config, str(recordings.write_requests(run, tmp_path / "requests.csv")), NOW_US)

    assert not energy.rejects
    assert not requests.rejects
    assert energy.duplicates + requests.duplicates == 0
    assert (tmp_path / "energy.csv").read_text().count("\n") - 1 == energy.accepted
    assert (tmp_path / "requests.csv").read_text().count("\n") - 1 == requests.accepted


@recordings.needs_azure
def test_the_azure_traces_import_completely(tmp_path: Path) -> None:
    """28,185 requests are imported, and a second import adds none."""
    store = Store(f"sqlite:///{tmp_path / 'ledger.db'}")
    path = str(recordings.write_azure(tmp_path / "azure.csv"))
    first = import_requests(store, parse_config(""), path, NOW_US)
    second = import_requests(store, parse_config(""), path, NOW_US)

    assert (first.accepted, first.duplicates, len(first.rejects)) == (28_185, 0, 0)
    assert (second.accepted, second.duplicates, len(second.rejects)) == (0, 28_185, 0)
