"""Log formats: maps from the fields of other programs' files to the columns of a request or of a reading.

A map is an explicit list of paths (docs/reference/maps.md). Nothing that it does not name is read, and only scalars are taken,
so that prompts, answers, user names and addresses in the same file stay out. A map is checked and compiled once; files, the
follower of logs and OTLP read with the same compiled map. Standard library only, because agents use it beside the gateways.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Any

from footprint.core.limits import MAX_NAME_LENGTH, personal_name_fault
from footprint.core.log_times import DATE_ORDERS, PER_SECOND, zone_of
from footprint.core.log_values import (
    FieldSource,
    Getter,
    Steps,
    Times,
    compile_source,
    compile_test,
    records_at,
    steps_of,
    text_of,
)
from footprint.core.records import COMPONENTS, FootprintError
from footprint.core.request_checks import STATUSES
from footprint.core.resources import data_path
from footprint.core.timestamps import BadTimestamp, parse_instant
from footprint.core.units import J_PER_KWH, S_PER_HOUR, UJ_PER_J, UW_PER_W

REQUEST_COLUMNS = (
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
    "attempt",
    "replica",
)
ENERGY_COLUMNS = ("time", "host", "device", "component", "energy_j", "power_w", "source")
COLUMNS_OF = {"requests": REQUEST_COLUMNS, "energy": ENERGY_COLUMNS}
REQUIRED_OF = {"requests": ("start",), "energy": ("time",)}
TIMES = ("start", "end", "first_token", "time")
NUMBERS = ("requests", "input_tokens", "cached_input_tokens", "output_tokens", "units", "attempt", "energy_j", "power_w")
QUANTITIES = ("energy_j", "power_w")
FORMATS = ("jsonl", "csv", "any", "text")  # any: JSON or a table, which the first character tells
SEPARATORS = (",", ";", "\t", "|", "spaces")

_TOP = {
    "about", "source", "kind", "format", "zone", "dates", "origin", "relative", "records", "fields", "record", "use_case", "keep",
    "users", "line", "block", "columns", "separator",
}  # fmt: skip
_SOURCE_KEYS = {
    "path", "constant", "sum", "plus", "minus", "span_unit", "unit", "match", "values", "below", "prefix"
}  # fmt: skip
_KEEP_KEYS = {"path", "constant", "match", "values", "equals", "not"}
# Factor and divisor from a unit to that of the column.
_UNITS_OF = {
    "power_w": {"W": (1, 1), "mW": (1, 1000), "uW": (1, UW_PER_W), "kW": (1000, 1)},
    "energy_j": {
        "J": (1, 1),
        "mJ": (1, 1000),
        "uJ": (1, UJ_PER_J),
        "kJ": (1000, 1),
        "Wh": (S_PER_HOUR, 1),
        "mWh": (S_PER_HOUR, 1000),
        "kWh": (J_PER_KWH, 1),
        "MWh": (1000 * J_PER_KWH, 1),
    },
}


class BadMap(FootprintError):
    """An invalid field map; the message names the file, the key and the remedy."""


@dataclass(frozen=True, slots=True)
class LineForm:
    """How a file holds its documents.

    ``columns`` names the cells of a table without a header. ``pattern`` names the parts of a line of text by its groups, where
    ``block`` matches the first line of each record of several lines.
    """

    file_format: str = "jsonl"
    columns: tuple[str, ...] = ()
    separator: str = ""
    pattern: re.Pattern[str] | None = None
    block: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What a person or a configuration adds to a map, or sets in place of it."""

    service: str = ""
    use_case: Sequence[str] = ()
    zone: str = ""
    dates: str = ""
    origin: str = ""
    constants: Mapping[str, str] | None = None  # by column, where the file does not name any


