"""Sums of days and months give what rows by slot give, to the last bit, in any zone; they follow every change of figures."""

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
from sqlalchemy import text

from footprint.aggregation.shard_key import ShardKey
from footprint.calendar import calendar_ranges
from footprint.config import Config
from footprint.figures import Query, run_query
from footprint.figures.dataset import Dataset
from footprint.figures.engine import open_result
from footprint.ledger.import_batches import list_batches, withdraw_batch
from footprint.ledger.importers import import_requests
from footprint.queries.hourly_profile import hourly_energy
from footprint.storage.database import Store
from footprint.storage.figure_writer import DAY, LARGEST, MONTH, SHARD, WITHOUT_SUMS, compact
from tests.support.contract_files import DAY_S, NOW_US, compute, config, energy_lines, import_files, request_lines, write
from tests.support.scalar_metrics import budgets, energy_figures
from tests.support.stored_shards import DAYS, FIRST_DAY, fill, host_tables, put_shard, zoned

ZONES = ("Europe/Paris", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe", "America/Havana", "UTC", "Asia/Kathmandu")


def random_query(facts: Config, luck: random.Random) -> Query:
    """Any query whose bounds are edges of slots."""
    edges = [None, None]
    if luck.random() < 0.9:
        low, high = sorted(luck.sample(range(-5, DAYS + 5), 2))
        edges = [FIRST_DAY + low, FIRST_DAY + high]
    bounds: list[int | None] = []
    for day in edges:
        shape = luck.choice(["midnight", "hour", "month"])
        if day is None:
            bounds.append(None)
        elif shape == "hour":
            bounds.append((day * 24 + luck.randrange(24)) * 3_600_000_000)
        else:
            local = calendar_ranges.local_day(facts.timezone, day * 86_400)
            local = calendar_ranges.month_bounds(local)[0] if shape == "month" else local
            bounds.append(calendar_ranges.midnight_s(facts.timezone, local) * 1_000_000)
    if None not in bounds and bounds[0] >= bounds[1]:  # type: ignore[operator]
        bounds = [None, None]
    full = luck.random() < 0.3
    names = ("service", "use_case", "model", "charter") + (() if full else ("device", "host", "site"))
    values = {
        "service": "chat",
        "use_case": "secret",
        "model": "m",
        "device": "gpu:0",
        "host": "b",
        "site": "one",
        "charter": "(idle)",
    }
    group = tuple(luck.sample(names, luck.randrange(3)))
    where = tuple((name, values[name]) for name in luck.sample(names, luck.randrange(3)))
    if where and where[0][0] == "service":
        where = (*where, ("service", "code"), ("service", "nobody"))
    every = luck.choice(["all", "day", "week", "month", "quarter"])
    return Query(group, every, bounds[0], bounds[1], where, "full" if full else "active")


@contextmanager
def slots_alone() -> Iterator[None]:
    """Answer from rows by slot, never from sums."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dataset, "_whole_days", lambda self, midnights, last, *, whole: self._slots(midnights[0], last))
        patch.setattr(Dataset, "summed_months", lambda self: [])
        yield


def rows_from_slots(store: Store, facts: Config, query: Query) -> list[dict[str, Any]]:
    with slots_alone():
        return run_query(store, facts, query, NOW_US).rows


def tiers(store: Store) -> dict[int, int]:
    with store.read() as connection:
        return dict(connection.execute(text("SELECT tier, COUNT(*) FROM figure_block GROUP BY tier")).all())  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", ZONES)
def test_sums_give_what_slots_give_and_compaction_changes_nothing(store: Store, zone: str) -> None:
    luck = random.Random(zone)
    facts = zoned(zone, luck.choice(["by-use", "by-reservation", "equal"]))
    fill(store, facts, 7)
    queries = [random_query(facts, luck) for _ in range(12)]
    before = [run_query(store, facts, query, NOW_US).rows for query in queries]
    assert set(tiers(store)) == {SHARD}
    assert compact(store, facts.timezone, NOW_US)
    assert not compact(store, facts.timezone, NOW_US)
    assert tiers(store).keys() == {DAY, MONTH}
    for query, rows in zip(queries, before, strict=True):
        assert run_query(store, facts, query, NOW_US).rows == rows, query
        assert rows_from_slots(store, facts, query) == rows, query
        ends = (query.from_us or FIRST_DAY * 86_400_000_000, query.to_us or (FIRST_DAY + DAYS) * 86_400_000_000)
        if ends[0] < ends[1]:
            where = tuple(pair for pair in query.where if pair[0] in ("service", "use_case", "model", "host"))
            profile = hourly_energy(store, facts, *ends, where)
            with slots_alone():
                assert hourly_energy(store, facts, *ends, where) == profile
    assert any(before)


@pytest.fixture(scope="module", params=["Europe/Paris", "America/St_Johns"])
def compacted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Config]]:
    facts = zoned(request.param)
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('figures') / 'one.db'}")
    fill(store, facts, 11)
    compact(store, facts.timezone, NOW_US)
    yield store, facts
    store.close()


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_any_query_gives_what_slots_give(compacted: tuple[Store, Config], seed: int) -> None:
    store, facts = compacted
    query = random_query(facts, random.Random(seed))
    assert run_query(store, facts, query, NOW_US).rows == rows_from_slots(store, facts, query)


def test_figures_of_many_rows_are_those_of_each_row_alone(compacted: tuple[Store, Config]) -> None:
    store, facts = compacted
    luck = random.Random(5)
    for _ in range(15):
        query = random_query(facts, luck)
        alone = {}
        with open_result(store, facts, query, NOW_US) as result:
            if result is None:
                continue
            for (period, names), group in result.groups.items():
                read, known, expected = result.times(period, group)
                cells = group.cells
                row = energy_figures(cells, known=known, expected=expected, read=read, apart=result.apart)
                alone[names, result.periods[period][0]] = row
                if group.number >= 0:
                    *scalar, grams = budgets(cells, apart=result.apart)
                    for one, other in zip(result.budgets(group), scalar if grams is not None else scalar[:1], strict=False):
                        assert {c: half for c, half in one.causes().items() if any(half)} == {
                            c: half for c, half in other.causes().items() if any(half)
                        }
        for row in run_query(store, facts, query, NOW_US).rows:
            names = tuple(row[name] for name in query.group)
            expected_row = next(v for (n, _), v in alone.items() if n == names and v.get("energy_kwh") == row["energy_kwh"])
            assert {name: row[name] for name in expected_row} == expected_row


def test_a_shard_that_changes_masks_its_rows_at_once_and_is_compacted_later(store: Store) -> None:
    facts = zoned("Europe/Paris")
    fill(store, facts, 3, days=40)
    compact(store, facts.timezone, NOW_US)
    query = Query(("host",), "day")
    before = run_query(store, facts, query, NOW_US).rows
    day = FIRST_DAY + 10
    put_shard(store, facts, ShardKey("host", "a"), day, host_tables(facts, "a", day, random.Random(1)))
    masked = run_query(store, facts, query, NOW_US).rows
    assert masked != before
    assert [row for row in masked if row["host"] != "a"] == [row for row in before if row["host"] != "a"]
    assert rows_from_slots(store, facts, query) == masked
    months = tiers(store)[MONTH]
    compact(store, facts.timezone, NOW_US)
    assert run_query(store, facts, query, NOW_US).rows == masked
    assert tiers(store) == {DAY: 40, MONTH: months + 1} or SHARD not in tiers(store)
    assert rows_from_slots(store, facts, query) == masked


def test_an_open_day_stays_in_blocks_of_its_shards(sqlite: Store) -> None:
    facts = zoned("UTC")
    fill(sqlite, facts, 3, days=3)
    tables = host_tables(facts, "a", FIRST_DAY + 3, random.Random(1))
    put_shard(sqlite, facts, ShardKey("host", "a"), FIRST_DAY + 3, tables, provisional=True)
    compact(sqlite, facts.timezone, NOW_US)
    assert tiers(sqlite) == {DAY: 3, SHARD: 2}  # the last slot has its own


def test_figures_follow_every_change_of_the_ledger(store: Store, tmp_path: Path) -> None:
    """Computed day by day, computed again, withdrawn: always what rows by slot give."""
    facts = config()
    start = DAY_S + 29 * 86_400 + 5 * 3600  # to the other side of a month
    lines = request_lines(start, 3 * 86_400, 200)
    lines += [f"{start + n * 7200},{start + n * 7200 + 9000},chat,window,,7,700,70,w{n}" for n in range(20)]
    import_files(store, facts, tmp_path, energy_lines(start, 3 * 86_400, 600), lines)
    query = Query(("service", "use_case"), "day")

    def answer() -> list[dict[str, Any]]:
        rows = run_query(store, facts, query, NOW_US).rows
        assert rows_from_slots(store, facts, query) == rows
        return rows

    compute(store, facts)
    first = answer()
    assert first
    compute(store, facts, force=True, from_us=(DAY_S + 30 * 86_400) * 1_000_000, to_us=(DAY_S + 31 * 86_400) * 1_000_000)
    assert answer() == first
    others = request_lines(start + 86_400, 7200, 30, seed=9)
    other = write(tmp_path / "other.csv", others[:1] + [line.replace(",r", ",other") for line in others[1:]])
    import_requests(store, facts, other, NOW_US)
    compute(store, facts)
    assert answer() != first
    for batch in list_batches(store):
        withdraw_batch(store, batch["id"], "a test", NOW_US)
    compute(store, facts)
    assert answer() == []
    with store.read() as connection:
        assert Dataset(store, connection, facts.timezone).rows("energy", 0, 2**40, "SELECT COUNT(*) FROM rows") == [(0,)]


def test_windows_are_divided_over_slots_once_and_lose_no_request(store: Store, tmp_path: Path) -> None:
    facts = config()
    lines = ["start,end,service,use_case,model,requests,input_tokens,output_tokens,id"]
    lines += [
        f"{DAY_S + n * 5000},{DAY_S + n * 5000 + 9000 + n * 40_000},chat,window,,{n + 2},{n * 700},70,w{n}" for n in range(20)
    ]
    import_files(store, facts, tmp_path, energy_lines(DAY_S, 86_400, 600), lines)
    compute(store, facts)
    for every in ("all", "hour", "day", "month"):
        rows = run_query(store, facts, Query(every=every), NOW_US).rows
        assert sum(row["requests"] for row in rows) == sum(n + 2 for n in range(20))
        assert sum(row["input_tokens"] or 0 for row in rows) == sum(n * 700 for n in range(20))


def test_another_zone_is_never_answered_from_sums_of_this_one(sqlite: Store, tmp_path: Path) -> None:
    facts = config()
    import_files(sqlite, facts, tmp_path, energy_lines(DAY_S, 4 * 86_400, 900), request_lines(DAY_S, 4 * 86_400, 50))
    compute(sqlite, facts)
    moved = replace(facts, timezone=ZoneInfo("America/New_York"))
    query = Query(every="day")
    before = run_query(sqlite, moved, query, NOW_US).rows
    compact(sqlite, moved.timezone, NOW_US)
    with sqlite.read() as connection:
        zones = set(connection.execute(text("SELECT DISTINCT zone FROM figure_block")).scalars())
    assert zones == {calendar_ranges.zone_fingerprint(moved.timezone)}
    assert run_query(sqlite, moved, query, NOW_US).rows == before == rows_from_slots(sqlite, moved, query)


def test_rows_too_large_to_be_summed_are_read_as_they_are(sqlite: Store) -> None:
    facts = zoned("UTC")
    fill(sqlite, facts, 3, days=20, largest=2**60)
    compact(sqlite, facts.timezone, NOW_US)
    with sqlite.read() as connection:
        assert set(connection.execute(text("SELECT DISTINCT zone FROM figure_block")).scalars()) == {WITHOUT_SUMS}
    with open_result(sqlite, facts, Query(), NOW_US) as result:
        assert result is not None
        group = result.groups[0, ()]
        _, known, expected = result.times(0, group)
        alone = energy_figures(group.cells, known=known, expected=expected, read=1, apart=result.apart)
    row = run_query(sqlite, facts, Query(), NOW_US).rows[0]
    assert row["accelerator_active_kwh"] > 2**63 / 3.6e12
    for name, value in alone.items():
        assert row[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), name
    assert LARGEST * 31 * 25 * 4 < 2**63


@pytest.mark.parametrize("zone", ZONES)
def test_ranges_are_tiled_by_their_parts(zone: str) -> None:
    place, luck = ZoneInfo(zone), random.Random(1)
    for _ in range(300):
        low, high = sorted(luck.randrange(1_760_000_000 // 900, 1_830_000_000 // 900) * 900 for _ in range(2))
        parts = list(calendar_ranges.split_range(place, low, high))
        edges = [low, *(part.last for part in parts)]
        assert [part.first for part in parts] == edges[:-1]
        assert (edges[-1] == high) or low == high
        for part in parts:
            if part.kind != calendar_ranges.SLOTS:
                assert calendar_ranges.midnight_s(place, calendar_ranges.local_day(place, part.first)) == part.first
        assert all(part.kind != calendar_ranges.SLOTS for part in parts[1:-1])
