"""Values of a map's paths in a document: only what the paths name is looked at, and only scalars are taken."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import lru_cache
from typing import Any

from footprint.core.limits import MAX_NAME_LENGTH
from footprint.core.log_times import parse_span_us, parse_time
from footprint.core.timestamps import BadTimestamp
from footprint.core.units import US_PER_S

Steps = tuple[str, ...]
Getter = Callable[[Any], Any]
MAX_MATCHED_LENGTH = 5 * MAX_NAME_LENGTH  # of a text that a pattern is tried on
NOT_A_TIME = "not a time"  # which the reader of requests refuses
EVERY, PARENT = "*", "^"  # steps: every element of a list or object; the object around the record

# How logs write a missing value.
_MISSING = frozenset({
    "", "-", "None", "none", "null", "NULL", "Null", "nil", "<nil>", "undefined", "N/A", "n/a", "\\N",
    "[N/A]", "[Not Supported]", "[Unknown Error]", "[GPU requires reset]",
})  # fmt: skip
_SCALARS = (str, int, float, bool)
_STEP = re.compile(r'"([^"]*)"|([^."]+)')
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*([A-Za-zµ]{0,8})\s*", re.ASCII)
_UNIT_WORDS = {"Watts": "W", "watts": "W", "Watt": "W", "w": "W", "kw": "kW", "kwh": "kWh", "wh": "Wh", "Joules": "J", "µW": "uW"}
_ZONED = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Times:
    """How zone-less times, dates with slashes and relative times are read; the origin [µs] is None where times are absolute."""

    zone: tzinfo | None = None
    order: str = ""
    origin_us: int | None = None


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Where to find a value: the first of ``paths`` that holds one, a ``constant``, or the ``total`` of those that do.

    ``plus`` and ``minus`` are paths of durations (in ``span_unit``, for times) or of numbers. ``match`` takes the first group of
    a pattern; of a list, from the first element that matches. ``values`` translates values and drops those that it does not
    list. ``below`` turns a status code into ``ok`` (below it) or ``error``. ``unit`` is that of a time or of a quantity.
    """

    paths: tuple[Steps, ...] = ()
    constant: str | int | float | None = None
    total: tuple[Steps, ...] = ()
    plus: tuple[Steps, ...] = ()
    minus: tuple[Steps, ...] = ()
    span_unit: str = "s"
    unit: str = ""
    scales: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    match: re.Pattern[str] | None = None
    values: Mapping[str, str] | None = None
    below: int | None = None
    prefix: str = ""

    def all_paths(self) -> tuple[Steps, ...]:
        """All paths that it reads."""
        return (*self.paths, *self.total, *self.plus, *self.minus)


def steps_of(path: str) -> Steps:
    """Split ``a.b.c`` into steps; a quoted step may contain dots: ``attributes."gen_ai.usage.input_tokens"``.

    Raises
    ------
    ValueError
        If quotes or dots are wrong.

    Examples
    --------
    >>> steps_of('data.*."a.b".0')
    ('data', '*', 'a.b', '0')
    """
    steps, position = [], 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise ValueError("has an empty step or an open quote")
        steps.append(match[1] if match[1] is not None else match[2])
        position = match.end()
        if position < len(path):
            if path[position] != "." or position + 1 == len(path):
                raise ValueError("has an empty step or an open quote")
            position += 1
    return tuple(steps)


def text_of(value: Any) -> str:
    """A scalar as text; truth values as JSON writes them."""
    if isinstance(value, str):
        return value
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


@lru_cache(maxsize=2)  # several paths go into one text
def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _step(value: Any, step: str) -> Any:
    """One step into a value; into a text that is JSON, too."""
    kind = type(value)
    if kind is str and value[:1] in ("{", "["):
        value = _decoded(value)
        kind = type(value)
    if kind is dict:
        return value.get(step)
    if kind is list and step.lstrip("-").isdecimal() and step.isascii() and -len(value) <= int(step) < len(value):
        return value[int(step)]
    return None


def records_at(document: Any, steps: Steps, *, with_parents: bool) -> list[dict[str, Any]]:
    """Objects at a path, which may have ``*`` steps; ``with_parents`` gives each the object around it under ``^``."""
    values: list[tuple[Any, Any]] = [(document, None)]
    for step in steps:
        following: list[tuple[Any, Any]] = []
        for value, parent in values:
            opened = _opened(value)
            around = ({**opened, PARENT: parent} if with_parents else None) if isinstance(opened, dict) else parent
            following += [(item, around) for item in _items(opened, step)]
        values = following
    opened_values = [(_opened(value), parent) for value, parent in values]
    return [{**value, PARENT: parent} if with_parents else value for value, parent in opened_values if isinstance(value, dict)]


