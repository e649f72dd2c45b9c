"""Idle redistribution (full view): idle energy of a service over its own use cases, by the declared policy.

Weights are those of the calendar month, whatever the requested periods. In a month without use cases, idle energy stays
``(idle)``. Unattributed energy is never redistributed.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.largest_remainder import split_integers
from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.calendar.ranges import split_by_period, widen_to_months
from footprint.figures.cell_table import NAME_COLUMNS, Amounts, CellTable, build_table
from footprint.figures.dataset import integers, sums_of
from footprint.figures.energy_cells import CellSource, filter_sql, slot_ranges_s

UseCase = tuple[str, str, str]  # use case, model, charter
Weights = dict[tuple[int, str], dict[UseCase, float]]  # (month, service) -> use case -> weight
_HALF = 40  # bits at which a total of more than 64 bits is divided in two steps


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
    rows = source.dataset.sums(
        "energy",
        slot_ranges_s(months),
        ["service", "use_case", "model", "charter"],
        {"active_uj": "SUM(active_uj)", "slots": "COUNT(DISTINCT start_s)"},
        filter_sql(source, where, NAME_COLUMNS),
        # Slots in which a use case ran on any host are not a sum over hosts or days.
        slots_only=policy == "by-reservation",
    )
    columns = [source.texts(integers(rows[f"key{index}"])) for index in range(4)]
    names = [[texts[code] for code in codes.tolist()] for codes, texts in columns]
    period, slots = (integers(rows[name]).tolist() for name in ("period", "slots"))
    active_uj = sums_of(rows["active_uj"]).tolist()
    weights: Weights = defaultdict(dict)
    for month, service, use_case, model, charter, energy_uj, hours in zip(period, *names, active_uj, slots, strict=True):
        if use_case in (IDLE_NAME, UNATTRIBUTED_NAME):
            continue
        weight = {"by-use": float(energy_uj), "by-reservation": float(hours), "equal": 1.0}[policy]
        weights[month, service][use_case, model, charter] = max(weight, 0.0)
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
    spread = np.stack([_divide(column, weight, group) for column in table.amounts[chosen].T], axis=1)
    cells = np.concatenate([np.setdiff1d(np.arange(len(table)), chosen), np.array(chosen, dtype=np.int64)[group]])
    unchanged = len(cells) - len(group)
    names: dict[str, tuple[Ints, list[str]]] = {name: (table.names[name][cells], table.texts) for name in NAME_COLUMNS}
    for position, name in enumerate(_USE_CASE_COLUMNS):
        values = [use[position] for shares in uses for use in sorted(shares)]
        texts = sorted({*values, *table.texts})
        number = {text: index for index, text in enumerate(texts)}
        before = np.array([number[text] for text in table.texts], dtype=np.int64)[table.names[name][cells[:unchanged]]]
        names[name] = np.concatenate([before, np.array([number[text] for text in values], dtype=np.int64)]), texts
    amounts = np.concatenate([table.amounts[cells[:unchanged]], spread])
    return build_table(table.period[cells], names, (table.basis[cells], table.bases), amounts, table.divided[cells])


def _divide(totals: Amounts, weight: Floats, group: Ints) -> Amounts:
    """Totals divided over the parts of their groups; one by one where a total needs more than 64 bits."""
    if totals.dtype != np.object_:
        return split_integers(totals.astype(np.int64), weight, group)
    parts = np.zeros(len(group), dtype=object)
    for number, total in enumerate(totals.tolist()):
        inside = group == number
        high = split_integers(np.array([total >> _HALF], dtype=np.int64), weight[inside], np.zeros(inside.sum(), dtype=np.int64))
        rest = total - (total >> _HALF << _HALF)
        low = split_integers(np.array([rest], dtype=np.int64), weight[inside], np.zeros(inside.sum(), dtype=np.int64))
        parts[inside] = high.astype(object) * 2**_HALF + low.astype(object)
    return parts


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
