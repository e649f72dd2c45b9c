"""Version cache: values computed from the figures of a store, kept until a figure changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection

from footprint.storage.database import Store
from footprint.storage.figure_writer import data_version

MAX_VALUES = 256  # of a store
Value = TypeVar("Value")
_lock = threading.Lock()
_caches: WeakKeyDictionary[Store, tuple[str, OrderedDict[Hashable, Any]]] = WeakKeyDictionary()


def cached_value(store: Store, connection: Connection, key: Hashable, compute: Callable[[], Value]) -> Value:
    """The value of a key for the figures of this snapshot, computed where it is not known.

    ``key`` names what is computed and everything else that it depends on.
    """
    version = data_version(connection)
    with _lock:
        known_version, values = _caches.get(store, ("", OrderedDict()))
        if known_version == version and key in values:
            values.move_to_end(key)
            known: Value = values[key]
            return known
    value = compute()
    with _lock:
        known_version, values = _caches.get(store, ("", OrderedDict()))
        if known_version != version:
            values = OrderedDict()
            _caches[store] = version, values
        values[key] = value
        while len(values) > MAX_VALUES:
            values.popitem(last=False)
    return value