def _opened(value: Any) -> Any:
    """A value, or what a text holds that is JSON."""
    return _decoded(value) if isinstance(value, str) and value[:1] in ("{", "[") else value


def _items(value: Any, step: str) -> list[Any]:
    if step == EVERY:
        values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [item for item in values if item is not None]
    item = _step(value, step)
    return [] if item is None else [item]


def _elements_at(record: Any, steps: Steps) -> list[Any] | None:
    """All values at a path with ``*`` steps; None if there are none."""
    values = [record]
    for step in steps:
        values = [item for value in values for item in _items(_opened(value), step)]
    return values or None


def _path_getter(steps: Steps) -> Getter:
    if EVERY in steps:
        return lambda record: _elements_at(record, steps)
    if len(steps) == 1:
        key = steps[0]

        return lambda record: record.get(key)

    def get(record: Any) -> Any:
        for step in steps:
            record = record.get(step) if type(record) is dict else _step(record, step)
            if record is None:
                return None
        return record

    return get


def compile_source(source: FieldSource, kind: str, column: str, times: Times, unusable: Counter[str]) -> Getter:
    """A function from a record to the value of a source, or None; ``kind`` is time, number or text.

    Values that are objects or lists are not taken, and counted in ``unusable`` by column.
    """
    get = _changed(source, _first(source, column, unusable))
    if kind == "time":
        return _time_getter(source, get, times)
    if kind == "number":
        return _number_getter(source, get)
    if source.prefix:
        return lambda record: None if (value := get(record)) is None else source.prefix + text_of(value)
    return get


def _first(source: FieldSource, column: str, unusable: Counter[str]) -> Getter:
    """The first scalar that a source's paths hold, or with a pattern the first that matches; before any translation."""
    if source.constant is not None:
        return lambda _record: source.constant
    if source.total:
        return _sum_getter([_path_getter(path) for path in source.total])
    getters = [(_path_getter(path), EVERY in path) for path in source.paths]
    pattern = source.match

    def get(record: Any) -> Any:
        for getter, is_many in getters:
            value = getter(record)
            if value is None:
                continue
            kind = type(value)
            if kind is dict or (kind is list and pattern is None):
                values = _scalars(value) if is_many else ()
                if not values:
                    unusable[column] += 1
                    continue
                value = values[0]
            elif kind is str and value in _MISSING:
                continue
            value = value if pattern is None else _first_match(pattern, value)
            if value is not None:
                return value
        return None

    key = _only_key(source)
    if not key or pattern is not None:
        return get

    def get_key(record: Any) -> Any:  # the commonest case, in a third of the time
        value = record.get(key)
        kind = type(value)
        if kind is int or kind is float:
            return value
        if kind is str:
            return None if value in _MISSING else value
        return None if value is None else get(record)

    return get_key


def _only_key(source: FieldSource) -> str:
    """The field of the record that a source reads, if that is all it does to find a value; else empty."""
    is_one = len(source.paths) == 1 and len(source.paths[0]) == 1 and source.paths[0][0] != EVERY
    return source.paths[0][0] if is_one else ""


def _scalars(value: Any) -> list[Any]:
    items = value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, _SCALARS) and item not in _MISSING]


def _first_match(pattern: re.Pattern[str], value: Any) -> str | None:
    """The first group of a pattern in a scalar, or in the first scalar of a list that it matches."""
    if type(value) is str and value[:1] == "[":
        value = _scalars(_decoded(value)) or value
    for item in value if type(value) is list else (value,):
        text = item if type(item) is str else text_of(item) if isinstance(item, _SCALARS) else ""
        # The time of a search can grow with the square of the length; what patterns look for is a name, an address or a list.
        match = pattern.search(text) if len(text) <= MAX_MATCHED_LENGTH else None
        if match:
            return match[1] if pattern.groups else match[0]
    return None


def _changed(source: FieldSource, get: Getter) -> Getter:
    """``values`` and ``below`` applied to what a getter gives."""
    values, below = source.values, source.below
    if values is not None:
        before = get
        other = values.get("*")

        def get(record: Any) -> Any:
            value = before(record)
            return None if value is None else values.get(text_of(value), other)

    if below is not None:
        limited = get

        def get(record: Any) -> Any:
            value = limited(record)
            try:
                return None if value is None else "ok" if number_of(value) < below else "error"
            except ValueError:
                return None

    return get


