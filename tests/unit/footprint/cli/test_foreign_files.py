"""Files of other tools and of spreadsheets, from the command line: what is read, what is refused with which remedy, and the exit status."""

import sqlite3
from pathlib import Path

import pytest

from footprint.cli.app import status_of
from tests.support.map_fixtures import FOLDER

HEAD = "time;host;device;component;power_w\n"
CONFIG = '[store]\nurl = "sqlite:///store.db"\n[[service]]\nname = "chat"\nmodel = "m"\n'
MIDNIGHT_S = 1_791_928_800  # 2026-10-14T00:00 in Paris


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "footprint.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def readings(home: Path) -> list[tuple[int, int]]:
    """(time [s], value [µW]) of the readings in the store."""
    with sqlite3.connect(home / "store.db") as connection:
        return [
            (at_us // 10**6, value) for at_us, value in connection.execute("SELECT time_us, value FROM reading ORDER BY time_us")
        ]


def test_an_nvidia_smi_file_comes_in_with_one_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "import",
        "energy",
        "--as",
        "nvidia-smi",
        "--host",
        "inf-01",
        "--timezone",
        "Europe/Paris",
        str(FOLDER / "nvidia-smi.csv"),
    ]
    assert status_of(command) == 0
    assert readings(home) == [(MIDNIGHT_S, 87_320_000), (MIDNIGHT_S + 5, 83_560_000)]
    printed = capsys.readouterr().err
    assert "2 new" in printed
    assert "1 left out by the map: no reading in the line" in printed
    assert status_of(command) == 0
    assert "2 already known" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "status", "words"), [
    ([], 2, "the map nvidia-smi reads no host; name it: --host NAME"),
    (["--host", "h"], 1, "time without a zone"),
    (["--host", "h", "--timezone", "Mars"], 2, "no time zone is named 'Mars'"),
])  # fmt: skip
def test_what_the_file_does_not_say_is_asked_for(
    home: Path, capsys: pytest.CaptureFixture[str], options: list[str], status: int, words: str
) -> None:
    assert status_of(["import", "energy", "--as", "nvidia-smi", *options, str(FOLDER / "nvidia-smi.csv")]) == status
    assert words in capsys.readouterr().err


def test_a_map_of_the_other_kind_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["import", "requests", "--as", "nvidia-smi", "x.csv"]) == 2
    assert "footprint import energy --as nvidia-smi" in capsys.readouterr().err
    assert status_of(["import", "energy", "--as", "litellm", "x.jsonl"]) == 2
    assert status_of(["import", "requests", "--as", "mooncake", str(FOLDER / "mooncake.jsonl")]) == 3
    assert "--origin" in capsys.readouterr().err


@pytest.mark.parametrize(("content", "encoding"), [
    (HEAD + "2026-10-14 00:00:00+02:00;h;gpu:0;gpu;100,5\n", "utf-8"),
    (HEAD + "2026-10-14 00:00:00+02:00;hôte;gpu:0;gpu;100,5\n", "cp1252"),
    ("sep=;\n" + HEAD + "2026-10-14 00:00:00+02:00;h;gpu:0;gpu;100,5\n", "utf-8-sig"),
    (HEAD.upper() + "2026-10-14 00:00:00+02:00;h;gpu:0;gpu;100,5\r\n", "utf-16"),
    (HEAD.replace(";", "\t") + "2026-10-14 00:00:00+02:00\th\tgpu:0\tgpu\t100,5\n", "utf-8"),
    (HEAD + '"2026-10-14 00:00:00+02:00";"h";"gpu:0";"gpu";"100,5"\n', "utf-8"),
])  # fmt: skip
def test_tables_of_spreadsheets_in_french(home: Path, content: str, encoding: str) -> None:
    (home / "table.csv").write_bytes(content.encode(encoding))
    assert status_of(["import", "energy", "table.csv"]) == 0
    assert readings(home) == [(MIDNIGHT_S, 100_500_000)]


def test_zone_less_times_and_dates_with_slashes_need_a_word(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "table.csv").write_text(HEAD + "14/10/2026 00:00:00;h;gpu:0;gpu;100\n05/10/2026 00:00:00;h;gpu:0;gpu;100\n")
    assert status_of(["import", "energy", "table.csv"]) == 1
    assert "--dates dmy or mdy" in capsys.readouterr().err
    assert status_of(["import", "energy", "--dates", "dmy", "table.csv"]) == 1
    assert "--timezone" in capsys.readouterr().err
    assert status_of(["import", "energy", "--dates", "dmy", "--timezone", "Europe/Paris", "table.csv"]) == 0
    assert readings(home) == [(MIDNIGHT_S - 9 * 86_400, 100_000_000), (MIDNIGHT_S, 100_000_000)]
    assert status_of(["import", "energy", "--dates", "ymd", "table.csv"]) == 2


