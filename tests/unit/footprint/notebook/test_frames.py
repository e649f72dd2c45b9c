"""Figures in a notebook: those of the command line, typed, with their units; and the agent loads none of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import footprint
from footprint.aggregation import METHOD_VERSION
from footprint.cli.app import status_of
from footprint.figures import BadQuery
from footprint.storage.database import Store, StoreMissing
from tests.support.commands import printed_rows
from tests.support.contract_files import CONFIG, START, energy_lines, request_lines, write


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    assert status_of(["import", "energy", write(tmp_path / "e.csv", energy_lines(START, 7200, 60))]) == 0
    assert status_of(["import", "requests", write(tmp_path / "r.csv", request_lines(START, 7200, 50))]) == 0
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    return tmp_path


def test_a_frame_holds_what_the_command_line_prints(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = footprint.query(group=("service", "use_case"), every="day")
    rows = printed_rows(capsys, "query", "--group", "service,use_case", "--every", "day")
    assert len(frame) == len(rows)
    for name in ("energy_kwh", "co2e_location_g", "coverage"):
        assert frame[name].tolist() == [row[name] for row in rows]
    assert frame["use_case"].tolist() == [row["use_case"] for row in rows]
    assert (frame["period_start"].dt.tz is not None, str(frame["requests"].dtype)) == (True, "Int64")
    assert frame["embodied_g"].isna().all()  # nobody declared it: missing, not 0
    assert here.is_dir()


def test_units_and_formulas_come_with_the_frame(here: Path) -> None:
    frame = footprint.query(config=str(here / "footprint.toml"))
    units = frame.attrs["units"]
    assert (units["energy_kwh"], units["co2e_location_g"], units["water_l"], units["requests"]) == ("kWh", "gCO2e", "L", "1")
    assert frame.attrs["formulas"]["co2e_location_g"] == "O = E x I"
    assert frame.attrs["method"] == [METHOD_VERSION]
    assert frame.attrs["demonstration"] is False
    unit_columns = {name for name in frame.columns if name.rsplit("_", 1)[-1] in ("kwh", "g", "l", "kgsb", "mj", "eur")}
    assert unit_columns <= set(units)
    with pytest.raises(BadQuery):
        footprint.query("colour")


def test_an_empty_ledger_is_an_empty_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreMissing):
        footprint.query("service")
    Store("sqlite:///footprint.db").close()
    frame = footprint.query("service")
    assert isinstance(frame, pd.DataFrame)
    assert (len(frame), "energy_kwh" in frame) == (0, True)


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import footprint, sys; print(sorted({m.partition('.')[0] for m in sys.modules} & {'pandas', 'numpy', 'sqlalchemy'}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = footprint.nothing  # type: ignore[attr-defined]