def number_of(value: Any) -> int | float:
    """A number, or the number of a text.

    Raises
    ------
    ValueError
        If it is none.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2]:
        raise ValueError("not a number")
    return int(match[1]) if match[1].isdecimal() and len(match[1]) < 20 else float(match[1])


def _sum_getter(getters: Sequence[Getter]) -> Getter:
    """The sum of all numbers that are there; None if there is none, the value itself if it is no number."""

    def get(record: Any) -> Any:
        total: int | float | None = None
        for getter in getters:
            value = getter(record)
            for item in value if isinstance(value, list) else (value,):
                if item is None or (isinstance(item, str) and item in _MISSING):
                    continue
                try:
                    total = number_of(item) + (total or 0)
                except ValueError:
                    return text_of(item) if isinstance(item, _SCALARS) else None
        return total

    return get


def _number_getter(source: FieldSource, get: Getter) -> Getter:
    plus, minus = (_sum_getter([_path_getter(path) for path in paths]) for paths in (source.plus, source.minus))
    if not source.plus and not source.minus and not source.scales:
        return get
    scale_of_map = source.scales.get(source.unit, (1, 1))

    def get_number(record: Any) -> Any:
        value = get(record)
        if value is None:
            return None
        try:
            if source.scales:
                value = _quantity(value, source.scales, scale_of_map)
            return number_of(value) + number_of(plus(record) or 0) - number_of(minus(record) or 0)
        except (ValueError, OverflowError):
            return text_of(value)  # which the reader refuses

    return get_number


def _quantity(value: Any, scales: Mapping[str, tuple[int, int]], scale: tuple[int, int]) -> float | int:
    """A number in the base unit: a unit in the text counts before that of the map.

    Raises
    ------
    ValueError
        If it is no number, or in no unit that is known.
    """
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        unit = match and (match[2] if match[2] in scales else _UNIT_WORDS.get(match[2], match[2]))
        if match is None or (unit and unit not in scales):
            raise ValueError("not a number")
        value, scale = float(match[1]), scales[unit] if unit else scale
    factor, divisor = scale
    number = number_of(value)
    return number if factor == divisor else number * factor / divisor


def _time_getter(source: FieldSource, get: Getter, times: Times) -> Getter:
    """Times as they are where the readers know the form, else as Unix seconds."""
    is_plain = source.unit in ("", "s") and not source.plus and not source.minus and times.origin_us is None
    spans = [(sign, _path_getter(path)) for sign, paths in ((1, source.plus), (-1, source.minus)) for path in paths]

    def get_time(record: Any) -> Any:
        value = get(record)
        if value is None:
            return None
        kind = type(value)
        if is_plain and (kind is float or kind is int or (kind is str and _ZONED.fullmatch(value))):
            return value
        try:
            at_us = _instant_us(value, source.unit, times)
            for sign, span in spans:
                duration = span(record)
                if duration is None or (isinstance(duration, str) and duration in _MISSING):
                    return None
                at_us += sign * parse_span_us(duration, source.span_unit)
        except (ValueError, OverflowError, BadTimestamp):
            return value if kind is str and is_plain else NOT_A_TIME
        seconds, us = divmod(at_us, US_PER_S)
        if seconds < 0:
            return NOT_A_TIME
        return f"{seconds}.{us:06d}".rstrip("0").rstrip(".")

    key = _only_key(source)
    if not key or not is_plain or source.match or source.values:
        return get_time

    def get_number(record: Any) -> Any:  # of a log with Unix seconds
        value = record.get(key)
        kind = type(value)
        return value if kind is float or kind is int else get_time(record)

    return get_number


def _instant_us(value: Any, unit: str, times: Times) -> int:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, str) and (unit not in ("", "s") or times.origin_us is not None):
        try:
            value = number_of(value)
            is_number = True
        except ValueError:
            pass
    if is_number and unit not in ("", "s"):
        at_us = parse_span_us(value, unit)
    elif is_number and times.origin_us is not None:
        at_us = parse_span_us(value, "s")
    elif is_number:
        return parse_time(repr(value))
    elif isinstance(value, str):
        return parse_time(value, times.zone, times.order)
    else:
        raise BadTimestamp(NOT_A_TIME)
    return at_us + (times.origin_us or 0)


def compile_test(get: Getter, expected: Sequence[str], excluded: Sequence[str]) -> Callable[[Any], bool]:
    """Whether a record meets a condition: its value is one of ``expected``, none of ``excluded``, or is there at all.

    A truth value of a log equals its word in any case. A missing value is none of ``excluded``.
    """
    wanted, unwanted = frozenset(expected), frozenset(excluded)
    truths = {word.lower() for word in (*expected, *excluded) if word.lower() in ("true", "false")}

    def is_in(text: str, words: frozenset[str]) -> bool:
        return text in words or (text.lower() in truths and any(text.lower() == word.lower() for word in words))

    def is_met(record: Any) -> bool:
        value = get(record)
        if value is None:
            return bool(unwanted) and not wanted
        text = text_of(value)
        return (not wanted or is_in(text, wanted)) and not (unwanted and is_in(text, unwanted))

    return is_met
