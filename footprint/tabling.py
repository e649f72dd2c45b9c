"""This file gives figures as a pandas DataFrame: for notebooks, with the unit of each column in its attributes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import pandas as pd

from footprint.config import load_config
from footprint.querying import parse_question
from footprint.querying import query as ask
from footprint.querying.methods import METHODS
from footprint.store import Store

_BESIDE = {"sci_g_per_request": "gCO2e/request", "coverage": "1"}
_SUFFIXES = (("_kwh", "kWh"), ("_g", "gCO2e"), ("_l", "L"), ("_kgsb", "kgSb"), ("_mj", "MJ"), ("_eur", "EUR"))


def query(
    group: str | Sequence[str] = (), *, every: str = "all", from_: str | None = None, to: str | None = None,
    where: Iterable[str] = (), view: str = "active", config: str | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Figures as ``footprint query`` prints them (contract, section 6); instants are UTC, unknown values missing.

    ``DataFrame.attrs`` holds ``units`` by column, ``formulas`` by column, ``demonstration`` and the ``method`` versions.

    Raises
    ------
    BadQuestion
        If a parameter cannot be understood.
    ConfigError
        If the configuration cannot be right.
    """
    facts = load_config(config)
    store = Store(facts.store_url, demo=facts.demo)
    try:
        named = group if isinstance(group, str) else ",".join(group)
        question = parse_question(facts.timezone, group=named, every=every, from_=from_, to=to, where=where, view=view)
        answer = ask(store, facts, question, time.time_ns() // 1000)
    finally:
        store.close()
    frame = pd.DataFrame(answer.rows, columns=answer.columns)
    for name in ("period_start", "period_end"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    counts = [name for name in ("requests", "input_tokens", "cached_input_tokens", "output_tokens") if name in frame]
    frame[counts] = frame[counts].astype("Int64")
    numbers = [name for name in answer.columns if unit_of(name) and name not in counts]
    frame[numbers] = frame[numbers].astype("float64")
    frame.attrs |= {
        "units": {name: unit_of(name) for name in answer.columns if unit_of(name)},
        "formulas": {figure: method.formula for method in METHODS for figure in method.figures if figure in frame},
        "method": sorted(set(frame["method_version"].dropna())), "demonstration": facts.demo,
    }  # fmt: skip
    return frame


def unit_of(column: str) -> str:
    """The unit that a column's name states; empty where it bears none."""
    if column in _BESIDE:
        return _BESIDE[column]
    if column == "requests" or column.endswith("_tokens"):
        return "1"
    return next((unit for suffix, unit in _SUFFIXES if column.endswith(suffix)), "")
