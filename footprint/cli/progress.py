"""Progress of long work on standard error: a bar on a terminal, else a line now and then.

On a terminal after half a second; elsewhere a line every tenth of the way or every 30 seconds (clig.dev).
"""

from __future__ import annotations

import sys
import time
from typing import TextIO

from footprint.core.limits import printable

WIDTH, AFTER_S, LINE_S = 20, 1 / 2, 30


def format_duration(seconds: float) -> str:
    """A duration as people say it: 45 s, 12 min, 1 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class Progress:
    """Shows ``done`` of ``total``; the end of the bar is cleared, so that messages start on a line of their own."""

    def __init__(self, title: str, out: TextIO | None = None, unit: str = "points", quiet_s: float = 0) -> None:
        """``quiet_s``: work that takes less time than this [s] prints no line elsewhere than on a terminal."""
        self._title, self._out, self._unit, self._quiet_s = title, out or sys.stderr, unit, quiet_s
        self._terminal = self._out.isatty()
        self._begun = self._said = time.monotonic()
        self._tenth = -1
        self._shown = False

    def count(self, done: int, total: int) -> None:
        """Show ``done`` of ``total`` of parts that take about the same time each."""
        self(done, total, "", (time.monotonic() - self._begun) * (total - done) / max(done, 1))

    def __call__(self, done: int, total: int, label: str, left_s: float) -> None:
        now = time.monotonic()
        text = f"{self._title} {done}/{total} {self._unit}" + (f" · {printable(label)}" if label else "")
        text += f" · {format_duration(left_s)} left" if left_s > 0 else ""
        if self._terminal:
            if now - self._begun >= AFTER_S:
                full = WIDTH * done // total
                bar = "▓" * full + "░" * (WIDTH - full)
                print(f"\r\x1b[K{text.replace(self._title, f'{self._title} {bar}', 1)}", end="", file=self._out, flush=True)
                self._shown = True
        elif now - self._begun >= self._quiet_s and (10 * done // total > self._tenth or now - self._said >= LINE_S):
            self._tenth, self._said = 10 * done // total, now
            print(text, file=self._out, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._shown:
            print("\r\x1b[K", end="", file=self._out, flush=True)
