"""Energy cells: energy by period, group and basis, summed over the stored figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from sqlalchemy import select

from footprint.attribution.array_types import Ints
from footprint.attribution.row_columns import RESERVED_USE_CASES
from footprint.calendar.slots import slot_length_us
from footprint.config import Config
from footprint.core.units import US_PER_S
from footprint.figures.cell_table import AMOUNTS, NAME_COLUMNS, Amounts, CellTable, build_table
from footprint.figures.dataset import Dataset, Ranges, integers, sums_of
from footprint.figures.version_cache import cached_value
from footprint.impact.calculation_basis import CalculationBasis
from footprint.impact.factor_book import FactorBook
from footprint.ledger.ledger_view import LedgerView
from footprint.ledger.placements import Tenure, host_tenures
from footprint.storage import schema
from footprint.storage.database import Store, table

_basis_cache: WeakKeyDictionary[Store, dict[int, CalculationBasis]] = WeakKeyDictionary()


@dataclass(slots=True)
class CellSource:
    """Source of cells: a snapshot of the store, and the configuration."""

    view: LedgerView
    config: Config
    book: FactorBook
    _dataset: Dataset | None = None
    _hosts: dict[str, list[Tenure]] | None = None

    @property
    def dataset(self) -> Dataset:
        """The stored figures."""
        if self._dataset is None:
            self._dataset = Dataset(self.view.store, self.view.connection, self.config.timezone)
        return self._dataset

    @property
    def slot_us(self) -> int:
        """Length of a slot [µs]."""
        return slot_length_us(self.config.timezone)

    def numbers(self, texts: Set[str]) -> dict[str, int]:
        """Number of each text that the store knows."""
        if not texts:
            return {}
        name = table(schema.Name)
        rows = self.view.connection.execute(select(name.c.id, name.c.text).where(name.c.text.in_(sorted(texts))))
        return {row.text: row.id for row in rows}

    def texts(self, column: Ints) -> tuple[Ints, list[str]]:
        """Codes of name numbers, and the texts that they index."""
        distinct, codes = np.unique(column, return_inverse=True)
        named = self.view.store.texts(self.view.connection, [number for number in distinct.tolist() if number])
        return codes, [named.get(number, "") for number in distinct.tolist()]

    def hosts(self) -> dict[str, list[Tenure]]:
        """Hosts in the ledger, with the placements on their devices."""
        if self._hosts is None:
            self._hosts = {name: host_tenures(self.view, self.config, name) for name in sorted(self.view.streams())}
        return self._hosts


def slot_ranges_s(periods: Sequence[tuple[int, int]]) -> Ranges:
    """(period, first slot, slot after the last) [s] of periods [start, end) of whole slots [µs]."""
    return [(index, start // US_PER_S, end // US_PER_S) for index, (start, end) in enumerate(periods) if start < end]


def filter_sql(source: CellSource, where: Iterable[tuple[str, str]], columns: Collection[str]) -> str:
    """SQL for the conditions on ``columns``: values of one name are alternatives, names combine; "" without conditions."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for name, value in where:
        if name in columns:
            wanted[name].append(value)
    numbers = source.numbers({value for values in wanted.values() for value in values})
    return " AND ".join(
        f"{name} IN ({', '.join(str(numbers.get(value, -1)) for value in values)})" for name, values in sorted(wanted.items())
    )


def reserved_name_ids(source: CellSource) -> list[int]:
    """Numbers of the names of idle and unattributed energy, as far as the store has them."""
    return sorted(source.numbers(set(RESERVED_USE_CASES)).values()) or [-1]


def gather_cells(
    source: CellSource,
    periods: Sequence[tuple[int, int]],
    columns: Iterable[str],
    where: Iterable[tuple[str, str]] = (),
    *,
    together: bool = False,
) -> CellTable:
    """Energy of periods [start, end) of whole slots [µs], disjoint and sorted, by ``columns`` of NAME_COLUMNS.

    ``where`` is a push-down hint; callers must still filter. With ``together``, use cases are summed except idle and
    unattributed, and model and charter status are dropped.
    """
    names = [name for name in NAME_COLUMNS if name in {"service", *columns} and not (together and name in ("model", "charter"))]
    condition = filter_sql(source, where, {"service", "device", "host"} if together else {*NAME_COLUMNS, "host"})
    reserved = ", ".join(map(str, reserved_name_ids(source)))
    use_case = f"CASE WHEN use_case IN ({reserved}) THEN use_case ELSE 0 END" if together else "use_case"
    keys = [use_case if name == "use_case" else name for name in names]
    measures = {name: f"SUM({name})" for name in (*AMOUNTS, "divided")}
    rows = source.dataset.sums("energy", slot_ranges_s(periods), [*keys, "basis"], measures, condition)
    basis_ids, basis_codes = np.unique(integers(rows[f"key{len(keys)}"]), return_inverse=True)
    bases = load_bases(source.view, basis_ids.tolist())
    sums: list[Amounts] = [sums_of(rows[name]) for name in AMOUNTS]
    return build_table(
        integers(rows["period"]),
        {name: source.texts(integers(rows[f"key{index}"])) for index, name in enumerate(names)},
        (basis_codes, [bases[number] for number in basis_ids.tolist()]),
        np.stack(sums, axis=1),  # type: ignore[arg-type]
        sums_of(rows["divided"]).astype(np.int64),
    )


def undeclared_use_cases(source: CellSource, periods: Sequence[tuple[int, int]]) -> list[str]:
    """Undeclared use cases in the figures of these periods."""
    ranges = slot_ranges_s([(periods[0][0], periods[-1][1])])

    def read() -> set[str]:
        return set(source.texts(integers(source.dataset.sums("energy", ranges, ["use_case"], {})["key0"]))[1])

    key = "use cases", source.config.timezone, tuple(ranges)
    texts = cached_value(source.view.store, source.view.connection, key, read)
    declared = {use_case.name for use_case in source.config.use_cases}
    return sorted(texts - declared - {*RESERVED_USE_CASES, ""})


def load_bases(view: LedgerView, basis_ids: Iterable[int]) -> dict[int, CalculationBasis]:
    """Bases by number; cached, because a basis never changes."""
    target = table(schema.BasisRow)
    cached = _basis_cache.setdefault(view.store, {})
    distinct_ids = set(basis_ids)
    missing = sorted(distinct_ids - cached.keys())
    for start in range(0, len(missing), 10_000):
        condition = target.c.id.in_(missing[start : start + 10_000])
        for row in view.connection.execute(select(target.c.id, target.c.content).where(condition)):
            cached[row.id] = CalculationBasis.from_json(row.content)
    return {basis_id: cached[basis_id] for basis_id in distinct_ids}
