"""This file compares two of a kind, or two periods: the ratio of their energy per request or per token, with its interval.

What errs alike in both cancels (``impact/uncertainty.ratio_of``). Beside the ratio stand the conditions; where machines, method
or the mix of tokens differ, the two are not comparable, and the ratio is given only to who asks for it all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from footprint.charts.badge import draw_badge
from footprint.config import Config
from footprint.core.assumptions import assumption
from footprint.core.estimate import Estimate
from footprint.core.records import FootprintError
from footprint.figures.engine import open_result, run_query
from footprint.figures.query import BadQuery, Query
from footprint.impact.uncertainty import ratio_estimate
from footprint.queries.uncertainty_budget import energy_budget
from footprint.storage.database import Store

KINDS = ("model", "service", "use_case")
COUNT_COLUMNS = {"request": "requests", "1000-output-tokens": "output_tokens"}
COLUMNS = ("condition", "a", "b", "ratio", "low", "high", "alike")


class NotComparable(FootprintError):
    """Two things whose ratio would say something else than it seems to; the message says what differs."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that a comparison rests on; ``ratio`` (b over a) where it is a number."""

    name: str
    a: Any
    b: Any
    ratio: float | None
    alike: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """b over a, per request or per 1000 output tokens [Wh]; ``differs`` says why they may not be comparable."""

    a: str
    b: str
    per: str
    a_wh: Estimate
    b_wh: Estimate
    ratio: Estimate
    conditions: tuple[Condition, ...]
    differs: tuple[str, ...]

    @property
    def measurable(self) -> bool:
        """Whether the interval of the ratio leaves 1 out."""
        return not self.ratio.low <= 1 <= self.ratio.high

    def sentence(self) -> str:
        """The finding in words."""
        shown = f"[{self.ratio.low:.3g} ; {self.ratio.high:.3g}]"
        if not self.measurable:
            return f"{self.b} and {self.a}: no measurable difference per {self.per}, {self.ratio.value:.3g} x {shown}"
        return f"{self.b} uses {self.ratio.value:.3g} x {self.a} {shown} per {self.per}"

    def rows(self) -> list[dict[str, Any]]:
        """The comparison as a table: energy first, then the conditions."""
        ratio = {"ratio": self.ratio.value, "low": self.ratio.low, "high": self.ratio.high}
        energy = {
            "condition": f"Wh per {self.per}",
            "a": self.a_wh.value,
            "b": self.b_wh.value,
            **ratio,
            "alike": not self.measurable,
        }
        return [energy] + [
            {"condition": c.name, "a": c.a, "b": c.b, "ratio": c.ratio, "low": None, "high": None, "alike": c.alike}
            for c in self.conditions
        ]


@dataclass(frozen=True, slots=True)
class ComparisonSide:
    """One of two things compared: its row, its energy [kWh] with its budget, the models of its accelerators."""

    row: dict[str, Any]
    budget: tuple[float, Any]
    machines: tuple[str, ...]


def compare(
    store: Store,
    config: Config,
    questions: tuple[Query, Query],
    names: tuple[str, str],
    now_us: int,
    *,
    per: str = "request",
    anyway: bool = False,
) -> Comparison:
    """b over a of two questions without groups.

    Raises
    ------
    BadQuestion
        If there is nothing to compare: no energy, or nothing to divide by.
    NotComparable
        If machines, method or mix of tokens differ, unless ``anyway``.
    """
    if per not in COUNT_COLUMNS:
        raise BadQuery(f"per {per!r} is not known; it may be {', '.join(COUNT_COLUMNS)}")
    a, b = (
        _measure_side(store, config, question, name, COUNT_COLUMNS[per], now_us)
        for question, name in zip(questions, names, strict=True)
    )
    return compare_sides(a, b, names, per=per, anyway=anyway)


def compare_sides(
    a: ComparisonSide, b: ComparisonSide, names: tuple[str, str], *, per: str = "request", anyway: bool = False
) -> Comparison:
    """b over a of two sides that hold energy and something to divide it by.

    Raises
    ------
    NotComparable
        If machines, method or mix of tokens differ, unless ``anyway``.
    """
    raw = ratio_estimate(*a.budget, *b.budget)
    counts = [side.row[COUNT_COLUMNS[per]] for side in (a, b)]
    scale = counts[0] / counts[1]
    conditions = _conditions(a, b)
    mix = assumption("comparison_token_mix").value
    differs = tuple(
        c.name
        for c in conditions
        if (c.name in ("machines", "method version") and not c.alike)
        or (c.name.endswith("tokens per request") and c.ratio is not None and not 1 / mix <= c.ratio <= mix)
    )
    found = Comparison(
        names[0],
        names[1],
        per.replace("-", " "),
        _energy_per_unit(a.row, counts[0], per),
        _energy_per_unit(b.row, counts[1], per),
        Estimate(raw.value * scale, raw.low * scale, raw.high * scale),
        conditions,
        differs,
    )
    if differs and not anyway:
        raise NotComparable(f"{names[0]} and {names[1]} differ in {', '.join(differs)}; --anyway gives their ratio all the same")
    return found


