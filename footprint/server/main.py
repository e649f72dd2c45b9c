"""Server process: one application, the scheduler and the self-metering gateway, until it is interrupted."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Callable
from typing import Any

import uvicorn

from footprint.config import Config
from footprint.ledger.store_upgrade import SERVER_LOCK
from footprint.server.process_end import orderly_end
from footprint.server.scheduler import JobScheduler
from footprint.server.self_metering import SelfMeteringGateway
from footprint.storage.database import Store

BuildApplication = Callable[[Config, Store, JobScheduler | None], tuple[Any, SelfMeteringGateway | None]]


class _Server(uvicorn.Server):
    """Uvicorn server that calls ``on_ready`` with its port once it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._listening = on_ready

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
    on_ready: Callable[[int], None] = lambda port: None,
) -> None:
    """Serve until interrupted, or ended by SIGTERM; all child processes end with it.

    ``build`` makes the application (`footprint.api.app.build_application`); ``on_ready`` is called with the port once the
    server listens.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(orderly_end())
        stack.enter_context(store.exclusive_lock(SERVER_LOCK, shared=True))  # an upgrade of the store waits for all servers
        job_scheduler = JobScheduler(config_file, config) if scheduler else None
        app, gateway = build(config, store, job_scheduler)
        server = _Server(
            uvicorn.Config(
                app,
                config.bind,
                config.port,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=3,
                timeout_keep_alive=75,
                proxy_headers=False,
                server_header=False,
            ),  # without proxy_headers the peer's address is the real one: a header could forge the trusted proxy
            on_ready,
        )
        if gateway is not None:
            gateway.start()
            stack.callback(gateway.stop)
        if job_scheduler is not None:
            job_scheduler.start()
            stack.callback(job_scheduler.stop)
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        gc.freeze()  # later collections skip everything loaded so far, which would take a quarter of a second each
        server.run()
