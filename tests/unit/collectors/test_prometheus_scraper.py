"""Energy from exporters of the same host: wraps undone, each device once, never beside a sensor of our own."""

import re
import ssl
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from collectors.config import BadConfig, ScrapeTarget, load_config
from collectors.http_client import HttpClient
from collectors.prometheus_scraper import PrometheusScraper, authorization, fetch
from tests.support.agents import WALL_US, S, energy_readings, make_agent, used_uj
from tests.support.certificates import self_signed
from tests.support.http_servers import QuietHandler, running, serving
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
    idle = PrometheusScraper((), 10)
    yield idle
    idle.close()


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


def follow(scraper: PrometheusScraper, tmp_path: Path, text_at: object, seconds: int = 1200) -> dict[str, int]:
    """Energy [µJ] of each device from expositions every ten seconds."""
    agent = make_agent(tmp_path)
    for at in range(0, seconds + 1, 10):
        for sample in scraper.samples_of(text_at(at), WALL_US + at * S, at * S):  # type: ignore[operator]
            agent.add_sample(sample)
    agent.write_records(WALL_US + seconds * S, seconds * S)
    readings = energy_readings(agent)
    return {reading.device: used_uj(readings, reading.device) for reading in readings}


def test_a_register_whose_range_nobody_gives_is_followed(scraper: PrometheusScraper, tmp_path: Path) -> None:
    def text_at(at: int) -> str:
        return "".join(
            f'node_rapl_package_{p}_die_{d}_joules_total{{index="0",path="/x/intel-rapl:{2 * p + d}"}} {(start + w * at) % 65_532.610987:.6f}\n'
            for p, d, w, start in ((0, 0, 180, 60_000), (0, 1, 150, 90), (1, 0, 120, 30_000), (1, 1, 100, 10))
        )

    assert follow(scraper, tmp_path, text_at) == {
        "cpu:0": 180 * 1200 * S,
        "cpu:0-die-1": 150 * 1200 * S,
        "cpu:1": 120 * 1200 * S,
        "cpu:1-die-1": 100 * 1200 * S,
    }


def test_the_range_of_a_zone_of_this_machine_is_read_from_it(tmp_path: Path) -> None:
    zone = tmp_path / "class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "max_energy_range_uj").write_text("40000000000\n")
    text = 'node_rapl_package_joules_total{index="0",path="/host/sys/class/powercap/intel-rapl:0"} 5\n'
    local = PrometheusScraper((), 10, sysfs=tmp_path)
    assert [s.channel.wrap_uj for s in local.samples_of(text, 1, 1, "http://127.0.0.1:9100/metrics")] == [40_000 * S]
    assert [s.channel.wrap_uj for s in local.samples_of(text, 1, 1, "https://other:9100/metrics")] == [
        40_000 * S
    ]  # known by then
    local.close()
    other = PrometheusScraper((), 10, sysfs=tmp_path)
    assert [s.channel.wrap_uj for s in other.samples_of(text, 1, 1, "https://other:9100/metrics")] == [262_143_328_850]
    other.close()


def test_dies_that_mirror_a_counter_count_once_and_real_ones_do_not(scraper: PrometheusScraper) -> None:
    def text(first: float, second: float) -> str:
        return "".join(
            f'node_rapl_package_0_die_{d}_joules_total{{index="0",path="/x/intel-rapl:{d}"}} {value}\n'
            for d, value in ((0, first), (1, second))
        )

    def devices(first: float, second: float) -> list[str]:
        return [sample.channel.device for sample in scraper.samples_of(text(first, second), 1, 1)]

    assert devices(5000.0, 5000.2) == ["cpu:0"]
    assert devices(6000.0, 6100.0) == ["cpu:0", "cpu:0-die-1"]
    assert devices(7000.0, 7000.1) == ["cpu:0", "cpu:0-die-1"]  # they were seen to differ


