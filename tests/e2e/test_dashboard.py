"""Dashboard in Chromium: all pages in both languages and themes, keyboard use, narrow screens, an unavailable store."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from footprint.storage.database import Store
from tests.support.chromium import chromium
from tests.support.contract_files import CONFIG, START, compute, config, energy_lines, import_files, request_lines
from tests.support.processes import start_server

pytestmark = pytest.mark.browser
PAGES = {
    "/": "",
    "/use-cases": "",
    "/use-cases?name=drafting": "",
    "/services?name=chat": "",
    "/models": "",
    "/hosts?name=a": "",
    "/compare?kind=use_case": "",
    "/charter": "",
    "/quality": "",
    "/editions": "",
    "/efficiency": "",
    "/methods": "",
    "/help": "",
    "/sites": "",
    "/explain?figure=co2e_location_g": "",
    "/readings?of=a&device=gpu:0&day=20635": "",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("dashboard")
    (folder / "footprint.toml").write_text(CONFIG)
    store = Store(f"sqlite:///{folder / 'footprint.db'}", demo=False)
    import_files(store, config(), folder, energy_lines(START, 3 * 86_400, 60), request_lines(START, 3 * 86_400, 400))
    compute(store, config())
    store.close()
    process, address = start_server(folder)
    yield address
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def wait_for_cards(page: Any) -> None:
    """Wait until every card shows what the address asks for."""
    page.wait_for_function(
        "document.querySelector('.frame') && !document.querySelector('.frame[aria-busy=true]')", timeout=30_000
    )


def open_page(
    browser: Any, base: str, path: str, language: str = "en", theme: str = "light", width: int = 1280
) -> tuple[Any, list[str], list[str]]:
    """Open a page; return it with its errors and its requests to other hosts, both filled as they occur."""
    page = browser.new_page(bypass_csp=True, viewport={"width": width, "height": 900})
    errors: list[str] = []
    elsewhere: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda bad: errors.append(str(bad)))
    page.on("request", lambda r: None if r.url.startswith((base, "data:", "ws:", "blob:")) else elsewhere.append(r.url))
    sign = "&" if "?" in path else "?"
    page.goto(f"{base}{path}{sign}lang={language}&theme={theme}&period=all")
    wait_for_cards(page)
    return page, errors, elsewhere


@pytest.mark.slow
@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_accessibility_violations_in_any_language_and_theme(
    browser: Any, base: str, language: str, theme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    violations: list[tuple[str, ...]] = []
    for path in PAGES:
        page, errors, elsewhere = open_page(browser, base, path, language, theme)
        if page.locator(".js-plotly-plot").count():
            page.wait_for_timeout(400)
        for violation in Axe().run(page).response["violations"]:
            violations += [
                (path, violation["id"], node["html"][:160], node.get("failureSummary", "")[:200])
                for node in violation["nodes"][:2]
            ]
        assert (path, errors, elsewhere) == (path, [], [])
        assert page.locator("html").get_attribute("lang") == language
        assert page.locator("h1").count() >= 1
        page.close()
    assert violations == []


def test_every_page_opens_without_errors_or_requests_to_other_hosts(browser: Any, base: str) -> None:
    for path in PAGES:
        page, errors, elsewhere = open_page(browser, base, path)
        assert (path, errors, elsewhere) == (path, [], [])
        bare = page.evaluate("[...document.querySelectorAll('.js-plotly-plot')].filter(c => !c.closest('section.block')).length")
        assert (path, bare) == (path, 0)
        page.close()


def test_from_the_overview_to_the_raw_readings_in_four_clicks_and_back_by_a_link(browser: Any, base: str) -> None:
    page, errors, _ = open_page(browser, base, "/")
    page.get_by_role("link", name="Where this figure comes from").first.click()
    page.get_by_role("heading", name="Where this figure comes from: Energy").wait_for(timeout=20_000)
    page.get_by_role("link", name="Readings 2026").first.click()
    page.get_by_role("heading", level=1, name="Raw readings of").wait_for(timeout=20_000)
    shown = page.locator("main table tbody tr").first.inner_text()
    again = browser.new_page(bypass_csp=True)
    again.goto(page.url)
    again.get_by_role("heading", level=1, name="Raw readings of").wait_for(timeout=20_000)
    assert again.locator("main table tbody tr").first.inner_text() == shown
    assert errors == []
    for opened_page in (page, again):
        opened_page.close()


def test_everything_is_reached_by_keyboard(browser: Any, base: str) -> None:
    page, _, _ = open_page(browser, base, "/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(document.activeElement.textContent || '').trim().slice(0, 40)"))
    assert any(text.startswith("Period") for text in reached)
    assert "Quality" in reached
    page.locator(".filters .menu summary").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "A"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**period=7d**")
    page.close()


def test_a_narrow_screen_needs_no_sideways_scrolling(browser: Any, base: str) -> None:
    for path in PAGES:
        page, _, _ = open_page(browser, base, path, width=320)
        page.wait_for_timeout(200)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert (path, wide) == (path, 0)
        page.close()


def test_unknown_pages_return_404_with_a_message(browser: Any, base: str) -> None:
    page = browser.new_page(bypass_csp=True)
    answer = page.goto(f"{base}/nowhere?lang=en")
    assert answer.status == 404
    page.get_by_role("heading", name="There is no such page").wait_for(timeout=20_000)
    page.close()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{base}/api/v1/nothing", timeout=5)


def test_the_power_of_a_host_can_be_paused(browser: Any, base: str) -> None:
    page, errors, _ = open_page(browser, base, "/hosts?name=a")
    button = page.get_by_role("button", name="Pause")
    button.click()
    page.get_by_role("button", name="Resume").wait_for(timeout=10_000)
    assert errors == []
    page.close()


def test_pages_report_an_unavailable_store_and_recover(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "footprint.toml").write_text(CONFIG)
    store = Store(f"sqlite:///{tmp_path / 'footprint.db'}", demo=False)
    import_files(store, config(), tmp_path, energy_lines(START, 7200, 60), request_lines(START, 7200, 40))
    compute(store, config())
    process, address = start_server(tmp_path)
    try:
        with store.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE stream RENAME TO elsewhere")
        page = browser.new_page(bypass_csp=True)
        page.goto(f"{address}/?lang=en&period=all")
        page.get_by_role("heading", name="The store does not answer").wait_for(timeout=20_000)
        assert "0 kWh" not in page.locator("main").inner_text()
        with store.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO stream")
        page.locator(".cards .figure").first.wait_for(timeout=30_000)
        page.close()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        store.close()


def test_navigation_keeps_the_document_and_moves_focus_to_the_title(browser: Any, base: str) -> None:
    page, errors, _ = open_page(browser, base, "/charter")
    page.evaluate("window.marker = 1")
    page.locator("header").get_by_role("link", name="Help").or_(
        page.locator(".page-footer").get_by_role("link", name="Help")
    ).last.click()
    page.get_by_role("heading", level=1, name="Reading these pages").wait_for(timeout=20_000)
    page.wait_for_function("document.activeElement.tagName === 'H1'", timeout=5000)
    assert page.evaluate("window.marker") == 1
    assert page.title() == "Reading these pages · Footprint"
    page.wait_for_function("document.getElementById('spoken').textContent === 'Reading these pages'", timeout=5000)
    page.go_back()
    page.wait_for_function("!document.title.startsWith('Reading')", timeout=20_000)
    page.locator(".charter").wait_for(timeout=20_000)
    page.locator(".languages").get_by_role("link", name="FR").click()
    page.wait_for_function("document.documentElement.lang === 'fr'", timeout=20_000)
    assert page.evaluate("window.marker") is None  # changing the language loads a new document
    assert errors == []
    page.close()


def test_cards_switch_to_tables_by_button_and_by_optional_key(browser: Any, base: str) -> None:
    page, _, _ = open_page(browser, base, "/hosts?name=a")
    card = page.locator(".block:has(.as-table)").first
    table = card.locator(".as-table")
    assert not table.is_visible()
    card.get_by_role("button", name="Table").click()
    assert table.is_visible()
    assert card.get_by_role("button", name="Table").get_attribute("aria-pressed") == "true"
    page.keyboard.press("t")
    assert not table.is_visible()
    page.evaluate("localStorage.setItem('footprint-keys-off', '1')")
    page.keyboard.press("t")
    assert not table.is_visible()
    page.close()


def test_every_card_exports_as_a_picture_with_its_source(browser: Any, base: str) -> None:
    import re
    from xml.etree import ElementTree

    page, errors, elsewhere = open_page(browser, base, "/hosts?name=a", theme="dark")
    page.wait_for_timeout(500)
    pictures = page.evaluate(
        "[...document.querySelectorAll('.block:has(.as-table)')].map((card) => window.footprint_picture(card).text)"
    )
    titles = page.locator(".block:has(.as-table) > h2").all_inner_texts()
    assert len(pictures) >= 4
    for text, title in zip(pictures, titles, strict=True):
        root = ElementTree.fromstring(text)
        words = " ".join("".join(root.itertext()).split())
        assert title.split()[0] in words
        assert "Licence Ouverte 2.0" in words
        assert f"{base}/hosts" in words
        assert not re.search(r'href="http|url\(http|var\(--', text)
        assert "DEMONSTRATION" not in words  # the configuration is not marked as a demonstration
    assert page.locator("html").get_attribute("data-theme") == "dark"  # exporting does not change the page
    with page.expect_download() as saved:
        card = page.locator(".block:has(.as-table)").first
        card.locator("summary", has_text="Data").click()
        card.get_by_role("button", name="PNG picture").click()
    assert saved.value.suggested_filename.endswith(".png")
    assert Path(saved.value.path()).read_bytes()[:4] == b"\x89PNG"
    assert (errors, elsewhere) == ([], [])
    page.close()


def test_the_print_view_shows_tables_and_no_controls(browser: Any, base: str) -> None:
    page, _, _ = open_page(browser, base, "/hosts?name=a&print=1")
    assert not page.locator(".pages").is_visible()
    assert not page.locator(".filters").first.is_visible()
    assert page.locator(".as-table").first.is_visible()
    assert "Period: all" in page.locator(".print-only").inner_text()
    assert "/hosts?" in page.locator(".print-only .address").inner_text()
    page.close()


def test_a_page_weighs_less_than_a_megabyte_without_plotly(browser: Any, base: str) -> None:
    page = browser.new_page(bypass_csp=True)
    page.goto(f"{base}/?lang=en&period=all")
    page.wait_for_function("document.getElementById('weight')?.textContent", timeout=30_000)
    shown = int("".join(c for c in page.locator("#weight").inner_text() if c.isdigit()))
    assert 0 < shown < 1000
    page.close()
