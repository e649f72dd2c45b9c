"""Request files: stored columns, rejected rows, and columns that are never read."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from footprint.config import Config, parse_config
from footprint.core.records import read_request
from footprint.ledger.importers import import_requests
from footprint.ledger.record_batch import UnreadableFile
from footprint.ledger.rejects import write_rejects
from footprint.storage import schema
from footprint.storage.database import Store, table
from tests.support import ledger_contents as ledgers
from tests.support.contract_files import NOW_US, write

US = 1_000_000
START_S = 1_782_864_000
SERVED = parse_config(
    '[[service]]\nname = "chat"\nmodel = "m1"\n[[service]]\nname = "x"\nmodel = "shared"\n[[service]]\nname = "y"\nmodel = "shared"\n'
)
SECRET = "please-summarise-my-salary"


def import_file(store: Store, path: str, facts: Config = SERVED) -> Any:
    return import_requests(store, facts, path, NOW_US)


def test_all_columns_are_stored(store: Store, tmp_path: Path) -> None:
    names = "start,end,first_token,service,use_case,model,requests,input_tokens,cached_input_tokens,output_tokens,units,unit,status,id"
    cells = f"{START_S},{START_S + 9},{START_S + 1}.5,chat,drafting,m1,3,100,40,20,2.5,pages,ok,r1"
    assert import_file(store, write(tmp_path / "r.csv", [names, cells])).accepted == 1
    times = (START_S * US, (START_S + 9) * US, START_S * US + 1_500_000)
    assert ledgers.requests(store) == [("chat", "drafting", "m1", "pages", "ok", *times, 3, 100, 40, 20, 2.5)]


def test_a_missing_value_is_unknown_not_zero(store: Store, tmp_path: Path) -> None:
    """An arrival without end or tokens: the use case is unknown and the number of requests is one."""
    assert import_file(store, write(tmp_path / "r.csv", ["start,service,use_case", f"{START_S},chat,"])).accepted == 1
    unknown = ("chat", "(unknown)", "", "", "", START_S * US, None, None, 1, None, None, None, None)
    assert ledgers.requests(store) == [unknown]


def test_an_empty_service_is_filled_from_the_model(sqlite: Store, tmp_path: Path) -> None:
    rows = [f"{START_S + n},,u,{model}" for n, model in enumerate(("m1", "shared", "nobody", ""))]
    result = import_file(sqlite, write(tmp_path / "r.csv", ["start,service,use_case,model", *rows, f"{START_S},x,u,shared"]))
    assert result.accepted == 2
    assert [(reject.line, reject.column) for reject in result.rejects] == [(n, "service") for n in (3, 4, 5)]
    assert [row[0] for row in ledgers.requests(sqlite)] == ["chat", "x"]


def test_the_own_service_serves_no_model_by_accident(sqlite: Store, tmp_path: Path) -> None:
    result = import_file(sqlite, write(tmp_path / "r.csv", ["start,service,use_case,model", f"{START_S},,u,"]), parse_config(""))
    assert [reject.column for reject in result.rejects] == ["service"]


GOOD = {"start": START_S, "end": START_S + 9, "service": "chat", "use_case": "u", "model": "m1", "input_tokens": 10}


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"start": None}, "start"),
        ({"start": "2026-07-01T00:00:00"}, "start"),
        ({"end": START_S - 1}, "end"),
        ({"end": "soon"}, "end"),
        ({"cached_input_tokens": -1}, "cached_input_tokens"),
        ({"input_tokens": -1}, "input_tokens"),
        ({"input_tokens": 1.5}, "input_tokens"),
        ({"output_tokens": "many"}, "output_tokens"),
        ({"output_tokens": True}, "output_tokens"),
        ({"output_tokens": 10**16}, "output_tokens"),
        ({"output_tokens": 10**40}, "output_tokens"),
        ({"output_tokens": float("nan")}, "output_tokens"),
        ({"output_tokens": "1e999999999"}, "output_tokens"),
        ({"requests": 0}, "requests"),
        ({"requests": -2}, "requests"),
        ({"service": "(idle)"}, "service"),
        ({"use_case": "(idle)"}, "use_case"),
        ({"model": "(unattributed)"}, "model"),
        ({"service": "", "model": "shared"}, "service"),
        ({"use_case": "x" * 201}, "use_case"),
        ({"id": ["r1"]}, "id"),
    ],
)
def test_an_invalid_request_is_rejected_and_the_others_are_stored(
    sqlite: Store, tmp_path: Path, fields: dict[str, Any], column: str
) -> None:
    lines = [json.dumps(row) for row in (GOOD, GOOD | fields, GOOD | {"use_case": "v"})]
    result = import_file(sqlite, write(tmp_path / "r.jsonl", lines))
    assert [(reject.line, reject.column) for reject in result.rejects] == [(2, column)]
    assert result.accepted == 2


@pytest.mark.parametrize(
    ("fields", "stored", "reason"),
    [
        ({"first_token": START_S - 1}, {"first_token_us": None}, "first_token: before the start, left out"),
        ({"first_token": START_S + 9}, {"first_token_us": None}, "first_token: at or after the end, left out"),
        ({"first_token": START_S + 10}, {"first_token_us": None}, "first_token: at or after the end, left out"),
        (
            {"first_token": "soon"},
            {"first_token_us": None},
            "first_token: not a time (RFC 3339 with an offset, or Unix seconds), left out",
        ),
        (
            {"first_token": "9999-01-01T00:00:00Z"},
            {"first_token_us": None},
            "first_token: more than a day in the future, left out",
        ),
        ({"cached_input_tokens": 2495}, {"input_tokens": 2505}, "cached_input_tokens: beside input_tokens, added to it"),
        ({"cached_input_tokens": "a"}, {"cached_input_tokens": None}, "cached_input_tokens: not a whole number, left out"),
        ({"units": -1}, {"units": None}, "units: negative, left out"),
        ({"units": "many"}, {"units": None}, "units: not a number, left out"),
        ({"attempt": "first"}, {"attempt": None}, "attempt: not a whole number, left out"),
        ({"status": "fine"}, {}, "status: none of ok, error, cancelled, cached, check, evaluation, left out"),
        (
            {"status": "cached", "output_tokens": 9},
            {"input_tokens": 0, "output_tokens": 0},
            "status: a request without work, whose tokens no model read or wrote",
        ),
    ],
)
def test_a_field_that_cannot_be_is_mended_and_told_and_costs_no_row(
    sqlite: Store, tmp_path: Path, fields: dict[str, Any], stored: dict[str, Any], reason: str
) -> None:
    result = import_file(sqlite, write(tmp_path / "r.jsonl", [json.dumps(row) for row in (GOOD, GOOD | fields)]))
    assert (result.accepted, len(result.rejects)) == (2, 0)
    assert result.mended == {reason: 1}
    mended: Counter[str] = Counter()
    record = read_request(GOOD | fields, NOW_US, mended)
    assert mended.total() == 1
    assert {name: getattr(record, name) for name in stored} == stored
    with sqlite.read() as connection:
        rows = connection.execute(select(table(schema.RequestRow))).mappings().all()
    column_names = [name for name in stored if name != "attempt"]
    assert [row[name] for row in rows for name in column_names][-len(column_names) :] == [stored[name] for name in column_names]


@pytest.mark.parametrize(
    ("cell", "tokens"), [("7", 7), ("007", 7), ("7.0", 7), ("1e3", 1000), (" 7 ", 7), ("99999999", 10**8 - 1)]
)
def test_whole_numbers_may_be_written_in_every_way(sqlite: Store, tmp_path: Path, cell: str, tokens: int) -> None:
    result = import_file(sqlite, write(tmp_path / "r.csv", ["start,service,use_case,output_tokens", f"{START_S},chat,u,{cell}"]))
    assert not result.rejects
    assert ledgers.requests(sqlite)[0][-2] == tokens


def test_parquet_columns_may_be_typed_in_every_way(sqlite: Store, tmp_path: Path) -> None:
    columns = {
        "start": pa.array([float(START_S), START_S + 1.5]),
        "end": pa.array([START_S + 9, None], pa.int64()),
        "service": pa.array(["chat", "chat"]),
        "use_case": pa.array([b"u", b"v"], pa.binary()),
        "input_tokens": pa.array([5, 6], pa.uint16()),
        "output_tokens": pa.array([3.0, None], pa.float64()),
        "units": pa.array([1, None], pa.int8()),
        "id": pa.array([1, 2], pa.int64()),
        "prompt": pa.array([[SECRET], None], pa.list_(pa.string())),
    }
    pq.write_table(pa.table(columns), tmp_path / "r.parquet")
    result = import_file(sqlite, str(tmp_path / "r.parquet"))
    assert not result.rejects
    assert [(row[1], row[5], row[9], row[11]) for row in ledgers.requests(sqlite)] == [
        ("u", START_S * US, 5, 3),
        ("v", START_S * US + 1_500_000, 6, None),
    ]


@pytest.mark.parametrize("header", ["end,service,use_case", "start,service", "start,use_case"])
def test_a_header_without_a_required_column_stores_nothing(sqlite: Store, tmp_path: Path, header: str) -> None:
    with pytest.raises(UnreadableFile, match="missing"):
        import_file(sqlite, write(tmp_path / "r.csv", [header, f"{START_S},chat,u"]))
    assert ledgers.requests(sqlite) == []


def test_an_id_names_a_request_within_its_service(store: Store, tmp_path: Path) -> None:
    header = "start,service,use_case,output_tokens,id"
    first = import_file(store, write(tmp_path / "r.csv", [header, f"{START_S},chat,u,5,r1", f"{START_S},x,u,5,r1"]))
    assert first.accepted == 2
    again = [header, f"{START_S},chat,u,5,r1", f"{START_S},chat,u,6,r1", f"{START_S + 1},x,u,5,r1", f"{START_S},y,u,5,r1"]
    second = import_file(store, write(tmp_path / "s.csv", again))
    assert (second.accepted, second.duplicates) == (1, 1)
    assert [(reject.line, reject.column) for reject in second.rejects] == [(3, "id"), (4, "id")]
    assert all(reject.reason.startswith("conflict") for reject in second.rejects)
    assert [row[0] for row in ledgers.requests(store)] == ["chat", "x", "y"]


def test_one_id_twice_in_a_file_is_one_request(sqlite: Store, tmp_path: Path) -> None:
    lines = [
        "start,service,use_case,output_tokens,id",
        f"{START_S},chat,u,5,r1",
        f"{START_S},chat,u,5,r1",
        f"{START_S},chat,u,6,r1",
    ]
    result = import_file(sqlite, write(tmp_path / "r.csv", lines))
    assert (result.accepted, result.duplicates, [reject.line for reject in result.rejects]) == (1, 1, [4])


def test_without_an_id_equal_rows_differ_by_their_ordinal(store: Store, tmp_path: Path) -> None:
    """A row equal to one of an earlier file at the same ordinal is a duplicate; one more of them is one more request."""
    header, row = "start,service,use_case,output_tokens", f"{START_S},chat,u,5"
    assert import_file(store, write(tmp_path / "r.csv", [header, row, row])).accepted == 2
    second = import_file(store, write(tmp_path / "s.csv", [header, f"{START_S},chat,v,5", row, row, row]))
    assert (second.accepted, second.duplicates, len(second.rejects)) == (2, 2, 0)
    assert len(ledgers.requests(store)) == 4


def test_only_columns_of_the_contract_are_read(sqlite: Store, tmp_path: Path) -> None:
    """Prompts, answers, users and addresses reach neither the database, nor its journal, nor the rejects."""
    rows = [
        GOOD | {"prompt": SECRET, "messages": [{"role": "user", "content": SECRET}], "user": SECRET, "ip": SECRET},
        GOOD | {"start": SECRET, "end": SECRET},
        GOOD | {"status": SECRET},
        GOOD | {"output_tokens": SECRET},
        GOOD | {"service": f"({SECRET}"},
        GOOD | {"units": SECRET},
        {SECRET: SECRET},
    ]
    header = f"start,service,use_case,prompt,{SECRET}"
    cells = [
        f'{START_S},chat,u,"{SECRET}\n{START_S},{SECRET},u,a,b",{SECRET}',
        f"{SECRET},{SECRET}",
        f'{START_S},chat,u,"{SECRET}',
    ]
    as_json = import_file(sqlite, write(tmp_path / "r.jsonl", [*(json.dumps(row) for row in rows), SECRET]))
    as_csv = import_file(sqlite, write(tmp_path / "r.csv", [header, *cells]))
    as_json.rejects.extend(as_csv.rejects)
    write_rejects(tmp_path / "rejects.jsonl", as_json.rejects)
    assert SECRET not in str(as_json.mended)
    assert (as_json.accepted, as_csv.accepted) == (3, 1)
    assert (len(as_json.rejects), len(as_csv.rejects)) == (7, 2)
    sqlite.close()
    stored = [path for path in tmp_path.iterdir() if path.name not in ("r.jsonl", "r.csv")]
    assert any(path.suffix == ".db" for path in stored)
    assert [path.name for path in stored if SECRET.encode() in path.read_bytes()] == []


def test_an_id_is_stored_only_as_a_digest(sqlite: Store, tmp_path: Path) -> None:
    """An id may contain personal text; its digest is enough to distinguish it."""
    assert import_file(sqlite, write(tmp_path / "r.jsonl", [json.dumps(GOOD | {"id": SECRET})])).accepted == 1
    sqlite.close()
    assert [path.name for path in tmp_path.glob("*.db*") if SECRET.encode() in path.read_bytes()] == []


def test_a_long_request_bumps_every_day_it_touches(sqlite: Store, tmp_path: Path) -> None:
    day = START_S // 86_400
    lines = [
        "start,end,service,use_case",
        f"{START_S + 5},{START_S + 2 * 86_400},chat,u",
        f"{START_S},{START_S + 500 * 86_400},x,u",
    ]
    late_us = (START_S + 501 * 86_400) * US
    import_requests(sqlite, parse_config(""), write(tmp_path / "r.csv", lines), late_us, anyway=True)
    days = ledgers.service_days(sqlite)
    assert {d for service, d in days if service == "chat"} == {day, day + 1, day + 2}
    assert days["chat", day + 1] == ((START_S + 5) * US, 1)
    assert {d for service, d in days if service == "x"} == {
        day + number for number in range(8)
    }  # longer than seven days, none is
