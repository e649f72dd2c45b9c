"""``[[objective]]``: budgets of each month, quarter or year, and changes to reach by a period."""

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
    """A budget (``at_most`` in each period of ``months``) or a target from ``baseline`` to ``due``.

    ``target`` is the relative change (-0.2 is 20 % less) of the metric between the two periods.
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
    """JSON fields of an objective, with which an edition stores the objectives of its time."""
    plain = to_plain(objective)
    return {**plain, **{key: plain[key] and str(plain[key]) for key in _PERIODS}}


def objective_from_json(document: Mapping[str, Any]) -> Objective:
    """Objective from the fields of ``objective_to_json``."""
    periods = {key: parse_period(document[key]) if document[key] else None for key in _PERIODS}
    return from_plain(Objective, {**document, "where": tuple((name, value) for name, value in document["where"]), **periods})


class BlockReader(Protocol):
    """Reader of repeated blocks, implemented in ``config.loader``."""

    document: Document

    def blocks(self, table: str) -> Iterable[tuple[int, dict[str, Any]]]:
        """Blocks of a table with their index."""
        ...

    def name_of(self, table: str, index: int, block: dict[str, Any], key: str = "name") -> str:
        """The name of a block."""
        ...


def read_objectives(reader: BlockReader) -> tuple[Objective, ...]:
    """Read the [[objective]] blocks.

    Raises
    ------
    ConfigError
        If a block is invalid.
    """
    return tuple(_objective(reader, index, block) for index, block in reader.blocks("objective"))


def _objective(reader: BlockReader, index: int, block: dict[str, Any]) -> Objective:
    def error(problem: str, key: str = "name") -> Exception:
        return reader.document.error(problem, "objective", index, key)

    name = reader.name_of("objective", index, block)
    metric = block.get("metric")
    if metric not in METRICS:
        raise error(f"metric is {metric!r}; it must be one of {', '.join(METRICS)}", "metric")
    where = tuple((key, str(block[key])) for key in ("service", "use_case") if block.get(key))
    owner = str(block.get("owner", ""))
    if "at_most" in block:
        if {"baseline", "target", "due"} & set(block):
            raise error("an objective is a budget (at_most, every) or a change (baseline, target, due), not both", "at_most")
        every, limit = block.get("every", "quarter"), block["at_most"]
        if every not in _EVERY:
            raise error(f"every is {every!r}; it must be one of {', '.join(_EVERY)}", "every")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or limit < 0:
            raise error(f"at_most must be a number of at least 0, in the unit of {metric}", "at_most")
        return Objective(name, metric, where, owner, at_most=float(limit), months=MONTHS_PER_PERIOD[every])
    missing = [key for key in ("baseline", "target", "due") if key not in block]
    if missing:
        raise error(f"{', '.join(missing)} missing; write at_most and every, or baseline, target and due")
    target = block["target"]
    if isinstance(target, bool) or not isinstance(target, int | float) or target <= -1:
        raise error("target must be a change such as -0.2 (20 % less), above -1", "target")
    periods = {}
    for key in _PERIODS:
        try:
            periods[key] = parse_period(str(block[key]))
        except BadPeriod as bad:
            raise error(str(bad), key) from None
    baseline, due = periods["baseline"], periods["due"]
    if baseline.length != due.length or baseline >= due:
        raise error("due must be a later period of the same length as baseline, such as 2025-Q3 and 2027-Q3", "due")
    return Objective(name, metric, where, owner, None, baseline.length, baseline, float(target), due)
