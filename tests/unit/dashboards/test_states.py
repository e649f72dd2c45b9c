"""States of a page: stale, partial, unknown, failing card, demonstration, first load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dashboards.app import _layout
from dashboards.layout import skeleton
from dashboards.page_shell import PAGES
from dashboards.pages import overview
from footprint.config import Config
from footprint.storage.database import Store
from tests.support.components import elements, hrefs, page_context, render_page, text_of
from tests.support.contract_files import NOW_US, START, compute, config, energy_lines, import_files, request_lines

DAY_US = 86_400_000_000


@pytest.fixture
def walked(sqlite: Store, tmp_path: Path) -> Store:
    """Three hours, then two days of silence, then three hours."""
    first, later = (energy_lines(begin, 3 * 3600, 60) for begin in (START, START + 2 * 86_400))
    import_files(sqlite, config(), tmp_path, first + later[1:], request_lines(START, 3 * 3600, 60))
    compute(sqlite, config())
    return sqlite


def overview_page(store: Store, search: str = "?period=all", facts: Config | None = None, now_us: int = NOW_US) -> Any:
    return render_page(page_context(store, facts or config(), "/", search, now_us=now_us))


def test_a_period_that_goes_on_without_readings_is_stale_and_its_figures_stay(walked: Store) -> None:
    page = overview_page(walked)
    assert "nothing has arrived since" in text_of(page)
    assert elements(page, css_class="figure")
    fresh = overview_page(walked, now_us=(START + 2 * 86_400 + 3 * 3600) * 1_000_000)
    assert "nothing has arrived since" not in text_of(fresh)


def test_a_partly_measured_period_names_its_missing_days(walked: Store) -> None:
    page = overview_page(walked)
    assert any(cell in elements(page, css_class="missing") for cell in elements(page, css_class="cell"))
    assert "Readings of a are missing" in text_of(page)
    assert "[x]" in text_of(page)


def test_a_period_without_readings_links_to_the_last_reading(walked: Store) -> None:
    page = overview_page(walked, search="?period=2026-01")
    assert "No reading in this period" in text_of(page)
    assert any("period=all" in address for address in hrefs(page))
    assert "footprint doctor" in text_of(page)
    assert not elements(page, css_class="figure")


def test_a_failing_card_leaves_the_others_and_offers_a_retry(walked: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("of ours")

    monkeypatch.setattr(overview, "calendar_card", broken)
    page = overview_page(walked)
    (failed,) = elements(page, "Section", "failed")
    assert "Try again" in text_of(failed)
    assert "of ours" not in text_of(page)
    assert elements(page, "Section", "flows-card")
    assert elements(page, css_class="figure")


def test_a_demonstration_is_marked_on_pages_and_pictures(walked: Store) -> None:
    simulated = replace(config(), demo=True)
    assert elements(_layout(simulated, "en", NOW_US), data_demo="DEMONSTRATION")
    assert elements(_layout(config(), "en", NOW_US), data_demo="")
    assert "simulated organisation" in text_of(_layout(simulated, "en", NOW_US))
    assert "simulated organisation" not in text_of(_layout(config(), "en", NOW_US))


def test_the_skeleton_is_busy_and_has_placeholders() -> None:
    page = skeleton("en")
    assert elements(page, css_class="skeleton", aria_busy="true") == [page]
    heights = [block.style["height"] for block in page.children[1:]]
    assert len(heights) >= 4
    assert all(int(height.removesuffix("px")) > 0 for height in heights)
    assert "Reading the figures" in text_of(page)


def test_no_page_draws_a_chart_outside_a_card(walked: Store) -> None:
    for path in PAGES:
        page = render_page(page_context(walked, config(), path, "?period=all"))
        in_cards = [chart for card in elements(page, "Section", "block") for chart in elements(card, "Graph")]
        assert [chart.id for chart in elements(page, "Graph") if chart not in in_cards] == [], path
