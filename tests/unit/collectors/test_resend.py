"""``footprint-agent resend``, the lock of the spool, and addresses that would show a secret: as commands."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from collectors.rejected_records import RejectedRecords
from collectors.spool import SpoolInUse, lock_spool
from tests.support.http_servers import running
from tests.unit.collectors.test_shipper import Server, accept, refuse_other_hosts


def configure(folder: Path, server: str, **options: object) -> None:
    (folder / "agent.token").write_text("fp_secret\n")
    (folder / "agent.token").chmod(0o600)
    lines = [f"{name} = {json.dumps(value)}" for name, value in ({"server": server} | options).items()]
    (folder / "footprint.toml").write_text("[agent]\n" + "\n".join(lines) + "\n")


def environment(folder: Path) -> dict[str, str]:
    roots = {"FOOTPRINT_SYSFS": str(folder / "sys"), "FOOTPRINT_PROC": str(folder / "proc")}
    return os.environ | roots | {"PYTHONPATH": str(Path.cwd())}


def agent(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "collectors", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60, check=False)


def reject(folder: Path, *records: str) -> None:
    (folder / "spool").mkdir(exist_ok=True)
    RejectedRecords(folder / "spool").append((record.encode(), "service: unknown") for record in records)


def left(folder: Path) -> list[tuple[str, str]]:
    return [(record.decode(), reason) for record, reason in RejectedRecords(folder / "spool").read()]


def test_rejected_records_are_sent_again_after_a_mend(tmp_path: Path) -> None:
    server = Server()
    with running(server):
        configure(tmp_path, f"http://127.0.0.1:{server.server_port}")
        reject(tmp_path, '{"n": 1}', '{"n": 2}')
        dry = agent(tmp_path, "resend", "--dry-run")
        assert (dry.returncode, dry.stdout, server.stored) == (0, "2\tservice: unknown\n", [])
        server.answer = lambda lines: (
            200,
            {},
            accept(lines[1:])[2] | {"rejected": [{"line": 1, "reason": "service: still unknown"}]},
        )
        done = agent(tmp_path, "resend")
        assert (done.returncode, done.stdout) == (5, "1\tservice: still unknown\n")
        assert left(tmp_path) == [('{"n": 1}', "service: still unknown")]
        server.answer = accept
        assert agent(tmp_path, "resend").returncode == 0
        assert left(tmp_path) == []
        assert agent(tmp_path, "resend").returncode == 0  # nothing to send


def test_what_cannot_be_sent_now_stays_and_joins_what_is_rejected_meanwhile(tmp_path: Path) -> None:
    configure(tmp_path, "http://127.0.0.1:1")
    reject(tmp_path, '{"n": 1}')
    assert agent(tmp_path, "resend").returncode == 1
    reject(tmp_path, '{"n": 2}')
    server = Server()
    with running(server):
        configure(tmp_path, f"http://127.0.0.1:{server.server_port}")
        assert agent(tmp_path, "resend").returncode == 0
    assert server.stored == [b'{"n": 1}', b'{"n": 2}']
    assert left(tmp_path) == []


def test_records_of_another_host_are_not_lost_by_resending_them(tmp_path: Path) -> None:
    server = Server()
    server.answer = refuse_other_hosts
    with running(server):
        configure(tmp_path, f"http://127.0.0.1:{server.server_port}")
        reject(tmp_path, '{"host": "other"}', '{"host": "own"}')
        assert agent(tmp_path, "resend").returncode == 5
    assert left(tmp_path) == [('{"host": "other"}', "the token may not write for this host")]


def test_two_agents_do_not_share_a_spool(tmp_path: Path) -> None:
    lock_spool(tmp_path / "spool")
    with pytest.raises(SpoolInUse, match=f"in use by another agent \\(process {os.getpid()}\\).*\\[agent\\] spool"):
        lock_spool(tmp_path / "spool", wait_s=0)
    configure(tmp_path, "http://127.0.0.1:1", otlp_port=0, scrape=["http://127.0.0.1:1/metrics"])
    second = agent(tmp_path, "run")
    assert second.returncode == 1
    assert "is in use by another agent" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"server": "http://metering.example.org"}, "server http://metering.example.org"),
        ({"server": "http://127.0.0.1.example.org"}, "server"),
        ({"server": "http://127.0.0.1@example.org"}, "server"),
        ({"server": "http://10.0.0.1:8050"}, "server"),
        ({"server": "ftp://127.0.0.1"}, "server"),
        ({"server": "https://user:secret@example.org"}, "server"),
        ({"server": "https://"}, "server"),
        ({"scrape": ["http://127.0.0.1:9100/metrics", "http://gpu-02:9100/metrics"]}, "scrape http://gpu-02"),
        ({"scrape": "http://127.0.0.1:9100/metrics"}, "scrape must be a list"),
        ({"redfish_url": "http://bmc.example"}, "redfish_url http://bmc.example"),
    ],
)
def test_an_address_that_would_show_a_secret_is_refused_with_the_remedy(
    tmp_path: Path, options: dict[str, object], setting: str
) -> None:
    configure(tmp_path, **{"server": "http://127.0.0.1:1"} | options)  # type: ignore[arg-type]
    refused = agent(tmp_path, "run")
    assert refused.returncode == 3
    assert setting in refused.stderr
    assert str(tmp_path) in refused.stderr or "footprint.toml" in refused.stderr
    assert "secret@" not in refused.stderr


def test_a_token_that_others_may_read_is_said(tmp_path: Path) -> None:
    configure(tmp_path, "http://127.0.0.1:1", scrape=["http://127.0.0.1:1/metrics"])
    (tmp_path / "agent.token").chmod(0o644)
    process = subprocess.Popen(
        [sys.executable, "-m", "collectors", "run"], cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if "chmod 600" in line:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert "agent.token: the token: others may read" in said
