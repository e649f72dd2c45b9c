"""Functional units other than tokens (images, seconds of audio, pages, embeddings, pairs, videos), and energy per unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from footprint.config import Config
from footprint.figures.engine import run_query
from footprint.figures.query import BadQuery, Query
from footprint.ledger.ledger_view import LedgerView
from footprint.storage.database import Store

COLUMNS = (
    "service",
    "model",
    "unit",
    "period_start",
    "period_end",
    "units",
    "requests",
    "energy_kwh",
    "wh_per_unit",
    "wh_per_unit_low",
    "wh_per_unit_high",
)
MIN_PERCENT = 95  # of the requests must bear the unit: the energy of others is not that of these units
_GROUPS = ("service", "use_case", "model")
_Amount = tuple[float, int]


def functional_units(store: Store, config: Config, from_us: int | None, to_us: int | None, now_us: int) -> list[dict[str, Any]]:
    """Units, requests and energy per unit, by service, model and unit.

    Parameters
    ----------
    from_us, to_us : int or None
        Period [from, to) [µs, UTC]; None means from the first or to the last reading.
    now_us : int
        The current instant [µs, UTC].

    Returns
    -------
    list of dict
        Rows with the columns ``COLUMNS``: energy [kWh] of the service and model, and [Wh] per unit with about 95 % bounds; these
        are None where requests of other units, or of none, share the energy.
    """
    amounts = _amounts(store, config, from_us, to_us)
    units_of: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0]))
    for (service, _, model, unit), (part, count) in amounts.items():
        total = units_of[service, model][unit]
        total[0], total[1] = total[0] + part, total[1] + count
    query = Query(group=("service", "model"), from_us=from_us, to_us=to_us)
    energies = {(row["service"], row["model"]): row for row in run_query(store, config, query, now_us).rows} if amounts else {}
    rows = []
    for (service, model), units in sorted(units_of.items()):
        figures = energies.get((service, model), {})
        for unit, (amount, requests) in sorted(units.items()):
            alone = 100 * requests >= MIN_PERCENT * (figures.get("requests") or 0) and amount > 0
            rows.append(
                {
                    "service": service,
                    "model": model,
                    "unit": unit,
                    "period_start": figures.get("period_start"),
                    "period_end": figures.get("period_end"),
                    "units": amount,
                    "requests": int(requests),
                    "energy_kwh": figures.get("energy_kwh"),
                    **{f"wh_per_unit{end}": _wh(figures.get(f"energy{end}_kwh"), amount if alone else 0) for end in _ENDS},
                }
            )
    return rows


_ENDS = ("", "_low", "_high")


def units_of_query(store: Store, config: Config, query: Query, unit: str, requests: int) -> float:
    """Amount of a unit in the requests of a query without groups.

    Raises
    ------
    BadQuery
        If there is none, if too few of the ``requests`` bear it, or if the query asks by place.
    """
    wanted: dict[str, set[str]] = defaultdict(set)
    for group, value in query.where:
        wanted[group].add(value)
    if not wanted.keys() <= set(_GROUPS):
        raise BadQuery(f"units are known by {', '.join(_GROUPS)} only")
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    for key, (amount, counted) in _amounts(store, config, query.from_us, query.to_us).items():
        if all(key[_GROUPS.index(group)] in values for group, values in wanted.items()):
            totals[key[3]][0] += amount
            totals[key[3]][1] += counted
    if unit not in totals or totals[unit][0] <= 0:
        known = f"; it has {', '.join(sorted(totals))}" if totals else ""
        raise BadQuery(f"no {unit} in the period to divide by{known}")
    if 100 * totals[unit][1] < MIN_PERCENT * requests:
        raise BadQuery(
            f"only {int(totals[unit][1])} of {requests} requests bear {unit}: name a service, model or use case of its own"
        )
    return totals[unit][0]


def _amounts(store: Store, config: Config, from_us: int | None, to_us: int | None) -> Mapping[tuple[str, str, str, str], _Amount]:
    """Amount and requests by service, use case, model and unit; requests without a model have the one of their service."""
    models: dict[str, set[str]] = defaultdict(set)
    for fact in config.services:
        models[fact.name].add(fact.model)
    sums: dict[tuple[str, str, str, str], _Amount] = {}
    with store.read() as connection:
        view = LedgerView(store, connection)
        extent = view.extent_us()
        if extent is None:
            return {}
        start_us, end_us = (extent[0] - 1 if from_us is None else from_us), (extent[1] if to_us is None else to_us)
        for service, use_case, model, unit, amount, requests in view.units(start_us, end_us):
            declared = models[service]
            key = service, use_case, model or (next(iter(declared)) if len(declared) == 1 else ""), unit
            before = sums.get(key, (0.0, 0))
            sums[key] = before[0] + amount, before[1] + requests
    return sums


def _wh(kwh: float | None, amount: float) -> float | None:
    return None if kwh is None or not amount else kwh * 1000 / amount
