"""Sums by day and month give what the hourly rows give, to the last bit, in any zone; they follow every change of rows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from footprint.aggregation.calculation_basis import basis_at
from footprint.aggregation.rollups import LARGEST, TOO_LARGE, crossing, rebuild, rollup_zone, set_rollup_zone
from footprint.calendar import rollup_ranges
from footprint.config import Config, parse_config
from footprint.figures import Query, run_query
from footprint.figures.engine import open_result
from footprint.figures.row_metrics import budgets, energy_figures
from footprint.impact.factor_book import shipped_book
from footprint.ledger.import_batches import list_batches, withdraw_batch
from footprint.queries.hourly_profile import hourly_energy
from footprint.storage import schema
from footprint.storage.database import Store, table
from tests.support.contract_files import DAY_S, NOW_US, compute, config, energy_lines, import_files, request_lines, write

ZONES = ("Europe/Paris", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe", "America/Havana", "UTC", "Asia/Kathmandu")
FIRST_DAY = 20_500  # 2026-02-16: three months with a change of clocks in most of these zones
DAYS = 100
TABLES = (schema.RowSum, schema.CountSum, schema.SeenSum, schema.HourSum)
CONFIG = """
[organisation]
timezone = "{zone}"
[attribution]
idle_policy = "{policy}"
[[site]]
name = "one"
pue = 1.3
[[site]]
name = "two"
[[host]]
name = "a"
site = "one"
uplift = 1.2
[[host]]
name = "b"
site = "two"
[[service]]
name = "chat"
model = "m"
devices = ["a/gpu:0", "b/gpu:0"]
[[service]]
name = "code"
devices = ["b/gpu:1"]
since = "2026-03-05T07:30:00Z"
[[use_case]]
name = "drafting"
charter = "authorised"
"""


def zoned(zone: str, policy: str = "by-use") -> Config:
    return parse_config(CONFIG.format(zone=zone, policy=policy))


def fill(store: Store, facts: Config, seed: int, grain: int) -> None:
    """Rows, counts, windows and coverage of three hosts over a hundred days, with holes of hours and of weeks."""
    luck = random.Random(seed)
    places = [
        (host, device, service, use, model, charter)
        for host, device, service in (
            ("a", "gpu:0", "chat"),
            ("b", "gpu:0", "chat"),
            ("b", "gpu:1", "code"),
            ("c", "gpu:0", "(unattributed)"),
        )
        for use, model, charter in (
            ("drafting", "m", "authorised"),
            ("secret", "m", "undeclared"),
            ("(idle)", "(idle)", "(idle)"),
        )
    ]
    names = store.name_ids({text for place in places for text in place})
    with store.begin() as connection:
        numbers = {}
        for host in ("a", "b", "c"):
            for index, status in enumerate(("ok", "refused")):
                basis = basis_at(
                    facts,
                    shipped_book(),
                    host,
                    FIRST_DAY * 86_400_000_000,
                    component="gpu",
                    device_model="H100",
                    method="counter",
                    idle_known=bool(index),
                    split=status,
                )
                numbers[host, index] = len(numbers) + 1
                row = {"id": len(numbers), "digest": f"{host}{index}", "content": basis.to_json()}
                store.insert_new(connection, schema.BasisRow, [row])
        rows, counts, seen, windows = [], [], [], []
        hole = range(FIRST_DAY + 30, FIRST_DAY + 30 + luck.choice([0, 3, 12]))
        for slot in range(FIRST_DAY * 86_400, (FIRST_DAY + DAYS) * 86_400, grain):
            day = slot // 86_400
            if day in hole or luck.random() < 0.7:
                continue
            for host, device in {(place[0], place[1]) for place in places}:
                begin = slot * 1_000_000 + luck.randrange(grain) * 400_000
                read = luck.randrange(100_000_000)
                seen.append((slot, names[host], names[device], begin, begin + read + 100_000_000, read, 50_000_000, 7, 10**9, 1))
            for host, device, service, use, model, charter in luck.sample(places, 4):
                amounts = [luck.randrange(10**13) for _ in range(4)]
                amounts += [
                    luck.randrange(-(10**9), 10**9),
                    luck.choice([0, luck.randrange(-(10**9), 10**9)]),
                    luck.choice([0, 10**9]),
                ]
                amounts += [luck.randrange(10**12) for _ in range(3)]
                key = (slot, *(names[text] for text in (host, device, service, use, model)))
                rows.append((*key, numbers[host, luck.randrange(2)], names[charter], *amounts, 1))
            use, model, charter = luck.choice([("drafting", "m", "authorised"), ("secret", "m", "undeclared")])
            told = luck.choice([None, 5]), None, luck.randrange(1000)
            counts.append((slot, *(names[x] for x in ("chat", use, model, charter)), 3, *told, 1))
            if luck.random() < 0.2:
                start = slot * 1_000_000 + luck.randrange(grain * 1_000_000)
                end = start + luck.choice([1, 5, 30, 900]) * 3_600_000_000
                windows.append((start, end, *(names[x] for x in ("chat", use, model, charter)), 1001, *told, 1, 2))
        put = store.insert_many
        put(connection, table(schema.FigureRow), [c.name for c in table(schema.FigureRow).columns], rows)
        put(connection, table(schema.Count), [c.name for c in table(schema.Count).columns], counts)
        put(connection, table(schema.Seen), [c.name for c in table(schema.Seen).columns], seen)
        put(connection, table(schema.Straddle), [c.name for c in table(schema.Straddle).columns if c.name != "id"], windows)
        store.insert_new(
            connection,
            schema.Stream,
            [
                {
                    "id": index,
                    "host_id": names[host],
                    "device_id": names["gpu:0"],
                    "component": "gpu",
                    "quantity": "energy",
                    "grade": "counter",
                    "source": "x",
                    "model": "",
                }
                for index, host in enumerate("abc", 1)
            ],
        )
        store.insert_new(
            connection,
            schema.StreamDay,
            [
                {
                    "stream_id": 1,
                    "day": day,
                    "first_us": day * 86_400_000_000,
                    "second_us": (day + 1) * 86_400_000_000 - 1,
                    "last_us": (day + 1) * 86_400_000_000 - 1,
                    "version": 1,
                    "head": 1,
                }
                for day in (FIRST_DAY, FIRST_DAY + DAYS - 1)
            ],
        )


def questions(facts: Config, luck: random.Random) -> Query:
    """Any question whose ends lie at edges of slots."""
    edges = [None, None]
    if luck.random() < 0.9:
        low, high = sorted(luck.sample(range(-5, DAYS + 5), 2))
        edges = [FIRST_DAY + low, FIRST_DAY + high]
    bounds = []
    for day in edges:
        shape = luck.choice(["midnight", "hour", "month"])
        if day is None:
            bounds.append(None)
        elif shape == "hour":
            bounds.append((day * 24 + luck.randrange(24)) * 3_600_000_000)
        else:
            local = rollup_ranges.local_day(facts.timezone, day * 86_400)
            local = rollup_ranges.month_bounds(local)[0] if shape == "month" else local
            bounds.append(rollup_ranges.midnight_s(facts.timezone, local) * 1_000_000)
    if None not in bounds and bounds[0] >= bounds[1]:
        bounds = [None, None]
    full = luck.random() < 0.3
    known = (
        ("service", "use_case", "model", "charter")
        if full
        else ("service", "use_case", "model", "device", "host", "site", "charter")
    )
    group = tuple(luck.sample(known, luck.randrange(3)))
    values = {
        "service": "chat",
        "use_case": "secret",
        "model": "m",
        "device": "gpu:0",
        "host": "b",
        "site": "one",
        "charter": "(idle)",
    }
    where = tuple((name, values[name]) for name in luck.sample(known, luck.randrange(3)))
    if where and where[0][0] == "service":
        where = (*where, ("service", "code"), ("service", "nobody"))
    return Query(group, luck.choice(["all", "day", "week", "month", "quarter"]), *bounds, where, "full" if full else "active")


def without_sums(store: Store, facts: Config, question: Query) -> list[dict[str, Any]]:
    with unsummed(store):
        return run_query(store, facts, question, NOW_US).rows


@contextmanager
def unsummed(store: Store) -> Iterator[None]:
    with store.begin() as connection:
        kept = rollup_zone(connection)
        set_rollup_zone(store, connection, "")
    try:
        yield
    finally:
        with store.begin() as connection:
            set_rollup_zone(store, connection, kept)


@pytest.mark.parametrize("zone", ZONES)
def test_sums_give_what_hourly_rows_give(store: Store, zone: str) -> None:
    luck = random.Random(zone)
    facts = zoned(zone, luck.choice(["by-use", "by-reservation", "equal"]))
    fill(store, facts, 7, 900 if zone in ("Asia/Kolkata", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe") else 3600)
    assert rebuild(store, facts.timezone)
    assert not rebuild(store, facts.timezone)
    kinds = set()
    for _ in range(12):
        asked = questions(facts, luck)
        rows = run_query(store, facts, asked, NOW_US).rows
        assert rows == without_sums(store, facts, asked), asked
        kinds.add(bool(rows))
        ends = (asked.from_us or FIRST_DAY * 86_400_000_000, asked.to_us or (FIRST_DAY + DAYS) * 86_400_000_000)
        if ends[0] < ends[1]:
            plain = tuple(each for each in asked.where if each[0] in ("service", "use_case", "model", "host"))
            shown = hourly_energy(store, facts, *ends, plain)
            with unsummed(store):
                slots = hourly_energy(store, facts, *ends, plain)
            assert shown.keys() == slots.keys()
            assert shown == pytest.approx(slots, rel=1e-9)
    assert True in kinds


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_whatever_is_asked(sums: tuple[Store, Config], seed: int) -> None:
    store, facts = sums
    asked = questions(facts, random.Random(seed))
    assert run_query(store, facts, asked, NOW_US).rows == without_sums(store, facts, asked)


@pytest.fixture(scope="module", params=["Europe/Paris", "America/St_Johns"])
def sums(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    facts = zoned(request.param)
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('sums') / 'one.db'}")
    fill(store, facts, 11, 3600 if request.param == "Europe/Paris" else 1800)
    rebuild(store, facts.timezone)
    yield store, facts
    store.close()


def test_many_rows_at_once_are_what_each_is_by_itself(sums: tuple[Store, Config]) -> None:
    store, facts = sums
    luck = random.Random(5)
    for _ in range(15):
        asked = questions(facts, luck)
        rows = {}
        with open_result(store, facts, asked, NOW_US) as found:
            if found is None:
                continue
            for place, group in found.groups.items():
                read, known, expected = found.times(place[0], group)
                alone = energy_figures(group.cells, known=known, expected=expected, read=read, apart=found.apart)
                rows[place[1], found.periods[place[0]][0]] = alone
                if group.number >= 0:
                    *scalar, grams = budgets(group.cells, apart=found.apart)
                    for one, other in zip(found.budgets(group), scalar if grams is not None else scalar[:1], strict=False):
                        assert {c: half for c, half in one.causes().items() if any(half)} == {
                            c: half for c, half in other.causes().items() if any(half)
                        }
        for row in run_query(store, facts, asked, NOW_US).rows:
            names = tuple(row[name] for name in asked.group)
            alone = next(v for (n, _), v in rows.items() if n == names and v.get("energy_kwh") == row["energy_kwh"])
            assert {name: row[name] for name in alone} == alone


def contents(store: Store) -> list[list[tuple[Any, ...]]]:
    with store.read() as connection:
        return [sorted(tuple(row) for row in connection.execute(select(table(model)))) for model in TABLES]


def test_sums_follow_every_change_of_rows(store: Store, tmp_path: Path) -> None:
    """Computed day by day, computed again, taken back: always what making them anew gives."""
    facts = config()
    start = DAY_S + 29 * 86_400 + 5 * 3600  # to the other side of a month
    lines = request_lines(start, 3 * 86_400, 200)
    lines += [f"{start + n * 7200},{start + n * 7200 + 9000},chat,window,,7,700,70,w{n}" for n in range(20)]
    import_files(store, facts, tmp_path, energy_lines(start, 3 * 86_400, 600), lines)
    compute(store, facts)
    first = contents(store)
    assert all(first)
    compute(store, facts, force=True, from_us=(DAY_S + 30 * 86_400) * 1_000_000, to_us=(DAY_S + 31 * 86_400) * 1_000_000)
    assert contents(store) == first
    other = write(
        tmp_path / "other.csv",
        request_lines(start + 86_400, 7200, 30, seed=9)[:1]
        + [line.replace(",r", ",other") for line in request_lines(start + 86_400, 7200, 30, seed=9)[1:]],
    )
    from footprint.ledger.importers import import_requests

    import_requests(store, facts, other, NOW_US)
    compute(store, facts)
    assert contents(store) != first
    changed = contents(store)
    made_anew(store, facts)
    assert contents(store) == changed
    for batch in list_batches(store):
        withdraw_batch(store, batch["id"], "a test", NOW_US)
    compute(store, facts)
    assert contents(store) == [[], [], [], []]


def made_anew(store: Store, facts: Config) -> None:
    with store.begin() as connection:
        set_rollup_zone(store, connection, "")
    rebuild(store, facts.timezone)


def test_another_zone_is_never_answered_from_sums_of_this_one(sqlite: Store, tmp_path: Path) -> None:
    facts = config()
    import_files(sqlite, facts, tmp_path, energy_lines(DAY_S, 4 * 86_400, 900), request_lines(DAY_S, 4 * 86_400, 50))
    compute(sqlite, facts)
    moved = replace(facts, timezone=ZoneInfo("America/New_York"))
    asked = Query(every="day")
    before = run_query(sqlite, moved, asked, NOW_US).rows
    with sqlite.read() as connection:
        assert rollup_zone(connection) == rollup_ranges.zone_fingerprint(facts.timezone)
    compute(sqlite, moved)
    with sqlite.read() as connection:
        assert rollup_zone(connection) == rollup_ranges.zone_fingerprint(moved.timezone)
    assert run_query(sqlite, moved, asked, NOW_US).rows == before == without_sums(sqlite, moved, asked)


def test_rows_too_large_to_be_summed_are_read_as_they_are(sqlite: Store) -> None:
    facts = zoned("UTC")
    fill(sqlite, facts, 3, 3600)
    with sqlite.begin() as connection:
        connection.exec_driver_sql(f"UPDATE footprint_row SET active_uj = {2**62} WHERE active_uj > {10**12}")
    assert not rebuild(sqlite, facts.timezone)
    with sqlite.read() as connection:
        assert rollup_zone(connection) == TOO_LARGE
    row = run_query(sqlite, facts, Query(), NOW_US).rows[0]
    assert row["accelerator_active_kwh"] > 2**63 / 3.6e12
    assert LARGEST * 31 * 25 * 4 < 2**63


@pytest.mark.parametrize("zone", ZONES)
def test_a_stretch_is_tiled_by_its_parts(zone: str) -> None:
    found, luck = ZoneInfo(zone), random.Random(1)
    for _ in range(300):
        low, high = sorted(luck.randrange(1_760_000_000 // 900, 1_830_000_000 // 900) * 900 for _ in range(2))
        parts = list(rollup_ranges.split_range(found, low, high))
        edges = [low, *(part.last for part in parts)]
        assert [part.first for part in parts] == edges[:-1]
        assert (edges[-1] == high) or low == high
        for part in parts:
            if part.kind != rollup_ranges.SLOTS:
                assert rollup_ranges.midnight_s(found, rollup_ranges.local_day(found, part.first)) == part.first
        assert all(part.kind != rollup_ranges.SLOTS for part in parts[1:-1])
    assert list(rollup_ranges.split_range(None, 0, 10)) == [rollup_ranges.RollupRange(rollup_ranges.SLOTS, 0, 10)]


def test_what_a_window_crosses() -> None:
    zone = ZoneInfo("Europe/Paris")
    first = rollup_ranges.midnight_s(zone, rollup_ranges.local_day(zone, DAY_S)) * 1_000_000
    hour = 3_600_000_000
    assert crossing(zone, first, first + 24 * hour) == 0
    assert crossing(zone, first + 23 * hour, first + 25 * hour) == 1
    assert crossing(zone, first + 31 * 24 * hour - hour, first + 31 * 24 * hour + 1) == 2
