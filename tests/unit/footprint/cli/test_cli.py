"""The command line: exit statuses, formats, and one clear line for what is wrong."""

import json
from pathlib import Path

import pytest

from footprint.cli.app import status_of
from footprint.storage.database import Store
from tests.support.commands import printed_rows
from tests.support.contract_files import CONFIG, START, energy_lines, request_lines, write


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    return tmp_path


def test_the_walk_of_a_newcomer(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(home / "e.csv", energy_lines(START, 1800))
    write(home / "r.csv", request_lines(START, 1800, 20))
    assert status_of(["query"]) == 3
    Store("sqlite:///footprint.db").close()
    assert status_of(["query", "--format", "csv"]) == 7
    assert capsys.readouterr().out.startswith("period_start,period_end,requests,")
    assert status_of(["import", "energy", "e.csv"]) == 0
    assert status_of(["import", "requests", "r.csv"]) == 0
    assert status_of(["import", "energy", "e.csv"]) == 0
    assert "nothing changed" in capsys.readouterr().err
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    assert status_of(["query", "--group", "service,use_case", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["columns"][:3] == ["service", "use_case", "period_start"]
    assert sum(row["requests"] for row in document["rows"]) == 20
    assert status_of(["query", "--min-coverage", "0.999"]) == 0
    assert status_of(["query", "--format", "parquet", "--output", "out.parquet"]) == 0
    assert (home / "out.parquet").read_bytes()[:4] == b"PAR1"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["query", "--group", "colour"], 2),
        (["query", "--every", "decade"], 2),
        (["nonsense"], 2),
        (["query", "--from", "x"], 2),
        (["import", "energy", "absent.csv"], 1),
        (["import", "list"], 7),
        (["query"], 7),
        (["aggregate"], 0),
        (["factors", "show", "carbon_intensity", "FR"], 0),
        (["factors", "show", "carbon_intensity", "ZZ"], 1),
        (["token", "revoke", "nobody"], 1),
        (["query", "--config", "absent.toml"], 3),
        (["init"], 2),
    ],
)
def test_exit_statuses(home: Path, arguments: list[str], status: int) -> None:
    Store("sqlite:///footprint.db").close()
    assert status_of(arguments) == status


def test_refused_rows_are_kept_aside_and_said(home: Path) -> None:
    lines = energy_lines(START, 60)
    write(home / "e.csv", [*lines, "nonsense,a,gpu:0,gpu,,1"])
    assert status_of(["import", "energy", "e.csv"]) == 5
    kept = [json.loads(line) for line in (home / "e.csv.rejected.jsonl").read_text().splitlines()]
    assert kept == [{"line": len(lines) + 1, "column": "time", "reason": kept[0]["reason"]}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[site]]\nname = "s"\npue = 0.9\n', "footprint.toml:3"),
        ("[server]\nprot = 1\n", "footprint.toml:2"),
        ('[organisation]\nzone = "Atlantis"\n', "footprint.toml:2"),
        ('[[service]]\nname = "x"\ndevices = ["a/gpu:0"]\n[[service]]\nname = "y"\ndevices = ["a/gpu:0"]\n', "footprint.toml:6"),
    ],
)
def test_a_configuration_that_cannot_be_right_is_refused_with_its_line(
    home: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (home / "footprint.toml").write_text(text)
    assert status_of(["query"]) == 3
    assert said in capsys.readouterr().err


def test_france_ships_with_four_sources(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = printed_rows(capsys, "factors", "list", "--where", "FR")
    assert len({row["kind"] for row in rows if row["kind"].startswith("carbon_intensity")}) >= 4
    assert all(row["source"] and row["licence"] and row["retrieved"] for row in rows)
