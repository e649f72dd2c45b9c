"""A log with mutated rows: every row is taken, refused or in quarantine, and the shares of the others stay where they were.

Fields are scaled, shifted, repeated, cut and mistyped. No row makes a traceback, or moves the share of a use case by more than its
interval and the share of the mutated rows themselves.
"""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from footprint.config import parse_config
from footprint.ledger.importers import import_energy, import_requests
from footprint.ledger.ingest import IngestService
from footprint.queries.log_quality import log_quality
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US, compute, energy_lines, query_rows, write

FACTS = parse_config('[[host]]\nname = "a"\n[[service]]\nname = "chat"\nmodel = "m1"\ndevices = ["a/gpu:0", "a/gpu:1"]\n')
HOURS, ROWS, MUTATED = 4, 1200, 12
Row = dict[str, Any]


def clean_rows(seed: int) -> list[Row]:
    rng = random.Random(seed)
    rows = []
    for number in range(ROWS):
        begin, tokens = DAY_S + rng.uniform(0, HOURS * 3600 - 120), rng.randint(20, 600)
        seconds = 0.4 + 0.02 * tokens * rng.uniform(0.8, 2.5)
        rows.append(
            {
                "start": round(begin, 3),
                "first_token": round(begin + 0.3, 3),
                "end": round(begin + seconds, 3),
                "service": "chat",
                "use_case": ("drafting", "coding", "search")[number % 3],
                "input_tokens": rng.randint(20, 3000),
                "output_tokens": tokens,
                "id": f"r{number}",
                "status": "ok",
            }
        )
    return rows


def scaled(row: Row, rng: random.Random) -> Row:
    name = rng.choice(["start", "end", "first_token", "input_tokens", "output_tokens"])
    return row | {name: round(row[name] * rng.choice([0.001, 60, 1000, 1_000_000]))}


def shifted(row: Row, rng: random.Random) -> Row:
    seconds = rng.choice([-1, 1]) * rng.choice([5, 3600, 7200, 86_400, 5 * 86_400])
    return row | {name: row[name] + seconds for name in rng.choice([["end"], ["start"], ["first_token"]])}


def retried(row: Row, _: random.Random) -> Row:
    return row | {"status": "error", "output_tokens": 0, "end": row["start"] + 0.1}


def repeated(row: Row, rng: random.Random) -> Row:
    return row | {"output_tokens": row["output_tokens"] + rng.choice([0, 1])}


def cut(row: Row, rng: random.Random) -> str:
    text = json.dumps(row)
    return text[: rng.randrange(1, len(text))]


def mistyped(row: Row, rng: random.Random) -> Row:
    value = rng.choice(["", "None", "n/a", -1, 1e300, True, [1], {"a": 1}, "2026-07-01 08:00", "12 500", "0x10", None])
    return row | {rng.choice(sorted(row)): value}


MUTATIONS: dict[str, Callable[[Row, random.Random], Row | str]] = {
    "scaled": scaled,
    "shifted": shifted,
    "retried": retried,
    "repeated": repeated,
    "cut": cut,
    "mistyped": mistyped,
}


def lines_of(seed: int, name: str) -> tuple[list[str], int]:
    """Lines of a log some of whose rows are mutated (a repeat and a retry stand beside their row), and how many there are."""
    rng, rows = random.Random(seed), clean_rows(seed)
    lines: list[str] = []
    chosen = set(rng.sample(range(ROWS), MUTATED))
    for number, row in enumerate(rows):
        mutated = MUTATIONS[name](row, rng) if number in chosen else None
        if mutated is not None:
            lines.append(mutated if isinstance(mutated, str) else json.dumps(mutated))
        if mutated is None or name in ("retried", "repeated"):
            lines.append(json.dumps(row))
    return lines, len(lines)


def shares_of(store: Store) -> dict[str, tuple[float, float]]:
    """Share of each use case in the energy that requests bear, and the half-width of its interval."""
    rows = [row for row in query_rows(store, FACTS, group=("use_case",)) if not row["use_case"].startswith("(")]
    total = sum(row["energy_kwh"] for row in rows)
    return {
        row["use_case"]: (row["energy_kwh"] / total, (row["energy_high_kwh"] - row["energy_low_kwh"]) / 2 / total) for row in rows
    }


@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_row_has_an_outcome_and_the_shares_of_the_others_hold(tmp_path: Path, name: str, seed: int) -> None:
    stores = [Store(f"sqlite:///{tmp_path}/{which}.db", demo=False) for which in ("clean", "mutated")]
    energy = write(tmp_path / "energy.csv", energy_lines(DAY_S, HOURS * 3600))
    lines, count = lines_of(seed, name)
    clean = write(tmp_path / "clean.jsonl", [json.dumps(row) for row in clean_rows(seed)])
    mutated = write(tmp_path / "mutated.jsonl", lines)
    results = []
    for store, path in zip(stores, (clean, mutated), strict=True):
        import_energy(store, energy, NOW_US)
        results.append(import_requests(store, FACTS, path, NOW_US))
        compute(store, FACTS)
    result = results[1]
    assert result.accepted + result.duplicates + len(result.rejects) == count
    assert all(reject.reason for reject in result.rejects)
    quarantined = sum(row["records"] for row in log_quality(stores[1], None, None) if row["outcome"] == "quarantined")
    assert quarantined <= MUTATED
    before, after = (shares_of(store) for store in stores)
    own = 2 * MUTATED / ROWS  # what the mutated rows had, and may have
    for use_case, (share, _) in before.items():
        assert abs(after[use_case][0] - share) <= own
    total = {store.url: sum(row["energy_kwh"] for row in query_rows(store, FACTS)) for store in stores}
    assert len({round(kwh, 9) for kwh in total.values()}) == 1  # closure: no row moves energy out of the sum
    for store in stores:
        store.close()


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_wire_judges_as_files_do(tmp_path: Path, name: str) -> None:
    lines, count = lines_of(3, name)
    by_file = Store(f"sqlite:///{tmp_path}/file.db", demo=False)
    by_wire = Store(f"sqlite:///{tmp_path}/wire.db", demo=False)
    imported = import_requests(by_file, FACTS, write(tmp_path / "r.jsonl", lines), NOW_US)
    with_kind = [line.replace("{", '{"kind": "request", ', 1).encode() for line in lines]
    sent = IngestService(by_wire, FACTS.services_of_model).accept(None, with_kind, NOW_US)
    assert sent.accepted + sent.duplicates + len(sent.rejects) == count
    # A wire has types: a text that a file could still read as a number is refused there.
    assert sent.accepted <= imported.accepted
    assert imported.accepted - sent.accepted <= (MUTATED if name == "mistyped" else 0)


def test_memory_does_not_follow_the_span_of_a_row(tmp_path: Path) -> None:
    peaks = []
    for number, end in enumerate((DAY_S + 60, DAY_S + 6 * 86_400)):
        store = Store(f"sqlite:///{tmp_path}/{number}.db", demo=False)
        rows = [json.dumps(row) for row in clean_rows(4)]
        rows.append(json.dumps({"start": DAY_S, "end": end, "service": "chat", "use_case": "u", "output_tokens": 10}))
        rows.append(json.dumps({"start": DAY_S - 61 * 86_400, "end": end, "service": "chat", "use_case": "u", "requests": 9}))
        import_requests(store, FACTS, write(tmp_path / f"{number}.jsonl", rows), NOW_US)
        import_energy(store, write(tmp_path / f"{number}.csv", energy_lines(DAY_S, 3600)), NOW_US)
        tracemalloc.start()
        compute(store, FACTS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
