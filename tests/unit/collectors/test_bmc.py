"""The whole server's power from its service processor: commands that print as ipmitool does, and a real HTTP server."""

import base64
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from collectors.background_reader import BackgroundReader
from collectors.base import PermissionRequired, Unavailable
from collectors.config import AgentConfig
from collectors.ipmi import IpmiCollector, parse_dcmi_w, run_command
from collectors.redfish import RedfishCollector, parse_power, parse_watts
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
        (IPMITOOL.format(watts=65535, state="activated"), "65535 W is no power"),
        (IPMITOOL.format(watts="0xffff", state="activated"), "0xffff W is no power"),
        (IPMITOOL.format(watts="-12", state="activated"), "-12 W is no power"),
        ("Current Power : 0 Watts\nPower Measurement : Not Available\n", "measurement is 'Not Available'"),
        ("DCMI request failed because: Invalid command (c1)", "does not support power readings"),
        ("ipmi_cmd_dcmi_get_power_reading: command invalid or unsupported", "does not support power readings"),
        ("DCMI request failed because: Insufficient privilege level (d4)", "lack of privilege"),
        ("Could not open device at /dev/ipmi0 or /dev/ipmi/0: No such file or directory", "modprobe ipmi_si ipmi_devintf"),
        ("ipmi-dcmi: permission denied", "may not be opened by this user"),
        ("Get Power Reading failed: Node busy (c0)", "busy"),
        ("Something new", "no power reading in its answer.*Something new"),
        ("", "prints nothing"),
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
    with pytest.raises(Unavailable, match="ends with status 1 and prints nothing"):
        wait_for(lambda: list(found.collect(0, 0)), 10**6)
    found.close()


def test_without_a_command_its_installation_is_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="apt-get install ipmitool"):
        IpmiCollector(AgentConfig())


def ipmi(monkeypatch: pytest.MonkeyPatch, folder: Path, **scripts: str) -> IpmiCollector:
    for name, script in scripts.items():
        command(folder / "bin", name.replace("_", "-"), script)
    monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")
    return IpmiCollector(AgentConfig(bmc_s=3600))


def test_the_second_tool_is_tried_and_an_empty_answer_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tool").write_text(IPMITOOL.format(watts=215, state="activated"))
    no_device = "echo 'Could not open device at /dev/ipmi0: No such file or directory' >&2; exit 1"
    free = "printf 'Current Power : 332 Watts\\nPower Measurement : Active\\n'"
    collector = ipmi(monkeypatch, tmp_path, ipmitool=no_device, ipmi_dcmi=free)
    assert [sample.power_uw for sample in collector.collect(1, 1)] == [332_000_000]
    collector.close()
    once = f"if [ -e {tmp_path}/once ]; then cat {tmp_path}/tool; else touch {tmp_path}/once; fi"
    collector = ipmi(monkeypatch, tmp_path, ipmitool=once, ipmi_dcmi="exit 1")
    assert [sample.power_uw for sample in collector.collect(1, 1)] == [215_000_000]
    collector.close()


def test_each_tool_is_told_with_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PermissionRequired, match=r"ipmitool: .*privilege.*; ipmi-dcmi: .*does not support"):
        ipmi(
            monkeypatch,
            tmp_path,
            ipmitool="echo 'DCMI request failed because: Insufficient privilege level (d4)'",
            ipmi_dcmi="echo 'command invalid or unsupported' >&2; exit 1",
        )


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


def test_redfish_a_chassis_within_another_is_a_part_of_it(bmc: Any) -> None:
    resources, open_ = bmc
    chassis(resources, GPU_1={"PowerWatts": {"Reading": 700}}, Server={"PowerWatts": {"Reading": 5000}})
    resources["/redfish/v1/Chassis/GPU_1"] = {"Links": {"ContainedBy": {"@odata.id": "/redfish/v1/Chassis/Server"}}}
    assert [sample.power_uw for sample in open_(bmc_s=3600).collect(1, 1)] == [5_000_000_000]
    resources["/redfish/v1/Chassis/GPU_1"] = {"Links": {"ContainedBy": [5]}}
    with pytest.raises(Unavailable, match="name those of this server"):
        open_()


