"""A service on several hosts is one meter: one fit, one split, whatever the order in which data came or who computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from footprint.aggregation import executors
from footprint.aggregation.fleet import place_service
from footprint.config import Config, ConfigError, parse_config
from footprint.core.units import US_PER_DAY
from footprint.ledger.archive_writer import seal
from footprint.ledger.backup import backup, restore
from footprint.ledger.importers import import_energy, import_requests
from footprint.ledger.object_store import ObjectStore
from footprint.ledger.placements import Tenure
from footprint.queries.avoidable_energy import avoidable_energy
from footprint.queries.split_diagnostics import model_shares, split_diagnostics
from footprint.storage import schema
from footprint.storage.database import Store, table
from tests.simulation.replicas import Fleet, busier, simulate_fleet
from tests.simulation.server import DAY_S as LENGTH_S
from tests.simulation.server import counters_j
from tests.support.contract_files import DAY_S, NOW_US, compute, query_rows
from tests.support.step_fits import server

HOSTS = ("h0", "h1", "h2")
NAMES = ("h0", "10.0.0.2", "h2")  # as the log calls them
FLEET = Fleet(replace(busier(server("small"), 0.06), devices=1), (3.0, 1.0, 1.0), leaves_s=12 * 3600)
CONFIG = """
[organisation]
timezone = "UTC"
[[site]]
name = "s"
pue = 1.3
""" + "\n".join(
    f'[[host]]\nname = "{host}"\nsite = "s"\n[[placement]]\nservice = "chat"\ndevices = ["{host}/gpu:0"]\n'
    + ('until = "2026-07-01T12:00:00Z"\n' if host == "h2" else "")
    for host in HOSTS
)


def write_fleet(folder: Path) -> dict[str, str]:
    """Files of a simulated day: the readings of each host every 10 s, and one log of requests."""
    paths = {}
    log = ["start,end,service,use_case,status,input_tokens,cached_input_tokens,output_tokens,id,replica"]
    for number, day in enumerate(simulate_fleet(FLEET, 3)):
        lines = ["time,host,device,component,energy_j"]
        counter = counters_j(day, number)[0]
        last = 12 * 3600 if HOSTS[number] == "h2" else LENGTH_S
        lines += [
            f"{DAY_S + at},{HOSTS[number]},gpu:0,gpu,{counter[at]:.6f}" for at in range(0, min(last, LENGTH_S - 10) + 1, 10)
        ]
        paths[HOSTS[number]] = _write(folder / f"{HOSTS[number]}.csv", lines)
        for i in range(len(day.start_s)):
            times = f"{DAY_S + day.start_s[i]:.3f},{DAY_S + day.end_s[i]:.3f}"
            tokens = f"{day.input_tokens[i]},{day.cached_tokens[i]},{day.output_tokens[i]}"
            status = "error" if i % 100 == 0 else "ok"
            log.append(
                f"{times},chat,{FLEET.server.kinds[day.use_case[i]].name},{status},{tokens},{HOSTS[number]}-{i},{NAMES[number]}"
            )
    named = _write(folder / "named.csv", log)
    unnamed = _write(folder / "requests.csv", [line.rpartition(",")[0] for line in log])
    some = [log[0], *(line if i % 50 else line.rpartition(",")[0] + "," for i, line in enumerate(log[1:]))]
    half = [log[0], *(line if i % 2 else line.rpartition(",")[0] + "," for i, line in enumerate(log[1:]))]
    return {
        **paths,
        "requests": unnamed,
        "named": named,
        "some": _write(folder / "some.csv", some),
        "half": _write(folder / "half.csv", half),
    }


def _write(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_fleet(tmp_path_factory.mktemp("fleet"))


def load(store: Store, facts: Config, files: dict[str, str], names: Sequence[str]) -> None:
    for name in names:
        if name not in HOSTS:
            import_requests(store, facts, files[name], NOW_US)
        else:
            import_energy(store, files[name], NOW_US)


def stored(store: Store) -> list[object]:
    with store.read() as connection:
        statistics = [tuple(row) for row in connection.execute(select(table(schema.Statistics)))]
    rows = query_rows(store, parse_config(CONFIG), group=("host", "use_case"), every="hour")
    return [rows, split_diagnostics(store, None, None), model_shares(store, None, None), sorted(statistics)]


def organisation(folder: Path, text: str = CONFIG) -> tuple[Store, Config]:
    folder.mkdir(exist_ok=True)
    return Store(f"sqlite:///{folder / 'store.db'}"), parse_config(text)


def test_the_rows_of_all_hosts_share_one_split(files: dict[str, str], tmp_path: Path) -> None:
    store, facts = organisation(tmp_path)
    load(store, facts, files, [*HOSTS, "requests"])
    compute(store, facts)
    found = split_diagnostics(store, None, None)
    assert [row["host"] for row in found] == list(HOSTS)
    assert len({(row["coefficients"], row["requests"], row["windows"]) for row in found}) == 1
    shares = model_shares(store, None, None)
    assert len({(row["use_case"], row["share"]) for row in shares}) == len(FLEET.server.kinds)
    # The truth of the simulation.
    days = simulate_fleet(FLEET, 3)
    true_j = {
        kind.name: sum(float(day.true_j[day.use_case == number].sum()) for day in days)
        for number, kind in enumerate(FLEET.server.kinds)
    }
    rows = query_rows(store, facts, group=("use_case",))
    active = {row["use_case"]: row["accelerator_active_kwh"] for row in rows if not row["use_case"].startswith("(")}
    for name, joules in true_j.items():
        assert active[name] / sum(active.values()) == pytest.approx(joules / sum(true_j.values()), abs=0.01)
    store.close()


@pytest.mark.parametrize("order", [("h1", "requests", "h0", "h2"), ("requests", "h2", "h1", "h0")])
def test_any_order_of_imports_and_runs_ends_in_the_same_figures(
    order: tuple[str, ...], files: dict[str, str], tmp_path: Path
) -> None:
    whole, facts = organisation(tmp_path / "whole")
    load(whole, facts, files, [*HOSTS, "requests"])
    compute(whole, facts)
    piecewise, _ = organisation(tmp_path / "piecewise")
    for name in order:
        load(piecewise, facts, files, [name])
        compute(piecewise, facts)
    assert stored(piecewise)[:3] == stored(whole)[:3]
    assert compute(piecewise, facts).computed == 0
    for store in (whole, piecewise):
        store.close()


@pytest.mark.parametrize("hosts_per_task", [8, 1])
def test_worker_processes_store_the_same_bytes(
    hosts_per_task: int, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where several tasks compute the statistics of one service."""
    monkeypatch.setattr(executors, "HOSTS_PER_TASK", hosts_per_task)
    alone, facts = organisation(tmp_path / "alone")
    several, _ = organisation(tmp_path / "several")
    for store, run in ((alone, facts), (several, replace(facts, fleet_workers=2))):
        load(store, facts, files, [*HOSTS, "requests"])
        compute(store, run)
    assert stored(several) == stored(alone)
    for store in (alone, several):
        store.close()


