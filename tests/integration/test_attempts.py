"""Attempts of one call: what answered is the request, the others are avoidable work, in any order of arrival and on every door."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete

from footprint.config import Config, parse_config
from footprint.core.records import read_request
from footprint.ledger.import_batches import list_batches, withdraw_batch
from footprint.ledger.importers import import_energy, import_requests
from footprint.ledger.ingest import IngestService
from footprint.ledger.rejects import IngestResult
from footprint.ledger.request_file import request_keys, rows_from_records
from footprint.queries.avoidable_energy import avoidable_energy
from footprint.storage import schema
from footprint.storage.database import Store, table
from tests.support.contract_files import DAY_S, NOW_US, compute, energy_lines, query_rows, write

FACTS = parse_config(
    '[[host]]\nname = "a"\n[[service]]\nname = "chat"\nmodel = "m1"\ndevices = ["a/gpu:0"]\n'
    '[[service]]\nname = "spare"\nmodel = "m2"\ndevices = ["a/gpu:1"]\n[[use_case]]\nname = "drafting"\n'
)
Row = dict[str, Any]


def row(begin_s: float, status: str, service: str = "chat", seconds: float = 4, **values: Any) -> Row:
    tokens = {"input_tokens": 1200, "output_tokens": 350} if status == "ok" else {"input_tokens": 0, "output_tokens": 0}
    times = {"start": DAY_S + begin_s, "end": DAY_S + begin_s + seconds}
    return {**times, "service": service, "use_case": "drafting", "status": status, "id": "c1", **tokens, **values}


RETRY = [row(100, "error"), row(105, "ok")]
NUMBERED = [row(100, "error", attempt=0), row(105, "cancelled", attempt=1), row(130, "ok", attempt=2)]
FALLBACK = [row(100, "error"), row(104.5, "ok", "spare")]
NUMBERED_FALLBACK = [row(100, "error", attempt=0), row(900, "ok", "spare", attempt=1)]
HEDGED = [row(100, "ok", attempt=0), row(101, "ok", attempt=1)]
ALL_FAILED = [row(100, "error"), row(105, "error", output_tokens=7), row(110, "error", output_tokens=9)]
UNRELATED = [row(100, "error"), row(4000, "ok", "spare")]


def sent(store: Store, rows: Sequence[Row], folder: Path) -> IngestResult:
    lines = [json.dumps({"kind": "request", **fields}).encode() for fields in rows]
    return IngestService(store, FACTS.services_of_model).accept(None, lines, NOW_US)


def imported(store: Store, rows: Sequence[Row], folder: Path) -> IngestResult:
    path = write(folder / f"{len(list(folder.iterdir()))}.jsonl", [json.dumps(fields) for fields in rows])
    return import_requests(store, FACTS, path, NOW_US)


def counts(store: Store, facts: Config = FACTS) -> dict[str, tuple[int, int, int]]:
    compute(store, facts)
    return {
        answer["service"]: (answer["requests"], answer["input_tokens"], answer["output_tokens"])
        for answer in query_rows(store, facts, group=("service",))
        if answer["requests"]
    }


CASES = {
    "retry": (RETRY, {"chat": (1, 1200, 350)}),
    "numbered": (NUMBERED, {"chat": (1, 1200, 350)}),
    "fallback": (FALLBACK, {"spare": (1, 1200, 350)}),
    "numbered fallback": (NUMBERED_FALLBACK, {"spare": (1, 1200, 350)}),
    "hedged": (HEDGED, {"chat": (1, 1200, 350)}),
    "all failed": (ALL_FAILED, {"chat": (1, 0, 9)}),
    "unrelated": (UNRELATED, {"chat": (1, 0, 0), "spare": (1, 1200, 350)}),
}


@pytest.mark.parametrize("door", [sent, imported])
@pytest.mark.parametrize("name", CASES)
def test_what_answered_is_the_request_in_any_order_of_arrival(store: Store, tmp_path: Path, name: str, door: Any) -> None:
    rows, expected = CASES[name]
    for number, order in enumerate(itertools.permutations(rows)):
        folder = tmp_path / str(number)
        folder.mkdir()
        _empty(store)
        for part in order:  # one shipment or file each: the day is computed between them
            result = door(store, [part], folder)
            assert (result.accepted, len(result.rejects)) == (1, 0)
            if number == 0:
                counts(store)
        assert counts(store) == expected
        again = door(store, rows, folder)
        assert (again.accepted, again.duplicates, len(again.rejects)) == (0, len(rows), 0)
        assert counts(store) == expected
    _empty(store)
    assert door(store, rows, tmp_path / "0").accepted == len(rows)
    assert counts(store) == expected


def _empty(store: Store) -> None:
    for batch in list_batches(store):
        if batch["withdrawn_us"] is None:
            withdraw_batch(store, batch["id"], "again", NOW_US)
    with store.begin() as connection:
        assert not connection.execute(table(schema.Attempt).select()).all()
        connection.execute(delete(table(schema.WithdrawnRequest)))


def test_attempts_are_avoidable_work_and_bear_their_energy(sqlite: Store, tmp_path: Path) -> None:
    import_energy(sqlite, write(tmp_path / "energy.csv", energy_lines(DAY_S, 1200)), NOW_US)
    sent(sqlite, [fields | {"output_tokens": 50} for fields in NUMBERED], tmp_path)
    compute(sqlite, FACTS)
    waste = {answer["cause"]: answer for answer in avoidable_energy(sqlite, FACTS, None, None)}
    assert waste["repeated attempts"]["requests"] == 2
    assert waste["repeated attempts"]["energy_kwh"] > 0
    assert not {"failed requests", "cancelled requests"} & waste.keys()


def test_an_attempt_is_a_request_again_when_its_answer_is_withdrawn(sqlite: Store, tmp_path: Path) -> None:
    imported(sqlite, RETRY[:1], tmp_path)
    answer = imported(sqlite, RETRY[1:], tmp_path)
    assert counts(sqlite) == {"chat": (1, 1200, 350)}
    withdraw_batch(sqlite, answer.batch, "wrong", NOW_US)  # type: ignore[attr-defined]
    assert counts(sqlite) == {"chat": (1, 0, 0)}


def test_a_log_of_an_earlier_release_brings_the_answer_that_was_refused(sqlite: Store, tmp_path: Path) -> None:
    """Until method 3.0 a failed row had the key of the request, and the answer was refused as a conflict."""
    imported(sqlite, [RETRY[0] | {"status": "ok"}], tmp_path)  # the key of then
    number = sqlite.name_ids({"error"})["error"]
    with sqlite.begin() as connection:
        connection.execute(table(schema.RequestRow).update().values(status_id=number, content=_content(RETRY[0])))
        connection.execute(table(schema.Meta).insert().values(key="earlier_keys", value="1"))
    result = imported(sqlite, RETRY, tmp_path)
    assert (result.accepted, result.duplicates, len(result.rejects)) == (1, 1, 0)
    assert counts(sqlite) == {"chat": (1, 1200, 350)}
    assert imported(sqlite, RETRY, tmp_path).duplicates == 2


def _content(fields: Row) -> bytes:
    return request_keys(rows_from_records([read_request(fields)], np.arange(1)), {})[1][0]


@pytest.mark.parametrize("status", ["cached", "check", "evaluation"])
def test_requests_without_work_count_and_bear_nothing(sqlite: Store, tmp_path: Path, status: str) -> None:
    import_energy(sqlite, write(tmp_path / "energy.csv", energy_lines(DAY_S, 1200)), NOW_US)
    sent(
        sqlite,
        [row(100, "ok", id="x"), row(300, status, id="y", use_case="other", input_tokens=1200, output_tokens=350)],
        tmp_path,
    )
    compute(sqlite, FACTS)
    rows = {answer["use_case"]: answer for answer in query_rows(sqlite, FACTS, group=("use_case",))}
    assert (rows["other"]["requests"], rows["other"]["output_tokens"], rows["other"]["energy_kwh"]) == (1, 0, 0)
    assert rows["drafting"]["output_tokens"] == 350
