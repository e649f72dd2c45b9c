"""Cost of parsing a column: it grows with the rows and the reasons, never with rows times faulty values."""

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from footprint.ledger import column_parsers
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


@pytest.mark.parametrize("required", [True, False])
def test_distinct_faulty_names_cost_one_pass_a_reason(required: bool) -> None:
    forms = ("\x1b{}", "a\u202e{}", "\0{}", "x" * 201 + "{}", "good-{}")
    names = [forms[row % len(forms)].format(row) for row in range(ROWS)]
    errors = CountingErrors()
    column_parsers.parse_texts(pa.array(names), "use_case", errors, required=required)
    assert errors.marks <= len(forms)
    rejects = errors.add_to(file_rejects())
    assert len(rejects) == ROWS * 4 // 5
    assert set(rejects.by_reason.values()) == {ROWS // 5}
    assert [reject.line for reject in rejects] == [row + 1 for row in range(ROWS) if row % len(forms) != 4]
