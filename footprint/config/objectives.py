"""This file reads [[objective]] blocks: a budget of every month, quarter or year, or a change to reach by a period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from footprint.calendar.periods import MONTHS_PER_PERIOD, BadPeriod, Period, parse_period
from footprint.config.toml_document import Document
from footprint.core.stored_forms import from_plain, stored_as, to_plain

METRICS = ("energy_kwh", "co2e_location_g", "wh_per_1000_requests", "requests")
KEYS = {"name", "metric", "service", "use_case", "at_most", "every", "baseline", "target", "due", "owner"}
_EVERY = tuple(MONTHS_PER_PERIOD)
_PERIODS = ("baseline", "due")


@stored_as("Objective", "name metric where owner at_most months baseline target due")
@dataclass(frozen=True, slots=True)
class Objective:
    """What was decided to be kept or reached: ``at_most`` in each period of ``months``, or ``target`` from baseline to due.

    ``target`` is a change (-0.2 is 20 % less) of the metric between the baseline's period and the due one.
    """

    name: str
    metric: str
    where: tuple[tuple[str, str], ...] = ()
    owner: str = ""
    at_most: float | None = None
    months: int = 3
    baseline: Period | None = None
    target: float | None = None
    due: Period | None = None


def objective_to_json(objective: Objective) -> dict[str, Any]:
    """As JSON; an edition keeps what was decided when it was published."""
    plain = to_plain(objective)
    return {**plain, **{key: plain[key] and str(plain[key]) for key in _PERIODS}}


def objective_from_json(stored: Mapping[str, Any]) -> Objective:
    """From what ``objective_to_json`` gave."""
    periods = {key: parse_period(stored[key]) if stored[key] else None for key in _PERIODS}
    return from_plain(Objective, {**stored, "where": tuple((name, value) for name, value in stored["where"]), **periods})


class BlockReader(Protocol):
    """What reads repeated blocks (config/reading.py)."""

    document: Document

    def blocks(self, table: str) -> Iterable[tuple[int, dict[str, Any]]]:
        """Blocks of a table with their place."""
        ...

    def name_of(self, table: str, index: int, block: dict[str, Any], key: str = "name") -> str:
        """The name of a block."""
        ...


def read_objectives(reader: BlockReader) -> tuple[Objective, ...]:
    """The [[objective]] blocks, as written.

    Raises
    ------
    ConfigError
        If one cannot be right.
    """
    return tuple(_objective(reader, index, block) for index, block in reader.blocks("objective"))


def _objective(reader: BlockReader, index: int, block: dict[str, Any]) -> Objective:
    def refuse(problem: str, key: str = "name") -> Exception:
        return reader.document.error(problem, "objective", index, key)

    name = reader.name_of("objective", index, block)
    metric = block.get("metric")
    if metric not in METRICS:
        raise refuse(f"metric is {metric!r}; it must be one of {', '.join(METRICS)}", "metric")
    where = tuple((key, str(block[key])) for key in ("service", "use_case") if block.get(key))
    owner = str(block.get("owner", ""))
    if "at_most" in block:
        if {"baseline", "target", "due"} & set(block):
            raise refuse("an objective is a budget (at_most, every) or a change (baseline, target, due), not both", "at_most")
        every, limit = block.get("every", "quarter"), block["at_most"]
        if every not in _EVERY:
            raise refuse(f"every is {every!r}; it must be one of {', '.join(_EVERY)}", "every")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or limit < 0:
            raise refuse(f"at_most must be a number of at least 0, in the unit of {metric}", "at_most")
        return Objective(name, metric, where, owner, at_most=float(limit), months=MONTHS_PER_PERIOD[every])
    missing = [key for key in ("baseline", "target", "due") if key not in block]
    if missing:
        raise refuse(f"{', '.join(missing)} missing; write at_most and every, or baseline, target and due")
    target = block["target"]
    if isinstance(target, bool) or not isinstance(target, int | float) or target <= -1:
        raise refuse("target must be a change such as -0.2 (20 % less), above -1", "target")
    periods = {}
    for key in ("baseline", "due"):
        try:
            periods[key] = parse_period(str(block[key]))
        except BadPeriod as bad:
            raise refuse(str(bad), key) from None
    baseline, due = periods["baseline"], periods["due"]
    if baseline.length != due.length or baseline >= due:
        raise refuse("due must be a later period of the same length as baseline, such as 2025-Q3 and 2027-Q3", "due")
    return Objective(name, metric, where, owner, None, baseline.length, baseline, float(target), due)