def test_powers_are_read_beside_counters_and_open_metrics_in_full(scraper: PrometheusScraper) -> None:
    at_s = WALL_US / S
    text = f"""# TYPE hw_energy_joules counter
hw_energy_joules_total{{hw_id="GPU-1",hw_type="gpu"}} 1000 {at_s:.3f}
hw_energy_joules_total{{hw_id="GPU-2",hw_type="gpu"}} 2000 # {{trace_id="K"}} 0.67
hw_energy_joules_total{{hw_id="GPU-3",hw_type="gpu"}} 3000 {at_s * 1000:.0f}
hw_energy_joules_total{{hw_id="GPU-4",hw_type="gpu"}} 4000 {at_s - 900:.3f}
hw_energy_joules_created{{hw_id="GPU-4",hw_type="gpu"}} {at_s}
nvidia_smi_power_draw_watts{{uuid="1"}} 300
nvidia_smi_power_draw_watts{{uuid="5"}} NaN
# EOF
"""
    samples = scraper.samples_of(text, WALL_US, 1)
    assert [(s.channel.device, s.channel.source, s.counter_uj, s.power_uw) for s in samples] == [
        ("GPU-1", "opentelemetry-energy", 1000 * S, None),
        ("GPU-2", "opentelemetry-energy", 2000 * S, None),
        ("GPU-3", "opentelemetry-energy", 3000 * S, None),
        ("GPU-1", "nvidia_gpu_exporter-power", None, 300 * S),
    ]


def test_what_is_not_read_is_told_once_with_its_reason(scraper: PrometheusScraper, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        'node_rapl_package_joules_total{index="0"} one\nnode_rapl_package_joules_total{index="1"} NaN\n'
        "acme_board_energy_joules_total 5\n"
    )
    for _ in range(3):
        assert scraper.samples_of(text, 1, 1, "http://127.0.0.1:1/metrics") == []
    first = capsys.readouterr().err
    assert scraper.samples_of('DCGM_FI_DEV_POWER_USAGE{gpu="0"} 5\n', 1, 1, "http://127.0.0.1:3/metrics") == []
    assert "1 lines are not read: no label UUID or uuid" in capsys.readouterr().err
    assert scraper.samples_of("up 1\n", 1, 1, "http://127.0.0.1:2/metrics") == []
    lines = [*first.splitlines(), *capsys.readouterr().err.splitlines()]
    assert len(lines) == 4
    assert "1 lines are not read: no number" in lines[0]
    assert "no reading" in lines[1]
    assert "does not know them: acme_board_energy_joules_total" in lines[2]
    assert "nothing is read" in lines[3]


def test_an_exporter_that_stops_gives_way_to_another_and_takes_it_back(scraper: PrometheusScraper) -> None:
    kepler = "".join(
        f'kepler_node_cpu_{state}_joules_total{{zone="package",path="/x/intel-rapl:0"}} 5\n' for state in ("active", "idle")
    )

    def sources(text: str, at_s: int) -> set[str]:
        return {sample.channel.source for sample in scraper.samples_of(text, 1, at_s * S)}

    assert sources(node(100) + kepler, 0) == {"node_exporter-energy"}
    assert sources(kepler, 10) == set()  # for three periods the first one may come back
    assert sources(kepler, 60) == {"kepler-energy"}
    assert sources(node(100) + kepler, 70) == {"node_exporter-energy"}


def test_of_two_exporters_that_count_one_board_the_second_is_a_witness(scraper: PrometheusScraper) -> None:
    text = 'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{UUID="GPU-1"} 7000\nnv_energy_consumption{gpu_uuid="GPU-1"} 5\n'
    assert {(s.channel.device, s.channel.source) for s in scraper.samples_of(text, 1, 1)} == {
        ("GPU-1", "dcgm-exporter-energy"),
        ("GPU-1", "triton-energy-witness"),
    }


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
    assert {device for device, _ in agent.meters} >= {"one", "cpu:0"}


def test_a_real_exporter_is_read_beside_the_loop_and_its_failures_are_said_once(
    exporter: tuple[type[Exporter], str], capsys: pytest.CaptureFixture[str]
) -> None:
    handler, url = exporter
    handler.text = node(100)
    scraper = PrometheusScraper((ScrapeTarget(url), ScrapeTarget("http://127.0.0.1:1/metrics")), 0.05)
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


@pytest.mark.parametrize(
    ("status", "headers", "cause"),
    [
        (401, {}, r"asks for a user or a token \(401\).*token_file"),
        (403, {}, "does not allow it"),
        (404, {}, "no metrics at this path"),
        (301, {"Location": "https://127.0.0.1:1/metrics"}, "redirect to https://127.0.0.1:1/metrics.*name that address"),
        (503, {}, "answers 503"),
        (200, {"Content-Type": "text/html"}, "HTML"),
        (200, {"Content-Length": "500"}, "IncompleteRead"),
    ],
)
def test_an_exporter_that_gives_nothing_is_told_by_its_cause(status: int, headers: dict[str, str], cause: str) -> None:
    class Refusing(QuietHandler):
        def get(self) -> None:
            self.respond(status, b"m 1\n", headers)
            self.close_connection = True

    with serving(Refusing) as address, pytest.raises(Exception, match=cause):
        fetch(HttpClient(address, max_bytes=1000))


