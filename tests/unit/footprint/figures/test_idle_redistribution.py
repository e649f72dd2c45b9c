"""Idle energy stands with the uses of its service, as if each cell were divided by itself; nothing is lost."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from footprint.aggregation.basis_lookup import basis_at
from footprint.attribution.largest_remainder import split_integer
from footprint.config import parse_config
from footprint.figures.cell_table import AMOUNTS, NAME_COLUMNS, CellKey, CellTable, build_table
from footprint.figures.idle_redistribution import Weights, redistribute_idle
from footprint.impact.factor_book import shipped_book

_CONFIG = parse_config('[[site]]\nname = "s"\n[[host]]\nname = "a"\nsite = "s"\n[[host]]\nname = "b"\nsite = "s"\n')
_BASES = [
    basis_at(
        _CONFIG, shipped_book(), host, 0, component="gpu", device_model="H100", method="counter", idle_known=True, split="ok"
    )
    for host in ("a", "b")
]
_PLACE = st.builds(
    CellKey,
    period=st.integers(0, 3),
    service=st.sampled_from(["chat", "code", ""]),
    use_case=st.sampled_from(["(idle)", "(unattributed)", "mail", "notes"]),
    model=st.sampled_from(["m", "(idle)"]),
    device=st.just(""),
    charter=st.sampled_from(["authorised", ""]),
    basis=st.sampled_from(_BASES),
)
_CELLS = st.dictionaries(
    _PLACE, st.lists(st.integers(-(10**15), 10**15), min_size=len(AMOUNTS), max_size=len(AMOUNTS)), min_size=1, max_size=12
)
_USE = st.tuples(st.sampled_from(["mail", "notes", "new"]), st.sampled_from(["m", "n"]), st.sampled_from(["authorised", ""]))
_WEIGHTS = st.dictionaries(
    st.tuples(st.integers(0, 1), st.sampled_from(["chat", "code"])),
    st.dictionaries(_USE, st.floats(0, 1e18), max_size=5),
    max_size=4,
)
MONTHS = (0, 0, 1, 1)
Cells = dict[CellKey, list[int]]


def table_of(cells: Cells) -> CellTable:
    names = {}
    for name in NAME_COLUMNS:
        texts = [getattr(key, name) for key in cells]
        names[name] = np.arange(len(texts)), texts
    amounts = np.array(list(cells.values()), dtype=np.int64)
    period, divided = np.array([key.period for key in cells]), np.zeros(len(cells), dtype=np.int64)
    return build_table(period, names, (np.arange(len(cells)), [key.basis for key in cells]), amounts, divided)


def one_by_one(cells: Cells, weights: Weights) -> Cells:
    found: dict[CellKey, list[int]] = defaultdict(lambda: [0] * len(AMOUNTS))
    for place, amounts in cells.items():
        shares = weights.get((MONTHS[place.period], place.service), {})
        uses = sorted(shares) if place.use_case == "(idle)" else []
        targets = [replace(place, use_case=use, model=model, charter=charter) for use, model, charter in uses] or [place]
        for index, amount in enumerate(amounts):
            parts = split_integer(amount, np.array([shares[use] for use in uses] or [1.0]))
            for target, part in zip(targets, parts.tolist(), strict=True):
                found[target][index] += part
    return dict(found)


@given(_CELLS, _WEIGHTS)
def test_idle_is_divided_as_cell_by_cell_and_every_amount_keeps_its_sum(cells: Cells, weights: Weights) -> None:
    table = redistribute_idle(table_of(cells), MONTHS, weights)
    assert dict(table.cells()) == one_by_one(cells, weights)
    assert [int(x) for x in table.amounts.sum(axis=0)] == [sum(column) for column in zip(*cells.values(), strict=True)]


@given(_CELLS, _WEIGHTS)
def test_totals_of_more_than_64_bits_keep_their_sum(cells: Cells, weights: Weights) -> None:
    wide = table_of(cells)
    wide.amounts = wide.amounts.astype(object) * 2**30
    table = redistribute_idle(wide, MONTHS, weights)
    assert [int(x) for x in table.amounts.sum(axis=0)] == [sum(column) * 2**30 for column in zip(*cells.values(), strict=True)]
    assert {key for key, _ in table.cells()} == {key for key, _ in redistribute_idle(table_of(cells), MONTHS, weights).cells()}
