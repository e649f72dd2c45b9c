"""Cache of the values used last, bounded by their total size rather than by their number."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Values by key; the least recently used ones leave where the sizes sum to more than ``capacity``.

    Examples
    --------
    >>> cache = BoundedCache(10, len)
    >>> [cache.get(text, lambda: text * 4) for text in ("a", "b", "a", "c")]
    ['aaaa', 'bbbb', 'aaaa', 'cccc']
    >>> [text in cache for text in "abc"]
    [True, False, True]
    """

    def __init__(self, capacity: int, size_of: Callable[[V], int]) -> None:
        self._capacity, self._size_of, self._size = capacity, size_of, 0
        self._values: OrderedDict[K, V] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made where it is not cached; the value asked for last always stays."""
        if key not in self._values:
            value = make()
            self._values[key] = value
            self._size += self._size_of(value)
            while self._size > self._capacity and len(self._values) > 1:
                self._size -= self._size_of(self._values.popitem(last=False)[1])
        self._values.move_to_end(key)
        return self._values[key]
