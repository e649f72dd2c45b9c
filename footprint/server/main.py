"""Server process: one application, the scheduler and the self-metering gateway, until it is interrupted."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from typing import Any

import uvicorn

from footprint.config import Config
from footprint.server.scheduler import Schedule
from footprint.server.self_metering import SelfGateway
from footprint.storage.database import Store

BuildApplication = Callable[[Config, Store, Schedule | None], tuple[Any, SelfGateway | None]]


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
    build: BuildApplication,
    *,
    scheduler: bool = True,
    listening: Callable[[int], None] = lambda port: None,
) -> None:
    """Serve until interrupted.

    ``build`` makes the application from the scheduler (`footprint.api.application` builds it all); ``listening`` is called with
    the port once requests are answered.
    """
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
