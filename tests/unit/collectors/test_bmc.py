"""The whole server's power from its service processor: commands that print as ipmitool does, and a real HTTP server."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from collectors.background_reader import BackgroundReader
from collectors.base import Unavailable
from collectors.config import AgentConfig
from collectors.ipmi import IpmiCollector, parse_dcmi_w, run_command
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
        {"PowerWatts": {"Reading": 1e400}},
        {"PowerWatts": {"Reading": float("nan")}},
        {"PowerWatts": {"Reading": "12"}},
        {"PowerWatts": {"Reading": [5]}},
        {"PowerWatts": {"Reading": 10**400}},
        {"PowerWatts": 5},
        {"PowerWatts": []},
        {"PowerWatts": "x"},
        {"PowerControl": {}},
        {"PowerControl": {"a": 1}},
        {"PowerControl": [5]},
        {"PowerControl": ["x"]},
        {"PowerControl": 7},
    ],
)
def test_redfish_documents_without_a_power(document: dict[str, Any]) -> None:
    assert parse_power(document) is None


HOSTILE_CHASSIS: list[object] = [
    [],
    5,
    "x",
    None,
    {"Members": 5},
    {"Members": {"a": 1}},
    {"Members": [5, None, "x", [], {}]},
    {"Members": [{"@odata.id": 5}, {"@odata.id": []}, {"@odata.id": ""}, {"@odata.id": "/x/\u202e"}]},
    {"Members": [{"@odata.id": "/redfish/v1/Chassis/../../x?y=1"}] * 1000},
]


def test_redfish_hostile_documents_are_unavailable_and_nothing_else(bmc: Any) -> None:
    resources, open_ = bmc
    for document in HOSTILE_CHASSIS:
        resources["/redfish/v1/Chassis"] = document
        with pytest.raises(Unavailable):
            open_()


def test_redfish_answers_are_bounded_and_redirects_not_followed(tmp_path: Path) -> None:
    asked: list[str] = []

    class Other(QuietHandler):
        def get(self) -> None:
            asked.append(self.path)
            self.respond(200, b"{}")

    with serving(Other) as other:
        answers = {
            "deep": lambda handler: handler.respond(200, b"[" * 200_000),
            "huge": lambda handler: handler.respond(200, b" " * 2_000_000),
            "long": lambda handler: handler.respond(200, b'{"a": ' + b"9" * 10_000 + b"}"),
            "redirect": lambda handler: handler.respond(302, b"", {"Location": f"{other}/redfish/v1/Chassis"}),
            "no HTTP": lambda handler: handler.wfile.write(b"\xff" * 100),
        }
        for name, answer in answers.items():

            class Hostile(QuietHandler):
                reply = staticmethod(answer)

                def get(self) -> None:
                    self.reply(self)
                    self.close_connection = True

            with serving(Hostile) as address, pytest.raises(Unavailable, match="Redfish"):
                RedfishCollector(AgentConfig(redfish_url=address))
            assert asked == [], name


def test_redfish_is_asked_over_https_or_on_this_machine_only() -> None:
    with pytest.raises(Unavailable, match="use https://"):
        RedfishCollector(AgentConfig(redfish_url="http://bmc.example"))


def test_a_command_that_prints_or_runs_without_end_is_ended(tmp_path: Path) -> None:
    command(tmp_path, "endless", "yes")
    with pytest.raises(Unavailable, match="prints more than"):
        run_command([str(tmp_path / "endless")])
    command(tmp_path, "slow", "sleep 1000 & sleep 1000")
    with pytest.raises(Unavailable, match=r"no answer within 0.2 s"):
        run_command([str(tmp_path / "slow")], timeout_s=0.2)
    command(tmp_path, "fails", "echo broken >&2; exit 3")
    assert run_command([str(tmp_path / "fails")]) == (3, "broken\n")


def test_output_of_blanks_is_read_in_linear_time() -> None:
    def cost_s(text: str) -> float:
        times = []
        for _ in range(3):
            begun = time.process_time()
            with pytest.raises(Unavailable):
                parse_dcmi_w(text)
            times.append(time.process_time() - begun)
        return min(times)

    for blank in ("\n", " ", "\t", " \n"):
        assert cost_s(blank * 64_000) < 80 * cost_s(blank * 4_000) + 0.01


def test_a_source_that_hangs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.background_reader.MAX_ATTEMPT_S", 0.05)
    release = threading.Event()

    def hang(at_us: int, mono_us: int) -> list[Sample]:
        release.wait(10)
        return []

    reader = BackgroundReader(hang, 0.01)
    with pytest.raises(Unavailable, match="no answer for"):
        wait_for(lambda: list(reader.take()), 10**6)
    release.set()
    reader.stop()
