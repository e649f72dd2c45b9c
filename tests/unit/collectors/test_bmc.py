"""The whole server's power from its service processor: commands that print as ipmitool does, and a real HTTP server."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from collectors.base import Unavailable
from collectors.config import AgentConfig
from collectors.ipmi import IpmiCollector, parse_dcmi_w
from collectors.redfish import RedfishCollector, parse_power
from footprint.core.samples import Sample
from tests.support.http_servers import QuietHandler, serving

IPMITOOL = """
    Instantaneous power reading:                   {watts} Watts
    Minimum during sampling period:                 18 Watts
    Maximum during sampling period:                449 Watts
    Average power reading over sample period:      211 Watts
    IPMI timestamp:                           Tue Nov 24 08:00:00 2026
    Sampling period:                          01131466 Seconds.
    Power reading state is:                   {state}
"""


def test_c15_the_power_now_is_read_and_not_the_mean_of_months() -> None:
    assert parse_dcmi_w(IPMITOOL.format(watts=212, state="activated")) == 212
    assert parse_dcmi_w("Current Power                        : 164 Watts\nPower Measurement : Active\n") == 164


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (IPMITOOL.format(watts=0, state="activated"), "0 W is no power"),
        (IPMITOOL.format(watts=212, state="deactivated"), "deactivated"),
        (IPMITOOL.format(watts=16777180, state="activated"), "overflowed"),
        ("DCMI request failed", "not supported"),
    ],
)
def test_c15_what_is_no_power_gives_none(text: str, why: str) -> None:
    with pytest.raises(Unavailable, match=why):
        parse_dcmi_w(text)


def command(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def wait_for(found: Callable[[], list[Sample]], enough: int = 1) -> list[Sample]:
    samples: list[Sample] = []
    until = time.monotonic() + 10
    while len(samples) < enough and time.monotonic() < until:
        samples += found()
        time.sleep(0.02)
    return samples


def test_c15_a_slow_service_processor_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "said").write_text(IPMITOOL.format(watts=300, state="activated"))
    command(tmp_path / "bin", "ipmitool", f"cat {tmp_path}/said")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    found = IpmiCollector(AgentConfig(bmc_s=0.05))
    assert [s.power_uw for s in wait_for(lambda: list(found.collect(0, 0)), 3)][:3] == [300_000_000] * 3
    command(tmp_path / "bin", "ipmitool", "sleep 0.5; exit 1")
    time.sleep(0.1)
    begun = time.monotonic()
    for _ in range(20):
        try:
            list(found.collect(0, 0))
        except Unavailable:
            break
    assert time.monotonic() - begun < 0.4  # it did not wait for the command
    with pytest.raises(Unavailable, match="ipmitool: exit 1"):
        wait_for(lambda: list(found.collect(0, 0)), 10**6)
    found.close()


def test_without_a_command_its_installation_is_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="apt-get install ipmitool"):
        IpmiCollector(AgentConfig())


class Processor(QuietHandler):
    resources: ClassVar[dict[str, Any]] = {}

    def get(self) -> None:
        wanted = "Basic " + base64.b64encode(b"reader:secret").decode()
        known = self.resources.get(self.path)
        status = 401 if self.headers.get("Authorization") != wanted else 404 if known is None else 200
        self.respond(status, json.dumps(known).encode())


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[tuple[dict[str, Any], Callable[..., RedfishCollector]]]:
    processor = type("One", (Processor,), {"resources": {}})
    (tmp_path / "password").write_text("secret\n")
    opened = []

    def open_(**options: Any) -> RedfishCollector:
        given = {"redfish_url": address, "redfish_user": "reader", "bmc_s": 0.05}
        opened.append(RedfishCollector(AgentConfig(**given | {"redfish_password_file": tmp_path / "password"} | options)))
        return opened[-1]

    with serving(processor) as address:
        yield processor.resources, open_
        for collector in opened:
            collector.close()


def chassis(resources: dict[str, Any], **found: Any) -> None:
    base = "/redfish/v1/Chassis"
    resources[base] = {"Members": [{"@odata.id": f"{base}/{name}"} for name in found]}
    for name, document in found.items():
        kind = "EnvironmentMetrics" if "PowerWatts" in document else "Power"
        resources[f"{base}/{name}/{kind}"] = document


def test_redfish_reads_the_chassis_that_reports_a_power(bmc: Any) -> None:
    resources, open_ = bmc
    chassis(resources, Fans={"PowerControl": []}, Server={"PowerControl": [{"PowerConsumedWatts": 344}]})
    found = open_()
    samples = wait_for(lambda: list(found.collect(0, 0)), 3)
    assert {(s.channel.device, s.channel.component, s.power_uw) for s in samples} == {("wall:Server", "host", 344_000_000)}
    assert samples[0].mono_us < samples[-1].mono_us


def test_redfish_several_chassis_must_be_named(bmc: Any) -> None:
    resources, open_ = bmc
    chassis(resources, Server={"PowerWatts": {"Reading": 900.5}}, Tray={"PowerControl": [{"PowerConsumedWatts": 5000}]})
    with pytest.raises(Unavailable, match="name those of this server"):
        open_()
    samples = wait_for(lambda: list(open_(redfish_chassis=("Server", "Tray")).collect(0, 0)), 2)
    assert sorted(s.power_uw or 0 for s in samples[:2]) == [900_500_000, 5_000_000_000]


def test_redfish_zero_null_and_a_chassis_that_falls_silent_give_nothing(bmc: Any) -> None:
    resources, open_ = bmc
    chassis(resources, Server={"PowerWatts": {"Reading": 900}}, Tray={"PowerWatts": {"Reading": 5000}})
    found = open_(redfish_chassis=("Server", "Tray"))
    assert len(wait_for(lambda: list(found.collect(0, 0)), 2)) >= 2
    resources["/redfish/v1/Chassis/Tray/EnvironmentMetrics"] = {"PowerWatts": {"Reading": 0}}
    time.sleep(0.2)
    with pytest.raises(Unavailable, match="Tray reports no power"):  # one alone would pass for the server
        wait_for(lambda: list(found.collect(0, 0)), 10**6)


def test_redfish_says_what_is_wrong_with_the_password(bmc: Any, tmp_path: Path) -> None:
    resources, open_ = bmc
    chassis(resources, Server={"PowerWatts": {"Reading": 900}})
    (tmp_path / "password").write_text("wrong")
    with pytest.raises(Unavailable, match="401"):
        open_()
    with pytest.raises(Unavailable, match="not configured"):
        open_(redfish_url="")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"PowerWatts": {"Reading": None}},
        {"PowerControl": [{"PowerConsumedWatts": 0}]},
        {"PowerWatts": {"Reading": True}},
        {"PowerWatts": {"Reading": 1e9}},
    ],
)
def test_redfish_documents_without_a_power(document: dict[str, Any]) -> None:
    assert parse_power(document) is None
