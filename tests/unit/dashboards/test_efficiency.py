"""The efficiency page: what its address asks for decides the finding, the frontier, the limits; every state in both languages."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dashboards.translations import translate
from footprint.config import Config
from footprint.storage.database import Store
from tests.simulation.server import Day
from tests.support.components import hrefs, ids, page_context, render_page, shapes, text_of
from tests.support.two_models import two_models


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Config, dict[str, Day]]:
    return two_models(tmp_path_factory.mktemp("tried"))


def efficiency_page(tried: tuple[Store, Config, dict[str, Day]], search: str = "", language: str = "en") -> Any:
    store, facts, _ = tried
    return render_page(page_context(store, facts, "/efficiency", f"?period=all{search}", language))


def shown(tried: tuple[Store, Config, dict[str, Day]], search: str = "", language: str = "en") -> str:
    return text_of(efficiency_page(tried, search, language))


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_card_is_made_with_its_table_and_data(tried: tuple[Store, Config, dict[str, Day]], language: str) -> None:
    page = efficiency_page(tried, language=language)
    text = text_of(page)
    assert translate(language, "card_failed", error="")[:20] not in text
    for card in ("eff-frontier", "eff-steps", "eff-phases", "eff-avoidable"):
        assert card in ids(page), card
    for name in ("models", "steps", "phases", "avoidable"):
        assert any(f"/api/v1/tables/{name}?" in address for address in hrefs(page)), name
    assert shapes(page, "svg", "fp")
    assert not re.search(r"\beff_\w+", text)


def test_the_current_model_is_orange_and_bold_and_references_are_hollow(tried: tuple[Store, Config, dict[str, Day]]) -> None:
    page = efficiency_page(tried, "&task=letters")
    assert len(shapes(page, "circle", "more", r="7")) == 1
    assert shapes(page, "path", "stair")
    assert shapes(page, "circle", "hollow")
    assert "never ranked with our measurements" in text_of(page)


def test_limits_in_the_address_wash_what_lies_beyond_and_name_who_keeps_them(tried: tuple[Store, Config, dict[str, Day]]) -> None:
    free, strict = shown(tried, "&task=letters"), shown(tried, "&task=letters&min_score=0.85")
    assert "For letters, m-small takes least" in free
    assert "For letters, m-large takes least" in strict
    assert translate("en", "eff_too_poor") in strict
    assert translate("en", "eff_too_poor") not in free
    assert "no model keeps these limits" in shown(tried, "&task=letters&max_s=0.001")
    by_time = shown(tried, "&task=letters&by=latency&max_s=12")
    assert translate("en", "eff_latency_axis") in by_time
    assert "For letters" in shown(tried, "&task=letters&max_s=soon&min_score=-3")


def test_the_register_names_owners_and_what_nobody_took(tried: tuple[Store, Config, dict[str, Day]]) -> None:
    page = shown(tried)
    assert "operations" in page
    assert translate("en", "eff_under-way") in page
    assert "served no request" in page
