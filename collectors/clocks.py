"""Clocks of the host: wall and monotonic time, synchronisation, and the boot's identity.

Requirements: Linux; adjtimex(2) is called to read only.
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

_TIMEX_BYTES = 512  # struct timex has 208 on 64-bit Linux; modes = 0 reads only
_TIME_ERROR = 5


def wall_and_monotonic_us() -> tuple[int, int]:
    """Wall and monotonic clock [µs]; the monotonic clock stands still while the machine sleeps."""
    return time.time_ns() // 1000, time.monotonic_ns() // 1000


def sync_state() -> str:
    """``synchronised``, ``unsynchronised``, or ``unknown`` if the kernel does not report it (adjtimex(2))."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return "unknown"
    if state < 0:
        return "unknown"
    return "unsynchronised" if state == _TIME_ERROR else "synchronised"


def boot_id(proc: Path) -> str:
    """The kernel's identifier of this boot, or the agent's start time if it has none."""
    try:
        return (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"start-{time.time_ns()}"
