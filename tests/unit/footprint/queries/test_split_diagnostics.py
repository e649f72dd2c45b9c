"""From files to divided energy: the step model through the whole program, and what a person can ask about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from footprint.aggregation import METHOD_VERSION
from footprint.cli.app import status_of
from footprint.config import parse_config
from footprint.core.timestamps import format_instant
from footprint.ledger.importers import import_energy, import_requests
from footprint.notebook.attribution_frames import BadFrame, attribute_frames
from footprint.queries.energy_balance import energy_balance
from footprint.queries.split_diagnostics import model_shares, split_diagnostics
from footprint.storage.database import Store
from tests.simulation.server import VARIANTS, Day, simulate, write_files
from tests.support.commands import printed_rows
from tests.support.contract_files import DAY_S, NOW_US, compute, query_rows
from tests.support.figure_rows import add_microjoule

CONFIG = """
[organisation]
timezone = "UTC"
[[site]]
name = "s"
pue = 1.3
[[host]]
name = "a"
site = "s"
uplift = 1.2
[[service]]
name = "chat"
model = "m"
devices = ["a/gpu:0", "a/gpu:1", "a/gpu:2", "a/gpu:3"]
"""
LAW = VARIANTS["low-load"]


@pytest.fixture(scope="module")
def day() -> Day:
    return simulate(LAW, 1)


@pytest.fixture(scope="module")
def files(day: Day, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    energy, requests = write_files(day, tmp_path_factory.mktemp("day"), host="a", service="chat", begin_s=DAY_S)
    return str(energy), str(requests)


@pytest.fixture(scope="module")
def computed(files: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}")
    import_energy(store, files[0], NOW_US)
    import_requests(store, parse_config(CONFIG), files[1], NOW_US)
    compute(store, parse_config(CONFIG))
    return store


def use_case_rows(store: Store, **question: object) -> dict[str, dict[str, object]]:
    return {row["use_case"]: row for row in query_rows(store, parse_config(CONFIG), group=("use_case",), **question)}


def test_what_a_use_case_used_comes_within_a_percent_of_the_truth(computed: Store, day: Day) -> None:
    rows = use_case_rows(computed)
    active = np.array([rows[kind.name]["accelerator_active_kwh"] for kind in LAW.kinds], dtype=float)
    found = active / active.sum()
    assert np.abs(found - day.truth()).sum() <= 0.01
    for kind, share in zip(LAW.kinds, day.truth(), strict=True):
        row = rows[kind.name]
        assert (
            row["energy_low_kwh"]
            < row["energy_kwh"] * share / found[[k.name for k in LAW.kinds].index(kind.name)]
            < row["energy_high_kwh"]
        )
    assert rows["chat"]["method_version"] == METHOD_VERSION


def test_the_fit_is_kept_with_its_diagnostics(computed: Store, day: Day) -> None:
    (row,) = split_diagnostics(computed, None, None)
    assert (row["service"], row["host"], row["date"], row["status"]) == ("chat", "a", "2026-07-01", "ok")
    assert row["residual"] < 0.01
    assert "step=" in row["coefficients"]
    told = model_shares(computed, None, None)
    assert sum(each["share"] for each in told) == pytest.approx(1.0)
    truth = dict(zip([kind.name for kind in LAW.kinds], day.truth(), strict=True))
    for each in told:
        assert each["share_low"] <= truth[each["use_case"]] <= each["share_high"]


def test_any_order_of_runs_ends_in_the_same_rows(computed: Store, files: tuple[str, str], tmp_path: Path) -> None:
    other, facts = Store(f"sqlite:///{tmp_path / 'other.db'}"), parse_config(CONFIG)
    import_requests(other, facts, files[1], NOW_US)
    compute(other, facts)
    half = tmp_path / "half.csv"
    lines = Path(files[0]).read_text().splitlines(keepends=True)
    half.write_text("".join([lines[0], *lines[1:180_000]]))
    import_energy(other, str(half), NOW_US)
    compute(other, facts)
    import_energy(other, files[0], NOW_US)
    compute(other, facts)
    compute(other, facts, force=True)
    assert use_case_rows(other) == use_case_rows(computed)
    assert split_diagnostics(other, None, None) == split_diagnostics(computed, None, None)


def test_a_frame_in_a_notebook_gives_the_same_rows(computed: Store, files: tuple[str, str]) -> None:
    placements = pd.DataFrame({"service": "chat", "host": "a", "device": [f"gpu:{n}" for n in range(4)]})
    requests = pd.read_csv(files[1]).assign(model="m")
    given = attribute_frames(pd.read_csv(files[0]), placements, requests, uplift=1.2, pue=1.3)
    rows = given.rows.groupby("use_case")["energy_uj"].sum() / 3.6e12
    for use_case, row in use_case_rows(computed).items():
        assert rows[use_case] == pytest.approx(row["energy_kwh"], rel=1e-6)
    (diagnosis,) = given.diagnoses.values()
    assert diagnosis.status == "ok"
    with pytest.raises(BadFrame, match="lack the column host"):
        attribute_frames(pd.read_csv(files[0]).drop(columns="host"), placements, requests)


def test_a_gateway_two_minutes_off_changes_nothing(day: Day, files: tuple[str, str], tmp_path: Path) -> None:
    """The log is moved to where its work was done, so that idle and unattributed energy are right too."""
    requests = pd.read_csv(files[1])
    requests[["start", "end"]] = (requests[["start", "end"]] + 97).round(3)
    requests.drop(columns="first_token").to_csv(tmp_path / "late.csv", index=False)
    store, facts = Store(f"sqlite:///{tmp_path / 'late.db'}"), parse_config(CONFIG)
    import_energy(store, files[0], NOW_US)
    import_requests(store, facts, str(tmp_path / "late.csv"), NOW_US)
    compute(store, facts)
    assert split_diagnostics(store, None, None)[0]["lag_s"] == pytest.approx(-97, abs=1)
    rows = use_case_rows(store)
    active = np.array([rows[kind.name]["accelerator_active_kwh"] for kind in LAW.kinds], dtype=float)
    assert np.abs(active / active.sum() - day.truth()).sum() <= 0.02
    assert rows["(unattributed)"]["accelerator_active_kwh"] < 0.02 * active.sum()


def test_request_counts_alone_give_a_range_that_holds_the_truth(day: Day, files: tuple[str, str], tmp_path: Path) -> None:
    minute = (day.end_s // 60).astype(int)
    frame = pd.DataFrame({"minute": minute, "use_case": [LAW.kinds[u].name for u in day.use_case]})
    counts = frame.value_counts().reset_index(name="requests")
    counts["start"] = DAY_S + counts["minute"] * 60
    counts["end"] = counts["start"] + 60
    counts.assign(service="chat").drop(columns="minute").to_csv(tmp_path / "counts.csv", index=False)
    store, facts = Store(f"sqlite:///{tmp_path / 'counts.db'}"), parse_config(CONFIG)
    import_energy(store, files[0], NOW_US)
    import_requests(store, facts, str(tmp_path / "counts.csv"), NOW_US)
    compute(store, facts)
    rows = use_case_rows(store)
    whole = query_rows(store, facts)[0]["energy_kwh"]
    assert sum(row["energy_kwh"] or 0 for row in rows.values()) == pytest.approx(whole, rel=1e-12)
    for kind, joules in zip(LAW.kinds, np.bincount(day.use_case, weights=day.true_j), strict=True):
        row = rows[kind.name]
        assert row["energy_kwh"] is None
        assert row["accelerator_active_kwh"] is None
        assert row["requests"] == (day.use_case == LAW.kinds.index(kind)).sum()
        assert row["energy_low_kwh"] <= joules / 3.6e6 * 1.2 * 1.3 <= row["energy_high_kwh"]


def test_a_period_that_does_not_close_says_why(computed: Store, files: tuple[str, str], tmp_path: Path) -> None:
    facts = parse_config(CONFIG)
    (row,) = energy_balance(computed, facts, None, None)
    assert (row["closes"], row["residual_uj"], row["reason"]) == (True, 0, "")
    assert row["meter_kwh"] == pytest.approx(row["services_kwh"] + row["idle_kwh"] + row["unattributed_kwh"], rel=1e-12)
    store = Store(f"sqlite:///{tmp_path / 'open.db'}")
    import_energy(store, files[0], NOW_US)
    (row,) = energy_balance(store, facts, None, None)
    assert (row["closes"], row["state"], row["pending_days"], row["reason"]) == (None, "pending", 2, "")
    assert row["pending_since"] == format_instant(NOW_US)
    compute(store, facts)
    add_microjoule(store)
    (row,) = energy_balance(store, facts, None, None)
    assert (row["closes"], row["state"], row["residual_uj"]) == (False, "open", -1)
    assert "-1 µJ" in row["reason"]


def test_commands_print_what_figures_rest_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    until_evening = replace(LAW, kinds=tuple(replace(kind, hours="day") for kind in LAW.kinds))
    files = [str(each) for each in write_files(simulate(until_evening, 1), tmp_path, host="a", service="chat", begin_s=DAY_S)]
    requests = pd.read_csv(files[1])
    requests["status"] = np.where(np.arange(len(requests)) % 10 == 0, "cancelled", "ok")
    requests.to_csv(tmp_path / "r.csv", index=False)

    def rows(*arguments: str) -> list[dict[str, object]]:
        return printed_rows(capsys, *arguments)

    for command in ("splits", "avoidable", "coverage", "balance", "uncertainty"):
        assert status_of([command]) == 3, command
    assert status_of(["import", "energy", files[0]]) == 0
    assert status_of(["import", "requests", "r.csv"]) == 0
    assert [(row["state"], row["closes"], row["pending_days"]) for row in rows("balance")] == [("pending", None, 2)]
    assert status_of(["balance"]) == status_of(["ledger", "verify"]) == 0
    assert "days pending since" in capsys.readouterr().err
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    assert [(row["state"], row["closes"], row["pending_days"]) for row in rows("balance")] == [("closes", True, 0)]
    assert {row["status"] for row in rows("splits")} == {"ok"}
    assert len(rows("splits", "--shares")) == len(LAW.kinds)
    covered = rows("coverage")
    assert {row["device"] for row in covered} == {f"gpu:{n}" for n in range(4)}
    assert all(row["expected_s"] == row["measured_s"] == 86_400 and row["missing_s"] == 0 for row in covered)
    assert all(row["known_s"] == 86_400 and row["estimated_s"] == 0 for row in covered)

    registered = rows("avoidable")
    causes = {str(row["cause"]) for row in registered}
    assert causes == {"cancelled requests", "empty hours, nights and weekends", "empty hours, working time"}
    evening = next(row for row in registered if row["cause"] == "empty hours, nights and weekends")
    assert evening["hours"] == 7 + 4  # 0 to 7 h and 20 to 24 h; 18 to 20 h are working time
    given_up = sum(float(str(row["energy_kwh"])) for row in registered if row["cause"] == "cancelled requests")
    used = sum(float(str(row["energy_kwh"])) for row in rows("query", "--group", "use_case") if str(row["use_case"])[0] != "(")
    assert given_up == pytest.approx(0.1 * used, rel=0.15)
    assert sum(int(str(row["requests"] or 0)) for row in registered) == (requests["status"] == "cancelled").sum()

    by_cause = rows("uncertainty", "--group", "use_case")
    assert {"pue s", "uplift a", "gain gpu counter ", "split chat"} <= {str(row["cause"]) for row in by_cause}
    assert "split chat" not in {row["cause"] for row in rows("uncertainty", "--group", "service")}
    (moved,) = rows("change", "2026-07-01T08:00:00Z/2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z/2026-07-01T16:00:00Z")
    low, ratio, high = (float(str(moved[name])) for name in ("ratio_low", "ratio", "ratio_high"))
    assert low < ratio < high
    assert (high - low) / ratio < 0.12  # of levels that are known to 10 %
    assert status_of(["change", "2026-07-01", "2026-07-02/2026-07-03"]) == 2