def test_an_hour_that_clocks_show_twice_is_refused_and_the_rest_is_taken(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"2026-10-25 0{hour}:30:00,h,gpu:0,gpu,100\n" for hour in (1, 2, 3)]
    (home / "table.csv").write_text(HEAD.replace(";", ",") + "".join(rows))
    assert status_of(["import", "energy", "--timezone", "Europe/Paris", "table.csv"]) == 5
    assert "occurs twice" in capsys.readouterr().err
    assert len(readings(home)) == 2


def test_columns_that_are_not_read_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "r.csv").write_text("start,duration_s,service,use_case,alice@example.org\n2026-10-14T00:00:25+02:00,3,chat,hr,1\n")
    assert status_of(["import", "requests", "r.csv"]) == 0
    printed = capsys.readouterr().err
    assert "r.csv: not read: duration_s\n" in printed
    assert "alice" not in printed
    (home / "r.jsonl").write_text('{"start": "2026-10-14T00:00:25Z", "service": "chat", "use_case": "hr", "latency": 3}\n')
    assert status_of(["import", "requests", "r.jsonl"]) == 0
    assert "not read: latency" in capsys.readouterr().err


@pytest.mark.parametrize("as_", [[], ["--as", "litellm"], ["--as", "langfuse"], ["--as", "nginx"]])
def test_a_text_log_says_what_it_is_and_nothing_taken_is_a_failure(
    home: Path, capsys: pytest.CaptureFixture[str], as_: list[str]
) -> None:
    line = '127.0.0.1 - - [12/Mar/2025:16:24:57 +0530] "POST /v1 HTTP/1.1" 200 349 1.088 "-" "curl/8.9.1"\n'
    for content in (line, line * 3):
        (home / "access.log").write_text(content)
        assert status_of(["import", "requests", *as_, "access.log"]) == 1
        assert "text access log" in capsys.readouterr().err


def test_an_unknown_log_comes_in_by_a_guess(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A newcomer's three commands; the prompt, the user and the answer are shown nowhere."""
    rows = [
        f'{{"ts": "2026-10-14T00:0{n}:09.787+02:00", "latency_ms": {2475 + n}, "model": "m", "app": "hr-chat", "user": "u{n}@example.org", '
        f'"status": 200, "usage": {{"prompt_tokens": {275 + n}, "completion_tokens": 121}}, "prompt": "SECRET", "answer": {{"text": "SECRET"}}}}\n'
        for n in range(9)
    ]
    (home / "gateway.jsonl").write_text("".join(rows))
    assert status_of(["maps", "guess", "gateway.jsonl", "--output", "gateway.toml"]) == 0
    assert status_of(["maps", "check", "gateway.toml", "gateway.jsonl"]) == 0
    printed = capsys.readouterr()
    assert "2026-10-13T22:00:07.312Z" in printed.err
    assert "SECRET" not in printed.err + printed.out + (home / "gateway.toml").read_text()
    assert "example.org" not in printed.err + printed.out
    assert status_of(["import", "requests", "--as", "gateway.toml", "gateway.jsonl"]) == 0
    with sqlite3.connect(home / "store.db") as connection:
        sums = connection.execute("SELECT count(*), sum(input_tokens), min(end_us - start_us) FROM request").fetchone()
    assert sums == (9, 2511, 2_475_000)


@pytest.mark.parametrize(("file", "name"), [("litellm-spend.json", "litellm-spend"), ("kong.jsonl", "kong"), ("openai-usage.json", "openai-usage"),
    ("nvidia-smi.csv", "nvidia-smi"), ("burstgpt.csv", "burstgpt"), ("langfuse.csv", "langfuse")])  # fmt: skip
def test_a_guess_names_the_shipped_map_that_reads_a_log(
    home: Path, capsys: pytest.CaptureFixture[str], file: str, name: str
) -> None:
    assert status_of(["maps", "guess", str(FOLDER / file)]) == 0
    assert f"the shipped map {name} reads it" in capsys.readouterr().err


def test_maps_are_listed_shown_and_checked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["maps", "list", "--format", "csv"]) == 0
    assert "\nlitellm,requests," in capsys.readouterr().out
    assert status_of(["maps", "show", "ollama"]) == 0
    assert "prompt_eval_count" in capsys.readouterr().out
    (home / "own.toml").write_text("[fields]\nstart = 3\n")
    assert status_of(["maps", "check", "own.toml"]) == 3
    assert "own.toml: [fields] start: 3 is neither a path nor a table" in capsys.readouterr().err
    (home / "own.toml").write_text('[fields]\nstart = "t"\nmodel = "m"\ninput_tokens = "n"\n')
    (home / "log.jsonl").write_text('{"t": "2026-07-01T00:00:00Z", "m": "m", "n": 3}\n{"t": "x", "m": "m", "n": 3}\nno json\n')
    assert status_of(["maps", "check", "own.toml", "log.jsonl"]) == 5
    printed = capsys.readouterr().err
    assert "log.jsonl: 1 rows, 2 lines that cannot be read" in printed
    assert not (home / "store.db").exists()
