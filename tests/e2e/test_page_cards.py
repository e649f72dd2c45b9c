"""Cards of a page in Chromium: none waits for another, a failure stays in its card, and focus and scroll position survive a filter."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dashboards.answers import Question
from dashboards.app import mount
from footprint.config import Config
from footprint.storage.database import Store
from tests.support.chromium import chromium
from tests.support.contract_files import NOW_US, START, compute, config, energy_lines, import_files, request_lines
from tests.support.http_servers import serving_app
from tests.support.services import api_over

pytestmark = pytest.mark.browser
PERIOD = "lang=en&period=2026-07"
BUSY = ".frame[aria-busy=true]"


class Service:
    """Pages over a store; questions about services by host wait while ``open`` is not set, and fail while ``broken``."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.broken = False
        self.address = ""

    def ask(self, question: Question, store: Store, config: Config, now_us: int) -> Any:
        """Answer a question, late or not at all where the test wants it."""
        if getattr(question.arguments[0], "group", ()) == ("host", "service", "use_case"):
            self.open.wait(60)
            if self.broken:
                raise ValueError("of ours")
        return question.answer(store, config, now_us)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("cards")
    store = Store(f"sqlite:///{folder / 'footprint.db'}")
    import_files(store, config(), folder, energy_lines(START, 3 * 86_400, 60), request_lines(START, 3 * 86_400, 400))
    compute(store, config())
    return store


