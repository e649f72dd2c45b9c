"""Distinct users are counted where a log is read, by cell with its margins; who they are is kept nowhere."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from footprint.core.log_formats import load_map
from footprint.core.user_counts import DistinctUsers
from footprint.ledger.importers import import_users
from footprint.storage.database import Store
from tests.support.contract_files import NOW_US

MAP = load_map("litellm")
LAST_SECOND = 1_790_805_600  # 2026-10-01T00:00 in Paris, 22:00 UTC on 30 September
NAMES = ("Hortense", "Barnabé", "Clotilde")


def payload(user: str | None, at_s: float, use_case: str, tokens: int, team: str = "") -> dict[str, Any]:
    return {
        "startTime": at_s - 1,
        "endTime": at_s,
        "model_group": "m",
        "prompt_tokens": tokens,
        "completion_tokens": 0,
        "end_user": user,
        "status": "success",
        "litellm_call_id": f"{at_s}{use_case}",
        "metadata": {"requester_metadata": {"use_case": use_case}, "user_api_key_team_alias": team},
    }


def rows_of(*payloads: dict[str, Any]) -> dict[tuple[str, str, str], tuple[Any, Any, Any]]:
    users = DistinctUsers(MAP, ZoneInfo("Europe/Paris"), {"m": "chat"})
    for document in payloads:
        (row,) = MAP.mapped(document)
        users.add(document, row)
    return {(r["period"], r["service"], r["use_case"]): (r["users"], r["max_share"], r["teams"]) for r in users.rows()}


def test_counts_are_distinct_in_each_cell_and_each_margin() -> None:
    at = LAST_SECOND - 86_400
    rows = rows_of(
        payload("Hortense", at, "drafting", 60, "A"),
        payload("Hortense", at + 9, "drafting", 10, "A"),
        payload("Barnabé", at, "drafting", 30, "B"),
        payload("Hortense", at, "search", 100, "A"),
    )
    assert rows["2026-09", "chat", "drafting"] == (2, 0.7, 2)
    assert rows["2026-Q3", "chat", "search"] == (1, 1.0, 1)
    assert rows["2026-Q3", "chat", ""] == rows["2026-Q3", "", ""] == (2, 0.85, 2)  # not 3
    assert len(rows) == 2 * (2 * 3)


def test_months_are_cut_in_the_organisations_zone() -> None:
    rows = rows_of(payload("Hortense", LAST_SECOND - 1, "u", 1), payload("Hortense", LAST_SECOND + 1, "u", 1))
    assert {period for period, _, _ in rows} == {"2026-09", "2026-Q3", "2026-10", "2026-Q4"}


def test_what_cannot_be_counted_is_not_guessed() -> None:
    users = DistinctUsers(MAP, ZoneInfo("UTC"), {})
    given = payload(None, LAST_SECOND, "u", 0)
    users.add(given, MAP.mapped(given)[0])
    assert (users.unnamed, list(users.rows())) == (1, [])
    assert rows_of(payload("Hortense", LAST_SECOND, "u", 0))["2026-Q4", "chat", "u"] == (1, "", "")


def test_two_counts_of_one_log_share_no_digest() -> None:
    first, second = DistinctUsers(MAP, ZoneInfo("UTC"), {}), DistinctUsers(MAP, ZoneInfo("UTC"), {})
    assert first._digest("Hortense") == first._digest("Hortense") != second._digest("Hortense")


def test_from_a_log_to_the_ledger_no_name_is_kept(sqlite: Store, tmp_path: Path) -> None:
    lines = [json.dumps(payload(name, LAST_SECOND - 100 - n, "u", 5 * (n + 1), "Brigade")) for n, name in enumerate(NAMES)]
    (tmp_path / "log.jsonl").write_text("\n".join([*lines, json.dumps(payload(None, LAST_SECOND, "u", 1))]) + "\n")
    (tmp_path / "footprint.toml").write_text('[[service]]\nname = "chat"\nmodel = "m"\n')
    command = [sys.executable, "-m", "collectors", "read", "--as", "litellm", "--users", "users.csv", "log.jsonl"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(Path.cwd())}, capture_output=True, text=True, check=True
    )
    assert "1 requests name no user" in done.stderr
    with (tmp_path / "users.csv").open() as file:
        cells = {(row["period"], row["service"], row["use_case"]): row for row in csv.DictReader(file)}
    assert cells["2026-Q3", "chat", "u"]["users"] == "3"
    assert float(cells["2026-Q3", "chat", "u"]["max_share"]) == 0.5
    assert not any(name in done.stdout + (tmp_path / "users.csv").read_text() for name in (*NAMES, "Brigade"))
    assert not import_users(sqlite, str(tmp_path / "users.csv"), NOW_US).rejects
