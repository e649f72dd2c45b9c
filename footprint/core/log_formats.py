"""Log formats: maps from the fields of other programs' logs to the columns of a request.

A map is an explicit list of fields. Fields that it does not name are never read, so that prompts, answers, user names
and addresses in the same log stay out. Standard library only, because agents use it beside the gateways.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from footprint.core.limits import MAX_NAME_LENGTH, personal_name_fault
from footprint.core.records import FootprintError
from footprint.core.resources import data_path

COLUMNS = (
    "start",
    "end",
    "first_token",
    "service",
    "use_case",
    "model",
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "units",
    "unit",
    "status",
    "id",
    "replica",
)
TIMES = ("start", "end", "first_token")
_MISSING = ("", "-", "None")  # how logs write a missing value
MAX_MATCHED_LENGTH = 5 * MAX_NAME_LENGTH  # of a text that a rule's pattern is tried on
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
FORMATS = ("jsonl", "csv")


class BadMap(FootprintError):
    """An invalid field map; the message names the file and the key."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where to find a value: the first of ``paths`` that holds one, or a ``constant``.

    ``unit`` is the unit of a time (s, ms, us, ns; empty for RFC 3339). ``minus`` and ``plus`` are paths of durations to
    subtract from it or add to it, in ``span_unit``. ``match`` extracts the first group of a pattern; of a list, from the
    first element that matches. ``values`` translates values and drops those that it does not list. ``below`` turns a
    status code into ``ok`` (below it) or ``error``.
    """

    paths: tuple[tuple[str, ...], ...] = ()
    constant: str | int | None = None
    unit: str = ""
    minus: tuple[str, ...] = ()
    plus: tuple[str, ...] = ()
    span_unit: str = "s"
    match: re.Pattern[str] | None = None
    values: Mapping[str, str] | None = None
    below: int | None = None
    plain: bool = True  # whether a value is used unchanged: no match, values or below


@dataclass(frozen=True, slots=True)
class FieldMap:
    """How to read the log of one program.

    ``use_case`` holds rules, of which the first that finds a name counts; what looks like an address, a token or an opaque id is
    no name of a use case, and is counted in ``personal_names`` without its text. ``conditions`` holds fields with their required
    value (empty: any value): rows that do not meet all of them are not requests.
    """

    name: str
    file_format: str
    fields: Mapping[str, Field]
    use_case: tuple[Field, ...] = ()
    conditions: tuple[tuple[Field, str], ...] = ()
    personal_names: Counter[str] = dataclasses.field(default_factory=Counter, compare=False)  # use cases not taken, by reason
    user: Field | None = None  # read only for distinct counts (footprint.core.user_counts), never stored
    team: Field | None = None

    def source_fields(self) -> set[str]:
        """Top-level fields of the log that the map reads."""
        fields = [*self.fields.values(), *self.use_case, *(field for field, _ in self.conditions)]
        return {path[0] for field in fields for path in (*field.paths, field.minus, field.plus) if path}


def shipped_maps() -> list[str]:
    """Names of the maps under ``data/maps``."""
    return sorted(path.stem for path in data_path("maps").glob("*.toml"))


def load_map(name: str, *, service: str = "", use_case: Sequence[str] = ()) -> FieldMap:
    """Read a packaged map by name, or a TOML file; ``service`` and ``use_case`` replace the map's own rules.

    Raises
    ------
    BadMap
        If there is no such map, or it is invalid.
    """
    path = Path(name) if name.endswith(".toml") else data_path("maps") / f"{name}.toml"
    if not path.is_file():
        raise BadMap(f"no field map named {name}; shipped are {', '.join(shipped_maps())}, or name a TOML file")
    try:
        field_map = _map(path, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as bad:
        raise BadMap(f"{path}: {bad}") from None
    if service:
        field_map = replace(field_map, fields={**field_map.fields, "service": Field(constant=service)})
    if use_case:
        field_map = replace(field_map, use_case=tuple(_rule(path, rule) for rule in use_case))
    return field_map


def _map(path: Path, document: dict[str, Any]) -> FieldMap:
    unknown = set(document) - {"about", "format", "fields", "use_case", "keep", "users"}
    if unknown:
        raise BadMap(f"{path}: unknown key {', '.join(sorted(unknown))}")
    file_format = document.get("format", "jsonl")
    if file_format not in FORMATS:
        raise BadMap(f"{path}: format is {file_format!r}; it must be one of {', '.join(FORMATS)}")
    fields = {}
    for column, spec in document.get("fields", {}).items():
        if column not in COLUMNS or column == "use_case":
            raise BadMap(f"{path}: [fields] {column} is no column of requests (use cases have [[use_case]] rules)")
        fields[column] = _field(path, column, spec)
    if "start" not in fields:
        raise BadMap(f"{path}: [fields] start is missing")
    rules = tuple(_field(path, "use_case", spec) for spec in document.get("use_case", ()))
    conditions = tuple((_field(path, "keep", spec), str(spec.get("equals", ""))) for spec in document.get("keep", ()))
    users = {name: _field(path, f"users.{name}", spec) for name, spec in document.get("users", {}).items()}
    return FieldMap(path.stem, file_format, fields, rules, conditions, user=users.get("user"), team=users.get("team"))


def _field(path: Path, column: str, spec: Any) -> Field:
    if isinstance(spec, str | list):
        spec = {"path": spec}
    if not isinstance(spec, dict) or set(spec) - _KEYS:
        raise BadMap(f"{path}: {column} must be a path, a list of paths, or a table of {', '.join(sorted(_KEYS))}")
    paths = spec.get("path", [])
    paths = [paths] if isinstance(paths, str) else paths
    unit, span_unit = spec.get("unit", ""), spec.get("span_unit", "s")
    if (unit and unit not in _PER_SECOND) or span_unit not in _PER_SECOND:
        raise BadMap(f"{path}: {column}: units are {', '.join(_PER_SECOND)}")
    try:
        match = re.compile(spec["match"]) if "match" in spec else None
    except re.error as bad:
        raise BadMap(f"{path}: {column}: {bad}") from None
    return Field(
        tuple(_steps(dotted) for dotted in paths),
        spec.get("constant"),
        unit,
        _steps(spec.get("minus", "")),
        _steps(spec.get("plus", "")),
        span_unit,
        match,
        spec.get("values"),
        spec.get("below"),
        not {"match", "values", "below"} & set(spec),
    )


_KEYS = {"path", "constant", "unit", "minus", "plus", "span_unit", "match", "values", "below", "equals"}


def _rule(path: Path, text: str) -> Field:
    """Parse a rule of the configuration: a path, or ``path =~ pattern`` with one group."""
    source, _, pattern = text.partition("=~")
    return _field(path, "use_case", {"path": source.strip()} | ({"match": pattern.strip()} if pattern else {}))


def _steps(path: str) -> tuple[str, ...]:
    """Split ``a.b.c`` into steps; a quoted step may contain dots: ``attributes."gen_ai.usage.input_tokens"``."""
    return tuple(part[1:-1] if part.startswith('"') else part for part in re.findall(r'"[^"]*"|[^.]+', path))


def map_request(field_map: FieldMap, document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Columns of one request from a row of a log; None if the row does not meet the conditions of the map."""
    for field, expected in field_map.conditions:
        value = value_at(field, document)
        if (str(value) != expected) if expected else value is None:
            return None
    row: dict[str, Any] = {}
    for column, field in field_map.fields.items():
        value = _time(field, document) if column in TIMES else value_at(field, document)
        if value is not None:
            row[column] = value
    row["use_case"] = ""
    for rule in field_map.use_case:
        value = value_at(rule, document)
        if value is None:
            continue
        if fault := personal_name_fault(str(value)):
            field_map.personal_names[fault] += 1
            continue  # the request counts all the same
        row["use_case"] = str(value)
        break
    return row


