"""Building an edition: figures as in the ledger, sentences with their evidence, nothing without data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from footprint.calendar.periods import parse_period
from footprint.config import Config
from footprint.editions.builder import build
from footprint.editions.collect import NoData, collect_data
from footprint.editions.document import Chart, Edition, FigureMark, Paragraphs, Ref, Sentence, Table, Waterfall
from footprint.editions.edition_data import EditionData
from footprint.editions.release_context import ReleaseContext
from footprint.editions.sections.main_points import is_measurable
from footprint.editions.serialization import from_json, to_json
from footprint.figures import Query, run_query
from footprint.storage.database import Store
from tests.support.quarters import instant

NOW_US = instant("2026-10-12")


@pytest.fixture(scope="module")
def data(office_template: Path) -> EditionData:
    from footprint.config import load_config

    config = load_config(str(office_template / "footprint.toml"))
    return collect_data(Store(config.store_url), config, ReleaseContext("2026-09"), NOW_US)


@pytest.fixture(scope="module")
def edition(data: EditionData) -> Edition:
    return build(data)[0]


def section(edition: Edition, name: str):  # type: ignore[no-untyped-def]
    return next(part for part in edition.sections if part.name == name)


def every_sentence(edition: Edition) -> list[Sentence]:
    return [
        edition.headline,
        *(
            sentence
            for part in edition.sections
            for block in part.blocks
            if isinstance(block, Paragraphs)
            for sentence in block.sentences
        ),
    ]


def test_a_figure_is_what_its_question_answers(office: tuple[Config, Store, Path]) -> None:
    """Every level that names a column of query is that column of the row of its question, to the last bit."""
    config, store, _ = office
    edition = build(collect_data(store, config, ReleaseContext("2026-09"), NOW_US))[0]
    checked = 0
    for figure in edition.figures:
        names = {name for name, _ in figure.where}
        if (
            figure.kind not in ("level", "count")
            or figure.indicator not in ("energy_kwh", "requests", "output_tokens")
            or figure.value is None
            or names - {"use_case", "charter"}
        ):
            continue
        start, end = parse_period(figure.period).bounds_us(config.timezone)
        rows = run_query(
            store, config, Query(group=tuple(sorted(names)), from_us=start, to_us=end, where=figure.where), NOW_US
        ).rows
        assert [row[figure.indicator] for row in rows] == [figure.value], figure
        checked += 1
    assert checked > 20


def test_figures_have_one_id_each_and_every_reference_is_one(edition: Edition) -> None:
    ids = [figure.id for figure in edition.figures]
    assert len(set(ids)) == len(ids)
    assert all(each.startswith("F-202609-") for each in ids)
    cited = {ref.figure for sentence in every_sentence(edition) for ref in sentence.refs.values()}
    cited |= {id_ for sentence in every_sentence(edition) for id_ in sentence.evidence}
    for each in edition.sections:
        cited |= set(each.figures)
        for block in each.blocks:
            if isinstance(block, Table):
                assert all(len(row.cells) == len(block.columns) for row in block.rows), block.name
                cited |= {cell.figure for row in block.rows for cell in row.cells if isinstance(cell, Ref)}
    assert cited | {edition.coverage} <= set(ids)


def test_sentences_name_their_figures_in_both_languages(edition: Edition) -> None:
    for sentence in every_sentence(edition):
        for language in ("fr", "en"):
            text = sentence.text.in_(language)
            assert text
            assert all(f"{{{name}}}" in text for name in sentence.refs), text
            assert text.count("{") == len(sentence.refs), text


def test_main_points_are_at_most_five_and_claim_only_what_intervals_bear(edition: Edition, data: EditionData) -> None:
    points = section(edition, "points").blocks[0].sentences
    assert 3 <= len(points) <= 5
    energy = next(f for f in edition.figures if f.indicator == "energy_kwh" and f.kind == "change" and not f.where)
    assert is_measurable(energy)
    assert "augmenté" in edition.headline.text.fr
    # The same with a change that is not measurable: requests say what is sure.
    before = data.totals["2026-08"]
    narrow = replace(data, totals={**data.totals, "2026-09": before})
    headline = build(narrow)[0].headline.text
    assert headline.fr == "La consommation n’a pas mesurablement changé"
    assert "measurably" in headline.en
    # Without anything to compare with, no sentence compares.
    alone = build(replace(data, totals={"2026-09": data.current}))[0]
    assert all(
        "par rapport" not in sentence.text.fr and "écart" not in sentence.text.fr
        for sentence in section(alone, "points").blocks[0].sentences
    )
    assert section(alone, "key_figures").blocks[0].rows[0].cells[5] == FigureMark("x")


def test_the_bars_sum_to_the_change(edition: Edition) -> None:
    chart = next(b for b in section(edition, "decomposition").blocks if isinstance(b, Chart))
    drawing = chart.drawing
    assert isinstance(drawing, Waterfall)
    bars = [edition.figure(effect.figure).value for effect in drawing.effects]
    ends = [edition.figure(effect.figure).value for effect in (drawing.before, drawing.after)]
    assert None not in bars + ends
    assert sum(bars) == pytest.approx(ends[1] - ends[0], abs=1e-9)  # type: ignore[arg-type, operator]
    assert {effect.label.en for effect in drawing.effects} >= {"Volume", "Efficiency", "Idle"}


def test_idle_is_a_row_and_what_does_not_apply_is_marked(edition: Edition) -> None:
    rows = {
        row.cells[0].en: row for block in section(edition, "by_use_case").blocks if isinstance(block, Table) for row in block.rows
    }
    assert rows["(idle)"].look == "apart"
    assert rows["(idle)"].cells[1:3] == (FigureMark("z"), FigureMark("z"))
    assert list(rows)[:2] == ["coding", "drafting"]


def test_written_and_read_again_it_is_the_same(edition: Edition) -> None:
    raw = to_json(edition)
    assert from_json(raw) == edition
    assert to_json(from_json(raw)) == raw
    assert json.loads(raw)["schema_version"] == "1"


def test_hardly_covered_is_not_published(data: EditionData) -> None:
    """Below 80 % a figure is flagged, below half it has no value anywhere."""

    def covered(share: float) -> Edition:
        row = {**data.current.row, "coverage": share}
        return build(replace(data, totals={**data.totals, "2026-09": replace(data.current, row=row)}))[0]

    flagged = next(f for f in covered(0.7).figures if f.indicator == "energy_kwh" and f.period == "2026-09" and not f.where)
    assert (flagged.flags, flagged.obs_status, flagged.value is None) == (("u",), "U", False)
    hidden = covered(0.4)
    lacking = next(
        f for f in hidden.figures if f.indicator == "energy_kwh" and f.period == "2026-09" and not f.where and f.kind == "level"
    )
    assert (lacking.value, lacking.flags, lacking.obs_status) == (None, ("x",), "M")
    assert section(hidden, "points").blocks[0].sentences == ()
    assert hidden.headline.text.fr == "Empreinte des services d’IA"


def test_a_confidential_cell_has_no_value_in_any_figure(data: EditionData) -> None:
    """Nor in its share, its change or its requests; the mark stands in its place."""
    hidden = replace(data, is_confidential=lambda where, period: ("use_case", "drafting") in where)
    edition = build(hidden)[0]
    confidential = [f for f in edition.figures if ("use_case", "drafting") in f.where]
    assert len(confidential) >= 5
    assert all(
        f.value is None and f.low is None and f.conf_status == "C" and f.flags == ("c",) and f.coverage is None
        for f in confidential
    )
    counted = next(f for f in edition.figures if f.indicator == "confidential_cells")
    assert counted.value == sum(f.conf_status == "C" for f in edition.figures if f.id != counted.id)
    before = build(data)[0]
    shown = next(
        f.value
        for f in before.figures
        if f.where == (("use_case", "drafting"),) and f.indicator == "energy_kwh" and f.kind == "level"
    )
    assert json.dumps(shown) in to_json(before).decode()
    assert json.dumps(shown) not in to_json(edition).decode()


def test_ids_stay_from_version_to_version(data: EditionData) -> None:
    """A key that was numbered keeps its number, whatever else comes in between."""
    first, registry = build(data)
    later, again = build(
        replace(
            data,
            context=replace(data.context, version=2, numbers=registry.numbers()),
            uses={period: {**rows, ("new use",): next(iter(rows.values()))} for period, rows in data.uses.items()},
        )
    )
    ids = {key: figure.id for key, figure in registry.by_key().items()}
    now = again.by_key()
    assert all(now[key].id == identity for key, identity in ids.items() if key in now)
    assert len(later.figures) > len(first.figures)


def test_nothing_known_is_no_edition(office: tuple[Config, Store, Path]) -> None:
    config, store, _ = office
    with pytest.raises(NoData, match="no data in 2025-Q1"):
        collect_data(store, config, ReleaseContext("2025-Q1"), NOW_US)


def test_few_questions(office: tuple[Config, Store, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """One edition asks the ledger a dozen questions, however many uses there are."""
    import footprint.editions.collect as module

    config, store, _ = office
    queries = []
    true = module.open_result
    monkeypatch.setattr(module, "open_result", lambda *arguments, **named: queries.append(arguments) or true(*arguments, **named))
    collect_data(store, config, ReleaseContext("2026-09"), NOW_US)
    assert len(queries) <= 10


def test_a_period_of_which_a_day_was_read_explains_no_change(office: tuple[Config, Store, Path], edition: Edition) -> None:
    config, store, _ = office
    august = build(collect_data(store, config, ReleaseContext("2026-08"), NOW_US))[0]
    assert "decomposition" in {part.name for part in edition.sections}
    assert "decomposition" not in {part.name for part in august.sections}
