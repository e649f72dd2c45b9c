"""Benchmark results as rows, one per model and concurrency, for pages, the API, notebooks and tables.

Energies in J, times in s. ``a_j`` and ``b_j`` belong to the whole result, so they repeat in each row, and hold from ``batch_low``
to ``batch_high``. None is unknown. ``source`` names the result by the first digits of its SHA-256.
"""

from __future__ import annotations

from typing import Any

from footprint.benchmark.batch_model import BatchFit
from footprint.benchmark.concurrency_levels import ConcurrencyLevel, concurrency_levels, fit_result, idle_power, mean_score
from footprint.benchmark.result import BenchmarkResult
from footprint.benchmark.result_store import StoredResult, stored_results
from footprint.config import Config
from footprint.core.estimate import Estimate
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_S

_BOUNDED_COLUMNS = ("j_per_request", "j_per_output_token", "score", "a_j", "b_j", "idle_w")


def _columns() -> tuple[str, ...]:
    names = (
        "model",
        "concurrency",
        "repeats",
        "batch",
        "j_per_request",
        "j_per_output_token",
        "idle_j_per_request",
        "output_tokens_per_request",
        "tokens_per_s",
        "watts",
        "ttft_p50_s",
        "ttft_p95_s",
        "itl_p50_s",
        "itl_p95_s",
        "score",
        "a_j",
        "b_j",
        "batch_low",
        "batch_high",
        "fit_mean_error",
        "idle_w",
        "waited",
        "failed",
        "quality",
        "machines",
        "host",
        "driver",
        "power_limit_w",
        "engine",
        "quantisation",
        "prompts",
        "prompts_sha256",
        "max_tokens",
        "temperature",
        "grader",
        "date",
        "source",
        "signature",
        "demonstration",
    )
    columns: list[str] = []
    for name in names:
        columns += [name, f"{name}_low", f"{name}_high"] if name in _BOUNDED_COLUMNS else [name]
    return tuple(columns)


COLUMNS = _columns()


def benchmark_rows(config: Config) -> list[dict[str, Any]]:
    """Rows of every imported result, newest first, by concurrency."""
    return [row for stored in stored_results(config) for row in rows_of_result(stored.result, stored)]


def rows_of_result(result: BenchmarkResult, stored: StoredResult | None = None) -> list[dict[str, Any]]:
    """Rows of one result, by concurrency."""
    batch_fit, idle, score, conditions = fit_result(result), idle_power(result), mean_score(result), result.conditions
    common: dict[str, Any] = {
        **_fit_columns(batch_fit),
        "machines": ", ".join(conditions.machines),
        "grader": result.grader or None,
        "date": format_instant(result.made_us // US_PER_S * US_PER_S),
        "demonstration": result.demonstration,
        "source": None if stored is None else f"benchmark {stored.sha256[:12]}",
        "signature": None if stored is None else stored.signature,
        **{name: getattr(conditions, name) or None for name in ("host", "driver", "engine", "quantisation", "power_limit_w")},
        **{name: getattr(conditions, name) for name in ("model", "prompts", "prompts_sha256", "max_tokens", "temperature")},
        **_estimate_columns("idle_w", idle),
        **_estimate_columns("score", score),
    }
    return [{name: (common | _level_columns(level)).get(name) for name in COLUMNS} for level in concurrency_levels(result)]


def _fit_columns(batch_fit: BatchFit | None) -> dict[str, float | None]:
    if batch_fit is None:
        return {}
    return {
        "batch_low": batch_fit.batch_low,
        "batch_high": batch_fit.batch_high,
        "fit_mean_error": batch_fit.mean_error,
        **_estimate_columns("a_j", batch_fit.a_j),
        **_estimate_columns("b_j", batch_fit.b_j),
    }


def _level_columns(level: ConcurrencyLevel) -> dict[str, Any]:
    names = (
        "concurrency",
        "repeats",
        "batch",
        "waited",
        "tokens_per_s",
        "output_tokens_per_request",
        "idle_j_per_request",
        "watts",
        "ttft_p50_s",
        "ttft_p95_s",
        "itl_p50_s",
        "itl_p95_s",
        "quality",
        "failed",
    )
    return {
        **{name: getattr(level, name) for name in names},
        **_estimate_columns("j_per_request", level.j_per_request),
        **_estimate_columns("j_per_output_token", level.j_per_token),
    }


def _estimate_columns(name: str, value: Estimate | None) -> dict[str, float | None]:
    return {
        name: None if value is None else value.value,
        f"{name}_low": None if value is None else value.low,
        f"{name}_high": None if value is None else value.high,
    }
