"""This file gives figures as pandas DataFrames: for notebooks, with the unit of each column in their attributes.

Every function takes ``config``, the path of a ``footprint.toml`` (default: the one that the command line would find), and answers
what the command of the same name prints. Instants are UTC, unknown values missing, never 0. ``DataFrame.attrs`` holds ``units``
by column and ``demonstration``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd

from footprint.config import Config, load_config
from footprint.core.timestamps import now_us
from footprint.figures import Query, parse_query
from footprint.figures import run_query as ask
from footprint.queries import factor_diff, split_diagnostics, uncertainty_budget
from footprint.queries import raw_readings as raw_readings_query
from footprint.queries import sensitivity as sensitivity_query
from footprint.queries.methods import METHODS
from footprint.storage.database import Store

_BESIDE = {"sci_g_per_request": "gCO2e/request", "coverage": "1", "share_of_variance": "1", "value": ""}
_SUFFIXES = (
    ("_kwh", "kWh"),
    ("_g", "gCO2e"),
    ("_l", "L"),
    ("_kgsb", "kgSb"),
    ("_mj", "MJ"),
    ("_eur", "EUR"),
    ("_wh", "Wh"),
    ("_j", "J"),
    ("_s", "s"),
    ("_tokens", "1"),
    ("_requests", "1"),
    ("_per_output_token", "J"),
    ("_per_step", "1"),
)
_ENDS = ("_low", "_high", "_q1", "_q3")
_COUNTS = ("requests", "windows", "hours", "days", "ratio", "share", "score")


def query(
    group: str | Sequence[str] = (),
    *,
    every: str = "all",
    from_: str | None = None,
    to: str | None = None,
    where: Iterable[str] = (),
    view: str = "active",
    config: str | None = None,
) -> pd.DataFrame:
    """Figures as ``footprint query`` prints them (contract, section 6): energy [kWh], emissions [gCO2e], water [L], with bounds.

    ``DataFrame.attrs`` also holds ``formulas`` by column, and the ``method`` versions.

    Raises
    ------
    BadQuestion
        If a parameter cannot be understood.
    ConfigError
        If the configuration cannot be right.
    """
    with open_configured_store(config) as (store, facts):
        answer = ask(store, facts, _asked(facts, group, every, from_, to, where, view), now_us())
        frame = to_frame(answer.rows, answer.columns, facts)
    numbers = [name for name in answer.columns if unit_of(name)]
    counts = [name for name in ("requests", "input_tokens", "cached_input_tokens", "output_tokens") if name in frame]
    frame[counts] = frame[counts].astype("Int64")
    numbers = [name for name in numbers if name not in counts]
    frame[numbers] = frame[numbers].astype("float64")
    frame.attrs |= {
        "formulas": {figure: method.formula for method in METHODS for figure in method.figures if figure in frame},
        "method": sorted(set(frame["method_version"].dropna())),
    }
    return frame


def uncertainty(
    group: str | Sequence[str] = (),
    *,
    every: str = "all",
    from_: str | None = None,
    to: str | None = None,
    where: Iterable[str] = (),
    config: str | None = None,
) -> pd.DataFrame:
    """What makes energy uncertain, cause by cause: half-widths of about 95 % [kWh], and shares of the variance [1].

    Raises
    ------
    BadQuestion
        If a parameter cannot be understood.
    """
    with open_configured_store(config) as (store, facts):
        question = _asked(facts, group, every, from_, to, where)
        rows = uncertainty_budget.uncertainty_budget(store, facts, question, now_us())
        return to_frame(rows, [*question.group, *uncertainty_budget.COLUMNS], facts)


def sensitivity(
    group: str | Sequence[str] = (),
    *,
    from_: str | None = None,
    to: str | None = None,
    where: Iterable[str] = (),
    config: str | None = None,
) -> pd.DataFrame:
    """The same figures under other factor tables, lives of servers and water factors; ``ratio`` to what is published [1].

    Raises
    ------
    BadQuestion
        If a parameter cannot be understood.
    """
    with open_configured_store(config) as (store, facts):
        question = _asked(facts, group, "all", from_, to, where)
        rows = sensitivity_query.sensitivity(store, facts, question, now_us())
        return to_frame(rows, [*question.group, *sensitivity_query.COLUMNS], facts)


def splits(*, from_: str | None = None, to: str | None = None, config: str | None = None) -> pd.DataFrame:
    """How the energy of each service was divided on each day: fitted or refused, why, residual [1], lag [s], coefficients."""
    with open_configured_store(config) as (store, facts):
        question = _asked(facts, (), "all", from_, to, ())
        return to_frame(
            split_diagnostics.split_diagnostics(store, question.from_us, question.to_us), split_diagnostics.COLUMNS, facts
        )


def raw_readings(host: str, device: str, from_: str, to: str, *, config: str | None = None) -> pd.DataFrame:
    """Readings of one device as they are kept: counters [µJ], powers [µW]; what every figure rests on.

    Raises
    ------
    BadQuestion
        If a bound cannot be understood.
    """
    with open_configured_store(config) as (store, facts):
        question = _asked(facts, (), "all", from_, to, ())
        assert question.from_us is not None
        assert question.to_us is not None
        return to_frame(
            raw_readings_query.raw_readings(store, host, device, question.from_us, question.to_us),
            raw_readings_query.COLUMNS,
            facts,
        )


def factors_diff(file: str, *, config: str | None = None) -> pd.DataFrame:
    """What a file of factors would change, before it is adopted: both values, the energy on each [kWh], both figures.

    ``figure`` is energy x factor, in the factor's unit times kWh (``unit`` says which).

    Raises
    ------
    FootprintError
        If the file cannot be right.
    """
    from footprint.impact.factor_book import FactorBook  # noqa: PLC0415 - few need them
    from footprint.ledger.factor_store import load_factor_book, read_bundle  # noqa: PLC0415

    with open_configured_store(config) as (store, facts):
        before = load_factor_book(store)
        factors, _, _ = read_bundle(file, None, now_us())
        rows = factor_diff.revised_figures(store, facts, before, FactorBook([*before.factors, *factors]))
        return to_frame(rows, factor_diff.REVISION_COLUMNS, facts)


@contextmanager
def open_configured_store(config: str | None) -> Iterator[tuple[Store, Config]]:
    """Store and facts of a configuration, while they are needed."""
    facts = load_config(config)
    store = Store(facts.store_url, demo=facts.demo)
    try:
        yield store, facts
    finally:
        store.close()


def to_frame(rows: list[dict[str, Any]], columns: Sequence[str], facts: Config) -> pd.DataFrame:
    """Rows as a frame, instants typed, with the units that names state."""
    frame = pd.DataFrame(rows, columns=list(columns))
    for name in ("period_start", "period_end", "time"):
        if name in frame:
            frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
    frame.attrs |= {"units": {name: unit_of(name) for name in columns if unit_of(name)}, "demonstration": facts.demo}
    return frame


def unit_of(column: str) -> str:
    """The unit that a column's name states; empty where it bears none."""
    if column in _BESIDE:
        return _BESIDE[column]
    name = next((column.removesuffix(end) for end in _ENDS if column.endswith(end)), column)
    if name in _COUNTS:
        return "1"
    if name in ("wh", "wh_per_response"):
        return "Wh"
    return next((unit for suffix, unit in _SUFFIXES if column.endswith(suffix) or name.endswith(suffix)), "")


def _asked(
    facts: Config,
    group: str | Sequence[str],
    every: str,
    from_: str | None,
    to: str | None,
    where: Iterable[str],
    view: str = "active",
) -> Query:
    named = group if isinstance(group, str) else ",".join(group)
    return parse_query(facts.timezone, group=named, every=every, from_=from_, to=to, where=where, view=view)
