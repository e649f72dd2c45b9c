"""Indicators: the scores of the registry, computed over the rows of a query."""

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
    store: Store, config: Config, query: Query, registry: Sequence[Indicator], language: str, now_us: int
) -> list[dict[str, Any]]:
    """Scores by group and period.

    Parameters
    ----------
    query : Query
        Groups, periods and filters.
    registry : sequence of Indicator
        Scores to compute.
    language : str
        ``fr`` or ``en``, of label and boundary.
    now_us : int
        The current instant [µs, UTC].

    Returns
    -------
    list of dict
        Rows of the groups and ``COLUMNS``; ``value`` in ``unit``, None if it cannot be computed.
    """
    language_index = 0 if language == "fr" else 1
    return [
        {
            **{name: row[name] for name in (*query.group, "period_start", "period_end", "coverage", "quality")},
            "score": score.name,
            "label": score.label[language_index],
            "value": score.compute(row),
            "unit": score.unit,
            "formula": score.formula,
            "source": score.source,
            "boundary": score.boundary[language_index],
            "score_version": score.version,
            "method_version": row["method_version"],
            "factor_version": row["factor_version"],
        }
        for row in run_query(store, config, query, now_us).rows
        for score in registry
    ]
