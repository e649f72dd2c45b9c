"""A small organisation over several quarters, hour by hour, from which tests build editions."""

from __future__ import annotations

import datetime
import random
from pathlib import Path

from footprint.aggregation.aggregate import aggregate
from footprint.config import Config, load_config
from footprint.ledger.factor_store import load_factor_book
from footprint.ledger.importers import import_energy, import_requests, import_users
from footprint.storage.database import Store

CONFIG = """
[organisation]
name = "Office"
timezone = "Europe/Paris"
[store]
url = "sqlite:///quarters.db"
[editions]
producer = "Digital services department"
contact = "footprint@example.org"
address = "https://footprint.example.org"
[[site]]
name = "paris-1"
pue = 1.35
market_factor_g_per_kwh = 12.0
market_evidence = "GO 2026"
[[host]]
name = "a"
site = "paris-1"
uplift = 1.2
embodied = { server_kgco2e = 5700, lifetime_years = 5 }
[[service]]
name = "chat"
model = "m-24b"
devices = ["a/gpu:0"]
[[service]]
name = "code"
model = "m-8b"
devices = ["a/gpu:1"]
[[use_case]]
name = "drafting"
charter = "authorised"
[[use_case]]
name = "search"
charter = "recommended"
[[use_case]]
name = "translation"
charter = "under-study"
[[use_case]]
name = "coding"
charter = "authorised"
"""
USES = {"chat": (("drafting", 5), ("search", 3), ("translation", 1)), "code": (("coding", 4),)}
HOUR_S = 3600
GPUS = {"gpu:0": "chat", "gpu:1": "code"}


def seconds(text: str) -> int:
    """Midnight UTC of a date [s since 1970]."""
    return int(datetime.datetime.fromisoformat(f"{text}T00:00+00:00").timestamp())


def energy_lines(start_s: int, end_s: int, *, growth: float = 0.0, seed: int = 3, skip: tuple[int, int] = (0, 0)) -> list[str]:
    """Energy file: hourly counters of two GPUs (60 W at night, more by day) and a CPU package."""
    rng = random.Random(seed)
    lines = ["time,host,device,component,energy_j"]
    level = {"gpu:0": 1000.0, "gpu:1": 2000.0, "cpu:0": 500.0}
    for at in range(start_s, end_s + 1, HOUR_S):
        if not skip[0] < at < skip[1]:
            lines += [f"{at},a,{device},{device[:3]},{joules:.1f}" for device, joules in level.items()]
        share = (at - start_s) / max(end_s - start_s, 1)
        busy = 8 <= at // HOUR_S % 24 < 18
        for device in GPUS:
            level[device] += HOUR_S * (60 + busy * (1 + growth * share) * rng.uniform(120, 200))
        level["cpu:0"] += HOUR_S * rng.uniform(80, 90)
    return lines


def request_lines(start_s: int, end_s: int, *, growth: float = 0.0, seed: int = 4) -> list[str]:
    """Request file: one count per use case and working hour."""
    rng = random.Random(seed)
    lines = ["start,end,service,use_case,requests,input_tokens,output_tokens,id"]
    for at in range(start_s, end_s, HOUR_S):
        if not 8 <= at // HOUR_S % 24 < 18:
            continue
        share = (at - start_s) / max(end_s - start_s, 1)
        for service, uses in USES.items():
            for use_case, weight in uses:
                count = max(round(weight * (1 + growth * share) * rng.uniform(4, 6)), 1)
                lines.append(
                    f"{at},{at + HOUR_S - 1},{service},{use_case},{count},{count * 400},{count * rng.randint(150, 250)},{use_case}{at}"
                )
    return lines


USERS = {("chat", "drafting"): 40, ("chat", "search"): 30, ("chat", "translation"): 3, ("code", "coding"): 25}


def user_lines(start: str, end: str) -> list[str]:
    """User file: distinct users of every cell and margin, by month and quarter; translation has three."""
    lines = ["period,service,use_case,users,max_share"]
    months, day = [], datetime.date.fromisoformat(start).replace(day=1)
    while day.isoformat() < end:
        months.append(day)
        day = (day + datetime.timedelta(days=32)).replace(day=1)
    names = sorted({f"{m:%Y-%m}" for m in months} | {f"{m.year}-Q{(m.month + 2) // 3}" for m in months})
    for name in names:
        lines += [f"{name},{service},{use},{count},0.3" for (service, use), count in USERS.items()]
        lines += [f"{name},,{use},{count},0.3" for (_, use), count in USERS.items()]
        lines += [f"{name},chat,,60,0.2", f"{name},code,,25,0.2", f"{name},,,80,0.2"]
    return lines


def organisation(folder: Path, start: str, end: str, text: str = CONFIG, **options: float) -> tuple[Config, Store]:
    """Configuration and aggregated store with readings and requests of [start, end)."""
    folder.mkdir(exist_ok=True)
    (folder / "footprint.toml").write_text(text, encoding="utf-8")
    config = load_config(str(folder / "footprint.toml"))
    store = Store(config.store_url, demo=config.demo)
    import_quarters(store, config, folder, start, end, **options)
    compute(store, config, end)
    return config, store


def import_quarters(store: Store, config: Config, folder: Path, start: str, end: str, **options: float) -> None:
    """Import energy, requests and users of [start, end)."""
    now_us = instant(end)
    path = folder / f"energy-{start}.csv"
    path.write_text("\n".join(energy_lines(seconds(start), seconds(end), **options)) + "\n", encoding="utf-8")  # type: ignore[arg-type]
    import_energy(store, str(path), now_us)
    path = folder / f"requests-{start}.csv"
    path.write_text("\n".join(request_lines(seconds(start), seconds(end), **options)) + "\n", encoding="utf-8")  # type: ignore[arg-type]
    import_requests(store, config, str(path), now_us)
    path = folder / f"users-{start}.csv"
    path.write_text("\n".join(user_lines(start, end)) + "\n", encoding="utf-8")
    import_users(store, str(path), now_us)


def compute(store: Store, config: Config, day: str) -> None:
    """Aggregate as of a day."""
    aggregate(store, config, load_factor_book(store), instant(day))


def instant(day: str, hour: int = 10) -> int:
    """Time of day on a date [µs since 1970]."""
    return (seconds(day) + hour * HOUR_S) * 1_000_000
