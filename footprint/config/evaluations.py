"""This file reads what engineers declare: [[evaluation]], how good a model's answers are, and [[action]], who mends what."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from footprint.config.objectives import BlockReader
from footprint.core.estimate import Estimate

EVALUATION_KEYS = {"model", "use_case", "score", "answers", "source"}
ACTION_KEYS = {"cause", "service", "use_case", "owner", "status", "since", "text"}
# Causes of footprint/queries/avoidable_energy.py; a test holds them against each other.
CAUSES = ("empty hours, nights and weekends", "empty hours, working time", "failed requests", "cancelled requests")
STATUSES = ("open", "under-way", "done", "declined")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good the answers of a model are, by an evaluation of the organisation's own: a score, of which more is better.

    ``use_case`` empty: for all of them. ``answers`` is how many were graded, 0 where nobody said.
    """

    model: str
    score: Estimate
    source: str
    use_case: str = ""
    answers: int = 0


@dataclass(frozen=True, slots=True)
class Action:
    """What is done about energy that served nobody; ``service`` or ``use_case`` empty: of all. ``since`` is an ISO date."""

    cause: str
    owner: str
    status: str
    service: str = ""
    use_case: str = ""
    since: str = ""
    text: str = ""

    def concerns(self, cause: str, service: str, use_case: str) -> bool:
        """Whether it is about a row of the register."""
        return self.cause == cause and self.service in ("", service) and self.use_case in ("", use_case)


def read_evaluations(reader: BlockReader) -> tuple[Evaluation, ...]:
    """The [[evaluation]] blocks, as written.

    Raises
    ------
    ConfigError
        If one cannot be right.
    """
    return tuple(_evaluation(reader, index, block) for index, block in reader.blocks("evaluation"))


def read_actions(reader: BlockReader) -> tuple[Action, ...]:
    """The [[action]] blocks, as written.

    Raises
    ------
    ConfigError
        If one cannot be right.
    """
    return tuple(_action(reader, index, block) for index, block in reader.blocks("action"))


def _evaluation(reader: BlockReader, index: int, block: dict[str, Any]) -> Evaluation:
    model = reader.name_of("evaluation", index, block, "model")
    score = block.get("score")
    ends = score if isinstance(score, list) else [score] * 3
    if len(ends) != 3 or not all(_is_number(each) for each in ends) or sorted(ends) != ends:
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
    low, value, high = map(float, ends)
    return Evaluation(model, Estimate(value, low, high), block["source"], str(block.get("use_case", "")), answers)


def _action(reader: BlockReader, index: int, block: dict[str, Any]) -> Action:
    def refuse(problem: str, key: str) -> Exception:
        return reader.document.error(problem, "action", index, key)

    for key, allowed in (("cause", CAUSES), ("status", STATUSES)):
        if block.get(key) not in allowed:
            raise refuse(f"{key} is {block.get(key)!r}; it must be one of: {'; '.join(allowed)}", key)
    if not isinstance(block.get("owner"), str) or not block["owner"]:
        raise refuse('owner is missing; a team, not a person: owner = "operations"', "owner")
    since = block.get("since", "")
    try:
        since = str(since) and datetime.date.fromisoformat(str(since)).isoformat()
    except ValueError:
        raise refuse(f'since is {since!r}; it must be a date such as "2026-07-01"', "since") from None
    told = {key: str(block.get(key, "")) for key in ("service", "use_case", "text")}
    return Action(block["cause"], block["owner"], block["status"], since=since, **told)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
