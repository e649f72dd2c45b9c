"""Shards with random figures, stored as aggregation stores them, without readings or requests behind them."""

from __future__ import annotations

import random
from typing import Any

from footprint.aggregation.basis_lookup import basis_at
from footprint.aggregation.executors import ComputedDay
from footprint.aggregation.result_writer import ShardStamp, store_days
from footprint.attribution.row_columns import AMOUNTS
from footprint.calendar.slots import slot_length_us
from footprint.config import Config, parse_config
from footprint.core.records import COUNT_COLUMNS
from footprint.impact.factor_book import shipped_book
from footprint.storage import schema
from footprint.storage.database import Store
from footprint.storage.figure_blocks import COVERAGE, ShardTables, build_shard_tables
from footprint.storage.shard_key import ShardKey

FIRST_DAY = 20_500  # 2026-02-16: three months with a change of clocks in most zones
DAYS = 100
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
PLACES = (("a", "gpu:0", "chat"), ("b", "gpu:0", "chat"), ("b", "gpu:1", "code"), ("c", "gpu:0", "(unattributed)"))
USES = (("drafting", "m", "authorised"), ("secret", "m", "undeclared"), ("(idle)", "(idle)", "(idle)"))


def zoned(zone: str, policy: str = "by-use") -> Config:
    return parse_config(CONFIG.format(zone=zone, policy=policy))


def put_shard(store: Store, facts: Config, key: ShardKey, day: int, tables: ShardTables, *, provisional: bool = False) -> None:
    store_days(store, facts, [(ComputedDay(key, day, tables), ShardStamp(key, day, "x", 1, provisional))])


def host_tables(facts: Config, host: str, day: int, luck: random.Random, largest: int = 10**13) -> ShardTables:
    """Energy and coverage of a host's day with holes; the coverage of a device holds the energy of its rows."""
    slot_s = slot_length_us(facts.timezone) // 1_000_000
    bases = {
        status: basis_at(
            facts,
            shipped_book(),
            host,
            FIRST_DAY * 86_400_000_000,
            component="gpu",
            device_model="H100",
            method="counter",
            idle_known=status == "ok",
            split=status,
        ).to_json()
        for status in ("ok", "refused")
    }
    energy: dict[str, list[Any]] = {name: [] for name in ("start_s", "host", "device", "service", "use_case", "model", "charter")}
    energy |= {name: [] for name in (*AMOUNTS, "divided")}
    coverage: dict[str, list[Any]] = {name: [] for name in ("start_s", "host", "device", *COVERAGE.amounts)}
    lines = []
    for slot in range(day * 86_400, (day + 1) * 86_400, slot_s):
        if luck.random() < 0.7:
            continue
        for _, device, service in [place for place in PLACES if place[0] == host]:
            read_uj = 0
            for use_case, model, charter in luck.sample(USES, luck.randrange(1, 3)):
                amounts = [luck.randrange(largest) for _ in range(4)]
                amounts += [luck.randrange(-(10**9), 10**9), luck.choice([0, 10**8, -(10**8)]), luck.choice([0, 10**9])]
                amounts += [luck.randrange(10**12) for _ in range(len(AMOUNTS) - 7)]
                row = (slot, host, device, service, use_case, model, charter, *amounts, int(bool(amounts[5] or amounts[6])))
                for column, value in zip(energy, row, strict=True):
                    energy[column].append(value)
                lines.append(bases[luck.choice(["ok", "refused"])])
                read_uj += sum(amounts[:3])
            begin = slot * 1_000_000 + luck.randrange(slot_s) * 400_000
            read = luck.randrange(100_000_000)
            times = (begin, begin + read + 100_000_000, read, 50_000_000, 7, read_uj, 11, 13)
            for column, value in zip(coverage, (slot, host, device, *times), strict=True):
                coverage[column].append(value)
    return build_shard_tables({"energy": energy, "coverage": coverage}, {"energy": lines})


def service_tables(facts: Config, service: str, day: int, luck: random.Random) -> ShardTables:
    slot_s = slot_length_us(facts.timezone) // 1_000_000
    counts: dict[str, list[Any]] = {name: [] for name in ("start_s", "service", "use_case", "model", "charter", *COUNT_COLUMNS)}
    for slot in range(day * 86_400, (day + 1) * 86_400, slot_s):
        if luck.random() < 0.5:
            use_case, model, charter = luck.choice(USES[:2])
            row = (slot, service, use_case, model, charter, 3, luck.choice([-1, 5]), -1, luck.randrange(1000))
            for column, value in zip(counts, row, strict=True):
                counts[column].append(value)
    return build_shard_tables({"counts": counts})


def fill(store: Store, facts: Config, seed: int, days: int = DAYS, largest: int = 10**13) -> None:
    """Shards of three hosts and two services over some days, with holes of hours and of weeks."""
    luck = random.Random(seed)
    hole = range(FIRST_DAY + 30, FIRST_DAY + 30 + luck.choice([0, 3, 12]))
    for day in range(FIRST_DAY, FIRST_DAY + days):
        if day in hole:
            continue
        for host in ("a", "b", "c"):
            put_shard(store, facts, ShardKey("host", host), day, host_tables(facts, host, day, luck, largest))
        for service in ("chat", "code"):
            put_shard(store, facts, ShardKey("service", service), day, service_tables(facts, service, day, luck))
    put_streams(store, days)


def put_streams(store: Store, days: int) -> None:
    """Streams of the hosts, with readings on the first and the last day."""
    names = store.name_ids({"a", "b", "c", "gpu:0"})
    with store.begin() as connection:
        for number, host in enumerate("abc", 1):
            stream = {"id": number, "host_id": names[host], "device_id": names["gpu:0"], "component": "gpu", "model": ""}
            store.insert_new(connection, schema.Stream, [stream | {"quantity": "energy", "grade": "counter", "source": "x"}])
        for day in (FIRST_DAY, FIRST_DAY + days - 1):
            times = {"first_us": day * 86_400_000_000, "last_us": (day + 1) * 86_400_000_000 - 1, "second_us": 0, "head": 1}
            store.insert_new(connection, schema.StreamDay, [{"stream_id": 1, "day": day, "version": 1, **times}])
