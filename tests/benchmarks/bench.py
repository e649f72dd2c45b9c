"""Benchmark table (`make bench`): each operation beside a peer that does comparable work, measured in one run.

Times are in seconds unless the label says otherwise; a peer that is not installed is shown as absent.
"""

from __future__ import annotations

import csv
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pandas as pd

from footprint.config import parse_config
from footprint.core.log_formats import load_map
from footprint.ledger.importers import import_energy, import_mapped_log, import_requests
from footprint.storage.database import Store
from tests.benchmarks import agent_peer, attribution, ledger, live_day, ministry, pages, rapl_sample
from tests.support.contract_files import DAY_S, NOW_US, compute, config, energy_lines, query_rows, request_lines, write

REPEATS = 3


def best(action: Callable[[], object]) -> float:
    """Shortest time of a few repeats [s]."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def foreign_log(path: Path, count: int) -> list[str]:
    """Write a gateway log with payloads of the size and shape that LiteLLM writes, about 12 kB; return its lines."""
    details = {f"user_api_key_{n}": None for n in range(40)} | {f"header_{n}": "text/event-stream" for n in range(40)}
    words = "The quarterly figures of employment show that "
    around = {
        "messages": [{"role": "user", "content": words * 20} for _ in range(4)],
        "response": {"choices": [{"message": {"role": "assistant", "content": words * 40}, "logprobs": None}], "usage": details},
        "hidden_params": details,
        "model_map_information": {"model_map_value": {f"input_cost_{n}": n / 1e6 for n in range(60)}},
    }
    lines = [
        json.dumps(
            around
            | {
                "startTime": DAY_S + n,
                "endTime": DAY_S + n + 2.5,
                "model_group": "m",
                "prompt_tokens": n % 2000,
                "completion_tokens": n % 500,
                "status": "success",
                "litellm_call_id": f"{n:032x}",
                "metadata": details | {"requester_metadata": {"use_case": "drafting"}},
            }
        )
        for n in range(count)
    ]
    path.write_text("\n".join(lines) + "\n")
    return lines


def _parse_all(lines: list[str]) -> None:
    for line in lines:
        orjson.loads(line)


def main() -> None:
    """Print the table."""
    rows: list[tuple[str, float, float | None]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        energy = write(folder / "energy.csv", energy_lines(DAY_S, 86_400, 2))
        requests = write(folder / "requests.csv", request_lines(DAY_S, 86_400, 28_185))
        facts = config()

        def fresh() -> Store:
            for old in folder.glob("store.db*"):
                old.unlink()
            return Store(f"sqlite:///{folder / 'store.db'}")

        def read_requests() -> int:
            with Path(requests).open() as source:
                return sum(1 for _ in csv.DictReader(source))

        ours = best(lambda: import_energy(fresh(), energy, NOW_US))
        rows.append(("import of 172,804 readings / pandas.read_csv", ours, best(lambda: pd.read_csv(energy))))
        lines = foreign_log(folder / "gateway.jsonl", 28_185)
        served = parse_config('[[service]]\nname = "chat"\nmodel = "m"\n')
        ours = best(lambda: import_mapped_log(fresh(), served, str(folder / "gateway.jsonl"), load_map("litellm"), NOW_US))
        rows.append(("import of 28,185 LiteLLM payloads / orjson, at most 5", ours, best(lambda: _parse_all(lines))))
        ours = best(lambda: import_requests(fresh(), facts, requests, NOW_US))
        rows.append(("import of 28,185 requests / csv.DictReader", ours, best(read_requests)))
        store = fresh()
        import_energy(store, energy, NOW_US)
        import_requests(store, facts, requests, NOW_US)
        start = time.perf_counter()
        compute(store, facts)
        first = time.perf_counter() - start
        rows.append(("second aggregate (nothing to do) / first", best(lambda: compute(store, facts)), first))
        hours = best(lambda: query_rows(store, facts, group=("service", "use_case"), every="hour"))
        rows.append(("query by hour and use case / query of all", hours, best(lambda: query_rows(store, facts))))
    rows += [
        *attribution.rows(),
        *ledger.rows(),
        *ministry.rows(),
        *live_day.rows(),
        *rapl_sample.rows(),
        *agent_peer.rows(),
        *pages.rows(),
    ]
    print(f"{'what':58} {'ours':>9} {'peer':>9} {'ratio':>8}")
    for label, value, peer in rows:
        peer_text, ratio = ("absent", "") if peer is None else (f"{peer:9.3g}", f"{value / peer:8.3f}")
        print(f"{label:58} {value:9.3g} {peer_text:>9} {ratio:>8}")


if __name__ == "__main__":
    main()
