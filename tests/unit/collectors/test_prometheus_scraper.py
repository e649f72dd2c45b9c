"""Energy from exporters of the same host: wraps undone, each device once, never beside a sensor of our own."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.prometheus_scraper import PrometheusScraper
from tests.support.agents import WALL_US, S, energy_readings, make_agent, used_uj
from tests.support.http_servers import QuietHandler, serving
from tests.unit.collectors.test_sensor_set import One

WRAP_J = 262_143.328850


class Exporter(QuietHandler):
    text = ""
    status = 200

    def get(self) -> None:
        self.respond(self.status, self.text.encode())


@pytest.fixture
def exporter() -> Iterator[tuple[type[Exporter], str]]:
    handler = type("One", (Exporter,), {})
    with serving(handler) as address:
        yield handler, f"{address}/metrics"


def node(joules: float) -> str:
    rows = (
        f'node_rapl_package_joules_total{{index="0",path="/sys/class/powercap/{path}"}} {joules % WRAP_J:.6f}'
        for path in ("intel-rapl-mmio:0", "intel-rapl:0")
    )
    return "\n".join([*rows, 'node_hwmon_power_average_watt{chip="x"} 5', ""])


@pytest.fixture
def scraper() -> Iterator[PrometheusScraper]:
    found = PrometheusScraper((), 3600)
    yield found
    found.close()


def test_a_register_that_an_exporter_shows_is_followed_through_its_end(scraper: PrometheusScraper, tmp_path: Path) -> None:
    agent = make_agent(tmp_path)
    for at in range(0, 301, 10):
        for sample in scraper.samples_of(node(WRAP_J - 1500 + 20 * at), WALL_US + at * S, at * S):
            agent.add_sample(sample)
    agent.write_records(WALL_US + 300 * S, 300 * S)
    assert {(r.device, r.source) for r in energy_readings(agent)} == {("cpu:0", "node_exporter-energy")}
    assert used_uj(energy_readings(agent), "cpu:0") == 6000 * S


def test_a_partitioned_board_that_is_repeated_counts_once(scraper: PrometheusScraper) -> None:
    text = "".join(f'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{UUID="GPU-1",GPU_I_ID="{i}"}} 5000\n' for i in range(7))
    assert [(s.channel.device, s.counter_uj) for s in scraper.samples_of(text, 1, 1)] == [("GPU-1", 5 * S)]


def test_of_two_exporters_that_show_one_group_the_first_counts_aloud(
    scraper: PrometheusScraper, capsys: pytest.CaptureFixture[str]
) -> None:
    text = node(100) + 'scaph_socket_energy_microjoules{socket_id="1"} 7\n'
    assert {s.channel.source for s in scraper.samples_of(text, 1, 1)} == {"node_exporter-energy"}
    assert "scaphandre and node_exporter both show this host's cpu" in capsys.readouterr().err


def test_what_a_sensor_of_our_own_measures_is_not_scraped_too(scraper: PrometheusScraper, tmp_path: Path) -> None:
    agent = make_agent(tmp_path, One)  # covers gpu
    text = node(100) + 'nv_energy_consumption{gpu_uuid="GPU-1"} 5\n'
    agent.external_sources.append(lambda: scraper.samples_of(text, WALL_US, 1))
    agent.read_sensors(WALL_US, 1)
    assert {device for device, _ in agent.meters} == {"one", "cpu:0"}


def test_a_real_exporter_is_read_beside_the_loop_and_its_failures_are_said_once(
    exporter: tuple[type[Exporter], str], capsys: pytest.CaptureFixture[str]
) -> None:
    handler, url = exporter
    handler.text = node(100)
    scraper = PrometheusScraper((url, "http://127.0.0.1:1/metrics"), 0.05)
    found: list[str] = []
    until = time.monotonic() + 10
    while len(found) < 3 and time.monotonic() < until:
        found += [sample.channel.device for sample in scraper.take()]
        time.sleep(0.02)
    assert found[:3] == ["cpu:0"] * 3
    handler.status = 500
    before = scraper.failures
    while scraper.failures < before + 3 and time.monotonic() < until:
        list(scraper.take())
        time.sleep(0.02)
    scraper.close()
    said = capsys.readouterr().err
    assert said.count("answers 500") == 1
    assert said.count("http://127.0.0.1:1/metrics") == 1
