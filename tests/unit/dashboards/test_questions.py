"""What a page asks the store: each question once, few of them, and none before its shell is shown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dashboards.answers import Question, budgeted_total
from dashboards.app import mount
from dashboards.page_shell import PAGES
from footprint.config import Config
from footprint.figures import Query, run_query
from footprint.ledger.importers import import_requests
from footprint.storage.database import Store
from tests.support.contract_files import NOW_US, START, compute, config, energy_lines, import_files, request_lines, write
from tests.support.page_requests import Post, card_request, frame_names, poster, shell_request, whole_page
from tests.support.services import api_over, local_client

PERIOD = "?lang=en&from=2026-07-02&to=2026-07-03"  # compared with the day before
# Questions at most, on the first view of each page; a question more needs a reason.
MOST_QUESTIONS = {
    "/": 10,
    "/use-cases": 4,
    "/use-cases?name=drafting": 12,
    "/services": 4,
    "/services?name=chat": 11,
    "/models": 4,
    "/hosts": 4,
    "/hosts?name=a": 13,
    "/sites": 4,
    "/compare": 7,
    "/charter": 3,
    "/quality": 6,
    "/efficiency": 4,
    "/explain": 3,
    "/sensors": 3,
}


class Reader:
    """A reader of pages over a store, who counts the questions that reach it."""

    def __init__(self, store: Store) -> None:
        self.questions: list[Question] = []
        facts = config()

        def ask(question: Question, store: Store, config: Config, now_us: int) -> Any:
            self.questions.append(question)
            return question.answer(store, config, now_us)

        app = mount(api_over(store, facts, lambda: NOW_US), store, facts, lambda: NOW_US, ask)
        self.post: Post = poster(local_client(app, client=("127.0.0.1", 50_000)))

    def asked_for(self, path: str, search: str = PERIOD) -> list[Question]:
        """Questions of one view of a page."""
        before = len(self.questions)
        page, _, more = path.partition("?")
        answer = whole_page(self.post, page, f"{search}&{more}")
        assert "cannot be read" not in answer
        return self.questions[before:]


@pytest.fixture
def walked(sqlite: Store, tmp_path: Path) -> Store:
    import_files(sqlite, config(), tmp_path, energy_lines(START, 3 * 86_400, 60), request_lines(START, 3 * 86_400, 400))
    compute(sqlite, config())
    return sqlite


def test_every_page_asks_each_question_once_and_few_of_them(walked: Store) -> None:
    for path, most in MOST_QUESTIONS.items():
        questions = Reader(walked).asked_for(path)
        assert [question for question, times in Counter(questions).items() if times > 1] == [], path
        assert 0 < len(questions) <= most, (path, [question.function.__name__ for question in questions])
    assert {path.partition("?")[0] for path in MOST_QUESTIONS} >= {*PAGES} - {
        "/editions",
        "/methods",
        "/help",
        "/readings",
        "/access",
    }


def test_another_filter_asks_for_what_it_changes_and_the_way_back_for_nothing(walked: Store) -> None:
    reader = Reader(walked)
    first = reader.asked_for("/")
    filtered = reader.asked_for("/", f"{PERIOD}&service=chat")
    assert 0 < len(filtered) < len(first)
    assert not set(filtered) & set(first)
    assert reader.asked_for("/") == []


def test_pages_of_a_period_share_their_answers(walked: Store) -> None:
    reader = Reader(walked)
    reader.asked_for("/")
    queries = [question.arguments for question in reader.asked_for("/use-cases")]
    assert queries == []  # the overview asked for its total, its days and its use cases


def test_a_shell_asks_for_nothing(walked: Store) -> None:
    reader = Reader(walked)
    for path in (*PAGES, "/nothing"):
        for search in (PERIOD, f"{PERIOD}&name=chat&service=chat"):
            assert frame_names(reader.post(shell_request(path, search)))
    assert reader.questions == []


def test_frames_that_stay_are_not_sent_again(walked: Store) -> None:
    post = Reader(walked).post
    structure = json.loads(post(shell_request("/", PERIOD)))["response"]["structure"]["data"]
    for search, is_sent in ((f"{PERIOD}&service=chat", False), ("?lang=en&period=7d", False)):
        assert ("body" in json.loads(post(shell_request("/", search, structure=structure)))["response"]) is is_sent
    assert "body" in json.loads(post(shell_request("/services", PERIOD, structure=structure)))["response"]
    entity = json.loads(post(shell_request("/services", f"{PERIOD}&name=chat")))["response"]["structure"]["data"]
    assert "body" in json.loads(post(shell_request("/services", f"{PERIOD}&name=code", structure=entity)))["response"]


def test_a_frame_that_no_page_has_is_empty(walked: Store) -> None:
    reader = Reader(walked)
    answer = json.loads(reader.post(card_request("nothing", f"/{PERIOD}")))["response"]
    assert [part.get("children") for part in answer.values() if "children" in part] == [None]
    assert reader.questions == []


def test_a_card_that_failed_is_read_again(walked: Store) -> None:
    state = {"broken": True}
    facts = config()

    def ask(question: Question, store: Store, config: Config, now_us: int) -> Any:
        if state["broken"] and question.arguments[0].group == ("service",):
            raise ValueError("of ours")
        return question.answer(store, config, now_us)

    app = mount(api_over(walked, facts, lambda: NOW_US), walked, facts, lambda: NOW_US, ask)
    post = poster(local_client(app, client=("127.0.0.1", 50_000)))
    failed, other = (post(card_request(name, f"/{PERIOD}")) for name in ("services", "use-cases"))
    assert "cannot be read" in failed
    assert "of ours" not in failed
    assert "kWh" in other
    state["broken"] = False
    assert "cannot be read" not in post(card_request("services", f"/{PERIOD}"))


def test_the_answer_to_a_total_is_that_of_the_query_engine(walked: Store, tmp_path: Path) -> None:
    for query in (Query(), Query(from_us=(START + 86_400) * 1_000_000), Query(where=(("service", "nobody"),))):
        total = budgeted_total(walked, config(), query, NOW_US)
        assert total.answer == run_query(walked, config(), query, NOW_US)
        assert (total.row is None) == (not total.answer.rows)


def test_the_first_figures_fill_the_cards_that_were_empty(sqlite: Store, tmp_path: Path) -> None:
    now = {"s": 100.0}
    with versions_read_at(now):
        reader = Reader(sqlite)
        assert "No reading yet" in whole_page(reader.post, "/", "?lang=en&period=all")
        import_requests(sqlite, config(), write(tmp_path / "r.csv", request_lines(START, 7200, 20)), NOW_US)
        compute(sqlite, config())
        now["s"] += 2
        assert "No reading yet" not in whole_page(reader.post, "/", "?lang=en&period=all")


@contextmanager
def versions_read_at(now: dict[str, float]) -> Iterator[None]:
    """Caches whose clock [s] is ``now``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dashboards.answers.time.monotonic", lambda: now["s"])
        yield
