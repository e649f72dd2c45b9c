"""Checks of requests: one rule for one row and for columns, what is odd, and the bounds of what it may bear."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.core.request_checks import (
    QUARANTINED,
    TOO_FAST,
    TOO_LONG,
    UNKNOWN,
    RequestNumbers,
    examine,
    longest_us,
    most_output_tokens,
)

US = 1_000_000
START_US = 1_782_864_000 * US
COUNTS = st.one_of(st.just(UNKNOWN), st.integers(0, 10**15), st.integers(0, 5_000))
OFFSETS = st.one_of(st.integers(-(10**9), 10**14), st.integers(0, 10**7))


def numbers(seconds: float = 9, **values: int) -> RequestNumbers:
    counts = {"first_token_us": UNKNOWN, "requests": 1, "input_tokens": 10, "cached_input_tokens": UNKNOWN, "output_tokens": 10}
    return RequestNumbers(**{"start_us": START_US, "end_us": START_US + round(seconds * US)} | counts | values)


def oddities(row: RequestNumbers) -> list[str]:
    return [finding.reason for finding in examine(row)[1] if finding.outcome == QUARANTINED and finding.rows]


ROWS = st.builds(
    lambda end, first, works, **counts: RequestNumbers(
        start_us=START_US, end_us=START_US + end, first_token_us=START_US + first, works=works, **counts
    ),
    OFFSETS,
    OFFSETS,
    st.booleans(),
    requests=st.integers(0, 10**12),
    input_tokens=COUNTS,
    cached_input_tokens=COUNTS,
    output_tokens=COUNTS,
)


@given(rows=st.lists(ROWS, min_size=1, max_size=9))
def test_a_row_and_a_column_are_judged_alike(rows: list[RequestNumbers]) -> None:
    names = [field.name for field in fields(RequestNumbers)]
    columns = RequestNumbers(*(np.array([getattr(row, name) for row in rows]) for name in names))
    mended, findings = examine(columns)
    for index, row in enumerate(rows):
        alone, alone_findings = examine(row)
        assert [int(getattr(mended, name)[index]) for name in names] == [int(getattr(alone, name)) for name in names]
        assert [bool(finding.rows[index]) for finding in findings] == [bool(finding.rows) for finding in alone_findings]
        assert longest_us(columns)[index] == longest_us(row)
        assert most_output_tokens(columns)[index] == pytest.approx(most_output_tokens(row))


@given(row=ROWS)
def test_what_is_mended_needs_no_mending(row: RequestNumbers) -> None:
    once, _ = examine(row)
    assert examine(once)[0] == once


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (numbers(86_000), [TOO_LONG]),
        (numbers(1_800), []),  # half an hour in a queue
        (numbers(20_000, output_tokens=8_192), []),  # a large model on a small CPU
        (numbers(20_000, output_tokens=UNKNOWN, input_tokens=UNKNOWN), []),  # nothing to judge it by
        (numbers(60 * 86_400, requests=500), []),  # a window
        (numbers(0.0003, output_tokens=350), [TOO_FAST]),
        (numbers(0, output_tokens=350), []),  # stamps in whole seconds
        (numbers(0.25, output_tokens=800), []),
        (numbers(0.25, output_tokens=800_000), [TOO_FAST]),
        (numbers(0.25, output_tokens=80_000, requests=40), []),
        (numbers(1.5, input_tokens=1_000_000), []),  # all that a large context holds, mostly from a cache that is not named
        (numbers(1.5, input_tokens=3_000_000), [TOO_FAST]),
        (numbers(1.5, input_tokens=3_000_000, cached_input_tokens=2_900_000), []),
    ],
)
def test_what_is_odd_is_seen_and_what_is_rare_is_not(row: RequestNumbers, expected: list[str]) -> None:
    assert oddities(row) == expected
