"""Grader of the user: passes prompts and answers to it and takes scores back, without storing either.

A grader is a command that reads JSON Lines ``{"index", "answer", …the line of the prompt}`` and writes one line each, a number
or ``{"score": …}``; or ``module:function`` that takes the list of those objects and returns as many numbers.
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
    """The grader cannot be run, or does not return a score for every prompt."""


def grade(grader: str, answers: Sequence[dict[str, Any]]) -> tuple[float, ...]:
    """Scores of answers, in their order.

    Raises
    ------
    GraderFailed
        If the grader cannot be run, or does not return as many finite numbers.
    """
    scores = _by_function(grader, answers) if _ENTRY.fullmatch(grader) else _by_command(grader, answers)
    if len(scores) != len(answers):
        raise GraderFailed(f"{grader}: {len(scores)} scores for {len(answers)} prompts")
    return tuple(_score(grader, score) for score in scores)


def _by_function(grader: str, answers: Sequence[dict[str, Any]]) -> list[Any]:
    module, _, name = grader.partition(":")
    working_directory = str(Path.cwd())
    if working_directory not in sys.path:
        sys.path.insert(0, working_directory)
    try:
        return list(getattr(importlib.import_module(module), name)(list(answers)))
    except Exception as error:
        raise GraderFailed(f"{grader}: {type(error).__name__}") from None  # its message may contain an answer


def _by_command(grader: str, answers: Sequence[dict[str, Any]]) -> list[Any]:
    lines = "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)
    try:
        process = subprocess.run(shlex.split(grader), input=lines.encode(), stdout=subprocess.PIPE, check=False)
    except (OSError, ValueError) as error:
        raise GraderFailed(f"{grader}: {error}") from None
    if process.returncode:
        raise GraderFailed(f"{grader}: it ended with {process.returncode}")
    try:
        return [json.loads(line) for line in process.stdout.splitlines() if line.strip()]
    except ValueError:
        raise GraderFailed(f"{grader}: a line that it wrote is no number, and no object with a score") from None


def _score(grader: str, output: Any) -> float:
    value = output.get("score") if isinstance(output, dict) else output
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise GraderFailed(f"{grader}: a score is no number")
    return float(value)
