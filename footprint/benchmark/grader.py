"""This file hands prompts and answers to a grader of the user's own, and takes scores back. It keeps neither.

A grader is a command, which reads JSON Lines ``{"index", "answer", …the line of the prompt}`` and writes one line each, a
number or ``{"score": …}``; or ``module:function``, which takes the list of those objects and returns as many numbers.
"""

from __future__ import annotations

import importlib
import json
import math
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from footprint.core.records import FootprintError

_ENTRY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class GraderFailed(FootprintError):
    """The grader cannot be run, or gives no score for every prompt."""


def grade(grader: str, graded: Sequence[dict[str, Any]]) -> tuple[float, ...]:
    """Scores in the order of what was graded.

    Raises
    ------
    GraderFailed
        If it cannot be run, or does not give as many finite numbers.
    """
    told = _by_function(grader, graded) if _ENTRY.fullmatch(grader) else _by_command(grader, graded)
    if len(told) != len(graded):
        raise GraderFailed(f"{grader}: {len(told)} scores for {len(graded)} prompts")
    return tuple(_score(grader, each) for each in told)


def _by_function(grader: str, graded: Sequence[dict[str, Any]]) -> list[Any]:
    module, _, name = grader.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return list(getattr(importlib.import_module(module), name)(list(graded)))
    except Exception as bad:
        raise GraderFailed(f"{grader}: {type(bad).__name__}") from None  # its words may hold an answer


def _by_command(grader: str, graded: Sequence[dict[str, Any]]) -> list[Any]:
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in graded)
    try:
        done = subprocess.run(shlex.split(grader), input=lines.encode(), stdout=subprocess.PIPE, check=False)
    except (OSError, ValueError) as bad:
        raise GraderFailed(f"{grader}: {bad}") from None
    if done.returncode:
        raise GraderFailed(f"{grader}: it ended with {done.returncode}")
    try:
        return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    except ValueError:
        raise GraderFailed(f"{grader}: a line that it wrote is no number, and no object with a score") from None


def _score(grader: str, told: Any) -> float:
    value = told.get("score") if isinstance(told, dict) else told
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise GraderFailed(f"{grader}: a score is no number")
    return float(value)
