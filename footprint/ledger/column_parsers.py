"""This file turns columns, of text or of typed values, into the integers of the ledger.

The common form goes through vectorised casts; only what these refuse is looked at value by value,
so that each gets its own reason and the rest is kept. What is right does not depend on the rows around.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from footprint.core.records import MAX_COUNT, MAX_NAME_LENGTH
from footprint.core.timestamps import BadTimestamp, parse_instant
from footprint.core.units import INT64_MAX, UJ_PER_J, US_PER_S
from footprint.ledger.rejects import ColumnErrors

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
UNKNOWN = -1  # an optional count or instant that nobody told

_RFC3339 = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$"
_UNIX = r"^\d{1,10}(\.\d{1,6})?$"
_COUNT = r"^\d{1,15}$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
MAX_TIME_US = 253_402_300_799 * US_PER_S
_NS_PER_US = 1000
# Below these a double tells one millionth from the next after multiplication; above, digits are read one by one.
MAX_EXACT_S = 2.0**32
MAX_EXACT_J = 2.0**51 / UJ_PER_J


def has_value(column: pa.Array) -> NDArray[np.bool_]:
    """Where a column says anything: neither null nor blank."""
    valid = column.is_valid()
    if pa.types.is_string(column.type):
        valid = pc.and_(valid, pc.not_equal(pc.utf8_trim_whitespace(column), ""))
    return np.asarray(pc.fill_null(valid, False))


def parse_texts(column: pa.Array, name: str, marks: ColumnErrors, *, required: bool) -> pa.Array:
    """A text column without nulls and outer blanks; whole numbers are texts too, other types are refused."""
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    if not pa.types.is_string(column.type):
        marks.mark(np.asarray(column.is_valid()), name, "not a text")
        column = pa.nulls(len(column), pa.string())
    coded = pc.fill_null(column, "").dictionary_encode()  # names are few: each is looked at once
    code, values = np.asarray(coded.indices), pc.utf8_trim_whitespace(coded.dictionary)
    if required:
        marks.mark(np.asarray(pc.equal(values, ""))[code], name, "empty")
    wrong = np.asarray(pc.match_substring(values, "\0"))
    marks.mark(wrong[code], name, "not a text, or with a character that no store keeps")
    long = np.asarray(pc.greater(pc.utf8_length(values), MAX_NAME_LENGTH))
    marks.mark(long[code], name, f"longer than {MAX_NAME_LENGTH} characters")
    return values.take(coded.indices)


def parse_instants(column: pa.Array, name: str, marks: ColumnErrors, *, required: bool) -> Ints:
    """Instants [µs]; UNKNOWN where an optional one is absent."""
    there = has_value(column)
    result = np.full(len(column), UNKNOWN, dtype=np.int64)
    if required:
        marks.mark(~there, name, "empty")
    left = there.copy()
    if pa.types.is_timestamp(column.type):
        if column.type.tz is None:
            marks.mark(there, name, "time without a zone (append Z or an offset such as +02:00)")
        else:
            result[there] = _micros(column.filter(pa.array(there)))
        left[:] = False
    elif pa.types.is_string(column.type):
        for pattern, convert in ((_UNIX, _from_unix), (_RFC3339, _from_rfc3339)):
            _convert_like(column, pattern, left, result, convert)
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        seconds = np.asarray(pc.fill_null(column, 0)).astype(np.float64)
        fine = there & np.isfinite(seconds) & (np.abs(seconds) < MAX_TIME_US / US_PER_S)
        result[fine] = np.rint(seconds[fine] * US_PER_S).astype(np.int64)
        left &= ~fine
    _convert_one_by_one(column, left, result, name, marks, _instant_of)
    marks.mark(there & ((result < 0) | (result > MAX_TIME_US)), name, "time out of range")
    return result


def _convert_like(
    column: pa.Array, pattern: str, left: NDArray[np.bool_], result: Ints, convert: Callable[[pa.Array], Ints | None]
) -> None:
    """Convert the values of one form, and note that they are no longer left."""
    if not left.any():
        return
    like = np.asarray(pc.fill_null(pc.match_substring_regex(column, pattern), False)) & left
    values = convert(column if like.all() else column.filter(pa.array(like)))
    if values is not None:
        result[like] = values
        left &= ~like


def _from_rfc3339(column: pa.Array) -> Ints | None:
    try:
        return _micros(pc.cast(column, pa.timestamp("ns", "UTC")))
    except pa.ArrowInvalid:  # one of them is the 30th of February, or beyond the year 2262
        return None


def _from_unix(column: pa.Array) -> Ints | None:
    values = np.asarray(pc.cast(column, pa.float64()))
    if len(values) and values.max() >= MAX_EXACT_S:
        return None
    return np.rint(values * US_PER_S).astype(np.int64)


def _micros(column: pa.Array) -> Ints:
    """Instants of timestamps that know their zone, to the nearest µs; outside of all ranges where they do not fit."""
    if column.type.unit == "ns":
        return np.floor_divide(np.asarray(column.cast(pa.int64())) + _NS_PER_US // 2, _NS_PER_US)
    scale = {"us": 1, "ms": 1000, "s": US_PER_S}[column.type.unit]
    values = np.asarray(column.cast(pa.int64()))
    return np.clip(values, -INT64_MAX // scale, INT64_MAX // scale) * scale


def _instant_of(value: Any) -> int:
    return parse_instant(str(value) if isinstance(value, str | Decimal) else repr(value))


def parse_micro(column: pa.Array, name: str, marks: ColumnErrors) -> Ints:
    """Non-negative quantities in millionths (J -> µJ, W -> µW), to the nearest; UNKNOWN where absent."""
    there = has_value(column)
    result = np.full(len(column), UNKNOWN, dtype=np.int64)
    values = parse_numbers(column, name, marks)
    known = there & ~np.isnan(values)
    marks.mark(known & (values > INT64_MAX / UJ_PER_J / 2), name, "too large")
    known &= ~marks.bad
    small = known & (values < MAX_EXACT_J)
    result[small] = np.rint(values[small] * UJ_PER_J).astype(np.int64)
    for index in np.flatnonzero(known & ~small).tolist():
        result[index] = int((Decimal(str(column[index].as_py()).strip()) * UJ_PER_J).to_integral_value())
    return result


def parse_numbers(column: pa.Array, name: str, marks: ColumnErrors) -> Floats:
    """Finite numbers of at least 0; NaN where absent, or marked."""
    there = has_value(column)
    values = np.full(len(column), np.nan)
    left = there.copy()
    if pa.types.is_string(column.type):
        trimmed = pc.utf8_trim_whitespace(column)
        like = np.asarray(pc.fill_null(pc.match_substring_regex(trimmed, _NUMBER), False)) & left
        plain = trimmed if like.all() else trimmed.filter(pa.array(like))
        values[like] = np.asarray(pc.cast(pc.ascii_ltrim(plain, "+"), pa.float64()))
        left &= ~like
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        values[there] = np.asarray(pc.cast(column.filter(pa.array(there)), pa.float64(), safe=False))
        left[:] = False
    marks.mark(left, name, "not a number")
    marks.mark(there & ~left & ~np.isfinite(values), name, "not a finite number")
    marks.mark(values < 0, name, "negative")
    values[~np.isfinite(values) | (values < 0)] = np.nan
    return values


def parse_counts(column: pa.Array, name: str, marks: ColumnErrors) -> Ints:
    """Whole numbers of at least 0; UNKNOWN where absent. ``3.0`` is whole, ``3.5`` is refused."""
    left = has_value(column)
    result = np.full(len(column), UNKNOWN, dtype=np.int64)
    if pa.types.is_string(column.type):
        _convert_like(column, _COUNT, left, result, lambda like: np.asarray(pc.cast(like, pa.int64())))
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values = np.asarray(pc.fill_null(column, 0))
        with np.errstate(invalid="ignore"):
            fine = left & (values >= 0) & (values <= MAX_COUNT) & (values == np.floor(values))
        result[fine] = values[fine].astype(np.int64)
        left &= ~fine
    _convert_one_by_one(column, left, result, name, marks, _count_of)
    return result


def _count_of(value: Any) -> int:
    if isinstance(value, bool) or "_" in str(value):
        raise ValueError("not a whole number")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError("not a whole number") from None
    if not number.is_finite() or number != number.to_integral_value():
        raise ValueError("not a whole number")
    if number < 0:
        raise ValueError("negative")
    if number > MAX_COUNT:
        raise ValueError("too large")
    return int(number)


def _convert_one_by_one(
    column: pa.Array, rows: NDArray[np.bool_], result: Ints, name: str, marks: ColumnErrors, convert: Callable[[Any], int]
) -> None:
    for index in np.flatnonzero(rows & ~marks.bad).tolist():
        try:
            result[index] = convert(column[index].as_py())
        except (BadTimestamp, ValueError, OverflowError) as bad:
            marks.mark_one(index, name, str(bad))
