"""Request counts: requests and tokens by period and group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from footprint.core.records import COUNT_COLUMNS
from footprint.figures.dataset import integers
from footprint.figures.energy_cells import CellSource, filter_sql, slot_ranges_s

NAME_COLUMNS = ("service", "use_case", "model", "charter")
Key = tuple[int, str, str, str, str]  # period, then NAME_COLUMNS
Counts = dict[Key, list[int | None]]  # COUNT_COLUMNS; None if unknown


def count_requests(
    source: CellSource, periods: Sequence[tuple[int, int]], columns: Iterable[str], where: Iterable[tuple[str, str]] = ()
) -> Counts:
    """Counts of periods [start, end) of whole slots [µs], disjoint and sorted, by ``columns`` of NAME_COLUMNS.

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
    texts = {name: [column_texts[code] for code in codes.tolist()] for name, (codes, column_texts) in coded.items()}
    empty = [""] * len(rows)
    keys = zip(integers(rows["period"]).tolist(), *(texts.get(name, empty) for name in NAME_COLUMNS), strict=True)
    amounts = zip(*(_known_counts(rows[name].to_pylist()) for name in COUNT_COLUMNS), strict=True)
    return {key: list(counts) for key, counts in zip(keys, amounts, strict=True)}


def _known_counts(values: Sequence[int | None]) -> list[int | None]:
    return [None if value is None else int(value) for value in values]
