"""Figures as pandas DataFrames, for notebooks.

Every function takes ``config``, the path of a ``footprint.toml`` (default: the file that the command line finds), and returns
the table that the command of the same name prints. Instants are UTC; unknown values are missing, never 0. ``DataFrame.attrs``
holds ``units`` by column, and ``demonstration``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pandas as pd

from footprint.config import Config, load_config
from footprint.core.timestamps import now_us
from footprint.figures import Query, parse_query, run_query
from footprint.queries import factor_diff, split_diagnostics, uncertainty_budget
from footprint.queries import raw_readings as raw_readings_query
from footprint.queries import sensitivity as sensitivity_query
from footprint.queries.methods import METHODS
from footprint.storage.database import Opening, Store

_UNITS = {"sci_g_per_request": "gCO2e/request", "coverage": "1", "share_of_variance": "1", "value": ""}
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
_BOUND_SUFFIXES = ("_low", "_high", "_q1", "_q3")
_DIMENSIONLESS = ("requests", "windows", "hours", "days", "ratio", "share", "score")


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
    """Figures, as ``footprint query`` prints them: energy [kWh], emissions [gCO2e], water [L], with bounds.

    The columns are those of docs/reference/contract.md, section 6. ``DataFrame.attrs`` also holds ``formulas`` by column, and
    the ``method`` versions.

    Raises
    ------
    BadQuery
        If a parameter is invalid.
    ConfigError
        If the configuration is invalid.
    """
    with open_configured_store(config) as (store, facts):
        query_ = replace(_parse_query(facts, group, every, from_, to, where, view), own_traffic=True)
        result = run_query(store, facts, query_, now_us())
        frame = to_frame(result.rows, result.columns, facts)
    counts = [name for name in ("requests", "input_tokens", "cached_input_tokens", "output_tokens") if name in frame]
    frame[counts] = frame[counts].astype("Int64")
    numbers = [name for name in result.columns if unit_of(name) and name not in counts]
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
    """Uncertainty budget of energy: by cause, half-widths of the 95 % interval [kWh] and shares of the variance [1].

    Raises
    ------
    BadQuery
        If a parameter is invalid.
    """
    with open_configured_store(config) as (store, facts):
        parsed_query = _parse_query(facts, group, every, from_, to, where)
        rows = uncertainty_budget.uncertainty_budget(store, facts, parsed_query, now_us())
        return to_frame(rows, [*parsed_query.group, *uncertainty_budget.COLUMNS], facts)


def sensitivity(
    group: str | Sequence[str] = (),
    *,
    from_: str | None = None,
    to: str | None = None,
    where: Iterable[str] = (),
    config: str | None = None,
) -> pd.DataFrame:
    """Figures under other emission factors, server lifetimes and water factors; ``ratio`` to the published value [1].

    Raises
    ------
    BadQuery
        If a parameter is invalid.
    """
    with open_configured_store(config) as (store, facts):
        parsed_query = _parse_query(facts, group, "all", from_, to, where)
        rows = sensitivity_query.sensitivity(store, facts, parsed_query, now_us())
        return to_frame(rows, [*parsed_query.group, *sensitivity_query.COLUMNS], facts)


def splits(*, from_: str | None = None, to: str | None = None, config: str | None = None) -> pd.DataFrame:
    """Split of the energy of each service by day: fitted or refused with the reason, residual [1], lag [s], coefficients."""
    with open_configured_store(config) as (store, facts):
        parsed_query = _parse_query(facts, (), "all", from_, to, ())
        return to_frame(
            split_diagnostics.split_diagnostics(store, parsed_query.from_us, parsed_query.to_us), split_diagnostics.COLUMNS, facts
        )


def raw_readings(host: str, device: str, from_: str, to: str, *, config: str | None = None) -> pd.DataFrame:
    """Stored readings of one device: counters [µJ] and powers [µW].

    Raises
    ------
    BadQuery
        If a bound is invalid.
    """
    with open_configured_store(config) as (store, facts):
        parsed_query = _parse_query(facts, (), "all", from_, to, ())
        assert parsed_query.from_us is not None
        assert parsed_query.to_us is not None
        return to_frame(
            raw_readings_query.raw_readings(store, host, device, parsed_query.from_us, parsed_query.to_us),
            raw_readings_query.COLUMNS,
            facts,
        )


def factors_diff(file: str, *, config: str | None = None) -> pd.DataFrame:
    """Changes that a file of factors would make before it is adopted: both values, energy concerned [kWh], both figures.

    A figure is energy times factor, in the unit of the factor times kWh (column ``unit``).

    Raises
    ------
    FootprintError
        If the file is invalid.
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
    """Open the store of a configuration; yields store and configuration."""
    facts = load_config(config)
    store = Store(facts.store_url, demo=facts.demo, opening=Opening.existing)
    try:
        yield store, facts
    finally:
        store.close()


def to_frame(rows: list[dict[str, Any]], columns: Sequence[str], facts: Config) -> pd.DataFrame:
    """Frame of rows, with typed instants, and the units of columns in ``attrs``."""
    frame = pd.DataFrame(rows, columns=list(columns))
    for name in ("period_start", "period_end", "time"):
        if name in frame:
            frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
    frame.attrs |= {"units": {name: unit_of(name) for name in columns if unit_of(name)}, "demonstration": facts.demo}
    return frame


def unit_of(column: str) -> str:
    """Unit of a column, from its name; empty if it has none."""
    if column in _UNITS:
        return _UNITS[column]
    name = next((column.removesuffix(bound) for bound in _BOUND_SUFFIXES if column.endswith(bound)), column)
    if name in _DIMENSIONLESS:
        return "1"
    if name in ("wh", "wh_per_response"):
        return "Wh"
    return next((unit for suffix, unit in _SUFFIXES if column.endswith(suffix) or name.endswith(suffix)), "")


def _parse_query(
    facts: Config,
    group: str | Sequence[str],
    every: str,
    from_: str | None,
    to: str | None,
    where: Iterable[str],
    view: str = "active",
) -> Query:
    columns = group if isinstance(group, str) else ",".join(group)
    return parse_query(facts.timezone, group=columns, every=every, from_=from_, to=to, where=where, view=view)
