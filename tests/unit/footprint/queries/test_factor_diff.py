"""What one bundle of factors changes against another is told by kind, place and date, with the figures that it moves."""

from __future__ import annotations

import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from dash.html import Section
from hypothesis import given
from hypothesis import strategies as st

from dashboards.pages.methods import bundle_diff_card
from footprint.aggregation.basis_lookup import IMPACT_KINDS
from footprint.core.timestamps import from_datetime
from footprint.figures.query import BadQuery
from footprint.impact.factor_book import Factor, FactorBook, MissingFactor, shipped_book
from footprint.ledger.factor_store import import_factors, load_factor_book
from footprint.queries.factor_diff import affected_figures, book_as_of, bundle_differences, bundles_of, factor_changes
from footprint.storage.database import Store
from tests.support.components import elements, hrefs, page_context, text_of
from tests.support.contract_files import NOW_US, config
from tests.support.services import api_over, local_client

HEADER = "kind,where,valid_from,valid_to,value,low,high,unit,scope,source,licence,retrieved"
DAY = datetime.date(2026, 1, 1)


def factor(
    value: float, start: int = 0, end: int | None = None, *, bundle: str = "a", imported: int = 0, where: str = "FR"
) -> Factor:
    until = None if end is None else DAY + datetime.timedelta(days=end)
    return Factor(
        "carbon_intensity",
        where,
        DAY + datetime.timedelta(days=start),
        until,
        value,
        None,
        None,
        "g/kWh",
        "",
        "s",
        "l",
        "",
        bundle,
        imported,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(f"sqlite:///{tmp_path}/factors.db", demo=False)
    lines = {
        "first": 'carbon_intensity,FR,2026-01-01,,50,40,60,g/kWh,operational,"RTE, Bilan électrique 2025",Licence Ouverte 2.0,2026-02-01',
        "second": "carbon_intensity,FR,2026-07-01,,45,,,g/kWh,operational,s,l,2026-08-01\nadpe,DE,2026-07-01,,1e-8,,,kgSb/kWh,operational,s,l,2026-08-01",
    }
    for number, (name, text) in enumerate(lines.items(), 1):
        (tmp_path / f"{name}.csv").write_text(f"{HEADER}\n{text}\n", encoding="utf-8")
        import_factors(made, str(tmp_path / f"{name}.csv"), name, number)
    return made


def test_each_change_has_both_values_their_sources_and_the_figures_that_it_moves(store: Store) -> None:
    book = load_factor_book(store)
    shipped = shipped_book().factors[0].bundle
    assert bundles_of(book) == (shipped, "first", "second")
    (row,) = [
        row for row in bundle_differences(book, config(), shipped, "first") if row["where"] == "FR" and row["valid_to"] is None
    ]
    assert (row["kind"], row["value_after"], row["bundle_after"], row["source_after"]) == (
        "carbon_intensity",
        50.0,
        "first",
        "RTE, Bilan électrique 2025",
    )
    assert (row["bundle_before"], row["figures"]) == (shipped, "co2e_location_g sci_g_per_request")
    assert row["change"] == pytest.approx(50.0 / row["value_before"] - 1)
    later = {row["where"]: row for row in bundle_differences(book, config(), "first", "second")}
    assert (later["FR"]["valid_from"], later["FR"]["value_before"], later["FR"]["value_after"], later["FR"]["change"]) == (
        "2026-07-01",
        50.0,
        45.0,
        pytest.approx(-0.1),
    )
    assert later["DE"]["figures"] == "adpe_kgsb"
    assert bundle_differences(book, config(), "second", "second") == []


def test_a_bundle_that_nobody_knows_is_refused_with_those_there_are(store: Store) -> None:
    with pytest.raises(BadQuery, match=r"no bundle of factors 'third'; there are .*first, second"):
        book_as_of(load_factor_book(store), "third")


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20), st.integers(1, 4)), max_size=4),
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20), st.integers(1, 4)), max_size=4),
)
def test_outside_of_what_is_told_both_books_hold_the_same_and_inside_they_do_not(
    old: list[tuple[int, int, int]], new: list[tuple[int, int, int]]
) -> None:
    first = [factor(value, start, start + length) for start, length, value in old]
    second = [factor(value, start, start + length, bundle="b", imported=1 + n) for n, (start, length, value) in enumerate(new)]
    before, after = FactorBook(first), FactorBook([*first, *second])
    told = list(factor_changes(before, after))
    assert all(one.valid_to is not None and one.valid_to <= other.valid_from for one, other in pairwise(told))
    for offset in range(45):
        day = DAY + datetime.timedelta(days=offset)
        held = [_value(book, day) for book in (before, after)]
        (*inside,) = [each for each in told if each.valid_from <= day and (each.valid_to is None or day < each.valid_to)]
        assert bool(inside) == (held[0] != held[1]), day
        if inside:
            assert [each and each.value for each in (inside[0].before, inside[0].after)] == held


def _value(book: FactorBook, day: datetime.date) -> float | None:
    zone = config().timezone
    try:
        return book.find(
            "carbon_intensity", "FR", from_datetime(datetime.datetime(day.year, day.month, day.day, 12, tzinfo=zone)), zone
        ).value
    except MissingFactor:
        return None


def test_every_kind_that_a_figure_is_made_of_moves_one() -> None:
    assert all(affected_figures(kind, config()) for kind in (*IMPACT_KINDS, config().electricity, "embodied_server"))
    assert affected_figures("carbon_intensity_boavizta", config()) == ()


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_page_shows_it_and_offers_any_two(store: Store, language: str) -> None:
    def card_of(search: str, book: FactorBook) -> Section:
        return bundle_diff_card(page_context(store, config(), "/methods", f"?lang={language}{search}", language), book)

    def shown(search: str, book: FactorBook) -> str:
        return text_of(card_of(search, book))

    book = load_factor_book(store)
    said = shown("", book)
    assert {"fr": "Du lot first au lot second", "en": "From bundle first to bundle second"}[language] in said
    assert "50" in said
    assert {"fr": "Facteurs d’autres zones qui diffèrent", "en": "Factors of other zones that differ"}[
        language
    ] in said  # adpe of DE
    assert any("before=first&after=second" in address for address in hrefs(card_of("", book)))
    earlier = card_of("&after=first", book)
    assert "Bilan électrique" in text_of(earlier)
    assert bool(elements(earlier, lang="fr")) is (language == "en")
    assert {"fr": "Aucun facteur de ces zones", "en": "No factor of these zones"}[language] in shown(
        "&before=second&after=second", book
    )
    assert {"fr": "Un seul lot", "en": "One bundle"}[language] in shown("", shipped_book())
    assert {"fr": "Du lot first au lot second", "en": "From bundle first to bundle second"}[language] in shown(
        "&before=nobody&after=knows", book
    )


def test_the_same_stands_at_the_api(store: Store) -> None:
    client = local_client(api_over(store, config(), lambda: NOW_US))
    rows = client.get("/api/v1/tables/bundles").json()["rows"]
    assert rows == bundle_differences(load_factor_book(store), config(), "first", "second")
    assert client.get("/api/v1/tables/bundles?before=nobody").status_code == 400
    assert client.get("/api/v1/tables/bundles?format=csv").text.startswith("kind,where,valid_from")