def test_the_last_line_of_an_answer_without_a_length_is_read_only_if_it_is_whole() -> None:
    class Cut(QuietHandler):
        protocol_version = "HTTP/1.0"

        def get(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a 1\nb 23")

    with serving(Cut) as address:
        assert fetch(HttpClient(address, max_bytes=1000)) == "a 1\n"


@pytest.fixture
def tls_exporter(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """(address, certificate, headers of authorization that it was sent) of an exporter over https that wants a token."""
    asked: list[str] = []

    class Locked(QuietHandler):
        def get(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            is_known = asked[-1] in ("Bearer secret", "Basic cmVhZGVyOnNlY3JldA==")
            self.respond(200 if is_known else 401, node(5).encode())

    certificate, key = self_signed(tmp_path, "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Locked)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server):
        yield f"https://127.0.0.1:{server.server_port}/metrics", certificate, asked


def test_an_exporter_over_https_with_its_own_authority_and_a_token_or_a_password(
    tls_exporter: tuple[str, Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, certificate, asked = tls_exporter
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    known = ScrapeTarget(url, ca_file=certificate, token_file=secret)
    for target in (known, ScrapeTarget(url, certificate, user="reader", password_file=secret)):
        text = fetch(HttpClient(target.url, target.ca_file, max_bytes=10**6), authorization(target))
        assert "node_rapl_package_joules_total" in text
    assert len(asked) == 2
    wrong = tmp_path / "wrong"
    wrong.write_text("other")
    wrong.chmod(0o600)
    for target, cause in (
        (ScrapeTarget(url, certificate), "asks for a user or a token"),
        (ScrapeTarget(url, certificate, token_file=wrong), "refuses the user or the token"),
        (ScrapeTarget(url, certificate, token_file=tmp_path / "none"), "cannot be read"),
        (ScrapeTarget(url, token_file=secret), "certificate is not trusted.*ca_file"),
        (ScrapeTarget(url.replace("https", "http")), "begin with https://"),
        (ScrapeTarget(url, tmp_path / "none"), "No such file"),
    ):
        scraper = PrometheusScraper((target,), 3600)
        assert scraper.read(1, 1) == []
        scraper.close()
        assert re.search(cause, capsys.readouterr().err), cause


def test_plain_http_where_https_is_expected_says_so(
    exporter: tuple[type[Exporter], str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, url = exporter
    scraper = PrometheusScraper((ScrapeTarget(url.replace("http:", "https:")),), 3600)
    assert scraper.read(1, 1) == []
    scraper.close()
    assert "does not speak TLS" in capsys.readouterr().err


def test_entries_of_scrape_are_addresses_or_tables(tmp_path: Path) -> None:
    path = tmp_path / "footprint.toml"
    path.write_text("""[agent]
scrape = ["http://127.0.0.1:9100/metrics", { url = "https://gpu:9400/metrics", ca_file = "ca.pem", token_file = "t" }]
scrape_ca_file = "own.pem"
""")
    targets = load_config(str(path)).scrape_targets
    assert targets == (
        ScrapeTarget("http://127.0.0.1:9100/metrics", ca_file=tmp_path / "own.pem"),
        ScrapeTarget("https://gpu:9400/metrics", ca_file=tmp_path / "ca.pem", token_file=tmp_path / "t"),
    )
    for entry, problem in (
        ('{ url = "https://a", tokenfile = "t" }', "unknown key tokenfile"),
        ('{ ca_file = "t" }', "without url"),
        ('{ url = "https://a", user = "u" }', "user without password_file"),
        ('{ url = "http://other/metrics" }', "use https://"),
        ('{ url = "https://a", user = "u", password_file = "p", token_file = "t" }', "exclude each other"),
    ):
        path.write_text(f"[agent]\nscrape = [{entry}]\n")
        with pytest.raises(BadConfig, match=problem):
            load_config(str(path))
