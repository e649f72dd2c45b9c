"""The whole ASGI application: API, pages, and the middleware that counts the requests of this service itself."""

from __future__ import annotations

import importlib
from typing import Any

from footprint.api.app import create_api
from footprint.config import Config
from footprint.core.timestamps import now_us
from footprint.ledger.ingest import IngestService
from footprint.server.scheduler import Schedule
from footprint.server.self_metering import SelfGateway
from footprint.storage.database import Store

# Named as a text: `footprint` does not import `dashboards`, and the server runs without that extra.
DASHBOARD = "dashboards.app"


def build_application(config: Config, store: Store, schedule: Schedule | None) -> tuple[Any, SelfGateway | None]:
    """The ASGI application, and the gateway that counts its requests.

    A demonstration has no gateway: real requests do not belong among simulated ones.
    """
    service = IngestService(store, config.services_of_model)
    api = create_api(config, store, service, now_us, schedule)
    app: Any = importlib.import_module(DASHBOARD).mount(api, store, config, now_us)
    if config.demo:
        return app, None
    gateway = SelfGateway(app, service, now_us)
    return gateway, gateway
