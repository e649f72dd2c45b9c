"""Numbers as readers write them, and a page for every state."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from dashboards.answers import DataVersion, TtlCache
from dashboards.components import error_boundary, has_failed
from dashboards.page_shell import PAGES
from dashboards.translations import catalogue, translate
from dashboards.url_state import PageContext, UrlState
from footprint.access import Role
from footprint.config import ConfigError
from footprint.figures import Query, QueryResult, run_query
from footprint.i18n.formatting import energy_unit, format_change, format_estimate, format_interval, format_number, format_percent
from footprint.ledger.importers import import_requests
from footprint.storage.database import Store
from tests.support.components import elements, page_context, page_text, render_page, text_of, texts_of
from tests.support.contract_files import (
    CONFIG,
    DAY_S,
    NOW_US,
    START,
    compute,
    config,
    energy_lines,
    import_files,
    request_lines,
    write,
)

INTERVAL = r"\[[\d.,\s]+(?:to|;)\s[\d.,\s]+\]"


def test_numbers_follow_the_language() -> None:
    assert format_number(1234.6, "fr") == "1\u202f235"
    assert format_number(1234.6, "en") == "1,235"
    assert format_number(0.8123, "fr") == "0,812"
    assert format_interval(1.5, 2, "en") == "[1.5\u00a0to\u00a02]"
    assert format_percent(0.99999, "en") == "99.9%"
    assert energy_unit(0.0005) == (1e-6, "mWh")
    assert (format_change(-0.04, "fr"), format_change(0.22, "en")) == ("\u22124\u202f%", "+22%")


@given(st.floats(1e-9, 1e9))
def test_three_digits_are_within_half_a_percent(value: float) -> None:
    shown = float(format_number(value, "en").replace(",", "") or 0)
    assert shown == pytest.approx(value, rel=0.006, abs=1e-12)


def test_every_text_exists_in_both_languages_with_the_same_placeholders() -> None:
    french, english = catalogue("fr"), catalogue("en")
    assert set(french) == set(english)
    for key, text in french.items():
        assert text, key
        assert english[key], key
        assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", english[key])), key
    assert translate("fr", "assumed-pue").count("\u00a0") >= 1


def context_of(ask: Callable[[Query], QueryResult], path: str = "/") -> PageContext:
    """Context of a page whose queries are answered by ``ask``, without a store."""
    return PageContext(config(), None, ask, NOW_US, UrlState.parse(path, "", "en"), role=Role.ADMINISTRATOR)


def test_pages_without_data_show_first_steps_and_without_store_an_error() -> None:
    def away(question: Query) -> QueryResult:
        raise OperationalError("SELECT", {}, Exception("gone"))

    for path in PAGES:
        empty = render_page(context_of(lambda question: QueryResult([], []), path))
        assert "Overview" in text_of(empty)
        assert "0" not in texts_of(empty)
    first = text_of(render_page(context_of(lambda question: QueryResult([], []))))
    assert "No reading yet" in first
    assert all(command in first for command in ("footprint doctor", "footprint-agent run", "footprint import requests"))
    assert "does not answer" in text_of(render_page(context_of(away)))
    assert "no such page" in text_of(render_page(context_of(away, "/nowhere")))


def test_a_failing_card_shows_an_error_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    here = context_of(lambda question: QueryResult([], []))

    def broken() -> object:
        raise ValueError("a bug of ours")

    text = text_of(error_boundary(broken, here))
    assert "the others stay" in text
    assert "a bug of ours" not in text
    assert "a bug of ours" in caplog.text


def test_an_address_that_asks_for_no_possible_period_gives_the_reason_and_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    here = context_of(lambda question: QueryResult([], []))
    section = error_boundary(lambda: Query(from_us=2, to_us=1), here)
    assert "from must be before to" in text_of(section)
    assert not has_failed(section)
    assert caplog.text == ""


@pytest.fixture
def walked(sqlite: Store, tmp_path: Path) -> Store:
    import_files(sqlite, config(), tmp_path, energy_lines(START, 3 * 86_400, 60), request_lines(START, 3 * 86_400, 400))
    compute(sqlite, config())
    return sqlite


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_page_shows_figures_with_their_intervals(walked: Store, language: str) -> None:
    def shown_at(path: str, search: str) -> str:
        return page_text(walked, config(), path, search, language)

    search = "?period=2026-Q3"
    for path in PAGES:
        shown = shown_at(path, search)
        assert "card_failed" not in shown
        assert translate(language, "card_failed", error="")[:20] not in shown, path
        if path not in ("/help", "/editions", "/methods", "/readings", "/compare", "/access", "/quality", "/sensors"):
            assert re.search(INTERVAL, shown), path
    for path, name in (("/services", "chat"), ("/use-cases", "drafting"), ("/hosts", "a"), ("/models", "m1")):
        (headline,) = elements(render_page(page_context(walked, config(), path, f"{search}&name={name}", language)), "H1")
        assert text_of(headline) == name
    assert "raw" in page_text(walked, config(), "/readings", f"?of=a&device=gpu:0&day={DAY_S // 86400}").lower()
    assert translate(language, "entity_none") in shown_at("/services", "?name=nobody")


def test_pages_show_the_figures_of_the_command_line(walked: Store) -> None:
    row = run_query(walked, config(), Query(group=("use_case",)), NOW_US).rows[0]
    shown = page_text(walked, config(), "/use-cases", "?period=all")
    size, _ = energy_unit(max(r["energy_kwh"] for r in run_query(walked, config(), Query(group=("use_case",)), NOW_US).rows))
    written = format_estimate(row["energy_kwh"] / size, row["energy_low_kwh"] / size, row["energy_high_kwh"] / size, "en")
    assert written.value in shown
    assert written.interval in shown


def test_a_comparison_is_as_wide_as_its_interval(walked: Store) -> None:
    shown = page_text(walked, config(), "/compare", "?period=all&kind=use_case&a=drafting&b=coding")
    assert "no measurable difference" in shown or "times the energy of" in shown
    assert "Output tokens per request" in shown


def test_an_interval_without_a_value_is_drawn_as_an_interval() -> None:
    from dashboards.parts.ranked_bars import ranked_bars_card

    known = {"use_case": "drafting", "energy_kwh": 2.0, "energy_low_kwh": 1.5, "energy_high_kwh": 2.5, "quality": "B"}
    ranged = {"use_case": "counted", "energy_kwh": None, "energy_low_kwh": 0.0, "energy_high_kwh": 5.0, "quality": "C"}
    nothing = {"use_case": "unread", "energy_kwh": None, "energy_low_kwh": None, "energy_high_kwh": None, "quality": None}
    card = ranked_bars_card([known, ranged, nothing], "use_case", "en", [], "By use case")
    texts = texts_of(card)
    assert texts.count("[0\u00a0to\u00a05]") == 2  # as bars and as a table
    assert sum(text.count("[x]") for text in texts) == 4
    assert [bar.style["width"] for bar in elements(card, css_class="bar")] == ["40.00%", "0.00%"]
    assert [whisker.style["width"] for whisker in elements(card, css_class="whisker")] == ["20.00%", "100.00%"]


def test_open_periods_are_dashed_and_periods_without_readings_are_gaps() -> None:
    from dashboards.plotly_figures import trend_figure

    days = [
        "2026-07-01T00:00:00Z",
        "2026-07-02T00:00:00Z",
        "2026-07-03T00:00:00Z",
        "2026-07-04T00:00:00Z",
        "2026-07-04T05:00:00Z",
    ]
    energies = [3.0, None, 2.0, 0.5]
    rows = [
        {"period_start": a, "period_end": b, "energy_kwh": e, "energy_low_kwh": e and e / 2, "energy_high_kwh": e and e * 2}
        for a, b, e in zip(days, days[1:], energies, strict=False)
    ]
    figure = trend_figure(rows, 1.0, "kWh", config().timezone, "en")
    assert list(figure.data[-2].y) == [3.0, None, 2.0, None]
    assert list(figure.data[-1].y) == [None, None, 2.0, 0.5]
    assert [shape.fillcolor for shape in figure.layout.shapes] == ["#F3F1EB"]
    assert any("[x]" in note.text for note in figure.layout.annotations)
    texts = [note.text for note in figure.layout.annotations]
    assert any(text.startswith("0.50") for text in texts)
    assert any("provisional" in text for text in texts)


def test_annotations_are_shown_at_their_time(walked: Store) -> None:
    text = (
        CONFIG
        + """