def test_redfish_zero_null_and_a_chassis_that_falls_silent_give_nothing(bmc: Any) -> None:
    resources, open_ = bmc
    chassis(resources, Server={"PowerWatts": {"Reading": 900}}, Tray={"PowerWatts": {"Reading": 5000}})
    found = open_(redfish_chassis=("Server", "Tray"))
    assert len(wait_for(lambda: list(found.collect(0, 0)), 2)) >= 2
    resources["/redfish/v1/Chassis/Tray/EnvironmentMetrics"] = {"PowerWatts": {"Reading": 0}}
    time.sleep(0.2)
    with pytest.raises(
        Unavailable, match="chassis Tray: EnvironmentMetrics: no PowerWatts"
    ):  # one alone would pass for the server
        wait_for(lambda: list(found.collect(0, 0)), 10**6)


def test_redfish_says_what_is_wrong_with_the_password(bmc: Any, tmp_path: Path) -> None:
    resources, open_ = bmc
    chassis(resources, Server={"PowerWatts": {"Reading": 900}})
    (tmp_path / "password").write_text("wrong")
    with pytest.raises(Unavailable, match="401"):
        open_()
    with pytest.raises(Unavailable, match="not configured"):
        open_(redfish_url="")


NUMBERS: list[Any] = [None, 0, True, -5, 1e9, 1e400, float("nan"), "x", "12 kW", [5], 10**400, {}, "9" * 50]


@pytest.mark.parametrize("number", NUMBERS)
def test_redfish_values_that_are_no_power(number: Any) -> None:
    assert parse_watts(number) is None
    assert parse_watts({"Reading": number}) is None
    for document in ({"PowerControl": [{"PowerConsumedWatts": number}]}, {"PowerControl": {"PowerConsumedWatts": number}}):
        with pytest.raises(Unavailable):
            parse_power(document)


def test_redfish_numbers_as_text_and_with_a_unit() -> None:
    assert [parse_watts(text) for text in ("344", "344.5 W", {"Reading": "12 Watts"}, 7)] == [344.0, 344.5, 12.0, 7.0]


def controls(*powers: tuple[str, Any], **others: Any) -> dict[str, Any]:
    entries = [{"MemberId": str(n), "Name": name, "PowerConsumedWatts": power} for n, (name, power) in enumerate(powers)]
    return {"PowerControl": entries} | others


SERVER, CPU, MEMORY = ("Server Power Control", 263), ("CPU Sub-system Power", 155), ("Memory Sub-system Power", 49)
INPUTS = [("System Input Power", 344), ("System Input Power", 53)]


@pytest.mark.parametrize("order", list(itertools.permutations([SERVER, CPU, MEMORY])))
def test_redfish_of_controls_in_any_order_the_whole_counts(order: tuple[tuple[str, int], ...]) -> None:
    assert parse_power(controls(*order)) == 263


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (controls(("System Power Control", None), ("System Power Control", 410)), 410),
        (controls(*INPUTS, PowerSupplies=[{"PowerInputWatts": 350}, {"PowerInputWatts": 50}]), 397),
        (controls(*INPUTS, PowerSupplies=[{"PowerInputWatts": 340}]), 344),
        (controls(*INPUTS), "several power controls could be the whole: System Input Power 344 W, System Input Power 53 W"),
        (controls(*INPUTS, PowerSupplies=[{"PowerInputWatts": 350}, {"PowerInputWatts": None}]), "several power controls"),
        (controls(CPU, MEMORY), "only parts of the server"),
        (controls(CPU, PowerSupplies=[{"PowerInputWatts": 120}, {"PowerInputWatts": 109}]), 229),
        (controls(("x", None), PowerSupplies=[{"PowerInputWatts": 120}, {"PowerInputWatts": 109}]), 229),
        (controls(("x", None), PowerSupplies=[{"PowerInputWatts": 120}, {"PowerInputWatts": None}]), "1 of 2 supplies"),
        ({"Oem": {"ts_fujitsu": {"ChassisPowerConsumption": {"CurrentPowerConsumptionW": 150}}}}, 150),
        ({"Oem": {"Acme": {"Watts": 150}}}, "a block of the vendor .Acme. is not read"),
        ({}, "no PowerConsumedWatts"),
        ({"PowerControl": [5, "x", None]}, "no PowerConsumedWatts"),
    ],
)
def test_redfish_which_control_is_the_whole(document: dict[str, Any], expected: float | str) -> None:
    if isinstance(expected, str):
        with pytest.raises(Unavailable, match=expected):
            parse_power(document)
    else:
        assert parse_power(document) == expected


def test_redfish_a_control_can_be_named() -> None:
    assert parse_power(controls(*INPUTS), "1") == 53
    with pytest.raises(Unavailable, match="2 power controls are called"):
        parse_power(controls(*INPUTS), "System Input Power")