def queries_by_name(kind: str, a: str, b: str, question: Query) -> tuple[Query, Query]:
    """The questions of two names of a kind, in one period.

    Raises
    ------
    BadQuestion
        If there is no such kind.
    """
    if kind not in KINDS:
        raise BadQuery(f"by {kind!r} is not known; it may be {', '.join(KINDS)}")
    one, other = (replace(question, where=(*question.where, (kind, name)), group=(), every="all") for name in (a, b))
    return one, other


def _measure_side(store: Store, config: Config, question: Query, name: str, count: str, now_us: int) -> ComparisonSide:
    rows = run_query(store, config, question, now_us).rows
    budget = energy_budget(store, config, question, now_us)
    if not rows or budget is None or budget[0] <= 0:
        raise BadQuery(f"{name}: no energy in the period")
    if not rows[0][count]:
        raise BadQuery(f"{name}: no {count.replace('_', ' ')} in the period to divide by")
    with open_result(store, config, question, now_us) as found:
        cells = [cell for group in (found.groups if found is not None else {}).values() for cell in group.cells]
    return ComparisonSide(rows[0], budget, accelerator_models(cells))


def accelerator_models(cells: Iterable[tuple[Any, Any]]) -> tuple[str, ...]:
    """Models of the accelerators that cells were drawn by, sorted."""
    return tuple(sorted({place.basis.device_model for place, _ in cells if place.basis.component == "gpu"} - {""}))


def _energy_per_unit(row: dict[str, Any], count: float, per: str) -> Estimate:
    factor = 1000 / count * (1000 if per.startswith("1000") else 1)
    return Estimate(row["energy_kwh"] * factor, row["energy_low_kwh"] * factor, row["energy_high_kwh"] * factor)


def _conditions(a: ComparisonSide, b: ComparisonSide) -> tuple[Condition, ...]:
    limit = assumption("comparison_alike").value

    def number(name: str, one: float | None, other: float | None) -> Condition:
        ratio = other / one if one and other else None
        return Condition(name, one, other, ratio, ratio is not None and 1 / limit <= ratio <= limit)

    def word(name: str, one: Any, other: Any) -> Condition:
        return Condition(name, one, other, None, one == other)

    def each(side: ComparisonSide, column: str) -> float | None:
        return side.row[column] / side.row["requests"] if side.row[column] is not None and side.row["requests"] else None

    return (
        number("output tokens per request", each(a, "output_tokens"), each(b, "output_tokens")),
        number("input tokens per request", each(a, "input_tokens"), each(b, "input_tokens")),
        number("requests", a.row["requests"], b.row["requests"]),
        number("coverage", a.row["coverage"], b.row["coverage"]),
        word("machines", ", ".join(a.machines), ", ".join(b.machines)),
        word("method version", a.row["method_version"], b.row["method_version"]),
        word("factor version", a.row["factor_version"], b.row["factor_version"]),
        word("quality", a.row["quality"], b.row["quality"]),
    )


def markdown_report(found: Comparison) -> str:
    """For a merge request."""
    lines = [f"**{found.sentence()}**", "", f"| condition | {found.a} | {found.b} | |", "|---|---|---|---|"]
    for row in found.rows():
        cells = [
            "" if row[name] is None else f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name])
            for name in ("a", "b")
        ]
        said = f"{row['ratio']:.3g} x" if row["ratio"] is not None else ""
        said += f" [{row['low']:.3g} ; {row['high']:.3g}]" if row["low"] is not None else " alike" if row["alike"] else " differs"
        lines.append(f"| {row['condition']} | {' | '.join(cells)} | {said.strip()} |")
    return "\n".join(lines) + "\n"


def badge_svg(found: Comparison) -> str:
    """A small SVG: the ratio with its interval."""
    text = "no measurable difference"
    if found.measurable:
        text = f"{found.ratio.value:.3g} x [{found.ratio.low:.3g} ; {found.ratio.high:.3g}]"
    return draw_badge(f"Wh per {found.per}", text)
