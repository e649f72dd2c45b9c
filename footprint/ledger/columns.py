"""This file turns columns, of text or of typed values, into the integers of the ledger.

The common form goes through vectorised casts; only what these refuse is looked at value by value,
so that each gets its own reason and the rest is kept.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from footprint.instants import BadInstant, from_datetime, parse_instant
from footprint.ledger.rejects import Marks
from footprint.units import INT64_MAX, UJ_PER_J, US_PER_S

Ints = NDArray[np.int64]
UNKNOWN = -1  # an optional count or instant that nobody told

_RFC3339 = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"
_UNIX = r"^\d{1,11}(\.\d{1,6})?$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_LATEST_US = 253_402_300_799 * US_PER_S


def present(column: pa.Array) -> NDArray[np.bool_]:
    """Where a column says anything: neither null nor empty."""
    valid = column.is_valid()
    if _is_text(column):
        valid = pc.and_(valid, pc.not_equal(column, ""))
    return np.asarray(pc.fill_null(valid, False))


def texts(column: pa.Array, name: str, marks: Marks, *, required: bool, longest: int = 200) -> pa.Array:
    """A text column without nulls; other types are refused, empty ones where the column is required."""
    if not _is_text(column):
        wrong = np.asarray(column.is_valid())
        if pa.types.is_null(column.type):
            wrong = np.zeros(len(column), dtype=bool)
        marks.mark(wrong, name, "not a text")
        column = pa.array([""] * len(column), pa.string())
    column = pc.fill_null(column.cast(pa.string()), "")
    if required:
        marks.mark(np.asarray(pc.equal(pc.utf8_trim_whitespace(column), "")), name, "empty")
    marks.mark(np.asarray(pc.greater(pc.utf8_length(column), longest)), name, f"longer than {longest} characters")
    return column


def instants(column: pa.Array, name: str, marks: Marks, *, required: bool) -> Ints:
    """Instants [µs]; UNKNOWN where an optional one is absent."""
    there = present(column)
    result = np.full(len(column), UNKNOWN, dtype=np.int64)
    if required:
        marks.mark(~there, name, "empty")
    if pa.types.is_timestamp(column.type):
        if column.type.tz is None:
            marks.mark(there, name, "time without a zone (append Z or an offset such as +02:00)")
        else:
            micros = pc.cast(column, pa.timestamp("us", "UTC"), safe=False).cast(pa.int64())
            result[there] = np.asarray(pc.fill_null(micros, 0))[there]
        return result
    left = there.copy()
    if _is_text(column):
        for pattern, convert in ((_RFC3339, _from_rfc3339), (_UNIX, _from_unix)):
            like = np.asarray(pc.fill_null(pc.match_substring_regex(column, pattern), False)) & left
            values = convert(column.filter(pa.array(like)))
            if values is not None:
                result[like] = values
                left &= ~like
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        seconds = np.asarray(pc.fill_null(column, 0)).astype(np.float64)
        fine = there & np.isfinite(seconds) & (np.abs(seconds) < _LATEST_US / US_PER_S)
        result[fine] = np.rint(seconds[fine] * US_PER_S).astype(np.int64)
        left &= ~fine
    _one_by_one(column, left, result, name, marks, _instant_of)
    marks.mark(there & ((result < 0) | (result > _LATEST_US)), name, "time out of range")
    return result


def _from_rfc3339(column: pa.Array) -> Ints | None:
    try:
        return np.asarray(pc.cast(column, pa.timestamp("us", "UTC")).cast(pa.int64()))
    except pa.ArrowInvalid:  # one of them is the 30th of February
        return None


def _from_unix(column: pa.Array) -> Ints | None:
    # Below 1e11 s a double is exact to 1e-5 µs x 1e6: the sixth decimal survives rounding.
    values = np.asarray(pc.cast(column, pa.float64()))
    return np.rint(values * US_PER_S).astype(np.int64)


def _instant_of(value: Any) -> int:
    if hasattr(value, "tzinfo"):
        if value.tzinfo is None:
            raise BadInstant("time without a zone (append Z or an offset such as +02:00)")
        return from_datetime(value)
    return parse_instant(value if isinstance(value, str) else repr(value))


def micro(column: pa.Array, name: str, marks: Marks) -> Ints:
    """Non-negative quantities in millionths (J -> µJ, W -> µW); UNKNOWN where absent."""
    there = present(column)
    result = np.full(len(column), UNKNOWN, dtype=np.int64)
    values = np.full(len(column), np.nan)
    left = there.copy()
    if _is_text(column):
        like = np.asarray(pc.fill_null(pc.match_substring_regex(column, _NUMBER), False)) & left
        values[like] = np.asarray(pc.cast(column.filter(pa.array(like)), pa.float64()))
        left &= ~like
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        values[there] = np.asarray(pc.fill_null(pc.cast(column, pa.float64()), np.nan))[there]
        left[:] = False
    marks.mark(left, name, "not a number")
    known = there & ~left
    marks.mark(known & ~np.isfinite(values), name, "not a finite number")
    with np.errstate(invalid="ignore"):
        marks.mark(known & (values < 0), name, "negative")
        large = known & (values * UJ_PER_J > INT64_MAX / 2)
        marks.mark(large, name, "too large")
        fine = known & np.isfinite(values) & (values >= 0) & ~large
    result[fine] = np.rint(values[fine] * UJ_PER_J).astype(np.int64)
    return result


def counts(column: pa.Array, name: str, marks: Marks) -> Ints:
    """Whole numbers of at least 0; UNKNOWN where absent. ``3.0`` is whole, ``3.5`` is refused."""
    there = present(column)
    result = np.full(len(column), UNKNOWN, dtype=np.int64)
    left = there.copy()
    if _is_text(column):
        like = np.asarray(pc.fill_null(pc.match_substring_regex(column, r"^\d{1,18}$"), False)) & left
        result[like] = np.asarray(pc.cast(column.filter(pa.array(like)), pa.int64()))
        left &= ~like
    elif pa.types.is_signed_integer(column.type):
        values = np.asarray(pc.fill_null(pc.cast(column, pa.int64()), 0))
        fine = left & (values >= 0)
        result[fine] = values[fine]
        left &= ~fine
    _one_by_one(column, left, result, name, marks, _count_of)
    return result


def _count_of(value: Any) -> int:
    if isinstance(value, bool):
        raise ValueError("not a whole number")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError("not a whole number") from None
    if not math.isfinite(number) or number != math.floor(number):
        raise ValueError("not a whole number")
    if number < 0:
        raise ValueError("negative")
    if number > 2**53:
        raise ValueError("too large")
    return int(number)


def numbers(column: pa.Array, name: str, marks: Marks) -> NDArray[np.float64]:
    """Finite numbers of at least 0; NaN where absent."""
    there = present(column)
    values = np.full(len(column), np.nan)
    for index in np.flatnonzero(there).tolist():
        try:
            value = float(column[index].as_py())
        except (TypeError, ValueError):
            marks.mark_one(index, name, "not a number")
            continue
        if math.isfinite(value) and value >= 0:
            values[index] = value
        else:
            marks.mark_one(index, name, "negative" if value < 0 else "not a finite number")
    return values


def _one_by_one(
    column: pa.Array, rows: NDArray[np.bool_], result: Ints, name: str, marks: Marks, convert: Any
) -> None:
    for index in np.flatnonzero(rows).tolist():
        try:
            result[index] = convert(column[index].as_py())
        except (ValueError, OverflowError) as bad:
            marks.mark_one(index, name, str(bad))


def _is_text(column: pa.Array) -> bool:
    return pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
