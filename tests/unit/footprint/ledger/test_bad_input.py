"""Invalid input is rejected with its line and reason, and nothing else is lost."""

import gzip
import json
from pathlib import Path

import pytest

from footprint.ledger.importers import import_energy, import_requests
from footprint.ledger.record_batch import UnreadableFile
from footprint.ledger.rejects import write_rejects
from footprint.storage.database import Store
from tests.support.contract_files import NOW_US, config, write

HEADER = "time,host,device,component,power_w"
GOOD = "2026-07-01T00:00:{:02d}Z,a,gpu:0,gpu,100"


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("2026-07-01T00:00:05,a,gpu:0,gpu,100", "time"),
        ("2026-07-01T00:00:05Z,a,gpu:0,gpu,NaN", "power_w"),
        ("2026-07-01T00:00:05Z,a,gpu:0,gpu,-3", "power_w"),
        ("2026-07-01T00:00:05Z,a,gpu:0,tpu,100", "component"),
        ("2026-07-01T00:00:05Z,a,gpu:0,gpu,", "energy_j"),
        ("2026-07-01T00:00:05Z,,gpu:0,gpu,100", "host"),
        ("2026-07-01T00:00:05Z,a,gpu:0", "line"),
        ("2026-02-30T00:00:05Z,a,gpu:0,gpu,100", "time"),
    ],
)
def test_an_invalid_row_is_rejected_and_the_others_are_stored(sqlite: Store, tmp_path: Path, line: str, column: str) -> None:
    result = import_energy(sqlite, write(tmp_path / "e.csv", [HEADER, GOOD.format(1), line, GOOD.format(9)]), NOW_US)
    assert result.accepted == 2
    assert [(reject.line, reject.column) for reject in result.rejects] == [(3, column)]


def test_a_missing_column_stores_nothing(sqlite: Store, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="component"):
        import_energy(sqlite, write(tmp_path / "e.csv", ["time,host,device,power_w", "1,a,gpu:0,5"]), NOW_US)
    assert import_energy(sqlite, write(tmp_path / "f.csv", [HEADER, GOOD.format(1)]), NOW_US).accepted == 1


def test_a_file_cut_in_the_middle_of_a_line_gives_all_before_it(sqlite: Store, tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text("\n".join([HEADER, GOOD.format(1), GOOD.format(2), "2026-07-01T00:0"]), encoding="utf-8")
    result = import_energy(sqlite, str(path), NOW_US)
    assert (result.accepted, [reject.line for reject in result.rejects]) == (2, [4])


def test_a_cut_gzip_gives_all_before_the_cut(sqlite: Store, tmp_path: Path) -> None:
    lines = [HEADER, *(f"{1782864000 + n},a,gpu:0,gpu,{100 + n % 7}" for n in range(20_000))]
    data = gzip.compress("\n".join(lines).encode())
    (tmp_path / "e.csv.gz").write_bytes(data[: len(data) // 2])
    result = import_energy(sqlite, str(tmp_path / "e.csv.gz"), NOW_US)
    assert result.accepted > 5000
    assert result.rejects


def test_another_value_for_the_same_instant_is_a_conflict_and_the_first_stays(store: Store, tmp_path: Path) -> None:
    import_energy(store, write(tmp_path / "e.csv", [HEADER, GOOD.format(1)]), NOW_US)
    result = import_energy(store, write(tmp_path / "f.csv", [HEADER, GOOD.format(1).replace("100", "101")]), NOW_US)
    assert result.accepted == 0
    assert result.rejects[0].reason.startswith("conflict")


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"end": "2026-06-30T00:00:00Z"}, "end"),
        ({"cached_input_tokens": -1}, "cached_input_tokens"),
        ({"output_tokens": -1}, "output_tokens"),
        ({"service": "", "model": "shared"}, "service"),
        ({"start": "2026-07-01T00:00:00"}, "start"),
    ],
)
def test_an_impossible_request_is_rejected(sqlite: Store, tmp_path: Path, fields: dict[str, object], column: str) -> None:
    facts = config('[[service]]\nname="x"\nmodel="shared"\n[[service]]\nname="y"\nmodel="shared"\n')
    good = {
        "start": "2026-07-01T00:00:00Z",
        "end": "2026-07-01T00:00:09Z",
        "service": "chat",
        "use_case": "u",
        "model": "m",
        "input_tokens": 10,
        "output_tokens": 2,
        "cached_input_tokens": 1,
        "status": "ok",
    }
    path = write(tmp_path / "r.jsonl", [json.dumps(good), json.dumps(good | fields)])
    result = import_requests(sqlite, facts, path, NOW_US)
    assert result.accepted == 1
    assert [(reject.line, reject.column) for reject in result.rejects] == [(2, column)]


def test_prompts_and_people_reach_neither_the_store_nor_the_rejects(sqlite: Store, tmp_path: Path) -> None:
    secret = "please-summarise-my-salary"
    rows = [
        {"start": "2026-07-01T00:00:00Z", "service": "chat", "use_case": "u", "prompt": secret, "user": secret},
        {"start": "bad", "service": "chat", "use_case": "u", "prompt": secret, "answer": {"text": secret}},
        {"start": secret, "service": "chat", "use_case": "u"},
    ]
    path = write(tmp_path / "r.jsonl", [json.dumps(row) for row in rows])
    result = import_requests(sqlite, config(), path, NOW_US)
    write_rejects(tmp_path / "rejects.jsonl", result.rejects)
    assert result.accepted == 1
    stored = [p for p in tmp_path.iterdir() if p.name != "r.jsonl"]
    assert all(secret.encode() not in p.read_bytes() for p in stored)
