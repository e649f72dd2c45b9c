"""One command on this host: its energy within 1 % of the truth on simulated sensors, and nothing written anywhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from footprint.benchmark.ledger_energy_source import cumulative_readings
from footprint.cli.app import status_of
from footprint.core.records import EnergyReading
from footprint.ledger.ingest import IngestService
from footprint.ledger.ledger_view import LedgerView
from footprint.notebook.measurement import CannotMeasure, Measurement, energy_rows, measure
from footprint.storage.database import Store
from tests.simulation.sensors import Zone, powercap
from tests.support.http_servers import QuietHandler, serving

US = 1_000_000


def reading(at_s: float, joules: float, **more: object) -> EnergyReading:
    fields = {"host": "here", "device": "cpu:0", "component": "cpu", "source": "rapl", "epoch": "e", "seq": int(at_s * 10)} | more
    return EnergyReading(at_us=round(at_s * US), energy_uj=round(joules * US), covered_us=round(at_s * US), **fields)  # type: ignore[arg-type]


def test_energy_between_two_instants_by_hand() -> None:
    """10 W for two seconds, then 30 W: from 2.0 to 4.5 s it is 75 J, 50 J of it above idle."""
    readings = [reading(t / 4, 10 * min(t / 4, 2) + 30 * max(t / 4 - 2, 0)) for t in range(25)]
    row, total = energy_rows(readings, 2 * US, 4_500_000)
    assert row["energy_j"] == pytest.approx(75.0)
    assert row["idle_w"] == pytest.approx(10.0)
    assert row["above_idle_j"] == pytest.approx(50.0)
    assert row["energy_low_j"] < 75 < row["energy_high_j"]
    assert (total["device"], total["energy_j"]) == ("(total)", row["energy_j"])


def test_a_whole_server_meter_is_shown_and_not_added_to_its_parts() -> None:
    readings = [reading(t, 10 * t) for t in range(5)]
    readings += [reading(t, 100 * t, device="wall", component="host", source="ipmi") for t in range(5)]
    rows = energy_rows(readings, 1 * US, 3 * US)
    assert {row["device"]: row["energy_j"] for row in rows} == {"cpu:0": 20.0, "wall": 200.0, "(total)": 20.0}


@pytest.mark.parametrize(("counted_w", "source"), [(300, "nvml-energy"), (0, "nvml-power")])
def test_of_two_sources_of_a_board_one_counts_and_never_one_that_stands_still(counted_w: float, source: str) -> None:
    board = {"device": "GPU-1", "component": "gpu"}
    readings = [reading(t, counted_w * t, source="nvml-energy", **board) for t in range(5)]
    readings += [reading(t, 310 * t, source="nvml-power", **board) for t in range(5)]
    row, total = energy_rows(readings, 1 * US, 3 * US)
    assert (row["source"], row["energy_j"]) == (source, 600.0 if counted_w else 620.0)
    assert total["energy_j"] == row["energy_j"]


def test_what_was_reset_or_not_read_around_the_stretch_has_no_row() -> None:
    reset = [*(reading(t, 10 * t) for t in range(3)), *(reading(t, 1.0 * t, epoch="f") for t in range(3, 6))]
    assert energy_rows(reset, 1 * US, 5 * US) == []
    assert energy_rows([reading(1, 5.0)], 1 * US, 5 * US) == []
    assert energy_rows([], 0, US) == []


class Load:
    """A package that draws a known power, told to its counter every few milliseconds."""

    def __init__(self, zone: Zone) -> None:
        self.zone, self.watts, self.used_j, self.on = zone, 20.0, 0.0, True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        last = time.monotonic()
        while self.on:
            time.sleep(0.005)
            now = time.monotonic()
            energy = round(self.watts * (now - last) * US)
            self.zone.add(energy)
            self.used_j += energy / US
            last = now

    def stop(self) -> None:
        self.on = False
        self.thread.join()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    (zone,) = powercap(tmp_path / "sys", 1)
    monkeypatch.setenv("FOOTPRINT_SYSFS", str(tmp_path / "sys"))
    monkeypatch.chdir(tmp_path)
    return Load(zone)


@pytest.mark.slow
def test_a_command_of_ten_seconds_is_within_one_percent(load: Load, capfd: pytest.CaptureFixture[str]) -> None:
    begin: list[float] = []

    def heavy() -> None:
        time.sleep(3.0)
        load.watts = 90.0
        begin.append(load.used_j)

    threading.Thread(target=heavy, daemon=True).start()
    before = load.used_j
    assert (
        status_of(
            ["measure", "--baseline-s", "1", "--format", "json", "--", sys.executable, "-c", "import time; time.sleep(10.5)"]
        )
        == 0
    )
    printed = capfd.readouterr()
    rows = {row["device"]: row for row in json.loads(printed.out)["rows"]}
    assert "(total)" in rows
    load.stop()
    assert "J above idle; quality C" in printed.err  # the memory is estimated
    package = rows["cpu:0"]
    assert package["idle_w"] == pytest.approx(20.0, rel=0.05)
    assert package["quality"] == "A"
    # 20 W until some instant, 90 W after it, told by the load itself.
    assert package["energy_j"] < load.used_j - before
    assert package["energy_j"] == pytest.approx(load.used_j - begin[0], rel=0.25)


@pytest.mark.slow
def test_a_stretch_of_a_program_is_within_one_percent(load: Load) -> None:
    with measure("job", baseline_s=1.0) as measurement:
        load.watts = 80.0
        begin = load.used_j
        time.sleep(10.2)
        truth = load.used_j - begin
    load.stop()
    assert measurement.rows is not None
    package = next(row for row in measurement.rows if row["device"] == "cpu:0")
    assert package["energy_j"] == pytest.approx(truth, rel=0.01)
    assert package["above_idle_j"] == pytest.approx(truth - 20 * measurement.seconds, rel=0.03)
    assert measurement.energy_j == pytest.approx(sum(row["energy_j"] for row in measurement.rows[:-1]))
    assert "job:" in measurement.sentence()


@pytest.mark.slow
def test_with_the_real_agent_running_nothing_is_counted_twice(load: Load, tmp_path: Path, sqlite: Store) -> None:
    """The agent of the host ships what the package drew, once; the measurement finds the same, and leaves nothing behind."""
    environment = os.environ | {
        "FOOTPRINT_AGENT__SPOOL": str(tmp_path / "spool"),
        "FOOTPRINT_AGENT__SERVER": "http://127.0.0.1:9",
        "FOOTPRINT_AGENT__HOST": "inf-01",
        "FOOTPRINT_AGENT__SAMPLE_S": "0.5",
        "FOOTPRINT_AGENT__INTERVAL_S": "0.5",
        "FOOTPRINT_AGENT__TOKEN_FILE": str(tmp_path / "none"),
    }
    agent = subprocess.Popen(
        [sys.executable, "-m", "collectors", "run"], env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        with measure("job", baseline_s=1.0) as measurement:
            load.watts = 80.0
            begin = load.used_j
            time.sleep(10.2)
            truth = load.used_j - begin
        time.sleep(1.0)
    finally:
        agent.terminate()
        agent.wait(timeout=20)
    load.stop()
    assert measurement.rows is not None
    assert next(row for row in measurement.rows if row["device"] == "cpu:0")["energy_j"] == pytest.approx(truth, rel=0.01)

    lines = [line for path in sorted((tmp_path / "spool").glob("*.ndjson")) for line in path.read_bytes().splitlines()]
    IngestService(sqlite, lambda _: set()).accept("inf-01", lines, time.time_ns() // 1000)
    end_us = measurement.begin_us + round(measurement.seconds * US)
    counter_readings = [
        stored for stored in cumulative_readings(sqlite, "inf-01", measurement.begin_us, end_us) if stored.source == "counter"
    ]
    package = next(row for row in energy_rows(counter_readings, measurement.begin_us, end_us) if row["device"] == "cpu:0")
    assert package["energy_j"] == pytest.approx(truth, rel=0.01)
    with sqlite.read() as connection:
        assert set(LedgerView(sqlite, connection).streams()) == {"inf-01"}  # and not the host of the measurement's own spool
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"sys", "spool"}


class _Healthy(QuietHandler):
    def get(self) -> None:
        self.respond(200)


def test_where_a_server_answers_the_page_of_this_host_is_named(
    load: Load, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["measure", "--baseline-s", "0.5", "--", sys.executable, "-c", "import time; time.sleep(1)"]
    with serving(_Healthy) as address:
        (tmp_path / "footprint.toml").write_text(f'[agent]\nserver = "{address}"\nhost = "inf-01"\n')
        assert status_of(command) == 0
    message = capfd.readouterr().err
    assert f"{address}/hosts?name=inf-01&period=today" in message
    assert f"{address}/api/v1/footprint?group=host%2Cdevice&where=host%3Dinf-01&from=20" in message
    assert status_of(command) == 0
    load.stop()
    assert "/hosts" not in capfd.readouterr().err  # nobody answers any more: no address that leads nowhere


def test_in_a_notebook_a_measurement_is_a_table() -> None:
    readings = [reading(t / 4, 10 * min(t / 4, 2) + 30 * max(t / 4 - 2, 0)) for t in range(25)]
    measurement = Measurement("<job>", seconds=2.5, rows=energy_rows(readings, 2 * US, 4_500_000))
    page = measurement._repr_html_()
    assert "<th scope='row'>cpu:0</th><td>75</td>" in page
    assert "&lt;job&gt;: 75 J" in page
    assert measurement.show() is measurement
    assert "nothing was measured" in Measurement("job")._repr_html_()


def test_a_host_without_a_sensor_says_so_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOOTPRINT_SYSFS", str(tmp_path / "nothing"))
    monkeypatch.setenv("FOOTPRINT_PROC", str(tmp_path / "nothing"))
    marker = tmp_path / "ran"
    assert status_of(["measure", "--", sys.executable, "-c", f"open({str(marker)!r}, 'w')"]) == 125
    assert not marker.exists()
    assert "footprint doctor" in capsys.readouterr().err
    with pytest.raises(CannotMeasure), measure():
        pass
