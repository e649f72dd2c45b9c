"""Import from a real Prometheus and a real VictoriaMetrics with counter wraps, driver reloads, gaps and renamed labels."""

import itertools
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from footprint.aggregation.device_energy import device_energies
from footprint.attribution.energy_intervals import BRIDGED
from footprint.core.prometheus_metrics import OverlappingExporters, SourceUnavailable
from footprint.ledger.importers import import_requests
from footprint.ledger.ledger_view import LedgerView
from footprint.ledger.prometheus_import import Remarks, import_prometheus
from footprint.queries.unlogged_traffic import unlogged_traffic
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US, compute, config, query_rows, write
from tests.support.processes import free_port, wait_for_answer

S = 1_000_000
STEP_S, LENGTH_S = 15, 3 * 3600
WRAP_J = 262_143.328850
EPYC_WRAP_J, EPYC_W = 65_532.610987, (220, 90)
RELOAD_S, RENAME_S, GAP_S = 5000, 7000, (9000, 9600)


@dataclass
class World:
    """True energy of devices, and OpenMetrics lines of their exporters by metric name."""

    lines: dict[str, list[str]] = field(default_factory=dict)
    truth: dict[tuple[str, int], int] = field(default_factory=dict)  # (device, second) -> µJ since the start

    def show(self, name: str, labels: str, value: float | str, at_s: int) -> None:
        self.lines.setdefault(name, []).append(f"{name}{{{labels}}} {value} {DAY_S + at_s}")


def simulate() -> World:
    rng, world = random.Random(4), World()
    cpu, gpu, reset_at_uj = 200_000 * S, 0, 0
    for at in range(0, LENGTH_S + 1, STEP_S):
        cpu += rng.randrange(350 * STEP_S) * S
        gpu += rng.randrange(700 * STEP_S) * 1000 * 1000
        world.truth["cpu:0", at], world.truth["GPU-1", at] = cpu, gpu
        reset_at_uj = gpu if at == (RELOAD_S // STEP_S + 1) * STEP_S else reset_at_uj
        if GAP_S[0] <= at < GAP_S[1]:
            continue
        raw = (cpu / S) % WRAP_J
        for path in ("intel-rapl:0", "intel-rapl-mmio:0"):
            world.show(
                "node_rapl_package_joules_total",
                f'index="0",path="/sys/class/powercap/{path}",instance="inf-01:9100"',
                f"{raw:.6f}",
                at,
            )
        host = 'Hostname="inf-01"' if at < RENAME_S else 'hostname="inf-01"'
        shown = (gpu - reset_at_uj) // 1000
        for instance in (1, 2):
            blank = 9223372036854775794 if at % 600 == 300 else shown
            world.show(
                "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
                f'UUID="GPU-1",GPU_I_ID="{instance}",{host},instance="10.0.0.1:9400"',
                blank,
                at,
            )
        served = at // STEP_S * 3 if at < 6000 else (at - 6000) // STEP_S * 3  # the server was restarted
        for name, per_request in (("vllm:request_success_total", 1), ("vllm:generation_tokens_total", 40)):
            for engine in "01":
                world.show(name, f'model_name="org/m",engine="{engine}",instance="inf-01:8000"', served * per_request, at)
        # Two dies of another range, which two jobs scrape under an address and a name, the second some seconds later.
        for late_s, instance in ((0, "10.0.0.9:9100"), (6, "epyc-01:9100")):
            for die in (0, 1):
                energy = EPYC_W[die] * (at + late_s)
                world.show(
                    f"node_rapl_package_0_die_{die}_joules_total",
                    f'index="0",path="/sys/class/powercap/intel-rapl:{die}",instance="{instance}"',
                    f"{energy % EPYC_WRAP_J:.6f}",
                    at + late_s,
                )
        world.show("ipmi_dcmi_power_consumption_watts", 'instance="inf-01:9290"', 0 if at % 300 == 0 else 900, at)
    return world


WORLD = simulate()


def open_metrics() -> str:
    """The history as OpenMetrics: by name, by series, in order of time."""
    parts = []
    for name, lines in WORLD.lines.items():
        kind = "counter" if name.endswith("_total") else "unknown"
        parts += [f"# TYPE {name.removesuffix('_total')} {kind}", *sorted(lines, key=lambda line: line.rpartition("}")[0])]
    return "\n".join([*parts, "# EOF"]) + "\n"


@pytest.fixture(scope="module", params=["prometheus", "victoria-metrics"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("tsdb"), free_port()
    url = f"http://127.0.0.1:{port}"
    if request.param == "prometheus":
        (folder / "history.om").write_text(open_metrics())
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "history.om"), str(folder / "data")],
            check=True,
            capture_output=True,
        )
        (folder / "prometheus.yml").write_text("global: {}\n")
        command = [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.retention.time=30y",
        ]
    else:
        command = [
            "victoria-metrics",
            f"-storageDataPath={folder}/data",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-retentionPeriod=30y",
        ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_answer(f"{url}/-/ready" if request.param == "prometheus" else f"{url}/health")
        if request.param == "victoria-metrics":
            body = "".join(f"{line}000\n" for lines in WORLD.lines.values() for line in lines)  # milliseconds here
            assert httpx.post(f"{url}/api/v1/import/prometheus", content=body).status_code == 204
            httpx.get(f"{url}/internal/force_flush")
        yield url
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder)


