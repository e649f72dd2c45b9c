"""A golden edition: raw readings give every figure to a relative 1e-12, beyond which processors differ.

Where a release moves figures on purpose, delete the golden file, run this test once (it writes the file and fails), look at
the difference, and describe it in CHANGELOG under "Figures affected".
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from footprint.config import Config
from footprint.editions.builder import build
from footprint.editions.collect import collect_data
from footprint.editions.confidentiality import suppress_cells
from footprint.editions.release_context import ReleaseContext
from footprint.storage.database import Store
from tests.support.quarters import instant

GOLDEN = Path(__file__).parents[1] / "fixtures" / "editions" / "golden.csv"


NUMBERS = ("value", "low", "high")
COLUMNS = ("figure_id", "indicator", "cell", "period", *NUMBERS, "flags")
Row = dict[str, str | float | None]


def computed_rows(config: Config, store: Store) -> list[Row]:
    context = ReleaseContext("2026-Q3", cut_us=instant("2026-10-12"), code_version="golden")
    data = collect_data(store, config, context, context.cut_us)
    edition, _ = build(suppress_cells(store, config, context, data, context.cut_us))
    return [
        {
            "figure_id": figure.id,
            "indicator": figure.indicator,
            "cell": ";".join(f"{name}={value}" for name, value in figure.where),
            "period": figure.period,
            "value": figure.value,
            "low": figure.low,
            "high": figure.high,
            "flags": "+".join(figure.flags),
        }
        for figure in edition.figures
    ]


def golden_rows() -> list[Row]:
    with GOLDEN.open(encoding="utf-8", newline="") as file:
        rows: list[Row] = list(csv.DictReader(file))  # type: ignore[arg-type]
    for row in rows:
        row.update({name: float(str(row[name])) if row[name] else None for name in NUMBERS})
    return rows


def test_the_golden_edition_comes_out_of_its_readings(office: tuple[Config, Store, Path]) -> None:
    config, store, _ = office
    computed = computed_rows(config, store)
    if not GOLDEN.exists():
        with GOLDEN.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(computed)
        raise AssertionError(f"{GOLDEN} was not there and is written: look at it, and keep it")
    golden = golden_rows()
    assert len(computed) == len(golden)
    for row, expected in zip(computed, golden, strict=True):
        for name in NUMBERS:
            computed_value, expected_value = row.pop(name), expected.pop(name)
            assert computed_value == (
                expected_value if expected_value is None else pytest.approx(expected_value, rel=1e-12, abs=0)
            ), (row, name)
        assert row == expected
