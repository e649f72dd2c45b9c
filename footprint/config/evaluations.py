"""``[[evaluation]]`` and ``[[action]]``: scores of models, and actions against avoidable energy."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from footprint.config.objectives import BlockReader
from footprint.core.estimate import Estimate

EVALUATION_KEYS = {"model", "use_case", "score", "answers", "source"}
ACTION_KEYS = {"cause", "service", "use_case", "owner", "status", "since", "text"}
# Causes of footprint/queries/avoidable_energy.py; a test compares them.
CAUSES = (
    "empty hours, nights and weekends",
    "empty hours, working time",
    "failed requests",
    "cancelled requests",
    "repeated attempts",
)
STATUSES = ("open", "under-way", "done", "declined")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Score of the answers of a model, from an evaluation by the organisation; higher is better.

    An empty ``use_case`` means all. ``answers`` is the number of graded answers, 0 if unknown.
    """

    model: str
    score: Estimate
    source: str
    use_case: str = ""
    answers: int = 0


@dataclass(frozen=True, slots=True)
class Action:
    """Action against avoidable energy; an empty ``service`` or ``use_case`` means all. ``since`` is an ISO date."""

    cause: str
    owner: str
    status: str
    service: str = ""
    use_case: str = ""
    since: str = ""
    text: str = ""

    def concerns(self, cause: str, service: str, use_case: str) -> bool:
        """Whether the action applies to a row of the action register."""
        return self.cause == cause and self.service in ("", service) and self.use_case in ("", use_case)


def read_evaluations(reader: BlockReader) -> tuple[Evaluation, ...]:
    """Read the [[evaluation]] blocks.

    Raises
    ------
    ConfigError
        If a block is invalid.
    """
    return tuple(_evaluation(reader, index, block) for index, block in reader.blocks("evaluation"))


def read_actions(reader: BlockReader) -> tuple[Action, ...]:
    """Read the [[action]] blocks.

    Raises
    ------
    ConfigError
        If a block is invalid.
    """
    return tuple(_action(reader, index, block) for index, block in reader.blocks("action"))


def _evaluation(reader: BlockReader, index: int, block: dict[str, Any]) -> Evaluation:
    model = reader.name_of("evaluation", index, block, "model")
    score = block.get("score")
    bounds = score if isinstance(score, list) else [score] * 3
    if len(bounds) != 3 or not all(_is_number(bound) for bound in bounds) or sorted(bounds) != bounds:
        raise reader.document.error(
            "score must be a number (more is better), or [low, value, high] in that order", "evaluation", index, "score"
        )
    if not isinstance(block.get("source"), str) or not block["source"]:
        raise reader.document.error(
            'source is missing; say who graded what: source = "blind test of March, 200 texts"', "evaluation", index, "source"
        )
    answers = block.get("answers", 0)
    if not isinstance(answers, int) or isinstance(answers, bool) or answers < 0:
        raise reader.document.error("answers must be a whole number: how many were graded", "evaluation", index, "answers")
    low, value, high = map(float, bounds)
    return Evaluation(model, Estimate(value, low, high), block["source"], str(block.get("use_case", "")), answers)


def _action(reader: BlockReader, index: int, block: dict[str, Any]) -> Action:
    def error(problem: str, key: str) -> Exception:
        return reader.document.error(problem, "action", index, key)

    for key, allowed in (("cause", CAUSES), ("status", STATUSES)):
        if block.get(key) not in allowed:
            raise error(f"{key} is {block.get(key)!r}; it must be one of: {'; '.join(allowed)}", key)
    if not isinstance(block.get("owner"), str) or not block["owner"]:
        raise error('owner is missing; a team, not a person: owner = "operations"', "owner")
    since = block.get("since", "")
    try:
        since = str(since) and datetime.date.fromisoformat(str(since)).isoformat()
    except ValueError:
        raise error(f'since is {since!r}; it must be a date such as "2026-07-01"', "since") from None
    texts = {key: str(block.get(key, "")) for key in ("service", "use_case", "text")}
    return Action(block["cause"], block["owner"], block["status"], since=since, **texts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