def import_pieces(store: Store, url: str, *edges_s: int) -> list[tuple[int, int]]:
    results = [import_prometheus(store, url, (DAY_S + a) * S, (DAY_S + b) * S, NOW_US) for a, b in itertools.pairwise(edges_s)]
    assert not any(result.rejects for result in results)
    return [(result.accepted, result.duplicates) for result in results]


def spans_of(store: Store, host: str = "inf-01") -> dict[str, list[tuple[int, int, int, bool]]]:
    """(start [s], end [s], energy [µJ], bridged) of each interval by device; times since the start of the day."""
    with store.read() as connection:
        devices = device_energies(LedgerView(store, connection), host, DAY_S // 86_400)
    return {
        device.device: [
            (int(a) // S - DAY_S, int(b) // S - DAY_S, int(e), bool(m == BRIDGED))
            for a, b, e, m in zip(
                device.intervals.start_us,
                device.intervals.end_us,
                device.intervals.energy_uj,
                device.intervals.method,
                strict=True,
            )
        ]
        for device in devices
    }


def test_energy_matches_the_truth_as_far_as_raw_samples_allow(server: str, sqlite: Store) -> None:
    import_pieces(sqlite, server, 0, LENGTH_S + 1)
    spans = spans_of(sqlite)
    assert set(spans) == {"cpu:0", "GPU-1", "wall"}
    for device in ("cpu:0", "GPU-1"):
        for start, end, energy, _ in spans[device]:
            assert energy == pytest.approx(WORLD.truth[device, end] - WORLD.truth[device, start], abs=1000)
        covered_s = sum(end - start for start, end, _, _ in spans[device])
        # Missing: one interval of the GPU at the reload, or two at a blank. The RAPL counter would have had to draw twice
        # the power around the gap to wrap once more in it.
        missing_s = LENGTH_S - covered_s
        assert missing_s == (0 if device == "cpu:0" else pytest.approx(STEP_S, abs=STEP_S))
        assert sum(end - start for start, end, _, bridged in spans[device] if bridged) == GAP_S[1] - GAP_S[0] + STEP_S
    wall = sum(energy for _, _, energy, _ in spans["wall"])
    wall_covered_s = sum(end - start for start, end, _, _ in spans["wall"])
    assert wall == 900 * wall_covered_s * S  # zeros are not readings
    assert wall_covered_s == pytest.approx(LENGTH_S - (GAP_S[1] - GAP_S[0]), abs=120)


def test_dies_of_an_unknown_range_under_two_names_of_their_host_count_once(server: str, sqlite: Store) -> None:
    remarks = Remarks()
    import_prometheus(sqlite, server, DAY_S * S, (DAY_S + LENGTH_S + 7) * S, NOW_US, remarks=remarks)
    spans = spans_of(sqlite, "epyc-01")
    assert spans_of(sqlite, "10.0.0.9") == {}
    gap_s = GAP_S[1] - (GAP_S[0] - STEP_S + 6)  # in which the register of the first die went round twice
    assert {device: sum(energy for _, _, energy, _ in spans[device]) for device in spans} == {
        "cpu:0": EPYC_W[0] * (LENGTH_S + 6 - gap_s) * S,
        "cpu:0-die-1": EPYC_W[1] * (LENGTH_S + 6) * S,
    }
    texts = "\n".join(remarks)
    assert "10.0.0.9 and epyc-01 show the same counters" in texts
    assert "epyc-01 cpu:0: 1 intervals are so long that its register of 65532 J may have started again unseen" in texts


def test_a_backfill_in_pieces_or_repeated_gives_the_same_result(server: str, sqlite: Store, tmp_path: Path) -> None:
    import_pieces(sqlite, server, 0, LENGTH_S + 1)
    other = Store(f"sqlite:///{tmp_path / 'pieces.db'}")
    pieces = import_pieces(other, server, 0, 1800, 4007, 7200, LENGTH_S + 1)
    assert all(accepted for accepted, _ in pieces)
    assert spans_of(other) == spans_of(sqlite)
    again = import_pieces(other, server, 0, LENGTH_S + 1)
    assert [accepted for accepted, _ in again] == [0]
    assert spans_of(other) == spans_of(sqlite)
    other.close()


def test_unlogged_traffic_is_reported_with_its_size(server: str, sqlite: Store, tmp_path: Path) -> None:
    import_pieces(sqlite, server, 0, LENGTH_S + 1)
    facts = config('[[service]]\nname = "chat"\nmodel = "org/m"\n')
    lines = [f"{DAY_S + 15 * n},{DAY_S + 15 * n + 10},chat,drafting,100,r{n}" for n in range(100)]
    import_requests(sqlite, facts, write(tmp_path / "r.csv", ["start,end,service,use_case,output_tokens,id", *lines]), NOW_US)
    compute(sqlite, facts)
    (row,) = unlogged_traffic(sqlite, facts, DAY_S * S, (DAY_S + LENGTH_S) * S, NOW_US)
    # Three requests per engine and interval, except for the interval of the restart.
    served = (LENGTH_S // STEP_S - 1) * 3 * 2
    assert (row["service"], row["served_requests"], row["logged_requests"], row["unlogged_requests"]) == (
        "chat",
        served,
        100,
        served - 100,
    )
    assert row["unlogged_output_tokens"] == served * 40 - 100 * 100
    assert row["served_input_tokens"] is None
    assert row["unlogged_input_tokens"] is None
    assert not [
        device_row for device_row in query_rows(sqlite, facts, group=("device",)) if device_row["device"].startswith("served")
    ]


@pytest.mark.parametrize("server", ["victoria-metrics"], indirect=True)  # the one that accepts pushed samples
def test_two_exporters_of_one_group_are_refused_and_nothing_is_stored(server: str, sqlite: Store) -> None:
    line = f'kepler_node_cpu_active_joules_total{{zone="package",path="p",node_name="inf-01"}} 5 {DAY_S}000\n'
    assert httpx.post(f"{server}/api/v1/import/prometheus", content=line).status_code == 204
    httpx.get(f"{server}/internal/force_flush")
    with pytest.raises(OverlappingExporters, match="kepler and node_exporter"):
        import_pieces(sqlite, server, 0, 600)
    with sqlite.read() as connection:
        assert LedgerView(sqlite, connection).streams() == {}
    result = import_prometheus(sqlite, server, DAY_S * S, (DAY_S + 600) * S, NOW_US, exporter="node_exporter")
    assert result.accepted


def test_an_unreachable_server_is_reported(sqlite: Store) -> None:
    with pytest.raises(SourceUnavailable, match="127"):
        import_pieces(sqlite, "http://127.0.0.1:1", 0, 60)