def test_redfish_other_resources_and_links(bmc: Any) -> None:
    resources, open_ = bmc
    base = "/redfish/v1/Chassis/1"
    resources["/redfish/v1/Chassis"] = {"Members": [None, base]}
    resources[base] = {"PowerSubsystem": {"@odata.id": "/redfish/v1/Elsewhere"}}
    resources["/redfish/v1/Elsewhere"] = {"PowerSupplies": {"@odata.id": "/redfish/v1/Supplies"}}
    resources["/redfish/v1/Supplies"] = {"Members": [{"@odata.id": "/redfish/v1/S/0"}, {"@odata.id": "/redfish/v1/S/1"}]}
    for number, power in enumerate((120, 109)):
        resources[f"/redfish/v1/S/{number}"] = {}
        resources[f"/redfish/v1/S/{number}/Metrics"] = {"InputPowerWatts": {"Reading": power}}
    assert [sample.power_uw for sample in open_(bmc_s=3600).collect(1, 1)] == [229_000_000]
    del resources["/redfish/v1/Elsewhere"]
    names = ("PS1InputPower", "SystemBoardPwrConsumption", "CPU1Power", "Inlet")
    resources[f"{base}/Sensors"] = {"Members": [{"@odata.id": f"{base}/Sensors/{name}"} for name in names]}
    for number, name in enumerate(names):
        resources[f"{base}/Sensors/{name}"] = {"Reading": 100 + number, "ReadingUnits": "W"}
    assert [sample.power_uw for sample in open_(bmc_s=3600).collect(1, 1)] == [101_000_000]


def test_redfish_redirects_are_followed_on_the_same_host_and_causes_told(tmp_path: Path) -> None:
    class Moving(QuietHandler):
        statuses: ClassVar[dict[str, int]] = {}

        def get(self) -> None:
            base = "/redfish/v1/Chassis"
            documents = {base: {"Members": [{"@odata.id": f"{base}/1"}]}, f"{base}/1/Power": controls(SERVER)}
            if not self.path.endswith("/"):
                self.respond(308, b"", {"Location": f"http://{self.headers['Host']}{self.path}/"})
                return
            status = self.statuses.get(self.path.rstrip("/").rpartition("/")[2], 200)
            document = documents.get(self.path.rstrip("/"))
            self.respond(404 if document is None else status, json.dumps(document).encode())

    with serving(Moving) as address:
        config = AgentConfig(redfish_url=address, bmc_s=3600)
        collector = RedfishCollector(config)
        assert [sample.power_uw for sample in collector.collect(1, 1)] == [263_000_000]
        collector.close()
        for status, cause in ((403, r"\(403\): give the user a role"), (503, r"is busy \(503\)"), (500, "answers 500")):
            Moving.statuses["Power"] = status
            with pytest.raises(Unavailable, match=cause):
                RedfishCollector(config)


def test_redfish_a_session_is_opened_where_passwords_are_refused_and_closed(tmp_path: Path) -> None:
    asked: list[str] = []

    class Sessions(QuietHandler):
        def get(self) -> None:
            if self.headers.get("X-Auth-Token") != "token-1":
                self.respond(401)
            elif self.path == "/redfish/v1/Chassis":
                self.respond(200, json.dumps({"Members": [{"@odata.id": "/redfish/v1/Chassis/1"}]}).encode())
            elif self.path.endswith("/Power"):
                self.respond(200, json.dumps(controls(SERVER)).encode())
            else:
                self.respond(404)

        def post(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(f"{sent['UserName']} {sent['Password']}")
            is_known = sent["Password"] == "secret"
            headers = {"X-Auth-Token": "token-1", "Location": "/redfish/v1/SessionService/Sessions/7"} if is_known else {}
            self.respond(201 if is_known else 401, b"{}", headers)

        def do_DELETE(self) -> None:  # noqa: N802 - as http.server names it
            asked.append(f"DELETE {self.path}")
            self.respond(204)

    password = tmp_path / "password"
    password.write_text("secret\n")
    with serving(Sessions) as address:
        config = AgentConfig(redfish_url=address, redfish_user="reader", redfish_password_file=password, bmc_s=3600)
        collector = RedfishCollector(config)
        assert [sample.power_uw for sample in collector.collect(1, 1)] == [263_000_000]
        collector.close()
        assert asked == ["reader secret", "DELETE /redfish/v1/SessionService/Sessions/7"]
        password.write_text("wrong")
        with pytest.raises(PermissionRequired, match=r"refused \(401\), and a session too \(401\)"):
            RedfishCollector(config)
        assert asked[2:] == ["reader wrong"]  # once: processors lock accounts


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