def test_a_host_that_was_not_read_makes_the_fit_doubtful(files: dict[str, str], tmp_path: Path) -> None:
    store, facts = organisation(tmp_path)
    load(store, facts, files, ["h0", "h1", "requests"])
    compute(store, facts)
    for row in split_diagnostics(store, None, None):
        assert row["status"] in ("log-suspect", "refused")
        assert row["status"] == "refused" or "hosts of the service without readings: 1" in row["reason"]
    store.close()


ROUTED = CONFIG + '\n[[service]]\nname = "chat"\nreplicas = { "10.0.0.2" = "h1" }\n'


def active_shares(store: Store, facts: Config) -> dict[str, float]:
    rows = query_rows(store, facts, group=("use_case",))
    active = {row["use_case"]: row["accelerator_active_kwh"] for row in rows if not row["use_case"].startswith("(")}
    return {name: kwh / sum(active.values()) for name, kwh in active.items()}


def true_shares() -> dict[str, float]:
    joules = [
        sum(float(day.true_j[day.use_case == number].sum()) for day in simulate_fleet(FLEET, 3))
        for number in range(len(FLEET.server.kinds))
    ]
    return {kind.name: part / sum(joules) for kind, part in zip(FLEET.server.kinds, joules, strict=True)}


@pytest.mark.parametrize("log", ["named", "some"])
def test_hosts_that_requests_name_are_fitted_together_on_their_own_requests(
    log: str, files: dict[str, str], tmp_path: Path
) -> None:
    """One request in fifty without a name goes where the one before it went."""
    store, facts = organisation(tmp_path, ROUTED)
    load(store, facts, files, [*HOSTS, log])
    compute(store, facts)
    found = split_diagnostics(store, None, None)
    assert [row["host"] for row in found] == list(HOSTS)
    costs = [{part for part in row["coefficients"].split() if not part.startswith("idle")} for row in found]
    assert costs[0] == costs[1] == costs[2]
    assert len({part for row in found for part in row["coefficients"].split() if part.startswith("idle")}) == 3
    assert all("several hosts" not in row["reason"] for row in found)
    shares = active_shares(store, facts)
    assert sum(abs(shares[name] - share) for name, share in true_shares().items()) <= 0.015
    store.close()


def test_a_log_that_names_half_of_the_hosts_is_one_meter(files: dict[str, str], tmp_path: Path) -> None:
    store, facts = organisation(tmp_path, ROUTED)
    load(store, facts, files, [*HOSTS, "half"])
    compute(store, facts)
    assert all("one log for several hosts" in row["reason"] for row in split_diagnostics(store, None, None))
    shares = active_shares(store, facts)
    assert sum(abs(shares[name] - share) for name, share in true_shares().items()) <= 0.03
    store.close()


