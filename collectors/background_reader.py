"""This file reads slow sources beside the loop: a service processor takes seconds, and sampling must not wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from collectors.base import Unavailable
from collectors.clocks import now_us
from footprint.core.samples import Sample

Read = Callable[[int, int], list[Sample]]


class SlowReader:
    """Calls ``read(at_us, mono_us)`` again and again in a thread; what it gave is handed out once."""

    def __init__(self, read: Read, period_s: float) -> None:
        self._read, self._period_s = read, period_s
        self._lock = threading.Lock()
        self._waiting: list[Sample] = []
        self._failure: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="slow", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        while not self._stop.wait(self._period_s):
            failure: Exception | None = None
            found: list[Sample] = []
            try:
                # The clock before: a power that was asked for is one of that time, however late the answer.
                found = self._read(*now_us())
            except Exception as bad:
                failure = bad
            with self._lock:
                self._failure = failure
                self._waiting += found

    def take(self) -> Iterator[Sample]:
        """Samples read since the last call.

        Raises
        ------
        Unavailable
            If the last attempt failed.
        """
        with self._lock:
            found, self._waiting, failure = self._waiting, [], self._failure
            self._failure = None
        yield from found
        if failure is not None:
            raise Unavailable(str(failure))

    def stop(self) -> None:
        """End the thread; one that is still waiting for an answer ends with the process."""
        self._stop.set()
