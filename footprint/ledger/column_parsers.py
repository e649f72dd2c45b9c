"""Column parsers: text or typed columns to the integers of the ledger.

Common forms use vectorised casts; only values that these reject are parsed one by one, so that each gets its own reason and
the others are accepted. Whether a value is valid never depends on other rows.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from footprint.attribution.array_types import Floats, Ints
from footprint.core.limits import (
    FIRST_INSTANT_US,
    LAST_INSTANT_US,
    MAX_AHEAD_US,
    MAX_COUNT,
    MIN_INSTANT_US,
    name_fault,
    personal_name_fault,
)
from footprint.core.log_times import NO_ZONE, parse_time
from footprint.core.timestamps import BadTimestamp
from footprint.core.units import INT64_MAX, UJ_PER_J, US_PER_S
from footprint.ledger.record_batch import HALF_SURROGATE, NOT_TEXT
from footprint.ledger.rejects import ColumnErrors

UNKNOWN = -1  # an optional count or instant that is absent

_TEXT_FAULTS = {NOT_TEXT: "not a text", HALF_SURROGATE: "holds half of a surrogate pair"}
_RFC3339 = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$"
_UNIX = r"^\d{1,10}(\.\d{1,6})?$"
_COUNT = r"^\d{1,15}$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
MAX_TIME_US = 253_402_300_799 * US_PER_S
_NS_PER_US = 1000
# Below these a double resolves millionths after multiplication; above, digits are parsed as Decimal.
MAX_EXACT_S = 2.0**32
MAX_EXACT_J = 2.0**51 / UJ_PER_J


def has_value(column: pa.Array) -> NDArray[np.bool_]:
    """Mask of values that are neither null nor blank."""
    valid = column.is_valid()
    if pa.types.is_string(column.type):
        valid = pc.and_(valid, pc.not_equal(pc.utf8_trim_whitespace(column), ""))
    return np.asarray(pc.fill_null(valid, False))


def parse_texts(column: pa.Array, name: str, errors: ColumnErrors, *, required: bool) -> pa.Array:
    """A text column without nulls and outer blanks; integers become texts, other types are rejected."""
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    if not pa.types.is_string(column.type):
        errors.mark(np.asarray(column.is_valid()), name, "not a text")
        column = pa.nulls(len(column), pa.string())
    encoded = pc.fill_null(column, "").dictionary_encode()  # few distinct names: check each once
    codes, values = np.asarray(encoded.indices), pc.utf8_trim_whitespace(encoded.dictionary)
    if required:
        errors.mark(np.asarray(pc.equal(values, ""))[codes], name, "empty")
    _mark_faults(codes, [_TEXT_FAULTS.get(text) or name_fault(text) for text in values.to_pylist()], name, errors)
    return values.take(encoded.indices)


def parse_instants(column: pa.Array, name: str, errors: ColumnErrors, now_us: int, *, required: bool) -> Ints:
    """Instants [µs since 1970]; UNKNOWN where an optional one is absent. Those before 2000 or a day after now are implausible."""
    present = has_value(column)
    result = np.full(len(column), UNKNOWN, dtype=np.int64)
    if required:
        errors.mark(~present, name, "empty")
    pending = present.copy()
    if pa.types.is_timestamp(column.type):
        if column.type.tz is None:
            errors.mark(present, name, NO_ZONE)
        else:
            result[present] = _micros(column.filter(pa.array(present)))
        pending[:] = False
    elif pa.types.is_string(column.type):
        for pattern, convert in ((_UNIX, _from_unix), (_RFC3339, _from_rfc3339)):
            _convert_like(column, pattern, pending, result, convert)
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        seconds = np.asarray(pc.fill_null(column, 0)).astype(np.float64)
        valid = present & np.isfinite(seconds) & (np.abs(seconds) < MAX_TIME_US / US_PER_S)
        result[valid] = np.rint(seconds[valid] * US_PER_S).astype(np.int64)
        pending &= ~valid
    _convert_one_by_one(column, pending, result, name, errors, _instant_of)
    present &= ~errors.bad
    errors.mark(present & (result < FIRST_INSTANT_US), name, "before the year 2000")
    errors.mark(present & (result > LAST_INSTANT_US), name, "more than a day in the future")
    errors.mark_implausible(present & (result < MIN_INSTANT_US), name, "before the year 2000")
    errors.mark_implausible(present & (result > now_us + MAX_AHEAD_US), name, "more than a day in the future")
    return result


def mark_personal_names(column: pa.Array, name: str, errors: ColumnErrors, *, is_host: bool = False) -> None:
    """Reject names that may be those of people."""
    encoded = column.dictionary_encode()
    faults = [personal_name_fault(text, is_host=is_host) for text in encoded.dictionary.to_pylist()]
    _mark_faults(np.asarray(encoded.indices), faults, name, errors)


def _mark_faults(codes: NDArray[Any], faults: list[str], name: str, errors: ColumnErrors) -> None:
    """Reject the rows whose distinct value has a fault: one pass a reason, since a file may hold a faulty name a line."""
    reasons = np.array(faults, dtype=object)
    for reason in sorted(set(faults) - {""}):
        errors.mark((reasons == reason)[codes], name, reason)


def _convert_like(
    column: pa.Array, pattern: str, pending: NDArray[np.bool_], result: Ints, convert: Callable[[pa.Array], Ints | None]
) -> None:
    """Convert the pending values that match a pattern, in place, and clear them from ``pending``."""
    if not pending.any():
        return
    matching = np.asarray(pc.fill_null(pc.match_substring_regex(column, pattern), False)) & pending
    values = convert(column if matching.all() else column.filter(pa.array(matching)))
    if values is not None:
        result[matching] = values
        pending &= ~matching


def _from_rfc3339(column: pa.Array) -> Ints | None:
    try:
        return _micros(pc.cast(column, pa.timestamp("ns", "UTC")))
    except pa.ArrowInvalid:  # an invalid date such as 30 February, or beyond the year 2262
        return None


def _from_unix(column: pa.Array) -> Ints | None:
    values = np.asarray(pc.cast(column, pa.float64()))
    if len(values) and values.max() >= MAX_EXACT_S:
        return None
    return np.rint(values * US_PER_S).astype(np.int64)


def _micros(column: pa.Array) -> Ints:
    """Instants [µs] of zoned timestamps, rounded to the nearest; clipped out of range where they do not fit."""
    if column.type.unit == "ns":
        return np.floor_divide(np.asarray(column.cast(pa.int64())) + _NS_PER_US // 2, _NS_PER_US)
    scale = {"us": 1, "ms": 1000, "s": US_PER_S}[column.type.unit]
    values = np.asarray(column.cast(pa.int64()))
    return np.clip(values, -INT64_MAX // scale, INT64_MAX // scale) * scale


def _instant_of(value: Any) -> int:
    return parse_time(str(value) if isinstance(value, str | Decimal) else repr(value))


def parse_micro(column: pa.Array, name: str, errors: ColumnErrors) -> Ints:
    """Non-negative quantities in millionths (J -> µJ, W -> µW), rounded to the nearest; UNKNOWN where absent."""
    present = has_value(column)
    result = np.full(len(column), UNKNOWN, dtype=np.int64)
    values = parse_non_negative(column, name, errors)
    known = present & ~np.isnan(values)
    errors.mark(known & (values > INT64_MAX / UJ_PER_J / 2), name, "too large")
    known &= ~errors.bad
    small = known & (values < MAX_EXACT_J)
    result[small] = np.rint(values[small] * UJ_PER_J).astype(np.int64)
    for index in np.flatnonzero(known & ~small).tolist():
        result[index] = int((Decimal(str(column[index].as_py()).strip()) * UJ_PER_J).to_integral_value())
    return result


def parse_non_negative(column: pa.Array, name: str, errors: ColumnErrors) -> Floats:
    """Finite numbers of at least 0; NaN where absent or rejected."""
    present = has_value(column)
    values = np.full(len(column), np.nan)
    pending = present.copy()
    if pa.types.is_string(column.type):
        trimmed = pc.utf8_trim_whitespace(column)
        matching = np.asarray(pc.fill_null(pc.match_substring_regex(trimmed, _NUMBER), False)) & pending
        numeric = trimmed if matching.all() else trimmed.filter(pa.array(matching))
        values[matching] = np.asarray(pc.cast(pc.ascii_ltrim(numeric, "+"), pa.float64()))
        pending &= ~matching
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        values[present] = np.asarray(pc.cast(column.filter(pa.array(present)), pa.float64(), safe=False))
        pending[:] = False
    errors.mark(pending, name, "not a number")
    errors.mark(present & ~pending & ~np.isfinite(values), name, "not a finite number")
    errors.mark(values < 0, name, "negative")
    values[~np.isfinite(values) | (values < 0)] = np.nan
    return values


def parse_counts(column: pa.Array, name: str, errors: ColumnErrors) -> Ints:
    """Integers of at least 0; UNKNOWN where absent. ``3.0`` is accepted, ``3.5`` is rejected."""
    pending = has_value(column)
    result = np.full(len(column), UNKNOWN, dtype=np.int64)
    if pa.types.is_string(column.type):
        _convert_like(column, _COUNT, pending, result, lambda matching: np.asarray(pc.cast(matching, pa.int64())))
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values = np.asarray(pc.fill_null(column, 0))
        with np.errstate(invalid="ignore"):
            valid = pending & (values >= 0) & (values <= MAX_COUNT) & (values == np.floor(values))
        result[valid] = values[valid].astype(np.int64)
        pending &= ~valid
    _convert_one_by_one(column, pending, result, name, errors, _count_of)
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
    column: pa.Array, rows: NDArray[np.bool_], result: Ints, name: str, errors: ColumnErrors, convert: Callable[[Any], int]
) -> None:
    for index in np.flatnonzero(rows & ~errors.bad).tolist():
        try:
            result[index] = convert(column[index].as_py())
        except (BadTimestamp, ValueError, OverflowError) as error:
            errors.mark_one(index, name, str(error))
