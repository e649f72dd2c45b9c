"""Own traffic: known by its origin, shown in its own row, and in no total, ratio or change; its energy stays where it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from footprint.access.agent_tokens import add_token
from footprint.api.app import build_application
from footprint.cli.app import status_of
from footprint.config import Config, ConfigError, parse_config
from footprint.config.models import OWN_SERVICE_RESERVED
from footprint.core.records import ActivityReading, EnergyReading, RequestRecord, to_line
from footprint.figures import Query, run_query
from footprint.ledger.importers import import_codecarbon, import_requests, import_users
from footprint.ledger.ingest import IngestService
from footprint.queries.codecarbon_export import COLUMNS as CODECARBON_COLUMNS
from footprint.queries.objectives import objective_statuses
from footprint.server.figure_counters import figure_counters
from footprint.server.self_metering import SelfMeteringGateway
from footprint.storage.database import Store
from tests.support import contract_files
from tests.support.commands import printed_rows
from tests.support.components import elements, page_context, render_page, text_of
from tests.support.contract_files import DAY_S, NOW_US, START, compute, query_rows, write
from tests.support.services import api_over, local_client

CONFIG = contract_files.CONFIG.replace('model = "m1"', 'model = "m1"\nprocesses = ["vllm"]')
S = 1_000_000
HOUR_S = 3600
REQUESTS = 20
VIEWS = 7
BUDGET = '[[objective]]\nname = "few"\nmetric = "requests"\nat_most = 20\nevery = "month"\nowner = "ops"\n'


async def answered(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})


def view_pages(store: Store, count: int, at_us: int) -> None:
    """Requests that pass the gateway of the server itself."""
    clock = iter(range(at_us, at_us + 2 * count * S, S))
    gateway = SelfMeteringGateway(answered, IngestService(store, lambda _: set()), lambda: next(clock, at_us + 2 * count * S))

    async def ask() -> None:
        async def ignore(_message: Any) -> None:
            pass

        for number in range(count):
            path = "/api/v1/footprint" if number % 2 else "/"
            await gateway({"type": "http", "path": path}, None, ignore)

    asyncio.run(ask())
    gateway.flush()


def measure_host(store: Store, facts: Config) -> None:
    """An hour of a GPU and a CPU, with requests to chat, and a quarter of the CPU's time by this server."""
    service = IngestService(store, facts.services_of_model)
    records: list[Any] = []
    for n, s in enumerate(range(0, HOUR_S + 1, 10)):
        at_us = (START + s) * S
        records += [
            EnergyReading("a", "gpu:0", "gpu", "nvml-energy", "e", n, at_us, 300 * s * S, s * S),
            EnergyReading("a", "cpu:0", "cpu", "rapl", "e", n, at_us, 100 * s * S, s * S),
            ActivityReading("a", "(host)", "b", n, at_us, s * S, 4 * s * S),
            ActivityReading("a", "footprint", "b", n, at_us, s * S // 4, 4 * s * S),
            ActivityReading("a", "vllm", "b", n, at_us, s * S // 4, 4 * s * S),
        ]
    for number in range(REQUESTS):
        begin_us = (START + 100 * number) * S
        records.append(RequestRecord(begin_us, "chat", "drafting", begin_us + 30 * S, output_tokens=10, id=f"r{number}"))
    assert not service.accept(None, [to_line(record).encode() for record in records], NOW_US).rejects


@pytest.fixture
def measured(sqlite: Store) -> Store:
    measure_host(sqlite, parse_config(CONFIG))
    compute(sqlite, parse_config(CONFIG))
    return sqlite


def all_answers(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Answers of which none may change when somebody looks at a page; without the names of the server's own use cases."""
    asked = {
        "total": Query(),
        "hours": Query(every="hour"),
        "full": Query(view="full"),
        "pairs": Query(group=("service",)),
        "two": Query(where=(("service", "chat"), ("service", "footprint"))),
        "asked for, not by service": Query(group=("host",), own_traffic=True),
        "asked for, in a total": Query(own_traffic=True),
    }
    return {name: run_query(store, parse_config(CONFIG), query, NOW_US).rows for name, query in asked.items()}


def test_a_view_of_a_page_changes_no_total_and_no_ratio(measured: Store) -> None:
    before = all_answers(measured)
    assert before["total"][0]["requests"] == REQUESTS
    assert before["total"][0]["sci_g_per_request"] is None or before["total"][0]["sci_g_per_request"] > 0
    view_pages(measured, VIEWS, (START + 600) * S)  # while the host was read
    view_pages(measured, VIEWS, (START + 30 * 86_400) * S)  # long after the last reading
    compute(measured, parse_config(CONFIG))
    after = all_answers(measured)
    for name, rows in before.items():
        for row, later in zip(rows, after[name], strict=True):
            for column in set(row) - {"flags"}:
                assert later[column] == (
                    pytest.approx(row[column], rel=1e-9) if isinstance(row[column], float) else row[column]
                ), (name, column)


def test_own_requests_stand_in_the_own_row_without_a_ratio_and_its_energy_in_the_total(measured: Store) -> None:
    view_pages(measured, VIEWS, (START + 600) * S)
    compute(measured, parse_config(CONFIG))
    rows = {row["service"]: row for row in query_rows(measured, parse_config(CONFIG), group=("service",), own_traffic=True)}
    assert (rows["footprint"]["requests"], rows["chat"]["requests"]) == (VIEWS, REQUESTS)
    assert rows["footprint"]["sci_g_per_request"] is None
    assert rows["footprint"]["energy_kwh"] > 0.01
    total = query_rows(measured, parse_config(CONFIG))[0]
    assert total["requests"] == REQUESTS
    assert sum(row["energy_kwh"] for row in rows.values()) == pytest.approx(total["energy_kwh"], rel=1e-12)
    apart = query_rows(measured, parse_config(CONFIG), group=("service", "use_case"), own_traffic=True)
    assert sum(row["requests"] for row in apart if row["service"] == "footprint") == VIEWS
    (own,) = query_rows(measured, parse_config(CONFIG), where=(("service", "footprint"),), own_traffic=True)
    assert (own["requests"], own["sci_g_per_request"]) == (VIEWS, None)
    by_use = {
        row["use_case"]: row["requests"]
        for row in query_rows(measured, parse_config(CONFIG), group=("use_case",), own_traffic=True)
    }
    assert sum(by_use.values()) == REQUESTS


def test_commands_api_pages_objectives_comparisons_and_counters_agree(
    measured: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    view_pages(measured, VIEWS, (START + 600) * S)
    compute(measured, parse_config(CONFIG))
    (tmp_path / "footprint.toml").write_text(f'[store]\nurl = "{measured.url}"\n{CONFIG}')
    monkeypatch.chdir(tmp_path)
    assert [row["requests"] for row in printed_rows(capsys, "query")] == [REQUESTS]
    assert {row["service"]: row["requests"] for row in printed_rows(capsys, "query", "--group", "service")}["footprint"] == VIEWS
    scores = [row for row in printed_rows(capsys, "scores", "--group", "service") if row["service"] == "footprint"]
    assert {row["value"] for row in scores if "request" in row["unit"]} <= {None}
    client = local_client(api_over(measured, parse_config(CONFIG), lambda: NOW_US))
    assert client.get("/api/v1/footprint").json()["rows"][0]["requests"] == REQUESTS
    listed = client.get("/api/v1/footprint?group=service").json()["rows"]
    assert {row["service"]: row["requests"] for row in listed}["footprint"] == VIEWS

    context = page_context(measured, parse_config(CONFIG), "/", "?from=2026-07-01&to=2026-07-02", "en", NOW_US)
    assert context.rows()[0]["requests"] == REQUESTS
    (status,) = objective_statuses(measured, parse_config(CONFIG + BUDGET), (DAY_S + 86_400) * S)
    assert status.figure is not None
    assert status.figure.value == REQUESTS
    assert status_of(["compare", "chat", "footprint", "--by", "service", "--anyway"]) != 0
    assert "footprint" not in figure_counters(measured, parse_config(CONFIG), NOW_US)["requests"]
    assert figure_counters(measured, parse_config(CONFIG), NOW_US)["requests"]["chat"].shown == REQUESTS


def test_the_page_of_services_shows_the_own_row_without_a_ratio(measured: Store) -> None:
    view_pages(measured, VIEWS, (START + 600) * S)
    compute(measured, parse_config(CONFIG))
    context = page_context(measured, parse_config(CONFIG), "/services", "?from=2026-07-01&to=2026-07-02", "en", NOW_US)
    tables = [[text_of(cell) for cell in row.children] for row in elements(render_page(context), "Tr")]
    shown = [(cells[0], cells[4], cells[5]) for cells in tables if len(cells) == 7]  # service, requests, Wh per request
    assert shown.count(("footprint", str(VIEWS), "")) == 2
    assert [per_request != "" for service, _, per_request in shown if service == "chat"] == [True, True]


def test_a_store_that_knows_only_views_of_its_pages_has_no_data(sqlite: Store) -> None:
    view_pages(sqlite, VIEWS, START * S)
    compute(sqlite, parse_config(CONFIG))
    assert query_rows(sqlite, parse_config(CONFIG)) == []
    (own,) = query_rows(sqlite, parse_config(CONFIG), group=("service",), own_traffic=True)
    assert (own["service"], own["requests"], own["energy_kwh"]) == ("footprint", VIEWS, None)


def test_every_other_door_refuses_the_name(sqlite: Store, tmp_path: Path) -> None:
    facts = parse_config(CONFIG)
    lines = ["start,end,service,use_case", f"{START},{START + 1},footprint,dashboard", f"{START},{START + 2},chat,drafting"]
    result = import_requests(sqlite, facts, write(tmp_path / "r.csv", lines), NOW_US)
    assert (result.accepted, [(reject.column, reject.reason) for reject in result.rejects]) == (
        1,
        [("service", OWN_SERVICE_RESERVED)],
    )
    users = ["period,service,use_case,users", "2026-07,footprint,dashboard,9", "2026-07,chat,drafting,9"]
    assert [reject.reason for reject in import_users(sqlite, write(tmp_path / "u.csv", users), NOW_US).rejects] == [
        OWN_SERVICE_RESERVED
    ]
    run = dict.fromkeys(CODECARBON_COLUMNS, "") | {"timestamp": "2026-07-02T10:00:00", "duration": "60", "gpu_energy": "0.1"}
    emissions = [",".join(run), ",".join((run | {"project_name": "footprint"}).values())]
    (energy, _), _ = import_codecarbon(sqlite, facts, write(tmp_path / "e.csv", emissions), "train", "jobs", NOW_US)
    assert [(reject.column, reject.reason) for reject in energy.rejects] == [("project_name", OWN_SERVICE_RESERVED)]
    compute(sqlite, facts)
    assert {row["service"] for row in query_rows(sqlite, facts, group=("service",), own_traffic=True)} == {"chat"}


def test_an_agent_and_a_gateway_cannot_send_own_traffic(sqlite: Store) -> None:
    client, token = local_client(api_over(sqlite, parse_config(CONFIG), lambda: NOW_US)), add_token(sqlite, "a", NOW_US)
    lines = [to_line(RequestRecord(START * S, name, "x", (START + 1) * S, id=name)) for name in ("footprint", "chat")]
    answer = client.post("/api/v1/ingest", content="\n".join(lines), headers={"Authorization": f"Bearer {token}"}).json()
    assert answer["accepted"] == 1
    assert [(reject["line"], OWN_SERVICE_RESERVED in reject["reason"]) for reject in answer["rejected"]] == [(1, True)]


@pytest.mark.parametrize(
    "block",
    [
        '[[service]]\nname = "footprint"\n',
        '[[placement]]\nservice = "footprint"\ndevices = ["a/gpu:7"]\n',
        '[[gateway]]\nname = "g"\nas = "litellm"\nservice = "footprint"\n',
    ],
)
def test_the_configuration_refuses_the_name_with_its_line_and_remedy(block: str) -> None:
    with pytest.raises(ConfigError, match="kept for the requests of this server itself; give the service another name"):
        parse_config(CONFIG + block)


def test_the_count_can_be_switched_off(sqlite: Store) -> None:
    counting = parse_config(CONFIG)
    silent = parse_config(CONFIG.replace("[[site]]", '[server]\ncount_itself = false\n[access]\nmode = "open"\n[[site]]', 1))
    assert counting.count_itself
    assert build_application(counting, sqlite, None)[1] is not None
    app, gateway = build_application(silent, sqlite, None)
    assert gateway is None
    assert local_client(app).get("/api/v1/footprint").status_code == 200
    assert query_rows(sqlite, silent, group=("service",), own_traffic=True) == []
    assert not parse_config(CONFIG, environ={"FOOTPRINT_SERVER__COUNT_ITSELF": "false"}).count_itself
    with pytest.raises(ConfigError, match="count_itself is 3; it must be true or false"):
        parse_config("[server]\ncount_itself = 3\n")
