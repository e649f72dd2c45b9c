"""Decoders of JSON that build only what a map reads: the rest of a payload, prompts and answers too, is passed over unread.

Several times as fast as building whole payloads, since most of a gateway's line is text that no map names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypedDict

import msgspec

from footprint.core.log_formats import FieldMap
from footprint.core.log_values import EVERY, PARENT, Steps

_Tree = dict[str, Any]


def decoder_of(field_map: FieldMap) -> Callable[[bytes | str], Any]:
    """A function from JSON to an object of the fields that a map reads; it refuses some lines that `json.loads` takes.

    Raises
    ------
    ValueError
        From the function: if the text is no such JSON.
    """
    if field_map.uses_parents or any(path[0] == PARENT for path in field_map.paths):
        return msgspec.json.decode
    return msgspec.json.Decoder(_type_of(_tree(field_map.paths), "Document")).decode


def _tree(paths: Iterable[Steps]) -> _Tree:
    """Names within names; None below a path that is read whole, because it ends there or goes through a list."""
    tree: _Tree = {}
    for path in paths:
        _add(tree, path)
    return tree


def _add(tree: _Tree, path: Steps) -> None:
    name, *rest = path
    if not rest or tree.get(name, tree) is None or rest[0] == EVERY or rest[0].lstrip("-").isdecimal():
        tree[name] = None
    else:
        _add(tree.setdefault(name, {}), tuple(rest))


def _type_of(tree: _Tree, name: str) -> Any:
    fields = {
        key: Any if below is None else _type_of(below, f"{name}_") | str | int | float | bool | list[Any] | None
        for key, below in tree.items()
    }
    return TypedDict(name, fields, total=False)  # type: ignore[operator]
