"""Store of a large organisation: years of hourly figures of services, use cases and hosts, in the blocks of closed days and months.

50 services x 20 use cases x 24 hours x 730 days are 17.5 million rows, each service on two of 100 hosts, plus one row of idle energy
per host and hour. There are no readings or requests.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from footprint.aggregation.basis_lookup import basis_at
from footprint.attribution.array_types import Ints
from footprint.attribution.row_columns import DOUBT_COLUMNS, RESERVED_USE_CASES
from footprint.config import Config, parse_config
from footprint.core.units import US_PER_DAY
from footprint.impact.factor_book import shipped_book
from footprint.storage import schema
from footprint.storage.database import Store, table
from footprint.storage.figure_blocks import COUNTS, COVERAGE, ENERGY
from footprint.storage.figure_writer import DAY, compact, day_extent, insert_block

DAY_0 = 20_454  # 2026-01-01, counted from 1970-01-01
STATUSES = ("recommended", "authorised", "under-study", "proscribed")
MODELS = 10


def config_text(services: int, uses: int) -> str:
    """Configuration of the organisation: two hosts per service, three sites, all use cases declared."""
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
    """Build the store; return it with its configuration and the end of its data [µs]."""
    config = parse_config(config_text(services, uses))
    store = Store(f"sqlite:///{path}", demo=False)
    with store.begin() as connection:
        _fill(store, connection, config, days, services, uses)
    compact(store, config.timezone, (DAY_0 + days) * US_PER_DAY)
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
        host_uses = [use for use in range(uses) if use % 2 == host % 2]
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
            for use in host_uses
        ]
        idle = number["(idle)"]
        templates.append((number[name], number["gpu:0"], number[service], idle, number["(idle)"], idle, host + 1, host, 0))
    columns = np.array(sorted(templates), dtype=np.int64).T
    names = ("host", "device", "service", "use_case", "model", "charter", "basis")
    for day in range(days):
        hours = np.arange(day * 24, (day + 1) * 24)
        tables = {
            "energy": _energy(dict(zip(names, columns, strict=False)), columns[7], columns[8], hours),
            "coverage": _coverage(columns, hours),
            "counts": _counts(columns, hours),
        }
        extent = day_extent(DAY_0 + day)
        insert_block(connection, tier=DAY, shard_id=0, extent=extent, tables=tables, zone=config.timezone)
    _file(store, connection, number, days, services)


def _energy(keys: dict[str, Ints], host: Ints, use: Ints, hours: Ints) -> dict[str, Ints]:
    hour = np.repeat(hours, len(host))
    tiled = {name: np.tile(column, len(hours)) for name, column in keys.items()}
    hosts, uses = np.tile(host, len(hours)), np.tile(use, len(hours))
    active = np.where(uses == 0, 0, 40_000_000_000 + ((hour * 7919 + uses * 104_729 + hosts * 1_299_709) % 1_000_003) * 50_000)
    idle = np.where(uses == 0, 300_000_000_000, 0)
    amounts = (
        active,
        idle,
        (active + idle) // 5,
        (active + idle) * 3 // 10,
        -active // 50,
        active // 40,
        active * 3 // 5,
        (active + idle) // 5,
        np.zeros_like(active),
        np.full_like(active, 90_000),
        *(np.zeros_like(active) for _ in DOUBT_COLUMNS),
        (active > 0).astype(np.int64),
    )
    return {"start_s": DAY_0 * 86_400 + hour * 3600, **tiled, **dict(zip(ENERGY.amounts, amounts, strict=True))}


def _coverage(columns: Ints, hours: Ints) -> dict[str, Ints]:
    idle = columns[:, columns[8] == 0]
    slot = np.repeat(DAY_0 * 86_400 + hours * 3600, idle.shape[1])
    read_us = np.full_like(slot, 3_600_000_000)
    none = np.zeros_like(slot)
    amounts = (slot * 1_000_000, (slot + 3600) * 1_000_000, read_us, none, none, none + 900_000_000_000, none, none)
    names = {"host": np.tile(idle[0], len(hours)), "device": np.tile(idle[1], len(hours))}
    return {"start_s": slot, **names, **dict(zip(COVERAGE.amounts, amounts, strict=True))}


def _counts(columns: Ints, hours: Ints) -> dict[str, Ints]:
    used = columns[:, columns[8] > 0]
    hour, use = np.repeat(hours, used.shape[1]), np.tile(used[8], len(hours))
    names = {
        name: np.tile(used[index], len(hours)) for index, name in ((2, "service"), (3, "use_case"), (4, "model"), (5, "charter"))
    }
    amounts = (20 + (hour + use) % 50, np.full_like(hour, 20_000), np.full_like(hour, -1), np.full_like(hour, 5000))
    return {"start_s": DAY_0 * 86_400 + hour * 3600, **names, **dict(zip(COUNTS.amounts, amounts, strict=True))}


def _file(store: Store, connection: Connection, number: dict[str, int], days: int, services: int) -> None:
    """Insert shards, streams and their days in the form that the ledger stores."""
    hosts = 2 * services
    shard = [(1 + host + day * hosts, DAY_0 + day, f"host host-{host:03}") for day in range(days) for host in range(hosts)]
    shard += [
        (hosts * days + 1 + n + day * services, DAY_0 + day, f"service service-{n:02}")
        for day in range(days)
        for n in range(services)
    ]
    connection.exec_driver_sql(
        "INSERT INTO shard (id, day, members, fingerprint, computed_us, provisional, facts, notes, digest) VALUES (?, ?, ?, 'x', 1, 0, '', '[]', '')",
        shard,
    )
    streams = [(host + 1, number[f"host-{host:03}"], number["gpu:0"]) for host in range(hosts)]
    connection.exec_driver_sql(
        "INSERT INTO stream (id, host_id, device_id, component, quantity, grade, source, model) "
        "VALUES (?, ?, ?, 'gpu', 'energy', 'counter', 'nvml-energy', 'H100')",
        streams,
    )
    stream_days = [
        (
            host + 1,
            DAY_0 + day,
            (DAY_0 + day) * US_PER_DAY,
            (DAY_0 + day) * US_PER_DAY + 1,
            (DAY_0 + day + 1) * US_PER_DAY - 1 + (day == days - 1),
        )
        for host in range(hosts)
        for day in range(days)
    ]
    connection.exec_driver_sql(
        "INSERT INTO streamday (stream_id, day, first_us, second_us, last_us, version, head) VALUES (?, ?, ?, ?, ?, 1, 1)",
        stream_days,
    )
    rows = [
        {
            "service_id": number[f"service-{n:02}"],
            "day": DAY_0 + day,
            "first_us": (DAY_0 + day) * US_PER_DAY,
            "version": 1,
            "head": 1,
        }
        for n in range(services)
        for day in range(days)
    ]
    connection.execute(table(schema.ServiceDayRow).insert(), rows)


if __name__ == "__main__":
    start = time.perf_counter()
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "footprint.toml").write_text(config_text(50, 20), encoding="utf-8")
    build(folder / "footprint.db", int(sys.argv[2]))[0].close()
    print(f"{time.perf_counter() - start:.1f} s")
