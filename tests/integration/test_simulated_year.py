"""Simulated quarters of the demonstration: files by arrival, energy that matches its true values, and their attribution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from footprint.aggregation.aggregate import aggregate
from footprint.config import load_config
from footprint.config.loader import parse_config
from footprint.core.units import US_PER_S
from footprint.editions.committee_decisions import read_decisions
from footprint.figures import parse_query, run_query
from footprint.ledger.factor_store import load_factor_book
from footprint.ledger.importers import import_energy, import_requests
from footprint.storage.database import Store
from tests.simulation.demo import config_with_past
from tests.simulation.year import DAY_S, DEPLOYMENTS, NOISE, SERVICE_ENERGY, Year, decisions, write_year

END_S = 1_794_009_600  # 2026-11-07T00:00:00Z
J_PER_KWH = 3_600_000


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Year]:
    folder = tmp_path_factory.mktemp("year")
    return folder, write_year(folder, END_S, 2026)


def rows_of_arrivals(folder: Path, year: Year, kind: str) -> pd.DataFrame:
    """Rows of all arrivals, with the number of the arrival."""
    frames = [pd.read_csv(folder / f"past-{number}-{kind}.csv").assign(arrival=number) for number in range(len(year.arrivals))]
    return pd.concat(frames, ignore_index=True)


def test_arrivals_contain_no_future_data_and_late_readings_arrive_late(past: tuple[Path, Year]) -> None:
    folder, year = past
    assert [str(period) for _, period in year.releases] == [
        "2025-Q3",
        "2025-Q3",
        "2025-Q4",
        "2025-Q4",
        "2026-Q1",
        "2026-Q1",
        "2026-Q2",
        "2026-Q2",
        "2026-Q3",
    ]
    energy, ends = rows_of_arrivals(folder, year, "energy"), np.array(year.arrivals)
    assert not energy.duplicated(["host", "device", "time"]).any()
    assert (energy["time"] <= ends[energy["arrival"]]).all()
    late = energy[energy["time"] <= np.append(0, ends)[energy["arrival"]]]
    assert set(late["host"]) == {"demo-inf-02"}
    # They arrive after the provisional edition of their quarter and before the final one.
    assert [str(year.releases[number][1]) for number in sorted(set(late["arrival"]))] == ["2025-Q4", "2026-Q2"]
    for number, (begin, end, _) in zip(sorted(set(late["arrival"])), year.late, strict=True):
        times = late[late["arrival"] == number]["time"]
        assert begin < times.min() <= times.max() < end
    second = energy[energy["host"] == "demo-inf-02"]["time"]
    assert not second.between(*year.lost, inclusive="neither").any()
    requests = rows_of_arrivals(folder, year, "requests")
    assert (requests["end"] <= ends[requests["arrival"]]).all()
    assert (requests["requests"] > 1).all()  # a count of one looks like a request that ran for an hour
    assert not (requests["start"] // DAY_S % 7 == 3).any()  # Sundays


def test_counters_equal_idle_energy_plus_true_energy(past: tuple[Path, Year]) -> None:
    folder, year = past
    energy, truth = rows_of_arrivals(folder, year, "energy").sort_values("time"), pd.read_csv(folder / "past-truth.csv")
    chat = DEPLOYMENTS[0]
    measured = 0.0
    for device in chat.devices:
        counter = energy[(energy["host"] == chat.host) & (energy["device"] == device)]
        measured += counter["energy_j"].iloc[-1] - SERVICE_ENERGY["chat"].idle_w * (
            counter["time"].iloc[-1] - counter["time"].iloc[0] + 1
        )
    assert measured == pytest.approx(truth[truth["service"] == "chat"]["active_j"].sum(), rel=NOISE)
    # The counters of the second host restarted three times; the energy in between was never read.
    code = energy[(energy["host"] == "demo-inf-02") & (energy["device"] == "gpu:0")]["energy_j"]
    assert (code.diff() < 0).sum() == 3


def test_the_configuration_contains_the_events_of_the_year(past: tuple[Path, Year]) -> None:
    folder, year = past
    (folder / "footprint.toml").write_text(config_with_past(year, END_S), encoding="utf-8")
    (folder / "decisions.toml").write_text(decisions(year), encoding="utf-8")
    config = load_config(str(folder / "footprint.toml"))
    assert config.demo
    models = [(fact.model, fact.since_us < year.model_changed_s * US_PER_S) for fact in config.services if fact.name == "chat"]
    assert models == [("demo-70b", True), ("demo-24b", False)]
    assert {fact.charter for fact in config.use_cases if fact.name == "traduction"} == {"under-study", "authorised"}
    assert len(config.objectives) == 3
    assert len(config.annotations) == 5
    (decision,) = read_decisions(config, "2026-Q2")
    assert decision.date == year.date(year.decided_s)[:10]
    assert parse_config(config_with_past(year, END_S)).window_s == 900


@pytest.mark.slow
def test_idle_power_is_learnt_and_use_cases_get_their_true_energy(past: tuple[Path, Year]) -> None:
    folder, year = past
    (folder / "footprint.toml").write_text(config_with_past(year, END_S), encoding="utf-8")
    config = load_config(str(folder / "footprint.toml"))
    store, now_us = Store(config.store_url, demo=True), END_S * US_PER_S
    import_energy(store, str(folder / "past-0-energy.csv"), now_us)
    import_requests(store, config, str(folder / "past-0-requests.csv"), now_us)
    first_s, last_s = year.start_s + 21 * DAY_S, year.start_s + 28 * DAY_S
    aggregate(store, config, load_factor_book(store), now_us, first_s * US_PER_S, last_s * US_PER_S)
    query = parse_query(config.timezone, group="service,use_case", from_=year.date(first_s), to=year.date(last_s))
    energy = {(row["service"], row["use_case"]): row for row in run_query(store, config, query, now_us).rows}
    store.close()
    total_kwh = sum(row["energy_kwh"] for row in energy.values())
    assert sum(row["energy_kwh"] for (_, use), row in energy.items() if use == "(unattributed)") < 0.01 * total_kwh
    assert all(energy[deployment.service, "(idle)"]["accelerator_idle_kwh"] > 0 for deployment in DEPLOYMENTS[:3])
    truth = pd.read_csv(folder / "past-truth.csv")
    truth = (
        truth[truth["day_start"].between(first_s, last_s, inclusive="left")].groupby(["service", "use_case"])["active_j"].sum()
    )
    assert len(truth) == 9
    for key, joules in truth.items():
        assert energy[key]["accelerator_active_kwh"] == pytest.approx(joules / J_PER_KWH, rel=0.05), key
