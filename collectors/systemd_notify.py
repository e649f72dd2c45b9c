"""This file tells systemd that the agent is up and alive (sd_notify(3)); without systemd it does nothing."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send one state, such as ``READY=1`` or ``WATCHDOG=1``, to the socket that systemd named."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.sendall(state.encode())
    except OSError:
        return  # systemd is gone; measuring goes on
