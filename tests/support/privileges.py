"""Calls without the capability to override file permissions, for tests that run as root."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
CAPABILITY_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3 of linux/capability.h


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("thread", ctypes.c_int))


def without_override(function: Callable[[], Result]) -> Result:
    """Run a function in a thread without the capability to override file permissions.

    Linux keeps capabilities per thread, so only this thread loses them; the user stays the same.
    """
    with ThreadPoolExecutor(1) as thread:
        if os.geteuid() == 0:
            thread.submit(_drop_capabilities).result()
        return thread.submit(function).result()


def _drop_capabilities() -> None:
    header, no_capabilities = _Header(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(ctypes.byref(header), no_capabilities) != 0:
        raise OSError(ctypes.get_errno(), "capset")
