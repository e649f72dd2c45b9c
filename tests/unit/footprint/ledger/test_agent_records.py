"""Agent records other than energy: use of devices by process groups, CPU time of groups, shares of a partitioned device."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from footprint.core.records import ActivityReading, ContextReading, EnergyReading, Record, to_line
from footprint.ledger.ingest import IngestService
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US, compute, config, import_files, query_rows

S = 1_000_000
KWH = 3.6e6
START = DAY_S + 8 * 3600
FACTS = """
[[site]]
name = "s"
pue = 1.5
[[host]]
name = "a"
site = "s"
uplift = 1.2
[[service]]
name = "chat"
processes = ["unit:vllm-*.service"]
[[service]]
name = "search"
processes = ["pod:llm/embed-*"]
"""


def ship(store: Store, records: Sequence[Record]) -> None:
    result = IngestService(store, lambda _: set()).accept("a", [to_line(record).encode() for record in records], NOW_US)
    assert not result.rejects


def board(
    watts: float, length_s: int = 3600, device: str = "GPU-1", source: str = "nvml-energy", alias: str = "gpu:0"
) -> list[Record]:
    return [
        EnergyReading("a", device, "gpu", source, "e", s, (START + s) * S, round(watts * s * S), s * S, s * S, alias)
        for s in range(0, length_s + 1, 10)
    ]


def device_context(at_s: int, **values: int) -> ContextReading:
    return ContextReading(
        "a", "GPU-1", "gpu", "nvml", "e", at_s, (START + at_s) * S, {k.replace("__", "/"): v for k, v in values.items()}
    )


def holding(at_s: int, group: str, value: int) -> ContextReading:
    return ContextReading("a", "GPU-1", "gpu", "nvml", "e", at_s, (START + at_s) * S, {f"holding/{group}": value})


def by_service(store: Store, facts: object) -> dict[str, float]:
    rows = query_rows(store, facts, group=("service",))  # type: ignore[arg-type]
    return {r["service"]: r["accelerator_active_kwh"] + r["accelerator_idle_kwh"] for r in rows}


def test_device_energy_goes_to_the_service_whose_processes_use_it(sqlite: Store) -> None:
    facts = config(FACTS)
    context = [holding(0, "unit:vllm-large.service", 1), holding(1810, "unit:vllm-large.service", 0)]
    ship(sqlite, [*board(300), *context])
    compute(sqlite, facts)
    energy_kwh = 300 * 1810 / KWH  # to the second, wherever the windows of attribution begin
    assert by_service(sqlite, facts) == pytest.approx({"chat": energy_kwh, "(unattributed)": 300 * 1790 / KWH}, rel=1e-6)


def test_concurrent_groups_share_a_device_equally_unknown_groups_included(sqlite: Store) -> None:
    facts = config(FACTS)
    context = [holding(0, group, 1) for group in ("unit:vllm-a.service", "pod:llm/embed-7", "unit:stranger.service")]
    ship(sqlite, [*board(300), *context])
    compute(sqlite, facts)
    third = 100 * 3600 / KWH
    assert by_service(sqlite, facts) == pytest.approx({"chat": third, "search": third, "(unattributed)": third}, rel=1e-6)


def test_a_configured_placement_overrides_the_observed_one(sqlite: Store) -> None:
    facts = config(FACTS + '[[placement]]\nservice = "search"\ndevices = ["a/gpu:0"]\n')
    ship(sqlite, [*board(300), holding(0, "unit:vllm-a.service", 1)])
    compute(sqlite, facts)
    assert by_service(sqlite, facts) == pytest.approx({"search": 300 * 3600 / KWH}, rel=1e-6)


def test_an_observed_placement_expires_after_two_hours_without_samples(sqlite: Store) -> None:
    facts = config(FACTS)
    ship(sqlite, [*board(300, 4 * 3600), holding(0, "unit:vllm-a.service", 1)])
    compute(sqlite, facts)
    half = 300 * 2 * 3600 / KWH
    assert by_service(sqlite, facts) == pytest.approx({"chat": half, "(unattributed)": half}, rel=1e-6)


def test_a_new_observed_placement_recomputes_the_day(sqlite: Store) -> None:
    facts = config(FACTS)
    ship(sqlite, [*board(300), holding(0, "unit:vllm-a.service", 1)])
    compute(sqlite, facts)
    ship(sqlite, [holding(1800, "pod:llm/embed-1", 1), holding(1800, "unit:vllm-a.service", 0)])
    assert compute(sqlite, facts).computed > 0
    half = 300 * 1800 / KWH
    assert by_service(sqlite, facts) == pytest.approx({"chat": half, "search": half}, rel=1e-6)


def test_host_energy_follows_the_cpu_time_of_groups_found_by_pattern(sqlite: Store) -> None:
    facts = config(FACTS)
    cpu = [EnergyReading("a", "cpu:0", "cpu", "rapl", "e", s, (START + s) * S, 100 * s * S, s * S) for s in range(0, 3601, 10)]
    activity: list[Record] = []
    for s in range(0, 3601, 10):
        at_us = (START + s) * S
        activity += [
            ActivityReading("a", "(host)", "b", s, at_us, s * S, 4 * s * S),
            ActivityReading("a", "unit:vllm-a.service", "b", s, at_us, s * S * 6 // 10, 4 * s * S, 10**9),
            ActivityReading("a", "pod:llm/embed-7", "b", s, at_us, s * S * 2 // 10, 4 * s * S),
        ]
    ship(sqlite, [*board(300), *cpu, *activity, holding(0, "unit:vllm-a.service", 1), holding(0, "pod:llm/embed-7", 1)])
    compute(sqlite, facts)
    host = {r["service"]: r["host_kwh"] for r in query_rows(sqlite, facts, group=("service",))}
    total = (100 + 0.2 * 400) * 3600 / KWH
    assert host == pytest.approx({"chat": total * 0.6, "search": total * 0.2, "(unattributed)": total * 0.2}, rel=1e-4)


def test_the_agent_itself_is_in_the_figures(sqlite: Store) -> None:
    facts = config(FACTS)
    activity: list[Record] = []
    for s in range(0, 3601, 10):
        at_us = (START + s) * S
        activity += [
            ActivityReading("a", "(host)", "b", s, at_us, s * S, 4 * s * S),
            ActivityReading("a", "footprint-agent", "b", s, at_us, s * S // 100, 4 * s * S),
        ]
    cpu = [EnergyReading("a", "cpu:0", "cpu", "rapl", "e", s, (START + s) * S, 100 * s * S, s * S) for s in range(0, 3601, 10)]
    ship(sqlite, [*cpu, *activity])
    compute(sqlite, facts)
    host = {r["service"]: r["host_kwh"] for r in query_rows(sqlite, facts, group=("service",))}
    assert host["footprint"] == pytest.approx(0.01 / 4 * 120 * 3600 / KWH, rel=1e-3)


def test_c11_a_share_of_a_board_is_graded_as_modelled(sqlite: Store) -> None:
    facts = config(FACTS + '[[placement]]\nservice = "search"\ndevices = ["a/gpu:0:1"]\n')
    ship(
        sqlite,
        [
            *board(100, device="MIG-1", source="nvml-energy-mig", alias="gpu:0:1"),
            *board(200, device="MIG-2", source="nvml-energy-mig", alias="gpu:0:2"),
        ],
    )
    compute(sqlite, facts)
    assert by_service(sqlite, facts) == pytest.approx({"search": 100 * 3600 / KWH, "(unattributed)": 200 * 3600 / KWH}, rel=1e-6)
    row = query_rows(sqlite, facts)[0]
    assert row["quality"] == "B"
    # The share of an instance is known to some tens of percent, which the interval says.
    assert row["energy_high_kwh"] > 1.2 * row["energy_kwh"]


@pytest.mark.parametrize("told", [True, False])
def test_idle_power_is_not_estimated_from_unlogged_traffic(sqlite: Store, tmp_path: Path, told: bool) -> None:
    """Unlogged traffic at 250 W all day and one request: idle power comes from the quiet time around it."""
    facts = config(FACTS + '[[placement]]\nservice = "search"\ndevices = ["a/gpu:0"]\n')
    length_s, rest_s = 10 * 3600, 5 * 3600
    records: list[Record] = []
    energy = busy = 0
    for s in range(0, length_s + 1, 10):
        resting = rest_s - 1200 <= s <= rest_s + 1200
        records.append(EnergyReading("a", "GPU-1", "gpu", "nvml-energy", "e", s, (START + s) * S, energy, s * S, s * S, "gpu:0"))
        if told:
            records.append(device_context(s, busy_us=busy))
        energy += (60 if resting else 250) * 10 * S
        busy += 0 if resting else 9 * S
    ship(sqlite, records)
    at = START + rest_s + 5000  # far from the rest: none of it is within an hour of the request
    import_files(
        sqlite, facts, tmp_path, ["time,host,device,component,power_w"], ["start,end,service,use_case", f"{at},{at + 5},search,u"]
    )
    compute(sqlite, facts)
    idle = query_rows(sqlite, facts)[0]["accelerator_idle_kwh"]
    rest = 60 * length_s / KWH
    assert (idle == pytest.approx(rest, rel=0.02)) is told


def test_device_context_is_stored_and_counts_no_energy(sqlite: Store) -> None:
    facts = config(FACTS)
    ship(
        sqlite,
        [
            *board(300),
            *(device_context(s, power_limit_uw=700 * S, clock_sm_hz=10**9, memory_used_bytes=s) for s in range(0, 3600, 60)),
        ],
    )
    compute(sqlite, facts)
    assert query_rows(sqlite, facts)[0]["energy_kwh"] == pytest.approx(300 * 3600 * 1.2 * 1.5 / KWH, rel=1e-6)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("values", {}),
        ("values", {"watts": 1}),
        ("values", {"busy_us": -1}),
        ("values", [1]),
        ("component", "gpus"),
        ("device", ""),
    ],
)
def test_an_invalid_device_context_is_rejected(sqlite: Store, field: str, value: object) -> None:
    import json

    line = json.loads(to_line(device_context(0, busy_us=1))) | {field: value}
    result = IngestService(sqlite, lambda _: set()).accept("a", [json.dumps(line).encode()], NOW_US)
    assert [(reject.line, reject.column) for reject in result.rejects] == [
        (1, field if not isinstance(value, dict) or "busy_us" not in value else "busy_us")
    ]
