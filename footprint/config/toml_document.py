"""This file reads TOML text and the environment, and remembers on which line each key stands."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footprint.core.records import FootprintError

_HEADER = re.compile(r"^\s*\[(\[)?\s*([A-Za-z0-9_.\-]+)\s*\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-]+)\s*=")


class ConfigError(FootprintError):
    """A configuration that cannot be right, with its file, its line and the remedy."""


@dataclass(frozen=True, slots=True)
class Document:
    """Parsed TOML, with enough of its text to say where a thing stands."""

    data: dict[str, Any]
    text: str
    name: str
    overridden: frozenset[tuple[str, str]] = frozenset()

    def line_of(self, table: str, index: int = 0, key: str = "") -> int:
        """Line (from 1) of a key in the index-th block of a table; of the block where the key is absent."""
        seen, inside, block_line = -1, False, 1
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := _HEADER.match(line):
                inside = False
                if header[2] == table:
                    seen += 1
                    if seen == index:
                        inside, block_line = True, number
            elif inside and key and (found := _KEY.match(line)) and found[1] == key:
                return number
        return block_line

    def error(self, problem: str, table: str, index: int = 0, key: str = "") -> ConfigError:
        """An error that names the file and the line, or the environment variable that set the key."""
        if (table, key) in self.overridden:
            return ConfigError(f"{_variable(table, key)}: {problem}")
        return ConfigError(f"{self.name}:{self.line_of(table, index, key)}: {problem}")


def _variable(table: str, key: str) -> str:
    return f"FOOTPRINT_{table}__{key}".upper()


def parse_document(text: str, name: str, environ: Mapping[str, str] | None = None) -> Document:
    """TOML text with the overrides ``FOOTPRINT_SECTION__KEY`` of the environment.

    Raises
    ------
    ConfigError
        If the text is not TOML.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as bad:
        where = re.search(r"at line (\d+)", str(bad))
        raise ConfigError(f"{name}:{where[1] if where else 1}: not valid TOML: {bad}") from None
    overridden: set[tuple[str, str]] = set()
    for variable, value in (environ or {}).items():
        section, separator, key = variable.removeprefix("FOOTPRINT_").lower().partition("__")
        if variable.startswith("FOOTPRINT_") and separator:
            table = data.setdefault(section, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{variable}: [[{section}]] is a list and cannot be set from the environment")
            table[key] = _value(value)
            overridden.add((section, key))
    return Document(data, text, name, frozenset(overridden))


def _value(text: str) -> Any:
    """A TOML value where the text is one (a number, a truth, a list), else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def read_document(path: Path | None) -> Document:
    """The document at a path, or an empty one, with the overrides of the environment.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not TOML.
    """
    if path is None:
        return parse_document("", "environment", os.environ)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as bad:
        raise ConfigError(f"{path}: cannot be read: {bad}") from None
    return parse_document(text, str(path), os.environ)
