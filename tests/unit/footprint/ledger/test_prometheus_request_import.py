"""Request windows from gateway counters: exact across restarts, new labels and partial imports."""

import itertools
import json
from typing import Any

import pytest

from footprint.config.models import OWN_SERVICE_RESERVED
from footprint.ledger.prometheus_request_import import import_gateway_counters
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US, compute, config, query_rows

S = 1_000_000
SECRET = "Hortense"
FACTS = '[[service]]\nname = "chat"\nmodel = "m"\n'
STEP_S = 15


class Server:
    """A fake Prometheus over samples by series."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[float, float]]] = {}

    def show(self, name: str, at_s: int, value: float, **labels: str) -> None:
        every = {"instance": "gw:4000", "requested_model": "m", "client_ip": SECRET, "end_user": SECRET, "user": SECRET} | labels
        self.series.setdefault((name, tuple(sorted(every.items()))), []).append((DAY_S + at_s, value))

    def fetch(self, path: str, parameters: dict[str, str]) -> bytes:
        data: Any = sorted({name for name, _ in self.series})
        if path == "/api/v1/query":
            name, _, length = parameters["query"].partition("[")
            end, seconds = float(parameters["time"]), int(length.rstrip("s]"))
            data = {
                "result": [
                    {"metric": {"__name__": name} | dict(labels), "values": inside}
                    for (series_name, labels), values in self.series.items()
                    if series_name == name and (inside := [[at, str(v)] for at, v in values if end - seconds <= at <= end])
                ]
            }
        return json.dumps({"status": "success", "data": data}).encode()


def scrape(
    server: Server, at_s: int, requests: int, input_tokens: int, output: int, use_case: str = "drafting", **labels: str
) -> None:
    for name, value in (("proxy_total_requests", requests), ("input_tokens", input_tokens), ("output_tokens", output)):
        server.show(f"litellm_{name}_metric_total", at_s, value, metadata_use_case=use_case, **labels)


def figures(store: Store) -> dict[str, tuple[Any, Any, Any]]:
    facts = config(FACTS)
    compute(store, facts)
    rows = query_rows(store, facts, group=("service", "use_case"))
    assert {row["service"] for row in rows} == {"chat"}
    return {row["use_case"]: (row["requests"], row["input_tokens"], row["output_tokens"]) for row in rows}


def import_windows(store: Store, server: Server, *edges_s: int) -> list[tuple[int, int]]:
    results = [
        import_gateway_counters(store, config(FACTS), "http://p", (DAY_S + a) * S, (DAY_S + b) * S, NOW_US, server.fetch)
        for a, b in itertools.pairwise(edges_s)
    ]
    assert not any(result.rejects for result in results)
    return [(result.accepted, result.duplicates) for result in results]


def history() -> Server:
    """An hour: drafting from the beginning, search from 1000 s on, the proxy started anew at 2000 s, statuses apart."""
    server = Server()
    for at in range(0, 3600, STEP_S):
        n = at // STEP_S if at < 2000 else (at - 1995) // STEP_S
        scrape(server, at, 100 * (at < 2000) + 2 * n, 20 * n, 40 * n, status_code="200")
        scrape(server, at, n // 10, 0, 0, status_code="429")
        if at >= 1000:
            since = (at - 990) // STEP_S if at < 2000 else (at - 1995) // STEP_S
            scrape(server, at, since, 5 * since, 7 * since, use_case="search")
    return server


# Scrapes before the restart at 1995: 133 steps; after it, from its first scrape at 2010 (one step) on: 106 steps at 3585.
SAID = {"drafting": (2 * 133 + 13 + 2 * 106 + 10, 20 * 239, 40 * 239), "search": (67 + 106, 5 * 173, 7 * 173)}


def test_counts_are_exact_through_a_restart_and_new_labels(sqlite: Store) -> None:
    import_windows(sqlite, history(), 0, 3600)
    assert figures(sqlite) == SAID


def test_pieces_and_repeats_give_the_same(sqlite: Store) -> None:
    server = history()
    import_windows(sqlite, server, 0, 700, 1900, 2100, 3600)
    assert figures(sqlite) == SAID
    assert import_windows(sqlite, server, 0, 3600)[0][0] == 0
    assert figures(sqlite) == SAID


def test_tokens_counted_before_their_request_are_pending(sqlite: Store) -> None:
    server = Server()
    for at, requests, output in ((0, 0, 0), (15, 0, 50), (30, 1, 50), (45, 1, 50)):
        scrape(server, at, requests, 0, output)
    import_windows(sqlite, server, 0, 60)
    assert figures(sqlite) == {"drafting": (1, 0, 50)}


def test_a_model_of_the_name_of_this_server_is_refused(sqlite: Store) -> None:
    server = Server()
    for at in (0, 15, 30):
        scrape(server, at, at, 0, at, requested_model="footprint")
        scrape(server, at, at, 0, at)
    result = import_gateway_counters(sqlite, config(FACTS), "http://p", DAY_S * S, (DAY_S + 60) * S, NOW_US, server.fetch)
    assert {reject.reason for reject in result.rejects} == {OWN_SERVICE_RESERVED}
    assert result.accepted > 0
    figures(sqlite)


@pytest.mark.parametrize(
    ("labels", "use_case"),
    [({"team_alias": "team"}, "team"), ({"api_key_alias": "key", "team_alias": "None"}, "(unknown)"), ({}, "(unknown)")],
)
def test_the_use_case_is_the_metadata_else_the_team_never_the_key(sqlite: Store, labels: dict[str, str], use_case: str) -> None:
    server = Server()
    for at in range(0, 60, 15):
        scrape(server, at, at, at, at, use_case="None", **labels)
    import_windows(sqlite, server, 0, 60)
    assert figures(sqlite) == {use_case: (45, 45, 45)}


def test_no_user_key_or_address_is_stored(sqlite: Store) -> None:
    import_windows(sqlite, history(), 0, 3600)
    path = sqlite.engine.url.database
    sqlite.close()
    with open(str(path), "rb") as file:
        assert SECRET.encode() not in file.read()
