"""This file makes a store as large as that of a big organisation, by SQL: years of hourly rows of services, use cases and hosts.

50 services x 20 use cases x 24 hours x 730 days are 17.5 million rows, each service on two of 100 hosts, and a row of idle energy
an hour beside them. Names, bases, shards, counts and coverage are as aggregation stores them; readings and requests there are none.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sqlalchemy import Connection

from footprint.aggregation.calculation_basis import basis_at
from footprint.aggregation.result_writer import RESERVED_USE_CASES
from footprint.aggregation.rollups import rebuild
from footprint.config import Config, parse_config
from footprint.core.units import US_PER_DAY
from footprint.impact.factor_book import shipped_book
from footprint.storage import schema
from footprint.storage.database import Store, table

DAY_0 = 20_454  # 2026-01-01, counted from 1970-01-01
STATUSES = ("recommended", "authorised", "under-study", "proscribed")
MODELS = 10


def config_text(services: int, uses: int) -> str:
    """The configuration of the organisation: two hosts a service, three sites, every use case declared."""
    parts = ['[organisation]\nname = "Large"\ntimezone = "Europe/Paris"']
    parts += [f'[[site]]\nname = "site-{n}"\npue = {1.2 + n / 10}' for n in range(3)]
    parts += [f'[[host]]\nname = "host-{n:03}"\nsite = "site-{n % 3}"\nuplift = 1.2' for n in range(2 * services)]
    parts += [
        f'[[service]]\nname = "service-{n:02}"\nmodel = "model-{n % MODELS}"\n'
        f'devices = ["host-{2 * n:03}/gpu:0", "host-{2 * n + 1:03}/gpu:0"]'
        for n in range(services)
    ]
    parts += [f'[[use_case]]\nname = "use-{n:02}"\ncharter = "{STATUSES[n % 4]}"' for n in range(uses)]
    return "\n".join(parts) + "\n"


def build(path: Path, days: int = 730, services: int = 50, uses: int = 20) -> tuple[Store, Config, int]:
    """A store at a path with its configuration, and the instant [µs] at which it ends."""
    config = parse_config(config_text(services, uses))
    store = Store(f"sqlite:///{path}", demo=False)
    with store.begin() as connection:
        for name in ("row", "count", "seen"):
            connection.exec_driver_sql(f"DROP INDEX footprint_{name}_shard")
        _fill(store, connection, config, days, services, uses)
        for name in ("row", "count", "seen"):
            connection.exec_driver_sql(f"CREATE INDEX footprint_{name}_shard ON footprint_{name} (shard_id)")
    rebuild(store, config.timezone)
    return store, config, (DAY_0 + days) * US_PER_DAY


def _fill(store: Store, connection: Connection, config: Config, days: int, services: int, uses: int) -> None:
    texts = sorted(
        {
            *RESERVED_USE_CASES,
            "gpu:0",
            *(f"host-{n:03}" for n in range(2 * services)),
            *(f"service-{n:02}" for n in range(services)),
            *(f"use-{n:02}" for n in range(uses)),
            *(f"model-{n}" for n in range(MODELS)),
            *STATUSES,
        }
    )
    number = {text: index for index, text in enumerate(texts, 1)}
    store.insert_new(connection, schema.Name, [{"id": index, "text": text} for text, index in number.items()])
    templates = []
    for host in range(2 * services):
        name, service = f"host-{host:03}", f"service-{host // 2:02}"
        basis = basis_at(
            config,
            shipped_book(),
            name,
            DAY_0 * US_PER_DAY,
            component="gpu",
            device_model="H100",
            method="counter",
            idle_known=True,
            split="ok",
        )
        store.insert_new(connection, schema.BasisRow, [{"id": host + 1, "digest": f"{host:032x}", "content": basis.to_json()}])
        model = number[f"model-{host // 2 % MODELS}"]
        mine = [use for use in range(uses) if use % 2 == host % 2]
        templates += [
            (
                number[name],
                number["gpu:0"],
                number[service],
                number[f"use-{use:02}"],
                model,
                number[STATUSES[use % 4]],
                host + 1,
                host,
                use + 1,
            )
            for use in mine
        ]
        idle = number["(idle)"]
        templates.append((number[name], number["gpu:0"], number[service], idle, number["(idle)"], idle, host + 1, host, 0))
    connection.exec_driver_sql(
        "CREATE TEMPORARY TABLE template (host_id, device_id, service_id, use_case_id, model_id, charter_id, basis_id, host, use)"
    )
    connection.exec_driver_sql(f"INSERT INTO template VALUES ({', '.join('?' * 9)})", sorted(templates))
    hosts, last = 2 * services, days * 24
    connection.exec_driver_sql(
        "CREATE TEMPORARY TABLE hour AS WITH RECURSIVE h(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM h WHERE n + 1 < "
        f"{last}) SELECT n, {DAY_0} * 86400 + n * 3600 AS slot, {DAY_0} + n / 24 AS day FROM h"
    )
    active = "CASE WHEN use = 0 THEN 0 ELSE 40000000000 + ((hour.n * 7919 + use * 104729 + host * 1299709) % 1000003) * 50000 END"
    idle = "CASE WHEN use = 0 THEN 300000000000 ELSE 0 END"
    connection.exec_driver_sql(
        "INSERT INTO footprint_row SELECT slot, host_id, device_id, service_id, use_case_id, model_id, basis_id, charter_id, "
        "active, idle, (active + idle) / 5, (active + idle) * 3 / 10, -active / 50, active / 40, active * 3 / 5, "
        f"(active + idle) / 5, 0, 90000, 1 + host + (day - {DAY_0}) * {hosts} FROM (SELECT hour.slot, hour.day, t.*, {active} AS active, "
        f"{idle} AS idle FROM hour CROSS JOIN template t)"
    )
    connection.exec_driver_sql(
        "INSERT INTO footprint_seen SELECT slot, host_id, device_id, slot * 1000000, (slot + 3600) * 1000000, 3600000000, 0, 0, "
        f"900000000000, 1 + host + (day - {DAY_0}) * {hosts} FROM hour CROSS JOIN template t WHERE use = 0"
    )
    connection.exec_driver_sql(
        "INSERT INTO footprint_count SELECT slot, service_id, use_case_id, model_id, charter_id, 20 + (hour.n + use) % 50, 20000, NULL, "
        f"5000, {hosts * days} + 1 + host / 2 + (day - {DAY_0}) * {services} FROM hour CROSS JOIN template t WHERE use > 0 "
    )
    _file(store, connection, number, days, services)
    connection.exec_driver_sql("DROP TABLE template")
    connection.exec_driver_sql("DROP TABLE hour")


def _file(store: Store, connection: Connection, number: dict[str, int], days: int, services: int) -> None:
    """Shards, streams and their days, as the ledger would have them."""
    hosts = 2 * services
    shard = [(1 + host + day * hosts, DAY_0 + day, f"host host-{host:03}") for day in range(days) for host in range(hosts)]
    shard += [
        (hosts * days + 1 + n + day * services, DAY_0 + day, f"service service-{n:02}")
        for day in range(days)
        for n in range(services)
    ]
    connection.exec_driver_sql(
        "INSERT INTO shard (id, day, members, fingerprint, computed_us, provisional, facts, notes) VALUES (?, ?, ?, 'x', 1, 0, '', '[]')",
        shard,
    )
    streams = [(host + 1, number[f"host-{host:03}"], number["gpu:0"]) for host in range(hosts)]
    connection.exec_driver_sql(
        "INSERT INTO stream (id, host_id, device_id, component, quantity, grade, source, model) "
        "VALUES (?, ?, ?, 'gpu', 'energy', 'counter', 'nvml-energy', 'H100')",
        streams,
    )
    held = [
        (host + 1, DAY_0 + day, (DAY_0 + day) * US_PER_DAY, (DAY_0 + day + 1) * US_PER_DAY - 1 + (day == days - 1))
        for host in range(hosts)
        for day in range(days)
    ]
    connection.exec_driver_sql("INSERT INTO streamday (stream_id, day, first_us, last_us, version) VALUES (?, ?, ?, ?, 1)", held)
    rows = [
        {"service_id": number[f"service-{n:02}"], "day": DAY_0 + day, "first_us": (DAY_0 + day) * US_PER_DAY, "version": 1}
        for n in range(services)
        for day in range(days)
    ]
    connection.execute(table(schema.ServiceDayRow).insert(), rows)


if __name__ == "__main__":
    begun = time.perf_counter()
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "footprint.toml").write_text(config_text(50, 20), encoding="utf-8")
    build(folder / "footprint.db", int(sys.argv[2]))[0].close()
    print(f"{time.perf_counter() - begun:.1f} s")
