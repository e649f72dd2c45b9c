"""The address of a page is its whole state: read, written the same way, and understood whatever stands in it."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.url_state import FILTERS, PERIODS, THEMES, VERSUS, VIEWS, UrlState
from footprint.calendar.slots import slot_length_us
from footprint.core.timestamps import format_instant, parse_instant
from tests.support.contract_files import config

NOW_US = parse_instant("2026-11-23T15:00:00Z")
FACTS = config()

_views = st.builds(
    UrlState,
    path=st.sampled_from(["/", "/services", "/compare"]),
    language=st.sampled_from(["fr", "en"]),
    theme=st.sampled_from(THEMES),
    period=st.sampled_from([*PERIODS, "2026-Q3", "2026-07", "2025"]),
    versus=st.sampled_from(VERSUS),
    view=st.sampled_from(VIEWS),
    filters=st.lists(st.tuples(st.sampled_from(FILTERS), st.text(min_size=1, max_size=9)), max_size=3, unique=True).map(
        lambda found: tuple(sorted(found, key=lambda each: FILTERS.index(each[0])))
    ),
)


@given(_views)
def test_a_view_comes_back_from_its_address(view: UrlState) -> None:
    parts = urlsplit(view.link())
    again = UrlState.parse(parts.path, parts.query, view.language)
    assert sorted(again.filters) == sorted(view.filters)
    assert (again.path, again.theme, again.period, again.versus, again.view) == (
        view.path,
        view.theme,
        view.period,
        view.versus,
        view.view,
    )
    assert again.link() == view.link()


@given(st.text(max_size=80))
def test_any_address_is_understood_somehow(search: str) -> None:
    view = UrlState.parse("/", search, "fr")
    assert view.period in PERIODS or view.period[:4].isdigit()
    view.bounds(FACTS, NOW_US)
    view.reference_bounds(FACTS, NOW_US)


@pytest.mark.parametrize(
    ("period", "begin", "end"),
    [
        ("2026-Q3", "2026-06-30T22:00:00Z", "2026-09-30T22:00:00Z"),
        ("2026-Q4", "2026-09-30T22:00:00Z", "2026-12-31T23:00:00Z"),
        ("2026-12", "2026-11-30T23:00:00Z", "2026-12-31T23:00:00Z"),
        ("2025", "2024-12-31T23:00:00Z", "2025-12-31T23:00:00Z"),
        ("today", "2026-11-22T23:00:00Z", None),
        ("quarter", "2026-09-30T22:00:00Z", None),
        ("all", None, None),
    ],
)
def test_periods_are_cut_at_midnights_of_the_organisation(period: str, begin: str | None, end: str | None) -> None:
    found = UrlState(period=period).bounds(FACTS, NOW_US)
    assert tuple(None if at is None else format_instant(at) for at in found) == (begin, end)


def test_a_period_is_compared_with_as_much_of_the_one_before() -> None:
    begin, _ = UrlState(period="7d").bounds(FACTS, NOW_US)
    assert begin is not None
    before = UrlState(period="7d").reference_bounds(FACTS, NOW_US)
    assert before is not None
    assert before[1] == begin
    assert before[1] - before[0] == NOW_US - begin
    year = UrlState(period="2026-Q3", versus="yoy").reference_bounds(FACTS, NOW_US)
    assert year is not None
    assert [format_instant(at) for at in year] == ["2025-06-30T22:00:00Z", "2025-09-30T22:00:00Z"]
    assert UrlState(period="all").reference_bounds(FACTS, NOW_US) is None
    assert UrlState(period="7d", versus="none").reference_bounds(FACTS, NOW_US) is None


def test_a_filter_is_changed_added_and_taken_away() -> None:
    view = UrlState(filters=(("service", "chat"),))
    assert "service=code" in view.link(service="code")
    assert "service=chat" not in view.link(service="code")
    assert view.link(service=None) == "/?lang=fr"
    assert "use_case=x" in view.link(use_case="x")
    assert "service=chat" in view.link(use_case="x")


@pytest.mark.parametrize(
    ("zone", "now", "begin", "end"),
    [
        ("Europe/Paris", "2026-11-23T15:20:07Z", "2026-11-22T09:00:00Z", "2026-11-23T16:00:00Z"),
        ("Asia/Kolkata", "2026-11-23T15:20:07Z", "2026-11-22T09:15:00Z", "2026-11-23T15:30:00Z"),
        ("Europe/Paris", "2026-11-23T15:00:00Z", "2026-11-22T09:00:00Z", "2026-11-23T15:00:00Z"),
    ],
)
def test_bounds_relative_to_now_are_rounded_outwards_to_whole_slots(zone: str, now: str, begin: str, end: str) -> None:
    facts, now_us = config(f'[organisation]\ntimezone = "{zone}"\n'), parse_instant(now)
    view = UrlState.parse("/", "?from=now-30h&to=now", "en")
    assert [format_instant(at) for at in view.bounds(facts, now_us)] == [begin, end]
    assert view.query(facts, now_us).to_us == (None if end > now else parse_instant(end))  # an end to come is open
    open_end = UrlState.parse("/", "?from=now-7d", "en")
    assert open_end.bounds(facts, now_us)[1] is None


@given(
    search=st.sampled_from(
        ["from=now-30h", "from=now-90m&to=now-20m", "from=now-5s", "period=7d", "period=today", "period=2026-Q4"]
    ),
    versus=st.sampled_from(VERSUS),
    zone=st.sampled_from(["Europe/Paris", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]),
    now_us=st.integers(parse_instant("2026-03-01T00:00:00Z"), parse_instant("2026-12-31T00:00:00Z")),
)
def test_every_bound_of_a_page_is_the_edge_of_a_slot(search: str, versus: str, zone: str, now_us: int) -> None:
    facts = config(f'[organisation]\ntimezone = "{zone}"\n')
    view = UrlState.parse("/", f"?{search}&vs={versus}", "en")
    bounds = [*view.bounds(facts, now_us), *(view.reference_bounds(facts, now_us) or ())]
    assert [at for at in bounds if at is not None and at % slot_length_us(facts.timezone)] == []
