"""Impacts beside location-based emissions: worked examples by hand, and what is missing stays missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.aggregation.basis_lookup import host_embodied_ug_per_s
from footprint.attribution.embodied import split_embodied
from footprint.cli.app import status_of
from footprint.config import ConfigError
from footprint.config.models import HostFact
from footprint.core.estimate import Estimate
from footprint.impact.embodied import end_of_life_us
from footprint.impact.factor_book import shipped_book
from footprint.storage.database import Store
from tests.support.commands import printed_rows
from tests.support.contract_files import DAY_S, NOW_US, compute, config, import_files, query_rows, write

HOURS = 2
CONFIG = """
[organisation]
timezone = "Europe/Paris"
[[site]]
name = "p"
pue = 1.5
wue_l_per_kwh = 0.4
market_factor_g_per_kwh = 12.0
market_evidence = "GO 2026, register 4711"
[[host]]
name = "a"
site = "p"
uplift = 1.2
embodied = { server_kgco2e = 5700, lifetime_years = 5 }
[[service]]
name = "chat"
devices = ["a/gpu:0", "a/gpu:1"]
"""
REQUESTS = ["start,end,service,use_case", f"{DAY_S + 600},{DAY_S + 1800},chat,x", f"{DAY_S + 1200},{DAY_S + 1800},chat,y"]


def power(host: str = "a") -> list[str]:
    """Two GPUs of 100 W at rest, 300 W from 600 s to 1800 s."""
    found = ["time,host,device,component,power_w"]
    for second in range(0, HOURS * 3600 + 1, 5):
        watts = 300 if 600 <= second <= 1800 else 100
        found += [f"{DAY_S + second},{host},gpu:{n},gpu,{watts}" for n in (0, 1)]
    return found


def rows(store: Store, text: str, tmp_path: Path, **question: object) -> dict[str, dict[str, object]]:
    facts = config(text)
    import_files(store, facts, tmp_path, power(), REQUESTS)
    compute(store, facts)
    return {row["use_case"]: row for row in query_rows(store, facts, group=("use_case",), **question)}


def test_each_impact_is_what_one_computes_by_hand(sqlite: Store, tmp_path: Path) -> None:
    """Facility kWh x factor; IT kWh x WUE; TE x TiR / EL of ISO/IEC 21031."""
    found = rows(sqlite, CONFIG, tmp_path)
    (whole,) = query_rows(sqlite, config(CONFIG))
    energy, it = whole["energy_kwh"], whole["energy_kwh"] / 1.5
    assert whole["co2e_market_g"] == pytest.approx(12.0 * energy, rel=1e-12)
    assert whole["water_l"] == pytest.approx(0.4 * it + 3.6737 * energy, rel=1e-12)
    assert whole["adpe_kgsb"] == pytest.approx(4.858e-8 * energy, rel=1e-12)
    assert whole["primary_energy_mj"] == pytest.approx(9.3135 * energy, rel=1e-12)
    # 5,700 kg over 5 years of 8,760 h are 130.137 g an hour, whether the server works or not.
    assert whole["embodied_g"] == pytest.approx(5_700_000 / (5 * 8760) * HOURS, rel=1e-7)
    assert whole["sci_g_per_request"] == pytest.approx((whole["co2e_location_g"] + whole["embodied_g"]) / 2, rel=1e-12)
    for name in ("co2e_market_g", "embodied_g", "water_l", "adpe_kgsb", "primary_energy_mj"):
        assert sum(float(str(row[name])) for row in found.values()) == pytest.approx(whole[name], rel=1e-9)


def test_embodied_impact_follows_time_and_not_use(sqlite: Store, tmp_path: Path) -> None:
    """x alone for 600 s, with y for 600 s: 900 s and 300 s of 7,200; the rest is the loaded server's at rest."""
    found = rows(sqlite, CONFIG, tmp_path)
    per_s = 5_700_000 / (5 * 8760 * 3600)
    assert found["x"]["embodied_g"] == pytest.approx(900 * per_s, rel=0.02)
    assert found["y"]["embodied_g"] == pytest.approx(300 * per_s, rel=0.02)
    assert found["(idle)"]["embodied_g"] == pytest.approx(6000 * per_s, rel=0.02)
    full = {r["use_case"]: r for r in query_rows(sqlite, config(CONFIG), group=("use_case",), view="full")}
    assert sum(float(str(row["embodied_g"])) for row in full.values()) == pytest.approx(7200 * per_s, rel=1e-7)
    assert "(idle)" not in full


