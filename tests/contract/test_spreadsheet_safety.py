"""Every CSV that the program writes, over a store of hostile names: no cell is a formula, and nothing reaches a terminal raw.

The commands and the routes are enumerated from the program itself; the annexes are those of a published edition.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from footprint.cli.app import status_of
from footprint.config import load_config, parse_config
from footprint.core.csv_text import csv_text, plain_text, safe_cell
from footprint.core.limits import printable
from footprint.core.table_output import Format, render
from footprint.core.timestamps import now_us
from footprint.impact.factor_book import COLUMNS, parse_factors
from footprint.ledger.importers import import_requests
from footprint.storage.database import Store
from tests.support.contract_files import CONFIG, START, energy_lines, request_lines, write
from tests.support.services import api_over, local_client
from tests.unit.footprint.cli.test_untouched_stores import COMMANDS as PROGRAM
from tests.unit.footprint.cli.test_untouched_stores import words_of

FORMULAS = (
    '=HYPERLINK("http://x.example";"y")',
    "-2+3+cmd|' /C calc'!A0",
    "+SUM(1,2)",
    "@SUM(A1)",
    "\uff1d1+1",
    '"=1+1',
    " =1+1",
)
TERMINAL = "\x1b[2Jname\x9b31m\u202e"
_RISKY = re.compile("[\\s\"'\u201c\u00ab]*[=+@\uff1d\uff0b\uff20-]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?\s?[\d.,\s\u202f\u00a0]+(e[+-]?\d+)?\s?[%\w/·]*", re.IGNORECASE)


def dangerous(cell: str) -> bool:
    """Whether a spreadsheet might run a cell; written apart from the code under test."""
    return bool(_RISKY.match(cell)) and not cell.startswith("'") and not _NUMBER.fullmatch(cell)


def assert_harmless(content: str, where: str) -> int:
    cells = [cell for row in csv.reader(io.StringIO(content, newline="")) for cell in row]
    assert not [cell for cell in cells if dangerous(cell)], where
    return sum(any(name in cell for name in FORMULAS) for cell in cells)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder, before = tmp_path_factory.mktemp("hostile"), Path.cwd()
    os.chdir(folder)
    (folder / "footprint.toml").write_text(CONFIG + '\n[[objective]]\nname = "=1+1"\nmetric = "requests"\nat_most = 1\n')
    assert status_of(["import", "energy", write(folder / "e.csv", energy_lines(START, 7200, 60))]) == 0
    assert status_of(["import", "requests", write(folder / "r.csv", request_lines(START, 7200, 20))]) == 0
    # Names from before the doors refused them, or that they take: in the store, not through a door.
    store = Store("sqlite:///footprint.db")
    with store.begin() as connection:
        names = connection.execute(text("SELECT id, text FROM name ORDER BY id")).all()
        used = {row.text for row in names}
        number = 0
        for row in names:
            if row.text in ("drafting", "search", "small", "chat-large", "chat") or row.text.startswith("use"):
                hostile = (FORMULAS[number % len(FORMULAS)] + " ") + ("" if number < len(FORMULAS) else str(number))
                hostile = hostile if number % 2 else hostile.strip() if hostile.strip() not in used else hostile
                connection.execute(text("UPDATE name SET text = :text WHERE id = :id"), {"text": hostile, "id": row.id})
                number += 1
        connection.execute(text("UPDATE batch SET name = :text"), {"text": FORMULAS[0]})
        assert number
    store.close()
    assert status_of(["aggregate", "--all"]) == 0
    yield folder
    os.chdir(before)


def csv_commands() -> list[str]:
    return sorted(path for path, command in PROGRAM.items() if any(p.name == "form" for p in command.params))


@pytest.mark.parametrize("path", csv_commands())
def test_no_command_prints_a_formula(path: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if path in ("measure", "bench-model run"):
        pytest.skip("needs a sensor, or a model")
    capsys.readouterr()
    words = words_of(path, PROGRAM[path])
    if any(p.name == "group" for p in PROGRAM[path].params) and path != "uncertainty":
        words += ["--group", "service,use_case,model"]
    assert status_of([*words, "--format", "csv"]) in (0, 1, 2, 5, 6, 7)
    assert_harmless(capsys.readouterr().out, path)


def test_the_names_stand_in_the_answers_at_all(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert status_of(["query", "--group", "service,use_case,model", "--format", "csv"]) == 0
    out = capsys.readouterr().out
    assert assert_harmless(out, "query") > 0
    assert status_of(["query", "--group", "service,use_case,model", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    written = list(csv.DictReader(io.StringIO(out)))
    assert [{name: plain_text(row[name]) for name in ("service", "use_case", "model")} for row in written] == [
        {name: row[name] or "" for name in ("service", "use_case", "model")} for row in rows
    ]
    for row, line in zip(rows, written, strict=True):
        for name, value in row.items():
            if isinstance(value, float):
                assert float(line[name]) == value


def test_no_route_sends_a_formula(home: Path) -> None:
    facts = load_config()
    store = Store(facts.store_url)
    client = local_client(api_over(store, facts, now_us))
    routes = [path for path in client.get("/api/v1/openapi.json").json()["paths"] if "{" not in path and "ingest" not in path]
    answered = 0
    for path in routes:
        for query in ("format=csv", "format=csv&group=service,use_case,model", "format=csv&group=use_case&every=day"):
            answer = client.get(f"{path}?{query}")
            if answer.headers.get("content-type", "").startswith("text/csv"):
                answered += 1
                assert_harmless(answer.text, f"{path}?{query}")
    assert answered >= 5
    store.close()


def test_no_annex_of_an_edition_holds_a_formula(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["report", "build", time.strftime("%Y", time.gmtime(START)), "--output", "draft"]) == 0
    files = 0
    with zipfile.ZipFile("draft/annexes.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".csv"):
                files += 1
                assert_harmless(archive.read(name).decode(), name)
    assert files >= 5


@given(
    st.one_of(
        st.text(), st.builds(lambda head, tail: head + tail, st.sampled_from([*FORMULAS, "'", '"', "\t", "=", "-"]), st.text())
    )
)
def test_any_text_comes_back_and_is_no_formula(name: str) -> None:
    cell = safe_cell(name)
    assert plain_text(cell) == name
    assert not dangerous(cell)
    assert cell in (name, f"'{name}")


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers())
def test_numbers_stay_numbers(real: float, whole: int) -> None:
    (row,) = list(csv.reader(io.StringIO(csv_text(["a"], [[real, whole, None, str(real), f"{whole:+d} %"]]))))[1:]
    assert (float(row[0]), int(row[1]), row[2], row[3], row[4]) == (real, whole, "", str(real), f"{whole:+d} %")


@given(st.text())
def test_no_form_brings_control_characters_to_a_terminal(name: str) -> None:
    rows: list[dict[str, Any]] = [{"name": name + TERMINAL, "value": 1.5}]
    shown = render(["name", "value"], rows, Format.table).decode()
    assert printable(shown.replace("\n", "")) == shown.replace("\n", "")
    assert len(shown.splitlines()) == 2
    document = render(["name", "value"], rows, Format.json).decode()
    assert printable(document.rstrip("\n")) == document.rstrip("\n")
    assert json.loads(document)["rows"] == rows


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_real_terminal_gets_no_escape_sequence(form: str, home: Path) -> None:
    store = Store("sqlite:///footprint.db")
    with store.begin() as connection:
        connection.execute(text("UPDATE batch SET name = :text"), {"text": TERMINAL})
    store.close()
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "footprint.cli", "import", "list", "--format", form]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm"}
    process = subprocess.Popen(command, stdout=child, stderr=child, cwd=home, env=environment)
    os.close(child)
    chunks = []
    while True:
        try:
            data = os.read(parent, 65536)
        except OSError:
            break
        if not data:
            break
        chunks.append(data)
    assert process.wait() == 0
    out = b"".join(chunks).decode().replace("\r\n", "\n")
    assert "name" in out
    assert printable(out.replace("\n", "")) == out.replace("\n", "")


def test_a_file_of_ours_is_read_back_with_the_names_that_it_was_written_of(sqlite: Store, tmp_path: Path) -> None:
    columns = ["start", "end", "service", "use_case", "model", "requests", "id"]
    names = [name for name in FORMULAS if not name.startswith(" ")]
    rows = [[START + n, START + n + 1, "chat", name, "m1", 1, f"r{n}"] for n, name in enumerate(names)]
    (tmp_path / "r.csv").write_text(csv_text(columns, rows))
    result = import_requests(sqlite, parse_config(CONFIG), str(tmp_path / "r.csv"), now_us())
    with sqlite.read() as connection:
        stored = set(connection.execute(text("SELECT text FROM name")).scalars())
    refused = len(list(result.rejects))  # a door may refuse a name; it takes no other one in its place
    assert len(stored & set(names)) + refused == len(names)
    assert not any(name.startswith("'") for name in stored)
    assert stored & set(names)


def test_factors_are_read_back_with_their_texts(tmp_path: Path) -> None:
    values = dict.fromkeys(COLUMNS, "") | {"kind": "carbon_intensity", "where": "FR", "valid_from": "2026-01-01", "value": 40.0}
    values |= {"unit": "g/kWh", "source": "=1+1", "licence": "@x", "retrieved": "2026-01-01", "bundle": "b"}
    (factor,) = parse_factors(csv_text(list(values), [list(values.values())]).splitlines(), "f", "b")
    assert (factor.source, factor.licence) == ("=1+1", "@x")
