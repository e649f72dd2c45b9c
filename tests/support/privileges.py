"""Reading files as a user who may not override their permissions, whoever runs the tests."""

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
    """Result of a function in a thread without root's right to read what a file's owner closed to all.

    Linux keeps capabilities by thread, so that only this one loses them; the user stays the same.
    """
    with ThreadPoolExecutor(1) as thread:
        if os.geteuid() == 0:
            thread.submit(_drop_capabilities).result()
        return thread.submit(function).result()


def _drop_capabilities() -> None:
    header, no_capabilities = _Header(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(ctypes.byref(header), no_capabilities) != 0:
        raise OSError(ctypes.get_errno(), "capset")
