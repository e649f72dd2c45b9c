"""Efficiency of models as DataFrames, for notebooks: ratios, models, decode steps, phases, avoidable energy.

Frames are like those of ``notebook.frames``; column names state joules, watt-hours and seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from footprint.core.timestamps import now_us
from footprint.figures import parse_query
from footprint.notebook.frames import open_configured_store, to_frame
from footprint.queries import avoidable_energy, batch_efficiency, comparison, model_comparison
from footprint.queries.comparison import Comparison


def compare(
    a: str,
    b: str,
    *,
    by: str = "model",
    per: str = "request",
    from_: str | None = None,
    to: str | None = None,
    where: Iterable[str] = (),
    anyway: bool = False,
    config: str | None = None,
) -> Comparison:
    """Ratio [1] of the energy per request (or per 1000 output tokens) of ``b`` to that of ``a``, with 95 % bounds.

    Parameters
    ----------
    a, b
        Names of two models, services or use cases (``by``), or two periods written ``FROM/TO``.
    per
        ``request``, or ``1000-output-tokens``.
    anyway
        Compare even if machines, method or mix of tokens differ.

    Returns
    -------
    Comparison
        ``.ratio`` with bounds [1], ``.a_wh`` and ``.b_wh`` [Wh], ``.sentence()``, and the conditions as ``.rows()``.

    Raises
    ------
    NotComparable
        If machines, method or mix of tokens differ.
    BadQuery
        If there is no energy, or nothing to divide by.
    """
    with open_configured_store(config) as (store, facts):
        if "/" in a and "/" in b:
            query_a, query_b = (
                parse_query(facts.timezone, from_=text.partition("/")[0], to=text.partition("/")[2], where=where)
                for text in (a, b)
            )
        else:
            query = parse_query(facts.timezone, from_=from_, to=to, where=where)
            query_a, query_b = comparison.queries_by_name(by, a, b, query)
        return comparison.compare(store, facts, (query_a, query_b), (a, b), now_us(), per=per, anyway=anyway)


def models(
    use_case: str = "",
    *,
    from_: str | None = None,
    to: str | None = None,
    where: Iterable[str] = (),
    max_s: float | None = None,
    min_score: float | None = None,
    config: str | None = None,
) -> pd.DataFrame:
    """Models by use case: energy per response [Wh], 95th percentile of response times [s], score, and whether undominated.

    ``max_s`` [s] and ``min_score`` are limits; see footprint/queries/model_comparison.py for the columns.
    """
    with open_configured_store(config) as (store, facts):
        query = parse_query(facts.timezone, from_=from_, to=to, where=where)
        rows = model_comparison.compare_models(store, facts, query, now_us(), use_case=use_case, max_s=max_s, min_score=min_score)
        return to_frame(rows, model_comparison.COLUMNS, facts)


def tokens_by_step(*, from_: str | None = None, to: str | None = None, config: str | None = None) -> pd.DataFrame:
    """Accelerator energy per output token [J] by tokens per decode step [1]: median and quartiles, by service and host."""
    with open_configured_store(config) as (store, facts):
        query = parse_query(facts.timezone, from_=from_, to=to)
        return to_frame(
            batch_efficiency.energy_by_step_size(store, query.from_us, query.to_us), batch_efficiency.STEP_COLUMNS, facts
        )


def phases(
    *, from_: str | None = None, to: str | None = None, where: Iterable[str] = (), config: str | None = None
) -> pd.DataFrame:
    """Energy of a mean request of each service by phase [J]: prefill, decode, idle in use, host, building, idle unused."""
    with open_configured_store(config) as (store, facts):
        query = parse_query(facts.timezone, from_=from_, to=to, where=where)
        return to_frame(batch_efficiency.energy_by_phase(store, facts, query, now_us()), batch_efficiency.PHASE_COLUMNS, facts)


def avoidable(*, from_: str | None = None, to: str | None = None, config: str | None = None) -> pd.DataFrame:
    """Energy that served no request [kWh], by cause, with owner and status of the action against it."""
    with open_configured_store(config) as (store, facts):
        query = parse_query(facts.timezone, from_=from_, to=to)
        return to_frame(
            avoidable_energy.action_register(store, facts, query.from_us, query.to_us), avoidable_energy.REGISTER_COLUMNS, facts
        )
