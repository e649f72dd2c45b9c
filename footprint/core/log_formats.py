"""This file reads other programs' logs by a declared map: which field of theirs is which column of a request.

A map is an explicit list. Nothing that it does not name is looked at, so that prompts, answers, user names and
addresses that stand beside are never read. Standard library only, for agents use it beside the gateways.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
)
TIMES = ("start", "end", "first_token")
_NOTHING = ("", "-", "None")  # how logs write that there is no value
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
FORMATS = ("jsonl", "csv")


class BadMap(FootprintError):
    """A field map that cannot be right; the message names the file and the key."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where a value stands: the first of ``paths`` that holds one.

    ``unit`` divides times (s, ms, us, ns; empty for RFC 3339). ``minus`` and ``plus`` are durations taken from or
    added to it, in ``span_unit``. ``match`` takes the first group of a pattern, of the first element that meets it
    where the value is a list. ``values`` translates; what it does not list is left out.
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

    plain: bool = True  # whether a value is taken as it stands


@dataclass(frozen=True, slots=True)
class FieldMap:
    """How one program's log is read; ``use_case`` are rules in order, the first that finds a name counts."""

    name: str
    form: str
    fields: Mapping[str, Field]
    use_case: tuple[Field, ...] = ()
    keep: tuple[tuple[Field, str], ...] = ()
    user: Field | None = None  # read for distinct counts only (footprint.core.user_counts), and never kept
    team: Field | None = None

    def sources(self) -> set[str]:
        """Top-level names of the log that the map looks at."""
        every = [*self.fields.values(), *self.use_case, *(field for field, _ in self.keep)]
        return {path[0] for field in every for path in (*field.paths, field.minus, field.plus) if path}


def shipped_maps() -> list[str]:
    """Names of the maps that are shipped under ``data/maps``."""
    return sorted(path.stem for path in data_path("maps").glob("*.toml"))


