"""This file makes the full view: a service's idle energy over its own use cases, by the policy declared.

Weights are those of the calendar month, whatever the periods asked for. With no use case that month
idle energy stays ``(idle)``; what is unattributed is never spread.
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
from footprint.figures.cell_table import NAMED, CellTable, halves, part_at, table_of
from footprint.figures.energy_cells import CellSource, chosen_sql, periods_sql, sum_sql, whole_slots

UseCase = tuple[str, str, str]  # use case, model, charter
Weights = dict[tuple[int, str], dict[UseCase, float]]  # (month, service) -> use case -> weight
_MILLION = 10**6


def months_of(source: CellSource, start_us: int, end_us: int) -> list[tuple[int, int]]:
    """The whole calendar months that [start, end) touches."""
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
    # Hours in which a use case ran on any host are no sum over hosts: they are counted in the rows.
    summed = source.summed_in() is not None and policy != "by-reservation"
    of, at = (f"footprint_row_sum r ON r.level = {MONTH_USES} AND", "start") if summed else ("footprint_row r ON", "slot")
    rows = source.view.connection.exec_driver_sql(
        f"{periods_sql(whole_slots(months, grain_us(source.config)))} SELECT {keys}, {sum_sql('r.active_uj')}, "
        f"COUNT(DISTINCT r.{at}) FROM period JOIN {of} r.{at} >= period.first AND r.{at} < period.last"
        f"{chosen_sql(source, where, NAMED)} GROUP BY {keys}"
    ).all()
    texts = source.view.store.texts(source.view.connection, {x for row in rows for x in row[1:5]})
    found: Weights = defaultdict(dict)
    for month, service, use_case, model, charter, high, low, hours in rows:
        name = texts[use_case]
        if name in (IDLE_NAME, UNATTRIBUTED_NAME):
            continue
        energy = float(int(high) * _MILLION + int(low))
        weight = {"by-use": energy, "by-reservation": float(hours), "equal": 1.0}[policy]
        found[month, texts[service]][name, texts[model], texts[charter]] = max(weight, 0.0)
    return dict(found)


def respread(table: CellTable, months: Sequence[int], weights: Weights) -> CellTable:
    """Cells in which ``(idle)`` stands with the use cases; ``months[period]`` is the month of each period.

    Every amount is divided in integers, so that the sum over all cells stays what it was.
    """
    chosen, uses = _spreadable(table, months, weights)
    if not chosen:
        return table
    group = np.repeat(np.arange(len(chosen)), [len(each) for each in uses])
    weight = np.array([share for shares in uses for _, share in sorted(shares.items())])
    amounts = table.amounts[chosen].astype(np.int64)
    spread = np.stack([split_integers(column, weight, group) for column in amounts.T], axis=1)
    cells = np.array(chosen, dtype=np.int64)[group]
    names = {name: (table.names[name][cells], table.texts) for name in NAMED}
    for place, name in enumerate(_TOLD):
        told = [use[place] for shares in uses for use in sorted(shares)]
        texts = sorted(set(told))
        number = {text: index for index, text in enumerate(texts)}
        names[name] = np.array([number[text] for text in told], dtype=np.int64), texts
    kept = np.setdiff1d(np.arange(len(table)), chosen)
    high, low = halves(spread)
    return table_of([part_at(table, kept), replace(part_at(table, cells), names=names, high=high, low=low)])


_TOLD = ("use_case", "model", "charter")  # in the order of UseCase


def _spreadable(table: CellTable, months: Sequence[int], weights: Weights) -> tuple[list[int], list[dict[UseCase, float]]]:
    """The cells of idle energy that there are use cases for, and these with their weights."""
    chosen, uses = [], []
    idle = table.texts.index(IDLE_NAME) if IDLE_NAME in table.texts else -1
    for index in np.flatnonzero(table.names["use_case"] == idle).tolist():
        service = table.texts[int(table.names["service"][index])]
        shares = weights.get((months[int(table.period[index])], service))
        if shares:
            chosen.append(index)
            uses.append(shares)
    return chosen, uses


def month_of(months: Sequence[tuple[int, int]], instant_us: int) -> int:
    """Which of the months an instant lies in."""
    return bisect_right([start for start, _ in months], instant_us) - 1
