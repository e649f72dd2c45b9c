"""Jobs: due from the store, one at a time on whichever server, written down whatever comes of them."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from footprint.cli.app import status_of
from footprint.config import parse_config
from footprint.core.records import FootprintError
from footprint.server import job_runs
from footprint.server.job_runs import JobKind, failed_run_counts, is_due, latest_runs, run_job
from footprint.server.jobs import JOBS, job_named
from footprint.server.scheduler import run_job_once
from footprint.storage.database import Store
from tests.support.commands import printed_rows
from tests.support.contract_files import CONFIG, NOW_US, START, energy_lines, request_lines, write

FACTS = parse_config("")
S = 1_000_000


def job(run: object) -> JobKind:
    return JobKind("test", 60, run)  # type: ignore[arg-type]


def test_what_is_due_comes_from_the_store(store: Store) -> None:
    one = job(lambda *_: "well")
    assert is_due(store, one, NOW_US)
    assert run_job(store, FACTS, one, NOW_US) == "well"
    assert not is_due(store, one, NOW_US + 59 * S)
    assert is_due(store, one, NOW_US + 60 * S)
    again = Store(store.url)  # a restart forgets nothing
    assert not is_due(again, one, NOW_US + 59 * S)
    again.close()


def test_of_two_servers_one_does_it(store: Store) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> str:
        inside.set()
        go_on.wait(30)
        return "done"

    said: list[str | None] = []
    other = Store(store.url)
    first = threading.Thread(target=lambda: said.append(run_job(store, FACTS, job(slow), NOW_US)))
    first.start()
    inside.wait(30)
    assert run_job(other, FACTS, job(lambda *_: "twice"), NOW_US) is None
    go_on.set()
    first.join()
    assert said == ["done"]
    assert run_job(other, FACTS, job(lambda *_: "next"), NOW_US) == "next"
    other.close()


def test_failures_and_cuts_are_written_down(store: Store) -> None:
    def bad(*_: object) -> str:
        raise FootprintError("the grid does not answer")

    with pytest.raises(FootprintError):
        run_job(store, FACTS, job(bad), NOW_US)
    (run,) = latest_runs(store)
    assert (run["status"], run["said"]) == ("failed", "FootprintError: the grid does not answer")
    job_runs._start_run(store, "test", NOW_US)  # and the power goes
    assert (latest_runs(store)[0]["status"], latest_runs(store)[0]["said"]) == ("failed", "cut off")
    with store.exclusive_lock("test"):
        assert latest_runs(store)[0]["status"] == "running"
    run_job(store, FACTS, job(lambda *_: "well"), NOW_US + S)
    runs = latest_runs(store, all_runs=True)
    assert [run["status"] for run in runs] == ["done", "failed", "failed"]
    assert runs[1]["said"] == "cut off"
    assert failed_run_counts(store) == {"test": 2}
    for number in range(job_runs.MAX_RUNS + 5):
        run_job(store, FACTS, job(lambda *_: "well"), NOW_US + number)
    assert len(latest_runs(store, all_runs=True)) <= job_runs.MAX_RUNS + 1


def test_progress_is_told_while_a_job_runs(sqlite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_runs, "PROGRESS_INTERVAL_US", 0)
    seen = []

    def telling(store: Store, _config: object, _now: int, tell: job_runs.ReportProgress) -> str:
        tell("host a 2026-07-01")
        seen.append(latest_runs(store)[0]["said"])
        return "well"

    run_job(sqlite, FACTS, job(telling), NOW_US)
    assert seen == ["host a 2026-07-01"]


def test_a_lock_ends_with_its_process(store: Store) -> None:
    code = (
        "import sys, time; from footprint.storage.database import Store\n"
        "with Store(sys.argv[1]).exclusive_lock('test') as mine:\n    print(mine, flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, store.url], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "True"
    with store.exclusive_lock("test") as mine:
        assert not mine
    child.kill()
    child.wait()
    with store.exclusive_lock("test", wait=True) as mine:
        assert mine


def test_every_job_runs_and_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    assert status_of(["jobs"]) == 3
    assert not (tmp_path / "footprint.db").exists()
    assert status_of(["import", "energy", write(tmp_path / "e.csv", energy_lines(START, 7200, 60))]) == 0
    assert status_of(["import", "requests", write(tmp_path / "r.csv", request_lines(START, 7200, 20))]) == 0
    for each in JOBS:
        assert run_job_once("footprint.toml", each.name) is not None
    assert run_job_once("footprint.toml", "seal", only_if_due=True) is None
    capsys.readouterr()
    rows = {row["job"]: row for row in printed_rows(capsys, "jobs")}
    assert {name: row["status"] for name, row in rows.items()} == dict.fromkeys([each.name for each in JOBS], "done")
    assert "computed" in rows["aggregate"]["said"]
    assert rows["seal"]["duration_s"] >= 0
    assert status_of(["jobs", "--run", "verify"]) == 0
    assert status_of(["ledger", "verify"]) == 0
    assert status_of(["jobs", "--run", "nothing"]) == 1
    with pytest.raises(FootprintError, match="there are aggregate"):
        job_named("nothing")
