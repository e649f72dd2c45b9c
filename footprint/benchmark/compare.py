"""Comparison of two benchmark results: ratio of B's energy to A's with its interval, as a table, Markdown or badge.

Points are paired by concurrency and by the draw of prompts (the same seed draws the same prompts in the same order). The
logarithm of the ratio of each pair counts, so common errors, such as the gain of one host's sensor, cancel. Two errors remain
and add in quadrature: the spread of the repeats, and the change from one session on a host to the next (assumption
``benchmark_reproducibility``), which no number of repeats within a session can show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from scipy import stats

from footprint.benchmark.concurrency_levels import ConcurrencyLevel, concurrency_levels, mean_score, sensor_gain
from footprint.benchmark.result import BenchmarkResult, Conditions, MeasurementPoint
from footprint.charts.badge import draw_badge
from footprint.core.assumptions import assumption
from footprint.core.estimate import COVERAGE_FACTOR, Estimate
from footprint.core.records import FootprintError

COLUMNS = ("what", "a", "b", "ratio", "low", "high", "difference")
MIN_REPEATS = 2
# Conditions that must be equal for a meaningful ratio: (label, field).
_MATCHED_CONDITIONS: tuple[tuple[str, str], ...] = (
    ("prompts", "prompts_sha256"),
    ("max tokens", "max_tokens"),
    ("temperature", "temperature"),
    ("host", "host"),
    ("machines", "machines"),
    ("devices", "devices"),
    ("driver", "driver"),
    ("power limit", "power_limit_w"),
    ("sensors", "sensors"),
    ("seed", "seed"),
)
# Conditions that may be the subject of the comparison: shown, but never a reason to refuse.
_COMPARED_CONDITIONS: tuple[tuple[str, str], ...] = (("model", "model"), ("engine", "engine"), ("quantisation", "quantisation"))


# Metrics beside the energy: a model that takes less energy may answer later, or less.
_LEVEL_METRICS: tuple[tuple[str, Callable[[ConcurrencyLevel], float | None]], ...] = (
    ("s to first token, median,", lambda level: level.ttft_p50_s),
    ("s to first token, 95 %,", lambda level: level.ttft_p95_s),
    ("s between tokens, median,", lambda level: level.itl_p50_s),
    ("output tokens per request", lambda level: level.output_tokens_per_request),
)


class IncomparableBenchmarks(FootprintError):
    """Two results whose ratio would be misleading; the message names the conditions that differ."""


@dataclass(frozen=True, slots=True)
class BenchmarkComparison:
    """Ratio B over A per request and per output token, overall and by concurrency; ``differs`` names unequal conditions."""

    a: str
    b: str
    per_request: Estimate
    per_token: Estimate
    levels: tuple[tuple[int, Estimate], ...]  # per request
    differs: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]

    @property
    def different(self) -> bool:
        """Whether the interval of the ratio per request excludes 1."""
        return not self.per_request.low <= 1 <= self.per_request.high

    def sentence(self) -> str:
        """The finding as an English sentence."""
        ratio = self.per_request
        interval = f"{ratio.value:.3g} x [{ratio.low:.3g} ; {ratio.high:.3g}]"
        if not self.different:
            return f"{self.b} and {self.a}: no difference shown in energy per request, {interval}"
        return f"{self.b} takes {interval} the energy of {self.a} per request"


def compare_results(a: BenchmarkResult, b: BenchmarkResult, *, anyway: bool = False) -> BenchmarkComparison:
    """Ratio B over A at the concurrencies of both; overall, the geometric mean counts.

    Raises
    ------
    IncomparableBenchmarks
        If conditions differ, unless ``anyway``; if the results share no concurrency, or one has a single repeat.
    """
    differs = tuple(label for label, name in _MATCHED_CONDITIONS if getattr(a.conditions, name) != getattr(b.conditions, name))
    if differs and not anyway:
        raise IncomparableBenchmarks(
            f"{a.conditions.model} and {b.conditions.model} were measured with different {', '.join(differs)}; "
            "--anyway computes the ratio anyway"
        )
    grids = [_points_by_concurrency(result) for result in (a, b)]
    shared = sorted(set(grids[0]) & set(grids[1]))
    if not shared:
        raise IncomparableBenchmarks("the two results share no concurrency")
    repeats = min(len(grid[level]) for grid in grids for level in shared)
    if repeats < MIN_REPEATS:
        raise IncomparableBenchmarks("one repeat shows no difference: at least two are needed, the protocol asks for five")
    pairs = [(grids[0][level], grids[1][level]) for level in shared]
    # The error of a common sensor cancels; two hosts have two sensors.
    gain = 0.0 if (a.conditions.host, a.conditions.devices) == (b.conditions.host, b.conditions.devices) else _combined_gain(a, b)
    per_request, per_token = (
        _mean_ratio(
            [[energy_of(of_b[repeat]) / energy_of(of_a[repeat]) for of_a, of_b in pairs] for repeat in range(repeats)], gain
        )
        for energy_of in (_per_request, _per_token)
    )
    levels = tuple(
        (level, _mean_ratio([[_per_request(of_b[repeat]) / _per_request(of_a[repeat])] for repeat in range(repeats)], gain))
        for level, (of_a, of_b) in zip(shared, pairs, strict=True)
    )
    rows = (*_energy_rows(a, b, per_request, per_token, levels), *_condition_rows(a.conditions, b.conditions))
    return BenchmarkComparison(a.conditions.model, b.conditions.model, per_request, per_token, levels, differs, rows)


def _per_request(point: MeasurementPoint) -> float:
    return point.j_per_request


def _per_token(point: MeasurementPoint) -> float:
    return point.j_per_token


def _points_by_concurrency(result: BenchmarkResult) -> dict[int, list[MeasurementPoint]]:
    """Points by concurrency, in the order of the repeats."""
    points: dict[int, list[MeasurementPoint]] = {}
    for point in sorted(result.served(), key=lambda candidate: candidate.repeat):
        points.setdefault(point.concurrency, []).append(point)
    return points


def _combined_gain(a: BenchmarkResult, b: BenchmarkResult) -> float:
    return math.hypot(sensor_gain(a.served()), sensor_gain(b.served()))


def _mean_ratio(by_repeat: Sequence[Sequence[float]], gain: float) -> Estimate:
    """Geometric mean of ratios with its 95 % interval.

    A repeat is one observation, the mean over its concurrencies: slow drift affects all concurrencies of a repeat together, so
    they are not independent. Student's t over repeats; reproducibility of two sessions and gains add in quadrature.
    """
    means = [fmean(math.log(value) for value in repeat) for repeat in by_repeat]
    repeat_spread = float(stats.t.ppf(1 - 1 / 40, len(means) - 1)) * stdev(means) / math.sqrt(len(means))
    session_spread = COVERAGE_FACTOR * math.sqrt(2) * assumption("benchmark_reproducibility").u_high
    half_width = math.sqrt(repeat_spread**2 + session_spread**2 + gain**2)
    mean = fmean(means)
    return Estimate(math.exp(mean), math.exp(mean - half_width), math.exp(mean + half_width))


def _energy_rows(
    a: BenchmarkResult, b: BenchmarkResult, per_request: Estimate, per_token: Estimate, levels: Sequence[tuple[int, Estimate]]
) -> list[dict[str, Any]]:
    at_a, at_b = ({level.concurrency: level for level in concurrency_levels(result)} for result in (a, b))
    rows = [
        _energy_row("J per request, all concurrencies", None, None, per_request),
        _energy_row("J per output token, all concurrencies", None, None, per_token),
        *(
            _energy_row(
                f"J per request at {concurrency}",
                at_a[concurrency].j_per_request.value,
                at_b[concurrency].j_per_request.value,
                ratio,
            )
            for concurrency, ratio in levels
        ),
    ]
    rows += [
        _metric_row(f"{name} at {concurrency}", value_of(at_a[concurrency]), value_of(at_b[concurrency]))
        for name, value_of in _LEVEL_METRICS
        for concurrency, _ in levels
    ]
    score_a, score_b = (mean_score(result) for result in (a, b))
    if score_a is not None or score_b is not None:
        rows.append(
            _metric_row(
                "score of the grader", None if score_a is None else score_a.value, None if score_b is None else score_b.value
            )
        )
    return rows


def _condition_rows(a: Conditions, b: Conditions) -> list[dict[str, Any]]:
    rows = []
    for label, name in (*_COMPARED_CONDITIONS, *_MATCHED_CONDITIONS):
        value_a, value_b = (_condition_text(getattr(conditions, name)) for conditions in (a, b))
        rows.append(
            {
                "what": label,
                "a": value_a,
                "b": value_b,
                "ratio": None,
                "low": None,
                "high": None,
                "difference": "" if value_a == value_b else "differs",
            }
        )
    return rows


def _condition_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return "" if value is None else str(value)[:24]


def _energy_row(what: str, a: float | None, b: float | None, ratio: Estimate) -> dict[str, Any]:
    verdict = "no difference shown" if ratio.low <= 1 <= ratio.high else "B takes more" if ratio.value > 1 else "B takes less"
    return {"what": what, "a": a, "b": b, "ratio": ratio.value, "low": ratio.low, "high": ratio.high, "difference": verdict}


def _metric_row(what: str, a: float | None, b: float | None) -> dict[str, Any]:
    ratio = b / a if a and b else None
    return {"what": what, "a": a, "b": b, "ratio": ratio, "low": None, "high": None, "difference": ""}


def markdown_report(comparison: BenchmarkComparison) -> str:
    """The finding and its table as Markdown, for a merge request."""
    lines = [
        f"**{comparison.sentence()}**",
        "",
        f"| | {_markdown_cell(comparison.a)} | {_markdown_cell(comparison.b)} | |",
        "|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_markdown_line(row) for row in comparison.rows)]) + "\n"


def _markdown_line(row: dict[str, Any]) -> str:
    verdict = "" if row["ratio"] is None else f"{row['ratio']:.3g} x"
    if row["low"] is not None:
        verdict += f" [{row['low']:.3g} ; {row['high']:.3g}]"
    verdict = f"{verdict} {row['difference']}".strip()
    return f"| {row['what']} | {_markdown_cell(row['a'])} | {_markdown_cell(row['b'])} | {verdict} |"


def _markdown_cell(value: Any) -> str:
    """A value as a cell; escapes the pipe, which names of models may contain."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def badge_svg(comparison: BenchmarkComparison) -> str:
    """The ratio and its interval as a small SVG badge."""
    ratio = comparison.per_request
    text = f"{ratio.value:.3g} x [{ratio.low:.3g} ; {ratio.high:.3g}]" if comparison.different else "no difference shown"
    return draw_badge("J per request", text)
