"""Confidential cells appear nowhere in an edition: not as value, rank, status, model or difference of sums."""

from __future__ import annotations

import json
from pathlib import Path

from footprint.config import Config
from footprint.editions.document import Chart, Paragraphs, Table
from footprint.editions.publication import draft_edition
from footprint.editions.serialization import to_json
from footprint.figures import Query, run_query
from footprint.storage.database import Store
from tests.support.quarters import instant

Office = tuple[Config, Store, Path]
NOW_US = instant("2026-10-12")


def test_three_people_translate_and_nobody_can_tell_how_much(office: Office) -> None:
    config, store, _ = office
    draft = draft_edition(store, config, "2026-Q3", NOW_US)
    edition = draft.edition
    hidden = {dict(f.where).get("use_case") for f in edition.figures if f.conf_status == "C"}
    assert "translation" in hidden
    assert len(hidden - {None}) >= 2  # one alone would be the total less the others
    start, end = draft.data.period.bounds_us(config.timezone)
    rows = run_query(store, config, Query(group=("use_case",), from_us=start, to_us=end), NOW_US).rows
    raw = to_json(edition).decode()
    for row in rows:
        for column in ("energy_kwh", "requests", "co2e_location_g"):
            known = json.dumps(float(row[column] or 0)) in raw
            assert known != (row["use_case"] in hidden) or row["use_case"].startswith("("), (row["use_case"], column)
    table = next(b for s in edition.sections if s.name == "by_use_case" for b in s.blocks if isinstance(b, Table))
    names = [row.cells[0].en for row in table.rows]  # type: ignore[union-attr]
    uses = [name for name in names if not name.startswith("(")]
    behind = [name for name in uses if name in hidden]
    assert uses[-len(behind) :] == sorted(behind)  # after those that are shown, by name: a rank would tell
    assert any(isinstance(b, Chart) for s in edition.sections if s.name == "by_use_case" for b in s.blocks)


def test_the_box_says_the_rule_and_how_much_is_hidden(office: Office) -> None:
    config, store, _ = office
    draft = draft_edition(store, config, "2026-Q3", NOW_US)
    box = draft.data.suppression
    assert box is not None
    assert (box.min_users, box.primary >= 1, box.secondary >= 1) == (5, True, True)
    (section,) = (section for section in draft.edition.sections if section.name == "confidentiality")
    sentences = [s.text.en for block in section.blocks if isinstance(block, Paragraphs) for s in block.sentences]
    assert any("at least 5 distinct persons" in sentence for sentence in sentences)


def test_without_counts_of_users_no_use_is_shown(office: Office) -> None:
    """Nobody told how many there were: unknown is hidden."""
    config, store, _ = office
    with store.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users")
    edition = draft_edition(store, config, "2026-Q3", NOW_US).edition
    by_use = [f for f in edition.figures if "use_case" in dict(f.where) and not dict(f.where)["use_case"].startswith("(")]
    assert by_use
    assert all(f.conf_status == "C" and f.value is None for f in by_use)
    assert edition.figure(edition.coverage).value is not None


def test_what_no_user_can_have_is_unknown_where_it_is_not_and_no_secret(office: Office) -> None:
    config, store, _ = office
    hidden = draft_edition(store, config, "2026-Q3", NOW_US).data.is_confidential
    rows = {row["use_case"] for row in run_query(store, config, Query(group=("use_case",)), NOW_US).rows}
    assert "(unattributed)" not in rows
    assert not hidden((("use_case", "(unattributed)"),), "2026-Q3")
    assert not hidden((("use_case", "(idle)"),), "2026-Q3")
    assert hidden((("use_case", "nobody declared it"),), "2026-Q3")
    assert hidden((("use_case", "(unattributed)"),), "2027-Q1")  # on which nobody decided
    assert hidden((("service", "chat"), ("use_case", "(unattributed)")), "2026-Q3")
