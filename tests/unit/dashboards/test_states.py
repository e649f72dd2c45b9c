"""States of a page: stale, partial, unknown, failing card, demonstration, first load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dashboards.app import PAGES, _layout, render_page
from dashboards.layout import skeleton
from dashboards.pages import overview
from dashboards.url_state import PageContext, UrlState
from footprint.config import Config
from footprint.figures import Query, run_query
from footprint.storage.database import Store
from tests.support.contract_files import NOW_US, START, import_files, compute, config, energy_lines, request_lines

DAY_US = 86_400_000_000


@pytest.fixture
def walked(sqlite: Store, tmp_path: Path) -> Store:
    """Three hours, then two days of silence, then three hours."""
    first, later = (energy_lines(begin, 3 * 3600, 60) for begin in (START, START + 2 * 86_400))
    import_files(sqlite, config(), tmp_path, first + later[1:], request_lines(START, 3 * 3600, 60))
    compute(sqlite, config())
    return sqlite


def shown(store: Store, path: str = "/", search: str = "?period=all", facts: Config | None = None, now_us: int = NOW_US) -> str:
    used = facts or config()

    def ask(question: Query) -> Any:
        return run_query(store, used, question, now_us)

    return str(render_page(PageContext(used, store, ask, now_us, UrlState.parse(path, search, "en"))))


def test_a_period_that_goes_on_without_readings_is_stale_and_its_figures_stay(walked: Store) -> None:
    page = shown(walked)
    assert "nothing has arrived since" in page
    assert "className='figure'" in page
    assert "nothing has arrived since" not in shown(walked, now_us=(START + 2 * 86_400 + 3 * 3600) * 1_000_000)


def test_a_partly_measured_period_names_its_missing_days(walked: Store) -> None:
    page = shown(walked)
    assert "cell missing" in page
    assert "Readings of a are missing" in page
    assert "[x]" in page


def test_a_period_without_readings_links_to_the_last_reading(walked: Store) -> None:
    page = shown(walked, search="?period=2026-01")
    assert "No reading in this period" in page
    assert "period=all" in page
    assert "footprint doctor" in page
    assert "className='figure'" not in page


def test_a_failing_card_leaves_the_others_and_offers_a_retry(walked: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("of ours")

    monkeypatch.setattr(overview, "calendar_card", broken)
    page = shown(walked)
    assert "block failed" in page
    assert "Try again" in page
    assert "of ours" not in page
    assert "flows-card" in page
    assert "className='figure'" in page


def test_a_demonstration_is_marked_on_pages_and_pictures(walked: Store) -> None:
    simulated = replace(config(), demo=True)
    assert "data-demo='DEMONSTRATION'" in shown(walked, facts=simulated)
    assert "data-demo=''" in shown(walked)
    assert "simulated organisation" in str(_layout(simulated, "en"))
    assert "simulated organisation" not in str(_layout(config(), "en"))


def test_the_skeleton_is_busy_and_has_placeholders(walked: Store) -> None:
    page = str(skeleton("en"))
    assert "aria-busy" in page
    assert page.count("height") >= 4
    assert "Reading the figures" in page


def test_no_page_draws_a_chart_outside_a_card(walked: Store) -> None:
    def bare(node: Any, *, inside: bool) -> list[str]:
        kind = type(node).__name__
        within = inside or (kind == "Section" and "block" in str(getattr(node, "className", "")))
        if kind == "Graph" and not within:
            return [kind]
        children = getattr(node, "children", node if isinstance(node, list) else [])
        return [found for each in (children if isinstance(children, list) else [children]) for found in bare_of(each, within)]

    def bare_of(node: Any, within: bool) -> list[str]:
        return [] if node is None or isinstance(node, str | int | float) else bare(node, inside=within)

    def ask(question: Query) -> Any:
        return run_query(walked, config(), question, NOW_US)

    for path in PAGES:
        page = render_page(PageContext(config(), walked, ask, NOW_US, UrlState.parse(path, "?period=all", "en")))
        assert bare(page, inside=False) == [], path
