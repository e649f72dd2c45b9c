"""Counters of inference servers: by model, and by the host of the instance where they bear none."""

from __future__ import annotations

import json

import pytest

from footprint.config import Config, parse_config
from footprint.ledger.prometheus_import import import_prometheus
from footprint.queries.unlogged_traffic import unlogged_traffic
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US

US = 1_000_000
NAMES = ("tgi_request_success", "tgi_request_input_length_sum", "tgi_request_generated_tokens_sum")


def facts(*hosts: str) -> Config:
    blocks = [
        f'[[service]]\nname = "s{number}"\nmodel = "m{number}"\ndevices = ["{host}/gpu:{number}"]\n'
        for number, host in enumerate(hosts)
    ]
    return parse_config("".join(blocks))


def answer(path: str, parameters: dict[str, str]) -> bytes:
    """What a Prometheus answers that scraped one server without a model label."""
    if "__name__/values" in path:
        return json.dumps({"status": "success", "data": list(NAMES)}).encode()
    name = next((name for name in NAMES if name in str(parameters)), "")
    values = [[DAY_S + 15 * step, str(step)] for step in range(5)]
    series = [{"metric": {"__name__": name, "instance": "inf-01:8000"}, "values": values}] if name else []
    if "/series" in path or path.endswith("series"):
        return json.dumps({"status": "success", "data": [entry["metric"] for entry in series]}).encode()
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}}).encode()


@pytest.mark.parametrize(
    ("hosts", "named"),
    [(("inf-01",), "s0"), (("inf-02",), "inf-01"), (("inf-01", "inf-01"), "inf-01"), (("inf-01", "inf-02"), "s0")],
)
def test_a_server_without_a_model_is_the_service_of_its_host_or_stands_under_its_own_name(
    sqlite: Store, hosts: tuple[str, ...], named: str
) -> None:
    import_prometheus(sqlite, "http://p", DAY_S * US, (DAY_S + 61) * US, NOW_US, fetch=answer)
    rows = unlogged_traffic(sqlite, facts(*hosts), DAY_S * US, (DAY_S + 3600) * US, NOW_US)
    assert [(row["service"].partition(":")[0], row["served_requests"]) for row in rows] == [(named, 4)]