def load_map(name: str, *, service: str = "", use_case: Sequence[str] = ()) -> FieldMap:
    """The map of a name that is shipped, or of a TOML file; ``service`` and ``use_case`` rules take over from its own.

    Raises
    ------
    BadMap
        If there is none, or it cannot be right.
    """
    path = Path(name) if name.endswith(".toml") else data_path("maps") / f"{name}.toml"
    if not path.is_file():
        raise BadMap(f"no field map named {name}; shipped are {', '.join(shipped_maps())}, or name a TOML file")
    try:
        found = _map(path, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as bad:
        raise BadMap(f"{path}: {bad}") from None
    if service:
        found = replace(found, fields={**found.fields, "service": Field(constant=service)})
    if use_case:
        found = replace(found, use_case=tuple(_rule(path, rule) for rule in use_case))
    return found


def _map(path: Path, document: dict[str, Any]) -> FieldMap:
    unknown = set(document) - {"about", "format", "fields", "use_case", "keep", "users"}
    if unknown:
        raise BadMap(f"{path}: unknown key {', '.join(sorted(unknown))}")
    form = document.get("format", "jsonl")
    if form not in FORMATS:
        raise BadMap(f"{path}: format is {form!r}; it must be one of {', '.join(FORMATS)}")
    fields = {}
    for column, said in document.get("fields", {}).items():
        if column not in COLUMNS or column == "use_case":
            raise BadMap(f"{path}: [fields] {column} is no column of requests (use cases have [[use_case]] rules)")
        fields[column] = _field(path, column, said)
    if "start" not in fields:
        raise BadMap(f"{path}: [fields] start is missing")
    rules = tuple(_field(path, "use_case", said) for said in document.get("use_case", ()))
    keep = tuple((_field(path, "keep", said), str(said.get("equals", ""))) for said in document.get("keep", ()))
    users = {name: _field(path, f"users.{name}", said) for name, said in document.get("users", {}).items()}
    return FieldMap(path.stem, form, fields, rules, keep, users.get("user"), users.get("team"))


def _field(path: Path, column: str, said: Any) -> Field:
    if isinstance(said, str | list):
        said = {"path": said}
    if not isinstance(said, dict) or set(said) - _KEYS:
        raise BadMap(f"{path}: {column} must be a path, a list of paths, or a table of {', '.join(sorted(_KEYS))}")
    paths = said.get("path", [])
    paths = [paths] if isinstance(paths, str) else paths
    unit, span_unit = said.get("unit", ""), said.get("span_unit", "s")
    if (unit and unit not in _PER_SECOND) or span_unit not in _PER_SECOND:
        raise BadMap(f"{path}: {column}: units are {', '.join(_PER_SECOND)}")
    try:
        match = re.compile(said["match"]) if "match" in said else None
    except re.error as bad:
        raise BadMap(f"{path}: {column}: {bad}") from None
    return Field(
        tuple(_steps(each) for each in paths),
        said.get("constant"),
        unit,
        _steps(said.get("minus", "")),
        _steps(said.get("plus", "")),
        span_unit,
        match,
        said.get("values"),
        said.get("below"),
        not {"match", "values", "below"} & set(said),
    )


_KEYS = {"path", "constant", "unit", "minus", "plus", "span_unit", "match", "values", "below", "equals"}


def _rule(path: Path, text: str) -> Field:
    """A rule as the configuration writes it: a path, or ``path =~ pattern`` with one group."""
    where, _, pattern = text.partition("=~")
    return _field(path, "use_case", {"path": where.strip()} | ({"match": pattern.strip()} if pattern else {}))


def _steps(path: str) -> tuple[str, ...]:
    """``a.b.c`` as steps; a step in quotes may hold dots: ``attributes."gen_ai.usage.input_tokens"``."""
    return tuple(part[1:-1] if part.startswith('"') else part for part in re.findall(r'"[^"]*"|[^.]+', path))


def map_request(found: FieldMap, document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Columns of one request from a row of a log; None where the map says that the row is no request."""
    for field, wanted in found.keep:
        value = _value(field, document)
        if (str(value) != wanted) if wanted else value is None:
            return None
    row: dict[str, Any] = {}
    for column, field in found.fields.items():
        value = _time(field, document) if column in TIMES else _value(field, document)
        if value is not None:
            row[column] = value
    row["use_case"] = ""
    for rule in found.use_case:
        value = _value(rule, document)
        if value is not None:
            row["use_case"] = str(value)
            break
    return row


def value_at(field: Field, document: Mapping[str, Any]) -> Any:
    """What a field finds in a row of a log; None where it finds nothing."""
    return _value(field, document)


def _value(field: Field, document: Mapping[str, Any]) -> Any:
    if field.constant is not None:
        return field.constant
    for path in field.paths:
        value = _at(document, path)
        if value is None or value in _NOTHING:
            continue
        if field.plain:
            return value
        if field.match is not None:
            value = _matched(field.match, value)
        if field.values is not None:
            value = field.values.get(str(value), field.values.get("*"))
        if field.below is not None and value is not None:
            value = _below(value, field.below)
        if value is not None:
            return value
    return None


def _below(value: Any, limit: int) -> str | None:
    """Whether a code is that of success; nothing where it is no code."""
    try:
        return "ok" if _number(value) < limit else "error"
    except ValueError:
        return None


def _at(document: Any, path: Sequence[str]) -> Any:
    for step in path:
        if type(document) is dict:  # what a JSON object always is, and a tenth of the time of asking for a Mapping
            document = document.get(step)
        elif isinstance(document, list) and step.lstrip("-").isdigit() and -len(document) <= int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def _matched(pattern: re.Pattern[str], value: Any) -> str | None:
    for each in value if isinstance(value, list) else (value,):
        found = pattern.search(str(each))
        if found:
            return found[1] if pattern.groups else found[0]
    return None


def _time(field: Field, document: Mapping[str, Any]) -> Any:
    """A time as RFC 3339 or Unix seconds, moved by a duration that stands in the same row."""
    value = _value(field, document)
    if value is None:
        return None
    if field.unit in ("", "s") and not field.minus and not field.plus:
        return value  # RFC 3339 or Unix seconds, as every instant is read
    try:
        seconds = _number(value) / _PER_SECOND[field.unit or "s"]
        for sign, path in ((-1, field.minus), (1, field.plus)):
            if path:
                seconds += sign * _number(_at(document, path)) / _PER_SECOND[field.span_unit]
    except ValueError:
        return "not a time"  # refused as any other text that is none
    return repr(round(seconds, 6))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a number")
    return float(value)


def parse_json_object(line: bytes | str) -> Mapping[str, Any] | None:
    """A JSON object, or None."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