def value_at(field: Field, document: Mapping[str, Any]) -> Any:
    """Value of a field in a row of a log; None if the row has none."""
    if field.constant is not None:
        return field.constant
    for path in field.paths:
        value = _at(document, path)
        if value is None or value in _MISSING:
            continue
        if field.plain:
            return value
        if field.match is not None:
            value = _first_match(field.match, value)
        if field.values is not None:
            value = field.values.get(str(value), field.values.get("*"))
        if field.below is not None and value is not None:
            value = _request_status(value, field.below)
        if value is not None:
            return value
    return None


def _request_status(value: Any, limit: int) -> str | None:
    """``ok`` for a status code below the limit, else ``error``; None if the value is not a number."""
    try:
        return "ok" if _number(value) < limit else "error"
    except ValueError:
        return None


def _at(document: Any, path: Sequence[str]) -> Any:
    for step in path:
        if type(document) is dict:  # ten times faster than isinstance(document, Mapping)
            document = document.get(step)
        elif isinstance(document, list) and step.lstrip("-").isdigit() and -len(document) <= int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def _first_match(pattern: re.Pattern[str], value: Any) -> str | None:
    for item in value if isinstance(value, list) else (value,):
        text = str(item)
        # The time of a search can grow with the square of the length; what patterns look for is a name, an address or a list.
        match = pattern.search(text) if len(text) <= MAX_MATCHED_LENGTH else None
        if match:
            return match[1] if pattern.groups else match[0]
    return None


def _time(field: Field, document: Mapping[str, Any]) -> Any:
    """A time as RFC 3339 or Unix seconds, shifted by durations of the same row."""
    value = value_at(field, document)
    if value is None:
        return None
    if field.unit in ("", "s") and not field.minus and not field.plus:
        return value  # RFC 3339 or Unix seconds, as the reader of requests expects
    try:
        seconds = _number(value) / _PER_SECOND[field.unit or "s"]
        for sign, path in ((-1, field.minus), (1, field.plus)):
            if path:
                seconds += sign * _number(_at(document, path)) / _PER_SECOND[field.span_unit]
    except ValueError:
        return "not a time"  # which the reader of requests then refuses
    return repr(round(seconds, 6))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("too large for a number") from None


def parse_json_object(line: bytes | str) -> Mapping[str, Any] | None:
    """Parse a JSON object; None if the line is anything else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
