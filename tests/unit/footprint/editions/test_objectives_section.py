"""Objectives in an edition: states as their intervals support, confidential like their cell, kept as declared."""

from __future__ import annotations

from pathlib import Path

from footprint.config import Config, load_config
from footprint.editions.document import Edition, Table
from footprint.editions.forms.layout import lay_out
from footprint.editions.publication import draft_edition, publish_edition
from footprint.editions.repository import published_edition
from footprint.editions.serialization import from_json
from footprint.editions.verification import verify
from footprint.storage.database import Store
from tests.support.quarters import instant

Office = tuple[Config, Store, Path]
NOW = instant("2026-10-12")
OBJECTIVES = """
[[objective]]
name = "budget"
metric = "energy_kwh"
at_most = 1
owner = "committee"
[[objective]]
name = "room"
metric = "energy_kwh"
at_most = 1e6
[[objective]]
name = "a use nobody may tell"
metric = "energy_kwh"
use_case = "HIDDEN"
at_most = 1
[[objective]]
name = "monthly"
metric = "requests"
at_most = 1
every = "month"
"""


def table_of(edition: Edition) -> list[list[str]]:
    section = next(part for part in edition.sections if part.name == "objectives")
    assert isinstance(section.blocks[0], Table)
    sheet = next(part for part in lay_out(edition, "en").sections if part.name == "objectives")
    return [["".join(run.text for run in cell) for cell in cells] for _, cells in sheet.blocks[0].rows]  # type: ignore[union-attr]


def test_without_objectives_there_is_no_section(office: Office) -> None:
    config, store, _ = office
    assert all(section.name != "objectives" for section in draft_edition(store, config, "2026-Q3", NOW).edition.sections)


def test_objectives_of_the_quarter_stand_in_its_edition(office: Office) -> None:
    before, store, folder = office
    cells = [dict(f.where) for f in draft_edition(store, before, "2026-Q3", NOW).edition.figures if f.conf_status == "C"]
    hidden = next(cell["use_case"] for cell in cells if "use_case" in cell)
    path = folder / "footprint.toml"
    plain = path.read_text()
    path.write_text(plain + OBJECTIVES.replace("HIDDEN", hidden))
    config = load_config(str(path))
    published = publish_edition(store, config, "2026-Q3", NOW)
    rows = table_of(from_json(published.report))
    assert [(row[0], row[2], row[3], row[4]) for row in rows] == [
        ("budget", "1\u00a0kWh", "exceeded", "committee"),
        ("room", "1,000,000\u00a0kWh", "kept", ""),
        ("a use nobody may tell", "[c]", "[c]", ""),
    ]
    assert "kWh [" in rows[0][1]
    assert rows[2][1] == "[c]"
    # What was declared at publication is kept with it: the configuration may change.
    path.write_text(plain)
    later = load_config(str(path))
    assert all(row["same"] for row in verify(store, later, published_edition(store, "2026-Q3"), NOW))
