"""A real node_exporter over dies of one package, with and without TLS that asks for a certificate of the client."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from collectors.config import ScrapeTarget
from collectors.prometheus_scraper import PrometheusScraper
from footprint.core.samples import Sample
from tests.support.certificates import self_signed
from tests.support.processes import free_port

ZONES = {
    "intel-rapl:0": ("package-0-die-0", 5_000_000_000),
    "intel-rapl:1": ("package-0-die-1", 7_000_000_000),
    "intel-rapl:0:0": ("dram", 2_000_000_000),
    "intel-rapl-mmio:0": ("package-0-die-0", 5_000_000_100),
    "intel-rapl:2": ("psys", 9_000_000_000),
}
RANGE_UJ = 65_532_610_987


def powercap(root: Path) -> Path:
    """A sysfs with the zones; node_exporter finds them below class/powercap."""
    for zone, (name, energy_uj) in ZONES.items():
        folder = root / "class/powercap" / zone
        folder.mkdir(parents=True)
        for file, content in (("name", name), ("energy_uj", energy_uj), ("max_energy_range_uj", RANGE_UJ)):
            (folder / file).write_text(f"{content}\n")
    return root


def start(root: Path, *options: str) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    command = [
        "prometheus-node-exporter",
        f"--path.sysfs={root}",
        "--collector.disable-defaults",
        "--collector.rapl",
        f"--web.listen-address=127.0.0.1:{port}",
        *options,
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), port


def wait_for(read: Callable[[], list[Sample]]) -> list[Sample]:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if samples := read():
            return samples
        time.sleep(0.1)
    return []


@pytest.mark.parametrize("is_labelled", [False, True])
def test_dies_of_a_real_node_exporter_are_devices_with_the_range_of_their_zone(tmp_path: Path, is_labelled: bool) -> None:
    root = powercap(tmp_path / "sys")
    process, port = start(root, *(["--collector.rapl.enable-zone-label"] if is_labelled else []))
    scraper = PrometheusScraper((ScrapeTarget(f"http://127.0.0.1:{port}/metrics"),), 3600, sysfs=root)
    try:
        samples = wait_for(lambda: scraper.read(10**15, 1))
    finally:
        scraper.close()
        process.terminate()
        process.wait(20)
    assert {sample.channel.device: sample.counter_uj for sample in samples} == {
        "cpu:0": 5_000_000_000,
        "cpu:0-die-1": 7_000_000_000,
        "dram:0": 2_000_000_000,
    }
    assert {sample.channel.wrap_uj for sample in samples} == {RANGE_UJ}


def test_a_real_exporter_that_asks_for_a_certificate_gets_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = powercap(tmp_path / "sys")
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    web = tmp_path / "web.yml"
    web.write_text(
        f"tls_server_config:\n  cert_file: {certificate}\n  key_file: {key}\n"
        f"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {certificate}\n"
    )
    process, port = start(root, f"--web.config.file={web}")
    url = f"https://127.0.0.1:{port}/metrics"
    known = PrometheusScraper((ScrapeTarget(url, certificate, cert_file=certificate, key_file=key),), 3600)
    unknown = PrometheusScraper((ScrapeTarget(url, certificate),), 3600)
    try:
        assert len(wait_for(lambda: known.read(10**15, 1))) == 3
        capsys.readouterr()
        assert unknown.read(10**15, 1) == []
        assert "certificate of the client (cert_file and key_file)" in capsys.readouterr().err
    finally:
        for scraper in (known, unknown):
            scraper.close()
        process.terminate()
        process.wait(20)
