"""Requests in quarantine: counted, bounded, flagged, and without a say over the time and memory of a computation."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from footprint.config import parse_config
from footprint.ledger.importers import import_energy, import_requests
from footprint.ledger.ledger_view import LedgerView
from footprint.queries.log_quality import log_quality
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US, compute, energy_lines, query_rows, write

FACTS = parse_config('[[host]]\nname = "a"\n[[service]]\nname = "chat"\nmodel = "m1"\ndevices = ["a/gpu:0"]\n')
HEADER = "start,end,service,use_case,requests,input_tokens,output_tokens,id"
HOUR_S = 3600


def usual_lines(count: int = 400) -> list[str]:
    rng = random.Random(3)
    lines = []
    for number in range(count):
        begin, tokens = rng.uniform(0, 4 * HOUR_S - 60), rng.randint(50, 500)
        lines.append(f"{DAY_S + begin:.3f},{DAY_S + begin + 0.5 + 0.02 * tokens:.3f},chat,usual,1,300,{tokens},u{number}")
    return lines


def figures(store: Store, folder: Path, extra: list[str]) -> dict[str, dict[str, float]]:
    folder.mkdir()
    import_energy(store, write(folder / "energy.csv", energy_lines(DAY_S, 4 * HOUR_S)), NOW_US)
    result = import_requests(store, FACTS, write(folder / "r.csv", [HEADER, *usual_lines(), *extra]), NOW_US)
    assert not result.rejects
    compute(store, FACTS)
    return {row["use_case"]: row for row in query_rows(store, FACTS, group=("use_case",))}


def kwh(row: dict[str, float]) -> float:
    return row["accelerator_active_kwh"] + row["accelerator_idle_kwh"]


@pytest.mark.parametrize(
    "odd",
    [
        f"{DAY_S + 1},{DAY_S + 14_000},chat,odd,1,10,10,x",  # a stuck one
        f"{DAY_S + 1},{DAY_S + 86_000},chat,odd,1,10,10,x",  # its end came a day late
        f"{DAY_S + 1},{DAY_S + 6 * 86_400},chat,odd,1,10,10,x",
        f"{DAY_S + 7000},{DAY_S + 7000.004},chat,odd,1,300,480,x",  # an answer from a cache, which the log does not say
        f"{DAY_S + 7000.001},{DAY_S + 7002},chat,odd,1,300,480000,x",  # tokens in thousandths
        f"{DAY_S + 7000.001},{DAY_S + 7001.5},chat,odd,1,3000000,20,x",
    ],
)
def test_an_odd_request_counts_bears_little_and_is_flagged(sqlite: Store, tmp_path: Path, odd: str) -> None:
    rows = figures(sqlite, tmp_path / "with", [odd])
    alone = figures(Store(f"sqlite:///{tmp_path}/alone.db", demo=False), tmp_path / "without", [])
    assert rows["odd"]["requests"] == 1
    assert kwh(rows["odd"]) < 0.02 * kwh(rows["usual"])
    assert kwh(rows["usual"]) == pytest.approx(kwh(alone["usual"]), rel=0.02)
    assert rows["(idle)"]["accelerator_idle_kwh"] == pytest.approx(alone["(idle)"]["accelerator_idle_kwh"], rel=0.02)
    assert "requests-in-quarantine" in rows["odd"]["flags"]  # type: ignore[operator]
    assert "requests-in-quarantine" not in alone["usual"]["flags"]  # type: ignore[operator]


def test_a_job_of_unknown_tokens_is_judged_by_its_use_case_only(sqlite: Store, tmp_path: Path) -> None:
    import_energy(sqlite, write(tmp_path / "e.csv", energy_lines(DAY_S, 4 * HOUR_S)), NOW_US)
    job, stuck = f"{DAY_S},{DAY_S + 14_000},chat,training,1,,,j", f"{DAY_S},{DAY_S + 14_000},chat,usual,1,,,s"
    import_requests(sqlite, FACTS, write(tmp_path / "r.csv", [HEADER, *usual_lines(), job, stuck]), NOW_US)
    compute(sqlite, FACTS)
    rows = {row["use_case"]: row for row in query_rows(sqlite, FACTS, group=("use_case",))}
    assert rows["training"]["accelerator_idle_kwh"] > 2 * rows["usual"]["accelerator_idle_kwh"]
    assert [row["records"] for row in log_quality(sqlite, None, None)] == [1]


def test_a_stuck_request_of_a_small_service_bears_ten_minutes(sqlite: Store, tmp_path: Path) -> None:
    import_energy(sqlite, write(tmp_path / "e.csv", energy_lines(DAY_S, 4 * HOUR_S)), NOW_US)
    lines = [HEADER, *usual_lines(5), f"{DAY_S},{DAY_S + 86_000},chat,odd,1,10,10,x"]
    import_requests(sqlite, FACTS, write(tmp_path / "r.csv", lines), NOW_US)
    compute(sqlite, FACTS)
    rows = {row["use_case"]: row for row in query_rows(sqlite, FACTS, group=("use_case",))}
    total = sum(kwh(row) for row in rows.values())
    assert kwh(rows["odd"]) < 0.06 * total  # 630 s of four hours
    assert "requests-in-quarantine" in rows["odd"]["flags"]


def test_slow_and_fast_services_are_judged_by_their_own_pace(sqlite: Store, tmp_path: Path) -> None:
    """A thousand-fold slower service, half of whose requests wait for an hour, has no odd request."""
    rng = random.Random(1)
    lines = [
        f"{DAY_S + 40 * number},{DAY_S + 40 * number + rng.choice([30, 3600]) + rng.random():.3f},chat,slow,1,100,40,s{number}"
        for number in range(300)
    ]
    import_requests(sqlite, FACTS, write(tmp_path / "r.csv", [HEADER, *lines]), NOW_US)
    compute(sqlite, FACTS)
    assert "requests-in-quarantine" not in query_rows(sqlite, FACTS, group=("use_case",))[0]["flags"]


def test_no_day_reads_the_whole_span_of_one_long_row(sqlite: Store, tmp_path: Path) -> None:
    lines = [f"{DAY_S - 40 * 86_400},{DAY_S + 86_400},chat,batch,500,1000,1000,w"]
    lines += [f"{DAY_S - day * 86_400},{DAY_S - day * 86_400 + 5},chat,usual,1,10,10,d{day}" for day in range(40)]
    import_requests(sqlite, FACTS, write(tmp_path / "r.csv", [HEADER, *lines]), NOW_US)
    with sqlite.read() as connection:
        view = LedgerView(sqlite, connection)
        fetched = []
        view.archive.requests = lambda *_: fetched.append(1) or []  # type: ignore[method-assign, func-returns-value]
        requests = view.requests("chat", DAY_S * 1_000_000, (DAY_S + 3600) * 1_000_000)
        plan = " ".join(
            str(row)
            for row in connection.exec_driver_sql(
                "EXPLAIN QUERY PLAN SELECT key FROM request WHERE service_id = 1 AND end_us - start_us > 86400000000 "
                "AND start_us >= 1 AND start_us < 2 AND end_us >= 3"
            )
        )
    assert sorted(requests.requests.tolist()) == [1, 500]
    assert "request_long" in plan


def test_findings_of_logs_are_listed_by_service_and_reason(sqlite: Store, tmp_path: Path) -> None:
    header = f"{HEADER},status,attempt"
    lines = [f"{line},," for line in usual_lines()] + [
        f"{DAY_S + 1},{DAY_S + 6 * 86_400},chat,odd,1,10,10,x1,,",
        f"{DAY_S + 1},{DAY_S + 14_000},chat,odd,1,10,5000,x2,,",
        f"{DAY_S + 9},{DAY_S + 9.004},chat,odd,1,300,48000,x3,,",
        f"{DAY_S + 9},{DAY_S + 9.004},chat,usual,1,300,480,x4,cached,",
        f"{DAY_S + 9},{DAY_S + 10},chat,usual,1,300,4,x5,error,0",
        f"{DAY_S + 10},{DAY_S + 12},chat,usual,1,300,40,x5,ok,1",
        f"{DAY_S + 10},{DAY_S + 9},chat,usual,1,300,40,x6,ok,",
    ]
    import_requests(sqlite, FACTS, write(tmp_path / "r.csv", [header, *lines]), NOW_US)
    compute(sqlite, FACTS)
    rows = log_quality(sqlite, None, None)
    assert [(row["outcome"], row["source"], row["reason"], row["records"]) for row in rows] == [
        ("quarantined", "chat", "a duration that its tokens do not explain", 1),
        ("quarantined", "chat", "far slower or faster than the others of its service", 1),
        ("quarantined", "chat", "more tokens than a model reads or writes in the time", 1),
        ("without work", "chat", "cached", 1),
        ("attempt", "chat", "another attempt answered, or followed", 1),
        ("mended", "import", "status: a request without work, whose tokens no model read or wrote", 1),
        ("refused", "import", "end: before start", 1),
    ]
    [total] = query_rows(sqlite, FACTS, group=("service",))
    assert total["requests"] == 400 + 3 + 1 + 1
    day_us = (DAY_S + 10 * 86_400) * 1_000_000
    assert {row["outcome"] for row in log_quality(sqlite, day_us, None)} == {"mended", "refused"}
