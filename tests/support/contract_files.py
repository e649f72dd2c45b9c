"""Small contract files (energy, requests) and helpers that import, aggregate and query them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from footprint.aggregation.aggregate import aggregate
from footprint.config import Config, parse_config
from footprint.figures import Query, run_query
from footprint.impact.factor_book import shipped_book
from footprint.ledger.importers import import_energy, import_requests
from footprint.storage.database import Store

DAY_S = 1_782_864_000  # 2026-07-01T00:00:00Z
START = DAY_S + 8 * 3600
NOW_US = (DAY_S + 40 * 86_400) * 1_000_000
CONFIG = """
[organisation]
timezone = "Europe/Paris"
[[site]]
name = "paris-1"
pue = 1.35
[[host]]
name = "a"
site = "paris-1"
uplift = 1.2
[[service]]
name = "chat"
model = "m1"
devices = ["a/gpu:0", "a/gpu:1"]
[[use_case]]
name = "drafting"
charter = "authorised"
"""


def config(text: str = CONFIG) -> Config:
    """The parsed configuration."""
    return parse_config(text)


def energy_lines(start_s: int, length_s: int, step_s: int = 10, seed: int = 1) -> list[str]:
    """Energy file: two GPUs as power, an unassigned GPU and a CPU package as counters."""
    rng = random.Random(seed)
    lines = ["time,host,device,component,energy_j,power_w"]
    counters = {"gpu:2": 5.0, "cpu:0": 7.0}
    for second in range(0, length_s + 1, step_s):
        at = start_s + second
        for gpu in ("gpu:0", "gpu:1"):
            lines.append(f"{at},a,{gpu},gpu,,{rng.uniform(60, 300):.3f}")
        for device, component in (("gpu:2", "gpu"), ("cpu:0", "cpu")):
            counters[device] += rng.uniform(100, 900)
            lines.append(f"{at},a,{device},{component},{counters[device]:.6f},")
    return lines


def request_lines(start_s: int, length_s: int, count: int, seed: int = 2) -> list[str]:
    """Request file: ``count`` requests of three use cases at random times of the range."""
    rng = random.Random(seed)
    lines = ["start,end,service,use_case,model,requests,input_tokens,output_tokens,id"]
    for number in range(count):
        start = start_s + rng.uniform(0, length_s - 60)
        end = start + rng.uniform(0.2, 50)
        use_case = rng.choice(["drafting", "coding", "search"])
        lines.append(f"{start:.3f},{end:.3f},chat,{use_case},,1,{rng.randint(1, 900)},{rng.randint(1, 300)},r{number}")
    return lines


def write(path: Path, lines: list[str]) -> str:
    """Write lines to a file and return its path."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def import_files(store: Store, facts: Config, folder: Path, energy: list[str], requests: list[str]) -> None:
    """Write an energy file and a request file to the folder and import both."""
    import_energy(store, write(folder / "energy.csv", energy), NOW_US)
    import_requests(store, facts, write(folder / "requests.csv", requests), NOW_US)


def compute(store: Store, facts: Config, **options: Any) -> Any:
    """Aggregate with the shipped factors at NOW_US."""
    return aggregate(store, facts, shipped_book(), NOW_US, **options)


def query_rows(store: Store, facts: Config, **options: Any) -> list[dict[str, Any]]:
    """Rows of a query; the options are fields of ``Query``."""
    return run_query(store, facts, Query(**options), NOW_US).rows
