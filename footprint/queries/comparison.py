"""Comparison of two models, services, use cases or periods: ratio of energy per request, token or unit, with its interval.

Errors common to both cancel (`footprint.impact.uncertainty.ratio_estimate`). The conditions of both sides are listed beside the
ratio; if machines, method or the token mix differ, the two are not comparable and the ratio needs an explicit ``anyway``.
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
from footprint.queries.functional_units import units_of_query
from footprint.queries.uncertainty_budget import energy_budget
from footprint.storage.database import Store

KINDS = ("model", "service", "use_case")
COUNT_COLUMNS = {"request": "requests", "1000-output-tokens": "output_tokens"}
UNITS = "units"  # column of the amount of a functional unit
COLUMNS = ("condition", "a", "b", "ratio", "low", "high", "alike")


class NotComparable(FootprintError):
    """Two sides whose ratio would be misleading; the message names the conditions that differ."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of both sides; ``ratio`` (b over a) [1] for numbers, else None."""

    name: str
    a: Any
    b: Any
    ratio: float | None
    alike: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ratio b over a [1], with energy per request or per 1000 output tokens [Wh]; ``differs`` names conflicting conditions."""

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
        """Whether the interval of the ratio excludes 1."""
        return not self.ratio.low <= 1 <= self.ratio.high

    def sentence(self) -> str:
        """The finding as an English sentence."""
        interval = f"[{self.ratio.low:.3g} ; {self.ratio.high:.3g}]"
        if not self.measurable:
            return f"{self.b} and {self.a}: no measurable difference per {self.per}, {self.ratio.value:.3g} x {interval}"
        return f"{self.b} uses {self.ratio.value:.3g} x {self.a} {interval} per {self.per}"

    def rows(self) -> list[dict[str, Any]]:
        """The comparison as rows of ``COLUMNS``: energy [Wh] first, then the conditions."""
        ratio = {"ratio": self.ratio.value, "low": self.ratio.low, "high": self.ratio.high}
        energy = {
            "condition": f"Wh per {self.per}",
            "a": self.a_wh.value,
            "b": self.b_wh.value,
            **ratio,
            "alike": not self.measurable,
        }
        return [energy] + [
            {
                "condition": condition.name,
                "a": condition.a,
                "b": condition.b,
                "ratio": condition.ratio,
                "low": None,
                "high": None,
                "alike": condition.alike,
            }
            for condition in self.conditions
        ]


@dataclass(frozen=True, slots=True)
class ComparisonSide:
    """One side of a comparison: its row, energy [kWh] with uncertainty budget, models of its accelerators."""

    row: dict[str, Any]
    budget: tuple[float, Any]
    machines: tuple[str, ...]


def compare(
    store: Store,
    config: Config,
    queries: tuple[Query, Query],
    names: tuple[str, str],
    now_us: int,
    *,
    per: str = "request",
    anyway: bool = False,
) -> Comparison:
    """Compare the figures of two queries without groups.

    Parameters
    ----------
    queries : tuple of Query
        Query of a and of b.
    names : tuple of str
        Names of a and b in results and messages.
    now_us : int
        The current instant [µs, UTC].
    per : str
        ``request``, ``1000-output-tokens``, or a functional unit that requests bear, such as ``pages``.
    anyway : bool
        Whether to compare sides whose conditions differ.

    Returns
    -------
    Comparison
        Ratio b over a [1] and energies [Wh], each with about 95 % bounds.

    Raises
    ------
    BadQuery
        If a side has no energy, or no requests or tokens to divide by.
    NotComparable
        If machines, method or token mix differ, unless ``anyway``.
    """
    a, b = (_measure_side(store, config, query, name, per, now_us) for query, name in zip(queries, names, strict=True))
    return compare_sides(a, b, names, per=per, anyway=anyway)


def compare_sides(
    a: ComparisonSide, b: ComparisonSide, names: tuple[str, str], *, per: str = "request", anyway: bool = False
) -> Comparison:
    """Compare two measured sides; each has energy and a count to divide by.

    Raises
    ------
    NotComparable
        If machines, method or token mix differ, unless ``anyway``.
    """
    energy_ratio = ratio_estimate(*a.budget, *b.budget)
    counts = [side.row[COUNT_COLUMNS.get(per, UNITS)] for side in (a, b)]
    scale = counts[0] / counts[1]
    conditions = _conditions(a, b)
    max_mix_ratio = assumption("comparison_token_mix").value
    differs = tuple(
        condition.name
        for condition in conditions
        if (condition.name in ("machines", "method version") and not condition.alike)
        or (
            condition.name.endswith("tokens per request")
            and condition.ratio is not None
            and not 1 / max_mix_ratio <= condition.ratio <= max_mix_ratio
        )
    )
    comparison = Comparison(
        names[0],
        names[1],
        per.replace("-", " "),
        _energy_per_unit(a.row, counts[0], per),
        _energy_per_unit(b.row, counts[1], per),
        Estimate(energy_ratio.value * scale, energy_ratio.low * scale, energy_ratio.high * scale),
        conditions,
        differs,
    )
    if differs and not anyway:
        raise NotComparable(f"{names[0]} and {names[1]} differ in {', '.join(differs)}; --anyway computes the ratio anyway")
    return comparison


def queries_by_name(kind: str, a: str, b: str, query: Query) -> tuple[Query, Query]:
    """Queries of the names ``a`` and ``b`` of a kind (``KINDS``), over the period of ``query``.

    Raises
    ------
    BadQuery
        If there is no such kind.
    """
    if kind not in KINDS:
        raise BadQuery(f"by {kind!r} is not known; it may be {', '.join(KINDS)}")
    query_a, query_b = (replace(query, where=(*query.where, (kind, name)), group=(), every="all") for name in (a, b))
    return query_a, query_b


def _measure_side(store: Store, config: Config, query: Query, name: str, per: str, now_us: int) -> ComparisonSide:
    rows = run_query(store, config, query, now_us).rows
    budget = energy_budget(store, config, query, now_us)
    if not rows or budget is None or budget[0] <= 0:
        raise BadQuery(f"{name}: no energy in the period")
    count_column = COUNT_COLUMNS.get(per, UNITS)
    if per not in COUNT_COLUMNS:
        try:
            rows[0][UNITS] = units_of_query(store, config, query, per, rows[0]["requests"] or 0)
        except BadQuery as error:
            raise BadQuery(f"{name}: {error}; --per is {', '.join(COUNT_COLUMNS)}, or a unit of the requests") from None
    if not rows[0][count_column]:
        raise BadQuery(f"{name}: no {count_column.replace('_', ' ')} in the period to divide by")
    with open_result(store, config, query, now_us) as result:
        cells = [cell for group in (result.groups if result is not None else {}).values() for cell in group.cells]
    return ComparisonSide(rows[0], budget, accelerator_models(cells))


def accelerator_models(cells: Iterable[tuple[Any, Any]]) -> tuple[str, ...]:
    """Models of the accelerators in the bases of cells, sorted."""
    return tuple(sorted({key.basis.device_model for key, _ in cells if key.basis.component == "gpu"} - {""}))


def _energy_per_unit(row: dict[str, Any], count: float, per: str) -> Estimate:
    wh_per_kwh = 1000 / count * (1000 if per.startswith("1000") else 1)
    return Estimate(row["energy_kwh"] * wh_per_kwh, row["energy_low_kwh"] * wh_per_kwh, row["energy_high_kwh"] * wh_per_kwh)


def _conditions(a: ComparisonSide, b: ComparisonSide) -> tuple[Condition, ...]:
    max_ratio = assumption("comparison_alike").value

    def number(name: str, value_a: float | None, value_b: float | None) -> Condition:
        ratio = value_b / value_a if value_a and value_b else None
        return Condition(name, value_a, value_b, ratio, ratio is not None and 1 / max_ratio <= ratio <= max_ratio)

    def text(name: str, value_a: Any, value_b: Any) -> Condition:
        return Condition(name, value_a, value_b, None, value_a == value_b)

    def per_request(side: ComparisonSide, column: str) -> float | None:
        return side.row[column] / side.row["requests"] if side.row[column] is not None and side.row["requests"] else None

    return (
        number("output tokens per request", per_request(a, "output_tokens"), per_request(b, "output_tokens")),
        number("input tokens per request", per_request(a, "input_tokens"), per_request(b, "input_tokens")),
        number("requests", a.row["requests"], b.row["requests"]),
        number("coverage", a.row["coverage"], b.row["coverage"]),
        text("machines", ", ".join(a.machines), ", ".join(b.machines)),
        text("method version", a.row["method_version"], b.row["method_version"]),
        text("factor version", a.row["factor_version"], b.row["factor_version"]),
        text("quality", a.row["quality"], b.row["quality"]),
    )


def markdown_report(comparison: Comparison) -> str:
    """The comparison as Markdown, for a merge request."""
    lines = [f"**{comparison.sentence()}**", "", f"| condition | {comparison.a} | {comparison.b} | |", "|---|---|---|---|"]
    for row in comparison.rows():
        cells = [
            "" if row[name] is None else f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name])
            for name in ("a", "b")
        ]
        verdict = f"{row['ratio']:.3g} x" if row["ratio"] is not None else ""
        verdict += (
            f" [{row['low']:.3g} ; {row['high']:.3g}]" if row["low"] is not None else " alike" if row["alike"] else " differs"
        )
        lines.append(f"| {row['condition']} | {' | '.join(cells)} | {verdict.strip()} |")
    return "\n".join(lines) + "\n"


def badge_svg(comparison: Comparison) -> str:
    """The ratio and its interval as a small SVG badge."""
    text = "no measurable difference"
    if comparison.measurable:
        text = f"{comparison.ratio.value:.3g} x [{comparison.ratio.low:.3g} ; {comparison.ratio.high:.3g}]"
    return draw_badge(f"Wh per {comparison.per}", text)
