"""This file gives engineers what they compare models by, in notebooks: ratios, models, steps, phases, avoidable energy.

Frames as those of ``tabling.py``; joules, watt-hours and seconds, in the names of the columns.
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
    """How many times the energy of ``a`` per request (or per 1000 output tokens) ``b`` takes [1], with about 95 % bounds.

    ``by`` is model, service or use_case; two periods are written ``FROM/TO``. ``.sentence()`` says it, ``.ratio`` is the number
    with its bounds, ``.a_wh`` and ``.b_wh`` the energies [Wh], ``.rows()`` the conditions. ``anyway`` compares also what differs.

    Raises
    ------
    NotComparable
        If machines, method or mix of tokens differ.
    BadQuestion
        If there is no energy, or nothing to divide by.
    """
    with open_configured_store(config) as (store, facts):
        if "/" in a and "/" in b:
            one, other = (
                parse_query(facts.timezone, from_=text.partition("/")[0], to=text.partition("/")[2], where=where)
                for text in (a, b)
            )
        else:
            question = parse_query(facts.timezone, from_=from_, to=to, where=where)
            one, other = comparison.queries_by_name(by, a, b, question)
        return comparison.compare(store, facts, (one, other), (a, b), now_us(), per=per, anyway=anyway)


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
    """Models by use case: energy a response [Wh], 95th percentile of response times [s], score, what nothing dominates.

    ``max_s`` [s] and ``min_score`` are limits; see footprint/queries/model_comparison.py for the columns.
    """
    with open_configured_store(config) as (store, facts):
        question = parse_query(facts.timezone, from_=from_, to=to, where=where)
        rows = model_comparison.compare_models(
            store, facts, question, now_us(), use_case=use_case, max_s=max_s, min_score=min_score
        )
        return to_frame(rows, model_comparison.COLUMNS, facts)


def tokens_by_step(*, from_: str | None = None, to: str | None = None, config: str | None = None) -> pd.DataFrame:
    """Energy of accelerators per output token [J] by tokens a decode step [1]: medians and quartiles, by service and host."""
    with open_configured_store(config) as (store, facts):
        question = parse_query(facts.timezone, from_=from_, to=to)
        return to_frame(
            batch_efficiency.energy_by_step_size(store, question.from_us, question.to_us), batch_efficiency.STEP_COLUMNS, facts
        )


def phases(
    *, from_: str | None = None, to: str | None = None, where: Iterable[str] = (), config: str | None = None
) -> pd.DataFrame:
    """A mean request of each service by phase [J]: reading, writing, idle while it ran, host, building; waiting for nobody."""
    with open_configured_store(config) as (store, facts):
        question = parse_query(facts.timezone, from_=from_, to=to, where=where)
        return to_frame(batch_efficiency.energy_by_phase(store, facts, question, now_us()), batch_efficiency.PHASE_COLUMNS, facts)


def avoidable(*, from_: str | None = None, to: str | None = None, config: str | None = None) -> pd.DataFrame:
    """Energy that served nobody [kWh], by cause, with owner and status of what is done about it."""
    with open_configured_store(config) as (store, facts):
        question = parse_query(facts.timezone, from_=from_, to=to)
        return to_frame(
            avoidable_energy.action_register(store, facts, question.from_us, question.to_us),
            avoidable_energy.REGISTER_COLUMNS,
            facts,
        )
