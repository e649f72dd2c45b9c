"""Reader of the text that exporters answer with: Prometheus text (0.0.4 and 1.0) and OpenMetrics 1.0.

Of both forms it takes names and labels in quotes (UTF-8), times in milliseconds or in seconds with decimals, exemplars, and
NaN and Inf; metadata and ``_created`` series pass by, because their names are in no table. A line costs its length and no
more, however it is formed, and one line that cannot be read costs no other: it is counted with its reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

MAX_SERIES = 20_000  # of wanted names in one exposition
NO_NAME, BAD_LABELS, REPEATED_LABEL, BAD_NUMBER, BAD_END, REPEATED_SERIES = (
    "no name of a metric",
    "labels that cannot be read",
    "one label twice",
    "no number",
    "more than a number, a time and an exemplar",
    "one series twice",
)
TOO_MANY = f"more than {MAX_SERIES} series"
# Seconds since 1970 reach 1e11 in the year 5138; milliseconds passed it in 1973.
_MAX_SECONDS = 1e11

# Each expression is anchored and possessive: it reads a character once.
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*+")
_QUOTED = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_TERM = re.compile(rf"[ \t]*+(?:([a-zA-Z_:][a-zA-Z0-9_:]*+)|{_QUOTED})[ \t]*+(?:=[ \t]*+{_QUOTED}[ \t]*+)?(,|(?=\}}))")
_NUMBER = r"[-+]?+(?:[0-9.]++(?:[eE][-+]?+[0-9]++)?|[iI][nN][fF](?:inity)?|[nN][aA][nN])"
_VALUE = re.compile(rf"[ \t]*+({_NUMBER})(?=[ \t]|$)")
_REST = re.compile(rf"(?:[ \t]++({_NUMBER})(?=[ \t]|$))?(?:[ \t]++#.*+)?[ \t]*+")
_ESCAPE = re.compile(r'\\[\\"n]')
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
_FOREIGN = re.compile(r"[^a-zA-Z0-9_:]")
_VALUE_ESCAPE = re.compile(r"__|_([0-9a-fA-F]{1,6})_")


class SeriesSample(NamedTuple):
    """Value of one series; ``at_s`` is the time that the exporter wrote beside it [s since 1970], None without one."""

    name: str
    labels: dict[str, str]
    value: float
    at_s: float | None


def plain_name(name: str) -> str:
    """Name of a metric or label in the characters that every Prometheus knows: ``hw.energy`` is ``hw_energy``."""
    if name.startswith("U__"):  # the escape of names in UTF-8 for those who asked for none
        name = _VALUE_ESCAPE.sub(_unescape_value, name[3:])
    return _FOREIGN.sub("_", name)


def _unescape_value(match: re.Match[str]) -> str:
    if match[1] is None:
        return "_"
    code = int(match[1], 16)
    return chr(code) if code < 0x110000 else "_"


def parse_exposition(
    text: str, is_wanted: Callable[[str], object] = bool, problems: Counter[str] | None = None
) -> Iterator[SeriesSample]:
    """Samples of a text whose name is wanted, each series once and at most ``MAX_SERIES`` of them.

    The name decides before the rest of a line is read. ``problems`` counts the wanted lines that cannot be read, and
    lines without a name, by reason.
    """
    problems = Counter() if problems is None else problems
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for line in text.split("\n"):
        sample = _parse_line(line.strip(" \t\r"), is_wanted, problems)
        if sample is None:
            continue
        if len(seen) >= MAX_SERIES:
            problems[TOO_MANY] += 1
            return
        key = sample.name, frozenset(sample.labels.items())
        if key in seen:
            problems[REPEATED_SERIES] += 1
            continue
        seen.add(key)
        yield sample


class _Unreadable(Exception):
    """A line that cannot be read; the text is the reason."""


def _parse_line(line: str, is_wanted: Callable[[str], object], problems: Counter[str]) -> SeriesSample | None:
    if not line or line.startswith("#"):
        return None
    try:
        match = _NAME.match(line)
        if match is None or is_wanted(plain_name(match[0])):
            return _read_sample(line, match[0] if match else "", match.end() if match else 0, is_wanted)
    except _Unreadable as reason:
        problems[str(reason)] += 1
    return None


def _read_sample(line: str, name: str, position: int, is_wanted: Callable[[str], object]) -> SeriesSample | None:
    labels: dict[str, str] = {}
    if line.startswith("{", position):
        position += 1
        while not line.startswith("}", position):
            term = _TERM.match(line, position)
            if term is None or (term[3] is None and (name or term[2] is None)):
                raise _Unreadable(BAD_LABELS if name else NO_NAME)
            position = term.end()
            if term[3] is None:  # the name itself, in quotes
                name = _unescape(term[2])
                if not is_wanted(plain_name(name)):
                    return None
                continue
            label = plain_name(term[1] or _unescape(term[2]))
            if label in labels:
                raise _Unreadable(REPEATED_LABEL)
            labels[label] = _unescape(term[3])
        position += 1
    elif not line.startswith((" ", "\t"), position):
        raise _Unreadable(NO_NAME)
    if not name:
        raise _Unreadable(NO_NAME)
    value, at_s = _read_value(line, position)
    return SeriesSample(plain_name(name), labels, value, at_s)


def _read_value(line: str, position: int) -> tuple[float, float | None]:
    value = _VALUE.match(line, position)
    if value is None:
        raise _Unreadable(BAD_NUMBER)
    rest = _REST.fullmatch(line, value.end())
    if rest is None:
        raise _Unreadable(BAD_END)
    try:
        number, at_s = float(value[1]), float(rest[1]) if rest[1] else None
    except ValueError:
        raise _Unreadable(BAD_NUMBER) from None
    return number, at_s / 1000 if at_s is not None and abs(at_s) > _MAX_SECONDS else at_s


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda escape: _ESCAPES[escape[0]], text) if "\\" in text else text
