"""Cards about agents and objectives: what they claim is what the ledger bears, and who may not see sees nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dashboards.pages.quality import silent_agents_card
from dashboards.parts.day_strip import day_states, day_strip
from dashboards.parts.notices import balance_finding
from dashboards.parts.objectives import objectives_card
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.access import Role
from footprint.calendar.periods import parse_period
from footprint.config import parse_config
from footprint.core.timestamps import format_instant
from footprint.figures import Query, run_query
from footprint.i18n.formatting import format_estimate, format_local_time
from footprint.ledger.importers import import_energy
from footprint.ledger.refusals import count_refusals
from footprint.queries.agent_liveness import REPORTING, RETIRED, RETIRED_AFTER_US, SILENT, host_liveness
from footprint.queries.energy_balance import energy_balance
from footprint.storage.database import Store
from tests.support.components import hrefs, page_context, text_of
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

S = 1_000_000
END_US = (START + 7200) * S
BUDGET = '[[objective]]\nname = "{}"\nmetric = "{}"\nat_most = {}\nevery = "month"\nowner = "ops"\n'


@pytest.fixture
def walked(sqlite: Store, tmp_path: Path) -> Store:
    import_files(sqlite, config(), tmp_path, energy_lines(START, 7200), request_lines(START, 7200, 40))
    compute(sqlite, config())
    return sqlite


def charter_context(
    store: Store, text: str = CONFIG, language: str = "en", search: str = "?period=2026-07", now_us: int = NOW_US
) -> PageContext:
    return page_context(store, parse_config(text), "/charter", search, language, now_us)


def test_a_host_reports_is_silent_or_is_retired_by_its_last_reading(walked: Store) -> None:
    facts = parse_config(CONFIG + "[notify]\nsilent_after_s = 600\n")
    for after_us, state in ((600 * S, REPORTING), (601 * S, SILENT), (RETIRED_AFTER_US - 1, SILENT), (RETIRED_AFTER_US, RETIRED)):
        (host,) = host_liveness(walked, facts, END_US + after_us)
        assert (host.host, host.last_us, host.silent_us, host.state) == ("a", END_US, after_us, state)
    assert host.row()["silent_s"] == RETIRED_AFTER_US / S


@pytest.mark.parametrize("language", ["fr", "en"])
def test_a_silent_agent_is_listed_with_its_last_reading_and_duration(walked: Store, language: str) -> None:
    at = charter_context(walked, CONFIG + "[notify]\nsilent_after_s = 600\n", language, now_us=END_US + 9_000 * S)
    card = silent_agents_card(at)
    shown = text_of(card)
    assert translate(language, "silent_title", number="1", all="1") in shown
    assert format_local_time(format_instant(END_US), at.config.timezone, language) in shown
    assert ("2,5" if language == "fr" else "2.5") in shown
    assert "/api/v1/tables/silent?format=csv" in hrefs(card)


def test_retired_agents_do_not_count_as_reporting(walked: Store, store: Store) -> None:
    assert "Every agent reports" in text_of(silent_agents_card(charter_context(walked, now_us=END_US)))
    retired = text_of(silent_agents_card(charter_context(walked, now_us=END_US + RETIRED_AFTER_US)))
    assert "No agent reports any more" in retired
    assert "Every agent" not in retired
    assert "30 days or more: 1." in retired
    assert silent_agents_card(charter_context(store)) is None


@pytest.mark.parametrize("language", ["fr", "en"])
def test_an_objective_is_shown_with_its_interval_its_limit_and_its_state_in_text_of(walked: Store, language: str) -> None:
    start, end = parse_period("2026-07").bounds_us(config().timezone)
    row = run_query(walked, config(), Query(from_us=start, to_us=end), NOW_US).rows[0]
    budgets = BUDGET.format("few", "requests", 39) + BUDGET.format("all", "energy_kwh", row["energy_kwh"])
    card = objectives_card(charter_context(walked, CONFIG + budgets, language))
    shown = text_of(card)
    assert translate(language, "objectives_exceeded", number="1", all="2") in shown
    assert translate(language, "objective_exceeded") in shown
    assert translate(language, "objective_not_measurable") in shown
    written = format_estimate(row["energy_kwh"], row["energy_low_kwh"], row["energy_high_kwh"], language)
    assert written.value in shown
    assert written.interval in shown
    assert "/api/v1/tables/objectives?format=csv&period=2026-07" in hrefs(card)


def test_an_unmeasured_objective_is_unknown_and_not_zero(walked: Store) -> None:
    text = CONFIG + BUDGET.format("all", "energy_kwh", 5)
    shown = text_of(objectives_card(charter_context(walked, text, search="?period=2026-03")))
    assert "[x]" in shown
    assert "unknown: nothing was measured" in shown
    assert "No objective is surely exceeded" in shown
    assert "Every objective is kept" not in shown
    assert "length of this period" in text_of(objectives_card(charter_context(walked, text, search="?period=2026")))


def test_a_target_is_shown_in_percent_with_its_due_period(walked: Store) -> None:
    text = '[[objective]]\nname = "half"\nmetric = "requests"\nbaseline = "2026-06"\ntarget = -0.5\ndue = "2026-07"\n'
    shown = text_of(objectives_card(charter_context(walked, CONFIG + text)))
    assert "half (due Jul" in shown
    assert "\u221250%" in shown


def test_objectives_are_hidden_from_roles_that_may_not_see_use_cases(walked: Store) -> None:
    at = charter_context(walked, CONFIG + BUDGET.format("few", "requests", 39))
    assert objectives_card(at) is not None
    assert objectives_card(charter_context(walked)) is None  # none declared
    for role in Role:
        assert (objectives_card(replace(at, role=role)) is not None) == role.sees_uses
    assert objectives_card(replace(at, store=None)) is None


def test_a_host_that_came_later_was_not_missing_before_and_a_silent_day_is(sqlite: Store, tmp_path: Path) -> None:
    two = CONFIG + '[[host]]\nname = "b"\nsite = "paris-1"\n'
    facts = parse_config(two)
    later = START + 2 * 86_400
    energy = energy_lines(START, 86_400, 60) + energy_lines(later, 86_400, 60)[1:]
    energy += [line.replace(",a,", ",b,") for line in energy_lines(later, 86_400, 60)[1:]]
    import_files(sqlite, facts, tmp_path, energy, request_lines(START, 3600, 5))
    compute(sqlite, facts)
    days = day_states(charter_context(sqlite, two, now_us=(later + 86_400) * S))
    states = {host: dict(host_days) for host, host_days in days.items()}
    assert len({*map(tuple, states.values())}) == 1
    first, *_, last = sorted(states["a"])
    assert states["b"][first] == "unexpected"
    assert "missing" in states["a"].values()
    assert "missing" not in [state for day, state in states["b"].items() if day < last]


@pytest.mark.parametrize("source", ["estimate", "nvml-power"])
def test_the_strip_says_how_many_days_sensors_measured(sqlite: Store, tmp_path: Path, source: str) -> None:
    lines = ["time,host,device,component,power_w,source"]
    lines += [f"{DAY_S + second},vm,cpu:0,cpu,100,{source}" for second in range(0, 2 * 86_400, 60)]
    import_energy(sqlite, write(tmp_path / "power.csv", lines), NOW_US)
    facts = parse_config('[organisation]\ntimezone = "UTC"\n')
    compute(sqlite, facts)
    context = page_context(sqlite, facts, "/", "?from=2026-07-01&to=2026-07-03", "en", NOW_US)
    shown = text_of(day_strip(context, context.rows()[0]))
    assert "of the expected time measured or modelled" in shown
    assert f"{2 if source == 'nvml-power' else 0} of 2 days measured by sensors" in shown


@pytest.mark.parametrize(("language", "word"), [("en", "Pending since"), ("fr", "En attente depuis le")])
def test_a_day_that_waits_to_be_computed_is_pending_and_closes(walked: Store, tmp_path: Path, language: str, word: str) -> None:
    more = write(tmp_path / "more.csv", energy_lines(START + 7200, 600))
    import_energy(walked, more, NOW_US + 1)
    context = charter_context(walked, language=language)
    shown = balance_finding(context, energy_balance(walked, context.config, *context.view.bounds(context.config, NOW_US)))
    assert translate(language, "balance_ok") in shown
    assert word in shown
    assert translate(language, "balance_bad", hosts="a") not in shown


@pytest.mark.parametrize(
    ("language", "sentence"), [("en", "did not take: 7, for 2 reasons"), ("fr", "n’a pas prises\u00a0: 7, pour 2 raisons")]
)
def test_what_the_doors_refused_stands_beside_the_agents(sqlite: Store, language: str, sentence: str) -> None:
    """Also where no host has ever read: a wrong host name loses everything, and says so here."""
    context = page_context(sqlite, parse_config(CONFIG), "/quality", "", language, END_US)
    assert silent_agents_card(context) is None
    with sqlite.begin() as connection:
        count_refusals(
            sqlite, connection, "inf-01", {"host: the token may not write for this host": 5, "time: before 2000": 2}, END_US
        )
    assert sentence in text_of(silent_agents_card(context))
