"""Cost of parsing a column: it grows with the rows and the reasons, never with rows times faulty values."""

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from footprint.core.timestamps import parse_instant
from footprint.ledger import column_parsers, request_file
from footprint.ledger.record_batch import RecordBatch
from footprint.ledger.rejects import ColumnErrors, file_rejects

ROWS = 2_000


class CountingErrors(ColumnErrors):
    """Errors that count how often the whole column was looked at."""

    def __init__(self) -> None:
        super().__init__(np.arange(1, ROWS + 1))
        self.marks = 0

    def mark(self, rows: NDArray[np.bool_], column: str, reason: str) -> None:
        """Reject rows for one reason, and count the call."""
        self.marks += 1
        super().mark(rows, column, reason)


def a_row_each(*forms: str) -> list[str]:
    """A column of distinct texts, the forms in turn."""
    return [forms[row % len(forms)].format(row) for row in range(ROWS)]


@pytest.mark.parametrize("required", [True, False])
def test_distinct_faulty_names_cost_one_pass_a_reason(required: bool) -> None:
    forms = ("\x1b{}", "a\u202e{}", "\0{}", "x" * 201 + "{}", "good-{}")
    errors = CountingErrors()
    column_parsers.parse_texts(pa.array(a_row_each(*forms)), "use_case", errors, required=required)
    assert errors.marks <= len(forms)
    rejects = errors.add_to(file_rejects())
    assert len(rejects) == ROWS * 4 // 5
    assert set(rejects.by_reason.values()) == {ROWS // 5}
    assert [reject.line for reject in rejects] == [row + 1 for row in range(ROWS) if row % len(forms) != 4]


def test_distinct_names_of_people_cost_one_pass_a_reason() -> None:
    errors = CountingErrors()
    names = a_row_each("p{}@example.org", "sk-abcdef1234567890{}", "chat-{}")
    column_parsers.mark_personal_names(pa.array(names), "use_case", errors)
    assert errors.marks == 2
    assert int(errors.bad.sum()) == sum(not name.startswith("chat") for name in names)


def test_distinct_models_without_a_service_cost_one_pass_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    marks: list[str] = []
    mark = ColumnErrors.mark

    def counted(errors: ColumnErrors, rows: NDArray[np.bool_], column: str, reason: str) -> None:
        if column == "service":
            marks.append(reason)
        mark(errors, rows, column, reason)

    monkeypatch.setattr(ColumnErrors, "mark", counted)
    models = a_row_each("known-{}", "shared-{}", "unknown-{}", "")
    services = {"known": {"chat"}, "shared": {"chat", "search"}}
    columns = {"start": pa.array(["2026-10-01T00:00:00Z"] * ROWS), "use_case": pa.array(["a"] * ROWS), "model": pa.array(models)}
    batch = RecordBatch(columns, np.arange(1, ROWS + 1), file_rejects())
    now_us = parse_instant("2026-10-02T00:00:00Z")
    [parsed] = request_file.parse_requests("f", [batch], lambda model: services.get(model.partition("-")[0], set()), now_us)
    rows, rejects = parsed.rows, parsed.rejects
    assert rows.service == ["chat"] * (ROWS // 4)
    assert len(marks) < 10
    assert rejects.by_reason == {
        "service: empty, and several services serve the model": ROWS // 4,
        "service: empty, and no declared service serves the model": ROWS // 4,
        "service: empty, and so is the model": ROWS // 4,
    }
