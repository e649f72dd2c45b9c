"""The reject file: line and reason, replaced atomically, removed when nothing is rejected."""

import json
from pathlib import Path

import numpy as np

from footprint.core.limits import Reject, RejectList
from footprint.ledger.rejects import ColumnErrors, write_rejects


def rejects_of(*rejects: Reject) -> RejectList:
    listed = RejectList(max_listed=2)
    listed.extend(rejects)
    return listed


def test_each_reject_is_a_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "e.csv.rejected.jsonl"
    write_rejects(path, rejects_of(Reject(3, "time", "empty"), Reject(9, "power_w", "négatif")))
    rejects = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rejects == [{"line": 3, "column": "time", "reason": "empty"}, {"line": 9, "column": "power_w", "reason": "négatif"}]
    write_rejects(path, rejects_of(Reject(1, "line", "not CSV")))
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1
    write_rejects(path, rejects_of())
    write_rejects(path, rejects_of())
    assert list(tmp_path.iterdir()) == []


def test_a_device_file_is_not_replaced() -> None:
    write_rejects(Path("/dev/null"), rejects_of(Reject(1, "line", "not CSV")))
    write_rejects(Path("/dev/null"), rejects_of())
    assert not Path("/dev/null").is_file()


def test_the_first_reason_of_a_row_stays() -> None:
    marks = ColumnErrors(np.array([5, 6, 7]))
    marks.mark(np.array([False, True, True]), "time", "empty")
    marks.mark(np.array([True, True, False]), "host", "empty")
    marks.mark_one(1, "device", "empty")
    assert list(marks.add_to(RejectList())) == [
        Reject(5, "host", "empty"),
        Reject(6, "time", "empty"),
        Reject(7, "time", "empty"),
    ]
    assert marks.bad.all()


def test_rejects_beyond_the_listed_ones_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_rejects(path, rejects_of(*(Reject(line, "time", "empty") for line in range(1, 10))))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["line"] for line in lines] == [1, 2, 0]
    assert "7 more lines" in lines[-1]["reason"]
