"""`footprint up` on a new installation: a first figure, pages without errors, and no process left after Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.chromium import chromium
from tests.support.processes import free_port

pytestmark = pytest.mark.browser


def get(address: str, token: str) -> dict[str, object]:
    asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        document: dict[str, object] = json.load(answer)
        return document


def test_up_measures_itself_shows_it_and_leaves_nothing_behind(tmp_path: Path) -> None:  # noqa: PLR0915 - one visit
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    environment = os.environ | {"FOOTPRINT_SERVER__PORT": str(port)}
    token_file = tmp_path / "footprint.db.access-token"
    command = [str(Path(sys.executable).with_name("footprint")), "up"]
    service = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True)
    try:
        rows: list[dict[str, object]] = []
        for _ in range(120):
            time.sleep(1)
            try:
                token = token_file.read_text().strip()
                rows = get(f"{base}/api/v1/footprint?group=service,use_case", token)["rows"]  # type: ignore[assignment]
            except OSError:
                continue
            if any(row["service"] == "footprint" and row["energy_kwh"] for row in rows):
                break
        own = {row["use_case"] for row in rows if row["service"] == "footprint" and row["energy_kwh"]}
        assert own & {"api", "ingest"}
        assert any(row["service"] == "(unattributed)" for row in rows)
        assert (tmp_path / "agent.token").stat().st_mode & 0o777 == 0o600
        with chromium() as chrome:
            browser = chrome.new_context()
            first = browser.new_page()
            first.goto(f"{base}/?lang=en")
            first.get_by_text("footprint access link").first.wait_for(timeout=30_000)
            first.goto(f"{base}/?token={token_file.read_text().strip()}")  # as the printed link has it
            assert "token" not in first.url
            for language, title in (("fr", "L’énergie au fil du temps"), ("en", "Energy over time")):
                page = browser.new_page()
                errors: list[str] = []
                elsewhere: list[str] = []
                page.on("console", lambda m, e=errors: e.append(m.text) if m.type == "error" else None)
                page.on("pageerror", lambda bad, e=errors: e.append(str(bad)))
                page.on("request", lambda r, o=elsewhere: None if r.url.startswith((base, "data:", "ws:")) else o.append(r.url))
                page.goto(f"{base}/?lang={language}&period=today")
                page.get_by_role("heading", name=title).wait_for(timeout=30_000)
                page.locator(".js-plotly-plot").first.wait_for(timeout=30_000)
                assert page.locator("html").get_attribute("lang") == language
                assert page.locator("main [role=status]").count() == 0
                assert (errors, elsewhere) == ([], [])
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.className") == "skip"
    finally:
        os.killpg(service.pid, signal.SIGINT)
        service.wait(30)
    for _ in range(50):
        processes = subprocess.run(["ps", "-eo", "pgid,args"], capture_output=True, text=True, check=True).stdout.splitlines()
        leftover = [line for line in processes if line.split()[0] == str(service.pid)]
        if not leftover:
            break
        time.sleep(0.1)
    assert leftover == []
