"""Background thread for slow sources, so that sampling never waits for a service processor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from collectors.base import Unavailable
from collectors.clocks import wall_and_monotonic_us
from footprint.core.samples import Sample

MAX_ATTEMPT_S = 120.0
ReadSamples = Callable[[int, int], list[Sample]]


class BackgroundReader:
    """Thread that calls ``read(at_us, mono_us)`` every ``period_s`` seconds and queues its samples."""

    def __init__(self, read: ReadSamples, period_s: float) -> None:
        self._read, self._period_s = read, period_s
        self._lock = threading.Lock()
        self._waiting: list[Sample] = []
        self._failure: Exception | None = None
        self._begun_s: float | None = None  # of an attempt that goes on
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="slow", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        while not self._stop.wait(self._period_s):
            failure: Exception | None = None
            samples: list[Sample] = []
            self._begun_s = time.monotonic()
            try:
                # Stamp with the time of the request: the power belongs to it, however late the answer.
                samples = self._read(*wall_and_monotonic_us())
            except Exception as error:
                failure = error
            self._begun_s = None
            with self._lock:
                self._failure = failure
                self._waiting += samples

    def take(self) -> Iterator[Sample]:
        """Samples since the last call.

        Raises
        ------
        Unavailable
            If the last attempt failed, or goes on for too long.
        """
        begun_s = self._begun_s
        if begun_s is not None and time.monotonic() - begun_s > MAX_ATTEMPT_S:
            self._begun_s = time.monotonic()  # say it again after as long
            raise Unavailable(f"no answer for {MAX_ATTEMPT_S:g} s")
        with self._lock:
            samples, self._waiting, failure = self._waiting, [], self._failure
            self._failure = None
        yield from samples
        if failure is not None:
            raise Unavailable(str(failure))

    def stop(self) -> None:
        """Stop the thread; if it still waits for an answer, it ends with the process."""
        self._stop.set()
