"""What models cost and are worth, the best alternative, energy by step and by phase, the register: on a simulated host."""

from __future__ import annotations

import numpy as np
import pytest

from footprint.api.efficiency import TABLE_NAMES
from footprint.config import Config, ConfigError, parse_config
from footprint.config.evaluations import CAUSES
from footprint.core.units import J_PER_KWH
from footprint.figures import Query
from footprint.queries import avoidable_energy
from footprint.queries.avoidable_energy import action_register
from footprint.queries.batch_efficiency import energy_by_phase, energy_by_step_size
from footprint.queries.model_comparison import COLUMNS, alternatives, compare_models
from footprint.storage.database import Store
from tests.simulation.server import Day
from tests.support.contract_files import CONFIG, NOW_US, config, query_rows
from tests.support.services import api_over, local_client
from tests.support.two_models import TEXT, two_models


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Config, dict[str, Day]]:
    return two_models(tmp_path_factory.mktemp("tried"))


def test_models_of_a_use_case_with_their_times_scores_and_what_is_not_dominated(
    tried: tuple[Store, Config, dict[str, Day]],
) -> None:
    store, facts, days = tried
    rows = {(row["use_case"], row["model"]): row for row in compare_models(store, facts, Query(), NOW_US)}
    assert len(rows) == 4
    letters = {name: rows["letters", f"m-{name}"] for name in ("large", "small")}
    for name, row in letters.items():
        assert tuple(row) == COLUMNS
        day = days[name]
        seconds = np.sort((day.end_s - day.start_s)[day.use_case == 0])
        assert row["latency_p95_s"] == pytest.approx(np.quantile(seconds, 0.95), rel=0.03)
        assert row["latency_low_s"] <= row["latency_p95_s"] <= row["latency_high_s"]
        assert row["wh_low"] < row["wh_per_response"] < row["wh_high"]
        assert (row["requests"], row["latency_requests"]) == (len(seconds), len(seconds))
    # The small one answers sooner for less; the large one answers better.
    assert (letters["small"]["undominated_latency"], letters["large"]["undominated_latency"]) == (True, False)
    assert (letters["small"]["undominated_score"], letters["large"]["undominated_score"]) == (True, True)
    # Of other use cases the small one has no score, and none is made up.
    assert (rows["notes", "m-small"]["score"], rows["notes", "m-small"]["undominated_score"]) == (None, None)
    assert rows["notes", "m-large"]["score_answers"] == 100


def test_limits_leave_out_what_does_not_keep_them_or_is_unknown(tried: tuple[Store, Config, dict[str, Day]]) -> None:
    store, facts, _ = tried
    rows = {row["model"]: row for row in compare_models(store, facts, Query(), NOW_US, use_case="letters", min_score=0.85)}
    assert (rows["m-large"]["meets_limits"], rows["m-small"]["meets_limits"]) == (True, False)
    assert (rows["m-large"]["undominated_latency"], rows["m-small"]["undominated_latency"]) == (True, None)
    noted = {row["model"]: row for row in compare_models(store, facts, Query(), NOW_US, use_case="notes", min_score=0.1)}
    assert noted["m-small"]["meets_limits"] is False


def test_the_alternative_is_the_one_that_takes_least_with_the_ratio_of_compare(
    tried: tuple[Store, Config, dict[str, Day]],
) -> None:
    store, facts, _ = tried
    rows = compare_models(store, facts, Query(), NOW_US)
    found = {row["use_case"]: row for row in alternatives(store, facts, Query(), NOW_US, rows, score_limited=True)}
    for use_case in ("letters", "notes"):
        row = found[use_case]
        mine = {each["model"]: each for each in rows if each["use_case"] == use_case}
        assert {row["current"], row["alternative"]} == set(mine)
        expected = mine[row["current"]]["wh_per_response"] / mine[row["alternative"]]["wh_per_response"]
        assert row["ratio"] == pytest.approx(expected, rel=1e-6)
        assert row["ratio_low"] < row["ratio"] < row["ratio_high"]
        assert row["measurable"] is (not row["ratio_low"] <= 1 <= row["ratio_high"])
    # Of letters both have a score: the small one's is surely lower, and is an alternative only where the reader says what is enough.
    assert found_unless_worse(store, facts) == ["notes"]
    strict = compare_models(store, facts, Query(), NOW_US, min_score=0.99)
    assert alternatives(store, facts, Query(), NOW_US, strict) == []


def found_unless_worse(store: Store, facts: Config) -> list[str]:
    rows = compare_models(store, facts, Query(), NOW_US)
    current = {
        use: max((r for r in rows if r["use_case"] == use), key=lambda r: r["requests"])["model"] for use in ("letters", "notes")
    }
    assert current["letters"] in ("m-large", "m-small")
    return [row["use_case"] for row in alternatives(store, facts, Query(), NOW_US, rows) if row["current"] == "m-large"]


def test_energy_per_token_falls_with_tokens_a_step_as_the_server_says(tried: tuple[Store, Config, dict[str, Day]]) -> None:
    store, _, days = tried
    rows = [row for row in energy_by_step_size(store, None, None) if row["service"] == "large"]
    assert len(rows) >= 3
    values = [row["j_per_output_token"] for row in rows]
    assert values == sorted(values, reverse=True)
    law = days["large"].server
    for row in rows:
        # One step: the weights, the idle power while it lasts; a token: itself. Reading and context are above that.
        size = row["tokens_per_step"]
        floor = (law.step_j + law.idle_w * law.step_s) / size + law.token_j
        assert floor * 0.95 <= row["j_per_output_token"] <= floor * 1.5
        assert row["j_per_output_token_q1"] <= row["j_per_output_token"] <= row["j_per_output_token_q3"]


