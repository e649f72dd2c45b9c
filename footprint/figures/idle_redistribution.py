"""Idle redistribution (full view): idle energy of a service over its own use cases, by the declared policy.

Weights are those of the calendar month, whatever the requested periods. In a month without use cases, idle energy stays
``(idle)``. Unattributed energy is never redistributed.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from footprint.aggregation.host_day import grain_us
from footprint.aggregation.rollups import MONTH_USES
from footprint.attribution.largest_remainder import split_integers
from footprint.attribution.shard import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.calendar.ranges import split_by_period, widen_to_months
from footprint.figures.cell_table import NAME_COLUMNS, CellTable, chunk_at, merge_chunks, split_amounts
from footprint.figures.energy_cells import CellSource, filter_sql, periods_sql, sum_sql, whole_slot_ranges_s

UseCase = tuple[str, str, str]  # use case, model, charter
Weights = dict[tuple[int, str], dict[UseCase, float]]  # (month, service) -> use case -> weight
_MILLION = 10**6


def calendar_months(source: CellSource, start_us: int, end_us: int) -> list[tuple[int, int]]:
    """Whole calendar months that [start, end) touches."""
    zone = source.config.timezone
    clipped = split_by_period("month", start_us, end_us, zone)
    first, last = widen_to_months(start_us, end_us, zone)
    edges = [first, *(start for start, _ in clipped[1:]), last]
    return list(itertools.pairwise(edges))


def month_weights(source: CellSource, months: Sequence[tuple[int, int]], where: Sequence[tuple[str, str]] = ()) -> Weights:
    """Weights of every service's use cases in each month, by the policy of the configuration; ``where`` names services.

    ``by-use``: energy above idle; ``by-reservation``: the hours in which the use case ran; ``equal``.
    """
    policy = source.config.idle_policy
    keys = "period.number, r.service_id, r.use_case_id, r.model_id, r.charter_id"
    # Hours in which a use case ran on any host are not a sum over hosts, so they are counted in the rows.
    summed = source.rollup_timezone() is not None and policy != "by-reservation"
    source_sql, at = (f"footprint_row_sum r ON r.level = {MONTH_USES} AND", "start") if summed else ("footprint_row r ON", "slot")
    rows = source.view.connection.exec_driver_sql(
        f"{periods_sql(whole_slot_ranges_s(months, grain_us(source.config)))} SELECT {keys}, {sum_sql('r.active_uj')}, "
        f"COUNT(DISTINCT r.{at}) FROM period JOIN {source_sql} r.{at} >= period.first AND r.{at} < period.last"
        f"{filter_sql(source, where, NAME_COLUMNS)} GROUP BY {keys}"
    ).all()
    names = source.view.store.texts(source.view.connection, {name_id for row in rows for name_id in row[1:5]})
    weights: Weights = defaultdict(dict)
    for month, service, use_case, model, charter, high, low, hours in rows:
        name = names[use_case]
        if name in (IDLE_NAME, UNATTRIBUTED_NAME):
            continue
        energy = float(int(high) * _MILLION + int(low))
        weight = {"by-use": energy, "by-reservation": float(hours), "equal": 1.0}[policy]
        weights[month, names[service]][name, names[model], names[charter]] = max(weight, 0.0)
    return dict(weights)


def redistribute_idle(table: CellTable, months: Sequence[int], weights: Weights) -> CellTable:
    """Cells with idle energy moved to the use cases; ``months[period]`` is the month of each period.

    Every amount is divided in integers, so the sum over all cells is unchanged.
    """
    chosen, uses = _redistributable_cells(table, months, weights)
    if not chosen:
        return table
    group = np.repeat(np.arange(len(chosen)), [len(shares) for shares in uses])
    weight = np.array([share for shares in uses for _, share in sorted(shares.items())])
    amounts = table.amounts[chosen].astype(np.int64)
    spread = np.stack([split_integers(column, weight, group) for column in amounts.T], axis=1)
    cells = np.array(chosen, dtype=np.int64)[group]
    names = {name: (table.names[name][cells], table.texts) for name in NAME_COLUMNS}
    for index_in_use_case, name in enumerate(_USE_CASE_COLUMNS):
        values = [use[index_in_use_case] for shares in uses for use in sorted(shares)]
        texts = sorted(set(values))
        number = {text: index for index, text in enumerate(texts)}
        names[name] = np.array([number[text] for text in values], dtype=np.int64), texts
    unchanged = np.setdiff1d(np.arange(len(table)), chosen)
    high, low = split_amounts(spread)
    return merge_chunks([chunk_at(table, unchanged), replace(chunk_at(table, cells), names=names, high=high, low=low)])


_USE_CASE_COLUMNS = ("use_case", "model", "charter")  # in the order of UseCase


def _redistributable_cells(
    table: CellTable, months: Sequence[int], weights: Weights
) -> tuple[list[int], list[dict[UseCase, float]]]:
    """Idle cells with use cases in their month, and the weights of these."""
    chosen, uses = [], []
    idle = table.texts.index(IDLE_NAME) if IDLE_NAME in table.texts else -1
    for index in np.flatnonzero(table.names["use_case"] == idle).tolist():
        service = table.texts[int(table.names["service"][index])]
        shares = weights.get((months[int(table.period[index])], service))
        if shares:
            chosen.append(index)
            uses.append(shares)
    return chosen, uses


def month_index(months: Sequence[tuple[int, int]], instant_us: int) -> int:
    """Index of the month that contains an instant [µs]."""
    return bisect_right([start for start, _ in months], instant_us) - 1
