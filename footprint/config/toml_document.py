"""TOML document with overrides from the environment and the line of each key."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footprint.core.records import FootprintError

_HEADER = re.compile(r"^\s*\[(\[)?\s*([A-Za-z0-9_.\-]+)\s*\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-]+)\s*=")


class ConfigError(FootprintError):
    """An invalid configuration; the message names file, line and remedy."""


@dataclass(frozen=True, slots=True)
class Document:
    """Parsed TOML with its text, from which errors find their line."""

    data: dict[str, Any]
    text: str
    name: str
    overridden: frozenset[tuple[str, str]] = frozenset()

    def line_of(self, table: str, index: int = 0, key: str = "") -> int:
        """Line (from 1) of a key in the index-th block of a table; of the block itself if it lacks the key."""
        block_index, in_block, block_line = -1, False, 1
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := _HEADER.match(line):
                in_block = False
                if header[2] == table:
                    block_index += 1
                    if block_index == index:
                        in_block, block_line = True, number
            elif in_block and key and (key_match := _KEY.match(line)) and key_match[1] == key:
                return number
        return block_line

    def error(self, problem: str, table: str, index: int = 0, key: str = "") -> ConfigError:
        """An error that names the file and the line, or the environment variable that set the key."""
        if (table, key) in self.overridden:
            return ConfigError(f"{_variable(table, key)}: {problem}")
        return ConfigError(f"{self.name}:{self.line_of(table, index, key)}: {problem}")

    def read_text(self, table: str, key: str, default: str = "") -> str:
        """Text of a key in a section."""
        value = self.data.get(table, {}).get(key, default)
        if not isinstance(value, str):
            raise self.error(f"{key} must be a text in quotes", table, 0, key)
        return value

    def read_choice(self, table: str, key: str, allowed: Sequence[str], default: str) -> str:
        """Text of a key in a section, one of those allowed."""
        value = self.read_text(table, key, default)
        if value not in allowed:
            raise self.error(f"{key} is {value!r}; it must be one of {', '.join(allowed)}", table, 0, key)
        return value

    def read_integer(self, table: str, key: str, default: int, minimum: int, maximum: int | None = None) -> int:
        """Whole number of a key in a section, within limits."""
        value = self.data.get(table, {}).get(key, default)
        limits = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum or (maximum is not None and value > maximum):
            raise self.error(f"{key} must be a whole number {limits}", table, 0, key)
        return value


def resolve_path(text: str, config_path: Path | None) -> str:
    """Path resolved against the folder of the configuration; a URL is unchanged."""
    if not text or "://" in text or config_path is None:
        return text
    return str(config_path.resolve().parent / text)


def _variable(table: str, key: str) -> str:
    return f"FOOTPRINT_{table}__{key}".upper()


def parse_document(text: str, name: str, environ: Mapping[str, str] | None = None) -> Document:
    """Parse TOML text and apply the overrides ``FOOTPRINT_SECTION__KEY`` of the environment.

    Raises
    ------
    ConfigError
        If the text is not TOML.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as bad:
        position = re.search(r"at line (\d+)", str(bad))
        raise ConfigError(f"{name}:{position[1] if position else 1}: not valid TOML: {bad}") from None
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
    """Parse a TOML value such as a number, a boolean or a list; any other text is itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def read_document(path: Path | None) -> Document:
    """Read the document at a path (None: an empty one) and apply the overrides of the environment.

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