def test_phases_sum_to_the_energy_of_a_request_and_reading_costs_what_it_truly_does(
    tried: tuple[Store, Config, dict[str, Day]],
) -> None:
    store, facts, days = tried
    rows = {row["service"]: row for row in energy_by_phase(store, facts, Query(), NOW_US)}
    for service, row in rows.items():
        parts = sum(row[name] for name in ("prefill_j", "decode_j", "undivided_j", "idle_j", "host_j", "facility_j"))
        assert parts == pytest.approx(row["energy_j"])
        day = days[service]
        law, fresh = day.server, day.input_tokens - day.cached_tokens
        reading = float((law.prefill_j * fresh + law.prefill_square_j * fresh.astype(float) ** 2).mean())
        assert row["prefill_j"] == pytest.approx(reading, rel=0.05)
        assert row["undivided_j"] == 0
    whole = {row["service"]: row for row in query_rows(store, facts, group=("service",))}
    for service, row in rows.items():
        total = (row["energy_j"] + row["awake_j"]) * row["requests"] / J_PER_KWH
        unattributed = sum(
            r["energy_kwh"]
            for r in query_rows(store, facts, group=("service", "use_case"))
            if (r["service"], r["use_case"]) == (service, "(unattributed)")
        )
        assert total + unattributed == pytest.approx(whole[service]["energy_kwh"])


def test_the_register_says_who_mends_what_and_keeps_what_no_longer_occurs(tried: tuple[Store, Config, dict[str, Day]]) -> None:
    store, facts, _ = tried
    rows = action_register(store, facts, None, None)
    mine = next(row for row in rows if (row["service"], row["cause"]) == ("small", CAUSES[0]))
    assert (mine["owner"], mine["status"], mine["since"]) == ("operations", "under-way", "2026-07-01")
    assert not facts.actions[0].concerns(CAUSES[0], "large", "(idle)")
    assert facts.actions[1].concerns("failed requests", "large", "letters")
    done = [row for row in rows if row["cause"] == "failed requests"]
    assert [(row["owner"], row["status"], row["energy_kwh"], row["hours"]) for row in done] == [("gateway", "done", 0.0, None)]


def test_an_empty_store_has_no_models_no_steps_and_a_register_of_unknown_energy(sqlite: Store) -> None:
    facts = parse_config(TEXT)
    assert compare_models(sqlite, facts, Query(), NOW_US) == []
    assert energy_by_step_size(sqlite, None, None) == []
    assert energy_by_phase(sqlite, facts, Query(), NOW_US) == []
    assert [row["energy_kwh"] for row in action_register(sqlite, facts, None, None)] == [None, None]


def test_every_table_is_answered_over_http(tried: tuple[Store, Config, dict[str, Day]]) -> None:
    store, facts, _ = tried
    client = local_client(api_over(store, facts, lambda: NOW_US))
    for name in TABLE_NAMES:
        answer = client.get(f"/api/v1/tables/{name}").json()
        assert answer["rows"], name
        assert set(answer["rows"][0]) == set(answer["columns"])
        assert client.get(f"/api/v1/tables/{name}?format=csv").text.startswith(answer["columns"][0])
    limited = client.get("/api/v1/tables/models?use_case=letters&min_score=0.85&where=service=large").json()["rows"]
    assert [(row["model"], row["meets_limits"]) for row in limited] == [("m-large", True)]
    assert client.get("/api/v1/tables/nothing").status_code == 404


def test_causes_of_the_configuration_are_those_of_the_register() -> None:
    assert set(CAUSES) == {
        avoidable_energy.EMPTY_NIGHTS,
        avoidable_energy.EMPTY_WORKING_HOURS,
        *avoidable_energy._CAUSE_BY_STATUS.values(),
    }


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ('[[evaluation]]\nmodel = "m"\nscore = 0.5\n', "source is missing"),
        ('[[evaluation]]\nmodel = "m"\nscore = [0.9, 0.5, 0.7]\nsource = "x"\n', "in that order"),
        ('[[evaluation]]\nmodel = "m"\nscore = "good"\nsource = "x"\n', "score must be a number"),
        ('[[evaluation]]\nmodel = "m"\nscore = 1\nsource = "x"\nanswers = -1\n', "answers must be a whole number"),
        ('[[evaluation]]\nscore = 1\nsource = "x"\n', "evaluation without model"),
        ('[[action]]\ncause = "laziness"\nowner = "x"\nstatus = "open"\n', "cause is 'laziness'"),
        ('[[action]]\ncause = "failed requests"\nowner = "x"\nstatus = "soon"\n', "status is 'soon'"),
        ('[[action]]\ncause = "failed requests"\nstatus = "open"\n', "owner is missing"),
        ('[[action]]\ncause = "failed requests"\nowner = "x"\nstatus = "open"\nsince = "soon"\n', "since is 'soon'"),
        ('[[action]]\ncause = "failed requests"\nowner = "x"\nstatus = "open"\nwho = "y"\n', "who"),
    ],
)
def test_what_cannot_be_right_is_refused(block: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(CONFIG + block)