[[annotation]]
at = "2026-07-02"
text = "model upgraded"
service = "chat"
[[annotation]]
at = "2026-07-02T10:00:00Z"
text = "cooling failed"
[[annotation]]
at = "2027-01-01"
text = "not yet"
"""
    )
    facts = config(text)

    everything = page_text(walked, facts, "/", "?period=all")
    assert "1. 2 Jul 2026 00:00 : model upgraded" in everything
    assert "2. 2 Jul 2026 12:00 : cooling failed" in everything
    assert "not yet" not in everything
    with pytest.raises(ConfigError, match="an annotation needs at"):
        config('[[annotation]]\ntext = "when?"\n')


def test_query_results_are_cached_until_figures_change_or_a_minute_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    now, state, asked = [100.0], ["one"], []
    monkeypatch.setattr("dashboards.answers.time.monotonic", lambda: now[0])

    def ask(question: Query) -> QueryResult:
        asked.append(question)
        return QueryResult([], [])

    remembered = TtlCache(ask, DataVersion(lambda: state[0]))
    for _ in range(20):
        remembered(Query())
    assert len(asked) == 1
    remembered(Query(every="day"))
    assert len(asked) == 2
    state[0] = "two"
    now[0] += 2
    remembered(Query())
    assert len(asked) == 3
    now[0] += 61
    remembered(Query())
    assert len(asked) == 4


def test_requests_without_readings_are_not_shown_as_zero_energy(sqlite: Store, tmp_path: Path) -> None:
    import_requests(sqlite, config(), write(tmp_path / "r.csv", request_lines(START, 7200, 20)), NOW_US)
    compute(sqlite, config())
    for language, headline in (("en", "20 requests, and no energy was read"), ("fr", "20 requêtes, et aucune énergie relevée")):
        for path in ("/", "/services?name=chat"):
            page, _, search = path.partition("?")
            shown = page_text(sqlite, config(), page, f"?period=all&{search}", language)
            assert "0 mWh" not in shown.replace("\u00a0", " ")
            if page == "/":
                assert headline in shown


def test_causes_of_uncertainty_are_translated(walked: Store) -> None:
    shown = page_text(walked, config(), "/quality", "?period=all", "fr")
    assert "Étalonnage des capteurs, GPU" in shown
    assert "cause_" not in shown


def test_a_page_is_rendered_once_until_figures_change() -> None:
    made: list[str] = []
    state = [0]
    pages: TtlCache[str, str] = TtlCache(lambda key: made.append(key) or f"{key}{len(made)}", lambda: state[0], 2)  # type: ignore[func-returns-value]
    assert [pages("a"), pages("a"), pages("b")] == ["a1", "a1", "b2"]
    state[0] = 1
    assert pages("a") == "a3"
    assert [pages("c"), pages("a"), pages("d"), pages("a")] == ["c4", "a3", "d5", "a6"]  # two at most are kept


def test_values_that_should_not_be_cached_are_computed_again() -> None:
    made: list[str] = []
    pages: TtlCache[str, str] = TtlCache(lambda key: made.append(key) or "away", lambda: 0, 2, lambda found: found != "away")  # type: ignore[func-returns-value]
    assert [pages("a"), pages("a")] == ["away", "away"]
    assert made == ["a", "a"]
