"""Numbers as readers write them, and a page for every state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from dashboards.numbers import energy_unit, interval, number, percent
from dashboards.pages import overview
from dashboards.words import _WORDS, say
from footprint.querying import Answer, Question
from tests.walk import NOW_US, config


def test_numbers_follow_the_language() -> None:
    assert number(1234.6, "fr") == "1\u202f235"
    assert number(1234.6, "en") == "1,235"
    assert number(0.8123, "fr") == "0,812"
    assert interval(1.5, 2, "en") == "[1.5, 2]"
    assert percent(0.99999, "en") == "99.9%"
    assert energy_unit(0.0005) == (1e-6, "mWh")


@given(st.floats(1e-9, 1e9))
def test_three_digits_are_within_half_a_percent(value: float) -> None:
    shown = float(number(value, "en").replace(",", "") or 0)
    assert shown == pytest.approx(value, rel=0.006, abs=1e-12)


def test_every_sentence_exists_in_both_languages() -> None:
    assert all(len(pair) == 2 and all(pair) for pair in _WORDS.values())
    assert say("fr", "assumed-pue").count("\u00a0") >= 1


def test_a_page_without_data_says_what_is_awaited_and_one_without_store_stays() -> None:
    empty = overview.content(config(), lambda question: Answer([], []), NOW_US, "en", "all", "active")
    assert "No reading yet" in str(empty)

    def away(question: Question) -> Answer:
        raise OperationalError("SELECT", {}, Exception("gone"))

    assert "does not answer" in str(overview.content(config(), away, NOW_US, "en", "all", "active"))


def test_a_period_that_reaches_before_the_first_reading_expects_nothing_there() -> None:
    asked: list[Question] = []

    def ask(question: Question) -> Answer:
        asked.append(question)
        return Answer([], [])

    overview.content(config(), ask, NOW_US, "fr", "30d", "active")
    assert [question.from_us for question in asked] == [None]


def test_a_range_without_a_value_is_drawn_as_a_range() -> None:
    from dashboards.cards import bars

    known = {"use_case": "drafting", "energy_kwh": 2.0, "energy_low_kwh": 1.5, "energy_high_kwh": 2.5, "quality": "B"}
    ranged = {"use_case": "counted", "energy_kwh": None, "energy_low_kwh": 0.0, "energy_high_kwh": 5.0, "quality": "C"}
    nothing = {"use_case": "unread", "energy_kwh": None, "energy_low_kwh": None, "energy_high_kwh": None, "quality": None}
    drawn = str(bars([known, ranged, nothing], "use_case", "en", "/x", "By use case"))
    assert "[0, 5]" in drawn
    assert drawn.count("unknown") == 2
    assert "'width': '100.00%'" in drawn
    assert "'width': '40.00%'" in drawn


def test_a_period_not_yet_over_is_drawn_apart_and_nothing_is_drawn_for_what_was_not_read() -> None:
    from dashboards.figures import trend

    days = ["2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z", "2026-07-03T00:00:00Z", "2026-07-04T00:00:00Z", "2026-07-04T05:00:00Z"]
    energies = [3.0, None, 2.0, 0.5]
    rows = [
        {"period_start": a, "period_end": b, "energy_kwh": e, "energy_low_kwh": e and e / 2, "energy_high_kwh": e and e * 2}
        for a, b, e in zip(days, days[1:], energies, strict=False)
    ]
    figure = trend(rows, 1.0, "kWh", config().timezone, "en")
    assert list(figure.data[-1].y) == [3.0, None, 2.0, None]
    assert list(figure.data[-2].y) == [None, None, 2.0, 0.5]
