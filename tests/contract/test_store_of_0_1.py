"""A store, sealed days and an edition that release 0.1 made: every later release reads them.

Opening the store changes no figure. A release that changes the method or its fingerprints computes the days again, once, when
`aggregate` runs, and the published edition stays what it was; the tests follow that release's CHANGELOG.
"""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from footprint.cli.app import status_of

FIXTURE = Path(__file__).parents[1] / "fixtures" / "store-0.1"
NAMES = ("service", "use_case", "host", "period_start", "period_end", "quality", "flags")  # texts; all else are numbers


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURE / "store.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    with contextlib.chdir(folder / "store-0.1"):
        assert status_of(["query"]) == 3
        assert status_of(["store", "upgrade"]) == 0
    return folder / "store-0.1"


@pytest.fixture(scope="module")
def updated(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The organisation after this release has looked at every day."""
    folder = tmp_path_factory.mktemp("updated") / "home"
    shutil.copytree(unpacked, folder)
    with contextlib.chdir(folder):
        assert status_of(["aggregate"]) == 0
    return folder


@pytest.fixture
def home(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the organisation, as the working folder: the store names its sealed days relative to it."""
    return _working_copy(unpacked, tmp_path / "home", monkeypatch)


@pytest.fixture
def updated_home(updated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the updated organisation, as the working folder."""
    return _working_copy(updated, tmp_path / "home", monkeypatch)


def _working_copy(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(source, folder)
    monkeypatch.chdir(folder)
    return folder


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints, once it succeeded."""
    capsys.readouterr()
    status = status_of(list(arguments))
    out, err = capsys.readouterr()
    assert status == 0, (arguments, out, err)
    return out + err


def test_upgrading_the_store_changes_no_figure_and_aggregate_restates_every_day(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Release 0.3 has method 3.0; a second run has nothing left to do."""
    before = figures_by_month(capsys)
    assert {row["method_version"] for row in before} == {"2.0"}
    assert run_command(capsys, "aggregate").startswith("207 days of hosts and services computed")
    after = figures_by_month(capsys)
    assert {row["method_version"] for row in after} == {"3.0"}
    assert [row["requests"] for row in after] == [row["requests"] for row in before]
    total = [sum(float(row["energy_kwh"]) for row in rows) for rows in (before, after)]
    assert total[1] == pytest.approx(total[0], rel=1e-9)
    assert run_command(capsys, "aggregate").startswith("0 days of hosts and services computed")


def test_days_computed_again_are_stored_as_they_were(updated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def stored() -> list[list[tuple[object, ...]]]:
        with closing(sqlite3.connect("store.db")) as connection:
            return [
                connection.execute(question).fetchall()
                for question in (
                    "SELECT digest, content FROM basis ORDER BY digest",
                    "SELECT members, day, fingerprint FROM shard ORDER BY members, day",
                    "SELECT stream_key, day, inputs FROM statistics ORDER BY stream_key, day",
                )
            ]

    before = stored()
    assert not run_command(capsys, "aggregate", "--from", "2026-07-20", "--to", "2026-07-24").startswith("0 days")
    assert stored() == before


def test_sealed_days_and_balances_are_as_they_were(updated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "as it was sealed, and every balance closes" in run_command(capsys, "ledger", "verify")


def verified_edition(capsys: pytest.CaptureFixture[str], status: int) -> dict[str, str]:
    """What `report verify` compares, and whether it is the same."""
    capsys.readouterr()
    assert status_of(["report", "verify", "2026-Q3", "--format", "csv"]) == status
    printed = capsys.readouterr().out
    rows = csv.DictReader(io.StringIO(printed[printed.index("what,") :]))
    return {row["what"]: row["same"] for row in rows if row["same"]}


def test_the_published_edition_is_built_again_with_the_same_bytes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = verified_edition(capsys, 0)
    assert same.keys() >= {"report", "report.json", "annexes.zip", "diff.csv", "fr/report.html", "en/report.html"}
    assert set(same.values()) == {"True"}


def test_the_published_edition_outlasts_the_method(updated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After the days were restated, its bytes are the same, and it says that method and inputs have changed since."""
    same = verified_edition(capsys, 6)
    assert {what for what, equal in same.items() if equal != "True"} == {"method_version", "inputs"}
    assert same["report.json"] == same["annexes.zip"] == "True"


def test_files_that_were_lost_are_written_again_with_the_same_bytes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = [path for path in (home / "store.editions").rglob("*") if path.name in ("annexes.zip", "report.html", "report.pdf")]
    assert len(lost) >= 3
    for path in lost:
        path.unlink()
    printed = run_command(capsys, "report", "verify", "2026-Q3", "--format", "csv")
    assert "False" not in printed, printed


def figures_by_month(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    capsys.readouterr()
    assert status_of(["query", "--group", "service,use_case,host", "--every", "month", "--format", "csv"]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_figures_are_those_of_0_1(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = figures_by_month(capsys)
    wanted = list(csv.DictReader((FIXTURE / "figures.csv").open(encoding="utf-8", newline="")))
    assert len(rows) == len(wanted) > 20, [row for row in rows if not row["method_version"]][:3]
    for row, golden in zip(rows, wanted, strict=True):
        for name, value in golden.items():
            try:
                number = float(value)
            except ValueError:
                assert row[name] == value, (golden, name)
            else:
                assert float(row[name]) == pytest.approx(number, rel=1e-12, abs=0), (golden, name)


def test_the_benchmark_result_is_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(run_command(capsys, "bench-model", "list", "--format", "csv"))))
    assert [(row["model"], row["concurrency"]) for row in rows] == [("small", "1"), ("small", "8"), ("small", "32")]
