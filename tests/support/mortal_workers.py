"""Tasks of workers that are killed amid their work."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from footprint.aggregation.executors import TaskResult, _compute_task

DEATHS = "FOOTPRINT_TEST_DEATHS"  # folder with a file for each worker that died


def compute_or_die(url: str, config: Any, book: Any, shards: Sequence[Any], max_bytes: int) -> TaskResult:
    """The task; the first worker of all to get there computes a day of it and is killed."""
    try:
        (Path(os.environ[DEATHS]) / "first").touch(exist_ok=False)
    except FileExistsError:
        return _compute_task(url, config, book, shards, max_bytes)
    return compute_and_die(url, config, book, shards, max_bytes)


def compute_and_die(url: str, config: Any, book: Any, shards: Sequence[Any], max_bytes: int) -> TaskResult:
    """The first day of a task, and the death of the worker."""
    _compute_task(url, config, book, shards[:1], max_bytes)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
