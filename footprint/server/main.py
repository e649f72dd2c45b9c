"""This file runs the server: API, dashboard, scheduler and the service's own gateway, in one process and a child."""

from __future__ import annotations

import contextlib
import gc
import importlib
import time
from collections.abc import Callable
from typing import Any

import uvicorn

from footprint.api import create_api
from footprint.config import Config
from footprint.ledger.ingest import IngestService
from footprint.server.scheduler import Schedule
from footprint.server.self_metering import SelfGateway
from footprint.storage.database import Store

# Named as a text: what we know does not import who shows it, and the server runs without the dashboard's extra.
DASHBOARD = "dashboards.app"


def clock() -> int:
    """Now, in µs."""
    return time.time_ns() // 1000


def build(config: Config, store: Store, schedule: Schedule | None) -> tuple[Any, SelfGateway | None]:
    """The whole ASGI application, and the gateway that counts its requests.

    A demonstration has none: requests that really were made do not belong among simulated ones.
    """
    inbox = IngestService(store, config.services_of_model)
    api = create_api(config, store, inbox, clock, schedule)
    app: Any = importlib.import_module(DASHBOARD).mount(api, store, config, clock)
    if config.demo:
        return app, None
    gateway = SelfGateway(app, inbox, clock)
    return gateway, gateway


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[int], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started and self.servers:
            self._listening(self.servers[0].sockets[0].getsockname()[1])


def serve(
    config: Config,
    store: Store,
    config_file: str | None,
    *,
    scheduler: bool = True,
    listening: Callable[[int], None] = lambda port: None,
) -> None:
    """Serve until interrupted; ``listening`` is called with the port once requests are answered."""
    with contextlib.ExitStack() as stack:
        schedule = Schedule(config_file, config) if scheduler else None
        app, gateway = build(config, store, schedule)
        server = _Server(
            uvicorn.Config(
                app,
                config.bind,
                config.port,
                log_level="warning",
                lifespan="off",
                timeout_graceful_shutdown=3,
                timeout_keep_alive=75,
                proxy_headers=False,
            ),  # who is asking decides; a header would let anyone be the proxy
            listening,
        )
        if gateway is not None:
            gateway.start()
            stack.callback(gateway.stop)
        if schedule is not None:
            schedule.start()
            stack.callback(schedule.stop)
        gc.freeze()  # a collection looks at what requests leave, not at all that was loaded (a quarter of a second each)
        server.run()
