"""Open mode in Chromium under its own content security policy: every page by the link, and what a visitor without it sees."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from dashboards.page_shell import PAGES
from footprint.access.open_mode import TOKEN_FILE_SUFFIX
from footprint.storage.database import Store
from tests.support.chromium import chromium
from tests.support.contract_files import CONFIG, START, compute, config, energy_lines, import_files, request_lines
from tests.support.processes import start_server

pytestmark = pytest.mark.browser
# What some pages are about; the others show all there is.
PARAMETERS = {
    "/use-cases": {"name": "drafting"},
    "/services": {"name": "chat"},
    "/hosts": {"name": "a"},
    "/compare": {"kind": "use_case"},
    "/explain": {"figure": "co2e_location_g"},
    "/readings": {"of": "a", "device": "gpu:0", "day": "20635"},
}
RECORD_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address of a service without ``[access]``, and its token."""
    folder = tmp_path_factory.mktemp("open")
    (folder / "footprint.toml").write_text(CONFIG)
    store = Store(f"sqlite:///{folder / 'footprint.db'}", demo=False)
    import_files(store, config(), folder, energy_lines(START, 2 * 86_400, 60), request_lines(START, 2 * 86_400, 400))
    compute(store, config())
    store.close()
    process, address = start_server(folder, open_mode=False)
    yield address, Path(f"{folder / 'footprint.db'}{TOKEN_FILE_SUFFIX}").read_text().strip()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def watched_page(context: Any) -> tuple[Any, list[str]]:
    """A new page, and the list that its console errors and uncaught exceptions are appended to."""
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(RECORD_VIOLATIONS)
    return page, errors


def wait_for_cards(page: Any) -> None:
    """Wait until the page has its heading and every card its content, without a script that the policy would refuse."""
    page.locator("#body h1").first.wait_for(timeout=60_000)
    expect(page.locator(".frame[aria-busy=true]")).to_have_count(0, timeout=60_000)


def save_picture(page: Any, name: str) -> None:
    """Save a picture of the whole page for whoever wants to look, in the folder that FOOTPRINT_TEST_PICTURES names."""
    folder = os.environ.get("FOOTPRINT_TEST_PICTURES")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_page_opens_by_the_link_without_violations_or_errors(browser: Any, base: tuple[str, str], language: str) -> None:
    address, token = base
    context = browser.new_context(color_scheme="dark" if language == "fr" else "light")
    assert len(PAGES) > 15
    for path in PAGES:
        page, errors = watched_page(context)
        params = PARAMETERS.get(path, {}) | {"lang": language, "period": "all"}
        page.goto(f"{address}{path}?{urlencode(params | {'token': token})}")
        wait_for_cards(page)
        for button in page.locator(".block:has(.as-table)").get_by_role("button").all()[:2]:
            button.click()  # scripts and styles that only a click needs
        save_picture(page, f"{language}{path.replace('/', '-')}")
        assert (path, errors, page.evaluate("window.violations")) == (path, [], [])
        assert "token" not in page.url
        assert page.locator("html").get_attribute("lang") == language
        assert page.locator(".failed").count() == 0
        assert page.get_by_text("footprint access link").count() == 0
        page.close()
    cookies = context.cookies()
    assert [(cookie["httpOnly"], cookie["sameSite"]) for cookie in cookies] == [(True, "Lax")]
    assert token not in str(cookies)
    context.close()


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("fr", "Vous lisez la partie publique de ce service."), ("en", "You read the public part of this service.")],
)
@pytest.mark.parametrize("path", ["/", "/use-cases"])
def test_a_visit_without_the_link_shows_how_to_get_in(
    browser: Any, base: tuple[str, str], language: str, sentence: str, path: str
) -> None:
    address, _ = base
    context = browser.new_context(locale=language)  # the browser's language, as at a first visit
    page, errors = watched_page(context)
    status = page.goto(f"{address}{path}").status
    page.get_by_text(sentence).wait_for(timeout=60_000)
    wait_for_cards(page)
    save_picture(page, f"visitor-{language}{path.replace('/', '-')}")
    assert "footprint access link" in page.locator("body").inner_text()
    assert page.locator("html").get_attribute("lang") == language
    assert "drafting" not in page.locator("body").inner_text()
    assert page.evaluate("window.violations") == []
    assert context.cookies() == []
    # Chromium itself reports the status of a page that is not for the public.
    assert (status, len(errors)) == ((200, 0) if path == "/" else (404, 1))
    context.close()
