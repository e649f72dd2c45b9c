"""Processes that tests start: free ports, waiting for a response, the service."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

SERVE = [sys.executable, "-c", "from footprint.cli import main; main()", "serve", "--no-scheduler"]


def free_port() -> int:
    """An unused TCP port on the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_answer(url: str, timeout_s: float = 30.0) -> None:
    """Wait until a URL answers with success."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def start_server(folder: Path, *, open_mode: bool = True) -> tuple[subprocess.Popen[bytes], str]:
    """Start the service on the configuration of a folder; return the process (in its own process group) and its address.

    Open mode is written out if the configuration declares no other, unless ``open_mode`` is false.
    """
    port = free_port()
    environment = os.environ | {"FOOTPRINT_SERVER__PORT": str(port)}
    if open_mode and "[access]" not in (folder / "footprint.toml").read_text(encoding="utf-8"):
        environment["FOOTPRINT_ACCESS__MODE"] = "open"
    process = subprocess.Popen(SERVE, cwd=folder, env=environment, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    wait_for_answer(f"{address}/healthz", 60)
    return process, address
