"""End of the server and of its workers: an orderly one on SIGTERM, and none of them outlives its parent."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_END_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
TERMINATED = 128 + signal.SIGTERM
_log = logging.getLogger("footprint.server")


@contextlib.contextmanager
def orderly_end() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP unwind the program, with exit status 0; a second one ends it at once.

    A SIGHUP that is ignored (nohup) stays so. Does nothing in a thread other than the first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_ending = False

    def end(number: int, _: FrameType | None) -> None:
        nonlocal is_ending
        if is_ending:
            os._exit(128 + number)
        is_ending = True
        _log.info("%s: stopping", signal.Signals(number).name)
        raise SystemExit(0)

    handlers = {number: signal.getsignal(number) for number in _END_SIGNALS}
    for number, handler in handlers.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def start_worker() -> None:
    """Set up a child process: SIGTERM ends its job, Ctrl-C is left to the parent, and it ends when the parent does."""
    # Ctrl-C reaches the whole process group; the parent decides when this child ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_job)
    end_with_parent()


def _end_job(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def end_with_parent() -> None:
    """End this child process when its parent ends, even by kill -9: transactions make that safe at any instant.

    The pipe to the parent is watched instead of PR_SET_PDEATHSIG, which is sent when the *thread* that started the child ends.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for_end, args=(parent.sentinel,), name="parent", daemon=True).start()


def _wait_for_end(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(TERMINATED)
