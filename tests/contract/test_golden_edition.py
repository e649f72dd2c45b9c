"""Golden edition: figures computed from raw readings are equal to the last bit.

Where a release moves figures on purpose, delete the golden file,
run this test once (it writes the file and fails), look at the difference, and say it in CHANGELOG under "Figures affected".
"""

from __future__ import annotations

from pathlib import Path

from footprint.config import Config
from footprint.editions.builder import build
from footprint.editions.collect import collect_data
from footprint.editions.confidentiality import suppress_cells
from footprint.editions.release_context import ReleaseContext
from footprint.storage.database import Store
from tests.support.quarters import instant

GOLDEN = Path(__file__).parents[1] / "fixtures" / "editions" / "golden.csv"


def lines(config: Config, store: Store) -> list[str]:
    context = ReleaseContext("2026-Q3", cut_us=instant("2026-10-12"), code_version="golden")
    data = collect_data(store, config, context, context.cut_us)
    edition, _ = build(suppress_cells(store, config, context, data, context.cut_us))
    found = ["figure_id,indicator,cell,period,value,low,high,flags"]
    for figure in edition.figures:
        cell = ";".join(f"{name}={value}" for name, value in figure.where)
        values = ("" if value is None else repr(value) for value in (figure.value, figure.low, figure.high))
        found.append(",".join((figure.id, figure.indicator, cell, figure.period, *values, "+".join(figure.flags))))
    return found


def test_the_golden_edition_comes_out_of_its_readings(office: tuple[Config, Store, Path]) -> None:
    config, store, _ = office
    found = lines(config, store)
    if not GOLDEN.exists():
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text("\n".join(found) + "\n", encoding="utf-8")
        raise AssertionError(f"{GOLDEN} was not there and is written: look at it, and keep it")
    assert found == GOLDEN.read_text(encoding="utf-8").splitlines()