def test_a_request_is_in_flight_on_its_own_host_alone(files: dict[str, str], tmp_path: Path) -> None:
    """Idle time of the other hosts is theirs: nothing of it is in rows of use cases."""
    idle = {}
    for log, text in (("requests", CONFIG), ("named", ROUTED)):
        store, facts = organisation(tmp_path / log, text)
        load(store, facts, files, [*HOSTS, log])
        compute(store, facts)
        rows = query_rows(store, facts, group=("host", "use_case"))
        idle[log] = {row["host"]: row["accelerator_idle_kwh"] for row in rows if row["use_case"] == "(idle)"}
        store.close()
    assert all(idle["named"][host] > idle["requests"][host] for host in HOSTS)


def test_replicas_outlast_sealing_and_backup(files: dict[str, str], tmp_path: Path) -> None:
    store, facts = organisation(tmp_path, ROUTED)
    load(store, facts, files, [*HOSTS, "named"])
    compute(store, facts)
    before = stored(store)[:3]
    assert seal(store, ObjectStore(str(tmp_path / "sealed")), NOW_US, after_days=1, keep_days=2).retired > 0
    compute(store, facts, force=True)
    assert stored(store)[:3] == before
    backup(store, tmp_path / "all.zip", NOW_US)
    clone = Store(f"sqlite:///{tmp_path / 'clone.db'}")
    restore(clone, tmp_path / "all.zip")
    compute(clone, facts, force=True)
    assert stored(clone)[:3] == before
    for each in (store, clone):
        each.close()


@pytest.mark.parametrize(("line", "reason"), [
    ('replicas = ["h1"]', "replicas must be"),
    ('replicas = { a = 1 }', "replicas must be"),
    ('replicas = { a = "h9" }', "a is h9, on which the service has no device; its hosts are h0, h1, h2"),
])  # fmt: skip
def test_names_of_replicas_are_checked(line: str, reason: str) -> None:
    text = CONFIG + f'\n[[service]]\nname = "chat"\n{line}\n'
    number = text[: text.index("replicas")].count("\n") + 1
    with pytest.raises(ConfigError, match=rf"footprint\.toml:{number}: .*{reason}"):
        parse_config(text)


def test_names_of_replicas_enter_the_digest_of_facts_where_there_are_any() -> None:
    plain = parse_config(CONFIG + '\n[[service]]\nname = "chat"\n')
    empty = parse_config(CONFIG + '\n[[service]]\nname = "chat"\nreplicas = {}\n')
    assert empty.facts_digest() == plain.facts_digest() != parse_config(ROUTED).facts_digest()


@pytest.mark.parametrize("log", ["requests", "named"])
def test_failed_requests_are_counted_once(log: str, files: dict[str, str], tmp_path: Path) -> None:
    store, facts = organisation(tmp_path, ROUTED)
    load(store, facts, files, [*HOSTS, log])
    compute(store, facts)
    failed = Path(files[log]).read_text().count(",error,")
    rows = [row for row in avoidable_energy(store, facts, None, None) if row["cause"] == "failed requests"]
    assert sum(row["requests"] for row in rows) == failed > 50
    store.close()


NOON, END = US_PER_DAY // 2, US_PER_DAY


def test_devices_that_change_during_a_day_keep_the_layout_that_held_longest() -> None:
    two = {host: [Tenure("chat", f"gpu:{n}", 1.0, 0, END) for n in range(2)] for host in ("a", "b")}
    placement = place_service("chat", two, 0, alone=False)
    assert placement is not None
    assert (placement.layout, [(s.since_us, s.until_us, len(s.devices)) for s in placement.spans]) == ("1+1", [(0, END, 4)])
    # A host that leaves at noon leaves the layout as it is.
    left = {"a": two["a"], "b": [replace(tenure, until_us=NOON) for tenure in two["b"]]}
    placement = place_service("chat", left, 0, alone=False)
    assert placement is not None
    assert [(s.until_us, len(s.devices), s.hosts) for s in placement.spans] == [(NOON, 4, ["a", "b"]), (END, 2, ["a"])]
    assert placement.largest.until_us == NOON
    # A host that gets another device is another layout: two thirds of the day are fitted.
    more = {"a": [*two["a"], Tenure("chat", "gpu:2", 1.0, 2 * END // 3, END)]}
    placement = place_service("chat", more, 0, alone=True)
    assert placement is not None
    assert placement.key == "chat/step gpu:0*1 gpu:1*1"
    assert [s.until_us for s in placement.spans] == [2 * END // 3]
    assert place_service("code", two, 0, alone=False) is None
