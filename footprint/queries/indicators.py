"""This file computes the scores of the registry over the rows of a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from footprint.config import Config
from footprint.figures.engine import run_query
from footprint.figures.query import Query
from footprint.impact.indicators import Indicator
from footprint.storage.database import Store

COLUMNS = (
    "period_start",
    "period_end",
    "score",
    "label",
    "value",
    "unit",
    "coverage",
    "quality",
    "formula",
    "source",
    "boundary",
    "score_version",
    "method_version",
    "factor_version",
)


def indicator_rows(
    store: Store, config: Config, question: Query, registry: Sequence[Indicator], language: str, now_us: int
) -> list[dict[str, Any]]:
    """One row a group, period and score; a value that cannot be computed is None."""
    chosen = 0 if language == "fr" else 1
    return [
        {
            **{name: row[name] for name in (*question.group, "period_start", "period_end", "coverage", "quality")},
            "score": score.name,
            "label": score.label[chosen],
            "value": score.compute(row),
            "unit": score.unit,
            "formula": score.formula,
            "source": score.source,
            "boundary": score.boundary[chosen],
            "score_version": score.version,
            "method_version": row["method_version"],
            "factor_version": row["factor_version"],
        }
        for row in run_query(store, config, question, now_us).rows
        for score in registry
    ]