def test_cutting_a_period_cuts_the_embodied_impact_too(sqlite: Store, tmp_path: Path) -> None:
    rows(sqlite, CONFIG, tmp_path)
    cut_us = (DAY_S + 3600) * 1_000_000
    before, after = (query_rows(sqlite, config(CONFIG), **{name: cut_us})[0] for name in ("to_us", "from_us"))
    assert before["embodied_g"] == pytest.approx(3600 * 5_700_000 / (5 * 8760 * 3600), rel=1e-6)
    assert before["embodied_g"] + after["embodied_g"] == pytest.approx(5_700_000 / (5 * 8760) * HOURS, rel=1e-6)


def test_what_nobody_declared_is_empty_and_never_zero(sqlite: Store, tmp_path: Path) -> None:
    text = CONFIG.replace("market_factor_g_per_kwh = 12.0\n", "").replace('market_evidence = "GO 2026, register 4711"\n', "")
    text = text.replace("embodied = { server_kgco2e = 5700, lifetime_years = 5 }\n", "").replace("wue_l_per_kwh = 0.4\n", "")
    found = rows(sqlite, text, tmp_path)["x"]
    assert (found["co2e_market_g"], found["embodied_g"], found["sci_g_per_request"]) == (None, None, None)
    assert "assumed-wue" in str(found["flags"])
    assert found["water_l"] is not None


def test_a_zone_without_a_factor_leaves_its_impact_empty(sqlite: Store, tmp_path: Path) -> None:
    found = rows(sqlite, CONFIG.replace('name = "p"\npue', 'name = "p"\nzone = "AW"\npue'), tmp_path)["x"]
    assert (found["water_l"], found["adpe_kgsb"], found["primary_energy_mj"]) == (None, None, None)
    assert found["co2e_location_g"] is not None


def test_past_its_declared_life_a_server_has_nothing_left_to_spread(sqlite: Store, tmp_path: Path) -> None:
    old = CONFIG.replace("lifetime_years = 5 }", 'lifetime_years = 5, in_service = "2020-01-01" }')
    found = rows(sqlite, old, tmp_path)["x"]
    assert found["embodied_g"] == 0
    assert "embodied-life-over" in str(found["flags"])


def test_market_factors_count_with_evidence_only() -> None:
    with pytest.raises(ConfigError, match="evidence"):
        config(CONFIG.replace('market_evidence = "GO 2026, register 4711"\n', ""))
    with pytest.raises(ConfigError, match="embodied must be"):
        config(CONFIG.replace("server_kgco2e = 5700", "server_kg = 5700"))


def test_accelerators_count_as_declared_or_by_their_model() -> None:
    """EcoLogits' rate by hand: (5700/8 + 164) / 26,280 h is 33.4 g a GPU-hour at three years."""
    fact = HostFact("a", "p", Estimate.exactly(1.2), server_embodied_kgco2e=5700.0, lifetime_years=3.0)
    known = host_embodied_ug_per_s(fact, ["NVIDIA H100 80GB HBM3"] * 8, shipped_book(), 0)
    assert known * 3600 / 1e6 / 8 == pytest.approx(33.4, abs=0.05)
    assert host_embodied_ug_per_s(fact, ["unheard-of"] * 8, shipped_book(), 0) == pytest.approx(5700e9 / (3 * 8760 * 3600))
    assert end_of_life_us(fact.in_service_us, fact.lifetime_years) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 10**9), st.integers(-10, 10**9), st.booleans()),
        max_size=30,
    ),
    st.lists(st.integers(0, 10**12), min_size=4, max_size=4),
)
def test_embodied_parts_sum_to_the_whole(cells: list[tuple[int, int, int, int, bool]], whole: list[int]) -> None:
    window, device, idle, energy, accelerator = (np.array([c[i] for c in cells], dtype=np.int64) for i in range(5))
    parts = split_embodied(window, device, idle, energy, accelerator, np.array(whole, dtype=np.int64))
    assert (parts >= 0).all()
    for number in range(4):
        assert parts[window == number].sum() == (whole[number] if (window == number).any() else 0)