@pytest.fixture
def service(walked: Store) -> Iterator[Service]:
    service, facts = Service(), config()
    app = mount(api_over(walked, facts, lambda: NOW_US), walked, facts, lambda: NOW_US, service.ask)
    with serving_app(app) as service.address:
        yield service
        service.open.set()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    page = browser.new_page(bypass_csp=True, viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    yield page
    page.close()


def frame(page: Any, name: str) -> Any:
    """Element of a frame."""
    return page.locator(f'.frame[id*=\'"name":"{name}"\']')


def wait_for_cards(page: Any) -> None:
    """Wait until every card shows what the address asks for."""
    page.wait_for_function(f"document.querySelector('.frame') && !document.querySelector('{BUSY}')")


def wait_for_focus(page: Any, *ids: str) -> None:
    """Wait until every card is there and one of the elements has the focus, and see that it keeps it."""
    wait_for_cards(page)
    for _ in range(2):
        page.wait_for_function("ids => ids.includes(document.activeElement.id)", arg=list(ids))
        page.wait_for_timeout(150)


def choose(page: Any, menu: str, steps: int) -> None:
    """Open a menu and take one of its links, by keyboard alone; wait until the menus show the choice."""
    page.locator(f"#choice-{menu}").focus()
    page.keyboard.press("Enter")
    for _ in range(steps):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "A"
    before, chosen = page.url, page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.wait_for_function("before => window.location.href !== before", arg=before)
    page.wait_for_function(
        "([id, chosen]) => document.getElementById(id)?.querySelector('b').textContent === chosen", arg=[f"choice-{menu}", chosen]
    )


def test_a_slow_card_keeps_no_other_card_waiting(page: Any, service: Service) -> None:
    service.open.clear()
    page.goto(f"{service.address}/?{PERIOD}")
    page.wait_for_function(f"document.querySelectorAll('{BUSY}').length === 1")
    slow = frame(page, "flows")
    assert slow.get_attribute("aria-busy") == "true"
    assert slow.locator("h2").inner_text() == "Where the energy goes"
    assert "Reading the figures" in slow.inner_text()
    for name in ("figures", "trend", "use-cases", "services", "coverage"):
        assert "kWh" in frame(page, name).inner_text() or "measured" in frame(page, name).inner_text()
    assert page.locator("main h1").inner_text() != "Overview"
    assert page.locator("header nav a").count() > 5
    service.open.set()
    wait_for_cards(page)
    assert "idle" in slow.locator("h2").inner_text()


def test_the_shell_is_shown_before_any_figure(page: Any, service: Service) -> None:
    held: list[Any] = []
    page.route(
        "**/_dash-update-component",
        lambda route: held.append(route) if "data-url" in route.request.post_data else route.continue_(),
    )
    page.goto(f"{service.address}/?{PERIOD}")
    page.locator("main h1").wait_for()
    assert page.locator("main h1").inner_text() == "Overview"
    assert page.locator(BUSY).count() == page.locator(".frame").count() > 8
    assert page.locator("#choice-period").is_visible()
    assert page.locator(".frame h2").count() > 6
    from axe_playwright_python.sync_playwright import Axe

    assert [violation["id"] for violation in Axe().run(page).response["violations"]] == []
    assert len(held) <= 3  # further requests wait in the browser, so that the next page need not
    page.unroute("**/_dash-update-component")
    for route in held:
        route.continue_()
    wait_for_cards(page)
    assert "kWh" in frame(page, "figures").inner_text()


def test_the_next_page_does_not_wait_for_the_cards_of_this_one(page: Any, service: Service) -> None:
    service.open.clear()
    page.goto(f"{service.address}/?{PERIOD}")
    page.wait_for_function(f"document.querySelectorAll('{BUSY}').length === 1")
    page.locator("header").get_by_role("link", name="Methods").click()
    page.wait_for_function("document.querySelectorAll('.frame').length === 1")
    wait_for_cards(page)
    assert page.locator(".frame").count() == 1


def test_a_failure_stays_in_its_card_and_can_be_tried_again(page: Any, service: Service) -> None:
    service.broken = True
    page.goto(f"{service.address}/?{PERIOD}")
    wait_for_cards(page)
    failed = frame(page, "flows")
    assert "This card cannot be read" in failed.inner_text()
    assert page.locator(".failed").count() == 1
    service.broken = False
    failed.get_by_role("link", name="Try again").click()
    page.wait_for_function("document.querySelector('.frame') && !document.querySelector('.failed')")
    wait_for_cards(page)
    assert "idle" in frame(page, "flows").locator("h2").inner_text()


@pytest.mark.parametrize("width", [1280, 360])
def test_frames_reserve_the_height_of_their_cards(page: Any, service: Service, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(
        "window.shifts = 0; new PerformanceObserver((list) => list.getEntries().forEach((entry) => { window.shifts += entry.value; }))"
        ".observe({ type: 'layout-shift', buffered: true });"
    )
    page.goto(f"{service.address}/?{PERIOD}")
    wait_for_cards(page)
    page.wait_for_timeout(200)
    assert page.evaluate("window.shifts") < 0.1  # good, by the Core Web Vitals


@pytest.mark.parametrize("width", [1280, 320])
def test_the_focus_stays_on_the_filter_that_was_used(page: Any, service: Service, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{service.address}/?{PERIOD}")
    wait_for_cards(page)
    if width < 700:
        page.locator("#fold-filters").focus()
        page.keyboard.press("Enter")
    for menu, steps in (("period", 2), ("vs", 2), ("view", 2), ("service", 2), ("use_case", 2), ("period", 6)):
        choose(page, menu, steps)
        assert page.evaluate("document.activeElement.id") == f"choice-{menu}"
        wait_for_focus(page, f"choice-{menu}")
        assert page.locator(f"#choice-{menu}").is_visible()
        assert page.locator("details.menu[open]").count() == 0
    # The focus of a control that goes away passes to the first of its neighbours.
    page.locator("#reset-filters").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("!window.location.search.includes('service=')")
    wait_for_focus(page, "choice-period", "fold-filters")


def test_the_focus_stays_on_menus_that_are_part_of_a_card(page: Any, service: Service) -> None:
    page.goto(f"{service.address}/compare?{PERIOD}")
    wait_for_cards(page)
    for menu, steps in (("kind", 3), ("b", 2), ("a", 2)):
        choose(page, menu, steps)
        wait_for_focus(page, f"choice-{menu}")


def test_the_focus_inside_a_card_stays_when_the_card_is_filled_again(page: Any, service: Service) -> None:
    page.goto(f"{service.address}/?{PERIOD}")
    wait_for_cards(page)
    page.evaluate("window.history.pushState({}, '', window.location.href + '&service=chat')")
    frame(page, "services").get_by_role("button", name="Table").focus()
    page.evaluate("window.dispatchEvent(new CustomEvent('_dashprivate_pushstate'))")
    page.wait_for_function("document.querySelector('#choice-service b').textContent === 'chat'")
    wait_for_cards(page)
    page.wait_for_timeout(150)
    assert page.evaluate("document.activeElement.textContent") == "Table"
    assert page.evaluate("document.activeElement.closest('.frame').id.includes('services')")


def test_a_card_switched_to_its_table_stays_a_table_under_another_filter(page: Any, service: Service) -> None:
    page.goto(f"{service.address}/?{PERIOD}")
    wait_for_cards(page)
    frame(page, "services").get_by_role("button", name="Table").click()
    choose(page, "view", 2)
    wait_for_cards(page)
    assert frame(page, "services").locator(".as-table").is_visible()
    assert not frame(page, "use-cases").locator(".as-table").is_visible()
    page.locator("header").get_by_role("link", name="Services").click()
    page.wait_for_function("window.location.pathname === '/services'")
    wait_for_cards(page)
    assert not page.locator(".as-table").first.is_visible()


def test_a_filter_keeps_the_scroll_position_and_the_cards_until_the_new_ones_arrive(page: Any, service: Service) -> None:
    page.goto(f"{service.address}/?{PERIOD}")
    wait_for_cards(page)
    page.locator("#choice-service").focus()
    page.evaluate("window.scrollTo(0, 700)")
    shown = frame(page, "flows").locator("h2").inner_text()
    service.open.clear()
    page.evaluate("document.querySelector('#menu-service').open = true")
    page.evaluate("document.querySelectorAll('#menu-service a')[1].click()")
    page.wait_for_function(f"window.location.search.includes('service=') && document.querySelectorAll('{BUSY}').length === 1")
    assert frame(page, "flows").locator("h2").inner_text() == shown
    assert abs(page.evaluate("window.scrollY") - 700) < 5
    service.open.set()
    wait_for_cards(page)
    assert abs(page.evaluate("window.scrollY") - 700) < 5


def test_an_update_is_announced_politely_when_the_last_card_has_arrived(page: Any, service: Service) -> None:
    page.goto(f"{service.address}/?{PERIOD}")
    wait_for_cards(page)
    assert page.locator("#spoken").get_attribute("aria-live") == "polite"
    service.open.clear()
    choose(page, "view", 2)
    choose(page, "service", 2)
    page.wait_for_function("document.getElementById('spoken').textContent.startsWith('Reading the figures')")
    service.open.set()
    page.wait_for_function("document.getElementById('spoken').textContent.startsWith('Page updated: ')")
    assert page.locator(BUSY).count() == 0
    assert page.locator("#spoken").inner_text() == f"Page updated: {page.locator('main h1').inner_text()}"
