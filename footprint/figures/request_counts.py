"""Request counts: requests and tokens by period and group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from footprint.attribution.array_types import Ints
from footprint.core.records import COUNT_COLUMNS
from footprint.figures.dataset import integers, sums_of
from footprint.figures.energy_cells import CellSource, filter_sql, slot_ranges_s

NAME_COLUMNS = ("service", "use_case", "model", "charter")


@dataclass(frozen=True, slots=True)
class CountTable:
    """Counts by period and names: ``period`` and the codes of ``names`` of shape (n,), counts by column; None if unknown."""

    period: Ints
    names: dict[str, tuple[Ints, list[str]]]
    counts: dict[str, list[int | None]]


def count_requests(
    source: CellSource, periods: Sequence[tuple[int, int]], columns: Iterable[str], where: Iterable[tuple[str, str]] = ()
) -> CountTable:
    """Counts of periods [start, end) of whole slots [µs], disjoint and sorted, by service and ``columns`` of NAME_COLUMNS.

    ``where`` is a push-down hint; callers must still filter.
    """
    names = [name for name in NAME_COLUMNS if name in {"service", *columns}]
    rows = source.dataset.sums(
        "counts",
        slot_ranges_s(periods),
        names,
        {name: f"SUM({name})" for name in COUNT_COLUMNS},
        filter_sql(source, where, NAME_COLUMNS),
    )
    coded = {name: source.texts(integers(rows[f"key{index}"])) for index, name in enumerate(names)}
    return CountTable(integers(rows["period"]), coded, {name: _known_counts(rows[name]) for name in COUNT_COLUMNS})


def _known_counts(column: pa.ChunkedArray) -> list[int | None]:
    if column.null_count == len(column):
        return [None] * len(column)
    counts: list[int | None] = sums_of(column.fill_null(0)).tolist()
    if not column.null_count:
        return counts
    return [count if is_known else None for count, is_known in zip(counts, column.is_valid().to_pylist(), strict=True)]