FACTORS = """kind,where,valid_from,valid_to,value,low,high,unit,scope,source,licence,retrieved
carbon_intensity,FR,2026-01-01,2027-01-01,52,47,57,g/kWh,"life cycle, consumption","Base Empreinte, mix moyen 2026, version 23.4",Licence Ouverte 2.0,2026-11-24
carbon_intensity,DE,2026-01-01,2027-01-01,340,,,g/kWh,"life cycle","a source",CC-BY-4.0,2026-11-24
"""


def test_a_revised_factor_changes_exactly_what_rests_on_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    (tmp_path / "ademe.csv").write_text(FACTORS)

    def printed(*arguments: str) -> list[dict[str, object]]:
        return printed_rows(capsys, *arguments)

    assert status_of(["import", "energy", write(tmp_path / "e.csv", power())]) == 0
    assert status_of(["import", "requests", write(tmp_path / "r.csv", REQUESTS)]) == 0
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    (before,) = printed("query")
    (changed,) = printed("factors", "diff", "ademe.csv")
    assert (changed["kind"], changed["where"], changed["value_before"], changed["value_after"]) == (
        "carbon_intensity",
        "FR",
        44.2,
        52.0,
    )
    assert changed["figure_before"] == pytest.approx(before["co2e_location_g"], rel=1e-9)
    assert printed("query") == [before]  # nothing is adopted yet

    assert status_of(["factors", "import", "ademe.csv", "--bundle", "ademe-2026"]) == 0
    assert status_of(["factors", "import", "ademe.csv", "--bundle", "ademe-2026"]) == 0
    assert "already known" in capsys.readouterr().err
    assert printed("factors", "show", "carbon_intensity", "FR", "--at", "2026-07-01")[0]["bundle"] == "ademe-2026"
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    (after,) = printed("query")
    assert after["co2e_location_g"] == pytest.approx(52 * float(str(after["energy_kwh"])), rel=1e-12)
    assert after["co2e_location_g"] == pytest.approx(changed["figure_after"], rel=1e-9)
    assert after["factor_version"] == "ademe-2026"
    same = set(before) - {"co2e_location_g", "co2e_location_low_g", "co2e_location_high_g", "sci_g_per_request", "factor_version"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert printed("factors", "diff", "ademe.csv") == []

    (tmp_path / "other.csv").write_text(FACTORS.replace(",52,", ",53,"))
    assert status_of(["factors", "import", "other.csv", "--bundle", "ademe-2026"]) == 1
    assert "never change" in capsys.readouterr().err
    (tmp_path / "bad.csv").write_text(FACTORS.replace("Licence Ouverte 2.0", ""))
    assert status_of(["factors", "import", "bad.csv"]) == 1
    assert "bad.csv:2: licence is empty" in capsys.readouterr().err
    assert status_of(["factors", "import", "nowhere.csv"]) == 1


def test_scores_say_their_formula_and_boundary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    tokens = [
        "start,end,service,use_case,output_tokens",
        f"{DAY_S + 600},{DAY_S + 1800},chat,x,500",
        f"{DAY_S + 1200},{DAY_S + 1800},chat,y,",
    ]
    assert status_of(["scores"]) == 3
    assert status_of(["import", "energy", write(tmp_path / "e.csv", power())]) == 0
    assert status_of(["import", "requests", write(tmp_path / "r.csv", tokens)]) == 0
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    x = next(row for row in printed_rows(capsys, "query", "--group", "use_case") if row["use_case"] == "x")
    scored = {(r["use_case"], r["score"]): r for r in printed_rows(capsys, "scores", "--group", "use_case", "--lang", "fr")}
    whole_g = x["co2e_location_g"] + x["embodied_g"]
    assert scored["x", "sci_g_per_request"]["value"] == pytest.approx(x["sci_g_per_request"], rel=1e-12)
    assert scored["x", "sci_g_per_1000_output_tokens"]["value"] == pytest.approx(whole_g / 0.5, rel=1e-12)
    assert scored["y", "sci_g_per_1000_output_tokens"]["value"] is None
    assert scored["x", "full_stack_wh_per_request"]["value"] == pytest.approx(1000 * x["energy_kwh"], rel=1e-12)
    accelerators = x["accelerator_active_kwh"] + x["accelerator_idle_kwh"]
    assert scored["x", "accelerator_wh_per_request"]["value"] == pytest.approx(1000 * accelerators, rel=1e-12)
    assert "Hors périmètre" in scored["x", "sci_g_per_request"]["boundary"]

    lines = {row["score"]: row for row in printed_rows(capsys, "inventory")}
    assert set(lines) == {"scope_2_location", "scope_2_market", "scope_3_category_2"}
    assert lines["scope_3_category_2"]["value"] == pytest.approx(5700 / (5 * 8760) * HOURS, rel=1e-6)
    assert status_of(["scores", "--lang", "de"]) == 2


def test_a_scenario_is_computed_by_hand_and_says_that_it_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    assert status_of(["what-if", "--pue", "1.2"]) == 3
    assert status_of(["import", "energy", write(tmp_path / "e.csv", power())]) == 0
    assert status_of(["import", "requests", write(tmp_path / "r.csv", REQUESTS)]) == 0
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()

    def row(*arguments: str) -> dict[str, float]:
        return printed_rows(capsys, "what-if", *arguments)[0]

    there = row("--zone", "DE", "--pue", "1.2", "--uplift", "1.1", "--lifetime-years", "3")
    parts = there["energy_kwh"] / 1.5 / 1.2
    assert there["scenario_energy_kwh"] == pytest.approx(parts * 1.1 * 1.2, rel=1e-9)
    germany = shipped_book().find("carbon_intensity", "DE", DAY_S * 1_000_000, config(CONFIG).timezone).value
    assert there["scenario_co2e_location_g"] == pytest.approx(parts * 1.1 * 1.2 * germany, rel=1e-9)
    assert there["scenario_embodied_g"] == pytest.approx(there["embodied_g"] * 5 / 3, rel=1e-9)
    assert there["label"] == "scenario, not a measurement"
    same = row("--pue", "1.5")
    assert same["scenario_energy_kwh"] == pytest.approx(same["energy_kwh"], rel=1e-9)
    assert same["scenario_co2e_location_g"] == pytest.approx(same["co2e_location_g"], rel=1e-9)
    assert status_of(["what-if"]) == 2
    assert status_of(["what-if", "--zone", "XX"]) == 1


def test_an_export_has_the_columns_of_codecarbon_and_its_sums(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where definitions are the same, so are figures: emissions = energy x the intensity of the same table."""
    import dataclasses

    emissions_data = pytest.importorskip("codecarbon.output_methods.emissions_data")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG + '[factors]\nelectricity = "carbon_intensity_codecarbon"\n')
    assert status_of(["export", "codecarbon"]) == 3
    assert status_of(["import", "energy", write(tmp_path / "e.csv", power())]) == 0
    assert status_of(["import", "requests", write(tmp_path / "r.csv", REQUESTS)]) == 0
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    assert status_of(["export", "codecarbon", "--format", "json"]) == 0
    given = json.loads(capsys.readouterr().out)
    assert given["columns"] == [field.name for field in dataclasses.fields(emissions_data.EmissionsData)]
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import GeoMetadata
    from codecarbon.input import DataSource

    theirs = Emissions(DataSource()).get_country_emissions(
        Energy.from_energy(kWh=sum(row["energy_consumed"] for row in given["rows"])), GeoMetadata("FRA", "France")
    )
    assert sum(row["emissions"] for row in given["rows"]) == pytest.approx(theirs, rel=1e-3)


def test_a_price_that_the_operator_enters_gives_euros(sqlite: Store, tmp_path: Path) -> None:
    from footprint.ledger.factor_store import import_factors, load_factor_book

    facts = config(CONFIG)
    import_files(sqlite, facts, tmp_path, power(), REQUESTS)
    compute(sqlite, facts)
    assert query_rows(sqlite, facts)[0]["cost_eur"] is None
    header = FACTORS.splitlines()[0]
    path = write(
        tmp_path / "price.csv",
        [header, 'electricity_price,FR,2026-01-01,,0.2,,,EUR/kWh,"contract, taxes included","invoice 2026",own,2026-11-24'],
    )
    import_factors(sqlite, path, "price-2026", NOW_US)
    from footprint.aggregation.aggregate import aggregate

    aggregate(sqlite, facts, load_factor_book(sqlite), NOW_US)
    (row,) = query_rows(sqlite, facts)
    assert row["cost_eur"] == pytest.approx(0.2 * row["energy_kwh"], rel=1e-12)


def test_every_factor_file_states_its_licence() -> None:
    assert all(factor.licence and "AGPL" not in factor.licence for factor in shipped_book().factors)
    assert NOW_US > 0


@pytest.fixture
def walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder in which the walk of CONFIG was done, with tokens and two models."""
    monkeypatch.chdir(tmp_path)
    second = '[[service]]\nname = "big"\nmodel = "m2"\ndevices = ["a/gpu:1"]\n'
    text = (
        CONFIG.replace('name = "chat"\ndevices = ["a/gpu:0", "a/gpu:1"]', 'name = "chat"\nmodel = "m1"\ndevices = ["a/gpu:0"]')
        + second
    )
    (tmp_path / "footprint.toml").write_text(text.replace("pue = 1.5\n", 'pue = 1.5\npue_category = 2\npue_evidence = "audit"\n'))
    requests = [
        "start,end,service,use_case,output_tokens",
        f"{DAY_S + 600},{DAY_S + 1800},chat,x,900",
        f"{DAY_S + 600},{DAY_S + 1800},big,x,300",
    ]
    assert status_of(["import", "energy", write(tmp_path / "e.csv", power())]) == 0
    assert status_of(["import", "requests", write(tmp_path / "r.csv", requests)]) == 0
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    capsys.readouterr()
    return printed_rows(capsys, *arguments)


def test_another_model_is_judged_by_what_it_took(walked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_model = {row["model"]: row for row in asked(capsys, "query", "--group", "model")}
    (row,) = asked(capsys, "what-if", "--model", "m2", "--group", "service", "--where", "service=chat", "--where", "use_case=x")
    assert row["scenario_energy_kwh"] == pytest.approx(3 * float(str(by_model["m2"]["energy_kwh"])), rel=0.5)
    (m2,) = asked(capsys, "query", "--where", "model=m2")
    assert row["scenario_energy_kwh"] == pytest.approx(900 / 300 * float(str(m2["energy_kwh"])), rel=1e-12)
    assert row["scenario_energy_low_kwh"] < row["scenario_energy_kwh"] < row["scenario_energy_high_kwh"]  # type: ignore[operator]
    assert row["label"] == "scenario, not a measurement"
    assert status_of(["what-if", "--model", "m3"]) == 2
    assert status_of(["what-if", "--model", "m2", "--pue", "1.2"]) == 2
    assert walked.is_dir()


def test_other_hours_shift_the_series_and_not_the_energy(walked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All energy between 0 and 2 h UTC; the series is 10 g in the first six hours and 40 g after."""
    lines = ["time,g_per_kwh", *(f"{DAY_S + 3600 * h},{10 if h < 6 else 40}" for h in range(24))]
    assert status_of(["factors", "series", write(walked / "s.csv", lines), "--name", "mine", "--zone", "FR"]) == 0
    (row,) = asked(capsys, "what-if", "--shift-hours", "6", "--series", "mine")
    energy = float(str(row["energy_kwh"]))
    assert (row["co2e_hourly_g"], row["scenario_co2e_hourly_g"]) == (pytest.approx(10 * energy), pytest.approx(40 * energy))
    assert "I(h + +6 h)" in str(row["formula"])
    assert status_of(["what-if", "--shift-hours", "6"]) == 2
    assert status_of(["hourly", "watttime-marginal"]) == 2


def test_sensitivity_shows_each_table_and_each_life(walked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (whole,) = asked(capsys, "query")
    rows = {(row["figure"], row["variant"]): row for row in asked(capsys, "sensitivity")}
    energy = float(str(whole["energy_kwh"]))
    for kind, grams in (("carbon_intensity", 44.2), ("carbon_intensity_boavizta", 98.0), ("carbon_intensity_ecologits", 41.44)):
        assert rows["co2e_location_g", kind]["value"] == pytest.approx(grams * energy, rel=1e-9)
        assert rows["co2e_location_g", kind]["source"]
    assert rows["co2e_location_g", "carbon_intensity"]["ratio"] == pytest.approx(1.0)
    lives = [rows["embodied_g", f"life of {years} years"]["ratio"] for years in (3, 5, 6)]
    assert lives == [pytest.approx(5 / 3), pytest.approx(1.0), pytest.approx(5 / 6)]
    low, high = (rows["water_l", f"{end} factors, on and off site"]["value"] for end in ("low", "high"))
    assert low <= whole["water_l"] <= high  # type: ignore[operator]
    assert walked.is_dir()


def test_facts_are_dated_records_with_their_category(walked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = asked(capsys, "facts")
    pue = next(row for row in rows if row["fact"] == "pue" and row["of"] == "p")
    assert (pue["value"], pue["assumed"], pue["category"], pue["evidence"]) == (
        1.5,
        False,
        "ISO/IEC 30134-2, category 2",
        "audit",
    )
    assumed = next(row for row in rows if row["fact"] == "pue" and row["assumed"])
    assert (assumed["low"], assumed["value"], assumed["high"]) == (1.2, 1.5, 1.8)
    with pytest.raises(ConfigError, match="pue_category must be 1, 2 or 3"):
        config(CONFIG.replace("pue = 1.5\n", "pue = 1.5\npue_category = 4\n"))
    with pytest.raises(ConfigError, match="add pue"):
        config(CONFIG.replace("pue = 1.5\n", "pue_category = 1\n"))
    assert walked.is_dir()


def test_the_registry_of_methods_tells_of_every_column() -> None:
    from footprint.figures.query import COLUMNS
    from footprint.queries.methods import METHODS, method_rows

    told = {row["figure"] for row in method_rows("en")}
    besides = {"period_start", "period_end", "method_version", "factor_version", "status", "flags"}
    assert set(COLUMNS) - besides <= told
    assert all(text for method in METHODS for text in (*method.label, *method.words, method.formula, method.source))
    french, english = method_rows("fr"), method_rows("en")
    assert [row["figure"] for row in french] == [row["figure"] for row in english]
    assert not {row["words"] for row in french} & {row["words"] for row in english}


def test_boamps_reports_hold_what_the_format_requires(walked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["service"]: row for row in asked(capsys, "query", "--group", "service")}
    assert status_of(["export", "boamps", "--output", "reports"]) == 0
    reports = {path.stem: json.loads(path.read_text()) for path in sorted((walked / "reports").iterdir())}
    assert set(reports) == {"boamps-big", "boamps-chat"}
    for name, report in reports.items():
        row = rows[name.removeprefix("boamps-")]
        assert {"task", "measures", "infrastructure"} <= set(report)
        assert {"taskStage", "taskFamily", "algorithms", "dataset"} <= set(report["task"])
        assert report["measures"][0]["powerConsumption"] == row["energy_kwh"]
        assert report["infrastructure"]["infraType"] in ("publicCloud", "privateCloud", "onPremise", "other")
        assert all({"componentType", "nbComponent"} <= set(each) for each in report["infrastructure"]["components"])
        assert report["quality"] in ("high", "medium", "low")
        assert report["header"]["publisher"]["confidentialityLevel"] == "internal"
        assert report["environment"]["country"] == "FR"
    assert reports["boamps-chat"]["task"]["dataset"] == [{"dataQuantity": 900, "dataType": "token", "dataUsage": "output"}]
    assert status_of(["export", "boamps"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert status_of(["export", "other"]) == 2