class FieldMap:
    """A compiled map. `read` gives the rows of a document, each a list of values in the order of ``columns``.

    ``left_out`` counts documents that are no requests or readings by the conditions of the map, ``unusable`` values that are an
    object or a list where a scalar is expected, by column, and ``personal_names`` names of use cases that may be those of
    people, by reason. None of them holds a value.
    """

    def __init__(self, name: str, path: Path, document: Mapping[str, Any], options: Options) -> None:
        check = _Checker(path, document)
        self.name, self.about = name, str(document.get("about", ""))
        self.sources = check.texts("source")
        self.kind = check.choice("kind", COLUMNS_OF, "requests")
        self.form = _line_form(check)
        self.states_zone = bool(check.text("zone"))
        self.left_out: Counter[str] = Counter()
        self.unusable: Counter[str] = Counter()
        self.personal_names: Counter[str] = Counter()
        times = _times(check, options)
        fields = check.sources_by_column("fields", self.kind)
        for column, constant in (options.constants or {}).items():
            fields[column] = (FieldSource(constant=constant),)
        if options.service:
            fields["service"] = (FieldSource(constant=options.service),)
        variants = [fields | check.columns(f"[[record]] {number}", block, self.kind) for number, block in check.blocks("record")]
        variants = variants or [fields]
        for column in REQUIRED_OF[self.kind]:
            if not all(column in variant for variant in variants):
                raise check.fault("[fields]", f"{column} is missing", f'add {column} = "the path of the time"')
        self.columns = tuple(column for column in COLUMNS_OF[self.kind] if any(column in variant for variant in variants))
        self.rules = [_rule(check, rule) for rule in options.use_case] or [
            check.source(f"[[use_case]] {number}", block, "use_case") for number, block in check.blocks("use_case")
        ]
        if self.kind == "requests":
            self.columns = (*(name for name in self.columns if name != "use_case"), "use_case")
        self._rules = [self._getter(rule, "use_case", times) for rule in self.rules]
        self._keep = [self._condition(check, number, block) for number, block in check.blocks("keep")]
        self._records = [check.steps("records", path) for path in check.texts("records")]
        self._variants = [self._variant(variant, times) for variant in variants]
        users = check.table("users")
        self.user, self.team = (
            self._getter(check.source(f"[users] {name}", users[name], "id"), "users", times) if name in users else None
            for name in ("user", "team")
        )
        every = [source for variant in variants for sources in variant.values() for source in sources]
        every += [*(source for rule in self.rules for source in rule), *(condition.source for condition in self._keep)]
        self.paths: tuple[Steps, ...] = tuple(
            dict.fromkeys([*(path for source in every for path in source.all_paths()), *filter(None, self._records)])
        )
        self.uses_parents = any(path[0] == "^" for path in self.paths)
        needed = (source for column in REQUIRED_OF[self.kind] for variant in variants for source in variant[column])
        fields_needed = {path[0] for source in needed for path in source.all_paths()}
        # Top-level fields of which a document has one; without any, it may be the envelope of another.
        of_records = {path[0] for path in self._records if path}
        self.needed_fields = frozenset(of_records | (fields_needed if not self._records or () in self._records else set()))
        self.needs_origin = check.flag("relative") and times.origin_us is None

    def check_readable(self) -> None:
        """Refuse to read before the origin of relative times is known.

        Raises
        ------
        BadMap
            If it is not.
        """
        if self.needs_origin:
            raise BadMap(
                f"{self.name}: the times of this log count from an origin that it does not name; "
                "say it: --origin 2026-10-14T00:00:00Z"
            )

    def top_fields(self) -> set[str]:
        """Top-level fields of a document that the map reads."""
        if not self._records or () in self._records:
            return {path[0] for path in self.paths}
        return {path[0] for path in self._records}

    def read(self, document: Mapping[str, Any]) -> list[list[Any]]:
        """Rows of a document."""
        return [row for record in self.records(document) for row in self.rows(record)]

    def mapped(self, document: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows of a document as objects of the columns that have a value."""
        return [self.as_object(row) for row in self.read(document)]

    def as_object(self, row: Sequence[Any]) -> dict[str, Any]:
        """A row of `read` as an object of the columns that have a value."""
        return {column: value for column, value in zip(self.columns, row, strict=True) if value is not None}

    def records(self, document: Mapping[str, Any]) -> list[Any]:
        """Records of a document that meet the conditions of the map; none of anything but an object."""
        if type(document) is not dict:
            return []
        records: list[Any] = [document]
        if self._records:
            places = (records_at(document, path, with_parents=self.uses_parents) for path in self._records)
            records = next(filter(None, places), [])
            if not records:
                self.left_out[f"nothing at {' or '.join('.'.join(path) for path in self._records)}"] += 1
        if not self._keep:
            return records
        return [record for record in records if self._is_kept(record)]

    def rows(self, record: Any) -> list[list[Any]]:
        """Rows of one record."""
        rows = []
        for getters, own in self._variants:
            row = [get(record) for get in getters]
            if own and all(row[index] is None for index in own):
                continue
            if self.kind == "requests":
                row.append(self._use_case(record))
            rows.append(row)
        if not rows:
            self.left_out["no reading in the line"] += 1
        return rows

    def remarks(self) -> list[str]:
        """What was read but not taken, by reason, as sentences without values."""
        names = "names of use cases were not taken: each"
        return [
            *(f"{count} left out by the map: {reason}" for reason, count in sorted(self.left_out.items())),
            *(
                f"{column}: {count} values are an object or a list and were not taken"
                for column, count in sorted(self.unusable.items())
            ),
            *(
                f"{count} {names} {reason}; the requests count under another name or (unknown)"
                for reason, count in sorted(self.personal_names.items())
            ),
        ]

    def take_remarks(self) -> list[str]:
        """The remarks since the last call."""
        remarks = self.remarks()
        for counts in (self.left_out, self.unusable, self.personal_names):
            counts.clear()
        return remarks

    def _is_kept(self, record: Any) -> bool:
        for condition in self._keep:
            if not condition.is_met(record):
                self.left_out[condition.label] += 1
                return False
        return True

    def _use_case(self, record: Any) -> str:
        for get in self._rules:
            value = get(record)
            if value is None:
                continue
            text = text_of(value)
            fault = _name_fault(text) if len(text) <= MAX_NAME_LENGTH else personal_name_fault(text)
            if not fault:
                return text
            self.personal_names[fault] += 1  # the request counts all the same
        return ""

    def _variant(self, variant: Mapping[str, tuple[FieldSource, ...]], times: Times) -> tuple[list[Getter], list[int]]:
        """Getters of the columns, and the places of those of which a row needs one."""
        columns = [column for column in self.columns if column != "use_case" or self.kind != "requests"]
        getters = [self._getter(variant[column], column, times) if column in variant else _nothing for column in columns]
        own = [columns.index(column) for column in QUANTITIES if column in variant] if self.kind == "energy" else []
        return getters, own

    def _getter(self, sources: Sequence[FieldSource], column: str, times: Times) -> Getter:
        kind = "time" if column in TIMES else "number" if column in NUMBERS else "text"
        getters = [compile_source(source, kind, column, times, self.unusable) for source in sources]
        if len(getters) == 1:
            return getters[0]

        def get(record: Any) -> Any:
            for getter in getters:
                value = getter(record)
                if value is not None:
                    return value
            return None

        return get

    def _condition(self, check: _Checker, number: int, block: Mapping[str, Any]) -> _Condition:
        where = f"[[keep]] {number}"
        unknown = set(block) - _KEEP_KEYS
        if unknown:
            raise check.fault(where, f"{', '.join(sorted(unknown))} is not known", f"known are {', '.join(sorted(_KEEP_KEYS))}")
        (source,) = check.source(where, {key: block[key] for key in block if key not in ("equals", "not")}, "id")
        expected, excluded = check.scalars(where, block, "equals"), check.scalars(where, block, "not")
        get = compile_source(source, "text", "keep", Times(), Counter())
        label = ".".join(source.paths[0]) if source.paths else "constant"
        words = (
            f" is not {' or '.join(expected)}" if expected else f" is {' or '.join(excluded)}" if excluded else " has no value"
        )
        return _Condition(source, compile_test(get, expected, excluded), label + words)


@dataclass(frozen=True, slots=True)
class _Condition:
    source: FieldSource
    is_met: Callable[[Any], bool]
    label: str


def _nothing(_record: Any) -> None:
    return None


@lru_cache(maxsize=4096)
def _name_fault(text: str) -> str:
    return personal_name_fault(text)


def shipped_maps(kind: str = "") -> list[str]:
    """Names of the maps under ``data/maps``; of one kind, if it is named."""
    paths = sorted(data_path("maps").glob("*.toml"))
    return [path.stem for path in paths if not kind or (_document(path).get("kind", "requests") == kind)]


def load_map(name: str, options: Options | None = None) -> FieldMap:
    """Read and compile a packaged map by name, or a TOML file.

    Raises
    ------
    BadMap
        If there is no such map, or it is invalid.
    """
    path = Path(name) if name.endswith(".toml") else data_path("maps") / f"{name}.toml"
    if not path.is_file():
        remedy = f"shipped are {', '.join(shipped_maps())}, or name a TOML file; `footprint maps guess FILE` proposes one"
        raise BadMap(f"no field map named {name}; {remedy}")
    return FieldMap(path.stem, path, _document(path), options or Options())


def parse_map(text: str, name: str = "proposal.toml") -> FieldMap:
    """Compile a map from its text.

    Raises
    ------
    BadMap
        If it is invalid.
    """
    try:
        return FieldMap(Path(name).stem, Path(name), tomllib.loads(text), Options())
    except tomllib.TOMLDecodeError as bad:
        raise BadMap(f"{name}: {bad}") from None


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as bad:
        raise BadMap(f"{path}: {bad}") from None


def _rule(check: _Checker, text: str) -> tuple[FieldSource, ...]:
    """Parse a rule of the configuration: a path, or ``path =~ pattern`` with one group."""
    path, _, pattern = text.partition("=~")
    spec = {"path": path.strip()} | ({"match": pattern.strip()} if pattern else {})
    return check.source(f"use_case rule {text!r}", spec, "use_case")


def _times(check: _Checker, options: Options) -> Times:
    origin = options.origin or check.text("origin")
    dates = options.dates or check.choice("dates", DATE_ORDERS, "")
    zone = options.zone or check.text("zone")
    origin_us = None
    if origin:
        try:
            origin_us = parse_instant(origin)
        except BadTimestamp as bad:
            raise check.fault("origin", str(bad), 'write origin = "2026-10-14T00:00:00Z"') from None
    return Times(check.zone("zone", zone), dates, origin_us)


def _line_form(check: _Checker) -> LineForm:
    file_format = check.choice("format", FORMATS, "jsonl")
    separator = check.choice("separator", SEPARATORS, "")
    line, block = check.pattern("line", check.text("line")), check.pattern("block", check.text("block"))
    if file_format == "text" and (line is None or not line.groupindex):
        raise check.fault("line", "a log of text needs a pattern with named groups", "write line = '(?P<time>\\S+) …'")
    if file_format != "text" and (line or block):
        raise check.fault("line" if line else "block", "is for logs of text", 'add format = "text"')
    return LineForm(file_format, check.texts("columns"), separator, line, block)


class _Checker:
    """Checks of the parts of a map; each fault names the file, the key and the remedy."""

    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        self.path, self.document = path, document
        unknown = set(document) - _TOP
        if unknown:
            raise self.fault(", ".join(sorted(unknown)), "unknown key", f"known are {', '.join(sorted(_TOP))}")

    def fault(self, key: str, reason: str, remedy: str) -> BadMap:
        """The error of a key."""
        return BadMap(f"{self.path}: {key}: {reason}; {remedy}")

    def text(self, key: str) -> str:
        """A text; empty if the map has none."""
        value = self.document.get(key, "")
        if not isinstance(value, str):
            raise self.fault(key, f"is {value!r}, which is no text", f'write {key} = "…"')
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A text or a list of texts."""
        value = self.document.get(key, ())
        values = (value,) if isinstance(value, str) else value
        if not isinstance(values, list | tuple) or not all(isinstance(item, str) for item in values):
            raise self.fault(key, "is no text and no list of texts", f'write {key} = ["…"]')
        return tuple(values)

    def flag(self, key: str) -> bool:
        """A truth value; false if the map has none."""
        value = self.document.get(key, False)
        if not isinstance(value, bool):
            raise self.fault(key, f"is {value!r}", f"write {key} = true")
        return value

    def choice(self, key: str, choices: Sequence[str] | Mapping[str, Any], default: str) -> str:
        """One of some words."""
        value = self.text(key) or default
        if value and value not in choices:
            raise self.fault(key, f"is {value!r}", f"it must be one of {', '.join(map(repr, choices))}")
        return value

    def table(self, key: str) -> Mapping[str, Any]:
        """A table; empty if the map has none."""
        value = self.document.get(key, {})
        if not isinstance(value, dict):
            raise self.fault(f"[{key}]", "is no table" if not isinstance(value, list) else "is written [[…]]", f"write [{key}]")
        return value

    def blocks(self, key: str) -> list[tuple[int, Mapping[str, Any]]]:
        """Numbered tables of an array of tables."""
        value = self.document.get(key, [])
        if isinstance(value, dict):
            raise self.fault(f"[{key}]", "is one table, where several may stand", f"write [[{key}]]")
        if not isinstance(value, list) or not all(isinstance(block, dict) for block in value):
            raise self.fault(key, "is no array of tables", f"write [[{key}]] and the keys below it")
        return list(enumerate(value, 1))

    def zone(self, key: str, name: str) -> tzinfo | None:
        """A time zone; None if the name is empty."""
        try:
            return zone_of(name) if name else None
        except ValueError as bad:
            raise self.fault(key, str(bad), f'write {key} = "Europe/Paris"') from None

    def pattern(self, key: str, text: Any) -> re.Pattern[str] | None:
        """A regular expression; None if the text is empty."""
        if not isinstance(text, str):
            raise self.fault(key, f"{text!r} is no text", "write a regular expression in single quotes")
        try:
            return re.compile(text) if text else None
        except re.error as bad:
            raise self.fault(key, f"is no regular expression: {bad}", "correct it; \\ stays as it is in single quotes") from None

    def steps(self, key: str, path: Any) -> Steps:
        """The steps of a path; empty for an empty path."""
        if not isinstance(path, str):
            raise self.fault(key, f"the path {path!r} is no text", f'write it as "{path}"')
        try:
            return steps_of(path)
        except ValueError as bad:
            raise self.fault(key, f"the path {path!r} {bad}", "separate steps by dots and quote names that hold dots") from None

    def paths(self, key: str, value: Any) -> tuple[Steps, ...]:
        """A path, or a list of paths."""
        paths = tuple(self.steps(key, path) for path in (value if isinstance(value, list) else [value]))
        if not all(paths):
            raise self.fault(key, "an empty path", 'write the name of a field, such as "model"')
        return paths

    def scalars(self, where: str, block: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """A value or a list of values, as texts."""
        value = block.get(key, [])
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int | float) for item in values):
            raise self.fault(f"{where}: {key}", "is no value and no list of values", f'write {key} = "…"')
        return tuple(text_of(item) for item in values)

    def sources_by_column(self, key: str, kind: str) -> dict[str, tuple[FieldSource, ...]]:
        """The sources of each column of a table."""
        return self.columns(f"[{key}]", self.table(key), kind)

    def columns(self, where: str, table: Mapping[str, Any], kind: str) -> dict[str, tuple[FieldSource, ...]]:
        """The sources of each column of a table."""
        sources = {}
        for column, spec in table.items():
            if column == "use_case" and kind == "requests":
                raise self.fault(f"{where} use_case", "is not read from [fields]", "write it as a rule: [[use_case]]")
            if column not in COLUMNS_OF[kind]:
                known = ", ".join(COLUMNS_OF[kind])
                raise self.fault(f"{where} {column}", f"is no column of {kind}", f"columns are {known}")
            sources[column] = self.source(f"{where} {column}", spec, column)
        return sources

    def source(self, where: str, spec: Any, column: str) -> tuple[FieldSource, ...]:
        """The sources of a column: a path, a table, or a list of them, of which the first that holds a value counts."""
        items = spec if isinstance(spec, list) else [spec]
        if items and all(isinstance(item, str) for item in items):
            return (self._one_source(where, {"path": items}, column),)
        if not items or not all(isinstance(item, str | dict) for item in items):
            wrong = next((item for item in items if not isinstance(item, str | dict)), spec)
            keys = ", ".join(sorted(_SOURCE_KEYS))
            raise self.fault(where, f"{wrong!r} is neither a path nor a table", f'write "name" or a table of {keys}')
        return tuple(self._one_source(where, {"path": item} if isinstance(item, str) else item, column) for item in items)

    def _one_source(self, where: str, spec: Mapping[str, Any], column: str) -> FieldSource:
        unknown = set(spec) - _SOURCE_KEYS
        if unknown:
            raise self.fault(where, f"{', '.join(sorted(unknown))} is not known", f"known are {', '.join(sorted(_SOURCE_KEYS))}")
        starts = [key for key in ("path", "constant", "sum") if key in spec]
        if len(starts) != 1:
            raise self.fault(where, "needs one of path, constant and sum", 'write { path = "name" }')
        if starts == ["constant"] and not isinstance(spec["constant"], str | int | float):
            raise self.fault(f"{where}: constant", "is no text and no number", 'write constant = "…"')
        lists = {key: self.paths(f"{where}: {key}", spec[key]) for key in ("path", "sum", "plus", "minus") if key in spec}
        return FieldSource(
            paths=lists.get("path", ()),
            constant=spec.get("constant"),
            total=lists.get("sum", ()),
            plus=lists.get("plus", ()),
            minus=lists.get("minus", ()),
            span_unit=self._unit(where, spec, "span_unit", PER_SECOND, "s"),
            unit=self._unit(where, spec, "unit", PER_SECOND if column in TIMES else _UNITS_OF.get(column, {}), ""),
            scales=_UNITS_OF.get(column, {}),
            match=self.pattern(f"{where}: match", spec["match"]) if "match" in spec else None,
            values=self._values(where, spec.get("values"), column),
            below=self._below(where, spec.get("below")),
            prefix=self._prefix(where, spec.get("prefix", "")),
        )

    def _unit(self, where: str, spec: Mapping[str, Any], key: str, units: Mapping[str, Any], default: str) -> str:
        unit = spec.get(key, default)
        if unit != default and unit not in units:
            known = f"units are {', '.join(units)}" if units else "this column has no unit; leave it out"
            raise self.fault(f"{where}: {key}", f"is {unit!r}", known)
        return str(unit)

    def _values(self, where: str, values: Any, column: str) -> Mapping[str, str] | None:
        if values is None:
            return None
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise self.fault(f"{where}: values", "is no table of texts", 'write values = { success = "ok", "*" = "error" }')
        allowed = {"status": STATUSES, "component": COMPONENTS}.get(column, ())
        for value in values.values():
            if allowed and value not in allowed:
                raise self.fault(f"{where}: values", f"{value!r} is no {column}", f"such are {', '.join(allowed)}")
        return dict(values)

    def _below(self, where: str, below: Any) -> int | None:
        if below is not None and (not isinstance(below, int) or isinstance(below, bool)):
            raise self.fault(f"{where}: below", f"is {below!r}, which is no whole number", "write below = 400")
        return below

    def _prefix(self, where: str, prefix: Any) -> str:
        if not isinstance(prefix, str):
            raise self.fault(f"{where}: prefix", f"is {prefix!r}, which is no text", 'write prefix = "gpu:"')
        return prefix
