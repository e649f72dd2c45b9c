"""Names under which objects are stored: JSON keys, and the text that digests are made of.

A stored form is written once and read for years, so it does not follow the Python names. ``stored_as`` fixes both the name of
the class and the names of its fields, in the order of the declaration; classes and fields may then be renamed freely.
Standard library only, because the agent uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

NOT_STORED = "-"  # in place of the stored name of a field that no stored form holds

T = TypeVar("T")
_SCALARS = frozenset({str, int, float, bool, type(None)})
_NAMES: dict[type, str] = {}
_KEYS: dict[type, tuple[tuple[str, str], ...]] = {}  # class -> (Python name, stored name) of each field that is stored


def stored_as(name: str, keys: str) -> Callable[[type[T]], type[T]]:
    """Class decorator that fixes the stored name of a dataclass and those of its fields, in the order of declaration.

    Raises
    ------
    ValueError
        If the class has more or fewer fields than ``keys`` names.
    """

    def register(kind: type[T]) -> type[T]:
        declared = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        pairs = dict(zip(declared, keys.split(), strict=True))
        _NAMES[kind] = name
        _KEYS[kind] = tuple((field, key) for field, key in pairs.items() if key != NOT_STORED)
        kind.__pydantic_config__ = {"alias_generator": pairs.__getitem__}  # type: ignore[attr-defined]
        return kind

    return register


def keys_of(kind: type) -> tuple[tuple[str, str], ...]:
    """The Python name and the stored name of each stored field, in order."""
    return _KEYS[kind]


def digest_text(value: object) -> str:
    """The text of a value that digests are made of: ``SiteFact(name='paris-1', …)`` with stored names."""
    kind = type(value)
    if kind in _SCALARS:
        return repr(value)
    if kind in _KEYS:
        inside = ", ".join(f"{key}={digest_text(getattr(value, field))}" for field, key in _KEYS[kind])
        return f"{_NAMES[kind]}({inside})"
    if kind is list:
        return f"[{', '.join(map(digest_text, value))}]"  # type: ignore[call-overload]
    if kind is tuple:
        inside = ", ".join(map(digest_text, value))  # type: ignore[call-overload]
        return f"({inside},)" if len(value) == 1 else f"({inside})"  # type: ignore[arg-type]
    return repr(value)


def to_plain(value: Any) -> Any:
    """The value as JSON holds it: objects become dictionaries by stored names, also within lists and dictionaries."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind in _KEYS:
        return {key: to_plain(getattr(value, field)) for field, key in _KEYS[kind]}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    return value


def from_plain(kind: Callable[..., T], stored: Mapping[str, Any]) -> T:
    """An object of the stored names; a field whose name is absent takes its default.

    Raises
    ------
    TypeError
        If a name is not one of the class, or one without a default is absent.
    """
    names = {key: field for field, key in _KEYS[kind]}  # type: ignore[index]
    unknown = set(stored) - set(names)
    if unknown:
        raise TypeError(f"{', '.join(sorted(unknown))}: not a name of {_NAMES[kind]}")  # type: ignore[index]
    return kind(**{names[key]: value for key, value in stored.items()})
